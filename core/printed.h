// SPDX-License-Identifier: MIT
//
// As std::printf writes it, as a text.
#pragma once

#include <cstdarg>
#include <cstdio>
#include <string>

namespace ingot {

__attribute__((format(printf, 1, 2))) inline std::string Printed(const char* format, ...) {
  va_list arguments, again;
  va_start(arguments, format);
  va_copy(again, arguments);
  std::string text(static_cast<size_t>(std::vsnprintf(nullptr, 0, format, arguments)), '\0');
  std::vsnprintf(text.data(), text.size() + 1, format, again);
  va_end(arguments);
  va_end(again);
  return text;
}

}  // namespace ingot
