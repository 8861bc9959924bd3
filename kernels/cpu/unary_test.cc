// SPDX-License-Identifier: MIT
//
// Every formula against its definition in double precision, as written in Keras, over ordinary, huge and tiny
// arguments; every slope against finite differences of that definition; slopes at kinks against what JAX gives.
#include <functional>
#include <limits>

#include "ingot/kernels/cpu/call_test_util.h"
#include "ingot/kernels/formulas.h"

namespace ingot::cpu {
namespace {

using testing::Evaluate;
using testing::ExpectClose;
using testing::Floats;
using testing::ForEachTarget;
using testing::Random;
using testing::TestCall;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

struct Case {
  const char* name;
  Formula formula;
  float p[3];
  std::function<double(double)> f;
  std::vector<float> kinks = {};
  bool positive = false;  // arguments must be
  bool cancels = false;   // the value is a difference of two numbers as large as the argument, and rounds like them
};

double Sigmoid(double x) { return x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x)); }
double Softplus(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::fabs(x))); }
double Relu6(double x) { return std::min(std::max(x, 0.0), 6.0); }

std::vector<Case> Cases() {
  const auto relu = [](double slope, double most, double threshold) {
    return [=](double x) { return std::min(x > threshold ? x : slope * (x - threshold), most < 0 ? 1e300 : most); };
  };
  const double float_01 = static_cast<double>(0.1f), float_03 = static_cast<double>(0.3f);
  return {
      {"affine", Formula::kAffine, {2, -0.5f, 0}, [](double x) { return 2 * x - 0.5; }},
      {"abs", Formula::kAbs, {}, [](double x) { return std::fabs(x); }, {0}},
      {"square", Formula::kSquare, {}, [](double x) { return x * x; }},
      {"sqrt", Formula::kSqrt, {}, [](double x) { return std::sqrt(x); }, {}, true},
      {"rsqrt", Formula::kRsqrt, {}, [](double x) { return 1 / std::sqrt(x); }, {}, true},
      {"exp", Formula::kExp, {}, [](double x) { return std::exp(x); }},
      {"log", Formula::kLog, {}, [](double x) { return std::log(x); }, {}, true},
      {"relu", Formula::kRelu, {0, -1, 0}, relu(0, -1, 0), {0}},
      {"relu6", Formula::kRelu, {0, 6, 0}, relu(0, 6, 0), {0, 6}},
      {"relu, all", Formula::kRelu, {0.1f, 3, 1}, relu(float_01, 3, 1), {1, 3}},
      {"relu, slope", Formula::kRelu, {0.1f, -1, 0}, relu(float_01, -1, 0), {0}},
      {"relu, threshold", Formula::kRelu, {0, -1, 1}, relu(0, -1, 1), {1}},
      {"leaky relu", Formula::kLeakyRelu, {0.3f, 0, 0}, relu(float_03, -1, 0), {0}},
      {"elu", Formula::kElu, {0.5f, 0, 0}, [](double x) { return x > 0 ? x : 0.5 * std::expm1(x); }, {0}},
      {"celu", Formula::kCelu, {2, 0, 0}, [](double x) { return x > 0 ? x : 2 * std::expm1(x / 2); }, {0}},
      {"selu",
       Formula::kSelu,
       {},
       [](double x) { return 1.0507009873554805 * (x > 0 ? x : 1.6732632423543772 * std::expm1(x)); },
       {0}},
      {"softplus", Formula::kSoftplus, {}, Softplus},
      {"softsign", Formula::kSoftsign, {}, [](double x) { return x / (1 + std::fabs(x)); }},
      {"sigmoid", Formula::kSigmoid, {}, Sigmoid},
      {"hard sigmoid", Formula::kHardSigmoid, {}, [](double x) { return Relu6(x + 3) / 6; }, {-3, 3}},
      {"silu", Formula::kSilu, {}, [](double x) { return x * Sigmoid(x); }},
      {"hard silu", Formula::kHardSilu, {}, [](double x) { return x * Relu6(x + 3) / 6; }, {-3, 3}},
      {"gelu", Formula::kGelu, {}, [](double x) { return 0.5 * x * std::erfc(-x * std::sqrt(0.5)); }},
      {"gelu, tanh",
       Formula::kGeluTanh,
       {},
       [](double x) { return x * Sigmoid(2 * std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)); }},
      {"tanh", Formula::kTanh, {}, [](double x) { return std::tanh(x); }},
      {"tanh shrink", Formula::kTanhShrink, {}, [](double x) { return x - std::tanh(x); }},
      {"hard tanh", Formula::kHardTanh, {}, [](double x) { return std::min(std::max(x, -1.0), 1.0); }, {-1, 1}},
      {"hard shrink",
       Formula::kHardShrink,
       {0.5f, 0, 0},
       [](double x) { return std::fabs(x) > 0.5 ? x : 0; },
       {-0.5, 0.5}},
      {"soft shrink",
       Formula::kSoftShrink,
       {0.5f, 0, 0},
       [](double x) { return x > 0.5    ? x - 0.5
                             : x < -0.5 ? x + 0.5
                                        : 0; },
       {-0.5, 0.5}},
      {"squareplus",
       Formula::kSquareplus,
       {4, 0, 0},
       [](double x) { return x < 0 ? 2 / (std::sqrt(x * x + 4) - x) : (x + std::sqrt(x * x + 4)) / 2; },
       {},
       false,
       true},
      {"log sigmoid", Formula::kLogSigmoid, {}, [](double x) { return -Softplus(-x); }},
      {"sparse plus",
       Formula::kSparsePlus,
       {},
       [](double x) { return x <= -1  ? 0
                             : x >= 1 ? x
                                      : (x + 1) * (x + 1) / 4; },
       {-1, 1}},
      {"sparse sigmoid",
       Formula::kSparseSigmoid,
       {},
       [](double x) { return 0.5 * std::min(std::max(x + 1, 0.0), 2.0); },
       {-1, 1}},
      {"threshold", Formula::kThreshold, {1, -2, 0}, [](double x) { return x > 1 ? x : -2; }, {1}},
      {"mish", Formula::kMish, {}, [](double x) { return x * std::tanh(Softplus(x)); }},
  };
}

TestCall Forward(const Case& c, const Floats& x) {
  UnaryAttrs attrs{static_cast<uint16_t>(c.formula), {c.p[0], c.p[1], c.p[2]}};
  const Shape shape{static_cast<int64_t>(x.size())};
  return {Unary, {{shape, x}}, {shape}, attrs, nullptr, {0}};
}
TestCall Backward(const Case& c, const Floats& xy, const Floats& dy) {
  UnaryAttrs attrs{static_cast<uint16_t>(c.formula), {c.p[0], c.p[1], c.p[2]}};
  const Shape shape{static_cast<int64_t>(xy.size())};
  return {UnaryGrad, {{shape, xy}, {shape, dy}}, {shape}, attrs, nullptr, {0, 1}};
}

Floats Arguments(const Case& c) {
  Floats x = Random(3000, 1, -4, 4);
  const auto more = [&](const Floats& m) { x.insert(x.end(), m.begin(), m.end()); };
  more(Random(1000, 2, -20, 20));
  more(Random(500, 3, -110, 110));
  for (const float v : {1e-30f, 1e-20f, 1e-8f,  1e-5f,  1e-3f, 0.25f, 0.5f,  1.0f,  3.0f,  6.0f, 50.0f,
                        88.0f,  89.0f,  100.0f, 200.0f, 1e4f,  1e8f,  1e15f, 1e19f, 1e30f, 3e38f})
    more({v, -v});
  if (!c.positive) {
    more({0.0f, -0.0f});
    return x;
  }
  for (float& v : x) v = std::max(std::fabs(v), std::numeric_limits<float>::min());
  return x;
}

TEST(Unary, ValuesOfEveryFormula) {
  ForEachTarget([] {
    for (const Case& c : Cases()) {
      const Floats x = Arguments(c);
      TestCall test = Forward(c, x);
      std::vector<double> want;
      for (const float v : x) want.push_back(c.f(static_cast<double>(v)));
      const Floats got = Evaluate(test)[0];
      for (size_t i = 0; c.cancels && i < got.size(); ++i) {
        const double g = static_cast<double>(got[i]);
        if (std::fabs(g - want[i]) <= std::fabs(static_cast<double>(x[i])) * 0x1p-23) want[i] = g;
      }
      ExpectClose(got, want, 2e-6, 1e-7, c.name);
    }
  });
}

TEST(Unary, SlopesOfEveryFormula) {
  ForEachTarget([] {
    for (const Case& c : Cases()) {
      Floats x = Random(2000, 4, -5, 5), rest = Random(300, 5, -30, 30);
      x.insert(x.end(), rest.begin(), rest.end());
      if (c.positive)
        for (float& v : x) v = std::fabs(v) + 0.1f;
      for (float& v : x)
        for (const float kink : c.kinks)
          if (std::fabs(v - kink) < 1e-3f) v = kink + 0.01f;
      const Floats dy = Random(static_cast<int64_t>(x.size()), 6);
      TestCall forward = Forward(c, x);
      const Floats y = testing::Run(forward)[0];
      TestCall backward = Backward(c, GradFromOutput(c.formula, c.p) ? y : x, dy);
      std::vector<double> want;
      for (size_t i = 0; i < x.size(); ++i) {
        const double v = static_cast<double>(x[i]), h = 1e-5;
        want.push_back(static_cast<double>(dy[i]) * (c.f(v + h) - c.f(v - h)) / (2 * h));
      }
      ExpectClose(Evaluate(backward)[0], want, 3e-6, 3e-6, c.name);
      if (c.formula != Formula::kRelu) continue;  // ReLU's slope may also be taken from x
      backward = Backward(c, x, dy);
      ExpectClose(Evaluate(backward)[0], want, 3e-6, 3e-6, c.name);
    }
  });
}

TEST(Unary, SlopesAtKinks) {
  struct Kink {
    Formula formula;
    float p[3];
    float x, slope;
  };
  const Kink kinks[] = {
      // by jax.grad of Keras 3.15.1's functions
      {Formula::kAbs, {}, 0, 1},
      {Formula::kRelu, {0, -1, 0}, 0, 0},
      {Formula::kRelu, {0, 6, 0}, 0, 0},
      {Formula::kRelu, {0, 6, 0}, 6, 0},
      {Formula::kRelu, {0, 3, 0}, 3, 0.5f},
      {Formula::kRelu, {0.1f, -1, 0}, 0, 1},
      {Formula::kRelu, {0.1f, 6, 1}, 1, 0},
      {Formula::kRelu, {0.1f, 6, 1}, 6, 0.5f},
      {Formula::kRelu, {0, -1, 1}, 1, 0},
      {Formula::kLeakyRelu, {0.2f, 0, 0}, 0, 1},
      {Formula::kElu, {1, 0, 0}, 0, 1},
      {Formula::kHardSigmoid, {}, -3, 0},
      {Formula::kHardSigmoid, {}, 3, 0},
      {Formula::kHardSilu, {}, -3, 0},
      {Formula::kHardSilu, {}, 3, 1},
      {Formula::kHardTanh, {}, -1, 1},
      {Formula::kHardTanh, {}, 1, 1},
      {Formula::kHardShrink, {0.5f, 0, 0}, 0.5f, 0},
      {Formula::kSoftShrink, {0.5f, 0, 0}, -0.5f, 0},
      {Formula::kSparsePlus, {}, -1, 0},
      {Formula::kSparsePlus, {}, 1, 1},
      {Formula::kSparseSigmoid, {}, -1, 0.25f},
      {Formula::kSparseSigmoid, {}, 1, 0.25f},
      {Formula::kThreshold, {1, -2, 0}, 1, 0},
  };
  ForEachTarget([&] {
    for (const Kink& k : kinks) {
      TestCall test = Backward({"", k.formula, {k.p[0], k.p[1], k.p[2]}, nullptr}, {k.x}, {1});
      EXPECT_FLOAT_EQ(Evaluate(test)[0][0], k.slope) << static_cast<int>(k.formula) << " at " << k.x;
    }
  });
}

TEST(Unary, NanStaysAndNothingElseBecomesNan) {
  ForEachTarget([] {
    for (const Case& c : Cases()) {
      TestCall test = Forward(c, {kNan, kInfinity, c.positive ? 1 : 1e30f, c.positive ? 1 : -1e30f});
      const Floats y = Evaluate(test)[0];
      EXPECT_TRUE(std::isnan(y[0])) << c.name;
      if (c.formula != Formula::kTanhShrink && c.formula != Formula::kSoftsign) {
        EXPECT_FALSE(std::isnan(y[1])) << c.name;
      }
      EXPECT_FALSE(std::isnan(y[2]) || std::isnan(y[3])) << c.name;
      if (GradFromOutput(c.formula, c.p)) continue;
      TestCall grad =
          Backward(c, {1e20f, 1e30f, 3e38f, c.positive ? 1 : -1e20f, c.positive ? 1 : -3e38f}, {1, 1, 1, 1, 1});
      const Floats slopes = Evaluate(grad)[0];
      for (const float d : slopes) EXPECT_FALSE(std::isnan(d)) << c.name;
    }
    TestCall relu = Forward({"", Formula::kRelu, {0, -1, 0}, nullptr}, {-kInfinity});
    EXPECT_EQ(Evaluate(relu)[0][0], 0);
    TestCall log = Forward({"", Formula::kLog, {}, nullptr}, {0, -1, 1e-42f});
    const Floats y = Evaluate(log)[0];
    EXPECT_EQ(y[0], -kInfinity);
    EXPECT_TRUE(std::isnan(y[1]));
    EXPECT_FLOAT_EQ(y[2], std::log(1e-42f));
  });
}

TEST(Unary, EverySizeAndManyTiles) {
  ForEachTarget([] {
    for (const int64_t n : {0, 1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33, 100, 8191, 8193, 100001}) {
      const Floats x = Random(n, 8);
      TestCall test = Forward({"", Formula::kAffine, {3, 1, 0}, nullptr}, x);
      std::vector<double> want;
      for (const float v : x) want.push_back(3 * static_cast<double>(v) + 1);
      ExpectClose(Evaluate(test)[0], want, 1e-6, 1e-6);
    }
  });
}

}  // namespace
}  // namespace ingot::cpu
