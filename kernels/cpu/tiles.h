// SPDX-License-Identifier: MIT
//
// Work cut into tiles by shape alone, so that results have the same bits on any number of threads: loops over
// elements, and sums whose partial results are combined in the order of the tiles, in double precision. Small work
// stays on the calling thread. Nothing is allocated.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "ingot/kernels/kernels.h"

namespace ingot::cpu {

inline constexpr int64_t kTile = 8192;         // elements
inline constexpr int64_t kInline = 4 * kTile;  // fewer are not worth waking a thread

inline int64_t Tiles(int64_t n, int64_t tile) { return (n + tile - 1) / tile; }

// f(tile, first, last) for tiles of about kTile elements, `width` of them in each of n rows.
template <class F>
void ForTiles(const Call& call, int64_t n, int64_t width, const F& f) {
  const int64_t rows = std::max<int64_t>(1, kTile / std::max<int64_t>(1, width));
  const int64_t tiles = Tiles(n, rows);
  const auto run = [&](int64_t t) { f(t, t * rows, std::min(n, (t + 1) * rows)); };
  if (n * width <= kInline || tiles == 1 || !call.run || !call.run->pool) {
    for (int64_t t = 0; t < tiles; ++t) run(t);
  } else {
    call.run->pool->For(tiles, run);
  }
}

// Bytes of workspace for SumTiles over n elements with K sums.
template <size_t K>
size_t SumWorkspace(int64_t n) {
  return static_cast<size_t>(std::max<int64_t>(1, Tiles(n, kTile))) * K * sizeof(double);
}

// The sums over all tiles of f(first, last), an array of K. REQUIRES: workspace of SumWorkspace<K>(n) bytes.
template <size_t K, class F>
std::array<double, K> SumTiles(const Call& call, int64_t n, const F& f) {
  if (n <= kTile) return f(int64_t{0}, n);
  using Sums = std::array<double, K>;
  auto* partial = static_cast<Sums*>(call.workspace);
  ForTiles(call, n, 1, [&](int64_t t, int64_t first, int64_t last) { partial[t] = f(first, last); });
  Sums sums{};
  for (int64_t t = 0; t < Tiles(n, kTile); ++t)
    for (size_t k = 0; k < K; ++k) sums[k] += partial[t][k];
  return sums;
}

}  // namespace ingot::cpu
