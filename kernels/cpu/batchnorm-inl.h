// SPDX-License-Identifier: MIT
//
// What batch-norm and its gradient share: the formula, so that the gradient finds the bits that the forward step had,
// relu up to a limit (NaN: none), and indices of pooling. Compiled once for each SIMD target.
#if defined(INGOT_KERNELS_CPU_BATCHNORM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef INGOT_KERNELS_CPU_BATCHNORM_INL_H_
#undef INGOT_KERNELS_CPU_BATCHNORM_INL_H_
#else
#define INGOT_KERNELS_CPU_BATCHNORM_INL_H_
#endif

#include "hwy/cache_control.h"
#include "ingot/kernels/cpu/column_plan.h"
#include "ingot/kernels/cpu/columns-inl.h"
#include "ingot/kernels/kernels.h"

HWY_BEFORE_NAMESPACE();
namespace ingot::cpu {
namespace HWY_NAMESPACE {
namespace {

// y = (x - mean) * scale + beta
HWY_INLINE Num Normal(Num x, Num mean, Num scale, Num beta) { return MulAdd(x - mean, scale, beta); }

// NaN stays NaN.
HWY_INLINE Num Relu(Num x, float limit) {
  const Num kept = Select(x <= Num(0.0f), Num(0.0f), x);
  return Select(kept > Num(limit), Num(limit), kept);
}
// dy where relu let x (or what came of it) pass, else 0.
HWY_INLINE Num ReluGrad(Num x, Num dy, float limit) {
  return Select(x <= Num(0.0f), Num(0.0f), Select(x >= Num(limit), Num(0.0f), dy));
}

// Indices, as many as `load` loads.
HWY_INLINE void StoreBytes(const LoadWhole&, VI v, uint8_t* to) {
  const hn::Rebind<uint8_t, DI> bytes;
  hn::StoreU(hn::DemoteTo(bytes, v), bytes, to);
}
HWY_INLINE void StoreBytes(const LoadFirst& load, VI v, uint8_t* to) {
  HWY_ALIGN int32_t lanes[kLanes];
  hn::Store(v, DI(), lanes);
  for (int64_t i = 0; i < load.n; ++i) to[i] = static_cast<uint8_t>(lanes[i]);
}
HWY_INLINE VI LoadBytes(const LoadWhole&, const uint8_t* from) {
  const hn::Rebind<uint8_t, DI> bytes;
  return hn::PromoteTo(DI(), hn::LoadU(bytes, from));
}
HWY_INLINE VI LoadBytes(const LoadFirst& load, const uint8_t* from) {
  HWY_ALIGN int32_t lanes[kLanes] = {};
  for (int64_t i = 0; i < load.n; ++i) lanes[i] = from[i];
  return hn::Load(DI(), lanes);
}
HWY_INLINE VI Whole(int64_t i) { return hn::Set(DI(), static_cast<int32_t>(i)); }
HWY_INLINE hn::Mask<D> AreEqual(VI a, VI b) { return hn::RebindMask(D(), hn::Eq(a, b)); }

// Windows side by side over an image (N, H, W, C), as pooling behind a batch-norm has them. kSize: positions of a
// window if known when compiled, 0 if not.
template <int kSize>
struct SideBySide {
  int64_t h, w, c, oh, ow, ph, pw;
  int64_t offset[256];  // floats from the first position of a window to each

  SideBySide(const Shape& image, const Shape& pooled, const PoolAttrs& window)
      : h(image[1]), w(image[2]), c(image[3]), oh(pooled[1]), ow(pooled[2]), ph(window.pool_h), pw(window.pool_w) {
    for (int64_t i = 0; i < ph * pw; ++i) offset[i] = (i / pw * w + i % pw) * c;
  }
  int64_t size() const { return kSize ? kSize : ph * pw; }

  // f(load, at, image, k, offset) for each vector of channels k of each window of row `row` (of n oh): where it lies in
  // the pooled image, where its first position lies in the image, and how far from there each position is. The same
  // window of the next row is brought near: two rows at once are more than the processor foresees.
  template <class Fn>
  HWY_INLINE void Row(const float* x, int64_t row, const Fn& f) const {
    constexpr int64_t kHeld = kSize ? kSize : 256;
    int64_t held[kHeld];  // of this function alone, so that no store of bytes can change it
    const int64_t n = size(), channels = c, next = ph * w * c;
    for (int64_t i = 0; i < n; ++i) held[i] = offset[i];
    int64_t at = row * ow * c, image = (row / oh * h + row % oh * ph) * w * c;
    const int64_t end = at + ow * c, step = pw * c;
    for (; at < end; at += channels, image += step) {
      int64_t k = 0;
      for (; k + kLanes <= channels; k += kLanes) {
        for (int64_t i = 0; i < (kSize ? kSize : n); ++i) hwy::Prefetch(x + image + k + held[i] + next);
        f(LoadWhole(), at + k, image + k, k, held);
      }
      if (k < channels) f(LoadFirst{channels - k}, at + k, image + k, k, held);
    }
  }
};

// f(windows), compiled for the usual size and for any.
template <class Fn>
HWY_INLINE void WithWindows(const Shape& image, const Shape& pooled, const PoolAttrs& window, const Fn& f) {
  if (window.pool_h * window.pool_w == 4) {
    f(SideBySide<4>(image, pooled, window));
  } else {
    f(SideBySide<0>(image, pooled, window));
  }
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace ingot::cpu
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
