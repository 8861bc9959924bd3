// SPDX-License-Identifier: MIT
//
// How a Winograd convolution cuts its work, from the shape alone, and when it is worth it.
//
// Memory holds 36 matrices of each kind:
//
//   forward                                    gradient for the kernel
//   v  (36, tiles, C)   transformed input      v  (36, tiles, C)  transformed input
//   u  (36, C, K)       transformed kernel     d  (36, tiles, K)  transformed gradient of the output
//   m  (36, tiles, K)   m = v u                s  (36, C, K)      s = v^T d
//
// Few channels: each part of the tiles does all steps by blocks that stay in the L2 cache, with v and m of
// its own. Else a part would load u too often: all threads share the matrices, which are as large as kBudget allows,
// and do one step after the other; so does the gradient, always (parts with sums of their own were no faster). What
// does not fit is cut into blocks of tiles and channels.
#pragma once

#include <algorithm>
#include <cstdint>

#include "ingot/kernels/cpu/conv.h"
#include "ingot/kernels/cpu/gemm_plan.h"

namespace ingot::cpu {

constexpr int64_t kOutTile = 4;                     // rows and columns of a tile of outputs
constexpr int64_t kInTile = 6;                      // and of the inputs it sees
constexpr int64_t kMatrices = kInTile * kInTile;    // of each kind
constexpr int64_t kBudget = int64_t{12} << 20;      // floats of workspace
constexpr int64_t kOwnFloats = int64_t{128} << 10;  // of v and m of a part: half of L2
constexpr int64_t kOwnTiles = 24;                   // in them
constexpr int64_t kMaxOwn = 16;                     // parts with v and m of their own
constexpr int64_t kMaxTiles = 384;                  // of a shared block: what a product reads again stays in L2

// Floats from row to row. Rows a multiple of 1 KiB apart would meet in the same few sets of a cache.
constexpr int64_t RowOf(int64_t floats) { return (Ceil(floats, 16) + (Ceil(floats, 16) % 16 == 0 ? 1 : 0)) * 16; }
// Floats from matrix to matrix: an odd number of cache lines, as a transform touches one line of each of 36 at once.
constexpr int64_t StepOf(int64_t floats) { return (Ceil(floats, 16) | 1) * 16; }

struct WinogradPlan {
  int64_t tiles_h, tiles_w, tiles;         // down and across an image; in all
  int64_t tile_block, channel_block;       // tiles and channels at once: those of K, for the gradient of C
  int64_t tile_blocks, channel_blocks;     // how many
  bool channels_outer;                     // the outer loop is over blocks of channels
  int64_t own;                             // parts with matrices of their own; 0: all is shared
  int64_t in_row, out_row;                 // floats from row to row of v, and of m, d and s
  int64_t in_step, out_step, kernel_step;  // floats from matrix to matrix of v; of m or d; of u or s
  int64_t zeros;                           // floats that stand for a pixel outside the image
  int64_t floats;                          // of workspace
  int64_t cost;                            // floats transformed or read again
};

inline WinogradPlan PlanTiles(const ConvShape& s) {
  WinogradPlan p{};
  p.tiles_h = Ceil(s.oh, kOutTile), p.tiles_w = Ceil(s.ow, kOutTile), p.tiles = s.n * p.tiles_h * p.tiles_w;
  p.zeros = RoundUp(std::max(s.c, s.k), kWidestPanel);
  return p;
}

inline void SetForward(const ConvShape& s, int64_t tile_block, int64_t channel_block, int64_t own, WinogradPlan* p) {
  p->tile_block = tile_block, p->channel_block = channel_block, p->own = own;
  p->tile_blocks = Ceil(p->tiles, tile_block), p->channel_blocks = Ceil(s.k, channel_block);
  p->in_row = RowOf(s.c), p->out_row = RowOf(channel_block);
  p->in_step = StepOf(tile_block * p->in_row), p->out_step = StepOf(tile_block * p->out_row);
  p->kernel_step = StepOf(s.c * channel_block);
  p->floats = p->zeros + kMatrices * (p->kernel_step + std::max<int64_t>(1, own) * (p->in_step + p->out_step));
  // A block of the inner loop is transformed again for each block of the outer one, unless it is the only one.
  const int64_t kernel = s.c * s.k, tiles = p->tiles * s.c;
  const int64_t tiles_outer = tiles + kernel * (p->channel_blocks > 1 ? p->tile_blocks : 1);
  const int64_t channels_outer = kernel + tiles * (p->tile_blocks > 1 ? p->channel_blocks : 1);
  p->channels_outer = channels_outer < tiles_outer;
  p->cost = std::min(tiles_outer, channels_outer) + kernel * p->tile_blocks;
}

inline void SetGradKernel(const ConvShape& s, int64_t tile_block, int64_t channel_block, WinogradPlan* p) {
  p->tile_block = tile_block, p->channel_block = channel_block, p->own = 0;
  p->tile_blocks = Ceil(p->tiles, tile_block), p->channel_blocks = Ceil(s.c, channel_block);
  p->in_row = RowOf(channel_block), p->out_row = RowOf(s.k);
  p->in_step = StepOf(tile_block * p->in_row), p->out_step = StepOf(tile_block * p->out_row);
  p->kernel_step = StepOf(channel_block * p->out_row);
  p->floats = p->zeros + kMatrices * (p->kernel_step + p->in_step + p->out_step);
  p->channels_outer = true;  // s is finished over all tiles
  p->cost = p->tiles * s.k * (p->tile_blocks > 1 ? p->channel_blocks : 1) + s.c * s.k * p->tile_blocks;
}

// The cheapest of: any number of blocks of channels, and the largest even blocks of tiles that still fit.
// set(tile_block, channel_block, plan) sets a plan.
template <class Set>
WinogradPlan Cheapest(const WinogradPlan& start, int64_t channels, const Set& set) {
  WinogradPlan best{};
  const int64_t most = Ceil(channels, kWidestPanel), tiles = std::max<int64_t>(1, start.tiles);  // 0: an empty batch
  for (int64_t blocks = 1; blocks <= most; ++blocks) {
    const int64_t channel_block = RoundUp(Ceil(channels, blocks), kWidestPanel);
    WinogradPlan p = start;
    int64_t fits = kMostRows;
    while (fits < std::min(kMaxTiles, tiles)) {
      set(fits + kMostRows, channel_block, &p);
      if (p.floats > kBudget) break;
      fits += kMostRows;
    }
    set(RoundUp(Ceil(tiles, Ceil(tiles, fits)), kMostRows), channel_block, &p);
    const bool better = p.floats > kBudget ? p.floats < best.floats : best.floats > kBudget || p.cost < best.cost;
    if (blocks == 1 || better) best = p;
    if (best.floats <= kBudget && best.tile_blocks <= 1) break;  // nothing is cheaper
  }
  return best;
}

inline WinogradPlan PlanForward(const ConvShape& s) {
  WinogradPlan p = PlanTiles(s);
  SetForward(s, kOwnTiles, RoundUp(s.k, kWidestPanel), std::clamp<int64_t>(Ceil(p.tiles, kOwnTiles), 1, kMaxOwn), &p);
  if (kMatrices * kOwnTiles * (p.in_row + p.out_row) <= kOwnFloats && p.floats <= kBudget) return p;
  return Cheapest(p, s.k,
                  [&s](int64_t tiles, int64_t channels, WinogradPlan* to) { SetForward(s, tiles, channels, 0, to); });
}

inline WinogradPlan PlanGradKernel(const ConvShape& s) {
  return Cheapest(PlanTiles(s), s.c,
                  [&s](int64_t tiles, int64_t channels, WinogradPlan* to) { SetGradKernel(s, tiles, channels, to); });
}

// Whether it is faster than 9 multiply-adds for each pixel and pair of channels. Of 36 for each tile, four tiles cost
// as much as nine pixels; to transform a float costs as much as 32 multiply-adds. Thus, for each pair of channels, a
// tile counts as 1 + 32 / C + 32 / K of them, and the kernel as 32; as 14 where it was transformed before and is only
// read, four times as large as it was. Tiles that hang over the border count like all.
// Measured on two Zen 5 cores, but for the 14, which is reckoned: 36 floats read at some 60 GB/s; wherever both ways
// are within a fifth of each other the rule may choose either.
inline bool WinogradWins(const ConvShape& s, bool kept) {
  const auto c = static_cast<double>(s.c), k = static_cast<double>(s.k);
  const auto tiles = static_cast<double>(PlanTiles(s).tiles), pixels = static_cast<double>(s.n * s.oh * s.ow);
  return 4 * (tiles * (1 + 32 / c + 32 / k) + (kept ? 14 : 32)) < pixels;
}

}  // namespace ingot::cpu
