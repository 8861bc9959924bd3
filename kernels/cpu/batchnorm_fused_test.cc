// SPDX-License-Identifier: MIT
//
// Batch-norm with everything that can join it, forward and backward, against plain loops in double precision: every
// combination, over sizes that windows do not cover and channels that fill no vector.
#include <limits>

#include "ingot/kernels/cpu/call_test_util.h"

namespace ingot::cpu {
namespace {

using testing::Evaluate;
using testing::ExpectClose;
using testing::Floats;
using testing::ForEachTarget;
using testing::RandomTensor;
using testing::Tensor;
using testing::TestCall;

using Doubles = std::vector<double>;
double D(float v) { return static_cast<double>(v); }

constexpr float kNoLimit = std::numeric_limits<float>::quiet_NaN();
double Relu(double v, float limit) { return v <= 0 ? 0 : v > D(limit) ? D(limit) : v; }
bool Passes(float v, float limit) { return v > 0 && !(v >= limit); }

struct Case {
  Shape image;
  bool residual, relu;
  float limit;
  int pool_h, pool_w;  // 0: none
  bool from_relu, sums;
};

void Check(const Case& c) {
  const auto channels = static_cast<size_t>(c.image.back());
  const int64_t n = c.image.count() / c.image.back();
  SCOPED_TRACE("image " + c.image.str() + (c.residual ? ", residual" : "") + (c.relu ? ", relu" : "") +
               (c.limit > 0 ? "6" : "") + ", pool " + std::to_string(c.pool_h) + " x " + std::to_string(c.pool_w) +
               (c.from_relu ? ", from relu" : ""));
  BatchNormAttrs attrs{{1e-3f, 0.9f}, c.residual, c.relu, c.pool_h > 0, c.limit};
  if (attrs.pool) attrs.window = {c.pool_h, c.pool_w, c.pool_h, c.pool_w, 0, 0};
  Tensor x = RandomTensor(c.image, 1, -1, 3);
  if (c.from_relu)
    for (float& v : x.values) v = std::max(v, 0.0f);
  const Shape of_c{c.image.back()};
  const Tensor gamma = RandomTensor(of_c, 2, -2, 4), beta = RandomTensor(of_c, 3, -1, 2),
               moving = RandomTensor(of_c, 4);
  const Tensor residual = RandomTensor(c.image, 5, -2, 2);
  const Shape pooled =
      attrs.pool ? Shape{c.image[0], c.image[1] / c.pool_h, c.image[2] / c.pool_w, c.image[3]} : c.image;

  TestCall forward{BatchNorm, {x, gamma, beta, moving, moving}, {pooled, of_c, of_c}, attrs, BatchNormWorkspace};
  if (c.residual) forward.in.push_back(residual);
  // An index is a byte; what is read back are floats, so there are four in each.
  if (attrs.pool) forward.out.push_back({(pooled.count() + 3) / 4});
  const std::vector<Floats> got = Evaluate(forward);
  const Floats &y = got[0], &mean = got[1], &rstd = got[2];
  std::vector<uint8_t> index(attrs.pool ? got[3].size() * 4 : 0);
  if (attrs.pool) std::memcpy(index.data(), got[3].data(), index.size());

  // What is normalized, and after relu.
  Doubles z(x.values.size()), v(x.values.size());
  for (size_t i = 0; i < z.size(); ++i) {
    const size_t k = i % channels;
    z[i] = (D(x.values[i]) - D(mean[k])) * D(rstd[k]);
    v[i] = z[i] * D(gamma.values[k]) + D(beta.values[k]) + (c.residual ? D(residual.values[i]) : 0);
    if (c.relu) v[i] = Relu(v[i], c.limit);
  }
  // Which element of the image each of the output is.
  std::vector<size_t> from(y.size());
  Doubles expected(y.size());
  for (size_t i = 0; i < y.size(); ++i) {
    from[i] = i;
    if (attrs.pool) {
      const auto at = static_cast<int64_t>(i) / c.image[3], ow = at % pooled[2], oh = at / pooled[2] % pooled[1];
      const int64_t row = at / pooled[2] / pooled[1] * c.image[1] + oh * c.pool_h;
      double best = -std::numeric_limits<double>::infinity();
      ASSERT_LT(index[i], c.pool_h * c.pool_w);
      for (int p = 0; p < c.pool_h * c.pool_w; ++p) {
        const auto element =
            static_cast<size_t>(((row + p / c.pool_w) * c.image[2] + ow * c.pool_w + p % c.pool_w) * c.image[3] +
                                static_cast<int64_t>(i) % c.image[3]);
        best = std::max(best, v[element]);
        if (p == index[i]) from[i] = element;
      }
      EXPECT_NEAR(v[from[i]], best, 1e-5) << "the window " << i;
    }
    expected[i] = v[from[i]];
  }
  ExpectClose(y, expected, 3e-6, 3e-6, "y");

  // Backward, with the choices that the forward step made.
  const Tensor dy = RandomTensor(pooled, 6);
  Doubles dv(z.size()), dgamma(channels), dbeta(channels), dx, sums(channels);
  for (size_t i = 0; i < y.size(); ++i)
    if (!c.relu || Passes(y[i], c.limit)) dv[from[i]] += D(dy.values[i]);
  for (size_t i = 0; i < z.size(); ++i) dbeta[i % channels] += dv[i], dgamma[i % channels] += dv[i] * z[i];
  attrs.from_relu = c.from_relu, attrs.sums = c.sums;
  for (size_t i = 0; i < z.size(); ++i) {
    const size_t k = i % channels;
    double d = D(gamma.values[k]) * D(rstd[k]) *
               (dv[i] - dbeta[k] / static_cast<double>(n) - z[i] * dgamma[k] / static_cast<double>(n));
    if (c.from_relu && !Passes(x.values[i], kNoLimit)) d = 0;
    dx.push_back(d);
    sums[k] += d;
  }
  TestCall grad{BatchNormGrad,          {x, gamma, {of_c, mean}, {of_c, rstd}, dy},
                {c.image, of_c, of_c},  attrs,
                BatchNormGradWorkspace, {0}};
  if (c.relu) {
    if (c.residual || attrs.pool) {
      grad.in.push_back({pooled, y});
    } else {
      grad.in.push_back(beta);
    }
  }
  if (attrs.pool) {
    Floats bytes(index.begin(), index.begin() + pooled.count());
    grad.in.push_back({pooled, bytes, DType::kUint8});
  } else {
    grad.in_place.push_back(4);
  }
  if (c.sums) grad.out.push_back(of_c);
  if (c.residual && c.relu) grad.out.push_back(c.image);
  const std::vector<Floats> d = Evaluate(grad);
  const double most = D(*std::max_element(rstd.begin(), rstd.end()));
  ExpectClose(d[0], dx, 4e-6, 1e-5 * most, "dx");
  ExpectClose(d[1], dgamma, 4e-6, 1e-6 * std::sqrt(n) + 1e-5, "dgamma");
  ExpectClose(d[2], dbeta, 4e-6, 1e-6 * std::sqrt(n) + 1e-5, "dbeta");
  if (c.sums) ExpectClose(d[3], sums, 4e-6, 3e-5 * most * std::sqrt(n), "sums");
  if (c.residual && c.relu) ExpectClose(d[c.sums ? 4 : 3], dv, 0, 0, "dresidual");
}

TEST(BatchNormFused, EveryCombination) {
  ForEachTarget([] {
    for (const Shape& image : {Shape{2, 5, 7, 3}, Shape{3, 6, 4, 16}, Shape{1, 9, 5, 70}, Shape{4, 13, 13, 33}})
      for (const bool relu : {false, true})
        for (const float limit : {kNoLimit, 1.5f})
          for (const bool from_relu : {false, true}) {
            Check({image, false, relu, limit, 0, 0, from_relu, from_relu});
            Check({image, true, relu, limit, 0, 0, false, from_relu});
            Check({image, false, relu, limit, 2, 2, from_relu, !from_relu});
            Check({image, false, relu, limit, 3, 1, from_relu, from_relu});
          }
  });
}

TEST(BatchNormFused, ManyRowsAndThreads) {
  ForEachTarget([] {
    Check({{16, 26, 26, 64}, false, false, kNoLimit, 2, 2, true, true});
    Check({{16, 32, 32, 16}, true, true, kNoLimit, 0, 0, false, false});
    Check({{8, 17, 19, 600}, false, true, 6.0f, 2, 2, true, true});
  });
}

}  // namespace
}  // namespace ingot::cpu
