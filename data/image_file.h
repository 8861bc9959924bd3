// SPDX-License-Identifier: MIT
//
// Pictures of PNG and JPEG files, through libpng and libjpeg where ingot was built with them. The first bytes tell
// which it is, not the name. Trust nothing: sizes are bounded by what the file's bytes can come to, and a picture that
// is damaged or ends early is an Error.
#pragma once

#include <string>

#include "ingot/core/array.h"
#include "ingot/io/stored.h"

namespace ingot {

bool HasPng();
bool HasJpeg();

// (height, width, channels) of bytes: 1 channel is grey, 3 are red, green and blue. What is transparent lies on black.
Array DecodeImage(Bytes file, int64_t channels, const std::string& where);

}  // namespace ingot
