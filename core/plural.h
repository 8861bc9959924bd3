// SPDX-License-Identifier: MIT
//
// Counts as a reader expects them in a message: "1 output", "2 outputs", "0 losses".
#pragma once

#include <cstddef>
#include <string>

namespace ingot {

inline std::string Counted(size_t count, const std::string& noun) {
  const bool hisses = noun.ends_with("ss");
  return std::to_string(count) + " " + noun + (count == 1 ? "" : hisses ? "es" : "s");
}

}  // namespace ingot
