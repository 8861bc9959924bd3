// SPDX-License-Identifier: MIT
#include "ingot/kernels/cpu/rescale.h"

#include <algorithm>

#include "ingot/kernels/cpu/targets.h"  // before Highway

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ingot/kernels/cpu/rescale.cc"
#include "hwy/foreach_target.h"
#include "ingot/kernels/cpu/vector-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ingot::cpu {
namespace HWY_NAMESPACE {
namespace {

HWY_INLINE Num Floats(const float* x) { return Num(hn::LoadU(D(), x)); }
HWY_INLINE Num Floats(const int32_t* x) { return Num(hn::ConvertTo(D(), hn::LoadU(DI(), x))); }
HWY_INLINE Num Floats(const uint8_t* x) {
  return Num(hn::ConvertTo(D(), hn::PromoteTo(DI(), hn::LoadU(hn::Rebind<uint8_t, D>(), x))));
}

template <bool kScaleFirst, class X>
HWY_INLINE X Rescaled(X x, X shift, X scale) {
  if constexpr (kScaleFirst) return x * scale + shift;
  return (x - shift) * scale;
}

template <bool kScaleFirst, class T>
void Run(const T* x, int64_t n, const Rescaling& r, float* out) {
  const auto rows = [&](auto shift, auto scale, int64_t period) HWY_ATTR {
    for (int64_t begin = 0; begin < n; begin += period) {
      const int64_t count = std::min(period, n - begin);
      int64_t i = 0;
      for (; i + kLanes <= count; i += kLanes)
        hn::StoreU(Rescaled<kScaleFirst>(Floats(x + begin + i), shift(i), scale(i)).v, D(), out + begin + i);
      for (; i < count; ++i)
        out[begin + i] = Rescaled<kScaleFirst>(static_cast<float>(x[begin + i]), r.shift[r.period == 1 ? 0 : i],
                                               r.scale[r.period == 1 ? 0 : i]);
    }
  };
  if (r.period == 1) {
    const Num shift(*r.shift), scale(*r.scale);
    rows([=](int64_t) HWY_ATTR { return shift; }, [=](int64_t) HWY_ATTR { return scale; }, std::max<int64_t>(n, 1));
  } else {
    rows([&](int64_t i) HWY_ATTR { return Floats(r.shift + i); },
         [&](int64_t i) HWY_ATTR { return Floats(r.scale + i); }, r.period);
  }
}

template <class T>
void Either(const T* x, int64_t n, const Rescaling& r, float* out) {
  r.scale_first ? Run<true>(x, n, r, out) : Run<false>(x, n, r, out);
}

void OfFloats(const float* x, int64_t n, const Rescaling& r, float* out) { Either(x, n, r, out); }
void OfInts(const int32_t* x, int64_t n, const Rescaling& r, float* out) { Either(x, n, r, out); }
void OfBytes(const uint8_t* x, int64_t n, const Rescaling& r, float* out) { Either(x, n, r, out); }

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace ingot::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ingot::cpu {
namespace {
HWY_EXPORT(OfFloats);
HWY_EXPORT(OfInts);
HWY_EXPORT(OfBytes);
}  // namespace

void Rescale(const float* x, int64_t n, const Rescaling& r, float* out) {
  ChosenTargets();
  HWY_DYNAMIC_DISPATCH(OfFloats)(x, n, r, out);
}
void Rescale(const int32_t* x, int64_t n, const Rescaling& r, float* out) {
  ChosenTargets();
  HWY_DYNAMIC_DISPATCH(OfInts)(x, n, r, out);
}
void Rescale(const uint8_t* x, int64_t n, const Rescaling& r, float* out) {
  ChosenTargets();
  HWY_DYNAMIC_DISPATCH(OfBytes)(x, n, r, out);
}

}  // namespace ingot::cpu
#endif
