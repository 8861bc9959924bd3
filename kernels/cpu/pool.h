// SPDX-License-Identifier: MIT
//
// Maximum and average over windows of an image, and their gradients. Tensors are dense fp32 (N, H, W, C) and
// (N, OH, OW, C); window (oh, ow) starts at row oh*stride_h - pad_top and column ow*stride_w - pad_left. Positions
// outside the image do not count: the average is over those inside (as Keras has it). A window without a single
// position inside gives 0 and has no gradient.
//
// MaxPool gives NaN where a window holds one. `index` tells which position of its window, kh * PW + kw, the maximum
// came from (of equal ones the first; of NaNs the first). An index has 1 byte where a window has at most 256
// positions, as nearly all do, else 2 or 4: MaxPoolIndexBytes says which, and `index` points at that many bytes for
// each output. A fixed 2 bytes was rejected for its memory traffic, a fixed 1 because global pooling is a window
// of the size of the image.
//
// Threads: may be called from any thread; every output has one owner and a fixed order of sums, so the bits do not
// depend on the number of threads. Nothing is allocated.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ingot/core/threads.h"

namespace ingot::cpu {

struct PoolShape {
  int64_t n, h, w, c;  // input (N, H, W, C)
  int64_t oh, ow;      // output (N, OH, OW, C)
  int64_t ph, pw;      // window
  int64_t stride_h = 1, stride_w = 1;
  int64_t pad_top = 0, pad_left = 0;
};

// Bytes of one index: 1, 2 or 4.
size_t MaxPoolIndexBytes(const PoolShape& s);

// `index` may be null.
void MaxPool(ThreadPool& pool, const PoolShape& s, const float* x, float* y, void* index);
void MaxPoolGrad(ThreadPool& pool, const PoolShape& s, const float* dy, const void* index, float* dx);

void AvgPool(ThreadPool& pool, const PoolShape& s, const float* x, float* y);
void AvgPoolGrad(ThreadPool& pool, const PoolShape& s, const float* dy, float* dx);

}  // namespace ingot::cpu
