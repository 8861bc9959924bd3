// SPDX-License-Identifier: MIT
//
// Depthwise convolution and its gradients: no sum over channels, so vectors run over channels and memory is read
// almost once for each tap. Both the forward pass and the gradient for the input are written as
//
//   out[pixel, o] = sum over a, b, m of in[pixel moved by (a, b), index(o, m)] * w[tap (a, b), ...]
//
// Along each dimension the taps that matter to a position form an arithmetic progression (Line below). Forward:
// kh = lo, lo+1, ..., at input rows rising by the dilation. Gradient: kh*dilation = ih + pad (mod stride), so kh
// rises by stride/g, g = gcd(stride, dilation), and oh falls by dilation/g. So one loop serves both, borders
// included. Neighbours whose lines have the same taps (a few pixels of a row) share each weight they load.
//
// With M > 1 a vector of outputs gathers its inputs: forward from channel o/M, backward from o*M + m for each m.
//
// By 3 x 3, stride 1 or 2 and M = 1 all three go by blocks of windows (depthwise_3x3-inl.h).
//
// Gradient for the kernel: dw[tap, k] = sum over pixels of x * dy, four vectors of channels at a time, in parts as
// conv_grad_kernel.cc does it. Threads and bits: see conv.h.
#include "ingot/kernels/cpu/depthwise.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <new>
#include <numeric>

#include "ingot/kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ingot/kernels/cpu/depthwise.cc"
#include "hwy/foreach_target.h"
// After foreach_target.h:
#include "hwy/highway.h"
#include "ingot/kernels/cpu/conv_common-inl.h"
#include "ingot/kernels/cpu/depthwise_3x3-inl.h"
#include "ingot/kernels/cpu/epilogue-inl.h"

#ifndef INGOT_KERNELS_CPU_DEPTHWISE_CC_ONCE_
#define INGOT_KERNELS_CPU_DEPTHWISE_CC_ONCE_
namespace ingot::cpu {
namespace {

constexpr int64_t kMaxParts = 32;
constexpr int64_t kFar = int64_t{1} << 18;       // floats of a source that lies beyond the nearer caches
constexpr int64_t kStreamed = int64_t{1} << 21;  // floats of an output that goes around the caches

// The taps of one dimension that reach inside: tap k0 + j*k_step at position i0 + j*i_step, j in [0, taps).
struct Line {
  int32_t taps, k0, i0;
};

struct Dimension {
  int64_t in, out, kernel, stride, dilation, pad;
  bool forward;  // from positions of x to positions of y, or back

  int64_t KStep() const { return forward ? 1 : stride / std::gcd(stride, dilation); }
  int64_t IStep() const { return forward ? dilation : -(dilation / std::gcd(stride, dilation)); }
  // Positions that far apart may have the same taps, and then inputs Advance() apart.
  int64_t Period() const { return forward ? 1 : stride; }
  int64_t Advance() const { return forward ? stride : 1; }

  Line At(int64_t position) const {
    Line line{0, 0, 0};
    const int64_t step = forward ? 1 : stride;
    const int64_t shifted = forward ? position * stride - pad : position + pad;
    for (int64_t k = 0; k < kernel; ++k) {
      const int64_t i = forward ? shifted + k * dilation : shifted - k * dilation;
      if (i < 0 || i % step != 0 || i / step >= in) continue;
      if (line.taps == 0) line.k0 = static_cast<int32_t>(k), line.i0 = static_cast<int32_t>(i / step);
      ++line.taps;
    }
    return line;
  }
};

size_t LinesSize(int64_t lines) { return static_cast<size_t>(lines) * sizeof(Line) / sizeof(float); }

// The gradient for the kernel is summed in parts, of whole pairs of output rows, whose sum is worth less than they.
int64_t Pairs(const ConvShape& s) { return s.n * ((s.oh + 1) / 2); }
int64_t Parts(const ConvShape& s) {
  const int64_t pixels = s.n * s.oh * s.ow, size = s.kh * s.kw * s.k;
  return std::max<int64_t>(
      1, std::min({kMaxParts, Pairs(s), (int64_t{4} << 20) / size, pixels / 64, pixels * size / 100000}));
}
// The first output row of a part, counted through all images.
int64_t FirstRow(const ConvShape& s, int64_t part) {
  const int64_t pair = Pairs(s) * part / Parts(s), in_image = (s.oh + 1) / 2;
  return pair / in_image * s.oh + pair % in_image * 2;
}

}  // namespace
}  // namespace ingot::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace ingot::cpu {
namespace HWY_NAMESPACE {
namespace {

using DI = hn::RebindToSigned<D>;

struct Problem {
  Dimension v, u;
  int64_t n, channels;     // of the destination
  int64_t in_channels, k;  // of the source and of the kernel
  int64_t m;               // multiplier
  const float* w;          // by 3 x 3 those of the first tap, from where the next ones lie w_tap apart
  int64_t w_tap;
  Epilogue epilogue;
  const float* y;
  bool far, stream;  // x lies far away, y goes around the caches
};

// fn(row) for all rows, in tasks of some microseconds.
template <class Fn>
void ForRows(ThreadPool& pool, int64_t rows, int64_t row_work, const Fn& fn) {
  const int64_t task = rows * row_work < 200000 ? std::max<int64_t>(rows, 1) : std::max<int64_t>(1, 100000 / row_work);
  pool.For((rows + task - 1) / task, [&](int64_t t) HWY_ATTR {
    for (int64_t r = t * task; r < std::min(rows, (t + 1) * task); ++r) fn(r);
    hwy::FlushStream();
  });
}

enum class Mode { kPlain, kSpread, kCollect };  // M == 1; forward with M > 1; gradient with M > 1

// A vector of `left` channels (at least a whole one if kWhole) from p[index].
template <Mode kMode, bool kWhole>
HWY_INLINE V LoadChannels(const float* p, hn::Vec<DI> index, int64_t left) {
  if constexpr (kMode != Mode::kPlain) return hn::GatherIndex(D(), p, index);
  if constexpr (kWhole) return hn::LoadU(D(), p);
  return LoadFirst(p, left);
}

template <bool kWhole>
HWY_INLINE V Shift(const Problem& p, int64_t o) {
  const float* shift = p.epilogue.shift;
  if (shift == nullptr) return hn::Zero(D());
  return kWhole ? hn::LoadU(D(), shift + o) : LoadFirst(shift + o, p.channels - o);
}

// What becomes of the sums of kPixels pixels, `y_step` apart, at channels from o on; `count` of them are then written.
template <int kPixels, bool kWhole>
HWY_INLINE void Finish(const Problem& p, V shift, float* y, int64_t y_step, int64_t o, V (&acc)[kPixels],
                       int64_t count = kPixels) {
  const Epilogue& e = p.epilogue;
  const int64_t left = p.channels - o;
  const auto load = [&](const float* from) HWY_ATTR { return kWhole ? hn::LoadU(D(), from) : LoadFirst(from, left); };
  if (e.scale != nullptr) {
    const V scale = load(e.scale + o);
    HWY_UNROLL(4)
    for (int i = 0; i < kPixels; ++i) acc[i] = hn::MulAdd(acc[i], scale, shift);
  }
  const auto add_residual = [&]() HWY_ATTR {
    HWY_UNROLL(4)
    for (int i = 0; i < kPixels; ++i)
      if (i < count) acc[i] = hn::Add(acc[i], load(e.residual + (y - p.y) + i * y_step + o));
  };
  if (e.residual != nullptr && !e.residual_last) add_residual();
  Activate(e, acc);
  if (e.residual != nullptr && e.residual_last) add_residual();
  HWY_UNROLL(4)
  for (int i = 0; i < kPixels; ++i)
    if (i < count) Write(acc[i], y + i * y_step + o, kWhole ? kLanes : left, p.stream);
}

// kPixels pixels of a row at channels [o, o + kLanes), or as many as there are.
template <Mode kMode, int kPixels, bool kWhole>
HWY_INLINE void RunPixels(const Problem& p, const Line& row, const Line& col, const float* image, float* y,
                          int64_t y_step, int64_t o) {
  const D d;
  const int64_t left = p.channels - o, m_count = kMode == Mode::kCollect ? p.m : 1;
  V acc[kPixels];
  const V shift = Shift<kWhole>(p, o);
  HWY_UNROLL(4)
  for (int i = 0; i < kPixels; ++i) acc[i] = p.epilogue.scale == nullptr ? shift : hn::Zero(d);
  auto x_index = hn::Zero(DI()), w_index = hn::Zero(DI());
  if constexpr (kMode != Mode::kPlain) {  // lanes beyond the last channel repeat it
    alignas(64) int32_t xs[kLanes], ws[kLanes];
    for (int64_t i = 0; i < kLanes; ++i) {
      const int64_t channel = std::min(o + i, p.channels - 1);
      xs[i] = static_cast<int32_t>(kMode == Mode::kSpread ? channel / p.m : channel * p.m);
      ws[i] = static_cast<int32_t>(kMode == Mode::kSpread ? channel : channel * p.m);
    }
    x_index = hn::Load(DI(), xs), w_index = hn::Load(DI(), ws);
  }
  const int64_t advance = p.u.Advance() * p.in_channels, first = kMode == Mode::kPlain ? o : 0;
  const int64_t x_tap = p.u.IStep() * p.in_channels, w_tap = p.u.KStep() * p.k;
  for (int64_t a = 0; a < row.taps; ++a) {
    const float* x = image + ((row.i0 + a * p.v.IStep()) * p.u.in + col.i0) * p.in_channels + first;
    const float* w = p.w + ((row.k0 + a * p.v.KStep()) * p.u.kernel + col.k0) * p.k + first;
    for (int64_t b = 0; b < col.taps; ++b) {
      for (int64_t m = 0; m < m_count; ++m) {
        const V weight = LoadChannels<kMode, kWhole>(w + b * w_tap + m, w_index, left);
        HWY_UNROLL(4)
        for (int i = 0; i < kPixels; ++i) {
          const V in = LoadChannels<kMode, kWhole>(x + b * x_tap + i * advance + m, x_index, left);
          acc[i] = hn::MulAdd(in, weight, acc[i]);
        }
      }
    }
  }
  Finish<kPixels, kWhole>(p, shift, y, y_step, o, acc);
}

template <Mode kMode, int kPixels>
HWY_NOINLINE void RunChannels(const Problem& p, const Line& row, const Line& col, const float* image, float* y,
                              int64_t y_step) {
  int64_t o = 0;
  for (; o + kLanes <= p.channels; o += kLanes) RunPixels<kMode, kPixels, true>(p, row, col, image, y, y_step, o);
  if (o < p.channels) RunPixels<kMode, kPixels, false>(p, row, col, image, y, y_step, o);
}

// The sums of some windows of 3 x 3, written to y. `row`: floats from row to row of y.
template <bool kInside, int kStride, int kRows>
HWY_NOINLINE void RunBlock3x3(const Problem& p, const Windows3x3<kStride, kRows>& windows, float* y, int64_t row) {
  ForChannels(p.channels, [&](int64_t o, auto load) HWY_ATTR {
    constexpr bool kWhole = std::is_same_v<decltype(load), LoadWhole>;
    if (p.far) windows.Prefetch(o, kRows);
    const V shift = Shift<kWhole>(p, o);
    V sum[kRows][4], weight[9];
    HWY_UNROLL(2)
    for (int q = 0; q < kRows; ++q) {
      HWY_UNROLL(4)
      for (int i = 0; i < 4; ++i) sum[q][i] = p.epilogue.scale == nullptr ? shift : hn::Zero(D());
    }
    HWY_UNROLL(9)
    for (int t = 0; t < 9; ++t) weight[t] = load(p.w + t * p.w_tap + o);
    windows.template ForRows<kInside>(o, load, [&](const auto& in, int a, int q) HWY_ATTR {
      HWY_UNROLL(4)
      for (int i = 0; i < 4; ++i) {
        HWY_UNROLL(3)
        for (int b = 0; b < 3; ++b) sum[q][i] = hn::MulAdd(in[i * kStride + b], weight[a * 3 + b], sum[q][i]);
      }
    });
    HWY_UNROLL(2)
    for (int q = 0; q < kRows; ++q)
      Finish<4, kWhole>(p, shift, y + q * row, p.channels, o, sum[q], kInside ? 4 : windows.count);
  });
}

// Rows [v, v + kRows) of an image.
template <int kStride, int kRows>
void RunRows3x3(const Problem& p, int64_t v, const float* image, float* y) {
  const Plane plane = {p.v.in, p.u.in, p.channels, p.v.pad, p.u.pad};
  const int64_t row = p.u.out * p.channels;
  ForWindows<kStride, kRows>(plane, image, v, p.u.out, [&](const auto& windows, auto inside, int64_t u) HWY_ATTR {
    RunBlock3x3<inside>(p, windows, y + v * row + u * p.channels, row);
  });
}

// The gradient for the input with stride 1 is the same with the taps in reverse.
template <int kStride>
void Run3x3(ThreadPool& pool, const Problem& p, const float* x, float* y) {
  constexpr int64_t kRows = kStride == 1 ? 2 : 1;
  const int64_t steps = (p.v.out + kRows - 1) / kRows;  // in an image
  ForRows(pool, p.n * steps, kRows * p.u.out * p.channels * 9 * 2, [&](int64_t i) HWY_ATTR {
    const float* image = x + i / steps * p.v.in * p.u.in * p.channels;
    float* to = y + i / steps * p.v.out * p.u.out * p.channels;
    const int64_t v = i % steps * kRows;
    if (v + kRows <= p.v.out) {
      RunRows3x3<kStride, kRows>(p, v, image, to);
    } else {
      RunRows3x3<kStride, 1>(p, v, image, to);
    }
  });
}

template <Mode kMode>
void RunRow(const Problem& p, const Line& row, const Line* cols, const float* image, float* y) {
  const int64_t period = p.u.Period(), y_step = period * p.channels;
  const auto follows = [&](const Line& a, const Line& b, int64_t steps) HWY_ATTR {
    return a.taps == b.taps && a.k0 == b.k0 && b.i0 - a.i0 == steps * p.u.Advance();
  };
  for (int64_t phase = 0; phase < std::min(period, p.u.out); ++phase) {
    for (int64_t i = phase; i < p.u.out;) {
      if (i + 3 * period < p.u.out && follows(cols[i], cols[i + period], 1) &&
          follows(cols[i], cols[i + 2 * period], 2) && follows(cols[i], cols[i + 3 * period], 3)) {
        RunChannels<kMode, 4>(p, row, cols[i], image, y + i * p.channels, y_step);
        i += 4 * period;
      } else {
        RunChannels<kMode, 1>(p, row, cols[i], image, y + i * p.channels, y_step);
        i += period;
      }
    }
  }
}

bool By3x3(const ConvShape& s) {
  return s.k == s.c && s.kh == 3 && s.kw == 3 && s.dilation_h == 1 && s.dilation_w == 1 && s.stride_h == s.stride_w &&
         s.stride_w <= 2;
}

void RunDepthwise(ThreadPool& pool, const ConvShape& s, bool forward, const float* x, const float* w,
                  const Epilogue& epilogue, float* y, float* workspace) {
  Problem p;
  p.v = {forward ? s.h : s.oh, forward ? s.oh : s.h, s.kh, s.stride_h, s.dilation_h, s.pad_top, forward};
  p.u = {forward ? s.w : s.ow, forward ? s.ow : s.w, s.kw, s.stride_w, s.dilation_w, s.pad_left, forward};
  p.n = s.n, p.channels = forward ? s.k : s.c, p.in_channels = forward ? s.c : s.k, p.k = s.k, p.m = s.k / s.c;
  p.w = w, p.w_tap = s.k, p.epilogue = epilogue, p.y = y;
  p.far = p.n * p.v.in * p.u.in * p.channels >= kFar;
  p.stream = p.n * p.v.out * p.u.out * p.channels >= kStreamed && p.channels % kLanes == 0 &&
             reinterpret_cast<uintptr_t>(y) % (sizeof(float) * kLanes) == 0;
  if (By3x3(s) && !forward && s.stride_w == 2) {
    const Plane plane = {s.h, s.w, s.c, s.pad_top, s.pad_left};
    const int64_t first = s.pad_top / 2, steps = (s.h - 1 + s.pad_top) / 2 + 1 - first;  // pairs of rows in an image
    return ForRows(pool, s.n * steps, 9 * s.ow * s.c * 2, [&](int64_t i) HWY_ATTR {
      GradInputRows3x3(plane, s.oh, s.ow, w, x + i / steps * s.oh * s.ow * s.c, first + i % steps,
                       y + i / steps * s.h * s.w * s.c, p.stream);
    });
  }
  if (By3x3(s)) {
    if (!forward) p.v.pad = 2 - p.v.pad, p.u.pad = 2 - p.u.pad, p.w += 8 * s.k, p.w_tap = -s.k;
    return s.stride_w == 1 ? Run3x3<1>(pool, p, x, y) : Run3x3<2>(pool, p, x, y);
  }
  Line* cols = reinterpret_cast<Line*>(workspace);
  for (int64_t i = 0; i < p.u.out; ++i) ::new (cols + i) Line(p.u.At(i));
  ForRows(pool, p.n * p.v.out, 2 * p.u.out * s.kh * s.kw * s.k, [&](int64_t r) HWY_ATTR {
    const float* image = x + r / p.v.out * p.v.in * p.u.in * p.in_channels;
    float* dst = y + r * p.u.out * p.channels;
    const Line row = p.v.At(r % p.v.out);
    if (p.m == 1) {
      RunRow<Mode::kPlain>(p, row, cols, image, dst);
    } else if (forward) {
      RunRow<Mode::kSpread>(p, row, cols, image, dst);
    } else {
      RunRow<Mode::kCollect>(p, row, cols, image, dst);
    }
  });
}

// dw of output rows [q0, q1) for one tap and channels [o, o + kVectors * kLanes), added to what `out` holds.
template <Mode kMode, int kVectors, bool kWhole>
HWY_NOINLINE void GradTap(const ConvShape& s, const float* x, const float* dy, int64_t q0, int64_t q1, int64_t kh,
                          int64_t kw, int64_t o, float* out) {
  const int64_t shift = s.pad_left - kw * s.dilation_w, left = s.k - o, m = s.k / s.c;
  const int64_t lo = shift > 0 ? (shift + s.stride_w - 1) / s.stride_w : 0;
  const int64_t hi = s.w - 1 + shift < 0 ? 0 : std::min(s.ow, (s.w - 1 + shift) / s.stride_w + 1);
  V acc[kVectors];
  hn::Vec<DI> index[kVectors];
  HWY_UNROLL(4)
  for (int v = 0; v < kVectors; ++v) {
    acc[v] = LoadUpTo(out + v * kLanes, left - v * kLanes);
    alignas(64) int32_t xs[kLanes];
    for (int64_t i = 0; i < kLanes; ++i) xs[i] = static_cast<int32_t>(std::min(o + v * kLanes + i, s.k - 1) / m);
    index[v] = hn::Load(DI(), xs);
  }
  for (int64_t q = q0; q < q1; ++q) {
    const int64_t ih = q % s.oh * s.stride_h - s.pad_top + kh * s.dilation_h;
    if (ih < 0 || ih >= s.h || lo >= hi) continue;
    const float* a =
        x + ((q / s.oh * s.h + ih) * s.w + lo * s.stride_w - shift) * s.c + (kMode == Mode::kPlain ? o : 0);
    const float* b = dy + (q * s.ow + lo) * s.k + o;
    for (int64_t j = lo; j < hi; ++j, a += s.stride_w * s.c, b += s.k) {
      HWY_UNROLL(4)
      for (int v = 0; v < kVectors; ++v) {
        const V g = LoadChannels<Mode::kPlain, kWhole>(b + v * kLanes, index[v], left);
        const V in = LoadChannels<kMode, kWhole>(kMode == Mode::kPlain ? a + v * kLanes : a, index[v], left);
        acc[v] = hn::MulAdd(in, g, acc[v]);
      }
    }
  }
  HWY_UNROLL(4)
  for (int v = 0; v < kVectors; ++v) StoreUpTo(acc[v], out + v * kLanes, left - v * kLanes);
}

template <Mode kMode>
void GradPart(const ConvShape& s, const float* x, const float* dy, int64_t q0, int64_t q1, float* out) {
  std::memset(out, 0, sizeof(float) * static_cast<size_t>(s.kh * s.kw * s.k));
  const int64_t block = std::max<int64_t>(1, 32768 / (s.ow * s.k + s.stride_h * s.w * s.c));
  for (int64_t q = q0; q < q1; q += block) {
    const int64_t end = std::min(q1, q + block);
    for (int64_t tap = 0; tap < s.kh * s.kw; ++tap) {
      const int64_t kh = tap / s.kw, kw = tap % s.kw;
      float* dst = out + tap * s.k;
      int64_t o = 0;
      for (; o + 4 * kLanes <= s.k; o += 4 * kLanes) GradTap<kMode, 4, true>(s, x, dy, q, end, kh, kw, o, dst + o);
      for (; o + 2 * kLanes <= s.k; o += 2 * kLanes) GradTap<kMode, 2, true>(s, x, dy, q, end, kh, kw, o, dst + o);
      for (; o + kLanes <= s.k; o += kLanes) GradTap<kMode, 1, true>(s, x, dy, q, end, kh, kw, o, dst + o);
      if (o < s.k) GradTap<kMode, 1, false>(s, x, dy, q, end, kh, kw, o, dst + o);
    }
  }
}

// The same by 3 x 3.
template <int kStride>
void GradPart3x3(const ConvShape& s, const float* x, const float* dy, int64_t q0, int64_t q1, float* out) {
  std::memset(out, 0, sizeof(float) * static_cast<size_t>(9 * s.c));
  const Plane plane = {s.h, s.w, s.c, s.pad_top, s.pad_left};
  const bool far = s.n * s.h * s.w * s.c >= kFar;
  for (int64_t q = q0, end; q < q1; q = end) {
    end = std::min({q1, (q / s.oh + 1) * s.oh, far ? q + 2 : q1});
    AddGradRows3x3<kStride>(plane, x + q / s.oh * s.h * s.w * s.c, q % s.oh, end - q / s.oh * s.oh, s.ow,
                            dy + q * s.ow * s.c, out, far);
  }
}

void DepthwiseGradKernel(ThreadPool& pool, const ConvShape& s, const float* x, const float* dy, float* dw,
                         float* workspace) {
  const int64_t size = s.kh * s.kw * s.k, parts = Parts(s);
  pool.For(parts, [&](int64_t part) HWY_ATTR {
    float* out = parts > 1 ? workspace + part * size : dw;
    const int64_t q0 = FirstRow(s, part), q1 = FirstRow(s, part + 1);
    if (By3x3(s)) {
      s.stride_w == 1 ? GradPart3x3<1>(s, x, dy, q0, q1, out) : GradPart3x3<2>(s, x, dy, q0, q1, out);
    } else if (s.k == s.c) {
      GradPart<Mode::kPlain>(s, x, dy, q0, q1, out);
    } else {
      GradPart<Mode::kSpread>(s, x, dy, q0, q1, out);
    }
  });
  if (parts > 1) SumPartials(pool, workspace, parts, size, dw);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace ingot::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ingot::cpu {
namespace {
HWY_EXPORT(RunDepthwise);
HWY_EXPORT(DepthwiseGradKernel);
}  // namespace

size_t DepthwiseConv2DWorkspace(const ConvShape& s) { return LinesSize(s.ow); }
size_t DepthwiseConv2DGradInputWorkspace(const ConvShape& s) { return LinesSize(s.w); }
size_t DepthwiseConv2DGradKernelWorkspace(const ConvShape& s) {
  return Parts(s) > 1 ? static_cast<size_t>(Parts(s) * s.kh * s.kw * s.k) : 0;
}

void DepthwiseConv2D(ThreadPool& pool, const ConvShape& s, const float* x, const float* w, const Epilogue& epilogue,
                     float* y, float* workspace) {
  ChosenTargets();
  HWY_DYNAMIC_DISPATCH(RunDepthwise)(pool, s, true, x, w, epilogue, y, workspace);
}

void DepthwiseConv2DGradInput(ThreadPool& pool, const ConvShape& s, const float* dy, const float* w, float* dx,
                              float* workspace) {
  ChosenTargets();
  HWY_DYNAMIC_DISPATCH(RunDepthwise)(pool, s, false, dy, w, {}, dx, workspace);
}

void DepthwiseConv2DGradKernel(ThreadPool& pool, const ConvShape& s, const float* x, const float* dy, float* dw,
                               float* workspace) {
  ChosenTargets();
  HWY_DYNAMIC_DISPATCH(DepthwiseGradKernel)(pool, s, x, dy, dw, workspace);
}

}  // namespace ingot::cpu
#endif  // HWY_ONCE
