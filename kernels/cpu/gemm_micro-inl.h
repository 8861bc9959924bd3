// SPDX-License-Identifier: MIT
//
// The inner parts of Gemm, compiled once for each SIMD target: the micro-kernel and the packing of B.
//
// A micro-kernel holds a block of C, R rows by V vectors, in registers while it walks k. Each step loads V vectors of
// B, broadcasts R values of A and does R*V multiply-adds. With two FMA units of latency 4, at least 8 independent
// sums are needed; the more of them, the fewer loads for each multiply-add, (R + V) / (R V). AVX3 has 32 registers:
// 12 x 2 sums + 2 of B + broadcasts from memory, 14 loads for 24 multiply-adds. AVX2 has 16: 6 x 2 + 2 + 1.
//
// A panel is kPanel = V * lanes columns of B. The kernel reads row p of it at b + p * b_k: from B itself (b_k = ldb)
// or from a packed panel (b_k = kPanel), whose missing columns are zero; so its loop knows no masks. A is read where
// it lies, by rows (A) or by columns (A transposed).
#if defined(INGOT_KERNELS_CPU_GEMM_MICRO_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef INGOT_KERNELS_CPU_GEMM_MICRO_INL_H_
#undef INGOT_KERNELS_CPU_GEMM_MICRO_INL_H_
#else
#define INGOT_KERNELS_CPU_GEMM_MICRO_INL_H_
#endif

#include <cstddef>
#include <cstdint>

#include "hwy/cache_control.h"
#include "hwy/highway.h"
#include "ingot/kernels/cpu/epilogue-inl.h"

#ifndef INGOT_UNROLL  // the blocks of sums must be unrolled wholly, or they would not live in registers
#ifdef __clang__
#define INGOT_UNROLL _Pragma("clang loop unroll(full)")
#else
#define INGOT_UNROLL _Pragma("GCC unroll 16")
#endif
#endif

HWY_BEFORE_NAMESPACE();
namespace ingot::cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using F32 = hn::ScalableTag<float>;
using Vec = hn::Vec<F32>;

constexpr int64_t kLanes = HWY_LANES(float);
constexpr int kVectors = 2;
constexpr int kRows = HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON ? 12 : 6;
constexpr int64_t kPanel = kVectors * kLanes;

// The first `count` < kLanes floats at `from`, zeros behind them; nothing behind them is touched.
HWY_INLINE Vec LoadSome(const float* HWY_RESTRICT from, int64_t count) {
  const F32 d;
#if HWY_MEM_OPS_MIGHT_FAULT
  HWY_ALIGN float copy[kLanes] = {};
  for (int64_t i = 0; i < count; ++i) copy[i] = from[i];
  return hn::Load(d, copy);
#else
  return hn::MaskedLoad(hn::FirstN(d, static_cast<size_t>(count)), d, from);
#endif
}

HWY_INLINE void StoreSome(Vec v, float* HWY_RESTRICT to, int64_t count) {
  const F32 d;
#if HWY_MEM_OPS_MIGHT_FAULT
  HWY_ALIGN float copy[kLanes];
  hn::Store(v, d, copy);
  for (int64_t i = 0; i < count; ++i) to[i] = copy[i];
#else
  hn::BlendedStore(v, hn::FirstN(d, static_cast<size_t>(count)), d, to);
#endif
}

// A is prefetched, since processors do not guess its ways: by rows, the same steps of the next row block, a cache line
// of each row every 16 steps; by columns, the same rows kAhead steps on. That made products with k = 288 twice as fast
// when A lies beyond L2. The address may lie outside of A: no harm.
constexpr int64_t kChunk = 16;
constexpr int64_t kAhead = 32;

HWY_INLINE void Prefetch(const float* from, int64_t distance) {
  hwy::Prefetch(reinterpret_cast<const void*>(reinterpret_cast<uintptr_t>(from) +
                                              static_cast<uintptr_t>(distance) * sizeof(float)));
}

// What is done to a block of C once the products are summed.
struct Finish {
  bool load_c;                         // add what C holds
  bool stream;                         // write past the caches; C must be aligned to vectors
  const Epilogue* epilogue = nullptr;  // null: more of k is to come
  // Of the epilogue, at the block's first column and first element; null where it has none.
  const float *scale = nullptr, *shift = nullptr, *residual = nullptr;

  void MoveTo(int64_t element, int64_t column) {
    scale = epilogue->scale == nullptr ? nullptr : epilogue->scale + column;
    shift = epilogue->shift == nullptr ? nullptr : epilogue->shift + column;
    residual = epilogue->residual == nullptr ? nullptr : epilogue->residual + element;
  }
};

// What becomes of the sums of N rows, for one vector of columns. `column` and `element` lie behind the block's first;
// rows of C and of the residual are `ldc` apart. load(p) reads a vector, or what is left of one. What is asked for is
// looked at once, not for each row.
template <size_t N, class LoadFn>
HWY_INLINE void Apply(Vec (&sum)[N], const Finish& f, const float* c, int64_t ldc, int64_t column, int64_t element,
                      const LoadFn& load) {
  const auto add_rows = [&](const float* from) HWY_ATTR {
    INGOT_UNROLL
    for (size_t r = 0; r < N; ++r) sum[r] = hn::Add(sum[r], load(from + static_cast<int64_t>(r) * ldc));
  };
  if (f.load_c) add_rows(c);
  if (f.epilogue == nullptr) return;
  if (f.scale != nullptr) {
    const Vec scale = load(f.scale + column);
    INGOT_UNROLL
    for (size_t r = 0; r < N; ++r) sum[r] = hn::Mul(sum[r], scale);
  }
  if (f.shift != nullptr) {
    const Vec shift = load(f.shift + column);
    INGOT_UNROLL
    for (size_t r = 0; r < N; ++r) sum[r] = hn::Add(sum[r], shift);
  }
  if (f.residual != nullptr && !f.epilogue->residual_last) add_rows(f.residual + element);
  Activate(*f.epilogue, sum);
  if (f.residual != nullptr && f.epilogue->residual_last) add_rows(f.residual + element);
}

struct Block {
  const float* a;     // the block's first row
  int64_t a_stride;   // from one row of A to the next, or one step of k when A is transposed
  const float* b;     // the panel
  int64_t b_k;        // from one step of k to the next
  int64_t k;          // steps
  int64_t a_ahead;    // how far ahead of A to prefetch
  const float* next;  // what to prefetch of the next block of B: 16 pieces next_step apart, for each 16 steps,
  int64_t next_step;  // and from there the next ones next_row apart
  int64_t next_row;
  float* c;  // (R, cols)
  int64_t ldc;
  int64_t cols;  // 1 .. kPanel
  Finish finish;
};

template <int R, int V, bool kTransA>
HWY_NOINLINE void Micro(const Block& t) {
  const F32 d;
  Vec sum[R][V];
  INGOT_UNROLL
  for (int r = 0; r < R; ++r) {
    INGOT_UNROLL
    for (int v = 0; v < V; ++v) sum[r][v] = hn::Zero(d);
  }
  const int64_t stride = t.a_stride;
  const int64_t b_k = t.b_k;
  const int64_t a_ahead = t.a_ahead;
  const float* next = t.next;
  const int64_t next_step = t.next_step;
  const float* HWY_RESTRICT b = t.b;
  // Four base pointers three rows apart: x86 then reaches every row by base, base + stride and base + 2 stride.
  const float* HWY_RESTRICT a[4];
  INGOT_UNROLL
  for (int i = 0; i < 4; ++i) a[i] = kTransA ? t.a : t.a + 3 * i * stride;
  for (int64_t left = t.k; left > 0; left -= kChunk) {
    const int64_t steps = left < kChunk ? left : kChunk;
    if (!kTransA) {
      INGOT_UNROLL
      for (int r = 0; r < R; ++r) Prefetch(a[r / 3] + (r % 3) * stride, a_ahead);
    }
    for (int64_t s = 0; s < steps; ++s) {
      if (kTransA) Prefetch(a[0], a_ahead);
      Prefetch(next, s * next_step);
      Vec bv[V];
      INGOT_UNROLL
      for (int v = 0; v < V; ++v) bv[v] = hn::LoadU(d, b + v * kLanes);
      b += b_k;
      INGOT_UNROLL
      for (int r = 0; r < R; ++r) {
        const Vec av = hn::Set(d, kTransA ? a[0][r] : a[r / 3][(r % 3) * stride]);
        INGOT_UNROLL
        for (int v = 0; v < V; ++v) sum[r][v] = hn::MulAdd(av, bv[v], sum[r][v]);
      }
      INGOT_UNROLL
      for (int i = 0; i < 4; ++i) a[i] += kTransA ? stride : 1;
    }
    next += t.next_row;
  }

  const Finish f = t.finish;
  const int64_t rest = t.cols - (V - 1) * kLanes;  // columns in the last vector
  INGOT_UNROLL
  for (int v = 0; v < V; ++v) {
    const bool whole = v + 1 < V || rest == kLanes;
    const auto load = [&](const float* p) HWY_ATTR { return whole ? hn::LoadU(d, p) : LoadSome(p, rest); };
    float* HWY_RESTRICT c = t.c + v * kLanes;
    Vec out[R];
    INGOT_UNROLL
    for (int r = 0; r < R; ++r) out[r] = sum[r][v];
    Apply(out, f, c, t.ldc, v * kLanes, v * kLanes, load);
    INGOT_UNROLL
    for (int r = 0; r < R; ++r, c += t.ldc) {
      if (!whole) {
        StoreSome(out[r], c, rest);
      } else if (f.stream) {
        hn::Stream(out[r], d, c);
      } else {
        hn::StoreU(out[r], d, c);
      }
    }
  }
}

// The kernels for 1 .. kRows rows.
using MicroFn = void (*)(const Block&);
template <int V, bool kTransA>
struct MicroTable {
  template <int... I>
  struct Rows {
    static constexpr MicroFn kFn[] = {&Micro<I, V, kTransA>...};
  };
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON
  using Table = Rows<1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12>;
#else
  using Table = Rows<1, 2, 3, 4, 5, 6>;
#endif
};

HWY_INLINE MicroFn ChooseMicro(int64_t rows, int64_t cols, bool trans_a) {
  const bool narrow = cols <= kLanes;
  if (trans_a) return (narrow ? MicroTable<1, true>::Table::kFn : MicroTable<2, true>::Table::kFn)[rows - 1];
  return (narrow ? MicroTable<1, false>::Table::kFn : MicroTable<2, false>::Table::kFn)[rows - 1];
}

#if HWY_TARGET != HWY_SCALAR
// Four floats from each of lanes / 4 rows that lie `step` apart, side by side.
template <class D>
HWY_INLINE hn::Vec<D> Quads(D d, const float* from, int64_t step) {
  if constexpr (hn::MaxLanes(D()) == 4) {
    return hn::LoadU(d, from);
  } else {
    const hn::Half<D> half;
    const int64_t upper = step * static_cast<int64_t>(hn::MaxLanes(half) / 4);
    return hn::Combine(d, Quads(half, from + upper, step), Quads(half, from, step));
  }
}

// to[p][j] = from[j][p] for kLanes rows of `from`, four steps of p. In each 128-bit part of the four vectors lies a
// 4 x 4 block; interleaving floats, then pairs of floats, transposes all blocks at once.
HWY_INLINE void TransposeFour(const float* HWY_RESTRICT from, int64_t ld, float* HWY_RESTRICT to, int64_t to_step) {
  const F32 d;
  const hn::Repartition<uint64_t, F32> pairs;
  const Vec r0 = Quads(d, from, 4 * ld);
  const Vec r1 = Quads(d, from + ld, 4 * ld);
  const Vec r2 = Quads(d, from + 2 * ld, 4 * ld);
  const Vec r3 = Quads(d, from + 3 * ld, 4 * ld);
  const auto low01 = hn::BitCast(pairs, hn::InterleaveLower(d, r0, r1));
  const auto low23 = hn::BitCast(pairs, hn::InterleaveLower(d, r2, r3));
  const auto high01 = hn::BitCast(pairs, hn::InterleaveUpper(d, r0, r1));
  const auto high23 = hn::BitCast(pairs, hn::InterleaveUpper(d, r2, r3));
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(pairs, low01, low23)), d, to);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(pairs, low01, low23)), d, to + to_step);
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(pairs, high01, high23)), d, to + 2 * to_step);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(pairs, high01, high23)), d, to + 3 * to_step);
}
#endif

// Packs k rows by `cols` columns of B, (k, cols) at `b`, into panels of (k, kPanel), one after the other.
HWY_INLINE void PackRows(const float* HWY_RESTRICT b, int64_t ldb, int64_t k, int64_t cols, float* HWY_RESTRICT to) {
  const F32 d;
  for (int64_t p = 0; p < k; ++p, b += ldb) {
    float* HWY_RESTRICT row = to + p * kPanel;
    int64_t j = 0;
    for (; j + kPanel <= cols; j += kPanel, row += k * kPanel) {
      INGOT_UNROLL
      for (int v = 0; v < kVectors; ++v) hn::Store(hn::LoadU(d, b + j + v * kLanes), d, row + v * kLanes);
    }
    if (j == cols) continue;
    for (int v = 0; v < kVectors; ++v, j += kLanes) {
      const int64_t left = cols - j;
      const Vec x = left >= kLanes ? hn::LoadU(d, b + j) : left > 0 ? LoadSome(b + j, left) : hn::Zero(d);
      hn::Store(x, d, row + v * kLanes);
    }
  }
}

// The same from the transpose, (cols, k) at `b`.
HWY_INLINE void PackColumns(const float* HWY_RESTRICT b, int64_t ldb, int64_t k, int64_t cols, float* HWY_RESTRICT to) {
  for (int64_t j = 0; j < cols; j += kPanel, b += kPanel * ldb, to += k * kPanel) {
    for (int v = 0; v < kVectors; ++v) {
      const int64_t left = cols - j - v * kLanes;
      const float* from = b + v * kLanes * ldb;
      int64_t p = 0;
#if HWY_TARGET != HWY_SCALAR
      if (left >= kLanes) {
        for (; p + 4 <= k; p += 4) TransposeFour(from + p, ldb, to + p * kPanel + v * kLanes, kPanel);
      }
#endif
      for (; p < k; ++p) {
        float* HWY_RESTRICT row = to + p * kPanel + v * kLanes;
        for (int64_t i = 0; i < kLanes; ++i) row[i] = i < left ? from[i * ldb + p] : 0.0f;
      }
    }
  }
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace ingot::cpu
HWY_AFTER_NAMESPACE();

#endif  // INGOT_KERNELS_CPU_GEMM_MICRO_INL_H_
