// SPDX-License-Identifier: MIT
//
// Convolution and its gradient for the input: implicit matrix multiplication. A tile of up to 12 output pixels by
// two vectors of output channels stays in registers while all taps and input channels pass by:
//
//   acc[i][v] += x[pixel i, tap, c] * w[tap, c, v]
//
// Input of many channels is read in place. Each pixel of a tile has an address; a tap adds the same offset to all of
// them, and a pixel whose tap falls outside the image reads a row of zeros instead: one compare and blend per tap,
// nothing in the loop over channels. Where that loop is short (at most 48 channels) this would cost too much: there the
// part of the image that a block of windows covers is first copied to the stack with zeros around it, unless no window
// leaves the image (conv_common-inl.h). Then taps side by side are one run, and a pixel's address is all a tile needs.
//
// Weights are read as they lie (HWIO: a row of output channels for each tap and input channel) when rows are short
// or pixels few; else, and for a last panel narrower than the registers, they are packed into panels first. Who
// predicts again and again gives memory to keep them in, and then they are packed once.
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
constexpr int64_t kStreamed = int64_t{1} << 21;    // floats of an output that goes around the caches
constexpr int64_t kWidestPanel = 32;               // output channels of a panel on the widest target
constexpr int64_t kFewPixels = 128;                // not worth packing wide weights for
constexpr int64_t kManyPixels = 256;               // not worth packing them beforehand up to here
constexpr int64_t kShortRun = 48;                  // at most so many input channels: in blocks
constexpr int64_t kNear = int64_t{1} << 17;        // floats of weights that stay in the second cache
constexpr int64_t kKeptPixels = 4096;              // packed weights are worth being kept up to here

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

constexpr int kBlock = 96;          // pixels whose addresses are held at once
constexpr int64_t kCopied = 16384;  // floats of a block's copy on the stack
constexpr int64_t kHeld = 16;       // panels that are made once for many pixels

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

// Weights that fit into the nearest cache stay there while a tile writes all its channels; else a panel of them stays
// while all tiles of a block pass by.
bool Together(const Problem& p, int64_t panels) { return p.s.kh * p.s.kw * p.s.ci * kPanel * panels <= 12288; }

// What all tasks of a problem share.
struct Run {
  const Problem* p;
  const float* x;
  const Epilogue* epilogue;
  float* y;
  const float* zeros;
  const float* packed;  // panels from number packed0 on
  int64_t packed0;
  bool direct, stream;
};

// What a panel takes of the epilogue's vectors, if it is narrower than the registers.
struct Padded {
  alignas(64) float start[kPanel], scale[kPanel], shift[kPanel];
};

const float* Pad(const float* from, int64_t valid, float* to) {
  if (from != nullptr && valid == kPanel) return from;
  std::fill(to, to + kPanel, 0.0f);
  if (from != nullptr) std::copy_n(from, valid, to);
  return to;
}

Panel MakePanel(const Run& run, int64_t index, Padded& padded) {
  const Problem& p = *run.p;
  const int64_t per_group = CeilDiv(p.co, kPanel), g = index / per_group, o0 = index % per_group * kPanel;
  const int64_t rows = p.s.kh * p.s.kw * p.s.ci;
  Panel panel;
  panel.valid = std::min(kPanel, p.co - o0);
  panel.zeros = run.zeros;
  panel.stream = run.stream;
  panel.x_offset = g * p.s.ci * 4;
  panel.y_offset = g * p.co + o0;
  panel.w = run.direct ? p.w + g * p.co + o0 : run.packed + (index - run.packed0) * rows * kPanel;
  panel.ld = run.direct ? p.w_k : kPanel;
  const Epilogue& e = *run.epilogue;
  const auto part = [&](const float* from) { return from == nullptr ? nullptr : from + panel.y_offset; };
  panel.epilogue = &e;
  panel.start = Pad(e.scale == nullptr ? part(e.shift) : nullptr, panel.valid, padded.start);
  panel.scale = e.scale == nullptr ? nullptr : Pad(part(e.scale), panel.valid, padded.scale);
  panel.shift = e.scale == nullptr ? nullptr : Pad(part(e.shift), panel.valid, padded.shift);
  panel.residual = static_cast<int64_t>(reinterpret_cast<intptr_t>(e.residual) - reinterpret_cast<intptr_t>(run.y));
  return panel;
}

// Destination pixels [px0, px1) by panels [first, last), which may belong to several groups.
void RunPixels(const Run& run, int64_t px0, int64_t px1, int64_t first, int64_t last) {
  const Problem& p = *run.p;
  Panel panels[kHeld];
  Padded padded[kHeld];
  Tile tiles[kBlock / kTile + 1];
  const bool held = Together(p, last - first) && last - first <= kHeld;
  const int64_t step = held ? 1 : kBlock;
  if (held)
    for (int64_t i = first; i < last; ++i) panels[i - first] = MakePanel(run, i, padded[i - first]);
  for (int64_t px = px0; px < px1; px += kBlock) {
    const int made = SetTiles(p, run.x, run.y, px, std::min<int64_t>(kBlock, px1 - px), tiles);
    for (int64_t i = 0; i < made; i += step) {
      for (int64_t index = first; index < last; ++index) {
        if (!held) panels[0] = MakePanel(run, index, padded[0]);
        const Panel& panel = panels[held ? index - first : 0];
        for (int64_t j = i; j < std::min<int64_t>(made, i + step); ++j) RunTileOfAnySize(p.s, tiles[j], panel);
      }
    }
  }
  if (run.stream) hwy::FlushStream();
}

// A block of windows by one panel after the other.
void RunBlock(const Problem& p, const Block& block, const Source& source, float* to, const Panel* panels, int64_t count,
              Ahead& next) {
  const Windows& s = p.s;
  const bool side_by_side = s.dw == 1 && source.pixel == s.ci;
  const Runs runs = {s.kh, side_by_side ? 1 : s.kw, side_by_side ? s.kw * s.ci : s.ci, s.dh * source.row,
                     s.dw * source.pixel};
  Spots spots;
  spots.count = 0;
  for (int64_t row = 0; row < block.n * block.oh; ++row) {
    const int64_t n = row / block.oh, oh = row % block.oh;
    const float* x = source.x + n * source.image + oh * s.sh * source.row;
    float* y = to + (block.n0 + n) * p.y_image + (block.oh0 + oh) * p.y_row + block.ow0 * p.y_pixel;
    for (int64_t ow = 0; ow < block.ow; ++ow, x += s.sw * source.pixel, y += p.y_pixel) {
      spots.x[spots.count] = x, spots.y[spots.count] = y;
      const bool last = row + 1 == block.n * block.oh && ow + 1 == block.ow;
      if (++spots.count < kSpots && !last) continue;
      for (int i = spots.count; i < kSpots; ++i) spots.x[i] = x;
      next.Fetch();
      for (int64_t i = 0; i < count; ++i) RunSpotsOfAnySize(runs, spots, panels[i]);
      spots.count = 0;
    }
  }
}

// Blocks [b0, b1) by panels [first, last).
void RunBlocks(const Run& run, const Blocks& blocks, int64_t b0, int64_t b1, int64_t first, int64_t last) {
  const Problem& p = *run.p;
  const int64_t per_group = CeilDiv(p.co, kPanel), step = Together(p, last - first) ? kHeld : 1;
  alignas(64) float copy[kCopied];
  Panel panels[kHeld];
  Padded padded[kHeld];
  for (int64_t b = b0; b < b1; ++b) {
    const Block block = BlockAt(blocks, p.s, p.n, b);
    Ahead next;
    if (b + 1 < b1) {
      const int64_t times = block.n * block.oh * block.ow / kSpots + 1;
      next = AheadInImage(p.s, BlockAt(blocks, p.s, p.n, b + 1), run.x, times * CeilDiv(last - first, step));
    }
    for (int64_t g = first / per_group; g * per_group < last; ++g) {
      const Source source = MakeSource(blocks, p.s, block, run.x + g * p.s.ci, copy);
      const int64_t end = std::min(last, (g + 1) * per_group);
      for (int64_t index = std::max(first, g * per_group); index < end; index += step) {
        const int64_t held = std::min(step, end - index);
        for (int64_t i = 0; i < held; ++i) panels[i] = MakePanel(run, index + i, padded[i]);
        RunBlock(p, block, source, run.y, panels, held, next);
      }
    }
  }
  if (run.stream) hwy::FlushStream();
}

void RunProblem(ThreadPool& pool, const Problem& p, const float* x, const Epilogue& epilogue, float* y,
                float* workspace, int64_t capacity, const Kept& kept) {
  const int64_t pixels = p.n * p.s.oh * p.s.ow, rows = p.s.kh * p.s.kw * p.s.ci;
  if (pixels == 0) return;
  float* zeros = workspace;
  float* packed = kept.data != nullptr ? kept.data : workspace + CeilDiv(p.s.ci, 16) * 16;
  std::memset(zeros, 0, sizeof(float) * static_cast<size_t>(p.s.ci));
  const bool direct =
      kept.data == nullptr && !p.exchanged && p.co % kLanes == 0 && (p.w_k <= 64 || pixels < kFewPixels);
  // An output larger than the caches is not fetched into them only to be overwritten.
  const bool stream = pixels * p.groups * p.co >= kStreamed && p.co % kLanes == 0 && p.y_pixel % kLanes == 0 &&
                      reinterpret_cast<uintptr_t>(y) % (sizeof(float) * kLanes) == 0;
  const int64_t panels = p.groups * CeilDiv(p.co, kPanel);
  const bool all = direct || rows == 0 || kept.data != nullptr;
  const int64_t chunk = all ? panels : std::min(panels, capacity / (rows * kPanel));
  const Blocks blocks(p.s, p.n, kCopied);
  const bool in_blocks = p.s.ci <= kShortRun && blocks.cols > 0;
  // Few pixels are cut into small units, so that threads get equal shares, if weights are near enough to be read by
  // each.
  const bool near = rows * kPanel * panels <= kNear;
  const int64_t unit = near ? std::min<int64_t>(CeilDiv(pixels, 96) * 12, kBlock) : kBlock;
  const int64_t units = in_blocks ? blocks.count : CeilDiv(pixels, unit);
  for (int64_t p0 = 0; p0 < panels; p0 += chunk) {
    const int64_t p1 = std::min(panels, p0 + chunk);
    const int64_t work = 2 * pixels * rows * kPanel * (p1 - p0);
    const bool small = work < 500000;
    // Where pixels are too few to share the packed weights among tasks, a task packs a panel when it comes to it.
    const bool own = !all && !in_blocks && pixels <= kManyPixels && p1 - p0 >= 8;
    const auto pack = [&](int64_t i) HWY_ATTR { Pack(p, p0 + i, packed + i * rows * kPanel); };
    if (!direct && !own && !kept.fresh) {
      if (rows * kPanel * (p1 - p0) < 32768) {
        for (int64_t i = 0; i < p1 - p0; ++i) pack(i);
      } else {
        pool.For(p1 - p0, pack);
      }
    }
    // Tasks of a microsecond to a millisecond, not of the least where each has to copy its block; split by panels where
    // pixels are few.
    const int64_t least = in_blocks ? 500000 : 200000;
    const int64_t task_work = std::clamp<int64_t>(work / 64, least, 20000000);
    const int64_t task = small || own ? units : CeilDiv(task_work, std::max<int64_t>(1, work / units));
    const int64_t tasks = CeilDiv(units, task);
    int64_t splits = small || tasks >= 16 ? 1 : std::min(p1 - p0, CeilDiv(own ? 64 : 16, tasks));
    splits = std::min(splits, std::max<int64_t>(1, work / tasks / least));
    const Run run = {&p, x, &epilogue, y, zeros, packed, p0, direct, stream};
    pool.For(tasks * splits, [&](int64_t i) HWY_ATTR {
      const int64_t u0 = i / splits * task, u1 = std::min(units, u0 + task), part = i % splits;
      const int64_t first = p0 + (p1 - p0) * part / splits, last = p0 + (p1 - p0) * (part + 1) / splits;
      if (in_blocks) return RunBlocks(run, blocks, u0, u1, first, last);
      if (!own) return RunPixels(run, u0 * unit, std::min(pixels, u1 * unit), first, last);
      for (int64_t panel = first; panel < last; ++panel) {
        pack(panel - p0);
        RunPixels(run, 0, pixels, panel, panel + 1);
      }
    });
  }
}

void Forward(ThreadPool& pool, const ConvShape& s, const float* x, const float* w, const Epilogue& epilogue, float* y,
             float* workspace, const Kept& kept) {
  Problem p;
  p.s = {s.h,  s.w,        s.c,        s.c / s.groups, s.oh,         s.ow,      s.kh,
         s.kw, s.stride_h, s.stride_w, s.dilation_h,   s.dilation_w, s.pad_top, s.pad_left};
  p.n = s.n, p.co = s.k / s.groups, p.groups = s.groups;
  p.y_image = s.oh * s.ow * s.k, p.y_row = s.ow * s.k, p.y_pixel = s.k;
  p.w = w, p.w_kw = s.kw, p.w_c = s.c / s.groups, p.w_k = s.k;
  p.kh0 = p.kw0 = 0, p.kh_step = p.kw_step = 1;
  p.exchanged = false;
  RunProblem(pool, p, x, epilogue, y, workspace, PackedSize(s.kh * s.kw * p.s.ci, p.co, s.groups), kept);
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
      RunProblem(pool, p, dy, {}, dx + (v.first * s.w + u.first) * s.c, workspace,
                 PackedSize(s.kh * s.kw * ci, co, s.groups), {});
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
bool MayKeep(const ConvShape& s) {
  const int64_t pixels = s.n * s.oh * s.ow;
  return !Depthwise(s) && pixels > 0 && pixels <= kKeptPixels;
}
bool KeepsForWinograd(const ConvShape& s) { return MayKeep(s) && WinogradPays(s, true); }
}  // namespace

size_t Conv2DWorkspace(const ConvShape& s) {
  if (Depthwise(s)) return DepthwiseConv2DWorkspace(s);
  if (WinogradPays(s)) return WinogradWorkspace(s);
  const int64_t ci = s.c / s.groups;
  const auto direct =
      static_cast<size_t>(CeilDiv(ci, 16) * 16 + PackedSize(s.kh * s.kw * ci, s.k / s.groups, s.groups));
  return KeepsForWinograd(s) ? std::max(direct, WinogradWorkspace(s)) : direct;
}

size_t Conv2DKept(const ConvShape& s) {
  if (!MayKeep(s)) return 0;
  if (KeepsForWinograd(s)) return WinogradKept(s);
  return static_cast<size_t>(s.kh * s.kw * s.c * CeilDiv(s.k / s.groups, kWidestPanel) * kWidestPanel);
}

size_t Conv2DGradInputWorkspace(const ConvShape& s) {
  if (Depthwise(s)) return DepthwiseConv2DGradInputWorkspace(s);
  if (WinogradGradInputPays(s)) return WinogradGradInputWorkspace(s);
  const int64_t ci = s.k / s.groups;
  return static_cast<size_t>(CeilDiv(ci, 16) * 16 + PackedSize(s.kh * s.kw * ci, s.c / s.groups, s.groups));
}

void Conv2D(ThreadPool& pool, const ConvShape& s, const float* x, const float* w, const Epilogue& epilogue, float* y,
            float* workspace, const Kept& kept) {
  if (Depthwise(s)) return DepthwiseConv2D(pool, s, x, w, epilogue, y, workspace);
  if (kept.data != nullptr ? KeepsForWinograd(s) : WinogradPays(s))
    return WinogradConv2D(pool, s, x, w, epilogue, y, workspace, kept);
  ChosenTargets();
  HWY_DYNAMIC_DISPATCH(Forward)(pool, s, x, w, epilogue, y, workspace, kept);
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
