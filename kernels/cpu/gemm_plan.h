// SPDX-License-Identifier: MIT
//
// How Gemm cuts its work, from the shape alone: never from the number of threads, the SIMD target or where the
// operands lie. So the same products are added in the same order everywhere, and workspace is known at compile time.
//
// C is cut into tiles of mc rows by nc columns, k into blocks of kc; a tile adds block after block:
//
//   kc <= 384      a row block of A, 12 x kc (18 KiB), stays in L1 while it meets the nc columns of the tile
//   kc nc <= 64 Ki the part of B in use stays in L2 while the rows of the tile pass by
//   mc             so that a tile is worth handing out (1 to 32 MFLOP, more when all is more), and there are enough of
//   them
//
// B is read in one of three ways:
//   kDirect  where it lies: its rows are short, or so few rows of A meet it that packing would not pay
//   kWhole   packed into the workspace by a first parallel pass: many row tiles share it
//   kTile    packed by each tile, block after block, on its stack: one row tile uses it, or it is too large to copy
//
// When C has few tiles and k is long (the gradient of a kernel), k is cut into splits too; each sums into a partial C
// in the workspace, and the partials are added in order.
//
// Rejected: packing A (measured: 4% slower at 512 and 768, no faster at 1024 and 2048); a
// buffer for each thread (a tile does not know its thread); atomics on C (no fixed order).
#pragma once

#include <algorithm>
#include <cstdint>

namespace ingot::cpu {

enum class PackB { kDirect, kWhole, kTile };

struct GemmPlan {
  PackB pack;
  int64_t mc, nc, kc;        // a tile of C, a block of k
  int64_t m_tiles, n_tiles;  // how many
  int64_t splits, split_k;   // k is cut into `splits` runs of split_k, a multiple of kc
  int64_t packed_n;          // n rounded up to whole panels
  bool serial;               // too little work to wake a thread for
};

constexpr int64_t kWidestPanel = 32;       // a multiple of the panel of every target
constexpr int64_t kMostRows = 12;          // a multiple of the row block of every target
constexpr int64_t kStackFloats = 16384;    // 64 KiB: what a tile may pack on its stack
constexpr int64_t kWholeFloats = 4 << 20;  // the largest B packed as a whole: 16 MiB
constexpr double kSerialFlops = 2e6;       // about 8 us

constexpr int64_t Ceil(int64_t a, int64_t b) { return (a + b - 1) / b; }
constexpr int64_t RoundUp(int64_t a, int64_t b) { return Ceil(a, b) * b; }

// REQUIRES: m, n > 0, k >= 0.
inline GemmPlan MakeGemmPlan(int64_t m, int64_t n, int64_t k, bool trans_b) {
  GemmPlan plan;
  const double flops = 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  plan.serial = flops < kSerialFlops;
  plan.packed_n = RoundUp(n, kWidestPanel);
  if (m > 96 && (trans_b || n > 64) && k * plan.packed_n <= kWholeFloats) {
    plan.pack = PackB::kWhole;
  } else {
    const bool small = n <= 64 || k * n <= 65536;
    plan.pack = trans_b || (!small && m > kMostRows) ? PackB::kTile : PackB::kDirect;
  }

  // Even blocks of k. A tile that packs rows of B takes longer pieces of fewer rows: memory gives 1 KiB in a row
  // almost twice as fast as 256 bytes. But there should be 16 tiles.
  int64_t widest = 1024;
  int64_t depth = 256;
  if (plan.pack == PackB::kTile && !trans_b) {
    widest = n >= 4096 && m <= 96 ? 256 : n >= 2048 ? 128 : 64;
    depth = kStackFloats / widest;
  }
  plan.kc = RoundUp(std::max<int64_t>(1, Ceil(k, k <= 384 && depth == 256 ? 1 : Ceil(k, depth))), 8);
  plan.kc = std::max<int64_t>(8, plan.kc);

  // Split k when tiles of 96 x 64 would be too few; each split keeps 1024 steps and a million FLOP.
  const int64_t coarse = Ceil(m, 96) * Ceil(n, 64);
  plan.splits = 1;
  if (coarse < 32 && k >= 2048) {
    plan.splits = std::clamp<int64_t>(static_cast<int64_t>(flops * 1e-6), 1, std::min(k / 1024, Ceil(128, coarse)));
  }
  plan.split_k = RoundUp(std::max<int64_t>(1, Ceil(k, plan.splits)), plan.kc);
  plan.splits = std::max<int64_t>(1, Ceil(k, plan.split_k));

  // Narrow the tile, then shorten it, until it holds the work it should. In a large product B comes from beyond L2:
  // there a tile is tall, so that many rows share each load of B, at the cost of fewer tiles (64).
  const bool large = plan.pack == PackB::kWhole && flops > 8e9;
  const double work = std::max(std::clamp(flops / 16, 1e6, 32e6), flops / (large ? 64 : 128));
  const int64_t height = std::min<int64_t>(m, large ? 384 : 96);
  const double column = 2.0 * static_cast<double>(std::clamp<int64_t>(k, 1, plan.split_k));
  const bool narrow = plan.pack != PackB::kTile || trans_b;
  const int64_t room = (plan.pack == PackB::kTile ? kStackFloats : 65536) / plan.kc / kWidestPanel * kWidestPanel;
  plan.nc = std::min({plan.packed_n, widest, std::max(kWidestPanel, room)});
  while (narrow && plan.nc > kWidestPanel && column * static_cast<double>(height * plan.nc) > work) {
    plan.nc = RoundUp(plan.nc / 2, kWidestPanel);
  }
  plan.nc = RoundUp(Ceil(n, Ceil(n, plan.nc)), kWidestPanel);
  plan.n_tiles = Ceil(n, plan.nc);
  const int64_t rows = static_cast<int64_t>(work / (column * static_cast<double>(plan.nc)));
  plan.mc =
      RoundUp(std::clamp<int64_t>(rows, plan.pack == PackB::kTile ? 480 : 24, std::max<int64_t>(480, m)), kMostRows);
  plan.mc = RoundUp(Ceil(m, Ceil(m, plan.mc)), kMostRows);
  plan.m_tiles = Ceil(m, plan.mc);
  return plan;
}

}  // namespace ingot::cpu
