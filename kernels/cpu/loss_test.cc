// SPDX-License-Identifier: MIT
//
// Cross-entropy and elementwise losses against plain loops in double precision, over awkward numbers of classes and
// rows, on every SIMD target.
#include "ingot/kernels/cpu/call_test_util.h"
#include "ingot/kernels/losses.h"

namespace ingot::cpu {
namespace {

using testing::Evaluate;
using testing::ExpectClose;
using testing::Floats;
using testing::ForEachTarget;
using testing::Random;
using testing::RandomTensor;
using testing::Tensor;
using testing::TestCall;

using Doubles = std::vector<double>;

double D(float v) { return static_cast<double>(v); }

struct Softmax {
  Doubles p;  // (rows, n)
  Doubles log_p;
};

Softmax NaiveSoftmax(const Floats& x, size_t n) {
  Softmax s;
  for (size_t at = 0; at < x.size(); at += n) {
    double sum = 0;
    for (size_t i = at; i < at + n; ++i) sum += std::exp(D(x[i]));
    for (size_t i = at; i < at + n; ++i) s.p.push_back(std::exp(D(x[i])) / sum), s.log_p.push_back(std::log(s.p[i]));
  }
  return s;
}

void CheckCrossentropy(int64_t rows, int64_t classes, bool sparse, bool from_logits) {
  SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(classes) + (sparse ? ", sparse" : "") +
               (from_logits ? ", logits" : ""));
  const auto r = static_cast<size_t>(rows), n = static_cast<size_t>(classes);
  const CrossentropyAttrs attrs{sparse, from_logits, sparse ? 0.0f : 0.1f};
  const Tensor logits = RandomTensor({rows, classes}, 1, -4, 4);
  const Softmax softmax = NaiveSoftmax(logits.values, n);
  Tensor truth = RandomTensor({rows, classes}, 2, 0, 1), pred = logits;
  Doubles t(r * n), loss(r), slope(r * n);
  if (sparse) truth = {{rows}, Floats(r)};
  for (size_t i = 0; i < r * n; ++i) {
    if (sparse && i % n == i / n * 5 % n) truth.values[i / n] = static_cast<float>(i % n), t[i] = 1;
    if (!sparse) t[i] = D(truth.values[i]) * 0.9 + 0.1 / D(static_cast<float>(classes));
    if (!from_logits) pred.values[i] = static_cast<float>(softmax.p[i]);
  }
  const Tensor dloss = RandomTensor({rows}, 3);
  for (size_t row = 0; row < r; ++row) {
    double total = 0;
    for (size_t i = row * n; i < (row + 1) * n; ++i) loss[row] -= t[i] * softmax.log_p[i], total += t[i];
    for (size_t i = row * n; i < (row + 1) * n; ++i) {
      slope[i] = (from_logits ? softmax.p[i] * total - t[i] : total - t[i] / softmax.p[i]) * D(dloss.values[row]);
      // A single class is certain: Keras clips there, and the slope is 0.
      if (!from_logits && n == 1) slope[i] = 0;
    }
  }
  TestCall forward{Crossentropy, {truth, pred}, {{rows}}, attrs};
  if (from_logits) forward.out.push_back({rows, classes});
  const std::vector<Floats> got = Evaluate(forward);
  ExpectClose(got[0], loss, 2e-6, 4e-6, "loss");
  if (from_logits) {
    ExpectClose(got[1], softmax.p, 4e-6, 1e-7, "softmax");
    pred.values = got[1];
  }
  TestCall backward{CrossentropyGrad, {truth, pred, dloss}, {{rows, classes}}, attrs};
  // From probabilities the slope is the small rest of two sums of the size of n.
  ExpectClose(Evaluate(backward)[0], slope, 1e-5, 1e-5 + 4e-7 * static_cast<double>(classes), "slope");
}

TEST(LossKernels, CrossentropyOverAwkwardSizes) {
  ForEachTarget([] {
    for (const int64_t classes : {1, 2, 3, 7, 10, 15, 16, 17, 33, 100, 1000})
      for (const int64_t rows : {1, 3, 50})
        for (const bool sparse : {false, true})
          for (const bool logits : {false, true}) CheckCrossentropy(rows, classes, sparse, logits);
  });
}

// One element a row goes by another way than many.
TEST(LossKernels, SquaredAndBinaryOverAwkwardSizes) {
  ForEachTarget([] {
    for (const int64_t n : {1, 2, 15, 16, 33, 5000}) {
      for (const int64_t rows : {1, 2, 17, 64, 100}) {
        SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(n));
        const Tensor truth = RandomTensor({rows, n}, 1, 0, 1), pred = RandomTensor({rows, n}, 2, 0.05f, 0.95f),
                     dloss = RandomTensor({rows}, 3);
        const double over = 1 / static_cast<double>(n);
        for (const LossFormula formula : {LossFormula::kSquaredError, LossFormula::kBinaryCrossentropy}) {
          const bool squared = formula == LossFormula::kSquaredError;
          Doubles loss(static_cast<size_t>(rows)), slope;
          for (size_t i = 0; i < truth.values.size(); ++i) {
            const size_t row = i / static_cast<size_t>(n);
            const double t = D(truth.values[i]), p = D(pred.values[i]), d = D(dloss.values[row]) * over;
            loss[row] += over * (squared ? (p - t) * (p - t) : -t * std::log(p) - (1 - t) * std::log(1 - p));
            slope.push_back(d * (squared ? 2 * (p - t) : (1 - t) / (1 - p) - t / p));
          }
          const LossAttrs attrs{static_cast<uint16_t>(formula)};
          TestCall forward{ElementLoss, {truth, pred}, {{rows}}, attrs};
          ExpectClose(Evaluate(forward)[0], loss, 4e-6, 2e-7, "loss");
          TestCall backward{ElementLossGrad, {truth, pred, dloss}, {{rows, n}}, attrs};
          ExpectClose(Evaluate(backward)[0], slope, 4e-6, 2e-6, "slope");
        }
      }
    }
  });
}

}  // namespace
}  // namespace ingot::cpu
