// SPDX-License-Identifier: MIT
//
// What the convolution and pooling kernels share. Included once for each SIMD target (Highway's re-inclusion),
// hence the toggling guard. Holds: loads and stores of the first few lanes that touch no byte beyond them, the
// columns of a block of output pixels (im2col), and the sum of partial results in fixed order.
#if defined(INGOT_KERNELS_CPU_CONV_COMMON_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef INGOT_KERNELS_CPU_CONV_COMMON_INL_H_
#undef INGOT_KERNELS_CPU_CONV_COMMON_INL_H_
#else
#define INGOT_KERNELS_CPU_CONV_COMMON_INL_H_
#endif

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "hwy/highway.h"
#include "ingot/core/threads.h"

HWY_BEFORE_NAMESPACE();
namespace ingot::cpu {
namespace HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::CappedTag<float, 16>;
using V = hn::Vec<D>;
constexpr int64_t kLanes = static_cast<int64_t>(hn::MaxLanes(D()));

#undef INGOT_SAFE_MASKS
// On these targets a masked access of memory that is not ours does not fault.
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2
#define INGOT_SAFE_MASKS 1
#else
#define INGOT_SAFE_MASKS 0
#endif

// p[0..n) and zeros. REQUIRES: 0 < n < kLanes.
HWY_INLINE V LoadFirst(const float* p, int64_t n) {
#if INGOT_SAFE_MASKS
  return hn::MaskedLoad(hn::FirstN(D(), static_cast<size_t>(n)), D(), p);
#else
  alignas(64) float copy[kLanes] = {};
  for (int64_t i = 0; i < n; ++i) copy[i] = p[i];
  return hn::Load(D(), copy);
#endif
}

HWY_INLINE void StoreFirst(V v, float* p, int64_t n) {
#if INGOT_SAFE_MASKS
  hn::BlendedStore(v, hn::FirstN(D(), static_cast<size_t>(n)), D(), p);
#else
  alignas(64) float copy[kLanes];
  hn::Store(v, D(), copy);
  for (int64_t i = 0; i < n; ++i) p[i] = copy[i];
#endif
}

// The same for any n: nothing for n <= 0, a whole vector for n >= kLanes.
HWY_INLINE V LoadUpTo(const float* p, int64_t n) {
  if (n >= kLanes) return hn::LoadU(D(), p);
  return n > 0 ? LoadFirst(p, n) : hn::Zero(D());
}

HWY_INLINE void StoreUpTo(V v, float* p, int64_t n) {
  if (n >= kLanes) {
    hn::StoreU(v, D(), p);
  } else if (n > 0) {
    StoreFirst(v, p, n);
  }
}

// A window sliding over an image (N, H, W, C), from which a group of `ci` channels is read.
struct Windows {
  int64_t h, w, c, ci;     // image; c: floats from pixel to pixel
  int64_t oh, ow;          // windows in an image
  int64_t kh, kw;          // taps of a window
  int64_t sh, sw, dh, dw;  // stride, dilation
  int64_t pt, pl;          // padding, may be negative
};

// Columns of `count` windows from number `first` on: col[i * ld + (kh * KW + kw) * ci + c], zero where the window
// leaves the image. `col` has room for kLanes floats more. `x` points at the group's first channel.
HWY_INLINE void FillColumns(const Windows& s, const float* x, int64_t first, int64_t count, float* col, int64_t ld) {
  const int64_t run = s.kw * s.ci, image_row = s.dh * s.w * s.c;
  const bool contiguous = s.dw == 1 && s.c == s.ci, brief = run < kLanes;
  int64_t ow = first % s.ow, oh = first / s.ow % s.oh, n = first / s.ow / s.oh;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t ih0 = oh * s.sh - s.pt, iw0 = ow * s.sw - s.pl;
    const int64_t corner = ((n * s.h + ih0) * s.w + iw0) * s.c;
    const bool inside = contiguous && iw0 >= 0 && iw0 + s.kw <= s.w;
    float* dst = col + i * ld;
    if (inside && brief && ih0 >= 0 && ih0 + (s.kh - 1) * s.dh < s.h) {
      // Ascending order: what a vector writes beyond its run is overwritten by the next.
      const float* src = x + corner;
      for (int64_t kh = 0; kh < s.kh; ++kh) hn::StoreU(LoadFirst(src + kh * image_row, run), D(), dst + kh * run);
    } else {
      for (int64_t kh = 0; kh < s.kh; ++kh, dst += run) {
        const int64_t ih = ih0 + kh * s.dh, row = corner + kh * image_row;
        if (ih < 0 || ih >= s.h) {
          std::fill(dst, dst + run, 0.0f);
        } else if (inside) {
          for (int64_t j = 0; j < run; j += kLanes) hn::StoreU(LoadUpTo(x + row + j, run - j), D(), dst + j);
        } else {
          for (int64_t kw = 0; kw < s.kw; ++kw) {
            const int64_t iw = iw0 + kw * s.dw;
            const bool pixel = iw >= 0 && iw < s.w;
            for (int64_t c = 0; c < s.ci; ++c) dst[kw * s.ci + c] = pixel ? x[row + kw * s.dw * s.c + c] : 0.0f;
          }
        }
      }
    }
    if (++ow == s.ow) {
      ow = 0;
      if (++oh == s.oh) oh = 0, ++n;
    }
  }
}

// dst[i] = part[0][i] + part[1][i] + ..., in this order, for `parts` arrays of `size` floats lying behind each other.
inline void SumPartials(ThreadPool& pool, const float* part, int64_t parts, int64_t size, float* dst) {
  constexpr int64_t kBlock = 4096;
  const auto block = [=](int64_t b) HWY_ATTR {
    const int64_t end = std::min(size, (b + 1) * kBlock);
    for (int64_t i = b * kBlock; i < end; i += kLanes) {
      V sum = LoadUpTo(part + i, end - i);
      for (int64_t p = 1; p < parts; ++p) sum = hn::Add(sum, LoadUpTo(part + p * size + i, end - i));
      StoreUpTo(sum, dst + i, end - i);
    }
  };
  const int64_t blocks = (size + kBlock - 1) / kBlock;
  if (parts * size < 32768) {
    for (int64_t b = 0; b < blocks; ++b) block(b);
  } else {
    pool.For(blocks, block);
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace ingot::cpu
HWY_AFTER_NAMESPACE();

#endif  // INGOT_KERNELS_CPU_CONV_COMMON_INL_H_
