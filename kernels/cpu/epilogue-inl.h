// SPDX-License-Identifier: MIT
//
// The activation of an Epilogue over vectors. Included once for each SIMD target.
#if defined(INGOT_KERNELS_CPU_EPILOGUE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef INGOT_KERNELS_CPU_EPILOGUE_INL_H_
#undef INGOT_KERNELS_CPU_EPILOGUE_INL_H_
#else
#define INGOT_KERNELS_CPU_EPILOGUE_INL_H_
#endif

#include <limits>

#include "hwy/highway.h"
#include "ingot/kernels/cpu/epilogue.h"
#include "ingot/kernels/cpu/minmax-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ingot::cpu {
namespace HWY_NAMESPACE {
namespace {

// act(v) for some vectors: what is asked for is looked at once, not for each of them.
template <size_t N, class V>
HWY_INLINE void Activate(const Epilogue& e, V (&v)[N]) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::DFromV<V> d;
  if (e.slope == 0) {
    HWY_UNROLL(24)
    for (size_t i = 0; i < N; ++i) v[i] = AtLeast(v[i], hn::Zero(d));
  } else if (e.slope != 1) {
    const V zero = hn::Zero(d), slope = hn::Set(d, e.slope);
    HWY_UNROLL(24)
    for (size_t i = 0; i < N; ++i) v[i] = hn::IfThenElse(hn::Lt(v[i], zero), hn::Mul(slope, v[i]), v[i]);
  }
  if (e.limit < std::numeric_limits<float>::infinity()) {
    const V limit = hn::Set(d, e.limit);
    HWY_UNROLL(24)
    for (size_t i = 0; i < N; ++i) v[i] = AtMost(v[i], limit);
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace ingot::cpu
HWY_AFTER_NAMESPACE();

#endif  // INGOT_KERNELS_CPU_EPILOGUE_INL_H_
