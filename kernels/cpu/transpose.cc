// SPDX-License-Identifier: MIT
//
// Transpose: y is x with its axes in another order. Axes that stay together are joined first. If the last axis stays
// last, runs are copied. Otherwise two axes matter: that along which x lies in one piece and that along which y does.
// Blocks of 32 by 32 of those are transposed, so that both sides use whole lines of the cache; the rest is walked.
//
// Threads: blocks by shape alone; no two write the same element.
#include <algorithm>
#include <cstring>

#include "ingot/kernels/cpu/cpu.h"
#include "ingot/kernels/cpu/strides.h"
#include "ingot/kernels/cpu/tiles.h"

namespace ingot::cpu {
namespace {

constexpr int64_t kSide = 32;

// The axes in the order of y: extents, and the distance in x and in y of one step along each.
struct Axes {
  int n = 0;
  int64_t extent[kMaxRank], in[kMaxRank], out[kMaxRank];
  Axes(const Shape& x, const Shape& y, const int8_t* axes) {
    const RowMajor from(x);
    for (int i = 0; i < y.rank(); ++i) {
      if (y[i] == 1) continue;
      const int64_t step = from.step[axes[i]];
      if (n > 0 && in[n - 1] == step * y[i]) {
        extent[n - 1] *= y[i], in[n - 1] = step;
      } else {
        extent[n] = y[i], in[n++] = step;
      }
    }
    if (n == 0) extent[0] = 1, in[0] = 1, n = 1;
    int64_t step = 1;
    for (int i = n - 1; i >= 0; --i) out[i] = step, step *= extent[i];
  }
};

template <class T>
void Move(const Call& call, const Axes& axes, const T* x, T* y) {
  const int last = axes.n - 1;
  int inner = last;  // along which x lies in one piece
  for (int i = 0; i < axes.n; ++i)
    if (axes.in[i] == 1) inner = i;
  const bool straight = inner == last;
  int64_t outer = 1;
  for (int i = 0; i < last; ++i)
    if (i != inner) outer *= axes.extent[i];
  const int64_t n = axes.extent[last], m = straight ? 1 : axes.extent[inner];  // (m, n) in y, (n, m) in x
  const int64_t width = straight ? n : kSide, height = straight ? 1 : kSide;
  const int64_t across = Tiles(n, width), down = Tiles(m, height);
  const int64_t in_n = axes.in[last], out_m = axes.out[inner];
  ForTiles(call, outer * down * across, std::min(m, height) * std::min(n, width),
           [&](int64_t, int64_t first, int64_t end) {
             for (int64_t block = first; block < end; ++block) {
               int64_t rest = block / (down * across), from = 0, to = 0;
               for (int i = last - 1; i >= 0; --i) {
                 if (i == inner) continue;
                 const int64_t index = rest % axes.extent[i];
                 rest /= axes.extent[i];
                 from += index * axes.in[i];
                 to += index * axes.out[i];
               }
               if (straight) {
                 std::memcpy(y + to, x + from, static_cast<size_t>(n) * sizeof(T));
                 continue;
               }
               const int64_t i0 = block / across % down * kSide, i1 = std::min(m, i0 + kSide);
               const int64_t j0 = block % across * kSide, j1 = std::min(n, j0 + kSide);
               for (int64_t i = i0; i < i1; ++i)
                 for (int64_t j = j0; j < j1; ++j) y[to + i * out_m + j] = x[from + i + j * in_n];
             }
           });
}

}  // namespace

void Transpose(const Call& call) {
  const Operand &x = call.in[0], &y = call.out[0];
  if (y.count() == 0) return;
  const Axes axes(x.shape, y.shape, call.as<PermuteAttrs>().axes);
  if (axes.n == 1) return Copy(call);
  if (y.dtype == DType::kUint8) return Move(call, axes, x.u(), y.u());
  if (y.dtype == DType::kInt32) return Move(call, axes, x.i(), y.i());
  Move(call, axes, x.f(), y.f());
}

}  // namespace ingot::cpu
