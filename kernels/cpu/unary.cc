// SPDX-License-Identifier: MIT
//
// Unary: y = f(x) for every formula of kernels/formulas-inl.h. Compiled once for each SIMD target.
//
// Threads: tiles by shape alone.
#include <algorithm>
#include <iterator>

#include "ingot/kernels/cpu/cpu.h"
#include "ingot/kernels/cpu/targets.h"  // before Highway
#include "ingot/kernels/cpu/tiles.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ingot/kernels/cpu/unary.cc"
#include "hwy/foreach_target.h"
#include "ingot/kernels/cpu/vector-inl.h"
#include "ingot/kernels/formulas-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ingot::cpu {
namespace HWY_NAMESPACE {
namespace {

template <class Formula>
void Apply(const Call& call) {
  float p[std::size(decltype(UnaryAttrs::p){})];  // a copy, which no store to y can change
  std::copy_n(call.as<UnaryAttrs>().p, std::size(p), p);
  const float* x = call.in[0].f();
  float* y = call.out[0].f();
  ForTiles(call, call.out[0].count(), 1, [&](int64_t, int64_t first, int64_t last) HWY_ATTR {
    Map(
        last - first, y + first, [&](Num v) HWY_ATTR { return Formula::Value(v, p); }, x + first);
  });
}

void RunUnary(const Call& call) {
  switch (static_cast<Formula>(call.as<UnaryAttrs>().formula)) {
#define X(name)          \
  case Formula::k##name: \
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
HWY_EXPORT(RunUnary);

void Unary(const Call& call) {
  ChosenTargets();
  HWY_DYNAMIC_DISPATCH(RunUnary)(call);
}

}  // namespace ingot::cpu
#endif  // HWY_ONCE
