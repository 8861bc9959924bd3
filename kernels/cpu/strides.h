// SPDX-License-Identifier: MIT
//
// Walking several operands along the axes of an output. Each operand has, for each axis, a stride: 0 where it is
// broadcast. Neighbouring axes which every operand walks as if they were one are joined, and axes 1 long dropped, so
// that equal shapes become one axis and a row vector or a scalar two.
#pragma once

#include <algorithm>
#include <cstdint>

#include "ingot/core/types.h"

namespace ingot::cpu {

// Distances between neighbours along each axis of an array that lies in one piece.
struct RowMajor {
  int64_t step[kMaxRank] = {};
  explicit RowMajor(const Shape& shape) {
    int64_t stride = 1;
    for (int i = shape.rank() - 1; i >= 0; --i) step[i] = stride, stride *= shape[i];
  }
};

// As `shape` is broadcast to `out`, NumPy's way: last axes stand below each other. REQUIRES: shape fits out
struct BroadcastSteps {
  int64_t step[kMaxRank] = {};
  BroadcastSteps(const Shape& shape, const Shape& out) {
    int64_t stride = 1;
    for (int i = 1; i <= shape.rank(); ++i) {
      step[out.rank() - i] = shape[-i] == 1 ? 0 : stride;
      stride *= shape[-i];
    }
  }
};

// The joined axes: K operands beside the output, which lies in one piece.
template <int K>
struct Walk {
  int rank = 0;  // at least 1
  int64_t extent[kMaxRank];
  int64_t step[K][kMaxRank];

  Walk(const Shape& out, const int64_t* const (&steps)[K]) {
    for (int i = 0; i < out.rank(); ++i) {
      if (out[i] == 1) continue;
      bool joins = rank > 0;
      for (int k = 0; k < K; ++k) joins = joins && step[k][rank - 1] == steps[k][i] * out[i];
      if (!joins) ++rank, extent[rank - 1] = 1;
      extent[rank - 1] *= out[i];
      for (int k = 0; k < K; ++k) step[k][rank - 1] = steps[k][i];
    }
    if (rank > 0) return;
    rank = 1, extent[0] = 1;
    for (int k = 0; k < K; ++k) step[k][0] = 1;
  }
  int64_t width() const { return extent[rank - 1]; }
  int64_t rows() const {
    int64_t rows = 1;
    for (int i = 0; i + 1 < rank; ++i) rows *= extent[i];
    return rows;
  }

  // Where the rows (along the last axis) begin in each operand, one after the other.
  class Rows {
   public:
    Rows(const Walk& walk, int64_t row) : walk_(walk) {
      for (int i = walk.rank - 2; i >= 0; --i) {
        index_[i] = row % walk.extent[i];
        row /= walk.extent[i];
        for (int k = 0; k < K; ++k) at[k] += index_[i] * walk.step[k][i];
      }
    }
    void Next() {
      for (int i = walk_.rank - 2; i >= 0; --i) {
        for (int k = 0; k < K; ++k) at[k] += walk_.step[k][i];
        if (++index_[i] < walk_.extent[i]) return;
        for (int k = 0; k < K; ++k) at[k] -= walk_.extent[i] * walk_.step[k][i];
        index_[i] = 0;
      }
    }
    int64_t at[K] = {};

   private:
    const Walk& walk_;
    int64_t index_[kMaxRank] = {};
  };
};

}  // namespace ingot::cpu
