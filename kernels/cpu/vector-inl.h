// SPDX-License-Identifier: MIT
//
// A vector of floats as a number: the type over which kernels/formulas-inl.h and the loops of the elementwise kernels
// are written. Compiled once for each SIMD target.
//
// Exp, Log, Log1p, Expm1 and Tanh are within 4 units in the last place wherever the result is a normal number; they
// overflow to infinity, underflow gradually, and give NaN for NaN. Polynomials are minimax fits of relative error
// below 1e-8. Max and Min give NaN if their first argument is NaN.
//
// All is in an unnamed namespace, as each file that includes this has its own copy.
#if defined(INGOT_KERNELS_CPU_VECTOR_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef INGOT_KERNELS_CPU_VECTOR_INL_H_
#undef INGOT_KERNELS_CPU_VECTOR_INL_H_
#else
#define INGOT_KERNELS_CPU_VECTOR_INL_H_
#endif

#include <cstdint>
#include <cstring>
#include <limits>

#include "hwy/highway.h"
#include "ingot/kernels/cpu/minmax-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ingot::cpu {
namespace HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<float>;
using DI = hn::RebindToSigned<D>;
using V = hn::Vec<D>;
using VI = hn::Vec<DI>;
constexpr int64_t kLanes = static_cast<int64_t>(HWY_LANES(float));

struct Num {
  V v;
  Num() = default;
  HWY_INLINE explicit Num(float x) : v(hn::Set(D(), x)) {}
  HWY_INLINE explicit Num(V x) : v(x) {}
};
struct Mask {
  hn::Mask<D> m;
};

HWY_INLINE Num operator+(Num a, Num b) { return Num(hn::Add(a.v, b.v)); }
HWY_INLINE Num operator-(Num a, Num b) { return Num(hn::Sub(a.v, b.v)); }
HWY_INLINE Num operator*(Num a, Num b) { return Num(hn::Mul(a.v, b.v)); }
HWY_INLINE Num operator/(Num a, Num b) { return Num(hn::Div(a.v, b.v)); }
HWY_INLINE Mask operator<(Num a, Num b) { return {hn::Lt(a.v, b.v)}; }
HWY_INLINE Mask operator<=(Num a, Num b) { return {hn::Le(a.v, b.v)}; }
HWY_INLINE Mask operator>(Num a, Num b) { return {hn::Gt(a.v, b.v)}; }
HWY_INLINE Mask operator>=(Num a, Num b) { return {hn::Ge(a.v, b.v)}; }
HWY_INLINE Mask operator==(Num a, Num b) { return {hn::Eq(a.v, b.v)}; }

HWY_INLINE Num Select(Mask m, Num yes, Num no) { return Num(hn::IfThenElse(m.m, yes.v, no.v)); }
HWY_INLINE Num MulAdd(Num a, Num b, Num c) { return Num(hn::MulAdd(a.v, b.v, c.v)); }  // a b + c, fused if it can be
HWY_INLINE Num Abs(Num a) { return Num(hn::Abs(a.v)); }
HWY_INLINE Num Sqrt(Num a) { return Num(hn::Sqrt(a.v)); }
HWY_INLINE Num WithSignOf(Num magnitude, Num sign) { return Num(hn::CopySign(magnitude.v, sign.v)); }

HWY_INLINE Num Max(Num a, Num b) { return Num(AtLeast(a.v, b.v)); }
HWY_INLINE Num Min(Num a, Num b) { return Num(AtMost(a.v, b.v)); }

// p[0] + p[1] x + p[2] x^2 + ...
HWY_INLINE Num Polynomial(Num, float last) { return Num(last); }
template <class... P>
HWY_INLINE Num Polynomial(Num x, float first, P... rest) {
  return MulAdd(Polynomial(x, rest...), x, Num(first));
}

// 2^n. REQUIRES: -126 <= n <= 127
HWY_INLINE Num PowerOfTwo(VI n) { return Num(hn::BitCast(D(), hn::ShiftLeft<23>(hn::Add(n, hn::Set(DI(), 127))))); }

// x = n log 2 + r with |r| <= log(2) / 2; minus_1 = e^r - 1; half_1 * half_2 = 2^n, neither of which overflows.
struct ExpParts {
  Num minus_1, half_1, half_2, inverse_2;
};
HWY_INLINE ExpParts SplitExp(Num x) {
  const VI n = hn::NearestInt((x * Num(1.44269504f)).v);
  const Num fn(hn::ConvertTo(D(), n));
  // 355 / 512 has so few bits that its product with n is exact.
  const Num r = MulAdd(fn, Num(2.12194440e-4f), MulAdd(fn, Num(-0.693359375f), x));
  const Num q =
      Polynomial(r, 0.500000007f, 0.166666658f, 0.0416662803f, 0.00833350375f, 0.00139457529f, 0.000197892659f);
  const VI n1 = hn::ShiftRight<1>(n), n2 = hn::Sub(n, n1);
  return {MulAdd(r * r, q, r), PowerOfTwo(n1), PowerOfTwo(n2), PowerOfTwo(hn::Neg(n2))};
}

HWY_INLINE Num Exp(Num x) {
  const ExpParts e = SplitExp(Min(Max(x, Num(-104.0f)), Num(89.0f)));
  const Num y = MulAdd(e.minus_1, e.half_1, e.half_1) * e.half_2;
  return Select(x == x, y, x);
}

// 2^n (e^r - 1) + 2^n - 1
HWY_INLINE Num Expm1(Num x) {
  const ExpParts e = SplitExp(Min(Max(x, Num(-30.0f)), Num(89.0f)));
  const Num y = MulAdd(e.minus_1, e.half_1, e.half_1 - e.inverse_2) * e.half_2;
  return Select(x == x, Select(Abs(x) < Num(1e-12f), x, y), x);  // the sign of 0, and no underflow on the way
}

// (1 - e^-2|x|) / (1 + e^-2|x|)
HWY_INLINE Num Tanh(Num x) {
  const Num t = Expm1(Abs(x) * Num(-2.0f));
  return WithSignOf(Abs(t) / (t + Num(2.0f)), x);
}

// log(1 + f) for 1 + f between sqrt(1/2) and sqrt(2), but for its first term f.
HWY_INLINE Num LogTail(Num f) {
  const Num p = Polynomial(f, 0.333333125f, -0.250000095f, 0.200021235f, -0.16668005f, 0.142194516f, -0.124053426f,
                           0.118887091f, -0.116775053f, 0.067476918f);
  const Num z = f * f;
  return MulAdd(z * f, p, Num(-0.5f) * z);
}

// x = 2^e m with m between sqrt(1/2) and sqrt(2)
HWY_INLINE Num Log(Num x) {
  const float kInfinity = std::numeric_limits<float>::infinity();
  const Mask tiny = x < Num(std::numeric_limits<float>::min());
  const VI bits = hn::BitCast(DI(), Select(tiny, x * Num(0x1p24f), x).v);
  const VI e = hn::ShiftRight<23>(hn::Sub(bits, hn::Set(DI(), 0x3f3504f3)));
  const Num f = Num(hn::BitCast(D(), hn::Sub(bits, hn::ShiftLeft<23>(e)))) - Num(1.0f);
  const Num fe = Num(hn::ConvertTo(D(), e)) - Select(tiny, Num(24.0f), Num(0.0f));
  const Num y = MulAdd(fe, Num(0.693359375f), f + MulAdd(fe, Num(-2.12194440e-4f), LogTail(f)));
  const Num special =
      Select(x == Num(0.0f), Num(-kInfinity), Select(x < Num(0.0f), Num(std::numeric_limits<float>::quiet_NaN()), x));
  return Select(Mask{hn::And((x > Num(0.0f)).m, (x < Num(kInfinity)).m)}, y, special);
}

// log(u) with u = 1 + x rounded, and what the rounding took: (x - (u - 1)) / u.
HWY_INLINE Num Log1p(Num x) {
  const Num u = Num(1.0f) + x, lost = (x - (u - Num(1.0f))) / u;
  const Mask plain = {hn::And((u > Num(0.0f)).m, (u < Num(std::numeric_limits<float>::infinity())).m)};
  return Select(x == Num(0.0f), x, Log(u) + Select(plain, lost, Num(0.0f)));
}

HWY_INLINE float SumOfLanes(Num a) { return hn::GetLane(hn::SumOfLanes(D(), a.v)); }
HWY_INLINE float MaxOfLanes(Num a) { return hn::GetLane(hn::MaxOfLanes(D(), a.v)); }

HWY_INLINE Num Load(const float* from) { return Num(hn::LoadU(D(), from)); }
HWY_INLINE void Store(Num a, float* to) { hn::StoreU(a.v, D(), to); }

// The first `n` < kLanes floats, zeros behind them; what lies behind them is not touched.
HWY_INLINE Num LoadSome(const float* from, int64_t n) {
#if HWY_MEM_OPS_MIGHT_FAULT
  HWY_ALIGN float copy[kLanes] = {};
  std::memcpy(copy, from, static_cast<size_t>(n) * sizeof(float));
  return Num(hn::Load(D(), copy));
#else
  return Num(hn::MaskedLoad(hn::FirstN(D(), static_cast<size_t>(n)), D(), from));
#endif
}
HWY_INLINE void StoreSome(Num a, float* to, int64_t n) {
#if HWY_MEM_OPS_MIGHT_FAULT
  HWY_ALIGN float copy[kLanes];
  hn::Store(a.v, D(), copy);
  std::memcpy(to, copy, static_cast<size_t>(n) * sizeof(float));
#else
  hn::BlendedStore(a.v, hn::FirstN(D(), static_cast<size_t>(n)), D(), to);
#endif
}

// y[i] = f(x[i]...) for n elements. y may be one of the arrays x.
template <class Fn, class... P>
HWY_INLINE void Map(int64_t n, float* y, const Fn& f, const P*... x) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) Store(f(Load(x + i)...), y + i);
  if (i < n) StoreSome(f(LoadSome(x + i, n - i)...), y + i, n - i);
}

// A sum of many vectors: at most 64 in a row go into one float, then on to the next level.
struct LongSum {
  Num block, total;
  int count = 0;
  HWY_INLINE LongSum() : block(0.0f), total(0.0f) {}
  HWY_INLINE void Add(Num a) {
    block = block + a;
    if (++count < 64) return;
    total = total + block;
    block = Num(0.0f);
    count = 0;
  }
  HWY_INLINE Num Lanes() const { return total + block; }
  HWY_INLINE float Get() const { return SumOfLanes(Lanes()); }
};

// The sum of f(x[i]...) over n elements.
template <class Fn, class... P>
HWY_INLINE float Sum(int64_t n, const Fn& f, const P*... x) {
  LongSum sum;
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) sum.Add(f(Load(x + i)...));
  if (i < n) {
    const Num last = f(LoadSome(x + i, n - i)...);  // 0 stands for what is not there
    sum.Add(Num(hn::IfThenElseZero(hn::FirstN(D(), static_cast<size_t>(n - i)), last.v)));
  }
  return sum.Get();
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace ingot::cpu
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
