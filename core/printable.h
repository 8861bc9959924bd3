// SPDX-License-Identifier: MIT
//
// Text that others chose, as a name in a file or a path, for a terminal: what would move its cursor is spelt out.
#pragma once

#include <string>
#include <string_view>

namespace ingot {

// Control characters as \n or \x1b; those that end lines stay with `lines`.
inline std::string Printable(std::string_view text, bool lines = false) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : 0);
    // U+0080 to U+009F in UTF-8, which terminals take for ESC and a letter.
    const bool two = byte == 0xC2 && next >= 0x80 && next < 0xA0;
    if (!two && ((byte >= 32 && byte != 127) || (lines && byte == '\n'))) {
      out += text[i];
    } else if (byte == '\n') {
      out += "\\n";
    } else {
      constexpr char kDigits[] = "0123456789abcdef";
      out += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
      if (two) out += {'\\', 'x', kDigits[next >> 4], kDigits[next & 15]}, ++i;
    }
  }
  return out;
}

}  // namespace ingot
