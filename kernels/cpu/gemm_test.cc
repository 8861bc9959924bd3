// SPDX-License-Identifier: MIT
//
// Gemm against three nested loops in double precision: sizes around the tile sizes, all transposes, padded rows,
// misaligned operands, every epilogue, every SIMD target; and the same bits on 1, 2, 3 and 5 threads.
#include "ingot/kernels/cpu/gemm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "ingot/kernels/cpu/targets.h"

namespace ingot::cpu {
namespace {

constexpr float kUntouched = 12345.0f;

struct Case {
  int64_t m, n, k;
  bool trans_a = false, trans_b = false, bias = false, relu = false, accumulate = false;
  int64_t pad = 0;     // lda, ldb, ldc are this much larger than needed
  int64_t offset = 0;  // operands start this many floats behind an aligned address
  bool scale = false, leaky = false;
  int residual = 0;  // 1: before the activation, 2: behind it

  std::string Name() const {
    return "m=" + std::to_string(m) + " n=" + std::to_string(n) + " k=" + std::to_string(k) + (trans_a ? " At" : "") +
           (trans_b ? " Bt" : "") + (bias ? " bias" : "") + (relu ? " relu" : "") + (accumulate ? " accumulate" : "") +
           (scale ? " scale" : "") + (leaky ? " leaky" : "") + " residual=" + std::to_string(residual) +
           " pad=" + std::to_string(pad) + " offset=" + std::to_string(offset);
  }
};

// Floats behind an address aligned to 64 bytes, filled with `value` or at random.
class Buffer {
 public:
  explicit Buffer(int64_t size, float value = 0)
      : size_(size), data_(static_cast<float*>(::operator new(Bytes(), std::align_val_t(64)))) {
    for (int64_t i = 0; i < size_; ++i) data_[i] = value;
  }
  ~Buffer() { ::operator delete(data_, std::align_val_t(64)); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  void Fill(std::mt19937& random) {
    // In [-1, 1). The distribution of the standard library takes a logarithm for each draw when clang compiles it.
    for (int64_t i = 0; i < size_; ++i) data_[i] = static_cast<float>(random() >> 8) * 0x1p-23f - 1.0f;
  }
  float* get() { return data_; }
  size_t Bytes() const { return static_cast<size_t>(size_ + 1) * sizeof(float); }

 private:
  int64_t size_;
  float* data_;
};

// The operands of one case, Gemm on them, and the naive result.
class Problem {
 public:
  explicit Problem(const Case& c)
      : case_(c),
        a_((c.trans_a ? c.k : c.m) * Lda() + c.offset),
        b_((c.trans_b ? c.n : c.k) * Ldb() + c.offset),
        c0_(c.m * Ldc() + c.offset),
        c_(c.m * Ldc() + c.offset),
        bias_(c.n + c.offset),
        scale_(c.n + c.offset),
        residual_(c.m * Ldc() + c.offset),
        workspace_(static_cast<int64_t>(GemmWorkspace(c.m, c.n, c.k, c.trans_a, c.trans_b))) {
    std::mt19937 random(static_cast<uint32_t>(c.m * 131 + c.n * 17 + c.k));
    a_.Fill(random);
    b_.Fill(random);
    bias_.Fill(random);
    scale_.Fill(random);
    residual_.Fill(random);
    c0_.Fill(random);
    float* c0 = c0_.get() + c.offset;
    for (int64_t i = 0; i < c.m; ++i) {
      for (int64_t j = 0; j < Ldc(); ++j) {
        // A kernel that read C without being asked to would see NaN.
        if (j >= c.n) c0[i * Ldc() + j] = kUntouched;
        if (j < c.n && !c.accumulate) c0[i * Ldc() + j] = std::numeric_limits<float>::quiet_NaN();
      }
    }
  }

  int64_t Lda() const { return (case_.trans_a ? case_.m : case_.k) + case_.pad; }
  int64_t Ldb() const { return (case_.trans_b ? case_.k : case_.n) + case_.pad; }
  int64_t Ldc() const { return case_.n + case_.pad; }

  const float* Run(ThreadPool& pool) {
    std::memcpy(c_.get(), c0_.get(), c_.Bytes() - sizeof(float));
    GemmArgs args;
    args.m = case_.m, args.n = case_.n, args.k = case_.k;
    args.a = a_.get() + case_.offset, args.lda = Lda(), args.trans_a = case_.trans_a;
    args.b = b_.get() + case_.offset, args.ldb = Ldb(), args.trans_b = case_.trans_b;
    args.c = c_.get() + case_.offset, args.ldc = Ldc();
    Epilogue& e = args.epilogue;
    e.shift = case_.bias ? bias_.get() + case_.offset : nullptr;
    e.scale = case_.scale ? scale_.get() + case_.offset : nullptr;
    e.residual = case_.residual ? residual_.get() + case_.offset : nullptr;
    e.residual_last = case_.residual == 2;
    if (case_.relu) e.slope = 0;
    if (case_.leaky) e.slope = 0.25f, e.limit = 1;
    args.accumulate = case_.accumulate;
    Gemm(pool, args, workspace_.get());
    return args.c;
  }

  // Every value of `c` beside its oracle; the bound grows with the sum of absolute products.
  void Check(const float* c) {
    const Case& s = case_;
    const float* a = a_.get() + s.offset;
    const float* b = b_.get() + s.offset;
    const float* c0 = c0_.get() + s.offset;
    const float *bias = bias_.get() + s.offset, *scale = scale_.get() + s.offset;
    const float* residual = residual_.get() + s.offset;
    for (int64_t i = 0; i < s.m; ++i) {
      for (int64_t j = 0; j < s.n; ++j) {
        double sum = 0, size = 1;
        for (int64_t p = 0; p < s.k; ++p) {
          const double product = static_cast<double>(s.trans_a ? a[p * Lda() + i] : a[i * Lda() + p]) *
                                 static_cast<double>(s.trans_b ? b[j * Ldb() + p] : b[p * Ldb() + j]);
          sum += product;
          size += std::fabs(product);
        }
        if (s.accumulate) sum += c0[i * Ldc() + j];
        if (s.scale) sum *= scale[j];
        if (s.bias) sum += bias[j];
        if (s.residual == 1) sum += residual[i * Ldc() + j];
        if ((s.relu || s.leaky) && sum < 0) sum *= s.leaky ? 0.25 : 0;
        if (s.leaky && sum > 1) sum = 1;
        if (s.residual == 2) sum += residual[i * Ldc() + j];
        ASSERT_NEAR(c[i * Ldc() + j], sum, 1e-6 * size) << s.Name() << " at (" << i << ", " << j << ")";
      }
      for (int64_t j = s.n; j < Ldc(); ++j) ASSERT_EQ(c[i * Ldc() + j], kUntouched) << s.Name() << " row " << i;
    }
  }

  const Case& shape() const { return case_; }

 private:
  Case case_;
  Buffer a_, b_, c0_, c_, bias_, scale_, residual_, workspace_;
};

class GemmTest : public testing::TestWithParam<int64_t> {
 protected:
  void SetUp() override { ForceTarget(GetParam()); }
  void TearDown() override { ForceTarget(0); }

  void Check(const Case& c) {
    Problem problem(c);
    problem.Check(problem.Run(pool_));
  }

  ThreadPool pool_{2};
};

// Epilogues and layouts vary with a counter, so that neighbouring sizes meet different ones.
Case Vary(int64_t m, int64_t n, int64_t k, int64_t count) {
  Case c{m, n, k};
  c.trans_a = count & 1, c.trans_b = count & 2, c.bias = count % 3 == 1, c.relu = count % 5 == 2;
  c.accumulate = count % 7 > 3, c.pad = count % 11 % 3, c.offset = count % 13 % 4;
  c.scale = count % 3 == 1 && count % 4 > 1, c.residual = static_cast<int>(count / 2 % 17 % 3),
  c.leaky = count % 5 == 4;
  return c;
}

TEST_P(GemmTest, EverySmallSize) {
  int64_t count = 0;
  for (int64_t m : {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 18, 23, 24, 25}) {
    for (int64_t n = 1; n <= 66; ++n) {
      for (int64_t k : {0, 1, 3, 4, 9}) Check(Vary(m, n, k, ++count));
    }
  }
}

TEST_P(GemmTest, EveryTransposeAndEpilogue) {
  for (int bits = 0; bits < 32; ++bits) {
    for (int64_t pad : {0, 3}) {
      Case c{37, 45, 70, bool(bits & 1), bool(bits & 2), bool(bits & 4), bool(bits & 8), bool(bits & 16), pad, pad / 3};
      Check(c);
      c.k = 0;
      Check(c);
      c.m = 101, c.n = 71, c.k = 300;  // packed as a whole, two blocks of k
      Check(c);
    }
  }
}

TEST_P(GemmTest, LongAndThin) {
  int64_t count = 0;
  const int64_t sizes[][3] = {{9, 64, 12000},  {1, 1, 30000},  {3, 70, 9001},  {100, 33, 2600}, {1, 300, 2500},
                              {700, 1, 64},    {700, 1, 300},  {1, 1000, 7},   {1500, 33, 27},  {784, 10, 32},
                              {12, 2000, 260}, {97, 129, 257}, {14, 4100, 70}, {25, 2100, 135}};
  for (const auto& s : sizes) {
    for (int64_t i = 0; i < 8; ++i) Check(Vary(s[0], s[1], s[2], ++count * 5 + i));
  }
}

TEST_P(GemmTest, RandomSizes) {
  std::mt19937 random(1);
  auto pick = [&random](int64_t most) { return 1 + static_cast<int64_t>(random() % static_cast<uint64_t>(most)); };
  for (int i = 0; i < 60; ++i) {
    const int64_t m = pick(200), n = pick(200), k = pick(600);
    Check(Vary(m, n, k, pick(1 << 20)));
  }
}

TEST_P(GemmTest, NothingToDo) {
  Buffer c(4, kUntouched);
  GemmArgs args;
  args.c = c.get(), args.ldc = 4, args.k = 3;
  args.n = 4;
  Gemm(pool_, args, nullptr);
  args.m = 4, args.n = 0;
  Gemm(pool_, args, nullptr);
  EXPECT_EQ(c.get()[0], kUntouched);
  EXPECT_EQ(GemmWorkspace(0, 4, 3, false, true), 0u);
}

TEST_P(GemmTest, ReluKeepsNaN) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  float c[20];
  std::vector<float> a(1, nan), b(20, 1.0f);
  GemmArgs args;
  args.m = 1, args.n = 20, args.k = 1, args.a = a.data(), args.lda = 1, args.b = b.data(), args.ldb = 20;
  args.c = c, args.ldc = 20, args.epilogue.slope = 0, args.epilogue.limit = 6;
  Gemm(pool_, args, nullptr);
  for (float value : c) EXPECT_TRUE(std::isnan(value));
}

TEST_P(GemmTest, SameBitsOnAnyNumberOfThreads) {
  ThreadPool one(1), two(2), three(3), five(5);
  int64_t count = 0;
  const int64_t sizes[][3] = {{256, 64, 784},  {784, 64, 32},  {9, 64, 50000},
                              {300, 200, 500}, {32, 900, 900}, {500, 1, 999}};
  for (const auto& s : sizes) {
    for (int i = 0; i < 4; ++i) {
      Case c = Vary(s[0], s[1], s[2], ++count);
      c.trans_a = i & 1, c.trans_b = i & 2;
      Problem problem(c);
      const size_t bytes = static_cast<size_t>(c.m * problem.Ldc()) * sizeof(float);
      const float* result = problem.Run(one);
      const std::vector<float> expected(result, result + bytes / sizeof(float));
      for (ThreadPool* pool : {&two, &three, &five}) {
        ASSERT_EQ(std::memcmp(expected.data(), problem.Run(*pool), bytes), 0) << c.Name() << ' ' << pool->threads();
      }
    }
  }
}

// Where the operands lie, and how far apart their rows, changes no bit either.
TEST_P(GemmTest, SameBitsWhereverOperandsLie) {
  for (int i = 0; i < 4; ++i) {
    const int64_t m = 130, n = 70, k = 300;
    std::mt19937 random(7);
    Buffer a(300 * 300), b(300 * 300), c(m * n), a2(333 * 300 + 1), b2(301 * 300 + 3), c2(77 * m + 5);
    Buffer workspace(static_cast<int64_t>(GemmWorkspace(m, n, k, i & 1, i & 2)));
    a.Fill(random);
    b.Fill(random);
    for (int64_t r = 0; r < 300; ++r) {
      std::memcpy(a2.get() + 1 + r * 333, a.get() + r * 300, 300 * sizeof(float));
      std::memcpy(b2.get() + 3 + r * 301, b.get() + r * 300, 300 * sizeof(float));
    }
    GemmArgs args;
    args.m = m, args.n = n, args.k = k, args.trans_a = i & 1, args.trans_b = i & 2;
    args.a = a.get(), args.b = b.get(), args.c = c.get(), args.lda = 300, args.ldb = 300, args.ldc = n;
    Gemm(pool_, args, workspace.get());
    args.a = a2.get() + 1, args.b = b2.get() + 3, args.c = c2.get() + 5, args.lda = 333, args.ldb = 301, args.ldc = 77;
    Gemm(pool_, args, workspace.get());
    for (int64_t r = 0; r < m; ++r) {
      ASSERT_EQ(std::memcmp(c.get() + r * n, args.c + r * 77, n * sizeof(float)), 0) << "row " << r;
    }
  }
}

std::vector<int64_t> Targets() {
  std::vector<int64_t> targets;
  for (const int64_t* t = SupportedTargetList(); *t != 0; ++t) targets.push_back(*t);
  return targets;
}

INSTANTIATE_TEST_SUITE_P(Target, GemmTest, testing::ValuesIn(Targets()),
                         [](const auto& target) { return std::string(TargetName(target.param)); });

// Paths that only large shapes take: B too large for the workspace, C written past the caches. The best target, and
// 2000 values drawn at random.
TEST(GemmLarge, SampledValues) {
  ThreadPool pool(2);
  const int64_t sizes[][4] = {{500, 2049, 2056, 0}, {500, 2049, 2056, 1}, {4100, 4096, 3, 0}};
  for (const auto& s : sizes) {
    const int64_t m = s[0], n = s[1], k = s[2];
    const bool trans_b = s[3] != 0;
    std::mt19937 random(3);
    Buffer a(m * k), b(k * n), c(m * n, kUntouched);
    Buffer workspace(static_cast<int64_t>(GemmWorkspace(m, n, k, false, trans_b)));
    a.Fill(random);
    b.Fill(random);
    GemmArgs args;
    args.m = m, args.n = n, args.k = k, args.a = a.get(), args.lda = k, args.b = b.get(), args.trans_b = trans_b;
    args.ldb = trans_b ? k : n, args.c = c.get(), args.ldc = n;
    Gemm(pool, args, workspace.get());
    for (int draw = 0; draw < 2000; ++draw) {
      const int64_t i = static_cast<int64_t>(random() % static_cast<uint64_t>(m));
      const int64_t j = static_cast<int64_t>(random() % static_cast<uint64_t>(n));
      double sum = 0;
      for (int64_t p = 0; p < k; ++p) {
        sum += static_cast<double>(a.get()[i * k + p]) * static_cast<double>(b.get()[trans_b ? j * k + p : p * n + j]);
      }
      ASSERT_NEAR(c.get()[i * n + j], sum, 1e-6 * static_cast<double>(k + 10)) << i << ' ' << j << " n=" << n;
    }
  }
}

TEST(GemmTargets, ForcedTargetIsChosenAndGivenBack) {
  const int64_t before = ChosenTargets();
  for (int64_t target : Targets()) {
    ForceTarget(target);
    EXPECT_EQ(ChosenTargets(), target);
  }
  ForceTarget(0);
  EXPECT_EQ(ChosenTargets(), before);
}

}  // namespace
}  // namespace ingot::cpu
