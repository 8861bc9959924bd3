// SPDX-License-Identifier: MIT
//
// Reads JSON (RFC 8259) from outside: UTF-8, of bounded depth, each key of an object once. Half of the time that a
// small model takes to load went to the general parser, which asked a callback about each value; this one knows what it
// makes.
#pragma once

#include <string>
#include <string_view>

#include "ingot/core/fields.h"

namespace ingot {

// What is no such text is an Error that names `where` and the place within it.
Json ParseJson(std::string_view text, const std::string& where);

}  // namespace ingot
