// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "ingot/data/dataset.h"

namespace ingot {

// .npy files as arrays: floats as float32, whole numbers as int32, bytes and booleans as uint8.
Array ReadNpyFile(const std::string& path);
Arrays ReadNpyFiles(const std::vector<std::string>& paths);
void WriteNpyFile(const std::string& path, const Array& array);

}  // namespace ingot
