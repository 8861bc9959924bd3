// SPDX-License-Identifier: MIT
//
// A small file, cut at each length and with each bit flipped. A parser loads it or throws Error; whatever else happens
// is a bug, which the sanitizers see best: each file lies in memory of exactly its size.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "ingot/core/error.h"
#include "ingot/io/stored.h"

namespace ingot::testing {

// "" if load accepts the bytes, else what it says.
inline std::string Refusal(const std::function<void(Bytes)>& load, Bytes bytes) {
  try {
    load(bytes);
    return "";
  } catch (const Error& e) {
    return e.what();
  }
}

// `cut_is_error`: no proper beginning of the file is a whole file. Returns how many of the flips were refused.
inline int64_t Mangle(Bytes file, const std::function<void(Bytes)>& load, bool cut_is_error = true) {
  for (size_t n = 0; n < file.size(); ++n) {
    const std::vector<std::byte> cut(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(n));
    const std::string refusal = Refusal(load, cut);
    if (cut_is_error) {
      EXPECT_NE(refusal, "") << "loads though cut to " << n << " of " << file.size() << " bytes";
    }
  }
  int64_t refused = 0;
  std::vector<std::byte> flipped(file.begin(), file.end());
  for (size_t bit = 0; bit < 8 * file.size(); ++bit) {
    const auto mask = std::byte{1} << (bit % 8);
    flipped[bit / 8] ^= mask;
    refused += !Refusal(load, flipped).empty();
    flipped[bit / 8] ^= mask;
  }
  return refused;
}

}  // namespace ingot::testing
