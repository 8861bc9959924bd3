// SPDX-License-Identifier: MIT
//
// What products and convolutions do to each sum before they write it, while it is still in a register:
//
//   y = act(sum * scale[k] + shift[k] + residual)        act(v) = min(v < 0 ? slope * v : v, limit)
//   y = act(sum * scale[k] + shift[k]) + residual        if residual_last
//
// k is the output channel or the column. A bias is a shift without a scale. A NaN stays one.
#pragma once

#include <cstdint>
#include <limits>

namespace ingot::cpu {

struct Epilogue {
  const float* scale = nullptr;     // (K); null: 1
  const float* shift = nullptr;     // (K); null: 0
  const float* residual = nullptr;  // laid out as y; null: none
  bool residual_last = false;
  float slope = 1;  // 0: ReLU
  float limit = std::numeric_limits<float>::infinity();
};

// The commonest one. `bias` may be null.
inline Epilogue BiasAndRelu(const float* bias, bool relu) {
  Epilogue e;
  e.shift = bias;
  if (relu) e.slope = 0;
  return e;
}

// Of a single sum; `element` of y, in column k.
inline float Finished(const Epilogue& e, float sum, int64_t k, int64_t element) {
  if (e.scale != nullptr) sum *= e.scale[k];
  if (e.shift != nullptr) sum += e.shift[k];
  if (e.residual != nullptr && !e.residual_last) sum += e.residual[element];
  if (sum < 0) sum = e.slope == 0 ? 0 : sum * e.slope;
  if (sum > e.limit) sum = e.limit;
  if (e.residual != nullptr && e.residual_last) sum += e.residual[element];
  return sum;
}

}  // namespace ingot::cpu
