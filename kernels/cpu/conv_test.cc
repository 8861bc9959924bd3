// SPDX-License-Identifier: MIT
//
// Convolutions against their definition in double precision: hundreds of shapes, the awkward ones by name, every
// SIMD target, 1, 2, 3 and 5 threads with equal bits, and guards around every buffer. Inputs are surrounded by NaN,
// outputs and workspace start as NaN, so whatever is read beyond or before its time shows.
#include "ingot/kernels/cpu/conv.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "ingot/kernels/cpu/depthwise.h"
#include "ingot/kernels/cpu/targets.h"
#include "ingot/kernels/cpu/winograd.h"

namespace ingot::cpu {
namespace {

constexpr int64_t kGuard = 64;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Floats with a guard on both sides.
class Buffer {
 public:
  explicit Buffer(int64_t size, float value = kNan) : data_(static_cast<size_t>(size + 2 * kGuard), kNan), size_(size) {
    std::fill(data(), data() + size, value);
  }
  float* data() { return data_.data() + kGuard; }
  const float* data() const { return data_.data() + kGuard; }
  int64_t size() const { return size_; }
  bool Intact() const {
    for (int64_t i = 0; i < kGuard; ++i)
      if (!std::isnan(data_[static_cast<size_t>(i)]) || !std::isnan(data_[data_.size() - 1 - static_cast<size_t>(i)]))
        return false;
    return true;
  }

 private:
  std::vector<float> data_;
  int64_t size_;
};

Buffer Random(int64_t size, std::mt19937& random) {
  Buffer b(size);
  std::uniform_real_distribution<float> uniform(-1, 1);
  for (int64_t i = 0; i < size; ++i) b.data()[i] = uniform(random);
  return b;
}

// A sum and the sum of the absolute values of its terms, which bounds the error of any order of summation.
struct Sum {
  double value = 0, size = 0;
  void Add(double term) { value += term, size += std::abs(term); }
};

struct Oracle {
  std::vector<Sum> y, dx, dw;
};

size_t At(int64_t i) { return static_cast<size_t>(i); }

// What an epilogue makes of sums.
void Apply(const Epilogue& e, int64_t k, std::vector<Sum>& y) {
  for (size_t i = 0; i < y.size(); ++i) {
    Sum& sum = y[i];
    if (e.scale)
      sum.value *= e.scale[static_cast<int64_t>(i) % k], sum.size *= std::abs(e.scale[static_cast<int64_t>(i) % k]);
    if (e.shift) sum.Add(e.shift[static_cast<int64_t>(i) % k]);
    if (e.residual && !e.residual_last) sum.Add(e.residual[i]);
    if (sum.value < 0) sum.value *= e.slope;
    sum.value = std::min<double>(sum.value, e.limit);
    if (e.residual && e.residual_last) sum.Add(e.residual[i]);
  }
}

Oracle Naive(const ConvShape& s, const float* x, const float* w, const float* dy) {
  const int64_t cg = s.c / s.groups, kg = s.k / s.groups;
  Oracle r;
  r.y.resize(At(s.n * s.oh * s.ow * s.k));
  r.dx.resize(At(s.n * s.h * s.w * s.c));
  r.dw.resize(At(s.kh * s.kw * cg * s.k));
  for (int64_t n = 0; n < s.n; ++n)
    for (int64_t oh = 0; oh < s.oh; ++oh)
      for (int64_t ow = 0; ow < s.ow; ++ow) {
        const int64_t out = ((n * s.oh + oh) * s.ow + ow) * s.k;
        for (int64_t kh = 0; kh < s.kh; ++kh)
          for (int64_t kw = 0; kw < s.kw; ++kw) {
            const int64_t ih = oh * s.stride_h - s.pad_top + kh * s.dilation_h;
            const int64_t iw = ow * s.stride_w - s.pad_left + kw * s.dilation_w;
            if (ih < 0 || ih >= s.h || iw < 0 || iw >= s.w) continue;
            for (int64_t c = 0; c < cg; ++c)
              for (int64_t k = 0; k < s.k; ++k) {
                const int64_t in = ((n * s.h + ih) * s.w + iw) * s.c + k / kg * cg + c;
                const int64_t weight = ((kh * s.kw + kw) * cg + c) * s.k + k;
                r.y[At(out + k)].Add(double{x[in]} * w[weight]);
                r.dx[At(in)].Add(double{dy[out + k]} * w[weight]);
                r.dw[At(weight)].Add(double{x[in]} * dy[out + k]);
              }
          }
      }
  return r;
}

std::string Name(const ConvShape& s) {
  std::string name;
  for (const int64_t v : {s.n, s.h, s.w, s.c, s.oh, s.ow, s.k, s.kh, s.kw, s.stride_h, s.stride_w, s.dilation_h,
                          s.dilation_w, s.groups, s.pad_top, s.pad_left})
    name += std::to_string(v) + " ";
  return name;
}

// Returns false, having reported it, at the first value that is wrong. By Winograd's algorithm a value at the border,
// a sum of few terms, has the error of its whole tile.
bool Near(const Buffer& got, const std::vector<Sum>& want, bool winograd, const std::string& what) {
  double largest = 0;
  for (const Sum& sum : want) largest = std::max(largest, winograd ? sum.size : 0.0);
  for (int64_t i = 0; i < got.size(); ++i) {
    const Sum& sum = want[At(i)];
    if (!(std::abs(got.data()[i] - sum.value) <= 2e-6 * std::max(sum.size, largest))) {
      ADD_FAILURE() << what << "[" << i << "] is " << got.data()[i] << ", expected " << sum.value;
      return false;
    }
  }
  EXPECT_TRUE(got.Intact()) << what << " was written beyond its end";
  return got.Intact();
}

bool SameBits(const Buffer& a, const Buffer& b) {
  return std::memcmp(a.data(), b.data(), sizeof(float) * At(a.size())) == 0;
}

class Pools {
 public:
  static ThreadPool& Of(int i) {
    static ThreadPool pools[] = {ThreadPool(1), ThreadPool(2), ThreadPool(3), ThreadPool(5)};
    return pools[i];
  }
};

void Check(const ConvShape& s, std::mt19937& random, bool depthwise = false) {
  SCOPED_TRACE(Name(s));
  const Buffer x = Random(s.n * s.h * s.w * s.c, random), dy = Random(s.n * s.oh * s.ow * s.k, random);
  const Buffer w = Random(s.kh * s.kw * s.c / s.groups * s.k, random), shift = Random(s.k, random);
  const Buffer scale = Random(s.k, random), residual = Random(dy.size(), random);
  Epilogue e;
  if (random() % 3) e.shift = shift.data();
  if (random() % 3 == 0) e.scale = scale.data();
  if (random() % 3 == 0) e.residual = residual.data();
  e.residual_last = random() % 2;
  if (random() % 2) e.slope = random() % 2 ? 0 : 0.25f;
  if (random() % 3 == 0) e.limit = 0.5f;
  const bool in_place = e.residual && random() % 2;
  Oracle want = Naive(s, x.data(), w.data(), dy.data());
  Apply(e, s.k, want.y);
  for (const int64_t* target = SupportedTargetList(); *target != 0; ++target) {
    ForceTarget(*target);
    SCOPED_TRACE(TargetName(*target));
    std::vector<Buffer> first;
    for (int i = 0; i < 4; ++i) {
      ThreadPool& pool = Pools::Of(i);
      Buffer y = in_place ? residual : Buffer(dy.size()), dx(x.size()), dw(w.size());
      if (in_place) e.residual = y.data();
      const auto workspace = [](size_t size) { return Buffer(static_cast<int64_t>(size)); };
      Buffer wy = workspace(depthwise ? DepthwiseConv2DWorkspace(s) : Conv2DWorkspace(s));
      Buffer wx = workspace(depthwise ? DepthwiseConv2DGradInputWorkspace(s) : Conv2DGradInputWorkspace(s));
      Buffer ww = workspace(depthwise ? DepthwiseConv2DGradKernelWorkspace(s) : Conv2DGradKernelWorkspace(s));
      if (depthwise) {
        DepthwiseConv2D(pool, s, x.data(), w.data(), e, y.data(), wy.data());
        DepthwiseConv2DGradInput(pool, s, dy.data(), w.data(), dx.data(), wx.data());
        DepthwiseConv2DGradKernel(pool, s, x.data(), dy.data(), dw.data(), ww.data());
      } else {
        Conv2D(pool, s, x.data(), w.data(), e, y.data(), wy.data());
        Conv2DGradInput(pool, s, dy.data(), w.data(), dx.data(), wx.data());
        Conv2DGradKernel(pool, s, x.data(), dy.data(), dw.data(), ww.data());
      }
      if (const size_t floats = depthwise ? 0 : Conv2DKept(s)) {
        // What is kept of w gives the bits that w gives, when it is made and when w is no longer looked at. (Unless it
        // makes Winograd's algorithm the faster one.)
        const bool other = WinogradPays(s) != WinogradPays(s, true);
        Buffer made(0);
        Buffer kept(static_cast<int64_t>(floats));
        for (const bool fresh : {false, true}) {
          Buffer again = in_place ? residual : Buffer(dy.size());
          Epilogue same = e;
          if (in_place) same.residual = again.data();
          Conv2D(pool, s, x.data(), fresh ? Buffer(w.size()).data() : w.data(), same, again.data(), wy.data(),
                 {kept.data(), fresh});
          if (other && !fresh) {
            ASSERT_TRUE(Near(again, want.y, true, "y, kept"));
            made = again;
          }
          ASSERT_TRUE(SameBits(again, other ? made : y) && kept.Intact() && again.Intact())
              << (fresh ? "kept" : "when it is made");
        }
      }
      ASSERT_TRUE(wy.Intact() && wx.Intact() && ww.Intact()) << "workspace";
      if (i == 0) {
        ASSERT_TRUE(Near(y, want.y, WinogradPays(s), "y") && Near(dx, want.dx, WinogradGradInputPays(s), "dx") &&
                    Near(dw, want.dw, WinogradGradKernelPays(s), "dw"));
        first = {y, dx, dw};
      } else {
        ASSERT_TRUE(SameBits(y, first[0]) && SameBits(dx, first[1]) && SameBits(dw, first[2])) << "threads " << i;
      }
    }
  }
  ForceTarget(0);
}

// Output size for a padding of `before` + `after`.
int64_t OutSize(int64_t in, int64_t kernel, int64_t stride, int64_t dilation, int64_t padding) {
  return (in + padding - (kernel - 1) * dilation - 1) / stride + 1;
}

ConvShape Valid(int64_t n, int64_t hw, int64_t c, int64_t k, int64_t kernel, int64_t stride = 1) {
  const int64_t out = OutSize(hw, kernel, stride, 1, 0);
  return {n, hw, hw, c, out, out, k, kernel, kernel, stride, stride, 1, 1, 1, 0, 0};
}

// Keras's "same": the odd pixel of padding comes last.
ConvShape Same(int64_t n, int64_t hw, int64_t c, int64_t k, int64_t kernel, int64_t stride = 1, int64_t dilation = 1,
               int64_t groups = 1) {
  const int64_t out = (hw + stride - 1) / stride;
  const int64_t pad = std::max<int64_t>(0, (out - 1) * stride + (kernel - 1) * dilation + 1 - hw);
  return {n, hw, hw, c, out, out, k, kernel, kernel, stride, stride, dilation, dilation, groups, pad / 2, pad / 2};
}

// Sizes of everything at random; `depthwise` chooses k as a multiple of c.
ConvShape RandomShape(std::mt19937& random, bool depthwise) {
  const auto any = [&](int64_t lo, int64_t hi) { return std::uniform_int_distribution<int64_t>(lo, hi)(random); };
  for (;;) {
    ConvShape s{};
    s.n = any(1, 3), s.h = any(1, 12), s.w = any(1, 12);
    s.groups = depthwise ? any(1, 40) : any(0, 3) ? 1 : any(2, 5);
    s.c = s.groups * (depthwise ? 1 : any(1, any(0, 2) ? 9 : 40));
    s.k = s.groups * (depthwise ? (any(0, 2) ? 1 : any(2, 3)) : any(1, any(0, 2) ? 9 : 70));
    s.kh = any(1, 5), s.kw = any(1, 5);
    s.stride_h = any(1, 4), s.stride_w = any(1, 4), s.dilation_h = any(1, 3), s.dilation_w = any(1, 3);
    s.pad_top = any(0, 3), s.pad_left = any(0, 3);
    const int64_t h = s.h + s.pad_top + any(0, 3) - (s.kh - 1) * s.dilation_h - 1;
    const int64_t w = s.w + s.pad_left + any(0, 3) - (s.kw - 1) * s.dilation_w - 1;
    if (h < 0 || w < 0) continue;
    s.oh = h / s.stride_h + 1, s.ow = w / s.stride_w + 1;
    if (s.n * s.oh * s.ow * s.kh * s.kw * s.c / s.groups * s.k <= 200000) return s;
  }
}

TEST(Conv, RandomShapes) {
  std::mt19937 random(1);
  for (int i = 0; i < 400 && !HasFailure(); ++i) Check(RandomShape(random, false), random);
}

// And some of many pixels and few channels, whose parts of a weight gradient have several blocks.
TEST(Conv, ShapesOfRealNetworks) {
  std::mt19937 random(2);
  for (const ConvShape& s : {
           Valid(4, 28, 1, 64, 3),      Valid(3, 13, 64, 32, 3),         Valid(1, 4, 1, 1024, 3),
           Same(2, 4, 128, 160, 3),     Same(1, 32, 16, 16, 3),          Same(2, 16, 16, 32, 3, 2),
           Same(2, 16, 16, 32, 1, 2),   Same(2, 8, 64, 64, 3),           Same(1, 14, 24, 144, 1),
           Same(1, 14, 144, 24, 1),     Same(1, 7, 320, 100, 1),         Same(1, 56, 3, 64, 7, 2),
           Same(1, 28, 64, 64, 1),      Same(1, 15, 48, 50, 3),          Valid(1, 16, 3, 40, 4, 4),
           Same(2, 9, 20, 33, 3, 1, 2), Same(2, 9, 64, 64, 3, 1, 1, 32), Same(2, 9, 96, 64, 3, 2, 1, 2),
           Same(1, 7, 20, 300, 3),      Same(1, 7, 33, 520, 1),          Same(1, 6, 32, 512, 3, 1, 1, 2),
           Same(9, 31, 8, 3, 5),        Same(1, 64, 16, 16, 1),          Same(1, 40, 18, 6, 3),
           Same(30, 7, 16, 16, 3),      Same(3, 32, 3, 16, 3),           Same(2, 33, 16, 40, 3, 2),
           Same(2, 19, 48, 24, 3),      Same(2, 12, 32, 64, 3, 1, 1, 4), Valid(20, 11, 64, 40, 3),
       })
    if (!HasFailure()) Check(s, random);
}

TEST(Conv, AwkwardShapes) {
  std::mt19937 random(3);
  for (const ConvShape& s : {
           ConvShape{1, 1, 1, 1, 1, 1, 1, 1, 1},                             // the least
           ConvShape{2, 2, 3, 5, 4, 5, 7, 7, 9, 1, 1, 1, 1, 1, 4, 5},        // kernel larger than the image
           ConvShape{1, 3, 3, 2, 3, 3, 3, 40, 40, 1, 1, 1, 1, 1, 19, 20},    // much larger: no columns
           ConvShape{1, 9, 11, 20, 2, 2, 17, 2, 3, 5, 7, 1, 1, 1, 0, 0},     // stride larger than the kernel
           ConvShape{1, 9, 11, 3, 2, 2, 17, 2, 3, 5, 7, 2, 3, 1, 0, 0},      // and dilated
           ConvShape{2, 8, 9, 18, 6, 9, 12, 3, 4, 2, 1, 2, 2, 1, 5, 1},      // stride 2, dilation 2
           ConvShape{1, 12, 12, 17, 8, 9, 5, 3, 3, 2, 3, 4, 6, 1, 7, 12},    // gcds above 1
           ConvShape{1, 5, 5, 4, 9, 9, 6, 2, 2, 1, 1, 1, 1, 1, 5, 0},        // windows fully in the padding
           ConvShape{1, 6, 6, 12, 6, 6, 20, 3, 3, 1, 1, 1, 1, 4, 1, 1},      // few channels in a group
           ConvShape{1, 1, 500, 18, 1, 498, 70, 1, 3, 1, 1, 1, 1, 1, 0, 0},  // one row
           ConvShape{1, 500, 1, 18, 498, 1, 70, 3, 1, 1, 1, 1, 1, 1, 0, 0},  // one column
           ConvShape{1, 6, 300, 48, 6, 300, 20, 5, 5, 1, 1, 1, 1, 1, 2, 2},  // rows too wide for one copy
           ConvShape{1, 200, 6, 40, 200, 6, 16, 3, 3, 1, 1, 2, 2, 1, 2, 2},  // taps that do not lie side by side
           ConvShape{1, 9, 9, 48, 9, 9, 16, 3, 3, 1, 1, 9, 9, 1, 9, 9},      // a window too large for a copy
           ConvShape{40, 1, 1, 67, 1, 1, 130, 1, 1, 1, 1, 1, 1, 1, 0, 0},    // a product of matrices
           ConvShape{2, 6, 6, 30, 6, 6, 30, 3, 3, 1, 1, 1, 1, 30, 1, 1},     // depthwise as groups
           ConvShape{2, 6, 6, 15, 6, 6, 45, 3, 3, 2, 1, 1, 1, 15, 4, 1},     // with three outputs each
       })
    if (!HasFailure()) Check(s, random);
}

TEST(Conv, EmptyBatchGivesZeroGradient) {
  ConvShape s = Same(0, 8, 16, 16, 3);
  Buffer dw(9 * 16 * 16), workspace(static_cast<int64_t>(Conv2DGradKernelWorkspace(s)));
  Conv2DGradKernel(Pools::Of(0), s, nullptr, nullptr, dw.data(), workspace.data());
  for (int64_t i = 0; i < dw.size(); ++i) ASSERT_EQ(dw.data()[i], 0.0f);
}

TEST(Conv, ActivationKeepsNan) {
  const ConvShape s = Same(1, 3, 1, 20, 1);
  Buffer x(9, kNan), w(20, 1.0f), y(180), workspace(static_cast<int64_t>(Conv2DWorkspace(s)));
  Epilogue e;
  e.limit = 6;
  for (const float slope : {0.0f, 0.25f, 1.0f}) {
    e.slope = slope;
    Conv2D(Pools::Of(0), s, x.data(), w.data(), e, y.data(), workspace.data());
    for (int64_t i = 0; i < y.size(); ++i) ASSERT_TRUE(std::isnan(y.data()[i]));
  }
}

TEST(Conv, WorkspaceIsBounded) {
  constexpr size_t kFloats = size_t{16} << 20;
  for (const ConvShape& s : {Same(256, 64, 2048, 2048, 3), Same(1, 14, 4096, 4096, 1), Same(1024, 28, 1, 64, 3),
                             Same(32, 112, 960, 960, 3, 1, 1, 960), Same(32, 56, 1024, 1024, 3, 1, 1, 256)}) {
    EXPECT_LE(Conv2DWorkspace(s), kFloats) << Name(s);
    EXPECT_LE(Conv2DGradInputWorkspace(s), kFloats) << Name(s);
    EXPECT_LE(Conv2DGradKernelWorkspace(s), kFloats) << Name(s);
  }
}

// A kernel that does not fit into the workspace as a whole is packed in pieces; 1x1 images keep the oracle cheap.
TEST(Conv, KernelLargerThanTheWorkspace) {
  std::mt19937 random(4);
  const ConvShape s = {1, 1, 1, 4000, 1, 1, 3230, 1, 1, 1, 1, 1, 1, 1, 0, 0};
  ASSERT_LT(Conv2DWorkspace(s), size_t{4000 * 3232});
  Check(s, random);
}

// An output larger than the caches is written around them where it is aligned; the bits are those of the other way.
TEST(Conv, StreamedOutput) {
  std::mt19937 random(7);
  const ConvShape s = Valid(1, 364, 2, 64, 2);
  const Buffer x = Random(364 * 364 * 2, random), w = Random(4 * 2 * 64, random);
  Buffer y(363 * 363 * 64 + 32), workspace(static_cast<int64_t>(Conv2DWorkspace(s)));
  const int64_t size = y.size() - 32;
  ASSERT_GE(size, 8 << 20);
  float* aligned = y.data();
  while (reinterpret_cast<uintptr_t>(aligned) % 64 != 0) ++aligned;
  for (const int64_t* target = SupportedTargetList(); *target != 0; ++target) {
    ForceTarget(*target);
    Conv2D(Pools::Of(1), s, x.data(), w.data(), BiasAndRelu(nullptr, true), aligned + 1, workspace.data());
    const std::vector<float> plain(aligned + 1, aligned + 1 + size);
    Conv2D(Pools::Of(2), s, x.data(), w.data(), BiasAndRelu(nullptr, true), aligned, workspace.data());
    EXPECT_EQ(std::memcmp(plain.data(), aligned, sizeof(float) * At(size)), 0) << TargetName(*target);
    EXPECT_TRUE(y.Intact());
  }
  ForceTarget(0);
}

TEST(Depthwise, RandomShapes) {
  std::mt19937 random(5);
  for (int i = 0; i < 200 && !HasFailure(); ++i) Check(RandomShape(random, true), random, true);
}

// A path of its own: every remainder of pixels and channels, windows across either border or both.
TEST(Depthwise, ThreeByThree) {
  std::mt19937 random(8);
  for (const int64_t c : {5, 16, 24, 33})
    for (int64_t w = 1; w <= 9 && !HasFailure(); ++w)
      for (const int64_t stride : {1, 2, 3})
        for (const int64_t pad : {0, 1, 3}) {
          const int64_t h = 3 + w % 3, reach = pad + static_cast<int64_t>(random() % 3);
          if (w + reach < 3) continue;
          ConvShape s{2, h, w, c, OutSize(h, 3, stride, 1, reach), OutSize(w, 3, stride, 1, reach), c, 3, 3};
          s.stride_h = s.stride_w = stride, s.pad_top = s.pad_left = pad, s.groups = c;
          Check(s, random, true);
        }
}

TEST(Depthwise, StreamedOutput) {
  std::mt19937 random(9);
  for (const int64_t stride : {1, 2}) {
    const ConvShape s = Same(1, 170 * stride, 80, 80, 3, stride, 1, 80);
    const Buffer w = Random(9 * s.c, random), x = Random(s.h * s.w * s.c, random);
    Buffer to(x.size() + 32), workspace(4096);
    float* aligned = to.data();
    while (reinterpret_cast<uintptr_t>(aligned) % 64 != 0) ++aligned;
    for (const int64_t* target = SupportedTargetList(); *target != 0; ++target) {
      ForceTarget(*target);
      for (const bool forward : {true, false}) {
        const int64_t size = forward ? s.oh * s.ow * s.c : x.size();
        ASSERT_GE(size, 1 << 21);
        const auto run = [&](float* out) {
          if (forward) return DepthwiseConv2D(Pools::Of(1), s, x.data(), w.data(), {}, out, workspace.data());
          DepthwiseConv2DGradInput(Pools::Of(1), s, x.data(), w.data(), out, workspace.data());
        };
        run(aligned + 1);
        const std::vector<float> plain(aligned + 1, aligned + 1 + size);
        run(aligned);
        EXPECT_EQ(std::memcmp(plain.data(), aligned, sizeof(float) * At(size)), 0) << TargetName(*target);
        EXPECT_TRUE(to.Intact());
      }
    }
  }
  ForceTarget(0);
}

TEST(Depthwise, ShapesOfRealNetworks) {
  std::mt19937 random(6);
  for (const ConvShape& s :
       {Same(1, 28, 96, 96, 3, 1, 1, 96), Same(2, 28, 144, 144, 3, 2, 1, 144), Same(3, 7, 200, 200, 3, 1, 1, 200),
        Same(1, 20, 70, 140, 5, 1, 2, 70), Same(1, 64, 16, 16, 1, 1, 1, 16), Same(2, 48, 16, 16, 2, 1, 1, 16)})
    if (!HasFailure()) Check(s, random, true);
}

}  // namespace
}  // namespace ingot::cpu
