// SPDX-License-Identifier: MIT
//
// Small files of text, read whole. A pipe or a device is refused: whoever reads one may wait for ever.
#pragma once

#include <cstddef>
#include <string>

namespace ingot {

// `expected` ends what is said of a file that is none: "a history (.json) or a log (.csv)".
std::string ReadTextFile(const std::string& path, const std::string& expected, size_t most = size_t{1} << 28);

}  // namespace ingot
