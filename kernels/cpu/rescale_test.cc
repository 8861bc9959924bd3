// SPDX-License-Identifier: MIT
//
// Rescale against a loop, bit for bit: sizes around the vectors, misaligned, every type, both orders, one shift for all
// and one for each, in place, on every SIMD target; and nothing is written behind the end.
#include "ingot/kernels/cpu/rescale.h"

#include <gtest/gtest.h>

#include <string>
#include <type_traits>
#include <vector>

#include "ingot/kernels/cpu/targets.h"

namespace ingot::cpu {
namespace {

constexpr float kUntouched = 12345.0f;

template <class T>
T Value(int64_t i) {
  if constexpr (std::is_same_v<T, float>) return static_cast<float>(i % 97) * 0.37f - 11.0f;
  if constexpr (std::is_same_v<T, int32_t>) return static_cast<int32_t>(i * 2654435761u);
  return static_cast<T>(i * 37);
}

template <class T>
void Hold(int64_t n, int64_t offset, int64_t period, bool scale_first) {
  SCOPED_TRACE(std::to_string(n) + " from " + std::to_string(offset) + ", period " + std::to_string(period));
  std::vector<float> shift, scale;
  for (int64_t i = 0; i < period; ++i) {
    shift.push_back(0.5f + static_cast<float>(i) * 0.25f);
    scale.push_back(1.0f / (3.0f + static_cast<float>(i)));
  }
  std::vector<T> x(static_cast<size_t>(offset + n));
  for (size_t i = 0; i < x.size(); ++i) x[i] = Value<T>(static_cast<int64_t>(i));
  std::vector<float> out(static_cast<size_t>(offset + n + 40), kUntouched);
  const Rescaling r{shift.data(), scale.data(), period, scale_first};
  Rescale(x.data() + offset, n, r, out.data() + offset);
  for (int64_t i = 0; i < n; ++i) {
    const float v = static_cast<float>(x[static_cast<size_t>(offset + i)]);
    const float a = shift[static_cast<size_t>(i % period)], b = scale[static_cast<size_t>(i % period)];
    const float product = v * b;
    ASSERT_EQ(out[static_cast<size_t>(offset + i)], scale_first ? product + a : (v - a) * b) << i;
  }
  for (size_t i = 0; i < out.size(); ++i)
    if (i < static_cast<size_t>(offset) || i >= static_cast<size_t>(offset + n)) {
      ASSERT_EQ(out[i], kUntouched) << i;
    }
  if constexpr (std::is_same_v<T, float>) {
    Rescale(x.data() + offset, n, r, x.data() + offset);
    for (int64_t i = 0; i < n; ++i)
      ASSERT_EQ(x[static_cast<size_t>(offset + i)], out[static_cast<size_t>(offset + i)]) << i;
  }
}

TEST(Rescale, MatchesALoop) {
  for (const int64_t* target = SupportedTargetList(); *target != 0; ++target) {
    SCOPED_TRACE(TargetName(*target));
    ForceTarget(*target);
    for (int64_t n = 0; n <= 2 * kRescalePeriod + 40; n += n < 40 ? 1 : 7)
      for (const int64_t offset : {0, 1, 3})
        for (const int64_t period : {int64_t{1}, kRescalePeriod, kRescalePeriod + 1, int64_t{300}})
          for (const bool scale_first : {false, true}) {
            Hold<float>(n, offset, period, scale_first);
            Hold<int32_t>(n, offset, period, scale_first);
            Hold<uint8_t>(n, offset, period, scale_first);
            if (HasFatalFailure()) return ForceTarget(0);
          }
  }
  ForceTarget(0);
}

}  // namespace
}  // namespace ingot::cpu
