// SPDX-License-Identifier: MIT
//
// Depthwise convolution by 3 x 3, which nearly all are, stride 1 or 2, one output channel for each input channel:
// blocks of kRows by 4 windows for one vector of channels at a time, so that neighbours share what they load. Weights
// and sums stay in registers, a row of the source is loaded once: 24 + 9 loads for 72 multiply-adds where kRows is 2.
// Included once for each SIMD target.
#if defined(INGOT_KERNELS_CPU_DEPTHWISE_3X3_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef INGOT_KERNELS_CPU_DEPTHWISE_3X3_INL_H_
#undef INGOT_KERNELS_CPU_DEPTHWISE_3X3_INL_H_
#else
#define INGOT_KERNELS_CPU_DEPTHWISE_3X3_INL_H_
#endif

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "hwy/highway.h"
#include "ingot/kernels/cpu/conv_common-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ingot::cpu {
namespace HWY_NAMESPACE {
namespace {

// The image that windows slide over, and the places of the first one.
struct Plane {
  int64_t h, w, c, pad_top, pad_left;
};

template <int kRows, int kPixels>
HWY_INLINE void PrefetchPixels(const float* p, int64_t row, int64_t pixel) {
  HWY_UNROLL(2)
  for (int q = 0; q < kRows; ++q) {
    HWY_UNROLL(8)
    for (int i = 0; i < kPixels; ++i) hwy::Prefetch(p + q * row + i * pixel);
  }
}

// kRows by 4 windows, the upper left one at row v and column u; there are `across` in a row.
template <int kStride, int kRows>
struct Windows3x3 {
  static constexpr int kDown = (kRows - 1) * kStride + 3, kAcross = 3 * kStride + 3;
  const float* row[kDown];  // column `first` of each row, null if it lies outside of the image
  const float* origin;      // the same of the first row that the windows above do not see
  int64_t first, width, c;
  int64_t count;  // windows in a row; the others are not asked for

  Windows3x3(const Plane& s, const float* image, int64_t v, int64_t u, int64_t across)
      : first(u * kStride - s.pad_left), width(s.w), c(s.c), count(std::min<int64_t>(4, across - u)) {
    for (int64_t r = 0; r < kDown; ++r) {
      const int64_t i = v * kStride - s.pad_top + r;
      row[r] = i < 0 || i >= s.h ? nullptr : image + (i * s.w + first) * s.c;
    }
    origin = image + (((v - 1) * kStride - s.pad_top + 3) * s.w + first) * s.c;
  }
  // What the windows `rows` below these will see first: processors follow only a few of so many streams.
  HWY_INLINE void Prefetch(int64_t o, int64_t rows) const {
    PrefetchPixels<kRows * kStride, 4 * kStride>(origin + rows * kStride * width * c + o, width * c, c);
  }
  bool inside() const { return first >= 0 && first + kAcross <= width && count == 4; }

  // use(in, a, q) for what row q of the windows sees by row a of the kernel: kAcross vectors at channels from o on.
  template <bool kInside, class Load, class Use>
  HWY_INLINE void ForRows(int64_t o, const Load& load, const Use& use) const {
    HWY_UNROLL(4)
    for (int r = 0; r < kDown; ++r) {
      if (row[r] == nullptr) continue;
      const float* x = row[r] + o;
      V in[kAcross];
      HWY_UNROLL(9)
      for (int i = 0; i < kAcross; ++i, x += c)
        in[i] = kInside || (first + i >= 0 && first + i < width) ? load(x) : hn::Zero(D());
      HWY_UNROLL(2)
      for (int q = 0; q < kRows; ++q)
        if (r >= q * kStride && r < q * kStride + 3) use(in, r - q * kStride, q);
    }
  }
};

// Loads a vector, or what is left of one.
struct LoadWhole {
  HWY_INLINE V operator()(const float* p) const { return hn::LoadU(D(), p); }
};
struct LoadRest {
  int64_t left;
  HWY_INLINE V operator()(const float* p) const { return LoadFirst(p, left); }
};

// fn(o, load) for each vector of channels.
template <class Fn>
HWY_INLINE void ForChannels(int64_t channels, const Fn& fn) {
  int64_t o = 0;
  for (; o + kLanes <= channels; o += kLanes) fn(o, LoadWhole());
  if (o < channels) fn(o, LoadRest{channels - o});
}

// fn(windows, whether all they see is inside, u) along the rows from v on.
template <int kStride, int kRows, class Fn>
HWY_INLINE void ForWindows(const Plane& s, const float* image, int64_t v, int64_t across, const Fn& fn) {
  for (int64_t u = 0; u < across; u += 4) {
    const Windows3x3<kStride, kRows> windows(s, image, v, u, across);
    if (windows.inside()) {
      fn(windows, std::true_type(), u);
    } else {
      fn(windows, std::false_type(), u);
    }
  }
}

// sum[tap] += x * dy at some windows and channels from o on; dy: at the first of them.
template <bool kInside, int kStride, int kRows, class Load>
HWY_INLINE void AddGrad3x3(const Windows3x3<kStride, kRows>& windows, const float* dy, int64_t dy_row, int64_t o,
                           const Load& load, V (&sum)[9]) {
  V g[kRows][4];
  HWY_UNROLL(2)
  for (int q = 0; q < kRows; ++q) {
    HWY_UNROLL(4)
    for (int i = 0; i < 4; ++i)
      g[q][i] = kInside || i < windows.count ? load(dy + q * dy_row + i * windows.c) : hn::Zero(D());
  }
  windows.template ForRows<kInside>(o, load, [&](const auto& in, int a, int q) HWY_ATTR {
    HWY_UNROLL(4)
    for (int i = 0; i < 4; ++i) {
      HWY_UNROLL(3)
      for (int b = 0; b < 3; ++b) sum[a * 3 + b] = hn::MulAdd(in[i * kStride + b], g[q][i], sum[a * 3 + b]);
    }
  });
}

// dw[tap, k] += x * dy at rows [v, end) of windows; dy: the first of them. Sums stay in registers while all pass by. If
// the image is `far`, as many rows below them are fetched meanwhile.
template <int kStride>
HWY_NOINLINE void AddGradRows3x3(const Plane& s, const float* image, int64_t v, int64_t end, int64_t across,
                                 const float* dy, float* dw, bool far) {
  const int64_t row = across * s.c, rows = end - v;
  ForChannels(s.c, [&](int64_t o, auto load) HWY_ATTR {
    V sum[9];
    HWY_UNROLL(9)
    for (int t = 0; t < 9; ++t) sum[t] = load(dw + t * s.c + o);
    const auto add = [&](auto together, int64_t i) HWY_ATTR {
      constexpr int kRows = together;
      ForWindows<kStride, kRows>(s, image, v + i, across, [&](const auto& windows, auto inside, int64_t u) HWY_ATTR {
        const float* g = dy + i * row + u * s.c + o;
        if (far) {
          windows.Prefetch(o, rows);
          PrefetchPixels<kRows, 4>(g + rows * row, row, s.c);
        }
        AddGrad3x3<inside>(windows, g, row, o, load, sum);
      });
    };
    int64_t i = 0;
    if constexpr (kStride == 1)
      for (; i + 2 <= rows; i += 2) add(std::integral_constant<int, 2>(), i);
    for (; i < rows; ++i) add(std::integral_constant<int, 1>(), i);
    HWY_UNROLL(9)
    for (int t = 0; t < 9; ++t) StoreUpTo(sum[t], dw + t * s.c + o, s.c - o);
  });
}

// An output larger than the caches is written around them. REQUIRES: if so, `to` is aligned and c whole vectors.
HWY_INLINE void Write(V v, float* to, int64_t left, bool stream) {
  stream ? hn::Stream(v, D(), to) : StoreUpTo(v, to, left);
}

// The gradient for the input with stride 2. Pixel i of x is seen through tap i + pad - 2 j of window j: of two pixels
// side by side, i + pad = 2 j and 2 j + 1, the first by window j - 1 through tap 2 and by window j through tap 0, the
// second by window j through tap 1; rows alike. A block: two rows by four pixels of x, (2 j, 2 l) the first, from two
// rows by three pixels of dy. x: the plane of dx.
template <bool kInside>
HWY_NOINLINE void GradInputBlock3x3(const Plane& x, int64_t oh, int64_t ow, const float* w, const float* dy, int64_t j,
                                    int64_t l, float* dx, bool stream) {
  const int64_t c = x.c, i = 2 * j - x.pad_top, u = 2 * l - x.pad_left;
  const auto in_dx = [&](int row, int column) HWY_ATTR {
    return i + row >= 0 && i + row < x.h && (kInside || (u + column >= 0 && u + column < x.w));
  };
  ForChannels(c, [&](int64_t o, auto load) HWY_ATTR {
    PrefetchPixels<1, 2>(dy + ((j + 1) * ow + l) * c + o, 0, c);
    V sum[2][4];
    HWY_UNROLL(4)
    for (int p = 0; p < 4; ++p) sum[0][p] = sum[1][p] = hn::Zero(D());
    // What row `from` of dy adds to a row of dx by row a of the kernel.
    const auto add = [&](int64_t from, int a, V(&row)[4]) HWY_ATTR {
      if (from < 0 || from >= oh) return;
      V in[3], weight[3];
      HWY_UNROLL(3)
      for (int b = 0; b < 3; ++b) {
        const bool inside = kInside || (l + b - 1 >= 0 && l + b - 1 < ow);
        in[b] = inside ? load(dy + (from * ow + l + b - 1) * c + o) : hn::Zero(D());
        weight[b] = load(w + (a * 3 + b) * c + o);
      }
      HWY_UNROLL(2)
      for (int p = 0; p < 2; ++p) {
        row[2 * p] = hn::MulAdd(in[p], weight[2], hn::MulAdd(in[p + 1], weight[0], row[2 * p]));
        row[2 * p + 1] = hn::MulAdd(in[p + 1], weight[1], row[2 * p + 1]);
      }
    };
    add(j, 0, sum[0]);
    add(j, 1, sum[1]);
    add(j - 1, 2, sum[0]);
    HWY_UNROLL(2)
    for (int q = 0; q < 2; ++q) {
      HWY_UNROLL(4)
      for (int p = 0; p < 4; ++p)
        if (in_dx(q, p)) Write(sum[q][p], dx + ((i + q) * x.w + u + p) * c + o, c - o, stream);
    }
  });
}

// Rows 2 j - pad and the next one of dx.
inline void GradInputRows3x3(const Plane& x, int64_t oh, int64_t ow, const float* w, const float* dy, int64_t j,
                             float* dx, bool stream) {
  for (int64_t l = x.pad_left / 2; 2 * l - x.pad_left < x.w; l += 2) {
    if (2 * l >= x.pad_left && 2 * l - x.pad_left + 4 <= x.w && l > 0 && l + 2 <= ow) {
      GradInputBlock3x3<true>(x, oh, ow, w, dy, j, l, dx, stream);
    } else {
      GradInputBlock3x3<false>(x, oh, ow, w, dy, j, l, dx, stream);
    }
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace ingot::cpu
HWY_AFTER_NAMESPACE();

#endif  // INGOT_KERNELS_CPU_DEPTHWISE_3X3_INL_H_
