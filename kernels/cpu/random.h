// SPDX-License-Identifier: MIT
//
// Random numbers by the array: the words of core/random.h, several blocks of Philox at a time. Element i of a stream
// is the same number as there, on every SIMD target.
//
//   uniform: element i is Uniform(word i)
//   normal: element i takes words 2i and 2i + 1 through Box and Muller's transform: u = (word + 1/2) / 2^32,
//     v = word' / 2^32, sqrt(-2 log u) cos(2 pi v); in floats, each operation rounded for itself, so that no target
//     and no GPU differs. Within 3e-7 (or 5e-7 of the value) of the same in double precision.
//
// Threads: any.
#pragma once

#include <cstdint>

#include "ingot/core/random.h"

namespace ingot::cpu {

// Elements first .. first + n - 1 of the stream.
void FillUniform(float* dst, int64_t n, const Stream& stream, int64_t first = 0);
void FillNormal(float* dst, int64_t n, const Stream& stream, int64_t first = 0);

}  // namespace ingot::cpu
