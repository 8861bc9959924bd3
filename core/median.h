// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <vector>

namespace ingot {

// Of an even number the upper one of the middle; 0 of none.
template <typename T>
T Median(std::vector<T> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace ingot
