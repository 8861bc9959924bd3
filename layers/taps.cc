// SPDX-License-Identifier: MIT
#include "ingot/layers/taps.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "ingot/core/error.h"

namespace ingot {
namespace {

struct Method {
  const char* name;
  Interpolation interpolation;
  double radius;  // of its kernel
};
constexpr Method kMethods[] = {
    {"nearest", Interpolation::kNearest, 0},   {"bilinear", Interpolation::kBilinear, 1},
    {"bicubic", Interpolation::kBicubic, 2},   {"lanczos3", Interpolation::kLanczos3, 3},
    {"lanczos5", Interpolation::kLanczos5, 5},
};

// The weight of what lies x >= 0 away.
double Kernel(const Method& m, double x) {
  if (x >= m.radius) return 0;
  if (m.interpolation == Interpolation::kBilinear) return 1 - x;
  if (m.interpolation == Interpolation::kBicubic)  // Keys, a = -1/2
    return x < 1 ? (1.5 * x - 2.5) * x * x + 1 : ((-0.5 * x + 2.5) * x - 4) * x + 2;
  if (x <= 1e-3) return 1;
  const double t = std::numbers::pi * x;
  return m.radius * std::sin(t) * std::sin(t / m.radius) / (t * t);
}

// Elements that are one of the input each.
template <class F>
Taps Pick(int64_t out, F&& index) {
  Taps taps;
  taps.table.reserve(static_cast<size_t>(2 * out));
  for (int64_t i = 0; i < out; ++i) {
    taps.table.push_back(static_cast<float>(index(i)));
    taps.table.push_back(1);
  }
  return taps;
}

}  // namespace

Interpolation InterpolationNamed(const std::string& name, const std::string& where) {
  for (const Method& m : kMethods)
    if (name == m.name) return m.interpolation;
  Fail(where, ": interpolation is '", name, "', one of nearest, bilinear, bicubic, lanczos3 and lanczos5 was expected");
}

Taps RepeatTaps(int64_t in, int64_t times) {
  return Pick(in * times, [=](int64_t i) { return i / times; });
}

Taps ResizeTaps(int64_t in, int64_t out, Interpolation method, bool antialias) {
  INGOT_CHECK(in >= 1 && in <= kMostTapped && out >= 1);
  if (in == out) return RepeatTaps(in, 1);
  const auto m = static_cast<float>(in), n = static_cast<float>(out);
  if (method == Interpolation::kNearest)
    return Pick(out, [=](int64_t i) {  // in float32, as JAX has it
      return std::min(in - 1, static_cast<int64_t>(std::floor((static_cast<float>(i) + 0.5f) * m / n)));
    });

  const Method& by = kMethods[static_cast<size_t>(method)];
  // A double, then rounded, as JAX has it; positions are float32 there.
  const auto step = static_cast<float>(1 / (static_cast<double>(out) / static_cast<double>(in)));
  const double wide = antialias ? std::max(1.0, static_cast<double>(step)) : 1;
  const auto reach = static_cast<int64_t>(std::ceil(by.radius * wide)) + 1;
  std::vector<std::vector<std::pair<int64_t, double>>> all(static_cast<size_t>(out));
  size_t count = 1;
  for (int64_t i = 0; i < out; ++i) {
    auto& taps = all[static_cast<size_t>(i)];
    const float at = (static_cast<float>(i) + 0.5f) * step - 0.5f;
    const auto middle = static_cast<int64_t>(std::floor(at));
    double sum = 0;
    for (int64_t j = std::max<int64_t>(0, middle - reach); j <= std::min(in - 1, middle + reach); ++j) {
      const double weight = Kernel(by, static_cast<double>(std::fabs(at - static_cast<float>(j))) / wide);
      if (weight != 0) taps.emplace_back(j, weight);
      sum += weight;
    }
    if (std::fabs(sum) <= 1000 * 1.1920929e-7) taps.clear();  // nothing to speak of
    for (auto& [j, weight] : taps) weight /= sum;
    count = std::max(count, taps.size());
  }

  Taps taps{static_cast<int>(count), std::vector<float>(static_cast<size_t>(out) * count * 2, 0.0f)};
  for (size_t i = 0; i < all.size(); ++i) {
    float* row = taps.table.data() + i * count * 2;
    for (size_t k = 0; k < count; ++k) {
      // A tap without weight points where the row points anyway.
      const bool there = k < all[i].size();
      row[2 * k] = all[i].empty() ? 0 : static_cast<float>(all[i][there ? k : 0].first);
      row[2 * k + 1] = there ? static_cast<float>(all[i][k].second) : 0;
    }
  }
  return taps;
}

}  // namespace ingot
