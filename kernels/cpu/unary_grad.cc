// SPDX-License-Identifier: MIT
//
// UnaryGrad: dx = dy f'(x), the slope taken from x or from y as GradFromOutput says. Compiled once for each SIMD
// target.
//
// Threads: tiles by shape alone.
#include <algorithm>
#include <iterator>

#include "ingot/kernels/cpu/cpu.h"
#include "ingot/kernels/cpu/targets.h"  // before Highway
#include "ingot/kernels/cpu/tiles.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ingot/kernels/cpu/unary_grad.cc"
#include "hwy/foreach_target.h"
#include "ingot/kernels/cpu/vector-inl.h"
#include "ingot/kernels/formulas-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ingot::cpu {
namespace HWY_NAMESPACE {
namespace {

constexpr float kNoParameters[3] = {1, 0, 0};  // with which no slope of ReLU comes from its output

template <class Formula>
void Apply(const Call& call) {
  float p[std::size(decltype(UnaryAttrs::p){})];  // a copy, which no store to y can change
  std::copy_n(call.as<UnaryAttrs>().p, std::size(p), p);
  const float *xy = call.in[0].f(), *dy = call.in[1].f();
  float* dx = call.out[0].f();
  ForTiles(call, call.out[0].count(), 1, [&](int64_t, int64_t first, int64_t last) HWY_ATTR {
    Map(
        last - first, dx + first, [&](Num v, Num d) HWY_ATTR { return d * Formula::Slope(v, p); }, xy + first,
        dy + first);
  });
}

void RunUnaryGrad(const Call& call) {
  switch (static_cast<Formula>(call.as<UnaryAttrs>().formula)) {
#define X(name)                                                                                           \
  static_assert(formulas::name##Formula::kFromOutput == GradFromOutput(Formula::k##name, kNoParameters)); \
  case Formula::k##name:                                                                                  \
    return Apply<formulas::name##Formula>(call);
    INGOT_FORMULAS(X)
#undef X
  }
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace ingot::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ingot::cpu {
HWY_EXPORT(RunUnaryGrad);

void UnaryGrad(const Call& call) {
  ChosenTargets();
  HWY_DYNAMIC_DISPATCH(RunUnaryGrad)(call);
}

}  // namespace ingot::cpu
#endif  // HWY_ONCE
