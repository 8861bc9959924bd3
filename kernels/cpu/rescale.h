// SPDX-License-Identifier: MIT
//
// Numbers of any type to floats, shifted and scaled: what preparing data comes to.
#pragma once

#include <cstdint>

namespace ingot::cpu {

struct Rescaling {
  const float *shift, *scale;
  int64_t period;            // of both, 1 or at least kRescalePeriod; x begins at the first of them
  bool scale_first = false;  // x * scale + shift, else (x - shift) * scale
};
inline constexpr int64_t kRescalePeriod = 64;

// out may be x.
void Rescale(const float* x, int64_t n, const Rescaling& r, float* out);
void Rescale(const int32_t* x, int64_t n, const Rescaling& r, float* out);
void Rescale(const uint8_t* x, int64_t n, const Rescaling& r, float* out);

}  // namespace ingot::cpu
