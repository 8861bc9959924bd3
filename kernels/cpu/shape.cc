// SPDX-License-Identifier: MIT
//
// Kernels that move elements and do not compute: fill, copy, boxes, casts, transposes, repeats, gathering rows.
//
// Threads: work is cut by shape alone; no two tiles write the same element.
#include <algorithm>
#include <cstring>
#include <limits>

#include "ingot/kernels/cpu/cpu.h"
#include "ingot/kernels/cpu/tiles.h"

namespace ingot::cpu {
namespace {

// Elements from one row of an output to the next, along every axis.
void RowMajor(const Shape& shape, int64_t* stride) {
  int64_t step = 1;
  for (int i = shape.rank() - 1; i >= 0; --i) stride[i] = step, step *= shape[i];
}

int64_t IdAt(const Operand& ids, int64_t i) {
  return ids.dtype == DType::kInt32 ? ids.i()[i] : static_cast<int64_t>(ids.f()[i]);
}

}  // namespace

void Fill(const Call& call) {
  const float value = call.as<FillAttrs>().value;
  float* y = call.out[0].f();
  ForTiles(call, call.out[0].count(), 1,
           [&](int64_t, int64_t first, int64_t last) { std::fill(y + first, y + last, value); });
}

void Copy(const Call& call) {
  const float* x = call.in[0].f();
  float* y = call.out[0].f();
  if (x == y) return;
  ForTiles(call, call.out[0].count(), 1,
           [&](int64_t, int64_t first, int64_t last) { std::copy(x + first, x + last, y + first); });
}

void CopyBox(const Call& call) {
  const auto& box = call.as<BoxAttrs>();
  const Operand &x = call.in[0], &y = call.out[0];
  if (box.rank == 0) {
    y.f()[0] = x.f()[0];
    return;
  }
  int64_t sx[kMaxRank], sy[kMaxRank], rows = 1;
  RowMajor(x.shape, sx);
  RowMajor(y.shape, sy);
  for (int i = 0; i + 1 < box.rank; ++i) rows *= box.extent[i];
  const int last_axis = box.rank - 1;
  const int64_t width = box.extent[last_axis];
  ForTiles(call, rows, width, [&](int64_t, int64_t first, int64_t last) {
    for (int64_t row = first; row < last; ++row) {
      int64_t rest = row, from = box.from[last_axis], to = box.to[last_axis];
      for (int i = last_axis - 1; i >= 0; --i) {
        const int64_t index = rest % box.extent[i];
        rest /= box.extent[i];
        from += (index + box.from[i]) * sx[i];
        to += (index + box.to[i]) * sy[i];
      }
      std::memcpy(y.f() + to, x.f() + from, static_cast<size_t>(width) * sizeof(float));
    }
  });
}

void Cast(const Call& call) {
  const Operand& x = call.in[0];
  float* y = call.out[0].f();
  ForTiles(call, x.count(), 1, [&](int64_t, int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i)
      y[i] = x.dtype == DType::kInt32   ? static_cast<float>(x.i()[i])
             : x.dtype == DType::kUint8 ? static_cast<float>(x.u()[i])
                                        : x.f()[i];
  });
}

void Transpose(const Call& call) {
  const auto& attrs = call.as<PermuteAttrs>();
  const Operand &x = call.in[0], &y = call.out[0];
  const int rank = y.shape.rank();
  if (rank == 0) return Copy(call);
  int64_t sx[kMaxRank], step[kMaxRank];
  RowMajor(x.shape, sx);
  for (int i = 0; i < rank; ++i) step[i] = sx[attrs.axes[i]];
  const int64_t width = y.shape.back(), rows = width ? y.count() / width : 0, across = step[rank - 1];
  ForTiles(call, rows, width, [&](int64_t, int64_t first, int64_t last) {
    for (int64_t row = first; row < last; ++row) {
      int64_t rest = row, from = 0;
      for (int i = rank - 2; i >= 0; --i) {
        from += rest % y.shape[i] * step[i];
        rest /= y.shape[i];
      }
      const float* source = x.f() + from;
      float* target = y.f() + row * width;
      if (across == 1)
        std::memcpy(target, source, static_cast<size_t>(width) * sizeof(float));
      else
        for (int64_t i = 0; i < width; ++i) target[i] = source[i * across];
    }
  });
}

void Broadcast(const Call& call) {
  const Operand &x = call.in[0], &y = call.out[0];
  const int rank = y.shape.rank();
  if (rank == 0) return Copy(call);
  int64_t step[kMaxRank] = {}, stride = 1;
  for (int i = 1; i <= x.shape.rank(); ++i) {
    step[rank - i] = x.shape[-i] == 1 ? 0 : stride;
    stride *= x.shape[-i];
  }
  const int64_t width = y.shape.back(), rows = width ? y.count() / width : 0;
  ForTiles(call, rows, width, [&](int64_t, int64_t first, int64_t last) {
    for (int64_t row = first; row < last; ++row) {
      int64_t rest = row, from = 0;
      for (int i = rank - 2; i >= 0; --i) {
        from += rest % y.shape[i] * step[i];
        rest /= y.shape[i];
      }
      float* target = y.f() + row * width;
      if (step[rank - 1])
        std::memcpy(target, x.f() + from, static_cast<size_t>(width) * sizeof(float));
      else
        std::fill_n(target, width, x.f()[from]);
    }
  });
}

// The host checks ids before a step; one that slips through reads nothing and shows as NaN.
void Gather(const Call& call) {
  const Operand &table = call.in[0], &ids = call.in[1], &y = call.out[0];
  const int64_t rows = table.shape[0], width = table.shape[1];
  ForTiles(call, ids.count(), width, [&](int64_t, int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const int64_t id = IdAt(ids, i);
      if (id < 0 || id >= rows)
        std::fill_n(y.f() + i * width, width, std::numeric_limits<float>::quiet_NaN());
      else
        std::memcpy(y.f() + i * width, table.f() + id * width, static_cast<size_t>(width) * sizeof(float));
    }
  });
}

// Cut by columns: every thread walks all ids in order, so that rows met twice are summed in that order.
void ScatterAdd(const Call& call) {
  const Operand &ids = call.in[0], &dy = call.in[1], &dtable = call.out[0];
  const int64_t rows = dtable.shape[0], width = dtable.shape[1], n = ids.count();
  constexpr int64_t kColumns = 16;
  const auto block = [&](int64_t b) {
    const int64_t from = b * kColumns, to = std::min(width, from + kColumns);
    for (int64_t r = 0; r < rows; ++r) std::fill(dtable.f() + r * width + from, dtable.f() + r * width + to, 0.0f);
    for (int64_t i = 0; i < n; ++i) {
      const int64_t id = IdAt(ids, i);
      if (id < 0 || id >= rows) continue;
      for (int64_t c = from; c < to; ++c) dtable.f()[id * width + c] += dy.f()[i * width + c];
    }
  };
  const int64_t blocks = Tiles(width, kColumns);
  if (dtable.count() + dy.count() > kInline && call.run && call.run->pool)
    call.run->pool->For(blocks, block);
  else
    for (int64_t b = 0; b < blocks; ++b) block(b);
}

// Tables hold, for each row (column) of the output, pairs of an input row (column) and its share.
void Resample(const Call& call) {
  const auto& attrs = call.as<ResampleAttrs>();
  const Operand &x = call.in[0], &y = call.out[0];
  const float *rows = call.in[1].f(), *columns = call.in[2].f();
  const int64_t h = x.shape[1], w = x.shape[2], c = x.shape[3], oh = y.shape[1], ow = y.shape[2];
  ForTiles(call, y.shape[0] * oh, ow * c, [&](int64_t, int64_t first, int64_t last) {
    for (int64_t line = first; line < last; ++line) {
      const int64_t n = line / oh, r = line % oh;
      float* target = y.f() + line * ow * c;
      std::fill_n(target, ow * c, 0.0f);
      for (int64_t a = 0; a < attrs.taps_h; ++a) {
        const float* row = rows + (r * attrs.taps_h + a) * 2;
        if (row[1] == 0) continue;
        const float* source = x.f() + (n * h + static_cast<int64_t>(row[0])) * w * c;
        for (int64_t q = 0; q < ow; ++q) {
          for (int64_t b = 0; b < attrs.taps_w; ++b) {
            const float* column = columns + (q * attrs.taps_w + b) * 2;
            const float share = row[1] * column[1];
            if (share == 0) continue;
            const float* pixel = source + static_cast<int64_t>(column[0]) * c;
            for (int64_t k = 0; k < c; ++k) target[q * c + k] += share * pixel[k];
          }
        }
      }
    }
  });
}

// The transpose: each image is one tile, so that its sums have one order.
void ResampleGrad(const Call& call) {
  const auto& attrs = call.as<ResampleAttrs>();
  const Operand &dy = call.in[0], &dx = call.out[0];
  const float *rows = call.in[1].f(), *columns = call.in[2].f();
  const int64_t h = dx.shape[1], w = dx.shape[2], c = dx.shape[3], oh = dy.shape[1], ow = dy.shape[2];
  const auto image = [&](int64_t n) {
    float* target = dx.f() + n * h * w * c;
    std::fill_n(target, h * w * c, 0.0f);
    for (int64_t r = 0; r < oh; ++r) {
      for (int64_t a = 0; a < attrs.taps_h; ++a) {
        const float* row = rows + (r * attrs.taps_h + a) * 2;
        if (row[1] == 0) continue;
        for (int64_t q = 0; q < ow; ++q) {
          const float* source = dy.f() + ((n * oh + r) * ow + q) * c;
          for (int64_t b = 0; b < attrs.taps_w; ++b) {
            const float* column = columns + (q * attrs.taps_w + b) * 2;
            const float share = row[1] * column[1];
            if (share == 0) continue;
            float* pixel = target + (static_cast<int64_t>(row[0]) * w + static_cast<int64_t>(column[0])) * c;
            for (int64_t k = 0; k < c; ++k) pixel[k] += share * source[k];
          }
        }
      }
    }
  };
  if (dy.count() > kInline && call.run && call.run->pool)
    call.run->pool->For(dx.shape[0], image);
  else
    for (int64_t n = 0; n < dx.shape[0]; ++n) image(n);
}

}  // namespace ingot::cpu
