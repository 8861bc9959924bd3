// SPDX-License-Identifier: MIT
//
// The arithmetic of Winograd's convolution F(4x4, 3x3), a vector of channels at a time.
//
// Four outputs of a filter g of three taps over six inputs d are found through polynomials: both sides are evaluated at
// six points, multiplied there, and the product is interpolated. As matrices, y = At ((G g) * (Bt d)) in one dimension,
// and the same along rows and then columns in two. The points are 0, +-p, +-q and infinity, with p = 3/4, q = 3/2:
//
//   Bt  row of point a: coefficients of the product of (x - b) over the other points b;  of infinity: over all
//   G   row of point a: (1, a, a^2) / product of (a - b) over the other points b;         of infinity: (0, 0, 1)
//   At  column of point a: (1, a, a^2, a^3);                                             of infinity: (0, 0, 0, 1)
//
// A pair +-a shares its even and its odd part. Why these points: the largest error, of the largest output, is 1 to 2e-6
// for 64 to 512 channels, as large as that of plain summation; with the usual 0, +-1, +-2 it is 5e-6 to 9e-6. All but
// the rows of G are exact in binary.
//
// The gradient for the filter is the adjoint: dg = G^T ((A dy) * (Bt d)), summed over the tiles before G^T.
// Included once for each SIMD target.
#if defined(INGOT_KERNELS_CPU_WINOGRAD_TRANSFORM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef INGOT_KERNELS_CPU_WINOGRAD_TRANSFORM_INL_H_
#undef INGOT_KERNELS_CPU_WINOGRAD_TRANSFORM_INL_H_
#else
#define INGOT_KERNELS_CPU_WINOGRAD_TRANSFORM_INL_H_
#endif

#include "ingot/kernels/cpu/gemm_micro-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ingot::cpu {
namespace HWY_NAMESPACE {
namespace {

constexpr float kP = 0.75f, kQ = 1.5f;
constexpr float kP2 = kP * kP, kQ2 = kQ * kQ;
constexpr float kG0 = 1 / (kP2 * kQ2), kGp = 1 / (2 * kP2 * (kP2 - kQ2)), kGq = 1 / (2 * kQ2 * (kQ2 - kP2));

HWY_INLINE Vec Times(float a, Vec x) { return hn::Mul(hn::Set(F32(), a), x); }
HWY_INLINE Vec PlusTimes(Vec sum, float a, Vec x) { return hn::MulAdd(hn::Set(F32(), a), x, sum); }
HWY_INLINE Vec LessTimes(Vec sum, float a, Vec x) { return hn::NegMulAdd(hn::Set(F32(), a), x, sum); }

struct Bt {
  static constexpr int kIn = 6, kOut = 6;
  static HWY_INLINE void Run(const Vec (&d)[6], Vec (&v)[6]) {
    const Vec even_p = LessTimes(d[4], kQ2, d[2]), odd_p = LessTimes(d[3], kQ2, d[1]);
    const Vec even_q = LessTimes(d[4], kP2, d[2]), odd_q = LessTimes(d[3], kP2, d[1]);
    v[0] = PlusTimes(LessTimes(d[4], kP2 + kQ2, d[2]), kP2 * kQ2, d[0]);
    v[1] = PlusTimes(even_p, kP, odd_p);
    v[2] = LessTimes(even_p, kP, odd_p);
    v[3] = PlusTimes(even_q, kQ, odd_q);
    v[4] = LessTimes(even_q, kQ, odd_q);
    v[5] = PlusTimes(LessTimes(d[5], kP2 + kQ2, d[3]), kP2 * kQ2, d[1]);
  }
};

struct G {
  static constexpr int kIn = 3, kOut = 6;
  static HWY_INLINE void Run(const Vec (&g)[3], Vec (&u)[6]) {
    const Vec even_p = Times(kGp, PlusTimes(g[0], kP2, g[2])), even_q = Times(kGq, PlusTimes(g[0], kQ2, g[2]));
    u[0] = Times(kG0, g[0]);
    u[1] = PlusTimes(even_p, kGp * kP, g[1]);
    u[2] = LessTimes(even_p, kGp * kP, g[1]);
    u[3] = PlusTimes(even_q, kGq * kQ, g[1]);
    u[4] = LessTimes(even_q, kGq * kQ, g[1]);
    u[5] = g[2];
  }
};

struct At {
  static constexpr int kIn = 6, kOut = 4;
  static HWY_INLINE void Run(const Vec (&m)[6], Vec (&y)[4]) {
    const Vec even_p = hn::Add(m[1], m[2]), odd_p = hn::Sub(m[1], m[2]);
    const Vec even_q = hn::Add(m[3], m[4]), odd_q = hn::Sub(m[3], m[4]);
    y[0] = hn::Add(m[0], hn::Add(even_p, even_q));
    y[1] = PlusTimes(Times(kP, odd_p), kQ, odd_q);
    y[2] = PlusTimes(Times(kP2, even_p), kQ2, even_q);
    y[3] = PlusTimes(PlusTimes(m[5], kP2 * kP, odd_p), kQ2 * kQ, odd_q);
  }
};

struct A {
  static constexpr int kIn = 4, kOut = 6;
  static HWY_INLINE void Run(const Vec (&y)[4], Vec (&d)[6]) {
    const Vec even_p = PlusTimes(y[0], kP2, y[2]), odd_p = PlusTimes(y[1], kP2, y[3]);
    const Vec even_q = PlusTimes(y[0], kQ2, y[2]), odd_q = PlusTimes(y[1], kQ2, y[3]);
    d[0] = y[0];
    d[1] = PlusTimes(even_p, kP, odd_p);
    d[2] = LessTimes(even_p, kP, odd_p);
    d[3] = PlusTimes(even_q, kQ, odd_q);
    d[4] = LessTimes(even_q, kQ, odd_q);
    d[5] = y[3];
  }
};

struct Gt {
  static constexpr int kIn = 6, kOut = 3;
  static HWY_INLINE void Run(const Vec (&s)[6], Vec (&g)[3]) {
    const Vec even_p = Times(kGp, hn::Add(s[1], s[2])), odd_p = Times(kGp * kP, hn::Sub(s[1], s[2]));
    const Vec even_q = Times(kGq, hn::Add(s[3], s[4])), odd_q = Times(kGq * kQ, hn::Sub(s[3], s[4]));
    g[0] = PlusTimes(hn::Add(even_p, even_q), kG0, s[0]);
    g[1] = hn::Add(odd_p, odd_q);
    g[2] = PlusTimes(PlusTimes(s[5], kP2, even_p), kQ2, even_q);
  }
};

// T along rows, then columns, of a square whose element (i, j) is load(i, j); element (i, j) of the result goes to
// store(i, j, vector).
template <class T, class Load, class Store>
HWY_INLINE void Transform(const Load& load, const Store& store) {
  Vec half[T::kOut][T::kIn];
  INGOT_UNROLL
  for (int i = 0; i < T::kIn; ++i) {
    Vec in[T::kIn], row[T::kOut];
    INGOT_UNROLL
    for (int j = 0; j < T::kIn; ++j) in[j] = load(i, j);
    T::Run(in, row);
    INGOT_UNROLL
    for (int j = 0; j < T::kOut; ++j) half[j][i] = row[j];
  }
  INGOT_UNROLL
  for (int j = 0; j < T::kOut; ++j) {
    Vec column[T::kOut];
    T::Run(half[j], column);
    INGOT_UNROLL
    for (int i = 0; i < T::kOut; ++i) store(i, j, column[i]);
  }
}

}  // namespace
// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace ingot::cpu
HWY_AFTER_NAMESPACE();

#endif  // INGOT_KERNELS_CPU_WINOGRAD_TRANSFORM_INL_H_
