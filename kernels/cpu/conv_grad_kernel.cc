// SPDX-License-Identifier: MIT
//
// The gradient of a convolution for its kernel. For each tap it is a product of matrices whose inner dimension are
// the output pixels:
//
//   dw[tap, c, k] = sum over pixels of x[pixel moved by the tap, c] * dy[pixel, k]
//
// A tile of up to 12 input channels by two vectors of output channels stays in registers while pixels pass by. For
// a tap, a row of the output has one range of pixels whose input lies inside the image, so borders cost nothing.
// Where input channels are few (< 16), or output channels fill but one vector, a tile takes rows of dw of any tap, and
// up to 24 of them: the part of the image that a block of pixels sees is copied with zeros around it, so that all taps
// see the same pixels. So it is where no window leaves the image, and nothing need be copied.
//
// The rows of all images are cut into parts, by shape alone. Each part has a copy of dw in the workspace, summed in
// fixed order at the end; a part runs through its rows in blocks that stay in the cache while all tiles visit them.
// Large kernels have one part, and their tiles are dealt out to the threads instead.
#include <algorithm>
#include <cstdint>
#include <cstring>

#include "ingot/kernels/cpu/conv.h"
#include "ingot/kernels/cpu/depthwise.h"
#include "ingot/kernels/cpu/targets.h"
#include "ingot/kernels/cpu/winograd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ingot/kernels/cpu/conv_grad_kernel.cc"
#include "hwy/foreach_target.h"
// After foreach_target.h:
#include "hwy/cache_control.h"
#include "hwy/highway.h"
#include "ingot/kernels/cpu/conv_common-inl.h"

#ifndef INGOT_KERNELS_CPU_CONV_GRAD_KERNEL_CC_ONCE_
#define INGOT_KERNELS_CPU_CONV_GRAD_KERNEL_CC_ONCE_
namespace ingot::cpu {
namespace {

constexpr int64_t kMaxParts = 32;
constexpr int64_t kMaxPartials = int64_t{4} << 20;  // floats of all parts
constexpr int64_t kShortRun = 16;

int64_t KernelSize(const ConvShape& s) { return s.kh * s.kw * (s.c / s.groups) * s.k; }
int64_t Work(const ConvShape& s) { return 2 * s.n * s.oh * s.ow * KernelSize(s); }

int64_t Parts(const ConvShape& s) {
  const int64_t rows = s.n * s.oh;
  return std::max<int64_t>(
      1, std::min({kMaxParts, rows, rows * s.ow / 64, kMaxPartials / KernelSize(s), Work(s) / 1000000}));
}

}  // namespace
}  // namespace ingot::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace ingot::cpu {
namespace HWY_NAMESPACE {
namespace {

constexpr int kTile = kLanes >= 16 ? 12 : 6;
constexpr int64_t kPanel = 2 * kLanes;
constexpr int64_t kCopied = 16384;      // floats of a copy on the stack
constexpr int64_t kCacheBlock = 49152;  // floats of x and dy that all tiles visit before the next block

// Output rows [q0, q1) of all images, seen through one tap.
struct Rows {
  Windows s;
  int64_t q0, q1, kh, kw;
  int64_t k;    // floats from pixel to pixel of dy
  int64_t dy0;  // the row that dy begins with
};

// What a tile covers: `out` points at its first row and channel, `k` floats lie from row to row.
struct Target {
  float* out;
  int64_t k, rows, valid;  // rows and channels to write
  bool first;              // the first block of a part: out has no value yet
};

template <int kM, int kVectors, bool kWhole>
HWY_NOINLINE void RunTile(const Rows& r, const float* x, const float* dy, const Target& t) {
  const D d;
  const Windows& s = r.s;
  V acc[kM][kVectors];
  HWY_UNROLL(12)
  for (int i = 0; i < kM; ++i) {
    HWY_UNROLL(2)
    for (int v = 0; v < kVectors; ++v)
      acc[i][v] = t.first || i >= t.rows ? hn::Zero(d) : LoadUpTo(t.out + i * t.k + v * kLanes, t.valid - v * kLanes);
  }
  const int64_t shift = s.pl - r.kw * s.dw;  // column of x = ow * sw - shift, to lie in [0, w)
  const int64_t lo = shift > 0 ? (shift + s.sw - 1) / s.sw : 0;
  const int64_t hi = s.w - 1 + shift < 0 ? 0 : std::min(s.ow, (s.w - 1 + shift) / s.sw + 1);
  const int64_t last = t.valid - (kVectors - 1) * kLanes;  // channels in the last vector
  const int64_t step = s.sw * s.c;
  for (int64_t q = r.q0; q < r.q1; ++q) {
    const int64_t n = q / s.oh, ih = q % s.oh * s.sh - s.pt + r.kh * s.dh;
    if (ih < 0 || ih >= s.h || lo >= hi) continue;
    const float* a = x + ((n * s.h + ih) * s.w + lo * s.sw - shift) * s.c;
    const float* b = dy + ((q - r.dy0) * s.ow + lo) * r.k;
    for (int64_t j = lo; j < hi; ++j, a += step, b += r.k) {
      V bv[kVectors];
      HWY_UNROLL(2)
      for (int v = 0; v < kVectors; ++v)
        bv[v] = kWhole || v + 1 < kVectors ? hn::LoadU(d, b + v * kLanes) : LoadFirst(b + v * kLanes, last);
      HWY_UNROLL(12)
      for (int i = 0; i < kM; ++i) {
        const V av = hn::Set(d, a[i]);
        HWY_UNROLL(2)
        for (int v = 0; v < kVectors; ++v) acc[i][v] = hn::MulAdd(av, bv[v], acc[i][v]);
      }
    }
  }
  HWY_UNROLL(12)
  for (int i = 0; i < kM; ++i) {
    if (i >= t.rows) break;
    HWY_UNROLL(2)
    for (int v = 0; v < kVectors; ++v) StoreUpTo(acc[i][v], t.out + i * t.k + v * kLanes, t.valid - v * kLanes);
  }
}

template <int kM>
HWY_INLINE void RunTile(bool padded, const Rows& r, const float* x, const float* dy, const Target& t) {
  if (t.valid > kLanes) {
    if (padded || t.valid == kPanel) return RunTile<kM, 2, true>(r, x, dy, t);
    return RunTile<kM, 2, false>(r, x, dy, t);
  }
  if (padded || t.valid == kLanes) return RunTile<kM, 1, true>(r, x, dy, t);
  return RunTile<kM, 1, false>(r, x, dy, t);
}

// `padded`: rows of dy are whole panels, whatever `valid` says.
HWY_INLINE void RunTileOfSize(int64_t m, bool padded, const Rows& r, const float* x, const float* dy, const Target& t) {
  if (m == kTile) return RunTile<kTile>(padded, r, x, dy, t);
  if (m == kTile * 2 / 3) return RunTile<kTile * 2 / 3>(padded, r, x, dy, t);
  if (m == kTile / 3) return RunTile<kTile / 3>(padded, r, x, dy, t);
  return RunTile<1>(padded, r, x, dy, t);
}

// Rows are cut into tiles of 12 and then 8, 4 and 1 (or 6 and 4, 2, 1): the size of the tile that starts at `row`.
int64_t TileSize(int64_t row, int64_t rows) {
  const int64_t left = rows - row;
  for (const int64_t m : {kTile, kTile * 2 / 3, kTile / 3})
    if (left >= m) return m;
  return 1;
}

int64_t CountTiles(int64_t rows) {
  int64_t count = 0;
  for (int64_t row = 0; row < rows; ++count) row += TileSize(row, rows);
  return count;
}

// One part by one range of tiles.
struct Job {
  const ConvShape* s;
  const float* x;
  const float* dy;
  float* out;            // dw or the part's copy of it
  int64_t q0, q1;        // output rows or blocks of the part
  int64_t tile0, tile1;  // tiles of the job, counted over groups, taps, then tiles of rows
};

Windows MakeWindows(const ConvShape& s) {
  return {s.h,  s.w,        s.c,        s.c / s.groups, s.oh,         s.ow,      s.kh,
          s.kw, s.stride_h, s.stride_w, s.dilation_h,   s.dilation_w, s.pad_top, s.pad_left};
}

// The first row of tile i.
int64_t TileStart(int64_t i, int64_t rows) {
  int64_t row = std::min(i, rows / kTile) * kTile;
  for (i -= row / kTile; i > 0; --i) row += TileSize(row, rows);
  return row;
}

void RunJob(const Job& job) {
  const ConvShape& s = *job.s;
  const int64_t ci = s.c / s.groups, co = s.k / s.groups, taps = s.kh * s.kw, tiles = CountTiles(ci);
  // Enough pixels to pay for bringing dw in and out, and for a panel of dy, packed where its rows lie far apart.
  const int64_t wanted = std::max(kCacheBlock / (s.ow * s.k + s.stride_h * s.w * s.c), (255 + s.ow) / s.ow);
  const int64_t block = std::max<int64_t>(1, std::min(wanted, kCopied / kPanel / s.ow));
  const bool pack = block * s.ow * kPanel <= kCopied && (s.k > 64 || co % kPanel != 0) && taps * tiles >= 8;
  alignas(64) float packed[kCopied];
  for (int64_t q = job.q0; q < job.q1; q += block) {
    const int64_t end = std::min(job.q1, q + block), pixels = (end - q) * s.ow;
    Rows r = {MakeWindows(s), q, end, 0, 0, pack ? kPanel : s.k, pack ? q : 0};
    for (int64_t g = job.tile0 / (taps * tiles); g * taps * tiles < job.tile1; ++g) {
      for (int64_t o = 0; o < co; o += kPanel) {
        const float* dy = job.dy + g * co + o;
        const int64_t valid = std::min(kPanel, co - o);
        if (pack) {
          for (int64_t i = 0; i < pixels; ++i)
            for (int64_t v = 0; v < kPanel; v += kLanes)
              hn::Store(LoadUpTo(dy + (q * s.ow + i) * s.k + v, valid - v), D(), packed + i * kPanel + v);
          dy = packed;
        }
        const int64_t last = std::min(job.tile1, (g + 1) * taps * tiles);
        for (int64_t index = std::max(job.tile0, g * taps * tiles); index < last; ++index) {
          const int64_t tap = index / tiles % taps, c = TileStart(index % tiles, ci), m = TileSize(c, ci);
          r.kh = tap / s.kw, r.kw = tap % s.kw;
          const Target t = {job.out + (tap * ci + c) * s.k + g * co + o, s.k, m, valid, q == job.q0};
          RunTileOfSize(m, pack, r, job.x + g * ci + c, dy, t);
        }
      }
    }
  }
}

// The rows of dw, one for each tap and input channel, are cut into tiles. A tile lies within one run of taps side by
// side, so that its values of x do too, if runs are long enough; else it takes rows as they come.
struct Cut {
  int64_t run;     // rows of a run
  int64_t line;    // rows that are cut alike
  int64_t height;  // rows of a tile
  int64_t tiles;   // of a line
  int64_t count;   // of all lines

  Cut(const ConvShape& s, bool side_by_side) {
    constexpr int64_t kUnit = kTile / 3;
    const int64_t ci = s.c / s.groups, rows = s.kh * s.kw * ci, most = s.k / s.groups <= kLanes ? 2 * kTile : kTile;
    run = side_by_side ? s.kw * ci : ci;
    line = run < most ? rows : run;
    tiles = (line - 1) / most + 1;
    height = std::min(most, ((line - 1) / tiles / kUnit + 1) * kUnit);
    tiles = (line - 1) / height + 1;
    count = rows / line * tiles;
  }
};

// Whether the taps of a row of the kernel lie side by side.
bool SideBySide(const ConvShape& s, const Blocks& blocks) {
  return s.kw == 1 || (s.dilation_w == 1 && (blocks.padded || s.groups == 1));
}

// Whether it pays to work in blocks, and dy can be packed where it must be.
bool InBlocks(const ConvShape& s, const Blocks& blocks) {
  const int64_t ci = s.c / s.groups, co = s.k / s.groups;
  const bool pays = ci < kShortRun || co <= kLanes || (!blocks.padded && s.kw > 1);
  return pays && blocks.cols > 0 && (co % kLanes == 0 || blocks.pixels() * kPanel <= kCopied);
}

// The pixels of a block, as a tile meets them.
struct Pixels {
  int64_t images, rows, cols;
  int64_t x_image, x_row, x_pixel, y_image, y_row, y_pixel;
};

// `x` of tile row i is x[offset[i]], or x[i] if they lie side by side.
template <int kM, int kVectors, bool kSideBySide>
HWY_NOINLINE void RunWindows(const Pixels& p, const float* x, const int64_t* offset, const float* dy, const Target& t) {
  const D d;
  V acc[kM][kVectors];
  HWY_UNROLL(24)
  for (int i = 0; i < kM; ++i) {
    HWY_UNROLL(2)
    for (int v = 0; v < kVectors; ++v)
      acc[i][v] = t.first || i >= t.rows ? hn::Zero(d) : LoadUpTo(t.out + i * t.k + v * kLanes, t.valid - v * kLanes);
  }
  for (int64_t n = 0; n < p.images; ++n) {
    for (int64_t r = 0; r < p.rows; ++r) {
      const float* a = x + n * p.x_image + r * p.x_row;
      const float* b = dy + n * p.y_image + r * p.y_row;
      for (int64_t j = 0; j < p.cols; ++j, a += p.x_pixel, b += p.y_pixel) {
        V bv[kVectors];
        HWY_UNROLL(2)
        for (int v = 0; v < kVectors; ++v) bv[v] = hn::LoadU(d, b + v * kLanes);
        HWY_UNROLL(24)
        for (int i = 0; i < kM; ++i) {
          const V av = hn::Set(d, kSideBySide ? a[i] : a[offset[i]]);
          HWY_UNROLL(2)
          for (int v = 0; v < kVectors; ++v) acc[i][v] = hn::MulAdd(av, bv[v], acc[i][v]);
        }
      }
    }
  }
  HWY_UNROLL(24)
  for (int i = 0; i < kM; ++i) {
    if (i >= t.rows) break;
    HWY_UNROLL(2)
    for (int v = 0; v < kVectors; ++v) StoreUpTo(acc[i][v], t.out + i * t.k + v * kLanes, t.valid - v * kLanes);
  }
}

template <int kM, int kVectors>
HWY_INLINE void RunWindows(bool side_by_side, const Pixels& p, const float* x, const int64_t* offset, const float* dy,
                           const Target& t) {
  if (side_by_side) return RunWindows<kM, kVectors, true>(p, x + offset[0], offset, dy, t);
  return RunWindows<kM, kVectors, false>(p, x, offset, dy, t);
}

// `units` of rows: thirds of kTile.
HWY_INLINE void RunWindowsOfSize(int64_t units, bool side_by_side, const Pixels& p, const float* x,
                                 const int64_t* offset, const float* dy, const Target& t) {
  constexpr int kUnit = kTile / 3;
  if (t.valid > kLanes) {
    if (units == 3) return RunWindows<3 * kUnit, 2>(side_by_side, p, x, offset, dy, t);
    if (units == 2) return RunWindows<2 * kUnit, 2>(side_by_side, p, x, offset, dy, t);
    return RunWindows<kUnit, 2>(side_by_side, p, x, offset, dy, t);
  }
  if (units == 6) return RunWindows<6 * kUnit, 1>(side_by_side, p, x, offset, dy, t);
  if (units == 5) return RunWindows<5 * kUnit, 1>(side_by_side, p, x, offset, dy, t);
  if (units == 4) return RunWindows<4 * kUnit, 1>(side_by_side, p, x, offset, dy, t);
  if (units == 3) return RunWindows<3 * kUnit, 1>(side_by_side, p, x, offset, dy, t);
  if (units == 2) return RunWindows<2 * kUnit, 1>(side_by_side, p, x, offset, dy, t);
  return RunWindows<kUnit, 1>(side_by_side, p, x, offset, dy, t);
}

void RunBlocks(const Job& job, const Blocks& blocks) {
  const ConvShape& s = *job.s;
  const Windows windows = MakeWindows(s);
  const int64_t ci = s.c / s.groups, co = s.k / s.groups;
  const Cut cut(s, SideBySide(s, blocks));
  const bool pack = co % kLanes != 0 || (s.k > 64 && cut.count >= 8 && blocks.pixels() * kPanel <= kCopied);
  constexpr int64_t kUnit = kTile / 3;
  alignas(64) float copy[kCopied], packed[kCopied];
  int64_t offset[2 * kTile];
  for (int64_t b = job.q0; b < job.q1; ++b) {
    const Block block = BlockAt(blocks, windows, s.n, b);
    // While a block is in work the next one is brought near.
    Ahead next_x, next_dy;
    if (b + 1 < job.q1) {
      const Block next = BlockAt(blocks, windows, s.n, b + 1);
      const int64_t times = job.tile1 - job.tile0;
      next_x = AheadInImage(windows, next, job.x, times);
      next_dy = Ahead(job.dy + ((next.n0 * s.oh + next.oh0) * s.ow + next.ow0) * s.k, next.n * next.oh * next.ow * s.k,
                      times);
    }
    for (int64_t g = job.tile0 / cut.count; g * cut.count < job.tile1; ++g) {
      const Source source = MakeSource(blocks, windows, block, job.x + g * ci, copy);
      Pixels p = {
          block.n,           block.oh,   block.ow, source.image, s.stride_h * source.row, s.stride_w * source.pixel,
          s.oh * s.ow * s.k, s.ow * s.k, s.k};
      if (pack) p.y_image = block.oh * block.ow * kPanel, p.y_row = block.ow * kPanel, p.y_pixel = kPanel;
      const int64_t last = std::min(job.tile1, (g + 1) * cut.count) - g * cut.count;
      for (int64_t o = 0; o < co; o += kPanel) {
        const int64_t valid = std::min(kPanel, co - o);
        const float* dy = job.dy + ((block.n0 * s.oh + block.oh0) * s.ow + block.ow0) * s.k + g * co + o;
        if (pack) {
          float* to = packed;
          for (int64_t n = 0; n < block.n; ++n)
            for (int64_t r = 0; r < block.oh; ++r)
              for (int64_t j = 0; j < block.ow; ++j, to += kPanel)
                for (int64_t v = 0; v < kPanel; v += kLanes)
                  hn::Store(LoadUpTo(dy + ((n * s.oh + r) * s.ow + j) * s.k + v, valid - v), D(), to + v);
          dy = packed;
        }
        for (int64_t i = std::max(job.tile0 - g * cut.count, int64_t{0}); i < last; ++i) {
          const int64_t within = i % cut.tiles * cut.height, row = i / cut.tiles * cut.line + within;
          const int64_t rows = std::min(cut.height, cut.line - within);
          for (int64_t j = 0; j < cut.height; ++j) {
            const int64_t at = row + std::min(j, rows - 1), c = at % ci, tap = at / ci;
            offset[j] = tap / s.kw * s.dilation_h * source.row + tap % s.kw * s.dilation_w * source.pixel + c;
          }
          const bool side_by_side = rows == cut.height && cut.line == cut.run;
          const Target t = {job.out + row * s.k + g * co + o, s.k, rows, valid, b == job.q0};
          if (o == 0) next_x.Fetch(), next_dy.Fetch();
          RunWindowsOfSize(cut.height / kUnit, side_by_side, p, source.x, offset, dy, t);
        }
      }
    }
  }
}

void GradKernel(ThreadPool& pool, const ConvShape& s, const float* x, const float* dy, float* dw, float* workspace) {
  const int64_t size = KernelSize(s), rows = s.n * s.oh;
  if (rows == 0) {
    std::memset(dw, 0, sizeof(float) * static_cast<size_t>(size));
    return;
  }
  const Blocks blocks(MakeWindows(s), s.n, kCopied);
  const bool in_blocks = InBlocks(s, blocks);
  const int64_t units = in_blocks ? blocks.count : rows, parts = std::min(Parts(s), units);
  const int64_t tiles =
      s.groups * (in_blocks ? Cut(s, SideBySide(s, blocks)).count : s.kh * s.kw * CountTiles(s.c / s.groups));
  const int64_t splits = parts >= 16 || Work(s) < 1000000 ? 1 : std::min(tiles, (15 + parts) / parts);
  pool.For(parts * splits, [&](int64_t i) HWY_ATTR {
    const int64_t part = i / splits, split = i % splits;
    const Job job = {&s,
                     x,
                     dy,
                     parts > 1 ? workspace + part * size : dw,
                     units * part / parts,
                     units * (part + 1) / parts,
                     tiles * split / splits,
                     tiles * (split + 1) / splits};
    if (in_blocks) {
      RunBlocks(job, blocks);
    } else {
      RunJob(job);
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
HWY_EXPORT(GradKernel);
}  // namespace

size_t Conv2DGradKernelWorkspace(const ConvShape& s) {
  if (s.groups > 1 && s.groups == s.c) return DepthwiseConv2DGradKernelWorkspace(s);
  if (WinogradGradKernelPays(s)) return WinogradGradKernelWorkspace(s);
  return Parts(s) > 1 ? static_cast<size_t>(Parts(s) * KernelSize(s)) : 0;
}

void Conv2DGradKernel(ThreadPool& pool, const ConvShape& s, const float* x, const float* dy, float* dw,
                      float* workspace) {
  if (s.groups > 1 && s.groups == s.c) return DepthwiseConv2DGradKernel(pool, s, x, dy, dw, workspace);
  if (WinogradGradKernelPays(s)) return WinogradGradKernel(pool, s, x, dy, dw, workspace);
  ChosenTargets();
  HWY_DYNAMIC_DISPATCH(GradKernel)(pool, s, x, dy, dw, workspace);
}

}  // namespace ingot::cpu
#endif  // HWY_ONCE
