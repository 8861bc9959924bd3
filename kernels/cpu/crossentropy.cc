// SPDX-License-Identifier: MIT
//
// Cross-entropy of rows of n classes, from logits or from probabilities, with classes as integers or as n numbers:
//
//   logits         loss = sum_i t_i (log sum_j e^(x_j - m) - (x_i - m)), m the largest; slope = p_i sum_j t_j - t_i
//   probabilities  q = p / sum p, c = q clipped to [1e-7, 1 - 1e-7], loss = -sum_i t_i log c_i;
//                  with g_i = -t_i / q_i (0 where clipped), slope = (g_i - sum_j g_j q_j) / sum p
//
// The last is what Keras computes with JAX. From logits the second output, if asked for, holds the softmax, which is
// the gradient's second input; from probabilities the gradient's second input is the prediction itself.
// A class out of range gives NaN (and touches nothing outside the row): the host has looked for those before.
// Each row has one owner and a fixed order of sums.
#include <cmath>
#include <limits>

#include "ingot/kernels/cpu/cpu.h"
#include "ingot/kernels/cpu/tiles.h"
#include "ingot/kernels/losses.h"

namespace ingot::cpu {
namespace {

constexpr int64_t kIgnored = -1, kInvalid = -2;

struct Truth {
  const CrossentropyAttrs& attrs;
  const Operand& operand;
  int64_t n;
  float on, off;  // what smoothing makes of t: t * on + off

  Truth(const Call& call, int64_t classes)
      : attrs(call.as<CrossentropyAttrs>()),
        operand(call.in[0]),
        n(classes),
        on(1 - attrs.smoothing),
        off(attrs.smoothing / static_cast<float>(classes)) {}

  // Sparse: the class of a row, or kIgnored, or kInvalid.
  int64_t Class(int64_t row) const {
    int64_t label = kInvalid;
    if (operand.dtype == DType::kInt32) {
      label = operand.i()[row];
    } else if (operand.dtype == DType::kUint8) {
      label = operand.u()[row];
    } else {
      const float value = operand.f()[row];
      if (!(std::fabs(value) < 1e9f)) return kInvalid;
      label = static_cast<int64_t>(value);
    }
    if (attrs.has_ignore && label == attrs.ignore_class) return kIgnored;
    return label >= 0 && label < n ? label : kInvalid;
  }
  float At(int64_t row, int64_t i) const { return operand.f()[row * n + i] * on + off; }
};

float FromLogits(const Truth& truth, int64_t row, int64_t label, const float* x, int64_t n, float* p) {
  float most = x[0];
  for (int64_t i = 1; i < n; ++i) most = x[i] > most || std::isnan(x[i]) ? x[i] : most;
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) {
    const float e = std::exp(x[i] - most);
    if (p) p[i] = e;
    sum += static_cast<double>(e);
  }
  const float log_sum = static_cast<float>(std::log(sum)), scale = static_cast<float>(1 / sum);
  if (p)
    for (int64_t i = 0; i < n; ++i) p[i] *= scale;
  if (truth.attrs.sparse) return log_sum - (x[label] - most);
  double loss = 0;
  for (int64_t i = 0; i < n; ++i) loss += static_cast<double>(truth.At(row, i) * (log_sum - (x[i] - most)));
  return static_cast<float>(loss);
}

float Sum(const float* p, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(p[i]);
  return static_cast<float>(sum);
}

float MinusLog(float q) {
  return -std::log(q < losses::kEpsilon ? losses::kEpsilon : q > losses::kBelowOne ? losses::kBelowOne : q);
}

float FromProbabilities(const Truth& truth, int64_t row, int64_t label, const float* p, int64_t n) {
  const float sum = Sum(p, n);
  if (truth.attrs.sparse) return MinusLog(p[label] / sum);
  double loss = 0;
  for (int64_t i = 0; i < n; ++i) loss += static_cast<double>(truth.At(row, i) * MinusLog(p[i] / sum));
  return static_cast<float>(loss);
}

void GradOfLogits(const Truth& truth, int64_t row, int64_t label, const float* p, float dloss, int64_t n, float* dx) {
  if (truth.attrs.sparse) {
    for (int64_t i = 0; i < n; ++i) dx[i] = p[i] * dloss;
    dx[label] = (p[label] - 1) * dloss;
    return;
  }
  double total = 0;
  for (int64_t i = 0; i < n; ++i) total += static_cast<double>(truth.At(row, i));
  for (int64_t i = 0; i < n; ++i) dx[i] = (p[i] * static_cast<float>(total) - truth.At(row, i)) * dloss;
}

void GradOfProbabilities(const Truth& truth, int64_t row, int64_t label, const float* p, float dloss, int64_t n,
                         float* dp) {
  const float sum = Sum(p, n);
  double inner = 0;  // sum of g q
  for (int64_t i = 0; i < n; ++i) {
    const float t = truth.attrs.sparse ? (i == label ? 1.0f : 0.0f) : truth.At(row, i), q = p[i] / sum;
    const bool clipped = q < losses::kEpsilon || q > losses::kBelowOne;
    dp[i] = clipped || t == 0 ? 0.0f : -t / q;
    inner += static_cast<double>(dp[i] * q);
  }
  for (int64_t i = 0; i < n; ++i) dp[i] = (dp[i] - static_cast<float>(inner)) / sum * dloss;
}

}  // namespace

void Crossentropy(const Call& call) {
  const int64_t n = call.in[1].shape.back(), rows = n ? call.in[1].count() / n : 0;
  const Truth truth(call, n);
  const float* pred = call.in[1].f();                                                     // (rows, n)
  float* loss = call.out[0].f();                                                          // (rows)
  float* p = call.out.size() > 1 && truth.attrs.from_logits ? call.out[1].f() : nullptr;  // (rows, n)
  ForTiles(call, rows, 4 * n, [&](int64_t, int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
      const int64_t label = truth.attrs.sparse ? truth.Class(r) : 0;
      if (label < 0) {
        const float value = label == kIgnored ? 0.0f : std::numeric_limits<float>::quiet_NaN();
        loss[r] = value;
        if (p) std::fill_n(p + r * n, n, value);
      } else if (truth.attrs.from_logits) {
        loss[r] = FromLogits(truth, r, label, pred + r * n, n, p ? p + r * n : nullptr);
      } else {
        loss[r] = FromProbabilities(truth, r, label, pred + r * n, n);
      }
    }
  });
}

void CrossentropyGrad(const Call& call) {
  const int64_t n = call.in[1].shape.back(), rows = n ? call.in[1].count() / n : 0;
  const Truth truth(call, n);
  const float *p = call.in[1].f(), *dloss = call.in[2].f();  // (rows, n), (rows)
  float* dpred = call.out[0].f();                            // (rows, n)
  ForTiles(call, rows, 4 * n, [&](int64_t, int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
      const int64_t label = truth.attrs.sparse ? truth.Class(r) : 0;
      if (label < 0)
        std::fill_n(dpred + r * n, n, label == kIgnored ? 0.0f : std::numeric_limits<float>::quiet_NaN());
      else
        (truth.attrs.from_logits ? GradOfLogits : GradOfProbabilities)(truth, r, label, p + r * n, dloss[r], n,
                                                                       dpred + r * n);
    }
  });
}

}  // namespace ingot::cpu
