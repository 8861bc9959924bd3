// SPDX-License-Identifier: MIT
//
// The larger and the smaller of two vectors, of which a NaN stays one. Included once for each SIMD target.
#if defined(INGOT_KERNELS_CPU_MINMAX_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef INGOT_KERNELS_CPU_MINMAX_INL_H_
#undef INGOT_KERNELS_CPU_MINMAX_INL_H_
#else
#define INGOT_KERNELS_CPU_MINMAX_INL_H_
#endif

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace ingot::cpu {
namespace HWY_NAMESPACE {
namespace {

// The larger, or the smaller, of v and a number; a NaN stays one, and so does the sign of 0. On x86 an instruction
// gives its second operand if either is NaN or both are 0; emulated targets do not imitate that.
template <class V>
HWY_INLINE V AtLeast(V v, V least) {
  namespace hn = hwy::HWY_NAMESPACE;
#if HWY_ARCH_X86 && HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128
  return hn::Max(least, v);
#else
  return hn::IfThenElse(hn::Lt(v, least), least, v);
#endif
}
template <class V>
HWY_INLINE V AtMost(V v, V most) {
  namespace hn = hwy::HWY_NAMESPACE;
#if HWY_ARCH_X86 && HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128
  return hn::Min(most, v);
#else
  return hn::IfThenElse(hn::Gt(v, most), most, v);
#endif
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace ingot::cpu
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
