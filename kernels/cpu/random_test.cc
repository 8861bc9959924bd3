// SPDX-License-Identifier: MIT
//
// Masks and noise against core/random.h, one element at a time: the same bits on every SIMD target; the normal ones
// against double precision, and the moments of many.
#include "ingot/kernels/cpu/random.h"

#include <algorithm>

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

uint32_t WordAt(const Stream& s, int64_t i) {
  return Philox(s, static_cast<uint64_t>(i / 4))[static_cast<size_t>(i % 4)];
}

double NormalAt(const Stream& s, int64_t i) {
  const double u = (static_cast<double>(WordAt(s, 2 * i)) + 0.5) * 0x1p-32;
  const double v = static_cast<double>(WordAt(s, 2 * i + 1)) * 0x1p-32;
  return std::sqrt(-2 * std::log(u)) * std::cos(2 * M_PI * v);
}

TEST(Random, UniformHasTheBitsOfTheDefinition) {
  const Stream s{0x123456789abcdef0ull, 17, 5};
  ForEachTarget([&] {
    for (const int64_t first : {int64_t{0}, int64_t{1}, int64_t{3}, int64_t{510}, 4 * ((int64_t{1} << 32) - 7) + 2}) {
      for (const int64_t n : {0, 1, 2, 15, 64, 511, 512, 513, 2000}) {
        Floats got(static_cast<size_t>(n));
        FillUniform(got.data(), n, s, first);
        for (int64_t i = 0; i < n; ++i)
          ASSERT_EQ(got[static_cast<size_t>(i)], ingot::Uniform(WordAt(s, first + i))) << first << " + " << i;
      }
    }
  });
}

TEST(Random, NormalIsTheSameOnEveryTarget) {
  const Stream s{99, 1, 2};
  const int64_t n = 100000;
  Floats reference;
  ForEachTarget([&] {
    Floats got(static_cast<size_t>(n));
    FillNormal(got.data(), n, s, 3);
    std::vector<double> want;
    for (int64_t i = 0; i < n; ++i) want.push_back(NormalAt(s, 3 + i));
    ExpectClose(got, want, 5e-7, 3e-7);
    if (reference.empty()) reference = got;
    EXPECT_TRUE(testing::SameBits({got}, {reference}));
  });
  double mean = 0, square = 0, fourth = 0;
  for (const float v : reference) {
    const double d = static_cast<double>(v);
    mean += d / n, square += d * d / n, fourth += d * d * d * d / n;
  }
  EXPECT_NEAR(mean, 0, 0.01);
  EXPECT_NEAR(square, 1, 0.02);
  EXPECT_NEAR(fourth, 3, 0.15);
}

void CheckDropout(const Shape& shape, uint8_t keep, float rate) {
  SCOPED_TRACE(shape.str() + " keep " + std::to_string(keep));
  Tensor x = RandomTensor(shape, 1, 1, 2);
  const Stream s{7, 21, 3};
  Floats want;
  for (int64_t i = 0; i < shape.count(); ++i) {
    int64_t rest = i, at = 0, stride = 1;
    for (int axis = shape.rank() - 1; axis >= 0; --axis) {
      if (keep >> axis & 1) at += rest % shape[axis] * stride, stride *= shape[axis];
      rest /= shape[axis];
    }
    const float v = x.values[static_cast<size_t>(i)];
    want.push_back(ingot::Uniform(WordAt(s, at)) >= rate ? v * (1 / (1 - rate)) : 0);
  }
  TestCall test{Dropout, {x}, {shape}, DropoutAttrs{rate, 21, keep}, nullptr, {0}};
  EXPECT_TRUE(testing::SameBits(Evaluate(test), {want}));
}

TEST(Random, DropoutOfEveryMask) {
  ForEachTarget([] {
    for (int keep = 0; keep < 16; ++keep) CheckDropout({3, 5, 7, 11}, static_cast<uint8_t>(keep), 0.4f);
    for (const int64_t n : {0, 1, 5, 8, 17, 513, 40001}) CheckDropout({n}, 0xff, 0.25f);
    CheckDropout({40, 30, 64}, 0b101, 0.5f);
    CheckDropout({9, 10000}, 0b01, 0.5f);
    CheckDropout({}, 0xff, 0.5f);
  });
}

TEST(Random, DropoutDrawsAnewAtEachStepAndForEachUse) {
  const Tensor x{{1000}, Floats(1000, 1)};
  TestCall test{Dropout, {x}, {{1000}}, DropoutAttrs{0.5f, 1, 0xff}};
  const Floats first = testing::Run(test)[0];
  EXPECT_NEAR(static_cast<double>(std::count(first.begin(), first.end(), 0.0f)), 500, 60);
  test.step = 4;
  EXPECT_NE(testing::Run(test)[0], first);
  test.step = 3;
  test.attrs = DropoutAttrs{0.5f, 2, 0xff};
  EXPECT_NE(testing::Run(test)[0], first);
}

TEST(Random, GaussianNoise) {
  const Stream s{7, 4, 3};
  ForEachTarget([&] {
    for (const int64_t n : {0, 1, 3, 17, 511, 513, 1030, 40001}) {
      const Tensor x = RandomTensor({n}, 2);
      std::vector<double> want;
      for (int64_t i = 0; i < n; ++i)
        want.push_back(static_cast<double>(x.values[static_cast<size_t>(i)]) + 0.5 * NormalAt(s, i));
      TestCall test{GaussianNoise, {x}, {{n}}, DropoutAttrs{0.5f, 4, 0xff}, nullptr, {0}};
      ExpectClose(Evaluate(test)[0], want, 5e-7, 5e-7);
    }
  });
}

}  // namespace
}  // namespace ingot::cpu
