// SPDX-License-Identifier: MIT
//
// Pooling against its definition: random shapes, ties, NaN, windows in the padding, indices of every width, every
// SIMD target, equal bits for 1, 2, 3 and 5 threads, guards around every buffer.
#include "ingot/kernels/cpu/pool.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "ingot/kernels/cpu/targets.h"

namespace ingot::cpu {
namespace {

constexpr size_t kGuard = 64;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::string Name(const PoolShape& s) {
  std::string name;
  for (const int64_t v : {s.n, s.h, s.w, s.c, s.oh, s.ow, s.ph, s.pw, s.stride_h, s.stride_w, s.pad_top, s.pad_left})
    name += std::to_string(v) + " ";
  return name;
}

struct Expected {
  std::vector<float> max;
  std::vector<int64_t> index;
  std::vector<double> average, max_grad, average_grad;
};

Expected Naive(const PoolShape& s, const float* x, const float* dy) {
  Expected e;
  const auto outputs = static_cast<size_t>(s.n * s.oh * s.ow * s.c),
             inputs = static_cast<size_t>(s.n * s.h * s.w * s.c);
  e.max.assign(outputs, 0), e.index.assign(outputs, -1), e.average.assign(outputs, 0);
  e.max_grad.assign(inputs, 0), e.average_grad.assign(inputs, 0);
  for (size_t out = 0; out < outputs; ++out) {
    const auto o = static_cast<int64_t>(out);
    const int64_t c = o % s.c, ow = o / s.c % s.ow, oh = o / s.c / s.ow % s.oh, n = o / s.c / s.ow / s.oh;
    std::vector<size_t> inside;
    size_t best = 0;
    for (int64_t p = 0; p < s.ph * s.pw; ++p) {
      const int64_t ih = oh * s.stride_h - s.pad_top + p / s.pw, iw = ow * s.stride_w - s.pad_left + p % s.pw;
      if (ih < 0 || ih >= s.h || iw < 0 || iw >= s.w) continue;
      const auto in = static_cast<size_t>(((n * s.h + ih) * s.w + iw) * s.c + c);
      inside.push_back(in);
      const bool better = e.index[out] < 0 || x[in] > x[best] || (std::isnan(x[in]) && !std::isnan(x[best]));
      if (better) best = in, e.index[out] = p;
    }
    if (inside.empty()) continue;
    e.max[out] = x[best];
    e.max_grad[best] += double{dy[out]};
    for (const size_t in : inside) {
      e.average[out] += double{x[in]} / static_cast<double>(inside.size());
      e.average_grad[in] += double{dy[out]} / static_cast<double>(inside.size());
    }
  }
  return e;
}

template <class T>
struct Guarded {
  std::vector<T> all;
  size_t size;
  T fill;
  Guarded(size_t n, T value) : all(n + 2 * kGuard, value), size(n), fill(value) {}
  T* data() { return all.data() + kGuard; }
  bool Intact() const {
    for (size_t i = 0; i < kGuard; ++i)
      if (std::memcmp(&all[i], &fill, sizeof(T)) != 0 || std::memcmp(&all[all.size() - 1 - i], &fill, sizeof(T)) != 0)
        return false;
    return true;
  }
};

int64_t IndexAt(const uint8_t* bytes, size_t width, size_t i) {
  uint32_t value = 0;
  std::memcpy(&value, bytes + i * width, width);
  return value;
}

ThreadPool& Pool(int i) {
  static ThreadPool pools[] = {ThreadPool(1), ThreadPool(2), ThreadPool(3), ThreadPool(5)};
  return pools[i];
}

bool SameFloat(float a, float b) { return a == b || (std::isnan(a) && std::isnan(b)); }

// `levels` > 0 draws from so few values that windows have ties; `nans` sprinkles NaN.
void Check(const PoolShape& s, std::mt19937& random, int levels, bool nans) {
  SCOPED_TRACE(Name(s));
  const auto outputs = static_cast<size_t>(s.n * s.oh * s.ow * s.c),
             inputs = static_cast<size_t>(s.n * s.h * s.w * s.c);
  Guarded<float> x(inputs, kNan), dy(outputs, kNan);
  std::uniform_real_distribution<float> uniform(-1, 1);
  for (size_t i = 0; i < inputs; ++i) {
    x.data()[i] = levels > 0 ? static_cast<float>(static_cast<int>(random() % static_cast<unsigned>(levels))) - 1
                             : uniform(random);
    if (nans && random() % 9 == 0) x.data()[i] = kNan;
  }
  for (size_t i = 0; i < outputs; ++i) dy.data()[i] = uniform(random);
  const Expected want = Naive(s, x.data(), dy.data());
  const size_t width = MaxPoolIndexBytes(s);
  for (const int64_t* target = SupportedTargetList(); *target != 0; ++target) {
    ForceTarget(*target);
    SCOPED_TRACE(TargetName(*target));
    std::vector<std::vector<float>> first;
    for (int t = 0; t < 4; ++t) {
      Guarded<float> max(outputs, kNan), plain(outputs, kNan), average(outputs, kNan);
      Guarded<float> max_grad(inputs, kNan), average_grad(inputs, kNan);
      Guarded<uint8_t> index(outputs * width, 0xAB);
      MaxPool(Pool(t), s, x.data(), max.data(), index.data());
      MaxPool(Pool(t), s, x.data(), plain.data(), nullptr);
      MaxPoolGrad(Pool(t), s, dy.data(), index.data(), max_grad.data());
      AvgPool(Pool(t), s, x.data(), average.data());
      AvgPoolGrad(Pool(t), s, dy.data(), average_grad.data());
      ASSERT_TRUE(max.Intact() && plain.Intact() && index.Intact() && max_grad.Intact() && average.Intact() &&
                  average_grad.Intact());
      const std::vector<std::vector<float>> all = {max.all, plain.all, max_grad.all, average.all, average_grad.all};
      if (t > 0) {
        for (size_t k = 0; k < all.size(); ++k)
          ASSERT_EQ(std::memcmp(all[k].data(), first[k].data(), all[k].size() * sizeof(float)), 0) << "threads " << t;
        continue;
      }
      first = all;
      for (size_t i = 0; i < outputs; ++i) {
        ASSERT_TRUE(SameFloat(max.data()[i], want.max[i])) << i;
        ASSERT_TRUE(SameFloat(plain.data()[i], want.max[i])) << i;
        if (want.index[i] >= 0) {
          ASSERT_EQ(IndexAt(index.data(), width, i), want.index[i]) << i;
        }
        if (!nans) {
          ASSERT_NEAR(average.data()[i], want.average[i], 2e-6) << i;
        }
      }
      for (size_t i = 0; i < inputs; ++i) {
        ASSERT_NEAR(max_grad.data()[i], want.max_grad[i], 1e-5) << i;
        ASSERT_NEAR(average_grad.data()[i], want.average_grad[i], 1e-5) << i;
      }
    }
  }
  ForceTarget(0);
}

TEST(Pool, RandomShapes) {
  std::mt19937 random(1);
  const auto any = [&](int64_t lo, int64_t hi) { return std::uniform_int_distribution<int64_t>(lo, hi)(random); };
  for (int i = 0; i < 300 && !HasFailure(); ++i) {
    PoolShape s{};
    s.n = any(1, 3), s.h = any(1, 12), s.w = any(1, 12), s.c = any(1, 40);
    s.ph = any(1, 5), s.pw = any(1, 5), s.stride_h = any(1, 4), s.stride_w = any(1, 4);
    s.pad_top = any(0, 3), s.pad_left = any(0, 3);
    s.oh = std::max<int64_t>(0, s.h + s.pad_top + any(0, 3) - s.ph) / s.stride_h + 1;
    s.ow = std::max<int64_t>(0, s.w + s.pad_left + any(0, 3) - s.pw) / s.stride_w + 1;
    Check(s, random, i % 3 == 1 ? 3 : 0, i % 3 == 2);
  }
}

TEST(Pool, ShapesOfRealNetworks) {
  std::mt19937 random(2);
  for (const PoolShape& s :
       {PoolShape{4, 26, 26, 64, 13, 13, 2, 2, 2, 2}, PoolShape{2, 11, 11, 32, 5, 5, 2, 2, 2, 2},
        PoolShape{1, 30, 30, 64, 15, 15, 3, 3, 2, 2, 0, 0}, PoolShape{2, 8, 8, 64, 1, 1, 8, 8, 8, 8},
        PoolShape{1, 20, 20, 33, 1, 1, 20, 20}, PoolShape{1, 300, 300, 2, 1, 1, 300, 300}})
    if (!HasFailure()) Check(s, random, 0, false);
}

TEST(Pool, MinusInfinityAndNan) {
  const PoolShape s = {1, 1, 4, 1, 1, 2, 1, 2, 1, 2};
  const float inf = std::numeric_limits<float>::infinity();
  const float x[] = {-inf, -inf, kNan, 5};
  float y[2];
  uint8_t index[2];
  MaxPool(Pool(0), s, x, y, index);
  EXPECT_EQ(y[0], -inf);
  EXPECT_TRUE(std::isnan(y[1]));
  EXPECT_EQ(index[0], 0);
  EXPECT_EQ(index[1], 0);
}

}  // namespace
}  // namespace ingot::cpu
