// SPDX-License-Identifier: MIT
//
// Sums down the columns of (rows, columns), in double precision: rows are cut into parts by shape alone, each part is
// summed by one thread, and the parts are added in order. The bits do not depend on the number of threads.
#pragma once

#include <algorithm>

#include "ingot/kernels/cpu/tiles.h"

namespace ingot::cpu {

inline int64_t ColumnParts(int64_t rows, int64_t columns) {
  return std::clamp<int64_t>(rows * columns / (2 * kTile), 1, std::min<int64_t>(32, std::max<int64_t>(1, rows)));
}

// Bytes for K sums of each column.
inline size_t ColumnWorkspace(int64_t rows, int64_t columns, int64_t k = 1) {
  return static_cast<size_t>(ColumnParts(rows, columns) * columns * k) * sizeof(double);
}

// add(row, sums) adds a row to K * columns sums. What comes back are the totals, in the workspace.
template <class F>
const double* SumColumns(const Call& call, int64_t rows, int64_t columns, int64_t k, const F& add) {
  const int64_t parts = ColumnParts(rows, columns), width = columns * k;
  auto* sums = static_cast<double*>(call.workspace);
  const auto part = [&](int64_t p) {
    double* own = sums + p * width;
    std::fill_n(own, width, 0.0);
    for (int64_t row = p * rows / parts; row < (p + 1) * rows / parts; ++row) add(row, own);
  };
  if (parts > 1 && call.run && call.run->pool)
    call.run->pool->For(parts, part);
  else
    for (int64_t p = 0; p < parts; ++p) part(p);
  for (int64_t p = 1; p < parts; ++p)
    for (int64_t i = 0; i < width; ++i) sums[i] += sums[p * width + i];
  return sums;
}

}  // namespace ingot::cpu
