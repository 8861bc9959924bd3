// SPDX-License-Identifier: MIT
//
// Reductions over every set of axes, softmax along every axis, and normalization of rows and batches, against plain
// loops in double precision; long sums and large means, where floats would lose digits.
#include <limits>

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

// Which output each element goes to.
std::vector<size_t> Places(const Shape& x, unsigned axes) {
  std::vector<size_t> places;
  for (int64_t i = 0; i < x.count(); ++i) {
    int64_t rest = i, at = 0, stride = 1;
    for (int axis = x.rank() - 1; axis >= 0; --axis) {
      const int64_t index = rest % x[axis];
      rest /= x[axis];
      if (axes >> axis & 1) continue;
      at += index * stride;
      stride *= x[axis];
    }
    places.push_back(static_cast<size_t>(at));
  }
  return places;
}

void CheckReduce(const Shape& shape, unsigned axes, bool keep) {
  SCOPED_TRACE(shape.str() + " axes " + std::to_string(axes));
  Shape out;
  int64_t reduced = 1;
  for (int i = 0; i < shape.rank(); ++i) {
    const bool r = axes >> i & 1;
    if (r) reduced *= shape[i];
    if (!r || keep) out.push_back(r ? 1 : shape[i]);
  }
  Tensor x = RandomTensor(shape, 1);
  for (float& v : x.values) v = std::round(v * 8) / 8;  // many are equal
  const std::vector<size_t> places = Places(shape, axes);
  const auto n = static_cast<size_t>(out.count());
  Doubles sum(n), most(n, -std::numeric_limits<double>::infinity()), size(n);
  for (size_t i = 0; i < places.size(); ++i) {
    sum[places[i]] += D(x.values[i]);
    size[places[i]] += std::fabs(D(x.values[i]));
    most[places[i]] = std::max(most[places[i]], D(x.values[i]));
  }
  const auto bits = static_cast<uint8_t>(axes);
  TestCall test{Reduce, {x}, {out}, ReduceAttrs{ReduceOp::kSum, bits}, ReduceWorkspace};
  ExpectClose(Evaluate(test)[0], sum, 1e-6, 1e-6 * static_cast<double>(reduced), "sum");
  test.attrs = ReduceAttrs{ReduceOp::kMax, bits};
  const Floats y = Evaluate(test)[0];
  ExpectClose(y, most, 0, 0, "max");
  if (reduced > 0) {
    for (double& s : sum) s /= static_cast<double>(reduced);
    test.attrs = ReduceAttrs{ReduceOp::kMean, bits};
    ExpectClose(Evaluate(test)[0], sum, 1e-6, 1e-6, "mean");
  }
  Doubles equal(n), dx;
  const Tensor dy = RandomTensor(out, 2);
  for (size_t i = 0; i < places.size(); ++i) equal[places[i]] += x.values[i] == y[places[i]];
  for (size_t i = 0; i < places.size(); ++i)
    dx.push_back(x.values[i] == y[places[i]] ? D(dy.values[places[i]]) / equal[places[i]] : 0);
  TestCall grad{ReduceMaxGrad, {x, {out, y}, dy}, {shape}, ReduceAttrs{ReduceOp::kMax, bits}};
  ExpectClose(Evaluate(grad)[0], dx, 2e-7, 0, "gradient of max");
}

TEST(Reduce, EverySetOfAxes) {
  ForEachTarget([] {
    for (unsigned axes = 0; axes < 16; ++axes) CheckReduce({3, 4, 5, 19}, axes, axes % 2);
    for (unsigned axes = 0; axes < 16; ++axes) CheckReduce({2, 1, 37, 3}, axes, axes % 2);
    for (unsigned axes = 0; axes < 8; ++axes) CheckReduce({2, 0, 5}, axes, true);
    CheckReduce({2, 3, 1, 2, 2, 1, 3, 2}, 0b10110101, false);
    CheckReduce({}, 0, false);
  });
}

TEST(Reduce, LargeOnes) {
  ForEachTarget([] {
    CheckReduce({70000}, 1, false);
    CheckReduce({300, 700}, 1, false);
    CheckReduce({300, 700}, 2, false);
    CheckReduce({60000, 3}, 1, false);
    CheckReduce({60000, 3}, 2, false);
    CheckReduce({3, 50, 60, 24}, 0b0110, false);
    CheckReduce({40, 50, 7, 9}, 0b0101, true);
    CheckReduce({5, 90, 30, 10}, 0b1010, true);
    CheckReduce({2, 70000}, 2, false);
  });
}

TEST(Reduce, LongSumsKeepTheirDigits) {
  const int64_t n = 1 << 20;
  const Floats x = Random(n, 5, 0, 1);
  double total = 0;
  for (const float v : x) total += D(v);
  ForEachTarget([&] {
    TestCall all{Reduce, {{{n}, x}}, {{}}, ReduceAttrs{ReduceOp::kSum, 1}, ReduceWorkspace};
    ExpectClose(Evaluate(all)[0], {total}, 2e-7, 0);
    for (const int64_t columns : {1, 2, 16, 64, 1024}) {
      Doubles sums(static_cast<size_t>(columns));
      for (size_t i = 0; i < x.size(); ++i) sums[i % static_cast<size_t>(columns)] += D(x[i]);
      TestCall test{ColumnSum, {{{n / columns, columns}, x}}, {{columns}}, {}, ColumnSumWorkspace};
      ExpectClose(testing::Run(test)[0], sums, 5e-7, 0, std::to_string(columns) + " columns");
    }
  });
}

TEST(Reduce, ColumnSums) {
  ForEachTarget([] {
    for (const int64_t rows : {0, 1, 3, 4, 5, 100, 513, 2000}) {
      for (const int64_t columns : {1, 2, 3, 10, 15, 16, 17, 63, 64, 65, 511, 513, 1500}) {
        if (rows * columns > 300000) continue;
        const Tensor x = RandomTensor({rows, columns}, 3);
        Doubles sums(static_cast<size_t>(columns));
        for (size_t i = 0; i < x.values.size(); ++i) sums[i % sums.size()] += D(x.values[i]);
        TestCall test{ColumnSum, {x}, {{columns}}, {}, ColumnSumWorkspace};
        ExpectClose(Evaluate(test)[0], sums, 1e-6, 1e-6 * std::sqrt(static_cast<double>(rows) + 1));
      }
    }
  });
}

TEST(Reduce, MaximumOfNanIsNan) {
  ForEachTarget([] {
    for (const unsigned axes : {1u, 2u}) {
      Tensor x = RandomTensor({40, 40}, 1);
      x.values[25 * 40 + 25] = std::numeric_limits<float>::quiet_NaN();
      TestCall test{Reduce, {x}, {{40}}, ReduceAttrs{ReduceOp::kMax, static_cast<uint8_t>(axes)}, ReduceWorkspace};
      const Floats y = Evaluate(test)[0];
      for (size_t i = 0; i < 40; ++i) EXPECT_EQ(std::isnan(y[i]), i == 25);
    }
  });
}

void CheckSoftmax(const Shape& shape, int axis, float scale) {
  SCOPED_TRACE(shape.str() + " axis " + std::to_string(axis));
  const Tensor x = RandomTensor(shape, 1, -scale, scale), dy = RandomTensor(shape, 2);
  const std::vector<size_t> line = Places(shape, 1u << axis);
  const size_t lines = x.values.empty() ? 0 : *std::max_element(line.begin(), line.end()) + 1;
  Doubles most(lines, -1e300), sum(lines), y, log_y, dot(lines), dsum(lines), dx, dlog;
  for (size_t i = 0; i < line.size(); ++i) most[line[i]] = std::max(most[line[i]], D(x.values[i]));
  for (size_t i = 0; i < line.size(); ++i) sum[line[i]] += std::exp(D(x.values[i]) - most[line[i]]);
  for (size_t i = 0; i < line.size(); ++i) {
    log_y.push_back(D(x.values[i]) - most[line[i]] - std::log(sum[line[i]]));
    y.push_back(std::exp(log_y[i]));
    dot[line[i]] += y[i] * D(dy.values[i]);
    dsum[line[i]] += D(dy.values[i]);
  }
  for (size_t i = 0; i < line.size(); ++i) {
    dx.push_back(y[i] * (D(dy.values[i]) - dot[line[i]]));
    dlog.push_back(D(dy.values[i]) - y[i] * dsum[line[i]]);
  }
  TestCall test{Softmax, {x}, {shape}, AxisAttrs{axis}, nullptr, {0}};
  const Floats got = Evaluate(test)[0];
  // x - max, of up to twice the scale, is rounded before its exponential is taken: by up to 2^-24 of itself.
  ExpectClose(got, y, 1e-6 + std::ldexp(scale, -23), 1e-30, "softmax");
  test.kernel = LogSoftmax;
  const Floats got_log = Evaluate(test)[0];
  ExpectClose(got_log, log_y, 1e-6, 1e-6, "log softmax");
  TestCall grad{SoftmaxGrad, {{shape, got}, dy}, {shape}, AxisAttrs{axis}, nullptr, {0, 1}};
  ExpectClose(Evaluate(grad)[0], dx, 3e-6, 1e-6, "softmax gradient");
  grad.kernel = LogSoftmaxGrad;
  grad.in[0].values = got_log;
  ExpectClose(Evaluate(grad)[0], dlog, 3e-6, 1e-4, "log softmax gradient");
}

TEST(Softmax, AlongEveryAxis) {
  ForEachTarget([] {
    for (const int64_t n : {1, 2, 7, 8, 10, 16, 17, 100, 1000}) CheckSoftmax({5, n}, 1, 5);
    for (int axis = 0; axis < 4; ++axis) CheckSoftmax({3, 4, 5, 21}, axis, 80);
    CheckSoftmax({40, 1000}, 0, 5);
    CheckSoftmax({2, 30000}, 1, 5);
    CheckSoftmax({6000, 10}, 1, 5);
    CheckSoftmax({0, 10}, 1, 5);
  });
}

}  // namespace
}  // namespace ingot::cpu
