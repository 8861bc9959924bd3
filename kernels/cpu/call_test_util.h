// SPDX-License-Identifier: MIT
//
// Calls of kernels from plain vectors, for tests. Run() executes one with a pool of a given number of threads, in place
// if asked for, between guards which must survive. Evaluate() does so on 1, 2 and 5 threads and in each place allowed,
// demands the same bits of all, and gives back what came out.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "ingot/kernels/cpu/cpu.h"
#include "ingot/kernels/cpu/targets.h"

namespace ingot::cpu::testing {

using Floats = std::vector<float>;

struct Tensor {
  Shape shape;
  Floats values;
  DType dtype = DType::kFloat32;  // of kInt32 and kUint8, `values` are converted
};

struct TestCall {
  KernelFn kernel;
  std::vector<Tensor> in;
  std::vector<Shape> out;
  Attrs attrs{};
  size_t (*workspace)(const Call&) = nullptr;
  std::vector<size_t> in_place{};  // inputs where the first output may lie
  uint64_t seed = 7;
  uint32_t step = 3;
  std::vector<Floats> in_after{};  // what the inputs held after Run()
};

// Aligned as arenas are, with guards on both sides.
class Guarded {
 public:
  explicit Guarded(size_t bytes) : bytes_(bytes), memory_(bytes + 2 * kGuard + 256, std::byte{0xa5}) {
    const auto address = reinterpret_cast<uintptr_t>(memory_.data()) + kGuard;
    data_ = reinterpret_cast<std::byte*>((address + 255) / 256 * 256);
  }
  void* data() { return data_; }
  bool Whole() const {
    for (size_t i = 1; i <= kGuard / 2; ++i)
      if (data_[-static_cast<ptrdiff_t>(i)] != std::byte{0xa5} || data_[bytes_ + i - 1] != std::byte{0xa5})
        return false;
    return true;
  }

 private:
  static constexpr size_t kGuard = 256;
  size_t bytes_;
  std::vector<std::byte> memory_;
  std::byte* data_;
};

inline ThreadPool& Pool(int threads) {
  static ThreadPool one(1), two(2), five(5);
  return threads == 1 ? one : threads == 2 ? two : five;
}

inline std::vector<Floats> Run(TestCall& test, int threads = 1, int in_place = -1) {
  std::vector<Guarded> memory;
  memory.reserve(test.in.size() + test.out.size());
  std::vector<Operand> in, out;
  for (const Tensor& t : test.in) {
    const size_t n = t.values.size();
    EXPECT_EQ(static_cast<int64_t>(n), t.shape.count());
    memory.emplace_back(n * SizeOf(t.dtype));
    Operand x{memory.back().data(), t.shape, t.dtype};
    for (size_t i = 0; i < n; ++i) {
      if (t.dtype == DType::kFloat32) x.f()[i] = t.values[i];
      if (t.dtype == DType::kInt32) x.i()[i] = static_cast<int32_t>(t.values[i]);
      if (t.dtype == DType::kUint8) x.u()[i] = static_cast<uint8_t>(t.values[i]);
    }
    in.push_back(x);
  }
  for (size_t i = 0; i < test.out.size(); ++i) {
    Operand y{nullptr, test.out[i]};
    if (i == 0 && in_place >= 0) {
      y.data = in[static_cast<size_t>(in_place)].data;
    } else {
      memory.emplace_back(y.bytes());
      y.data = memory.back().data();
    }
    out.push_back(y);
  }
  ingot::Run run;
  run.pool = &Pool(threads), run.seed = test.seed, run.step = test.step;
  Call call{in, out, &test.attrs, nullptr, &run};
  Guarded workspace(test.workspace ? test.workspace(call) : 0);
  call.workspace = workspace.data();
  test.kernel(call);
  EXPECT_TRUE(workspace.Whole());
  for (const Guarded& g : memory) EXPECT_TRUE(g.Whole());
  std::vector<Floats> results;
  for (const Operand& y : out) results.emplace_back(y.f(), y.f() + y.count());
  test.in_after.clear();
  for (const Operand& x : in)
    test.in_after.push_back(x.dtype == DType::kFloat32 ? Floats(x.f(), x.f() + x.count()) : Floats());
  return results;
}

inline bool SameBits(const std::vector<Floats>& a, const std::vector<Floats>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i].size() != b[i].size()) return false;
    if (!a[i].empty() && std::memcmp(a[i].data(), b[i].data(), a[i].size() * sizeof(float)) != 0) return false;
  }
  return true;
}

inline std::vector<Floats> Evaluate(TestCall& test) {
  const std::vector<Floats> expected = Run(test, 1);
  const std::vector<Floats> after = test.in_after;
  for (const int threads : {2, 5}) {
    EXPECT_TRUE(SameBits(Run(test, threads), expected)) << threads << " threads";
    EXPECT_TRUE(SameBits(test.in_after, after)) << threads << " threads";
  }
  for (const size_t place : test.in_place)
    EXPECT_TRUE(SameBits(Run(test, 2, static_cast<int>(place)), expected)) << "in place of input " << place;
  test.in_after = after;
  return expected;
}

// f() for every SIMD target this machine has.
template <class F>
void ForEachTarget(const F& f) {
  for (const int64_t* target = SupportedTargetList(); *target != 0; ++target) {
    SCOPED_TRACE(TargetName(*target));
    ForceTarget(*target);
    f();
  }
  ForceTarget(0);
}

inline Floats Random(int64_t n, uint32_t seed, float low = -2, float high = 2) {
  std::mt19937 engine(seed);
  std::uniform_real_distribution<float> draw(low, high);
  Floats values(static_cast<size_t>(n));
  for (float& v : values) v = draw(engine);
  return values;
}
inline Tensor RandomTensor(const Shape& shape, uint32_t seed, float low = -2, float high = 2) {
  return {shape, Random(shape.count(), seed, low, high)};
}

// |got - want| <= relative |want| + absolute for all; says which is the worst.
inline void ExpectClose(const Floats& got, const std::vector<double>& want, double relative, double absolute,
                        const std::string& what = "") {
  ASSERT_EQ(got.size(), want.size()) << what;
  double worst = 0;
  size_t at = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double g = static_cast<double>(got[i]), w = want[i];
    if ((std::isnan(g) && std::isnan(w)) || g == w) continue;
    double error = std::fabs(g - w) / (relative * std::fabs(w) + absolute);
    if (std::isinf(g) && std::fabs(w) > 3.4028235e38 && (g > 0) == (w > 0)) error = 0;
    if (!(error <= worst)) worst = error, at = i;
  }
  if (!(worst <= 1)) ADD_FAILURE() << what << ": element " << at << " is " << got[at] << ", expected " << want[at];
}

}  // namespace ingot::cpu::testing
