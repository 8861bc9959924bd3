// SPDX-License-Identifier: MIT
//
// How values spread: what histograms in logs and reports are made of. What is not finite has no place in them.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

namespace ingot {

struct Spread {
  float low = std::numeric_limits<float>::infinity(),
        high = -std::numeric_limits<float>::infinity();  // low > high: none
};

inline Spread SpreadOf(std::span<const float> values) {
  Spread spread;
  for (const float v : values)
    if (std::isfinite(v)) spread.low = std::min(spread.low, v), spread.high = std::max(spread.high, v);
  return spread;
}

// How many values fall into each of `bars` equally wide parts of [from, to]. REQUIRES: from < to, and no value beyond
inline std::vector<double> CountBars(std::span<const float> values, double from, double to, int bars) {
  std::vector<double> counts(static_cast<size_t>(bars));
  const double width = (to - from) / bars;
  for (const float v : values)
    if (std::isfinite(v)) ++counts[static_cast<size_t>(std::clamp<double>((v - from) / width, 0, bars - 1))];
  return counts;
}

}  // namespace ingot
