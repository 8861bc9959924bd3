// SPDX-License-Identifier: MIT
//
// The tile of the implicit matrix multiplication in conv.cc: up to 12 pixels by two vectors of output channels in
// registers (24 of 32 with AVX-512; 6 pixels, 12 of 16 registers, elsewhere). Each pixel has an address; a tap adds
// one offset to all of them, and those that fall outside the image are led to a row of zeros, so that the loop over
// channels knows nothing of borders. A tap outside for all pixels is left out. The order of the sum is taps, then
// channels, ascending, whatever the size of the tile. Where windows lie inside of what is read (RunSpots) a pixel is
// one address and a tile up to 24 pixels by one vector, or 12 by two. Included once for each SIMD target.
#if defined(INGOT_KERNELS_CPU_CONV_TILE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef INGOT_KERNELS_CPU_CONV_TILE_INL_H_
#undef INGOT_KERNELS_CPU_CONV_TILE_INL_H_
#else
#define INGOT_KERNELS_CPU_CONV_TILE_INL_H_
#endif

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "hwy/cache_control.h"
#include "hwy/highway.h"
#include "ingot/kernels/cpu/conv_common-inl.h"
#include "ingot/kernels/cpu/epilogue-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ingot::cpu {
namespace HWY_NAMESPACE {
namespace {

constexpr int kTile = kLanes >= 16 ? 12 : 6;  // pixels of a tile: 24 of 32 or 12 of 16 registers
constexpr int64_t kPanel = 2 * kLanes;        // output channels of a tile

struct Tile {
  alignas(64) int64_t base[16];  // byte address of the window's first pixel, inside the image or not
  alignas(64) int64_t row[16];   // its row and column
  alignas(64) int64_t col[16];
  float* y[16];
  int count;
};

// What a tile reads besides its pixels.
struct Panel {
  const float* w;      // first row
  int64_t ld;          // floats from row to row
  const float* start;  // kPanel floats, from which sums begin: a bias, or zeros
  const float* scale;  // kPanel floats each, or null
  const float* shift;
  const Epilogue* epilogue;
  int64_t residual;    // bytes from a place in y to the same one in the residual
  const float* zeros;  // ci floats
  int64_t x_offset;    // bytes from a pixel to the group's first channel
  int64_t y_offset;    // floats from a destination pixel to the panel
  int64_t valid;       // channels to write
  bool stream;         // write around the caches: y is aligned, `valid` whole vectors
};

constexpr int64_t kAhead = 16;  // rows of weights; where they lie far apart, processors do not guess the next one

template <int kVectors>
HWY_INLINE void Prefetch(const float* w, int64_t distance) {  // may lie behind the weights: no harm
  const auto at = reinterpret_cast<uintptr_t>(w) + static_cast<uintptr_t>(distance) * sizeof(float);
  for (uintptr_t i = 0; i < kVectors * kLanes * sizeof(float); i += 64)
    hwy::Prefetch(reinterpret_cast<const void*>(at + i));
}

// acc[i] += sum over c of p[i][c] * w[c]
template <int kPixels, int kVectors>
HWY_INLINE void Accumulate(const float* const* p, int64_t from, int64_t to, const float* w, int64_t ld,
                           V (&acc)[kPixels][kVectors]) {
  const D d;
  constexpr int kUnroll = kVectors == 1 ? (kTile == 12 || kPixels <= 6 ? 4 : 2)
                          : kTile == 12 ? 2
                                        : 1;  // as registers allow
  const bool far = kPixels > 1 && ld > 64;
  int64_t c = from;
  for (; c + kUnroll <= to; c += kUnroll, w += kUnroll * ld) {
    V b[kUnroll][kVectors];
    HWY_UNROLL(4)
    for (int u = 0; u < kUnroll; ++u) {
      if (far) Prefetch<kVectors>(w, (u + kAhead) * ld);
      HWY_UNROLL(2)
      for (int v = 0; v < kVectors; ++v) b[u][v] = hn::LoadU(d, w + u * ld + v * kLanes);
    }
    HWY_UNROLL(24)
    for (int i = 0; i < kPixels; ++i) {
      const float* a = p[i] + c;
      HWY_UNROLL(4)
      for (int u = 0; u < kUnroll; ++u) {
        const V x = hn::Set(d, a[u]);
        HWY_UNROLL(2)
        for (int v = 0; v < kVectors; ++v) acc[i][v] = hn::MulAdd(x, b[u][v], acc[i][v]);
      }
    }
  }
  for (; c < to; ++c, w += ld) {
    V b[kVectors];
    HWY_UNROLL(2)
    for (int v = 0; v < kVectors; ++v) b[v] = hn::LoadU(d, w + v * kLanes);
    HWY_UNROLL(24)
    for (int i = 0; i < kPixels; ++i) {
      const V x = hn::Set(d, p[i][c]);
      HWY_UNROLL(2)
      for (int v = 0; v < kVectors; ++v) acc[i][v] = hn::MulAdd(x, b[v], acc[i][v]);
    }
  }
}

template <int kPixels, int kVectors>
HWY_INLINE void AddResidual(float* const* to, int count, const Panel& panel, V (&acc)[kPixels][kVectors]) {
  HWY_UNROLL(24)
  for (int i = 0; i < kPixels; ++i) {
    if (i >= count) break;
    const auto* r = reinterpret_cast<const float*>(reinterpret_cast<intptr_t>(to[i] + panel.y_offset) + panel.residual);
    HWY_UNROLL(2)
    for (int v = 0; v < kVectors; ++v)
      acc[i][v] = hn::Add(acc[i][v], LoadUpTo(r + v * kLanes, panel.valid - v * kLanes));
  }
}

// All of a tile is read before any of it is written: the residual may be y.
template <int kPixels, int kVectors>
HWY_INLINE void Finish(float* const* to, int count, const Panel& panel, V (&acc)[kPixels][kVectors]) {
  const D d;
  const Epilogue& e = *panel.epilogue;
  if (panel.scale != nullptr) {
    V scale[kVectors], shift[kVectors];
    HWY_UNROLL(2)
    for (int v = 0; v < kVectors; ++v)
      scale[v] = hn::LoadU(d, panel.scale + v * kLanes), shift[v] = hn::LoadU(d, panel.shift + v * kLanes);
    HWY_UNROLL(24)
    for (int i = 0; i < kPixels; ++i) {
      HWY_UNROLL(2)
      for (int v = 0; v < kVectors; ++v) acc[i][v] = hn::MulAdd(acc[i][v], scale[v], shift[v]);
    }
  }
  if (e.residual != nullptr && !e.residual_last) AddResidual(to, count, panel, acc);
  V all[kPixels * kVectors];
  HWY_UNROLL(24)
  for (int i = 0; i < kPixels * kVectors; ++i) all[i] = acc[i / kVectors][i % kVectors];
  Activate(e, all);
  HWY_UNROLL(24)
  for (int i = 0; i < kPixels * kVectors; ++i) acc[i / kVectors][i % kVectors] = all[i];
  if (e.residual != nullptr && e.residual_last) AddResidual(to, count, panel, acc);
}

template <int kPixels, int kVectors>
HWY_INLINE void Store(V (&acc)[kPixels][kVectors], float* const* to, int count, const Panel& panel) {
  const D d;
  Finish(to, count, panel, acc);
  if (!panel.stream && panel.valid == kVectors * kLanes) {
    HWY_UNROLL(24)
    for (int i = 0; i < kPixels; ++i) {
      if (i >= count) break;
      HWY_UNROLL(2)
      for (int v = 0; v < kVectors; ++v) hn::StoreU(acc[i][v], d, to[i] + panel.y_offset + v * kLanes);
    }
    return;
  }
  HWY_UNROLL(24)
  for (int i = 0; i < kPixels; ++i) {
    if (i >= count) break;
    float* y = to[i] + panel.y_offset;
    HWY_UNROLL(2)
    for (int v = 0; v < kVectors; ++v) {
      if (panel.stream) {
        hn::Stream(acc[i][v], d, y + v * kLanes);
      } else {
        StoreUpTo(acc[i][v], y + v * kLanes, panel.valid - v * kLanes);
      }
    }
  }
}

template <int kPixels, int kVectors>
HWY_NOINLINE void RunTile(const Windows& s, const Tile& t, const Panel& panel) {
  const D d;
  const hn::CappedTag<int64_t, 8> di;
  constexpr int kStep = static_cast<int>(hn::MaxLanes(hn::CappedTag<int64_t, 8>()));
  V acc[kPixels][kVectors];
  HWY_UNROLL(24)
  for (int i = 0; i < kPixels; ++i) {
    HWY_UNROLL(2)
    for (int v = 0; v < kVectors; ++v) acc[i][v] = hn::LoadU(d, panel.start + v * kLanes);
  }
  const auto zeros = hn::Set(di, static_cast<int64_t>(reinterpret_cast<intptr_t>(panel.zeros)));
  const auto before = hn::Set(di, int64_t{-1}), h = hn::Set(di, s.h), w = hn::Set(di, s.w);
  alignas(64) const float* address[16];
  const float* weights = panel.w;
  for (int64_t kh = 0; kh < s.kh; ++kh) {
    for (int64_t kw = 0; kw < s.kw; ++kw, weights += s.ci * panel.ld) {
      const auto offset = hn::Set(di, ((kh * s.dh * s.w + kw * s.dw) * s.c) * 4 + panel.x_offset);
      const auto down = hn::Set(di, kh * s.dh), right = hn::Set(di, kw * s.dw);
      bool any = false;
      HWY_UNROLL(16)
      for (int i = 0; i < kPixels; i += kStep) {
        const auto ih = hn::Add(hn::Load(di, t.row + i), down), iw = hn::Add(hn::Load(di, t.col + i), right);
        const auto inside =
            hn::And(hn::And(hn::Gt(ih, before), hn::Lt(ih, h)), hn::And(hn::Gt(iw, before), hn::Lt(iw, w)));
        const auto at = hn::IfThenElse(inside, hn::Add(hn::Load(di, t.base + i), offset), zeros);
        any = any || !hn::AllFalse(di, inside);
        alignas(64) int64_t bytes[kStep];
        hn::Store(at, di, bytes);
        std::memcpy(address + i, bytes, sizeof bytes);
      }
      if (any) Accumulate<kPixels, kVectors>(address, 0, s.ci, weights, panel.ld, acc);
    }
  }
  Store<kPixels, kVectors>(acc, t.y, t.count, panel);
}

template <int kPixels>
HWY_INLINE void RunTile(const Windows& s, const Tile& t, const Panel& panel) {
  if (panel.valid > kLanes) {
    RunTile<kPixels, 2>(s, t, panel);
  } else {
    RunTile<kPixels, 1>(s, t, panel);
  }
}

HWY_INLINE void RunTileOfAnySize(const Windows& s, const Tile& t, const Panel& panel) {
  if (t.count > kTile * 3 / 4) return RunTile<kTile>(s, t, panel);
  if (t.count > kTile * 2 / 3) return RunTile<kTile * 3 / 4>(s, t, panel);  // an image of 3 x 3
  if (t.count > kTile / 3) return RunTile<kTile * 2 / 3>(s, t, panel);
  if (t.count > 1) return RunTile<kTile / 3>(s, t, panel);
  return RunTile<1>(s, t, panel);
}

// Pixels whose windows lie inside of what is read, so that only their first address is needed.
constexpr int kSpots = 2 * kTile;
struct Spots {
  const float* x[kSpots];  // the window's first pixel
  float* y[kSpots];
  int count;  // the last one is repeated behind it
};

// How their windows are read: `rows` by `columns` runs of `run` floats, one behind the other in the weights. The taps
// of a row are one run if they lie side by side.
struct Runs {
  int64_t rows, columns, run;
  int64_t row, column;  // floats from one to the next
};

template <int kPixels, int kVectors>
HWY_NOINLINE void RunSpots(const Runs& runs, const float* const* x, float* const* y, int count, const Panel& panel) {
  const D d;
  V acc[kPixels][kVectors];
  HWY_UNROLL(24)
  for (int i = 0; i < kPixels; ++i) {
    HWY_UNROLL(2)
    for (int v = 0; v < kVectors; ++v) acc[i][v] = hn::LoadU(d, panel.start + v * kLanes);
  }
  const float* w = panel.w;
  for (int64_t r = 0; r < runs.rows; ++r) {
    for (int64_t c = 0; c < runs.columns; ++c, w += runs.run * panel.ld) {
      const int64_t from = r * runs.row + c * runs.column;
      Accumulate<kPixels, kVectors>(x, from, from + runs.run, w, panel.ld, acc);
    }
  }
  Store<kPixels, kVectors>(acc, y, count, panel);
}

template <int kMost, int kVectors>
HWY_INLINE void RunSpotsOfAnySize(const Runs& runs, const float* const* x, float* const* y, int count,
                                  const Panel& panel) {
  if (count > kMost * 2 / 3) return RunSpots<kMost, kVectors>(runs, x, y, count, panel);
  if (count > kMost / 3) return RunSpots<kMost * 2 / 3, kVectors>(runs, x, y, count, panel);
  if (count > 1) return RunSpots<kMost / 3, kVectors>(runs, x, y, count, panel);
  return RunSpots<1, kVectors>(runs, x, y, count, panel);
}

// One vector of channels leaves registers for twice the pixels.
HWY_INLINE void RunSpotsOfAnySize(const Runs& runs, const Spots& spots, const Panel& panel) {
  if (panel.valid <= kLanes) return RunSpotsOfAnySize<kSpots, 1>(runs, spots.x, spots.y, spots.count, panel);
  for (int i = 0; i < spots.count; i += kTile)
    RunSpotsOfAnySize<kTile, 2>(runs, spots.x + i, spots.y + i, std::min(kTile, spots.count - i), panel);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace ingot::cpu
HWY_AFTER_NAMESPACE();

#endif  // INGOT_KERNELS_CPU_CONV_TILE_INL_H_
