// SPDX-License-Identifier: MIT
//
// The small tables that CSVLogger writes, record by record, as Python's csv.excel has them: a field within quotes may
// hold separators and line breaks, and each of its quotes is doubled. Tables of data have a reader of their own, in
// data/csv.cc.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ingot {

// The fields of the record that begins at `at`, which moves to the next; at the end of the text, of an empty one.
inline std::vector<std::string> NextCsvRecord(std::string_view text, size_t& at, char separator) {
  std::vector<std::string> fields(1);
  for (bool quoted = false; at < text.size();) {
    const char c = text[at++];
    if (c == '"') {
      if (quoted && at < text.size() && text[at] == '"')
        fields.back() += text[at++];
      else
        quoted = !quoted;
    } else if (quoted) {
      fields.back() += c;
    } else if (c == '\n') {
      break;
    } else if (c == separator) {
      fields.emplace_back();
    } else if (c != '\r') {
      fields.back() += c;
    }
  }
  return fields;
}

// A field as it is written.
inline std::string CsvField(const std::string& text, char separator) {
  if (text.find_first_of(std::string("\"\r\n") + separator) == text.npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + "\"";
}

}  // namespace ingot
