// SPDX-License-Identifier: MIT
//
// Plans with what they fuse against the same plans without: epilogues of products and convolutions, zeros around an
// image as padding, and every golden model.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "ingot/core/plan/passes.h"
#include "ingot/io/keras_config.h"
#include "ingot/kernels/formulas.h"
#include "ingot/tests/fixture.h"
#include "ingot/train/model.h"
#include "ingot/train/plan_run.h"

namespace ingot {
namespace {

using testing::Compare;
using testing::Difference;
using testing::Golden;

struct WithoutFusion {
  WithoutFusion() { SetFusion(false); }
  ~WithoutFusion() { SetFusion(true); }
};

Array Random(const Shape& shape, uint32_t seed, float low = -1, float high = 1) {
  std::mt19937 engine(seed);
  std::uniform_real_distribution<float> draw(low, high);
  Array x(shape);
  for (float& v : x.floats()) v = draw(engine);
  return x;
}

enum class Part { kNorm, kRelu, kRelu6, kLeaky, kAdd, kTanh };

// A product or convolution and what follows it; x is read once more, so that it may be the residual too.
struct Chain {
  Kernel kernel;
  bool bias;
  std::vector<Part> parts;
  bool residual_is_x = false;
  const char* expected;  // what the plan says of it
};

Value Write(const Chain& chain, PlanRun& run, Array bias_values = Random({24}, 2)) {
  Graph& g = run.graph;
  const bool gemm = chain.kernel == Kernel::kGemm;
  const Shape image = gemm ? Shape{7, 24} : Shape{2, 6, 5, 24};
  const Value x = g.Unary(run.Feed(Random(image, 1)), {static_cast<uint16_t>(Formula::kAffine), {2, 0, 0}}, false);
  const Value bias = chain.bias ? run.Feed(bias_values) : Value{};
  Value y;
  if (gemm) {
    y = g.Gemm(x, run.Feed(Random({24, 24}, 3)), false, false, bias);
  } else if (chain.kernel == Kernel::kConv2D) {
    const ConvAttrs attrs{.pad_top = 1, .pad_left = 1};
    y = g.Conv2D(x, run.Feed(Random({3, 3, 24, 24}, 3)), bias, attrs, image);
  } else {
    const ConvAttrs attrs{.groups = 24, .pad_top = 1, .pad_left = 1};
    y = g.Depthwise(x, run.Feed(Random({3, 3, 24, 1}, 3)), bias, attrs, image);
  }
  const auto unary = [&](Formula f, float a, float b) { y = g.Unary(y, {static_cast<uint16_t>(f), {a, b, 0}}, true); };
  for (const Part part : chain.parts) {
    if (part == Part::kNorm) {
      const Graph::BatchNormWeights w{run.Feed(Random({24}, 4)), run.Feed(Random({24}, 5)), run.Feed(Random({24}, 6)),
                                      run.Feed(Random({24}, 7, 0.5f, 2))};
      y = g.BatchNorm(y, w, {1e-3f, 0.9f}, false);
    }
    if (part == Part::kRelu) unary(Formula::kRelu, 0, -1);
    if (part == Part::kRelu6) unary(Formula::kRelu, 0, 6);
    if (part == Part::kLeaky) unary(Formula::kLeakyRelu, 0.25f, 0);
    if (part == Part::kTanh) unary(Formula::kTanh, 0, 0);
    if (part == Part::kAdd) {
      const Value other = g.Unary(run.Feed(Random(image, 8)), {static_cast<uint16_t>(Formula::kAbs), {}}, false);
      y = chain.residual_is_x ? g.Add(x, y) : g.Add(y, other);
    }
  }
  g.Keep(y);
  run.Finish();
  return y;
}

TEST(Epilogue, EpiloguesAgreeWithWhatTheyReplace) {
  using enum Part;
  const Kernel conv = Kernel::kConv2D, depthwise = Kernel::kDepthwise, gemm = Kernel::kGemm;
  for (const Chain& chain : {
           Chain{conv, true, {kNorm, kRelu6, kAdd}, false, "Conv2D + batchnorm + relu6 + add"},
           Chain{conv, false, {kNorm, kAdd, kRelu}, false, "Conv2D + batchnorm + add + relu"},
           Chain{conv, true, {kAdd}, true, "Conv2D + bias + add"},
           Chain{conv, true, {kRelu, kAdd}, true, "Conv2D + bias + relu + add"},
           Chain{conv, false, {kAdd, kAdd}, false, "Conv2D + add"},           // the second stays
           Chain{conv, true, {kRelu, kNorm}, false, "Conv2D + bias + relu"},  // in another order than an epilogue has
           Chain{conv, true, {kNorm, kNorm}, false, "Conv2D + batchnorm"},
           Chain{conv, true, {kAdd, kNorm}, false, "Conv2D + bias + add"},
           Chain{conv, true, {kTanh}, false, "Conv2D + bias"},
           Chain{conv, true, {kRelu, kAdd, kRelu}, false, "Conv2D + bias + relu + add"},
           Chain{depthwise, false, {kNorm, kRelu6}, false, "Depthwise + batchnorm + relu6"},
           Chain{depthwise, true, {kNorm, kLeaky, kAdd}, true, "Depthwise + batchnorm + leaky relu + add"},
           Chain{gemm, true, {kNorm, kRelu}, false, "Gemm + batchnorm + relu"},
           Chain{gemm, true, {kNorm, kAdd, kLeaky}, true, "Gemm + batchnorm + add + leaky relu"},
           Chain{gemm, true, {kRelu6, kAdd}, false, "Gemm + bias + relu6 + add"},
       }) {
    SCOPED_TRACE(chain.expected);
    PlanRun fused, plain;
    const Value y = Write(chain, fused);
    Value expected;
    {
      const WithoutFusion off;
      expected = Write(chain, plain);
    }
    std::vector<std::string> steps;
    for (const Step& step : fused.plan->steps()) steps.push_back(Fused(step));
    EXPECT_TRUE(std::count(steps.begin(), steps.end(), chain.expected)) << fused.plan->Describe();
    plain.Execute();
    const std::vector<float> want = plain.Read(expected);
    for (int i = 0; i < 2; ++i) {
      fused.Execute();
      const std::vector<float> got = fused.Read(y);
      for (size_t j = 0; j < want.size(); ++j) ASSERT_NEAR(got[j], want[j], 2e-5) << j;
    }
  }
}

// A NaN in a channel is seen behind every activation, as it is without fusion, and in no other channel; and what is
// without bound stays so.
TEST(Epilogue, NumbersThatAreNoneAreKept) {
  using enum Part;
  Array bias = Random({24}, 2);
  bias.floats()[3] = bias.floats()[17] = std::numeric_limits<float>::quiet_NaN();
  bias.floats()[5] = std::numeric_limits<float>::infinity();
  bias.floats()[23] = -std::numeric_limits<float>::infinity();
  for (const Kernel kernel : {Kernel::kGemm, Kernel::kConv2D, Kernel::kDepthwise})
    for (const auto& parts : {std::vector{kRelu}, {kRelu6}, {kLeaky}, {kRelu, kAdd}, {kAdd, kRelu6}}) {
      const Chain chain{kernel, true, parts, false, ""};
      PlanRun fused, plain;
      const Value y = Write(chain, fused, bias);
      Value expected;
      {
        const WithoutFusion off;
        expected = Write(chain, plain, bias);
      }
      SCOPED_TRACE(fused.plan->Describe());
      EXPECT_LT(fused.plan->steps().size(), plain.plan->steps().size());
      plain.Execute(), fused.Execute();
      const std::vector<float> want = plain.Read(expected), got = fused.Read(y);
      for (size_t j = 0; j < want.size(); ++j) {
        ASSERT_EQ(std::isnan(want[j]), j % 24 == 3 || j % 24 == 17) << j;
        if (std::isnan(want[j])) {
          ASSERT_TRUE(std::isnan(got[j])) << j << " is " << got[j];
        } else if (std::isinf(want[j])) {
          ASSERT_EQ(got[j], want[j]) << j;
        } else {
          ASSERT_NEAR(got[j], want[j], 2e-5) << j;
        }
      }
    }
}

// 0 times minus infinity is NaN, as without fusion; a slope that is another still joins.
TEST(Epilogue, ALeakySlopeOfZeroIsLeftAlone) {
  const float infinity = std::numeric_limits<float>::infinity();
  const auto write = [&](float slope, PlanRun& run) {
    Graph& g = run.graph;
    const Value y = g.Gemm(run.Feed(Array({2, 1}, std::vector<float>{-infinity, -1})),
                           run.Feed(Array({1, 1}, std::vector<float>{1})));
    const Value z = g.Unary(y, {static_cast<uint16_t>(Formula::kLeakyRelu), {slope, 0, 0}}, true);
    g.Keep(z);
    run.Finish();
    run.Execute();
    return run.Read(z);
  };
  PlanRun zero, other;
  const std::vector<float> got = write(0, zero);
  EXPECT_TRUE(std::isnan(got[0])) << got[0];
  EXPECT_EQ(got[1], 0);
  EXPECT_EQ(write(0.5f, other), (std::vector<float>{-infinity, -0.5f}));
  EXPECT_EQ(other.plan->steps().size() + 1, zero.plan->steps().size());
}

// What is read elsewhere, by the gradient for one, is still made.
TEST(Epilogue, ValuesThatAreReadTwiceStay) {
  for (const bool keep : {false, true}) {
    PlanRun run;
    Graph& g = run.graph;
    const Value x = run.Feed(Random({4, 8}, 1)), w = run.Feed(Random({8, 8}, 2));
    const Value y = g.Gemm(x, w);
    const Value z = g.Unary(y, {static_cast<uint16_t>(Formula::kRelu), {0, -1, 0}}, true);
    Value sum = z;
    if (keep)
      g.Keep(y);
    else
      sum = g.Multiply(y, z);
    g.Keep(sum);
    run.Finish();
    EXPECT_EQ(run.plan->steps().size(), keep ? 2u : 3u) << run.plan->Describe();
  }
}

// Zeros around an image, then a window, against the same with something between that changes nothing.
TEST(Epilogue, ZerosAroundAnImageBecomePadding) {
  struct Case {
    Kernel kernel;
    int64_t top, bottom, left, right;
    int32_t stride;
    float fill;
    bool relu, folded;
  };
  for (const Case& c : {
           Case{Kernel::kConv2D, 1, 1, 1, 1, 1, 0, false, true},
           Case{Kernel::kConv2D, 0, 1, 0, 1, 2, 0, true, true},
           Case{Kernel::kConv2D, 5, 0, 4, 7, 2, 0, false, true},
           Case{Kernel::kConv2D, 1, 1, 1, 1, 1, 0.5f, false, false},
           Case{Kernel::kDepthwise, 0, 1, 0, 1, 2, 0, false, true},
           Case{Kernel::kDepthwise, 2, 3, 4, 0, 1, 0, true, true},
           Case{Kernel::kMaxPool, 1, 1, 1, 1, 2, 0, true, true},
           Case{Kernel::kMaxPool, 5, 0, 4, 7, 1, 0, true, true},
           Case{Kernel::kMaxPool, 1, 1, 1, 1, 2, 0, false, false},
           Case{Kernel::kMaxPool, 1, 1, 1, 1, 2, -1, true, false},
       }) {
    const auto write = [&](PlanRun& run, bool between, Value& x, Value& w, Value& y) {
      Graph& g = run.graph;
      const int64_t h = 8 + c.top + c.bottom, wide = 7 + c.left + c.right;
      x = run.Feed(Random({2, 8, 7, 6}, 1), true);
      Value v = x;
      if (c.relu) v = g.Unary(v, {static_cast<uint16_t>(Formula::kRelu), {0, -1, 0}}, true);
      const int64_t before[] = {0, c.top, c.left, 0};
      v = g.Pad(v, before, {2, h, wide, 6}, c.fill);
      if (between) v = g.Unary(v, {static_cast<uint16_t>(Formula::kAffine), {1, 0, 0}}, false);
      const Shape out{2, (h - 3) / c.stride + 1, (wide - 3) / c.stride + 1, 6};
      const ConvAttrs attrs{
          .stride_h = c.stride, .stride_w = c.stride, .groups = c.kernel == Kernel::kDepthwise ? 6 : 1};
      if (c.kernel == Kernel::kMaxPool) {
        y = g.MaxPool(v, {3, 3, c.stride, c.stride, 0, 0}, out);
      } else {
        w = run.Feed(Random(c.kernel == Kernel::kConv2D ? Shape{3, 3, 6, 6} : Shape{3, 3, 6, 1}, 2), true);
        y = c.kernel == Kernel::kConv2D ? g.Conv2D(v, w, {}, attrs, out) : g.Depthwise(v, w, {}, attrs, out);
      }
      g.Keep(y);
      g.SeedGrad(y, run.Feed(Random(out, 3)));
      g.Backward();
      g.Keep(g.GradOf(x));
      if (w) g.Keep(g.GradOf(w));
      run.Finish();
      run.Execute();
    };
    PlanRun folded, plain;
    Value x[2], w[2], y[2];
    write(folded, false, x[0], w[0], y[0]);
    write(plain, true, x[1], w[1], y[1]);
    bool padded = false;
    for (const Step& step : folded.plan->steps())
      padded |= step.kernel == Kernel::kFill && step.phase == Phase::kForward;
    EXPECT_NE(padded, c.folded) << folded.plan->Describe();
    const auto compare = [](const std::vector<float>& got, const std::vector<float>& want) {
      ASSERT_EQ(got.size(), want.size());
      for (size_t i = 0; i < want.size(); ++i) ASSERT_NEAR(got[i], want[i], 1e-5) << i;
    };
    compare(folded.Read(y[0]), plain.Read(y[1]));
    compare(folded.Read(folded.graph.GradOf(x[0])), plain.Read(plain.graph.GradOf(x[1])));
    if (w[0]) compare(folded.Read(folded.graph.GradOf(w[0])), plain.Read(plain.graph.GradOf(w[1])));
  }
}

TEST(Epilogue, GoldenModelsPredictTheSame) {
  int normalized = 0, added = 0;
  for (const char* group : {"layers", "models"}) {
    const Golden golden(group);
    for (const Json& j : golden.cases()) {
      if (!golden.has(j, "predict0")) continue;
      SCOPED_TRACE(j["name"].get<std::string>());
      const auto predict = [&](std::string* plan) {
        Model model(NetworkFromConfig(j["config"]), {.seed = 1});
        model.set_weights(golden.list(j, "w"));
        const Arrays x = golden.list(j, "x");
        const Arrays y = model.predict_on_batch(x);
        const Shape& in = model.inputs()[0].shape();
        const bool known = std::count(in.begin() + 1, in.end(), kNone) == 0;
        if (plan && known) *plan = model.plan(static_cast<int>(x[0].rows()), false);
        return y;
      };
      std::string plan;
      const Arrays got = predict(&plan);
      const WithoutFusion off;
      const Arrays want = predict(nullptr);
      for (size_t i = 0; i < got.size(); ++i) {
        const Difference d = Compare(got[i], want[i]);
        EXPECT_TRUE(d.ok) << d.text;
      }
      normalized += plan.find(" + batchnorm") != std::string::npos;
      added += plan.find(" + add") != std::string::npos;
    }
  }
  EXPECT_GE(normalized, 3);
  EXPECT_GE(added, 1);
}

}  // namespace
}  // namespace ingot
