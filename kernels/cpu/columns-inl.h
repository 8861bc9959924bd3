// SPDX-License-Identifier: MIT
//
// Sums (or maxima) down the columns of a block of rows, and maps of rows with parameters for each column. Compiled once
// for each SIMD target.
//
// Rows of few columns would leave lanes empty: several rows side by side are taken as one wide row, and the columns
// that stand for the same one are combined at the end. Parameters are repeated to fit.
//
// A float takes up at most a quarter of a block's rows: of four rows the sum is formed first.
#if defined(INGOT_KERNELS_CPU_COLUMNS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef INGOT_KERNELS_CPU_COLUMNS_INL_H_
#undef INGOT_KERNELS_CPU_COLUMNS_INL_H_
#else
#define INGOT_KERNELS_CPU_COLUMNS_INL_H_
#endif

#include <algorithm>

#include "ingot/kernels/cpu/tiles.h"
#include "ingot/kernels/cpu/vector-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ingot::cpu {
namespace HWY_NAMESPACE {
namespace {

constexpr int64_t kNarrow = 64;  // fewer columns are widened
constexpr int64_t kWide = 256;   // to at most so many

struct Plus {
  static constexpr float kStart = 0;
  HWY_INLINE Num operator()(Num a, Num b) const { return a + b; }
  HWY_INLINE float operator()(float a, float b) const { return a + b; }
};
struct Larger {  // NaN wins
  static constexpr float kStart = -std::numeric_limits<float>::infinity();
  HWY_INLINE Num operator()(Num a, Num b) const { return Select(b == b, Max(a, b), b); }
  HWY_INLINE float operator()(float a, float b) const { return a > b || a != a ? a : b; }
};

struct LoadWhole {
  HWY_INLINE Num operator()(const float* from) const { return Load(from); }
};
struct LoadFirst {
  int64_t n;
  HWY_INLINE Num operator()(const float* from) const { return LoadSome(from, n); }
};

// Stores as many as `load` loads.
HWY_INLINE void StoreLike(const LoadWhole&, Num a, float* to) { Store(a, to); }
HWY_INLINE void StoreLike(const LoadFirst& load, Num a, float* to) { StoreSome(a, to, load.n); }

// One vector of columns of kRows rows: sums[k] = op(sums[k], term k of each row).
template <int K, int kRows, class Op, class Term, class LoadFn>
HWY_INLINE void AddVector(const Term& term, const LoadFn& load, int64_t at, int64_t stride, const float* const* p,
                          int64_t j, float* sums, int64_t step) {
  const Op op;
  Num t[kRows][K];
  for (int r = 0; r < kRows; ++r) term(load, at + r * stride, p, j, t[r]);
  for (int k = 0; k < K; ++k) {
    Num sum = t[0][k];
    if constexpr (kRows == 4) sum = op(op(t[0][k], t[1][k]), op(t[2][k], t[3][k]));
    Store(op(Load(sums + k * step), sum), sums + k * step);
  }
}

template <int K, int kRows, class Op, class Term>
HWY_INLINE void AddRow(const Term& term, int64_t at, int64_t stride, int64_t columns, const float* const* p,
                       float* sums, int64_t step) {
  int64_t j = 0;
  for (; j + kLanes <= columns; j += kLanes)
    AddVector<K, kRows, Op>(term, LoadWhole(), at + j, stride, p, j, sums + j, step);
  if (j < columns) AddVector<K, kRows, Op>(term, LoadFirst{columns - j}, at + j, stride, p, j, sums + j, step);
}

template <int K, class Op, class Term>
HWY_INLINE void AddAll(const Term& term, int64_t at, int64_t rows, int64_t stride, int64_t columns,
                       const float* const* p, float* sums, int64_t step) {
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4) AddRow<K, 4, Op>(term, at + r * stride, stride, columns, p, sums, step);
  for (; r < rows; ++r) AddRow<K, 1, Op>(term, at + r * stride, stride, columns, p, sums, step);
}

// `count` parameters of each of few columns, repeated for `repeat` rows side by side.
template <int P>
struct Repeated {
  alignas(64) float values[P > 0 ? P : 1][kWide + 16];
  const float* p[P > 0 ? P : 1];
  Repeated(const float* const* from, int64_t columns, int64_t repeat) {
    for (int i = 0; i < P; ++i) {
      for (int64_t r = 0; r < repeat; ++r) std::copy_n(from[i], columns, values[i] + r * columns);
      p[i] = values[i];
    }
  }
};

// Adds K terms of each element of a block to sums[k * step + column]. `at`: where its first element lies; rows are
// `stride` apart. term(load, i, p, j, t): the terms of a vector of elements, the first at i; load(x + i) loads them,
// load(p[q] + j) parameter q of their columns. What lies in sums behind the last column, up to a whole vector, is lost.
template <int K, int P, class Op, class Term>
HWY_INLINE void AddBlock(const Term& term, int64_t at, int64_t rows, int64_t stride, int64_t columns,
                         const float* const* p, float* sums, int64_t step) {
  const int64_t repeat = columns > 0 ? kWide / columns : 0;
  if (stride != columns || columns >= kNarrow || rows < 2 * repeat) {
    AddAll<K, Op>(term, at, rows, stride, columns, p, sums, step);
    return;
  }
  const Op op;
  const Repeated<P> repeated(p, columns, repeat);
  alignas(64) float wide[K * (kWide + 16)];
  std::fill_n(wide, K * (kWide + 16), Op::kStart);
  const int64_t wide_rows = rows / repeat, width = repeat * columns;
  AddAll<K, Op>(term, at, wide_rows, width, width, repeated.p, wide, kWide + 16);
  const int64_t rest = rows - wide_rows * repeat;  // a part of one more wide row
  if (rest > 0) AddAll<K, Op>(term, at + wide_rows * width, 1, width, rest * columns, repeated.p, wide, kWide + 16);
  for (int k = 0; k < K; ++k) {
    float* from = wide + k * (kWide + 16);
    for (int64_t n = repeat; n > 1; n -= n / 2) {  // halves, so that errors stay small
      const int64_t half = n / 2, kept = n - half;
      for (int64_t i = 0; i < half * columns; ++i) from[i] = op(from[i], from[kept * columns + i]);
    }
    for (int64_t c = 0; c < columns; ++c) sums[k * step + c] = op(sums[k * step + c], from[c]);
  }
}

// y = f(x..., parameters of the column...) for all elements of (rows, columns).
template <class Fn, size_t P, size_t N>
void MapColumns(const Call& call, int64_t rows, int64_t columns, const float* const (&p)[P], const float* const (&x)[N],
                float* y, const Fn& f) {
  if (columns == 0) return;
  if (columns >= kNarrow) {
    ForTiles(call, rows, columns, [&](int64_t, int64_t first, int64_t last) HWY_ATTR {
      for (int64_t row = first; row < last; ++row) {
        const int64_t at = row * columns;
        int64_t j = 0;
        for (; j + kLanes <= columns; j += kLanes) Store(f(LoadWhole(), x, at + j, p, j), y + at + j);
        if (j < columns) StoreSome(f(LoadFirst{columns - j}, x, at + j, p, j), y + at + j, columns - j);
      }
    });
    return;
  }
  const int64_t repeat = kWide / columns;
  const Repeated<static_cast<int>(P)> repeated(p, columns, repeat);
  ForTiles(call, Tiles(rows, repeat), repeat * columns, [&](int64_t, int64_t first, int64_t last) HWY_ATTR {
    for (int64_t wide = first; wide < last; ++wide) {
      const int64_t at = wide * repeat * columns, width = std::min(repeat, rows - wide * repeat) * columns;
      int64_t j = 0;
      for (; j + kLanes <= width; j += kLanes) Store(f(LoadWhole(), x, at + j, repeated.p, j), y + at + j);
      if (j < width) StoreSome(f(LoadFirst{width - j}, x, at + j, repeated.p, j), y + at + j, width - j);
    }
  });
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace ingot::cpu
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
