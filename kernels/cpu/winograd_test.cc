// SPDX-License-Identifier: MIT
//
// Winograd's convolution and its gradients against their definition in double precision: all sizes of image from 1 to
// 15, channels that are no multiples of a vector, every SIMD target, 1, 2, 3 and 5 threads with equal bits, guards
// around every buffer, NaN in what is not yet written. Then the size of the error, and who is sent here.
#include "ingot/kernels/cpu/winograd.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "ingot/kernels/cpu/call_test_util.h"
#include "ingot/kernels/cpu/winograd_plan.h"

namespace ingot::cpu {
namespace {

using testing::Floats;
using testing::Random;

size_t At(int64_t i) { return static_cast<size_t>(i); }

ConvShape Make(int64_t n, int64_t h, int64_t w, int64_t c, int64_t k, int64_t pad_top, int64_t pad_left,
               int64_t pad_bottom, int64_t pad_right) {
  return {n, h, w,       c,       h + pad_top + pad_bottom - 2, w + pad_left + pad_right - 2, k, 3, 3, 1, 1, 1,
          1, 1, pad_top, pad_left};
}
ConvShape Make(int64_t n, int64_t size, int64_t c, int64_t k, int64_t pad) {
  return Make(n, size, size, c, k, pad, pad, pad, pad);
}

int64_t InputSize(const ConvShape& s) { return s.n * s.h * s.w * s.c; }
int64_t OutputSize(const ConvShape& s) { return s.n * s.oh * s.ow * s.k; }
int64_t KernelSize(const ConvShape& s) { return 9 * s.c * s.k; }

std::string Name(const ConvShape& s) {
  std::string name;
  for (const int64_t v : {s.n, s.h, s.w, s.c, s.oh, s.ow, s.k, s.pad_top, s.pad_left}) name += std::to_string(v) + " ";
  return name;
}

struct Results {
  std::vector<double> y, dx, dw;
};

Results Naive(const ConvShape& s, const Floats& x, const Floats& w, const Floats& dy) {
  Results r;
  r.y.resize(At(OutputSize(s))), r.dx.resize(At(InputSize(s))), r.dw.resize(At(KernelSize(s)));
  for (int64_t n = 0; n < s.n; ++n)
    for (int64_t oh = 0; oh < s.oh; ++oh)
      for (int64_t ow = 0; ow < s.ow; ++ow) {
        const int64_t out = ((n * s.oh + oh) * s.ow + ow) * s.k;
        for (int64_t tap = 0; tap < 9; ++tap) {
          const int64_t ih = oh - s.pad_top + tap / 3, iw = ow - s.pad_left + tap % 3;
          if (ih < 0 || ih >= s.h || iw < 0 || iw >= s.w) continue;
          for (int64_t c = 0; c < s.c; ++c)
            for (int64_t k = 0; k < s.k; ++k) {
              const int64_t in = ((n * s.h + ih) * s.w + iw) * s.c + c, weight = (tap * s.c + c) * s.k + k;
              r.y[At(out + k)] += double{x[At(in)]} * w[At(weight)];
              r.dx[At(in)] += double{dy[At(out + k)]} * w[At(weight)];
              r.dw[At(weight)] += double{x[At(in)]} * dy[At(out + k)];
            }
        }
      }
  return r;
}

// A copy between guards, aligned as the arenas are or one float off.
class Buffer {
 public:
  explicit Buffer(int64_t size, int64_t offset = 0)
      : bytes_(At(size + offset) * sizeof(float)),
        memory_(bytes_),
        data_(static_cast<float*>(memory_.data()) + offset) {
    std::fill(data_, data_ + size, std::numeric_limits<float>::quiet_NaN());
    size_ = size;
  }
  Buffer(const Floats& values, int64_t offset) : Buffer(static_cast<int64_t>(values.size()), offset) {
    std::copy(values.begin(), values.end(), data_);
  }
  float* data() { return data_; }
  Floats values() const { return Floats(data_, data_ + size_); }
  bool Whole() const { return memory_.Whole(); }

 private:
  size_t bytes_;
  testing::Guarded memory_;
  float* data_;
  int64_t size_;
};

// What the three functions give on a pool.
std::vector<Floats> RunAll(const ConvShape& s, ThreadPool& pool, const Floats& x, const Floats& w, const Floats& bias,
                           bool relu, const Floats& scale, const Floats& residual, const Floats& dy, int64_t offset) {
  Buffer xs(x, offset), ws(w, offset), bs(bias, offset), dys(dy, offset), scales(scale, offset);
  Buffer y(OutputSize(s), offset), dx(InputSize(s), offset), dw(KernelSize(s), offset);
  const auto workspace = [&](size_t size) { return Buffer(static_cast<int64_t>(size), offset); };
  Buffer wy = workspace(WinogradWorkspace(s)), wx = workspace(WinogradGradInputWorkspace(s));
  Buffer ww = workspace(WinogradGradKernelWorkspace(s));
  Epilogue e = BiasAndRelu(bias.empty() ? nullptr : bs.data(), relu);
  if (!scale.empty()) e.scale = scales.data();
  if (!residual.empty()) {  // where the result comes
    std::copy(residual.begin(), residual.end(), y.data());
    e.residual = y.data();
    e.residual_last = !relu;
  }
  WinogradConv2D(pool, s, xs.data(), ws.data(), e, y.data(), wy.data());
  // With what is kept of w: when it is made, and when w is no longer looked at.
  Buffer kept(static_cast<int64_t>(WinogradKept(s)), offset);
  for (const bool fresh : {false, true}) {
    Buffer again(residual.empty() ? Floats(At(OutputSize(s))) : residual, offset);
    if (!residual.empty()) e.residual = again.data();
    WinogradConv2D(pool, s, xs.data(), fresh ? nullptr : ws.data(), e, again.data(), wy.data(), {kept.data(), fresh});
    EXPECT_TRUE(testing::SameBits(std::vector<Floats>{again.values()}, {y.values()})) << (fresh ? "kept" : "made");
    EXPECT_TRUE(kept.Whole() && again.Whole());
  }
  WinogradGradInput(pool, s, dys.data(), ws.data(), dx.data(), wx.data());
  WinogradGradKernel(pool, s, xs.data(), dys.data(), dw.data(), ww.data());
  for (const Buffer* b : {&xs, &ws, &bs, &dys, &y, &dx, &dw, &wy, &wx, &ww, &scales}) EXPECT_TRUE(b->Whole());
  return {y.values(), dx.values(), dw.values()};
}

// The largest difference, of the largest value expected; a NaN is infinitely far.
double Error(const Floats& got, const std::vector<double>& want) {
  double error = 0, largest = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    const double e = std::fabs(double{got[i]} - want[i]);
    if (!(e <= error)) error = std::isnan(e) ? std::numeric_limits<double>::infinity() : e;
    largest = std::max(largest, std::fabs(want[i]));
  }
  return largest > 0 ? error / largest : error;
}

void Check(const ConvShape& s, uint32_t seed) {
  SCOPED_TRACE(Name(s));
  const Floats x = Random(InputSize(s), seed), w = Random(KernelSize(s), seed + 1),
               dy = Random(OutputSize(s), seed + 2);
  const Floats bias = seed % 2 ? Random(s.k, seed + 3) : Floats();
  const bool relu = seed % 3 == 0;
  const Floats scale = seed % 5 < 2 ? Random(s.k, seed + 4) : Floats();
  const Floats residual = seed % 7 < 3 ? Random(OutputSize(s), seed + 5) : Floats();
  Results want = Naive(s, x, w, dy);
  for (size_t i = 0; i < want.y.size(); ++i) {
    const size_t k = i % At(s.k);
    double& v = want.y[i];
    if (!scale.empty()) v *= scale[k];
    if (!bias.empty()) v += bias[k];
    if (!residual.empty()) v += residual[i];
    if (relu) v = std::max(0.0, v);
  }
  static ThreadPool pools[] = {ThreadPool(1), ThreadPool(2), ThreadPool(3), ThreadPool(5)};
  const double bound = std::max(s.c, s.k) <= 128 ? 3e-6 : 5e-6;  // of the largest value; it grows with the sums
  testing::ForEachTarget([&] {
    const std::vector<Floats> first = RunAll(s, pools[0], x, w, bias, relu, scale, residual, dy, 0);
    EXPECT_LE(Error(first[0], want.y), bound);
    EXPECT_LE(Error(first[1], want.dx), bound);
    EXPECT_LE(Error(first[2], want.dw), bound);
    for (int i = 1; i < 4; ++i)
      EXPECT_TRUE(testing::SameBits(RunAll(s, pools[i], x, w, bias, relu, scale, residual, dy, i % 2), first))
          << "pool " << i;
  });
}

// Each height meets each width once, paddings and channels change along.
TEST(Winograd, AllSizes) {
  uint32_t seed = 1;
  for (int64_t h = 1; h <= 15 && !HasFailure(); ++h)
    for (int64_t w = 1; w <= 15 && !HasFailure(); ++w, ++seed) {
      const auto any = [&](uint32_t a, uint32_t n) { return static_cast<int64_t>((seed * a + h) % n); };
      const ConvShape s =
          Make(1 + any(1, 3), h, w, 1 + any(7, 40), 1 + any(11, 50), any(5, 3), any(3, 3), any(2, 3), any(7, 3));
      if (s.oh > 0 && s.ow > 0) Check(s, seed);
    }
}

TEST(Winograd, ChannelsAroundTheVectors) {
  uint32_t seed = 1000;
  for (const int64_t c : {1, 3, 4, 7, 8, 15, 16, 17, 31, 32, 33, 64, 100})
    for (const int64_t k : {1, 4, 5, 8, 16, 23, 32, 33, 64, 70})
      if (!HasFailure()) Check(Make(1, 6, c, k, 1), ++seed);
}

// More padding than a kernel needs: then the gradient for the input begins inside dy.
TEST(Winograd, PaddingBeyondTheKernel) {
  Check(Make(2, 5, 9, 20, 33, 4, 3, 5, 7), 2000);
  Check(Make(1, 1, 1, 17, 18, 9, 9, 9, 9), 2001);
}

// Shapes that are cut in every way the plan knows.
TEST(Winograd, BlocksOfTilesAndChannels) {
  struct Case {
    ConvShape s;
    bool own, many_tile_blocks, many_channel_blocks;
  };
  for (const Case& c : {
           Case{Make(3, 26, 32, 40, 1), true, true, false},
           Case{Make(1, 10, 180, 180, 1), false, false, false},
           Case{Make(1, 3, 520, 720, 0), false, false, true},
           Case{Make(1, 1, 1700, 96, 90, 1, 1, 1, 1), false, true, false},
           Case{Make(200, 1, 1, 2000, 128, 1, 1, 1, 1), false, true, true},
       }) {
    const WinogradPlan p = PlanForward(c.s);
    EXPECT_EQ(p.own > 0, c.own) << Name(c.s);
    EXPECT_EQ(p.tile_blocks > 1, c.many_tile_blocks) << Name(c.s);
    EXPECT_EQ(p.channel_blocks > 1, c.many_channel_blocks) << Name(c.s);
    if (!HasFailure()) Check(c.s, 3000);
  }
}

// The error grows as that of any sum. Inputs of mean 0, and positive ones as behind a ReLU; also the number of
// channels.
TEST(Winograd, ErrorIsThatOfASum) {
  struct Case {
    int64_t c, k;
    double bound;
  };
  for (const Case& of : {Case{64, 64, 3e-6}, Case{512, 32, 5e-6}}) {
    for (const float low : {-1.0f, 0.0f}) {
      const ConvShape s = Make(2, 8, of.c, of.k, 1);
      const Floats x = Random(InputSize(s), 1, low, 1), w = Random(KernelSize(s), 2, -1, 1);
      const Floats dy = Random(OutputSize(s), 3, -1, 1);
      const Results want = Naive(s, x, w, dy);
      testing::ForEachTarget([&] {
        const std::vector<Floats> got = RunAll(s, ThreadPool::Default(), x, w, {}, false, {}, {}, dy, 0);
        EXPECT_LE(Error(got[0], want.y), of.bound) << "y " << of.c << " from " << low;
        EXPECT_LE(Error(got[1], want.dx), of.bound) << "dx " << of.c << " from " << low;
        EXPECT_LE(Error(got[2], want.dw), of.bound) << "dw " << of.c << " from " << low;
      });
    }
  }
}

TEST(Winograd, ReluKeepsNan) {
  const ConvShape s = Make(1, 4, 20, 20, 1);
  const Floats x(At(InputSize(s)), std::numeric_limits<float>::quiet_NaN()), w(At(KernelSize(s)), 1.0f);
  Floats y(At(OutputSize(s))), workspace(WinogradWorkspace(s));
  WinogradConv2D(ThreadPool::Default(), s, x.data(), w.data(), BiasAndRelu(nullptr, true), y.data(), workspace.data());
  for (const float v : y) ASSERT_TRUE(std::isnan(v));
}

TEST(Winograd, EmptyBatchGivesZeroGradient) {
  const ConvShape s = Make(0, 8, 64, 64, 1);
  EXPECT_GT(WinogradWorkspace(s), 0u);
  Floats dw(At(KernelSize(s)), 1.0f), workspace(WinogradGradKernelWorkspace(s));
  WinogradGradKernel(ThreadPool::Default(), s, nullptr, nullptr, dw.data(), workspace.data());
  for (const float v : dw) ASSERT_EQ(v, 0.0f);
}

TEST(Winograd, IsChosenForLargeConvolutionsOfThreeByThreeOnly) {
  const ConvShape good = Make(8, 56, 64, 64, 1);
  EXPECT_TRUE(WinogradPays(good) && WinogradGradInputPays(good) && WinogradGradKernelPays(good));
  EXPECT_FALSE(WinogradPays(Make(99, 56, 20000, 64, 1))) << "more workspace than conv.h allows";
  std::vector<ConvShape> bad(8, good);
  bad[0].stride_h = 2, bad[1].stride_w = 2, bad[2].dilation_h = 2, bad[3].dilation_w = 2, bad[4].groups = 2;
  bad[5].kh = 5, bad[6].kw = 1, bad[7].c = bad[7].k = 8;
  for (const ConvShape& s : bad) EXPECT_FALSE(WinogradPays(s) || WinogradGradInputPays(s) || WinogradGradKernelPays(s));
}

}  // namespace
}  // namespace ingot::cpu
