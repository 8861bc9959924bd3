// SPDX-License-Identifier: MIT
//
// Convolution and its gradient for the input: implicit matrix multiplication. A tile of up to 12 output pixels by
// two vectors of output channels stays in registers while all taps and input channels pass by:
//
//   acc[i][v] += x[pixel i, tap, c] * w[tap, c, v]
//
// The input is read in place. Each pixel of a tile has an address; a tap adds the same offset to all of them, and a
// pixel whose tap falls outside the image reads a row of zeros instead: one compare and blend per tap, nothing in
// the loop over channels. Where that loop would be short (fewer than 16 channels) the taps of a block of pixels are
// first copied into columns on the stack, and the tile runs over tap and channel at once.
//
// Weights are read as they lie (HWIO: a row of output channels for each tap and input channel) when rows are short
// or pixels few; else, and for a last panel narrower than the registers, they are packed into panels first.
//
// Gradient for the input. dx[ih] = sum over kh of dy[oh] w[kh] with oh*stride - pad + kh*dilation = ih. Rows with
// the same p = (ih + pad) mod stride form a phase: they use the taps with kh*dilation = p (mod stride), which are
// kh = k0 + j*stride/g, g = gcd(dilation, stride), and then oh = const + q - j*dilation/g for the q-th row of the
// phase. That is a convolution of stride 1 and dilation dilation/g over dy with the taps reversed and the
// channels exchanged, written to every stride-th row; phases without taps write zeros. Columns alike.
//
// An output larger than the caches is written around them (half the traffic: a line need not be read first).
//
// Invariant: an output is the sum over taps, then channels, in ascending order by fused multiply-adds, and tiles are
// cut by the shape alone; so threads do not change the bits.
#include "ingot/kernels/cpu/conv.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <numeric>

#include "ingot/kernels/cpu/depthwise.h"
#include "ingot/kernels/cpu/targets.h"
#include "ingot/kernels/cpu/winograd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ingot/kernels/cpu/conv.cc"
#include "hwy/foreach_target.h"
// After foreach_target.h:
#include "hwy/cache_control.h"
#include "hwy/highway.h"
#include "ingot/kernels/cpu/conv_common-inl.h"
#include "ingot/kernels/cpu/conv_tile-inl.h"

#ifndef INGOT_KERNELS_CPU_CONV_CC_ONCE_
#define INGOT_KERNELS_CPU_CONV_CC_ONCE_
namespace ingot::cpu {
namespace {

constexpr int64_t kMaxPacked = int64_t{12} << 20;  // floats of packed weights
constexpr int64_t kStreamed = int64_t{8} << 20;    // floats of an output that goes around the caches
constexpr int64_t kWidestPanel = 32;               // output channels of a panel on the widest target
constexpr int64_t kShortRun = 16;                  // below: columns
constexpr int64_t kMaxColumn = 1024;               // above: no columns, they live on the stack

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Floats of packed weights that a problem with `rows` = taps * input channels may use.
int64_t PackedSize(int64_t rows, int64_t co, int64_t groups) {
  const int64_t all = rows * groups * CeilDiv(co, kWidestPanel) * kWidestPanel;
  return std::max(rows * kWidestPanel, std::min(all, kMaxPacked));
}

}  // namespace
}  // namespace ingot::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace ingot::cpu {
namespace HWY_NAMESPACE {
namespace {

constexpr int kBlock = 96;           // pixels whose addresses are held at once
constexpr int64_t kColumns = 16384;  // floats of columns on the stack

// One dense convolution as the tiles see it: windows over a source, weights [tap][ci][co], a strided destination.
struct Problem {
  Windows s;
  int64_t n, co, groups;
  int64_t y_image, y_row, y_pixel;  // floats from image to image, row to row, pixel to pixel of the destination
  // Where weight (tap a, b; input channel i; output channel o) lies: kernel row kh0 + a * kh_step and so on.
  const float* w;
  int64_t w_kw, w_c, w_k;  // the kernel's KW, C/groups, K
  int64_t kh0, kh_step, kw0, kw_step;
  bool exchanged;  // input channels run along K
};

// Fills tiles for destination pixels [first, first + count); lanes beyond the last pixel repeat it.
int SetTiles(const Problem& p, const float* x, float* y, int64_t first, int64_t count, Tile* tiles) {
  const Windows& s = p.s;
  int64_t ow = first % s.ow, oh = first / s.ow % s.oh, n = first / s.ow / s.oh;
  int made = 0;
  for (int64_t done = 0; done < count; ++made) {
    Tile& t = tiles[made];
    t.count = static_cast<int>(std::min<int64_t>(kTile, count - done));
    for (int i = 0; i < 16; ++i) {
      if (i >= t.count) {
        t.base[i] = t.base[i - 1], t.row[i] = t.row[i - 1], t.col[i] = t.col[i - 1], t.y[i] = t.y[i - 1];
        continue;
      }
      t.row[i] = oh * s.sh - s.pt;
      t.col[i] = ow * s.sw - s.pl;
      t.base[i] =
          static_cast<int64_t>(reinterpret_cast<intptr_t>(x)) + ((n * s.h + t.row[i]) * s.w + t.col[i]) * s.c * 4;
      t.y[i] = y + n * p.y_image + oh * p.y_row + ow * p.y_pixel;
      if (++ow == s.ow) {
        ow = 0;
        if (++oh == s.oh) oh = 0, ++n;
      }
    }
    done += t.count;
  }
  return made;
}

// Packs panel `index` (of all groups) into dst [tap][ci][kPanel], zeros behind the last channel.
void Pack(const Problem& p, int64_t index, float* dst) {
  const int64_t per_group = CeilDiv(p.co, kPanel), g = index / per_group, o0 = index % per_group * kPanel;
  const int64_t valid = std::min(kPanel, p.co - o0), ci = p.s.ci;
  for (int64_t a = 0; a < p.s.kh; ++a) {
    for (int64_t b = 0; b < p.s.kw; ++b, dst += ci * kPanel) {
      const float* tap = p.w + ((p.kh0 + a * p.kh_step) * p.w_kw + p.kw0 + b * p.kw_step) * p.w_c * p.w_k;
      if (!p.exchanged) {
        for (int64_t i = 0; i < ci; ++i) {
          const float* src = tap + i * p.w_k + g * p.co + o0;
          for (int64_t v = 0; v < kPanel; v += kLanes)
            hn::StoreU(LoadUpTo(src + v, valid - v), D(), dst + i * kPanel + v);
        }
        continue;
      }
      if (valid < kPanel) std::memset(dst, 0, sizeof(float) * static_cast<size_t>(ci * kPanel));
      for (int64_t i0 = 0; i0 < ci; i0 += 16) {  // blocks that stay in the nearest cache
        const int64_t i1 = std::min(ci, i0 + 16);
        for (int64_t o = 0; o < valid; ++o) {
          const float* src = tap + (o0 + o) * p.w_k + g * ci;
          for (int64_t i = i0; i < i1; ++i) dst[i * kPanel + o] = src[i];
        }
      }
    }
  }
}

// What all tasks of a problem share.
struct Run {
  const Problem* p;
  const float* x;
  const float* bias;  // may be null
  float* y;
  const float* zeros;
  const float* packed;  // panels from number packed0 on
  int64_t packed0;
  bool relu, direct, columns, stream;
};

Panel MakePanel(const Run& run, int64_t index, float* bias) {
  const Problem& p = *run.p;
  const int64_t per_group = CeilDiv(p.co, kPanel), g = index / per_group, o0 = index % per_group * kPanel;
  const int64_t rows = p.s.kh * p.s.kw * p.s.ci;
  Panel panel;
  panel.valid = std::min(kPanel, p.co - o0);
  panel.zeros = run.zeros;
  panel.relu = run.relu;
  panel.stream = run.stream;
  panel.x_offset = run.columns ? 0 : g * p.s.ci * 4;
  panel.y_offset = g * p.co + o0;
  panel.w = run.direct ? p.w + g * p.co + o0 : run.packed + (index - run.packed0) * rows * kPanel;
  panel.ld = run.direct ? p.w_k : kPanel;
  std::fill(bias, bias + kPanel, 0.0f);
  if (run.bias != nullptr) std::copy_n(run.bias + panel.y_offset, panel.valid, bias);
  panel.bias = bias;
  return panel;
}

// Destination pixels [px0, px1) by panels [first, last), which may belong to several groups.
void RunPixels(const Run& run, int64_t px0, int64_t px1, int64_t first, int64_t last) {
  const Problem& p = *run.p;
  const int64_t per_group = CeilDiv(p.co, kPanel), rows = p.s.kh * p.s.kw * p.s.ci, ld = CeilDiv(rows, 4) * 4;
  alignas(64) float col[kColumns + kLanes];
  alignas(64) float bias[kPanel];
  Tile tiles[kBlock / kTile + 1];
  const Windows column = {1, 1, ld, rows, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0};  // a column is an image of one pixel
  const int64_t block = run.columns ? std::min<int64_t>(kBlock, kColumns / ld / kTile * kTile) : kBlock;
  // Weights that fit into the nearest cache stay there while a tile writes all its channels; else a panel of them
  // stays while all tiles of the block pass by.
  const bool near = rows * kPanel * (last - first) <= 12288;
  for (int64_t px = px0; px < px1; px += block) {
    const int64_t count = std::min(block, px1 - px);
    const int made = SetTiles(p, run.x, run.y, px, count, tiles), step = near ? 1 : made;
    for (int64_t g = first / per_group; g * per_group < last; ++g) {
      if (run.columns) {
        FillColumns(p.s, run.x + g * p.s.ci, px, count, col, ld);
        for (int64_t i = 0; i < made * 16; ++i) {  // lanes beyond the last pixel repeat it, as in SetTiles
          Tile& t = tiles[i / 16];
          const int64_t pixel = std::min<int64_t>(i / 16 * kTile + i % 16, count - 1);
          t.base[i % 16] = static_cast<int64_t>(reinterpret_cast<intptr_t>(col + pixel * ld));
          t.row[i % 16] = t.col[i % 16] = 0;
        }
      }
      for (int i = 0; i < made; i += step) {
        for (int64_t index = std::max(first, g * per_group); index < std::min(last, (g + 1) * per_group); ++index) {
          const Panel panel = MakePanel(run, index, bias);
          for (int j = i; j < i + step; ++j) RunTileOfAnySize(run.columns ? column : p.s, tiles[j], panel);
        }
      }
    }
  }
  if (run.stream) hwy::FlushStream();
}

void RunProblem(ThreadPool& pool, const Problem& p, const float* x, const float* bias, bool relu, float* y,
                float* workspace, int64_t capacity) {
  const int64_t pixels = p.n * p.s.oh * p.s.ow, rows = p.s.kh * p.s.kw * p.s.ci;
  if (pixels == 0) return;
  float* zeros = workspace;
  float* packed = workspace + CeilDiv(p.s.ci, 16) * 16;
  std::memset(zeros, 0, sizeof(float) * static_cast<size_t>(p.s.ci));
  const bool columns = p.s.ci < kShortRun && rows > p.s.ci && rows <= kMaxColumn;
  const bool direct = !p.exchanged && p.co % kLanes == 0 && (p.w_k <= 64 || pixels < 128);
  // An output larger than the caches is not fetched into them only to be overwritten.
  const bool stream = pixels * p.groups * p.co >= kStreamed && p.co % kLanes == 0 && p.y_pixel % kLanes == 0 &&
                      reinterpret_cast<uintptr_t>(y) % (sizeof(float) * kLanes) == 0;
  const int64_t panels = p.groups * CeilDiv(p.co, kPanel);
  const int64_t chunk = direct || rows == 0 ? panels : std::min(panels, capacity / (rows * kPanel));
  for (int64_t p0 = 0; p0 < panels; p0 += chunk) {
    const int64_t p1 = std::min(panels, p0 + chunk);
    const int64_t work = 2 * pixels * rows * kPanel * (p1 - p0);
    const bool small = work < 1000000;
    if (!direct) {
      const auto pack = [&](int64_t i) HWY_ATTR { Pack(p, p0 + i, packed + i * rows * kPanel); };
      if (rows * kPanel * (p1 - p0) < 32768) {
        for (int64_t i = 0; i < p1 - p0; ++i) pack(i);
      } else {
        pool.For(p1 - p0, pack);
      }
    }
    // Tasks of some microseconds to a millisecond; split by panels where pixels are few.
    const int64_t task_work = std::clamp<int64_t>(work / 64, 500000, 20000000);
    int64_t task = CeilDiv(CeilDiv(task_work, std::max<int64_t>(1, work / pixels)), kBlock) * kBlock;
    if (small) task = pixels;
    const int64_t blocks = CeilDiv(pixels, task);
    int64_t splits = small || blocks >= 16 ? 1 : std::min(p1 - p0, CeilDiv(16, blocks));
    splits = std::min(splits, std::max<int64_t>(1, work / blocks / 500000));
    const Run run = {&p, x, bias, y, zeros, packed, p0, relu, direct, columns, stream};
    pool.For(blocks * splits, [&](int64_t i) HWY_ATTR {
      const int64_t px = i / splits * task, part = i % splits;
      RunPixels(run, px, std::min(pixels, px + task), p0 + (p1 - p0) * part / splits,
                p0 + (p1 - p0) * (part + 1) / splits);
    });
  }
}

void Forward(ThreadPool& pool, const ConvShape& s, const float* x, const float* w, const float* bias, bool relu,
             float* y, float* workspace) {
  Problem p;
  p.s = {s.h,  s.w,        s.c,        s.c / s.groups, s.oh,         s.ow,      s.kh,
         s.kw, s.stride_h, s.stride_w, s.dilation_h,   s.dilation_w, s.pad_top, s.pad_left};
  p.n = s.n, p.co = s.k / s.groups, p.groups = s.groups;
  p.y_image = s.oh * s.ow * s.k, p.y_row = s.ow * s.k, p.y_pixel = s.k;
  p.w = w, p.w_kw = s.kw, p.w_c = s.c / s.groups, p.w_k = s.k;
  p.kh0 = p.kw0 = 0, p.kh_step = p.kw_step = 1;
  p.exchanged = false;
  RunProblem(pool, p, x, bias, relu, y, workspace, PackedSize(s.kh * s.kw * p.s.ci, p.co, s.groups));
}

// One dimension of a phase, see the head of this file.
struct Phase {
  int64_t first, count;      // destination rows first, first + stride, ...
  int64_t k0, k_step, taps;  // taps in descending order
  int64_t pad, dilation;     // of the convolution over dy
};

Phase MakePhase(int64_t phase, int64_t size, int64_t kernel, int64_t stride, int64_t dilation, int64_t pad) {
  Phase r{};
  r.first = ((phase - pad) % stride + stride) % stride;
  r.count = r.first < size ? (size - 1 - r.first) / stride + 1 : 0;
  const int64_t g = std::gcd(stride, dilation), step = stride / g;
  int64_t k0 = 0;
  while (k0 < kernel && k0 < step && k0 * dilation % stride != phase) ++k0;
  r.dilation = dilation / g;
  if (k0 >= kernel || k0 >= step) return r;
  r.taps = (kernel - 1 - k0) / step + 1;
  r.k0 = k0 + (r.taps - 1) * step;
  r.k_step = -step;
  r.pad = (r.taps - 1) * r.dilation - (r.first + pad - k0 * dilation) / stride;
  return r;
}

void GradInput(ThreadPool& pool, const ConvShape& s, const float* dy, const float* w, float* dx, float* workspace) {
  const int64_t ci = s.k / s.groups, co = s.c / s.groups;
  for (int64_t a = 0; a < s.stride_h; ++a) {
    const Phase v = MakePhase(a, s.h, s.kh, s.stride_h, s.dilation_h, s.pad_top);
    for (int64_t b = 0; b < s.stride_w && v.count > 0; ++b) {
      const Phase u = MakePhase(b, s.w, s.kw, s.stride_w, s.dilation_w, s.pad_left);
      if (u.count == 0) continue;
      Problem p;
      p.s = {s.oh, s.ow, s.k, ci, v.count, u.count, v.taps, u.taps, 1, 1, v.dilation, u.dilation, v.pad, u.pad};
      p.n = s.n, p.co = co, p.groups = s.groups;
      p.y_image = s.h * s.w * s.c, p.y_row = s.stride_h * s.w * s.c, p.y_pixel = s.stride_w * s.c;
      p.w = w, p.w_kw = s.kw, p.w_c = co, p.w_k = s.k;
      p.kh0 = v.k0, p.kh_step = v.k_step, p.kw0 = u.k0, p.kw_step = u.k_step;
      p.exchanged = true;
      RunProblem(pool, p, dy, nullptr, false, dx + (v.first * s.w + u.first) * s.c, workspace,
                 PackedSize(s.kh * s.kw * ci, co, s.groups));
    }
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace ingot::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ingot::cpu {
namespace {
HWY_EXPORT(Forward);
HWY_EXPORT(GradInput);

bool Depthwise(const ConvShape& s) { return s.groups > 1 && s.groups == s.c; }
}  // namespace

size_t Conv2DWorkspace(const ConvShape& s) {
  if (Depthwise(s)) return DepthwiseConv2DWorkspace(s);
  if (WinogradPays(s)) return WinogradWorkspace(s);
  const int64_t ci = s.c / s.groups;
  return static_cast<size_t>(CeilDiv(ci, 16) * 16 + PackedSize(s.kh * s.kw * ci, s.k / s.groups, s.groups));
}

size_t Conv2DGradInputWorkspace(const ConvShape& s) {
  if (Depthwise(s)) return DepthwiseConv2DGradInputWorkspace(s);
  if (WinogradGradInputPays(s)) return WinogradGradInputWorkspace(s);
  const int64_t ci = s.k / s.groups;
  return static_cast<size_t>(CeilDiv(ci, 16) * 16 + PackedSize(s.kh * s.kw * ci, s.c / s.groups, s.groups));
}

void Conv2D(ThreadPool& pool, const ConvShape& s, const float* x, const float* w, const float* bias, bool relu,
            float* y, float* workspace) {
  if (Depthwise(s)) return DepthwiseConv2D(pool, s, x, w, bias, relu, y, workspace);
  if (WinogradPays(s)) return WinogradConv2D(pool, s, x, w, bias, relu, y, workspace);
  ChosenTargets();
  HWY_DYNAMIC_DISPATCH(Forward)(pool, s, x, w, bias, relu, y, workspace);
}

void Conv2DGradInput(ThreadPool& pool, const ConvShape& s, const float* dy, const float* w, float* dx,
                     float* workspace) {
  if (Depthwise(s)) return DepthwiseConv2DGradInput(pool, s, dy, w, dx, workspace);
  if (WinogradGradInputPays(s)) return WinogradGradInput(pool, s, dy, w, dx, workspace);
  ChosenTargets();
  HWY_DYNAMIC_DISPATCH(GradInput)(pool, s, dy, w, dx, workspace);
}

}  // namespace ingot::cpu
#endif  // HWY_ONCE
