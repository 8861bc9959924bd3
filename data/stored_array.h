// SPDX-License-Identifier: MIT
//
// A tensor of a file as an array: its bytes where they lie if they are of a type that arrays have, else converted,
// floats to float32, whole numbers to int32, booleans to uint8.
#pragma once

#include <string>

#include "ingot/core/array.h"
#include "ingot/io/stored.h"

namespace ingot {

Array ArrayOf(StoredTensor tensor, const std::string& where);

}  // namespace ingot
