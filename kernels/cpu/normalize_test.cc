// SPDX-License-Identifier: MIT
//
// Normalization of batches and rows against plain loops in double precision, over awkward sizes, large means and long
// columns.
#include "ingot/kernels/cpu/call_test_util.h"

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

void CheckBatchNorm(int64_t rows, int64_t columns, float mean, float spread) {
  SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(columns));
  const auto c = static_cast<size_t>(columns);
  const float epsilon = 1e-3f, momentum = 0.9f;
  const Tensor x = RandomTensor({rows, columns}, 1, mean - spread, mean + spread),
               dy = RandomTensor({rows, columns}, 2);
  const Tensor gamma = RandomTensor({columns}, 3), beta = RandomTensor({columns}, 4);
  const Tensor moving_mean = RandomTensor({columns}, 5), moving_variance = RandomTensor({columns}, 6, 0, 2);
  const double n = static_cast<double>(std::max<int64_t>(rows, 1));
  Doubles m(c), v(c), rstd(c), new_mean(c), new_variance(c), y;
  for (size_t i = 0; i < x.values.size(); ++i) m[i % c] += D(x.values[i]) / n;
  for (size_t i = 0; i < x.values.size(); ++i)
    v[i % c] += (D(x.values[i]) - m[i % c]) * (D(x.values[i]) - m[i % c]) / n;
  for (size_t i = 0; i < c; ++i) {
    rstd[i] = 1 / std::sqrt(v[i] + D(epsilon));
    new_mean[i] = D(moving_mean.values[i]) * D(momentum) + m[i] * (1 - D(momentum));
    new_variance[i] = D(moving_variance.values[i]) * D(momentum) + v[i] * (1 - D(momentum));
  }
  TestCall test{BatchNorm,
                {x, gamma, beta, moving_mean, moving_variance},
                {x.shape, {columns}, {columns}},
                BatchNormAttrs{{epsilon, momentum}},
                BatchNormWorkspace};
  const std::vector<Floats> got = Evaluate(test);
  ExpectClose(got[1], m, 1e-6, 1e-6, "mean");
  ExpectClose(got[2], rstd, 2e-6, 0, "rstd");
  ExpectClose(test.in_after[3], new_mean, 1e-6, 1e-6, "moving mean");
  ExpectClose(test.in_after[4], new_variance, 2e-6, 1e-7, "moving variance");
  // From here on with the mean and rstd that the kernel gave: those are its answer, rounded.
  for (size_t i = 0; i < x.values.size(); ++i)
    y.push_back((D(x.values[i]) - D(got[1][i % c])) * D(got[2][i % c]) * D(gamma.values[i % c]) +
                D(beta.values[i % c]));
  ExpectClose(got[0], y, 2e-6, 2e-6, "y");

  Doubles dbeta(c), dgamma(c), size(c), dx;
  const auto z = [&](size_t i) { return (D(x.values[i]) - D(got[1][i % c])) * D(got[2][i % c]); };
  for (size_t i = 0; i < x.values.size(); ++i) dbeta[i % c] += D(dy.values[i]), dgamma[i % c] += D(dy.values[i]) * z(i);
  for (size_t i = 0; i < x.values.size(); ++i)
    dx.push_back(D(gamma.values[i % c]) * D(got[2][i % c]) *
                 (D(dy.values[i]) - dbeta[i % c] / n - z(i) * dgamma[i % c] / n));
  TestCall grad{BatchNormGrad,
                {x, gamma, {{columns}, got[1]}, {{columns}, got[2]}, dy},
                {x.shape, {columns}, {columns}},
                BatchNormAttrs{{epsilon, momentum}},
                BatchNormGradWorkspace,
                {0, 4}};
  const std::vector<Floats> d = Evaluate(grad);
  const double room = 1e-6 * std::sqrt(n) + 1e-6;
  ExpectClose(d[0], dx, 3e-6, 3e-6 * D(*std::max_element(got[2].begin(), got[2].end())), "dx");
  ExpectClose(d[1], dgamma, 2e-6, 2 * room, "dgamma");
  ExpectClose(d[2], dbeta, 2e-6, room, "dbeta");

  TestCall infer{BatchNormInfer,
                 {x, gamma, beta, moving_mean, moving_variance},
                 {x.shape},
                 NormAttrs{epsilon, momentum},
                 BatchNormInferWorkspace,
                 {0}};
  y.clear();
  for (size_t i = 0; i < x.values.size(); ++i)
    y.push_back((D(x.values[i]) - D(moving_mean.values[i % c])) * D(gamma.values[i % c]) /
                    std::sqrt(D(moving_variance.values[i % c]) + D(epsilon)) +
                D(beta.values[i % c]));
  ExpectClose(Evaluate(infer)[0], y, 3e-6, 3e-6, "inference");
}

TEST(BatchNorm, AwkwardSizes) {
  ForEachTarget([] {
    for (const int64_t rows : {1, 2, 5, 33, 300})
      for (const int64_t columns : {1, 3, 8, 15, 17, 63, 64, 65, 200, 513}) CheckBatchNorm(rows, columns, 0.5f, 2);
    CheckBatchNorm(30000, 3, 1, 2);
    CheckBatchNorm(5000, 16, -1, 1);
    CheckBatchNorm(3000, 64, 0, 1);
    CheckBatchNorm(100, 1100, 0, 1);
  });
}

TEST(BatchNorm, LargeMeansDoNotCancel) {
  ForEachTarget([] {
    CheckBatchNorm(4000, 16, 1000, 0.5f);
    CheckBatchNorm(4000, 70, -3000, 1);
  });
}

TEST(BatchNorm, OfFourAxesAndOfNothing) {
  ForEachTarget([] {
    const Tensor x = RandomTensor({2, 3, 4, 5}, 1), of_c = RandomTensor({5}, 2, 0.5f, 2);
    TestCall test{
        BatchNorm, {x, of_c, of_c, of_c, of_c}, {x.shape, {5}, {5}}, BatchNormAttrs{{1e-3f, 0.9f}}, BatchNormWorkspace};
    TestCall flat = test;
    flat.in[0].shape = flat.out[0] = Shape{24, 5};
    EXPECT_TRUE(testing::SameBits(Evaluate(test), Evaluate(flat)));
    TestCall nothing{BatchNormInfer,
                     {{{0, 5}, {}}, of_c, of_c, of_c, of_c},
                     {{0, 5}},
                     NormAttrs{1e-3f, 0.9f},
                     BatchNormInferWorkspace,
                     {0}};
    Evaluate(nothing);
  });
}

void CheckNormalize(int64_t rows, int64_t n, float mean, float spread) {
  SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(n));
  const float epsilon = 1e-3f;
  const Tensor x = RandomTensor({rows, n}, 1, mean - spread, mean + spread), dy = RandomTensor({rows, n}, 2);
  const auto width = static_cast<size_t>(n);
  Doubles y, rstd, dx;
  for (size_t row = 0; row < static_cast<size_t>(rows); ++row) {
    double m = 0, v = 0;
    for (size_t i = 0; i < width; ++i) m += D(x.values[row * width + i]) / static_cast<double>(n);
    for (size_t i = 0; i < width; ++i) v += std::pow(D(x.values[row * width + i]) - m, 2) / static_cast<double>(n);
    rstd.push_back(1 / std::sqrt(v + D(epsilon)));
    for (size_t i = 0; i < width; ++i) y.push_back((D(x.values[row * width + i]) - m) * rstd[row]);
  }
  TestCall test{Normalize, {x}, {x.shape, {rows}}, NormAttrs{epsilon, 0}};
  const std::vector<Floats> got = Evaluate(test);
  ExpectClose(got[0], y, 3e-6, 2e-6 + D(std::fabs(mean)) * 1e-7 / D(spread), "y");
  ExpectClose(got[1], rstd, 3e-6, 0, "rstd");
  for (size_t row = 0; row < static_cast<size_t>(rows); ++row) {
    double sum = 0, dot = 0;
    for (size_t i = row * width; i < (row + 1) * width; ++i) {
      sum += D(dy.values[i]) / static_cast<double>(n);
      dot += D(dy.values[i]) * D(got[0][i]) / static_cast<double>(n);
    }
    for (size_t i = row * width; i < (row + 1) * width; ++i)
      dx.push_back(D(got[1][row]) * (D(dy.values[i]) - sum - D(got[0][i]) * dot));
  }
  TestCall grad{NormalizeGrad, {{x.shape, got[0]}, {{rows}, got[1]}, dy}, {x.shape}, NormAttrs{epsilon, 0}};
  ExpectClose(Evaluate(grad)[0], dx, 3e-6, 3e-6 * D(*std::max_element(got[1].begin(), got[1].end())), "dx");
}

TEST(Normalize, RowsOfEverySize) {
  ForEachTarget([] {
    for (const int64_t n : {1, 2, 7, 8, 15, 16, 17, 64, 100, 1025, 30000}) CheckNormalize(3, n, 0.5f, 2);
    CheckNormalize(3000, 20, 0, 1);
    CheckNormalize(5, 1000, 1000, 1);
  });
}

}  // namespace
}  // namespace ingot::cpu
