// SPDX-License-Identifier: MIT
//
// Operations of two operands against a walk over every index: each pattern of broadcasting up to rank 4, ranks up to 8,
// the gradients, ties and NaN.
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

constexpr BinaryOp kOps[] = {BinaryOp::kAdd,    BinaryOp::kSubtract, BinaryOp::kMultiply,
                             BinaryOp::kDivide, BinaryOp::kMaximum,  BinaryOp::kMinimum};

Shape Full(const Shape& a, const Shape& b) {
  Shape out = a.rank() >= b.rank() ? a : b;
  for (int i = 1; i <= std::min(a.rank(), b.rank()); ++i) out[-i] = a[-i] == 1 ? b[-i] : a[-i];
  return out;
}

// The element of x that stands at the index-th place of out.
double Pick(const Tensor& x, const Shape& out, int64_t index) {
  int64_t at = 0, stride = 1;
  for (int i = 1; i <= out.rank(); ++i) {
    const int64_t place = index % out[-i];
    index /= out[-i];
    if (i > x.shape.rank()) continue;
    at += (x.shape[-i] == 1 ? 0 : place) * stride;
    stride *= x.shape[-i];
  }
  return static_cast<double>(x.values[static_cast<size_t>(at)]);
}

double Apply(BinaryOp op, double a, double b) {
  switch (op) {
    case BinaryOp::kAdd:
      return a + b;
    case BinaryOp::kSubtract:
      return a - b;
    case BinaryOp::kMultiply:
      return a * b;
    case BinaryOp::kDivide:
      return a / b;
    case BinaryOp::kMaximum:
      return std::max(a, b);
    case BinaryOp::kMinimum:
      return std::min(a, b);
  }
  return 0;
}

double Slope(BinaryOp op, int side, double a, double b) {
  const double half = a == b ? 0.5 : 0;
  switch (op) {
    case BinaryOp::kAdd:
      return 1;
    case BinaryOp::kSubtract:
      return side == 0 ? 1 : -1;
    case BinaryOp::kMultiply:
      return side == 0 ? b : a;
    case BinaryOp::kDivide:
      return side == 0 ? 1 / b : -a / (b * b);
    case BinaryOp::kMaximum:
      return a == b ? half : (a > b) == (side == 0);
    case BinaryOp::kMinimum:
      return a == b ? half : (a < b) == (side == 0);
  }
  return 0;
}

void Check(const Shape& shape_a, const Shape& shape_b) {
  SCOPED_TRACE(shape_a.str() + " and " + shape_b.str());
  const Shape out = Full(shape_a, shape_b);
  Tensor a = RandomTensor(shape_a, 1), b = RandomTensor(shape_b, 2, 0.5f, 3), dy = RandomTensor(out, 3);
  for (size_t i = 0; i < std::min(a.values.size(), b.values.size()); i += 3) a.values[i] = b.values[i];  // ties
  for (const BinaryOp op : kOps) {
    TestCall test{Binary, {a, b}, {out}, BinaryAttrs{op, 0}};
    if (shape_a == out) test.in_place.push_back(0);
    if (shape_b == out) test.in_place.push_back(1);
    std::vector<double> want;
    for (int64_t i = 0; i < out.count(); ++i) want.push_back(Apply(op, Pick(a, out, i), Pick(b, out, i)));
    ExpectClose(Evaluate(test)[0], want, 2e-7, 0);
    for (const uint8_t side : {uint8_t{0}, uint8_t{1}}) {
      TestCall grad{BinaryGrad, {a, b, dy}, {out}, BinaryAttrs{op, side}};
      want.clear();
      for (int64_t i = 0; i < out.count(); ++i)
        want.push_back(Pick(dy, out, i) * Slope(op, side, Pick(a, out, i), Pick(b, out, i)));
      ExpectClose(Evaluate(grad)[0], want, 5e-7, 0);
    }
  }
}

TEST(Binary, EveryPatternOfBroadcasting) {
  ForEachTarget([] {
    for (int pattern_a = 0; pattern_a < 16; ++pattern_a) {
      for (int pattern_b = 0; pattern_b < 16; ++pattern_b) {
        Shape a{3, 2, 5, 19}, b = a;
        for (int i = 0; i < 4; ++i) {
          if (pattern_a >> i & 1) a[i] = 1;
          if (pattern_b >> i & 1) b[i] = 1;
        }
        Check(a, b);
      }
    }
  });
}

TEST(Binary, OtherShapes) {
  ForEachTarget([] {
    Check({}, {});
    Check({}, {4, 3});
    Check({1}, {17});
    Check({33}, {1});
    Check({2, 3, 4}, {4});
    Check({4}, {2, 3, 4});
    Check({3, 1}, {2, 3, 5});
    Check({5, 1, 3}, {4, 1});
    Check({1, 2, 1, 3, 1, 2, 1, 2}, {2, 1, 2, 1, 3, 1, 2, 1});
    Check({2, 2, 2, 2, 2, 2, 2, 2}, {2, 2});
    Check({0, 3}, {3});
    Check({2, 0}, {1, 1});
    Check({700, 3}, {3});  // a short row vector
    Check({3}, {700, 3});
    Check({2, 11, 13, 10}, {2, 1, 1, 10});
    Check({3, 400, 7}, {3, 1, 7});
    Check({4, 9, 9, 80}, {4, 1, 1, 80});
    Check({4, 9, 9, 80}, {80});
    Check({41000}, {41000});  // many tiles
    Check({9, 9000}, {9000});
    Check({9000, 9}, {9000, 1});
  });
}

TEST(Binary, NanWins) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  ForEachTarget([&] {
    for (const BinaryOp op : kOps) {
      TestCall test{Binary, {{{3}, {nan, 1, nan}}, {{3}, {1, nan, nan}}}, {{3}}, BinaryAttrs{op, 0}, nullptr, {0, 1}};
      const Floats out = testing::Run(test)[0];
      for (const float y : out) EXPECT_TRUE(std::isnan(y));
    }
  });
}

}  // namespace
}  // namespace ingot::cpu
