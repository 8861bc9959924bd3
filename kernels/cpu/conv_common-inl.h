// SPDX-License-Identifier: MIT
//
// What the convolution and pooling kernels share. Included once for each SIMD target (Highway's re-inclusion),
// hence the toggling guard. Holds: loads and stores of the first few lanes that touch no byte beyond them, blocks of
// windows and the copy of the image with zeros around it that they are read from, and the sum of partial results in
// fixed order.
#if defined(INGOT_KERNELS_CPU_CONV_COMMON_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef INGOT_KERNELS_CPU_CONV_COMMON_INL_H_
#undef INGOT_KERNELS_CPU_CONV_COMMON_INL_H_
#else
#define INGOT_KERNELS_CPU_CONV_COMMON_INL_H_
#endif

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "hwy/cache_control.h"
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

// Whether no window leaves the image.
HWY_INLINE bool AllInside(const Windows& s) {
  if (s.kh == 0 || s.kw == 0) return true;
  return s.pt <= 0 && s.pl <= 0 && (s.oh - 1) * s.sh - s.pt + (s.kh - 1) * s.dh < s.h &&
         (s.ow - 1) * s.sw - s.pl + (s.kw - 1) * s.dw < s.w;
}

// Output pixels that are worked on together: `cols` of a row, whole rows, or whole images. Their windows lie in
// `height` by `width` pixels of each image. These are copied with what lies outside as zeros, unless no window leaves
// the image: then loops over windows know nothing of borders, and taps side by side are one run.
struct Blocks {
  bool padded;
  int64_t images, rows, cols;  // cols = 0: the copy would be too large
  int64_t height, width;
  int64_t across, down, count;  // blocks in a row of windows, in an image, in all

  // REQUIRES: `floats` of room for a copy.
  Blocks(const Windows& s, int64_t n, int64_t floats) : padded(!AllInside(s)), images(1), rows(1) {
    // Enough windows to pay for a block, a multiple of any tile, but some blocks for each thread.
    const int64_t pixels = std::clamp<int64_t>(n * s.oh * s.ow / 32, 96, 384) / 24 * 24;
    cols = std::min(s.ow, pixels);
    while (padded && Size(s, 1, cols) > floats && cols > 24) cols = cols / 2 / 24 * 24 + (cols / 2 < 24 ? 24 : 0);
    if (padded && Size(s, 1, cols) > floats) cols = 0;
    if (cols == s.ow) {
      rows = std::min(s.oh, std::max<int64_t>(1, pixels / s.ow));
      while (padded && rows > 1 && Size(s, rows, cols) > floats) --rows;
      rows = (s.oh - 1) / ((s.oh - 1) / rows + 1) + 1;
      if (rows == s.oh) {
        images = std::min(n, std::max<int64_t>(1, pixels / (rows * cols)));
        if (padded) images = std::min(images, std::max<int64_t>(1, floats / Size(s, rows, cols)));
      }
    }
    height = Reach(rows, s.sh, s.kh, s.dh), width = Reach(cols, s.sw, s.kw, s.dw);
    across = cols == 0 ? 0 : (s.ow - 1) / cols + 1, down = (s.oh - 1) / rows + 1;
    count = ((n - 1) / images + 1) * down * across;
  }

  int64_t pixels() const { return images * rows * cols; }
  static int64_t Reach(int64_t windows, int64_t stride, int64_t taps, int64_t dilation) {
    return (windows - 1) * stride + (taps - 1) * dilation + 1;
  }
  static int64_t Size(const Windows& s, int64_t rows, int64_t cols) {
    return Reach(rows, s.sh, s.kh, s.dh) * Reach(cols, s.sw, s.kw, s.dw) * s.ci;
  }
};

// One of them: `n` images from number n0 on, and so on.
struct Block {
  int64_t n0, n, oh0, oh, ow0, ow;
};

HWY_INLINE Block BlockAt(const Blocks& b, const Windows& s, int64_t images, int64_t i) {
  const int64_t ow0 = i % b.across * b.cols, oh0 = i / b.across % b.down * b.rows,
                n0 = i / b.across / b.down * b.images;
  return {n0, std::min(b.images, images - n0), oh0, std::min(b.rows, s.oh - oh0), ow0, std::min(b.cols, s.ow - ow0)};
}

// Memory that will be needed soon, fetched piece by piece between other work: processors do not guess the way from one
// block to the next, and a copy has nothing to do while it waits.
class Ahead {
 public:
  Ahead() = default;
  // `floats` of it in about `times` pieces.
  Ahead(const float* from, int64_t floats, int64_t times)
      : from_(from), lines_(floats / 16), step_(lines_ / std::max<int64_t>(1, times) + 1) {}
  HWY_INLINE void Fetch() {
    for (int64_t i = std::min(lines_, step_); i > 0; --i, from_ += 16) hwy::Prefetch(from_);
    lines_ -= std::min(lines_, step_);
  }

 private:
  const float* from_ = nullptr;
  int64_t lines_ = 0, step_ = 0;
};

// The rows of an image that a block reads, as far as they lie in it.
HWY_INLINE Ahead AheadInImage(const Windows& s, const Block& block, const float* x, int64_t times) {
  const int64_t first = std::clamp<int64_t>(block.oh0 * s.sh - s.pt, 0, s.h);
  const int64_t rows = std::min(s.h - first, block.oh * s.sh);
  return Ahead(x + (block.n0 * s.h + first) * s.w * s.c, ((block.n - 1) * s.h + rows) * s.w * s.c, times);
}

// Where the windows of a block are read: the first one's first pixel, and floats from image to image, from pixel to
// pixel down and to the right.
struct Source {
  const float* x;
  int64_t image, row, pixel;
};

// In the image itself, or in `copy`. `x` points at the group's first channel.
HWY_INLINE Source MakeSource(const Blocks& b, const Windows& s, const Block& block, const float* x, float* copy) {
  const int64_t ih0 = block.oh0 * s.sh - s.pt, iw0 = block.ow0 * s.sw - s.pl;
  if (!b.padded) return {x + ((block.n0 * s.h + ih0) * s.w + iw0) * s.c, s.h * s.w * s.c, s.w * s.c, s.c};
  const int64_t row = b.width * s.ci, height = Blocks::Reach(block.oh, s.sh, s.kh, s.dh);
  const int64_t lo = std::clamp<int64_t>(-iw0, 0, b.width), hi = std::clamp(s.w - iw0, lo, b.width);
  for (int64_t n = 0; n < block.n; ++n) {
    for (int64_t r = 0; r < height; ++r) {
      float* to = copy + (n * b.height + r) * row;
      const int64_t ih = ih0 + r;
      if (ih < 0 || ih >= s.h || lo == hi) {
        std::fill(to, to + row, 0.0f);
        continue;
      }
      const float* from = x + (((block.n0 + n) * s.h + ih) * s.w + iw0 + lo) * s.c;
      std::fill(to, to + lo * s.ci, 0.0f);
      if (s.c == s.ci) {
        std::memcpy(to + lo * s.ci, from, sizeof(float) * static_cast<size_t>((hi - lo) * s.ci));
      } else {
        for (int64_t i = lo; i < hi; ++i, from += s.c) std::copy_n(from, s.ci, to + i * s.ci);
      }
      std::fill(to + hi * s.ci, to + row, 0.0f);
    }
  }
  return {copy, b.height * row, row, s.ci};
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
