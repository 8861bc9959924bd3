// SPDX-License-Identifier: MIT
//
// FoldNorm: a normalization by moving statistics, with the bias before it, as one multiplication and one addition,
// which a product or convolution applies to its sums (EpilogueAttrs::scaled):
//
//   (sum + bias - mean) gamma / sqrt(var + epsilon) + beta = sum scale + shift
//
// Compiled once for each SIMD target.
//
// Threads: the caller's; a few thousand elements at most.
#include "ingot/kernels/cpu/cpu.h"
#include "ingot/kernels/cpu/targets.h"  // before Highway

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ingot/kernels/cpu/fold_norm.cc"
#include "hwy/foreach_target.h"
#include "ingot/kernels/cpu/vector-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ingot::cpu {
namespace HWY_NAMESPACE {
namespace {

void RunFoldNorm(const Call& call) {
  const float epsilon = call.as<NormAttrs>().epsilon;
  const int64_t n = call.in[0].count();
  const float *gamma = call.in[0].f(), *beta = call.in[1].f(), *mean = call.in[2].f(), *variance = call.in[3].f();
  float *scale = call.out[0].f(), *shift = scale + n;
  Map(
      n, scale, [epsilon](Num g, Num v) HWY_ATTR { return g / Sqrt(v + Num(epsilon)); }, gamma, variance);
  if (call.in.size() > 4) {
    Map(
        n, shift, [](Num bias, Num m, Num s, Num b) HWY_ATTR { return MulAdd(bias - m, s, b); }, call.in[4].f(), mean,
        scale, beta);
  } else {
    Map(
        n, shift, [](Num m, Num s, Num b) HWY_ATTR { return MulAdd(Num(0.0f) - m, s, b); }, mean, scale, beta);
  }
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace ingot::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ingot::cpu {
HWY_EXPORT(RunFoldNorm);

void FoldNorm(const Call& call) {
  ChosenTargets();
  HWY_DYNAMIC_DISPATCH(RunFoldNorm)(call);
}

}  // namespace ingot::cpu
#endif  // HWY_ONCE
