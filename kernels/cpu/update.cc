// SPDX-License-Identifier: MIT
//
// The optimizer's pass over memory, and the clipping of gradients before it. The formulas are in kernels/updates-inl.h;
// compiled once for each SIMD target.
//
// Threads: tiles by shape alone; norms are summed in double precision in the order of the tiles. NaN passes through.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "ingot/kernels/cpu/cpu.h"
#include "ingot/kernels/cpu/targets.h"  // before Highway
#include "ingot/kernels/cpu/tiles.h"
#include "ingot/kernels/updates.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ingot/kernels/cpu/update.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "ingot/kernels/updates-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ingot::cpu {
namespace HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<float>;
constexpr int64_t kLanes = static_cast<int64_t>(HWY_LANES(float));

// A vector as the number type of the formulas.
struct F {
  hn::Vec<D> v;
  F() = default;
  HWY_INLINE explicit F(float x) : v(hn::Set(D(), x)) {}
  HWY_INLINE explicit F(hn::Vec<D> x) : v(x) {}
};
struct Mask {
  hn::Mask<D> m;
};
HWY_INLINE F operator+(F a, F b) { return F(hn::Add(a.v, b.v)); }
HWY_INLINE F operator-(F a, F b) { return F(hn::Sub(a.v, b.v)); }
HWY_INLINE F operator*(F a, F b) { return F(hn::Mul(a.v, b.v)); }
HWY_INLINE F operator/(F a, F b) { return F(hn::Div(a.v, b.v)); }
HWY_INLINE Mask operator<(F a, F b) { return {hn::Lt(a.v, b.v)}; }
HWY_INLINE Mask operator>(F a, F b) { return {hn::Gt(a.v, b.v)}; }
HWY_INLINE F Select(Mask m, F yes, F no) { return F(hn::IfThenElse(m.m, yes.v, no.v)); }
HWY_INLINE F Sqrt(F a) { return F(hn::Sqrt(a.v)); }
HWY_INLINE F Abs(F a) { return F(hn::Abs(a.v)); }
HWY_INLINE F Max(F a, F b) { return Select(a > b, a, b); }  // NaN in b stays

// step(vectors) over [first, last) of kArrays arrays, all of them read, all but kReadOnly written. What does not fill a
// vector goes through a copy on the stack.
template <int kArrays, int kReadOnly, class StepFn>
HWY_INLINE void Apply(float* const* arrays, int64_t first, int64_t last, const StepFn& step) {
  F x[kArrays];
  int64_t i = first;
  for (; i + kLanes <= last; i += kLanes) {
    for (int a = 0; a < kArrays; ++a) x[a] = F(hn::LoadU(D(), arrays[a] + i));
    step(x);
    for (int a = 0; a < kArrays; ++a)
      if (a != kReadOnly) hn::StoreU(x[a].v, D(), arrays[a] + i);
  }
  if (i == last) return;
  float rest[kArrays][kLanes] = {};
  const size_t bytes = static_cast<size_t>(last - i) * sizeof(float);
  for (int a = 0; a < kArrays; ++a) {
    std::memcpy(rest[a], arrays[a] + i, bytes);
    x[a] = F(hn::LoadU(D(), rest[a]));
  }
  step(x);
  for (int a = 0; a < kArrays; ++a) {
    if (a == kReadOnly) continue;
    hn::StoreU(x[a].v, D(), rest[a]);
    std::memcpy(arrays[a] + i, rest[a], bytes);
  }
}

// kPrepare: the gradient is divided by a scale, or the weight decays, first.
template <class Formula, int kSlots, bool kPrepare>
void PassAs(const Call& call, const Formula& formula) {
  const auto& attrs = call.as<UpdateAttrs>();
  float p[std::size(decltype(attrs.p){})], h[kHyperFloats];  // copies, which no store through a float* can change
  std::copy_n(attrs.p, std::size(p), p);
  std::copy_n(call.run->hyper, kHyperFloats, h);
  const float decay = attrs.decay ? h[1] : 0, scale = attrs.scale;
  float* arrays[2 + kSlots];  // w, g, slots
  for (size_t a = 0; a < 2 + kSlots; ++a) arrays[a] = call.in[a].f();
  ForTiles(call, call.in[0].count(), 1, [&](int64_t, int64_t first, int64_t last) HWY_ATTR {
    Apply<2 + kSlots, 1>(arrays, first, last, [&](F* x) HWY_ATTR {
      if constexpr (kPrepare) {
        x[1] = x[1] / F(scale);
        x[0] = x[0] - x[0] * F(decay);
      }
      formula(x[0], x[1], x + 2, p, h);
    });
  });
}

template <int kSlots, class Formula>
void Pass(const Call& call, const Formula& formula) {
  const auto& attrs = call.as<UpdateAttrs>();
  if (attrs.decay || attrs.scale != 1) return PassAs<Formula, kSlots, true>(call, formula);
  PassAs<Formula, kSlots, false>(call, formula);
}

void RunUpdate(const Call& call) {
  switch (static_cast<UpdateFormula>(call.as<UpdateAttrs>().formula)) {
#define X(name, slots)         \
  case UpdateFormula::k##name: \
    return Pass<slots>(        \
        call, [](F& w, F g, F* s, const float* p, const float* h) HWY_ATTR { updates::name(w, g, s, p, h); });
    INGOT_UPDATES(X)
#undef X
  }
}

// In double precision: the squares of scaled gradients could overflow a float.
double SumOfSquares(const float* g, int64_t first, int64_t last) {
  const hn::ScalableTag<double> d;
  const hn::Rebind<float, hn::ScalableTag<double>> floats;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  auto sum0 = hn::Zero(d), sum1 = hn::Zero(d);
  int64_t i = first;
  for (; i + 2 * lanes <= last; i += 2 * lanes) {
    const auto a = hn::PromoteTo(d, hn::LoadU(floats, g + i)), b = hn::PromoteTo(d, hn::LoadU(floats, g + i + lanes));
    sum0 = hn::MulAdd(a, a, sum0);
    sum1 = hn::MulAdd(b, b, sum1);
  }
  double sum = hn::GetLane(hn::SumOfLanes(d, hn::Add(sum0, sum1)));
  for (; i < last; ++i) sum += static_cast<double>(g[i]) * static_cast<double>(g[i]);
  return sum;
}

double NormOf(const Call& call) {
  double sum = 0;
  for (const Operand& x : call.in) {
    const float* g = x.f();
    sum += SumTiles<1>(call, x.count(),
                       [g](int64_t first, int64_t last) { return std::array{SumOfSquares(g, first, last)}; })[0];
  }
  return std::sqrt(sum);
}

void Scale(const Call& call, const Operand& operand, float by) {
  float* g[] = {operand.f()};
  ForTiles(call, operand.count(), 1, [&](int64_t, int64_t first, int64_t last) HWY_ATTR {
    Apply<1, -1>(g, first, last, [by](F* x) HWY_ATTR { x[0] = x[0] * F(by); });
  });
}

void RunClipByValue(const Call& call) {
  const float limit = call.as<ClipAttrs>().limit;
  float* g[] = {call.in[0].f()};
  ForTiles(call, call.in[0].count(), 1, [&](int64_t, int64_t first, int64_t last) HWY_ATTR {
    Apply<1, -1>(g, first, last, [limit](F* x) HWY_ATTR {
      x[0] = Select(x[0] > F(limit), F(limit), Select(x[0] < F(-limit), F(-limit), x[0]));
    });
  });
}

void RunClipByNorm(const Call& call) {
  const double limit = static_cast<double>(call.as<ClipAttrs>().limit), norm = NormOf(call);
  if (norm > limit) Scale(call, call.in[0], static_cast<float>(limit / norm));
}

// A norm that is not finite makes all gradients NaN, as in Keras.
void RunClipByGlobalNorm(const Call& call) {
  const double limit = static_cast<double>(call.as<ClipAttrs>().limit), norm = NormOf(call);
  if (norm <= limit) return;
  for (const Operand& g : call.in) Scale(call, g, static_cast<float>(limit / norm + (norm - norm)));
}

}  // namespace
// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace ingot::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ingot::cpu {
HWY_EXPORT(RunUpdate);
HWY_EXPORT(RunClipByValue);
HWY_EXPORT(RunClipByNorm);
HWY_EXPORT(RunClipByGlobalNorm);

void Update(const Call& call) {
  ChosenTargets();
  HWY_DYNAMIC_DISPATCH(RunUpdate)(call);
}
void ClipByValue(const Call& call) {
  ChosenTargets();
  HWY_DYNAMIC_DISPATCH(RunClipByValue)(call);
}
void ClipByNorm(const Call& call) {
  ChosenTargets();
  HWY_DYNAMIC_DISPATCH(RunClipByNorm)(call);
}
void ClipByGlobalNorm(const Call& call) {
  ChosenTargets();
  HWY_DYNAMIC_DISPATCH(RunClipByGlobalNorm)(call);
}
size_t ClipByNormWorkspace(const Call& call) { return SumWorkspace<1>(call.in[0].count()); }
size_t ClipByGlobalNormWorkspace(const Call& call) {
  size_t bytes = 0;
  for (const Operand& g : call.in) bytes = std::max(bytes, SumWorkspace<1>(g.count()));
  return bytes;
}

}  // namespace ingot::cpu
#endif  // HWY_ONCE
