// SPDX-License-Identifier: MIT
//
// Pixels as a PNG file: rows from the top, each of `width` pixels of 1 (gray), 3 (RGB) or 4 (RGBA) bytes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ingot {

std::string EncodePng(int width, int height, int channels, const std::vector<uint8_t>& pixels);

}  // namespace ingot
