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
#include "ingot/kernels/cpu/epilogue-inl.h"

#ifndef INGOT_KERNELS_CPU_DEPTHWISE_CC_ONCE_
#define INGOT_KERNELS_CPU_DEPTHWISE_CC_ONCE_
namespace ingot::cpu {
namespace {

constexpr int64_t kMaxParts = 32;

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

int64_t Parts(const ConvShape& s) {
  const int64_t rows = s.n * s.oh, size = s.kh * s.kw * s.k;
  return std::max<int64_t>(1, std::min({kMaxParts, rows, (int64_t{4} << 20) / size, rows * s.ow * size / 100000}));
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
  const float* w;
  Epilogue epilogue;
  const float* y;
};

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

// What becomes of the sums of kPixels pixels, `y_step` apart, at channels from o on; they are then written.
template <int kPixels, bool kWhole>
HWY_INLINE void Finish(const Problem& p, V shift, float* y, int64_t y_step, int64_t o, V (&acc)[kPixels]) {
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
    for (int i = 0; i < kPixels; ++i) acc[i] = hn::Add(acc[i], load(e.residual + (y - p.y) + i * y_step + o));
  };
  if (e.residual != nullptr && !e.residual_last) add_residual();
  Activate(e, acc);
  if (e.residual != nullptr && e.residual_last) add_residual();
  HWY_UNROLL(4)
  for (int i = 0; i < kPixels; ++i) StoreUpTo(acc[i], y + i * y_step + o, kWhole ? kLanes : left);
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

// The rows that a row of the output sees through a kernel of 3 x 3; one outside the image is a vector of zeros, again
// and again.
struct Rows3 {
  const float* row[3];
  int64_t step[3];  // from column to column
};

// The same for a kernel of 3 x 3, which nearly all are, forward: neighbours share what they load. `first`: the column
// of the first tap. kInside: all columns are in the image. Addresses are made one from another; as an array they would
// take up the registers.
template <int kStride, int kPixels, bool kInside, bool kWhole>
HWY_INLINE void RunPixels3x3(const Problem& p, const Rows3& rows, int64_t first, float* y, int64_t o) {
  constexpr int kColumns = kPixels * kStride + 3 - kStride;
  const D d;
  const auto load = [&](const float* from)
                        HWY_ATTR { return kWhole ? hn::LoadU(d, from) : LoadFirst(from, p.channels - o); };
  const V shift = Shift<kWhole>(p, o);
  V acc[kPixels];
  HWY_UNROLL(4)
  for (int i = 0; i < kPixels; ++i) acc[i] = p.epilogue.scale == nullptr ? shift : hn::Zero(d);
  const float* w = p.w + o;
  HWY_UNROLL(3)
  for (int a = 0; a < 3; ++a) {
    const int64_t step = rows.step[a];
    const float* x = rows.row[a] + (step == 0 ? 0 : o + first * step);
    V in[kColumns], weight[3];
    HWY_UNROLL(3)
    for (int b = 0; b < 3; ++b, w += p.k) weight[b] = load(w);
    HWY_UNROLL(9)
    for (int c = 0; c < kColumns; ++c, x += step)
      in[c] = kInside || (first + c >= 0 && first + c < p.u.in) ? load(x) : hn::Zero(d);
    HWY_UNROLL(4)
    for (int i = 0; i < kPixels; ++i) {
      HWY_UNROLL(3)
      for (int b = 0; b < 3; ++b) acc[i] = hn::MulAdd(in[i * kStride + b], weight[b], acc[i]);
    }
  }
  Finish<kPixels, kWhole>(p, shift, y, p.channels, o, acc);
}

// Pixels [u, u + kPixels) of a row.
template <int kStride, int kPixels, bool kInside>
HWY_NOINLINE void RunBlock3x3(const Problem& p, const Rows3& rows, int64_t u, float* y) {
  const int64_t first = u * kStride - p.u.pad;
  y += u * p.channels;
  int64_t o = 0;
  for (; o + kLanes <= p.channels; o += kLanes) RunPixels3x3<kStride, kPixels, kInside, true>(p, rows, first, y, o);
  if (o < p.channels) RunPixels3x3<kStride, kPixels, kInside, false>(p, rows, first, y, o);
}

template <int kStride>
void RunRow3x3(const Problem& p, int64_t row, const float* image, float* y) {
  alignas(64) const float zeros[kLanes] = {};
  Rows3 rows;
  for (int64_t a = 0; a < 3; ++a) {
    const int64_t i = row * p.v.stride - p.v.pad + a * p.v.dilation;
    const bool inside = i >= 0 && i < p.v.in;
    rows.row[a] = inside ? image + i * p.u.in * p.channels : zeros;
    rows.step[a] = inside ? p.channels : 0;
  }
  const auto inside = [&](int64_t u, int64_t pixels) HWY_ATTR {
    return u * kStride >= p.u.pad && (u + pixels - 1) * kStride - p.u.pad + 3 <= p.u.in && u + pixels <= p.u.out;
  };
  for (int64_t u = 0; u < p.u.out;) {
    if (inside(u, 4)) {
      RunBlock3x3<kStride, 4, true>(p, rows, u, y);
      u += 4;
    } else if (inside(u, 2)) {
      RunBlock3x3<kStride, 2, true>(p, rows, u, y);
      u += 2;
    } else {
      RunBlock3x3<kStride, 1, false>(p, rows, u++, y);
    }
  }
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

void RunDepthwise(ThreadPool& pool, const ConvShape& s, bool forward, const float* x, const float* w,
                  const Epilogue& epilogue, float* y, float* workspace) {
  Problem p;
  p.v = {forward ? s.h : s.oh, forward ? s.oh : s.h, s.kh, s.stride_h, s.dilation_h, s.pad_top, forward};
  p.u = {forward ? s.w : s.ow, forward ? s.ow : s.w, s.kw, s.stride_w, s.dilation_w, s.pad_left, forward};
  p.n = s.n, p.channels = forward ? s.k : s.c, p.in_channels = forward ? s.c : s.k, p.k = s.k, p.m = s.k / s.c;
  p.w = w, p.epilogue = epilogue, p.y = y;
  Line* cols = reinterpret_cast<Line*>(workspace);
  for (int64_t i = 0; i < p.u.out; ++i) ::new (cols + i) Line(p.u.At(i));
  const int by_3 = forward && p.m == 1 && s.kh == 3 && s.kw == 3 && s.dilation_w == 1 && s.stride_w <= 2
                       ? static_cast<int>(s.stride_w)
                       : 0;
  const int64_t rows = p.n * p.v.out, row_work = 2 * p.u.out * s.kh * s.kw * s.k;
  const int64_t task = rows * row_work < 200000 ? std::max<int64_t>(rows, 1) : std::max<int64_t>(1, 100000 / row_work);
  pool.For((rows + task - 1) / task, [&](int64_t t) HWY_ATTR {
    for (int64_t r = t * task; r < std::min(rows, (t + 1) * task); ++r) {
      const float* image = x + r / p.v.out * p.v.in * p.u.in * p.in_channels;
      float* dst = y + r * p.u.out * p.channels;
      if (by_3 == 1) {
        RunRow3x3<1>(p, r % p.v.out, image, dst);
        continue;
      }
      if (by_3 == 2) {
        RunRow3x3<2>(p, r % p.v.out, image, dst);
        continue;
      }
      const Line row = p.v.At(r % p.v.out);
      if (p.m == 1) {
        RunRow<Mode::kPlain>(p, row, cols, image, dst);
      } else if (forward) {
        RunRow<Mode::kSpread>(p, row, cols, image, dst);
      } else {
        RunRow<Mode::kCollect>(p, row, cols, image, dst);
      }
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

void DepthwiseGradKernel(ThreadPool& pool, const ConvShape& s, const float* x, const float* dy, float* dw,
                         float* workspace) {
  const int64_t size = s.kh * s.kw * s.k, rows = s.n * s.oh, parts = Parts(s);
  pool.For(parts, [&](int64_t part) HWY_ATTR {
    float* out = parts > 1 ? workspace + part * size : dw;
    const int64_t q0 = rows * part / parts, q1 = rows * (part + 1) / parts;
    if (s.k == s.c) {
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
