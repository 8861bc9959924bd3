// SPDX-License-Identifier: MIT
//
// How sums down the columns of (rows, columns) are cut, by shape alone: blocks of at most kBlockColumns columns and
// about kBlock elements. The sums of a block lie in the workspace as floats, (parts, sums, columns padded), until all
// parts of a column are combined in double precision, in their order.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "ingot/kernels/kernels.h"

namespace ingot::cpu {

inline constexpr int64_t kBlock = 32768;
inline constexpr int64_t kBlockColumns = 512;

struct ColumnPlan {
  int64_t rows, columns, padded;             // padded: columns up to whole vectors of any target
  int64_t block_rows, parts, column_blocks;  // parts: blocks below each other; column_blocks: side by side

  ColumnPlan(int64_t rows_, int64_t columns_) : rows(rows_), columns(columns_), padded((columns_ + 15) / 16 * 16) {
    block_rows = std::max<int64_t>(1, kBlock / std::clamp<int64_t>(columns, 1, kBlockColumns));
    parts = std::max<int64_t>(1, (rows + block_rows - 1) / block_rows);
    column_blocks = (columns + kBlockColumns - 1) / kBlockColumns;
  }
  int64_t blocks() const { return parts * column_blocks; }
  int64_t block_size() const { return std::min(rows, block_rows) * std::min(columns, kBlockColumns); }
  // Bytes for `sums` sums of each column and part.
  size_t bytes(int64_t sums) const { return static_cast<size_t>(parts * sums * padded) * sizeof(float); }

  struct Block {
    int64_t part, row, rows, column, columns;
  };
  Block At(int64_t i) const {
    const int64_t part = i / column_blocks, row = part * block_rows, column = i % column_blocks * kBlockColumns;
    return {part, row, std::min(block_rows, rows - row), column, std::min(kBlockColumns, columns - column)};
  }
};

// Of the first operand, whose last axis are the columns.
inline ColumnPlan NormPlan(const Call& call) {
  const int64_t columns = call.in[0].shape.back();
  return ColumnPlan(columns > 0 ? call.in[0].count() / columns : 0, columns);
}

}  // namespace ingot::cpu
