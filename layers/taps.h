// SPDX-License-Identifier: MIT
//
// Which elements of a line make each element of its resampled version, and with what share: the tables of
// Graph::Resample. Numbers are those of jax.image.resize, which Keras resizes with: element i of the output lies at
// (i + 0.5) in / out - 0.5 of the input, and takes what lies near it by the weight of a kernel, the weights of those
// inside the input being brought to a sum of 1. Antialiasing widens the kernel where the line becomes shorter.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ingot {

enum class Interpolation : uint8_t { kNearest, kBilinear, kBicubic, kLanczos3, kLanczos5 };

// By Keras's name; Error that begins with `where` if there is none.
Interpolation InterpolationNamed(const std::string& name, const std::string& where);

struct Taps {
  int count = 1;             // of each output element; those of no weight at the end
  std::vector<float> table;  // (out, count, 2): index in the input, share
};

// REQUIRES: 1 <= in <= kMostTapped, out >= 1.
inline constexpr int64_t kMostTapped = 1 << 24;  // so far a float counts exactly
Taps ResizeTaps(int64_t in, int64_t out, Interpolation method, bool antialias);
Taps RepeatTaps(int64_t in, int64_t times);  // each element `times` times

}  // namespace ingot
