// SPDX-License-Identifier: MIT
#include "ingot/io/fill.h"

#include <algorithm>
#include <exception>
#include <mutex>

#include "ingot/core/memory.h"
#include "ingot/core/progress.h"
#include "ingot/core/threads.h"

namespace ingot {

namespace {

bool SameType(const Fill& fill) { return fill.from.type == StoredAs(fill.to); }

void CopyAll(const std::vector<Fill>& fills) {
  constexpr int64_t kTile = int64_t{1} << 18;  // elements
  struct Tile {
    const Fill* fill;
    int64_t first, count;
  };
  std::vector<Tile> tiles;
  uint64_t bytes = 0;
  for (const Fill& fill : fills) {
    const int64_t n = fill.from.shape.count();
    bytes += static_cast<uint64_t>(n) * SizeOf(fill.to);
    for (int64_t first = 0; first < n; first += kTile) tiles.push_back({&fill, first, std::min(kTile, n - first)});
  }
  Watched task("copying weights", "", bytes);
  std::mutex mutex;
  std::exception_ptr failed;  // of the first tile that did, in order, so that the message is always the same
  int64_t failed_at = 0;
  ThreadPool::Default().For(static_cast<int64_t>(tiles.size()), [&](int64_t i) {
    const Tile& tile = tiles[static_cast<size_t>(i)];
    std::byte* dst = tile.fill->dst + static_cast<size_t>(tile.first) * SizeOf(tile.fill->to);
    try {
      Convert(tile.fill->from, tile.first, tile.count, tile.fill->to, dst);
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!failed || i < failed_at) failed = std::current_exception(), failed_at = i;
    }
    task.Add(static_cast<uint64_t>(tile.count) * SizeOf(tile.fill->to));
  });
  if (failed) std::rethrow_exception(failed);
}

}  // namespace

// What must be converted can fail: into memory of its own first, so that nothing is changed if it does.
void FillAll(const std::vector<Fill>& given) {
  std::vector<Fill> fills, converted;
  std::vector<Block> blocks;
  for (const Fill& fill : given) {
    if (SameType(fill)) {
      fills.push_back(fill);
      continue;
    }
    blocks.emplace_back(static_cast<size_t>(fill.from.shape.count()) * SizeOf(fill.to),
                        "tensor '" + fill.from.name + "'");
    converted.push_back({fill.from, fill.to, blocks.back().data()});
    const Bytes bytes(blocks.back().data(), static_cast<size_t>(fill.from.shape.count()) * SizeOf(fill.to));
    fills.push_back({{fill.from.name, StoredAs(fill.to), fill.from.shape, bytes, nullptr}, fill.to, fill.dst});
  }
  CopyAll(converted);
  CopyAll(fills);
}

}  // namespace ingot
