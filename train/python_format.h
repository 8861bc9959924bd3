// SPDX-License-Identifier: MIT
//
// Numbers as Python writes them, for paths and files that Keras's users know.
#pragma once

#include <charconv>
#include <string>

namespace ingot {

// repr() of a float: the shortest text that reads back as it.
inline std::string PythonRepr(double value) {
  char shortest[64];
  std::string text(shortest, std::to_chars(shortest, shortest + sizeof shortest, value).ptr);
  return text + (text.find_first_of(".en") == text.npos ? ".0" : "");
}

}  // namespace ingot
