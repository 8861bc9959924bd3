// SPDX-License-Identifier: MIT
//
// Resizing of images by tables: row r of the output is made of taps_h rows of the input, each with its share; columns
// likewise. ResampleGrad is its transpose.
//
//   y(n, r, q, c) = sum over a, b of share_h(r, a) share_w(q, b) x(n, row(r, a), column(q, b), c)
//
// Threads: Resample by rows of the output. ResampleGrad by image and block of channels: each walks the output in order,
// so that sums have one order.
#include <algorithm>

#include "ingot/kernels/cpu/cpu.h"
#include "ingot/kernels/cpu/tiles.h"

namespace ingot::cpu {
namespace {

// Taps of one axis: (outputs, taps, {input, share}).
struct Taps {
  const float* pairs;
  int64_t taps;
  int64_t Input(int64_t output, int64_t tap) const { return static_cast<int64_t>(pairs[(output * taps + tap) * 2]); }
  float Share(int64_t output, int64_t tap) const { return pairs[(output * taps + tap) * 2 + 1]; }
};

}  // namespace

void Resample(const Call& call) {
  const auto& attrs = call.as<ResampleAttrs>();
  const Operand &x = call.in[0], &y = call.out[0];
  const Taps rows{call.in[1].f(), attrs.taps_h}, columns{call.in[2].f(), attrs.taps_w};
  const int64_t h = x.shape[1], w = x.shape[2], c = x.shape[3], oh = y.shape[1], ow = y.shape[2];
  if (y.count() == 0) return;
  ForTiles(call, y.shape[0] * oh, ow * c * rows.taps * columns.taps, [&](int64_t, int64_t first, int64_t last) {
    for (int64_t line = first; line < last; ++line) {
      const int64_t n = line / oh, r = line % oh;
      float* to = y.f() + line * ow * c;
      std::fill_n(to, ow * c, 0.0f);
      for (int64_t a = 0; a < rows.taps; ++a) {
        const float row_share = rows.Share(r, a);
        if (row_share == 0) continue;
        const float* source = x.f() + (n * h + rows.Input(r, a)) * w * c;
        for (int64_t q = 0; q < ow; ++q) {
          for (int64_t b = 0; b < columns.taps; ++b) {
            const float share = row_share * columns.Share(q, b);
            if (share == 0) continue;
            const float* pixel = source + columns.Input(q, b) * c;
            for (int64_t k = 0; k < c; ++k) to[q * c + k] += share * pixel[k];
          }
        }
      }
    }
  });
}

void ResampleGrad(const Call& call) {
  const auto& attrs = call.as<ResampleAttrs>();
  const Operand &dy = call.in[0], &dx = call.out[0];
  const Taps rows{call.in[1].f(), attrs.taps_h}, columns{call.in[2].f(), attrs.taps_w};
  const int64_t h = dx.shape[1], w = dx.shape[2], c = dx.shape[3], oh = dy.shape[1], ow = dy.shape[2];
  if (dx.count() == 0) return;
  constexpr int64_t kChannels = 32;
  const int64_t blocks = Tiles(c, kChannels);
  ForTiles(call, dx.shape[0] * blocks, oh * ow * std::min(c, kChannels) * rows.taps * columns.taps,
           [&](int64_t, int64_t first, int64_t last) {
             for (int64_t i = first; i < last; ++i) {
               const int64_t n = i / blocks, c0 = i % blocks * kChannels, count = std::min(kChannels, c - c0);
               float* image = dx.f() + n * h * w * c + c0;
               for (int64_t pixel = 0; pixel < h * w; ++pixel) std::fill_n(image + pixel * c, count, 0.0f);
               for (int64_t r = 0; r < oh; ++r) {
                 for (int64_t a = 0; a < rows.taps; ++a) {
                   const float row_share = rows.Share(r, a);
                   if (row_share == 0) continue;
                   float* row = image + rows.Input(r, a) * w * c;
                   for (int64_t q = 0; q < ow; ++q) {
                     const float* from = dy.f() + ((n * oh + r) * ow + q) * c + c0;
                     for (int64_t b = 0; b < columns.taps; ++b) {
                       const float share = row_share * columns.Share(q, b);
                       if (share == 0) continue;
                       float* to = row + columns.Input(q, b) * c;
                       for (int64_t k = 0; k < count; ++k) to[k] += share * from[k];
                     }
                   }
                 }
               }
             }
           });
}

}  // namespace ingot::cpu
