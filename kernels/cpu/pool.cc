// SPDX-License-Identifier: MIT
//
// Pooling: vectors over channels, tiles over rows. The gradients gather instead of scattering: a position of dx
// looks at the windows that cover it,
//
//   dx[ih, iw] = sum over windows (oh, ow) that cover it of  dy[oh, ow] if index[oh, ow] is this position   (max)
//                                                            dy[oh, ow] / positions inside the window       (average)
//
// which needs no zeroing, has one owner for each output and so no race, and visits one window where windows do not
// overlap. Windows that cover position i: ceil((i + pad - size + 1) / stride) <= o <= floor((i + pad) / stride).
#include "ingot/kernels/cpu/pool.h"

#include <algorithm>
#include <cstdint>

#include "ingot/kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ingot/kernels/cpu/pool.cc"
#include "hwy/foreach_target.h"
// After foreach_target.h:
#include "hwy/highway.h"
#include "ingot/kernels/cpu/conv_common-inl.h"

#ifndef INGOT_KERNELS_CPU_POOL_CC_ONCE_
#define INGOT_KERNELS_CPU_POOL_CC_ONCE_
namespace ingot::cpu {
namespace {

struct Range {
  int64_t begin, end;
  int64_t size() const { return end - begin; }
};

// Positions of the image inside window o.
Range Inside(int64_t o, int64_t size, int64_t window, int64_t stride, int64_t pad) {
  const int64_t begin = std::max<int64_t>(0, o * stride - pad);
  return {begin, std::max(begin, std::min(size, o * stride - pad + window))};
}

// Windows that cover position i of the image.
Range Covering(int64_t i, int64_t count, int64_t window, int64_t stride, int64_t pad) {
  const int64_t first = i + pad - window + 1;
  const int64_t begin = first > 0 ? (first + stride - 1) / stride : 0;
  return {begin, std::max(begin, std::min(count, (i + pad) / stride + 1))};
}

// Calls f(row) for all rows, in tiles that are worth a thread's while.
template <class F>
void ForRows(ThreadPool& pool, int64_t rows, int64_t row_work, F&& f) {
  const int64_t tile = rows * row_work < 60000 ? std::max<int64_t>(rows, 1) : std::max<int64_t>(1, 40000 / row_work);
  pool.For((rows + tile - 1) / tile, [&](int64_t t) {
    for (int64_t r = t * tile; r < std::min(rows, (t + 1) * tile); ++r) f(r);
  });
}

int64_t RowWork(const PoolShape& s, int64_t positions) { return std::max<int64_t>(1, positions * s.c); }

}  // namespace
}  // namespace ingot::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace ingot::cpu {
namespace HWY_NAMESPACE {
namespace {

using DI = hn::RebindToSigned<D>;
using VI = hn::Vec<DI>;

// n indices of type T, as many as a vector holds or fewer, to and from 32-bit lanes.
template <class T>
HWY_INLINE void StoreIndex(VI v, T* p, int64_t n) {
  if (n >= kLanes) {
    if constexpr (sizeof(T) == 4) {
      hn::StoreU(v, DI(), reinterpret_cast<int32_t*>(p));
    } else {
      const hn::Rebind<T, DI> narrow;
      hn::StoreU(hn::DemoteTo(narrow, v), narrow, p);
    }
    return;
  }
  alignas(64) int32_t lanes[kLanes];
  hn::Store(v, DI(), lanes);
  for (int64_t i = 0; i < n; ++i) p[i] = static_cast<T>(lanes[i]);
}

template <class T>
HWY_INLINE VI LoadIndex(const T* p, int64_t n) {
  if (n >= kLanes) {
    if constexpr (sizeof(T) == 4) {
      return hn::LoadU(DI(), reinterpret_cast<const int32_t*>(p));
    } else {
      const hn::Rebind<T, DI> narrow;
      return hn::PromoteTo(DI(), hn::LoadU(narrow, p));
    }
  }
  alignas(64) int32_t lanes[kLanes] = {};
  for (int64_t i = 0; i < n; ++i) lanes[i] = static_cast<int32_t>(p[i]);
  return hn::Load(DI(), lanes);
}

template <class T, bool kIndex>
void MaxRows(ThreadPool& pool, const PoolShape& s, const float* x, float* y, T* index) {
  ForRows(pool, s.n * s.oh, RowWork(s, s.ow * s.ph * s.pw), [&](int64_t q) HWY_ATTR {
    const D d;
    const int64_t oh = q % s.oh;
    const float* image = x + q / s.oh * s.h * s.w * s.c;
    const Range rows = Inside(oh, s.h, s.ph, s.stride_h, s.pad_top);
    for (int64_t ow = 0; ow < s.ow; ++ow) {
      const Range cols = Inside(ow, s.w, s.pw, s.stride_w, s.pad_left);
      const bool empty = rows.size() <= 0 || cols.size() <= 0;
      const int64_t out = (q * s.ow + ow) * s.c;
      const int64_t corner = (s.pad_top - oh * s.stride_h) * s.pw + s.pad_left - ow * s.stride_w;
      for (int64_t c = 0; c < s.c; c += kLanes) {
        const int64_t left = s.c - c;
        V best = hn::Zero(d), where = hn::Zero(d);  // the bits of an integer vector: one kind of mask
        if (!empty) {
          best = LoadUpTo(image + (rows.begin * s.w + cols.begin) * s.c + c, left);
          where = hn::BitCast(d, hn::Set(DI(), static_cast<int32_t>(corner + rows.begin * s.pw + cols.begin)));
          for (int64_t ih = rows.begin; ih < rows.end; ++ih) {
            for (int64_t iw = cols.begin; iw < cols.end; ++iw) {
              const V v = LoadUpTo(image + (ih * s.w + iw) * s.c + c, left);
              // Greater, or the first NaN: not (v <= best), unless best is a NaN already.
              const auto take = hn::AndNot(hn::Le(v, best), hn::Eq(best, best));
              best = hn::IfThenElse(take, v, best);
              if constexpr (kIndex) {
                const auto here = hn::Set(DI(), static_cast<int32_t>(corner + ih * s.pw + iw));
                where = hn::IfThenElse(take, hn::BitCast(d, here), where);
              }
            }
          }
        }
        StoreUpTo(best, y + out + c, left);
        if constexpr (kIndex) StoreIndex(hn::BitCast(DI(), where), index + out + c, left);
      }
    }
  });
}

template <class T>
void MaxGradRows(ThreadPool& pool, const PoolShape& s, const float* dy, const T* index, float* dx) {
  const int64_t covering = (s.ph / s.stride_h + 1) * (s.pw / s.stride_w + 1);
  ForRows(pool, s.n * s.h, RowWork(s, s.w * covering), [&](int64_t r) HWY_ATTR {
    const int64_t ih = r % s.h, image = r / s.h * s.oh;
    const Range rows = Covering(ih, s.oh, s.ph, s.stride_h, s.pad_top);
    for (int64_t iw = 0; iw < s.w; ++iw) {
      const Range cols = Covering(iw, s.ow, s.pw, s.stride_w, s.pad_left);
      for (int64_t c = 0; c < s.c; c += kLanes) {
        const int64_t left = s.c - c;
        V sum = hn::Zero(D());
        for (int64_t oh = rows.begin; oh < rows.end; ++oh) {
          const int64_t kh = ih + s.pad_top - oh * s.stride_h;
          for (int64_t ow = cols.begin; ow < cols.end; ++ow) {
            const int64_t at = ((image + oh) * s.ow + ow) * s.c + c;
            const auto position = hn::Set(DI(), static_cast<int32_t>(kh * s.pw + iw + s.pad_left - ow * s.stride_w));
            const auto mine = hn::RebindMask(D(), hn::Eq(LoadIndex(index + at, left), position));
            sum = hn::Add(sum, hn::IfThenElseZero(mine, LoadUpTo(dy + at, left)));
          }
        }
        StoreUpTo(sum, dx + (r * s.w + iw) * s.c + c, left);
      }
    }
  });
}

void AvgRows(ThreadPool& pool, const PoolShape& s, const float* x, float* y) {
  ForRows(pool, s.n * s.oh, RowWork(s, s.ow * s.ph * s.pw), [&](int64_t q) HWY_ATTR {
    const float* image = x + q / s.oh * s.h * s.w * s.c;
    const Range rows = Inside(q % s.oh, s.h, s.ph, s.stride_h, s.pad_top);
    for (int64_t ow = 0; ow < s.ow; ++ow) {
      const Range cols = Inside(ow, s.w, s.pw, s.stride_w, s.pad_left);
      const auto count = hn::Set(D(), static_cast<float>(std::max<int64_t>(1, rows.size() * cols.size())));
      for (int64_t c = 0; c < s.c; c += kLanes) {
        V sum = hn::Zero(D());
        for (int64_t ih = rows.begin; ih < rows.end; ++ih)
          for (int64_t iw = cols.begin; iw < cols.end; ++iw)
            sum = hn::Add(sum, LoadUpTo(image + (ih * s.w + iw) * s.c + c, s.c - c));
        StoreUpTo(hn::Div(sum, count), y + (q * s.ow + ow) * s.c + c, s.c - c);
      }
    }
  });
}

void AvgGradRows(ThreadPool& pool, const PoolShape& s, const float* dy, float* dx) {
  const int64_t covering = (s.ph / s.stride_h + 1) * (s.pw / s.stride_w + 1);
  ForRows(pool, s.n * s.h, RowWork(s, s.w * covering), [&](int64_t r) HWY_ATTR {
    const int64_t image = r / s.h * s.oh;
    const Range rows = Covering(r % s.h, s.oh, s.ph, s.stride_h, s.pad_top);
    for (int64_t iw = 0; iw < s.w; ++iw) {
      const Range cols = Covering(iw, s.ow, s.pw, s.stride_w, s.pad_left);
      for (int64_t c = 0; c < s.c; c += kLanes) {
        V sum = hn::Zero(D());
        for (int64_t oh = rows.begin; oh < rows.end; ++oh) {
          const int64_t inside = Inside(oh, s.h, s.ph, s.stride_h, s.pad_top).size();
          for (int64_t ow = cols.begin; ow < cols.end; ++ow) {
            const int64_t count = inside * Inside(ow, s.w, s.pw, s.stride_w, s.pad_left).size();
            const V g = LoadUpTo(dy + ((image + oh) * s.ow + ow) * s.c + c, s.c - c);
            sum = hn::MulAdd(g, hn::Set(D(), 1.0f / static_cast<float>(count)), sum);
          }
        }
        StoreUpTo(sum, dx + (r * s.w + iw) * s.c + c, s.c - c);
      }
    }
  });
}

void RunMaxPool(ThreadPool& pool, const PoolShape& s, const float* x, float* y, void* index) {
  if (index == nullptr) return MaxRows<uint8_t, false>(pool, s, x, y, nullptr);
  if (s.ph * s.pw <= 256) return MaxRows<uint8_t, true>(pool, s, x, y, static_cast<uint8_t*>(index));
  if (s.ph * s.pw <= 65536) return MaxRows<uint16_t, true>(pool, s, x, y, static_cast<uint16_t*>(index));
  MaxRows<uint32_t, true>(pool, s, x, y, static_cast<uint32_t*>(index));
}

void RunMaxPoolGrad(ThreadPool& pool, const PoolShape& s, const float* dy, const void* index, float* dx) {
  if (s.ph * s.pw <= 256) return MaxGradRows(pool, s, dy, static_cast<const uint8_t*>(index), dx);
  if (s.ph * s.pw <= 65536) return MaxGradRows(pool, s, dy, static_cast<const uint16_t*>(index), dx);
  MaxGradRows(pool, s, dy, static_cast<const uint32_t*>(index), dx);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace ingot::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ingot::cpu {
namespace {
HWY_EXPORT(RunMaxPool);
HWY_EXPORT(RunMaxPoolGrad);
HWY_EXPORT(AvgRows);
HWY_EXPORT(AvgGradRows);
}  // namespace

size_t MaxPoolIndexBytes(const PoolShape& s) { return s.ph * s.pw <= 256 ? 1 : s.ph * s.pw <= 65536 ? 2 : 4; }

void MaxPool(ThreadPool& pool, const PoolShape& s, const float* x, float* y, void* index) {
  ChosenTargets();
  HWY_DYNAMIC_DISPATCH(RunMaxPool)(pool, s, x, y, index);
}

void MaxPoolGrad(ThreadPool& pool, const PoolShape& s, const float* dy, const void* index, float* dx) {
  ChosenTargets();
  HWY_DYNAMIC_DISPATCH(RunMaxPoolGrad)(pool, s, dy, index, dx);
}

void AvgPool(ThreadPool& pool, const PoolShape& s, const float* x, float* y) {
  ChosenTargets();
  HWY_DYNAMIC_DISPATCH(AvgRows)(pool, s, x, y);
}

void AvgPoolGrad(ThreadPool& pool, const PoolShape& s, const float* dy, float* dx) {
  ChosenTargets();
  HWY_DYNAMIC_DISPATCH(AvgGradRows)(pool, s, dy, dx);
}

}  // namespace ingot::cpu
#endif  // HWY_ONCE
