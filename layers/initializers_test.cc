// SPDX-License-Identifier: MIT
//
// Each initializer's distribution: mean, variance and bounds, for dense and convolution shapes; what orthogonal and
// identity promise; the same numbers for the same seed.
#include "ingot/layers/initializers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "ingot/core/error.h"
#include "ingot/tests/fixture.h"

namespace ingot {
namespace {

std::vector<float> Draw(const Initializer& initializer, const Shape& shape, const Stream& stream = {1, 0, 0}) {
  std::vector<float> values(static_cast<size_t>(shape.count()));
  initializer.function(shape)(values.data(), stream);
  return values;
}

struct Moments {
  double mean = 0, variance = 0, low = 1e30, high = -1e30;
};
Moments MomentsOf(const std::vector<float>& values) {
  Moments m;
  const double n = static_cast<double>(values.size());
  for (const float v : values) m.mean += static_cast<double>(v) / n;
  for (const float v : values) {
    m.variance += std::pow(static_cast<double>(v) - m.mean, 2) / n;
    m.low = std::min(m.low, static_cast<double>(v)), m.high = std::max(m.high, static_cast<double>(v));
  }
  return m;
}

const Shape kDense{500, 400};                 // fans 500 and 400
const Shape kConv{3, 5, 60, 80};              // fans 15 * 60 and 15 * 80
constexpr double kCut = 0.87962566103423978;  // deviation of a normal of deviation 1, cut at 2

// Shares of standard normal values within 0.5, 1 and 1.5 deviations; cut at two, each share grows by 1 / 0.9545.
void ExpectNormal(const std::vector<float>& values, double mean, double stddev, bool cut) {
  for (const double z : {0.5, 1.0, 1.5}) {
    const double inside = static_cast<double>(std::count_if(
        values.begin(), values.end(), [&](float v) { return std::fabs(static_cast<double>(v) - mean) < z * stddev; }));
    EXPECT_NEAR(inside / static_cast<double>(values.size()),
                std::erf(z / std::sqrt(2.0)) / (cut ? std::erf(2 / std::sqrt(2.0)) : 1), 0.005)
        << z;
  }
}

// A quarter of the values in each quarter of the range.
void ExpectUniform(const std::vector<float>& values, double low, double high) {
  std::vector<double> share(4, 0);
  for (const float v : values) {
    ASSERT_GE(static_cast<double>(v), low - 1e-7);
    ASSERT_LE(static_cast<double>(v), high + 1e-7);
    share[std::min<size_t>(3, static_cast<size_t>(4 * (static_cast<double>(v) - low) / (high - low)))] +=
        1 / static_cast<double>(values.size());
  }
  for (const double s : share) EXPECT_NEAR(s, 0.25, 0.005);
}

TEST(Initializers, VarianceScaling) {
  struct Case {
    const char* name;
    double scale;
    const char* mode;
    bool uniform;
  };
  for (const Case& c : {Case{"glorot_uniform", 1, "avg", true}, Case{"glorot_normal", 1, "avg", false},
                        Case{"he_uniform", 2, "in", true}, Case{"he_normal", 2, "in", false},
                        Case{"lecun_uniform", 1, "in", true}, Case{"lecun_normal", 1, "in", false}}) {
    for (const auto& [shape, in, out] : {std::tuple{kDense, 500.0, 400.0}, std::tuple{kConv, 900.0, 1200.0}}) {
      SCOPED_TRACE(std::string(c.name) + shape.str());
      const double variance = c.scale / (c.mode == std::string("in") ? in : (in + out) / 2),
                   stddev = std::sqrt(variance);
      const std::vector<float> values = Draw(c.name, shape);
      const Moments m = MomentsOf(values);
      EXPECT_NEAR(m.mean, 0, 0.015 * stddev);
      EXPECT_NEAR(m.variance, variance, 0.015 * variance);
      if (c.uniform) {
        ExpectUniform(values, -std::sqrt(3.0) * stddev, std::sqrt(3.0) * stddev);
      } else {
        EXPECT_LE(std::max(-m.low, m.high), 2 * stddev / kCut + 1e-6);
        ExpectNormal(values, 0, stddev / kCut, true);
      }
    }
  }
  const Moments fan_out = MomentsOf(
      Draw(VarianceScaling({.scale = 3, .mode = "fan_out", .distribution = "untruncated_normal", .seed = {}}), kConv));
  EXPECT_NEAR(fan_out.variance, 3.0 / 1200, 0.015 * 3 / 1200);
  EXPECT_GT(fan_out.high, 3 * std::sqrt(3.0 / 1200));  // not cut
  // One axis counts as both fans.
  EXPECT_NEAR(MomentsOf(Draw("lecun_uniform", {90000})).variance, 1.0 / 90000, 0.015 / 90000);
}

TEST(Initializers, PlainDistributions) {
  const std::vector<float> uniform = Draw(RandomUniform({.minval = -1, .maxval = 3, .seed = {}}), kDense);
  ExpectUniform(uniform, -1, 3);
  EXPECT_NEAR(MomentsOf(uniform).mean, 1, 0.02);
  ExpectUniform(Draw("uniform", kDense), -0.05, 0.05);

  const std::vector<float> normal = Draw(RandomNormal({.mean = 2, .stddev = 0.3, .seed = {}}), kDense);
  EXPECT_NEAR(MomentsOf(normal).mean, 2, 0.005);
  EXPECT_NEAR(MomentsOf(normal).variance, 0.09, 0.0015);
  ExpectNormal(normal, 2, 0.3, false);
  EXPECT_GT(MomentsOf(normal).high, 2 + 3 * 0.3);

  const std::vector<float> cut = Draw(TruncatedNormal({.mean = 2, .stddev = 0.3, .seed = {}}), kDense);
  const Moments m = MomentsOf(cut);
  EXPECT_NEAR(m.mean, 2, 0.005);
  EXPECT_NEAR(m.variance, 0.09 * kCut * kCut, 0.0015);  // the deviation is that before the cut
  EXPECT_LE(std::max(m.high - 2, 2 - m.low), 0.6 + 1e-6);
  ExpectNormal(cut, 2, 0.3, true);
}

TEST(Initializers, Constants) {
  EXPECT_EQ(Draw(Zeros(), {3}), (std::vector<float>{0, 0, 0}));
  EXPECT_EQ(Draw(Ones(), {2}), (std::vector<float>{1, 1}));
  EXPECT_EQ(Draw(Constant(0.3), {2}), (std::vector<float>{0.3f, 0.3f}));
  EXPECT_EQ(Draw(Identity(2), {2, 3}), (std::vector<float>{2, 0, 0, 0, 2, 0}));
  EXPECT_THROW(Identity().function({2, 3, 4}), Error);
}

// The shorter side of (all axes but the last, the last) has orthonormal rows or columns, times the gain.
TEST(Initializers, Orthogonal) {
  for (const Shape& shape : {Shape{20, 20}, Shape{40, 7}, Shape{7, 40}, Shape{3, 3, 4, 10}, Shape{1, 1, 3, 10}}) {
    SCOPED_TRACE(shape.str());
    const std::vector<float> q = Draw(Orthogonal({.gain = 1.5, .seed = {}}), shape);
    const int64_t columns = shape.back(), rows = shape.count() / columns, few = std::min(rows, columns),
                  many = std::max(rows, columns);
    const auto at = [&](int64_t i, int64_t k) {
      return static_cast<double>(q[static_cast<size_t>(rows <= columns ? i * columns + k : k * columns + i)]);
    };
    for (int64_t i = 0; i < few; ++i)
      for (int64_t j = 0; j <= i; ++j) {
        double dot = 0;
        for (int64_t k = 0; k < many; ++k) dot += at(i, k) * at(j, k);
        EXPECT_NEAR(dot, i == j ? 2.25 : 0, 1e-5);
      }
  }
  EXPECT_THROW(Orthogonal().function({5}), Error);
}

TEST(Initializers, TheSameForASeedAndOnlyThen) {
  const std::set<std::string> fixed = {"Zeros", "Ones", "Constant", "Identity"};
  for (const std::string& name : InitializerNames()) {
    SCOPED_TRACE(name);
    if (name == "STFT") continue;  // draws nothing either; see AsKeras
    const std::vector<float> values = Draw(name, {30, 20});
    EXPECT_EQ(values, Draw(name, {30, 20}));
    if (fixed.contains(name)) continue;
    EXPECT_NE(values, Draw(name, {30, 20}, {2, 0, 0}));  // of another model
    EXPECT_NE(values, Draw(name, {30, 20}, {1, 1, 0}));  // of another weight
    Initializer own = name;
    own.seed = 77;
    EXPECT_EQ(Draw(own, {30, 20}, {1, 0, 0}), Draw(own, {30, 20}, {2, 5, 0}));
  }
  // Element i does not depend on how many follow it.
  const std::vector<float> few = Draw("random_normal", {1001}), many = Draw("random_normal", {200003});
  EXPECT_TRUE(std::equal(few.begin(), few.end(), many.begin()));
}

// Those that draw nothing, value by value; and what is written is what was read.
TEST(Initializers, AsKeras) {
  const testing::Golden golden("initializers");
  std::set<std::string> covered;
  for (const Json& c : golden.cases()) {
    SCOPED_TRACE(c["name"].get<std::string>());
    covered.insert(c["config"]["class_name"].get<std::string>());
    const Json config{{"i", c["config"]}};
    Initializer read;
    Fields reader = Fields::Reader(config, "test");
    reader("i", read);
    const Array& want = golden.at(c, "value");
    Json written;
    Fields writer = Fields::Writer(written);
    writer("i", read);
    for (const auto& [key, value] : c["config"]["config"].items())
      EXPECT_EQ(written["i"]["config"][key].dump(), value.dump()) << key;
    Initializer again;
    Fields second = Fields::Reader(written, "test");
    second("i", again);
    for (const Initializer& initializer : {read, again}) {
      const testing::Difference d =
          testing::Compare(Array(want.shape(), Draw(initializer, want.shape())), want, 1e-6, 1e-6);
      EXPECT_TRUE(d.ok) << d.text;
    }
  }
  for (const char* name : {"Zeros", "Ones", "Constant", "Identity", "STFT"})
    EXPECT_TRUE(covered.contains(name)) << name << " has no golden case";
}

TEST(Initializers, STFTRefuses) {
  const auto says = [](const STFTOptions& o, const Shape& shape, const char* part) {
    try {
      STFT(o).function(shape);
      ADD_FAILURE() << "nothing was thrown; expected " << part;
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()).find(part), std::string::npos) << e.what();
    }
  };
  says({.side = "left"}, {8, 1, 5}, "side is 'left'");
  says({.scaling = "none"}, {8, 1, 5}, "scaling is 'none'");
  says({.window = "kaiser"}, {8, 1, 5}, "window 'kaiser' is not known");
  says({.window_values = {1, 2}}, {8, 1, 5}, "the window has 2 values");
  says({}, {8, 5}, "(8, 5)");
  says({}, {8, 1, 1}, "at least 2 bins");
  says({}, {2, 1, 5}, "all zeros");  // hann of two is nothing; Keras gives NaN
}

}  // namespace
}  // namespace ingot
