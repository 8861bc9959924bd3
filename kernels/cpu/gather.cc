// SPDX-License-Identifier: MIT
//
// Rows of a table by number, and their gradient. Numbers are int32, or floats that hold whole numbers. The host checks
// them before a step; one that slips through reads and writes nothing, and shows as a row of NaN (in the gradient it
// is left out).
//
// Threads: Gather by rows. ScatterAdd by columns and, of tables with few columns, by ranges of rows: each tile looks at
// all numbers in their order, so rows met twice are always added in that order.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "ingot/kernels/cpu/cpu.h"
#include "ingot/kernels/cpu/tiles.h"

namespace ingot::cpu {
namespace {

int64_t IdAt(const Operand& ids, int64_t i) {
  if (ids.dtype == DType::kInt32) return ids.i()[i];
  if (ids.dtype == DType::kUint8) return ids.u()[i];
  const float id = ids.f()[i];
  return std::fabs(id) < 0x1p31f ? static_cast<int64_t>(id) : -1;  // NaN too
}

}  // namespace

void Gather(const Call& call) {
  const Operand &table = call.in[0], &ids = call.in[1], &y = call.out[0];
  const int64_t rows = table.shape[0], width = table.shape[1];
  if (width == 0) return;
  ForTiles(call, ids.count(), width, [&](int64_t, int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const int64_t id = IdAt(ids, i);
      if (id < 0 || id >= rows) {
        std::fill_n(y.f() + i * width, width, std::numeric_limits<float>::quiet_NaN());
      } else {
        std::memcpy(y.f() + i * width, table.f() + id * width, static_cast<size_t>(width) * sizeof(float));
      }
    }
  });
}

void ScatterAdd(const Call& call) {
  const Operand &ids = call.in[0], &dy = call.in[1], &dtable = call.out[0];
  const int64_t rows = dtable.shape[0], width = dtable.shape[1], n = ids.count();
  if (rows == 0 || width == 0) return;
  const int64_t columns = std::min<int64_t>(width, 64), across = Tiles(width, columns);
  const int64_t down = across >= 8 ? 1 : std::min(rows, (8 + across - 1) / across), height = Tiles(rows, down);
  const auto tile = [&](int64_t t) {
    const int64_t c0 = t % across * columns, count = std::min(columns, width - c0);
    const int64_t r0 = t / across * height, r1 = std::min(rows, r0 + height);
    for (int64_t r = r0; r < r1; ++r) std::fill_n(dtable.f() + r * width + c0, count, 0.0f);
    for (int64_t i = 0; i < n; ++i) {
      const int64_t id = IdAt(ids, i);
      if (id < r0 || id >= r1) continue;
      float* to = dtable.f() + id * width + c0;
      const float* from = dy.f() + i * width + c0;
      for (int64_t c = 0; c < count; ++c) to[c] += from[c];
    }
  };
  const int64_t tiles = across * down;
  if (dtable.count() + dy.count() > kInline && call.run != nullptr && call.run->pool != nullptr) {
    call.run->pool->For(tiles, tile);
  } else {
    for (int64_t t = 0; t < tiles; ++t) tile(t);
  }
}

}  // namespace ingot::cpu
