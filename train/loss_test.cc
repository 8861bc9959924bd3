// SPDX-License-Identifier: MIT
//
// Every loss against Keras (tests/golden/losses.safetensors) and against finite differences; names, configurations,
// errors, and the loss that goes on from logits.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "ingot/layers/activations.h"
#include "ingot/tests/fixture.h"
#include "ingot/train/losses.h"
#include "ingot/train/plan_run.h"

namespace ingot {
namespace {

const testing::Golden& Cases() {
  static const testing::Golden golden("losses");
  return golden;
}

// Options that Keras does not save.
Loss LossOf(const Json& c) {
  const std::string name = c["name"];
  if (name == "Huber_delta") return Huber({.delta = 0.3f});
  if (name == "Huber_delta3") return Huber({.delta = 3});
  if (name == "CosineSimilarity_axis1") return CosineSimilarity({.axis = 1});
  return LossFromConfig(c["config"]);
}

void ExpectClose(std::span<const float> got, std::span<const float> want, const std::string& what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  float largest = 0;
  for (const float w : want) largest = std::max(largest, std::fabs(w));
  for (size_t i = 0; i < got.size(); ++i) {
    const float bound = 1e-6f + 1e-5f * std::max(std::fabs(want[i]), 0.1f * largest);
    EXPECT_NEAR(got[i], want[i], bound) << what << " at " << i;
  }
}

struct Outcome {
  std::vector<float> value, grad;
};

// The value and the gradient by the output; with reduction "none" losses of samples, and the gradient of their sum.
Outcome Compute(const Loss& loss, const Array& truth, const Array& pred, const Array& weight,
                ThreadPool* pool = nullptr) {
  PlanRun run;
  Graph& g = run.graph;
  const TensorSpec spec = loss.def().target({pred.shape()}, {truth.shape(), truth.dtype()});
  const Value t = run.Feed(truth, spec), p = run.Feed(pred, true);
  const Value w = weight.empty() ? Value{} : run.Feed(weight);
  Value value;
  if (loss.def().reduction == "none") {
    value = loss.def().call(g, t, p);
    if (w) value = g.Multiply(value, g.Reshape(w, g.shape(value)));
    std::vector<float> ones(static_cast<size_t>(g.shape(value).count()), 1.0f);
    g.SeedGrad(value, g.Constant(g.shape(value), ones));
    g.Keep(value);
  } else {
    value = AddLoss(g, loss.def(), t, p, w, 1, g.StatePart(g.State(1), 0, {}));
    g.SeedGrad(value, g.Scalar(1));
  }
  g.Backward();
  const Value grad = g.GradOf(p);
  g.Keep(grad);
  run.Finish();
  run.Execute(pool);
  return {run.Read(value), run.Read(grad)};
}

TEST(Loss, AgreesWithKeras) {
  std::set<std::string> classes;
  for (const Json& c : Cases().cases()) {
    const std::string name = c["name"];
    SCOPED_TRACE(name);
    classes.insert(c["config"]["class_name"].get<std::string>());
    const Array weight = Cases().has(c, "sample_weight") ? Cases().at(c, "sample_weight") : Array();
    const Outcome got = Compute(LossOf(c), Cases().at(c, "y_true"), Cases().at(c, "y_pred"), weight);
    ExpectClose(got.value, Cases().at(c, "value").floats(), "value");
    ExpectClose(got.grad, Cases().at(c, "grad").floats(), "gradient");
  }
  for (const LossClass& c : AllLosses())
    EXPECT_TRUE(classes.count(c.class_name)) << c.class_name << " has no golden case";
}

TEST(Loss, GradientsAgreeWithFiniteDifferences) {
  constexpr float kStep = 1e-2f;
  for (const LossClass& c : AllLosses()) {
    SCOPED_TRACE(c.class_name);
    const bool sparse = std::string(c.class_name) == "SparseCategoricalCrossentropy";
    const int64_t rows = 4, n = 3;
    Array pred({rows, n}), truth = sparse ? Array({rows}, std::vector<int32_t>{2, 0, 1, 1}) : Array({rows, n});
    for (int64_t i = 0; i < rows * n; ++i) {
      pred.floats()[static_cast<size_t>(i)] = 0.15f + 0.7f * static_cast<float>(i * 7 % 12) / 12;
      if (!sparse) truth.floats()[static_cast<size_t>(i)] = 0.2f + 0.6f * static_cast<float>(i * 5 % 12) / 12;
    }
    Array weight({rows}, std::vector<float>{1, 0.5f, 2, 0});
    const Outcome at = Compute(c.make(), truth, pred, weight);
    for (int64_t i = 0; i < rows * n; ++i) {
      Array up = pred.copy(), down = pred.copy();
      up.floats()[static_cast<size_t>(i)] += kStep;
      down.floats()[static_cast<size_t>(i)] -= kStep;
      const float difference =
          Compute(c.make(), truth, up, weight).value[0] - Compute(c.make(), truth, down, weight).value[0];
      const float slope = difference / (up.floats()[static_cast<size_t>(i)] - down.floats()[static_cast<size_t>(i)]);
      EXPECT_NEAR(at.grad[static_cast<size_t>(i)], slope, 2e-3f + 2e-2f * std::fabs(slope)) << "at " << i;
    }
  }
}

TEST(Loss, ConfigIsWrittenAsKerasDoes) {
  for (const Json& c : Cases().cases()) {
    Json written = ToConfig(LossFromConfig(c["config"]));
    EXPECT_EQ(written, c["config"]) << c["name"];
    EXPECT_EQ(written["config"].dump(), Json(c["config"]["config"]).dump()) << "the order of keys, " << c["name"];
  }
  for (const char* name : {"mse", "MSE", "huber", "Huber", "sparse_categorical_crossentropy", "crossentropy"}) {
    EXPECT_EQ(ToConfig(Loss(name)), Json(name));
    EXPECT_EQ(
        LossFromConfig(
            {{"module", "builtins"}, {"class_name", "function"}, {"config", name}, {"registered_name", "function"}})
            .name(),
        Loss(name).name());
  }
  EXPECT_EQ(Loss("mse").name(), "mse");
  EXPECT_EQ(Loss("MeanSquaredError").name(), "mean_squared_error");
  // What Keras forgets is written where it is not the default.
  EXPECT_EQ(ToConfig(LossFromConfig(ToConfig(Huber({.delta = 0.7f}))))["config"]["delta"], Json(0.7));
  EXPECT_THROW(LossFromConfig({{"class_name", "Huber"}, {"config", {{"delat", 1}}}}), Error);
  EXPECT_THROW(LossFromConfig({{"class_name", "Huber"}, {"config", {{"reduction", "most"}}}}), Error);
  EXPECT_THROW(Loss("no_such_loss"), Error);
}

TEST(Loss, CrossentropyIsResolvedByShapes) {
  const Loss any = "crossentropy";
  EXPECT_EQ(any.resolve({{kNone, 1}}, {{kNone, 1}}).def().class_name(), "BinaryCrossentropy");
  EXPECT_EQ(any.resolve({{kNone, 5}}, {{kNone}}).def().class_name(), "SparseCategoricalCrossentropy");
  EXPECT_EQ(any.resolve({{kNone, 5}}, {{kNone, 1}}).def().class_name(), "SparseCategoricalCrossentropy");
  EXPECT_EQ(any.resolve({{kNone, 5}}, {{kNone, 5}}).def().class_name(), "CategoricalCrossentropy");
}

template <class F>
std::string ErrorOf(F&& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(Loss, SaysWhatIsWrongWithTargets) {
  const TensorSpec pred{{kNone, 10}}, labels{{kNone}, DType::kInt32}, one_hot{{kNone, 10}};
  const auto text = [&](const Loss& loss, const TensorSpec& truth) {
    return ErrorOf([&] { loss.def().target(pred, truth); });
  };
  EXPECT_EQ(text("sparse_categorical_crossentropy", labels), "");
  EXPECT_NE(text("sparse_categorical_crossentropy", one_hot).find("use categorical_crossentropy"), std::string::npos);
  EXPECT_NE(text("categorical_crossentropy", labels).find("use sparse_categorical_crossentropy"), std::string::npos);
  EXPECT_NE(text("mse", {{kNone, 7}}).find("targets have shape (None, 7), the output has shape (None, 10)"),
            std::string::npos);
  const auto bad = [&](const Array& truth) {
    return ErrorOf([&] { Loss("sparse_categorical_crossentropy").def().check_labels(truth, pred); });
  };
  EXPECT_EQ(bad(Array({3}, std::vector<int32_t>{0, 9, 5})), "");
  EXPECT_NE(bad(Array({3}, std::vector<int32_t>{0, 10, 5})).find("label 10 at position 1"), std::string::npos);
  EXPECT_NE(bad(Array({3}, std::vector<float>{0, 1, -1})).find("label -1 at position 2"), std::string::npos);
}

TEST(Loss, LabelsOutOfRangeGiveNaN) {
  const Array pred({2, 2}, std::vector<float>{0.5f, 0.5f, 0.5f, 0.5f});
  for (const bool from_logits : {false, true}) {
    const Outcome got = Compute(SparseCategoricalCrossentropy({.from_logits = from_logits}),
                                Array({2}, std::vector<int32_t>{1000000, 1}), pred, {});
    EXPECT_TRUE(std::isnan(got.value[0]));
    EXPECT_TRUE(std::isnan(got.grad[0]));
    EXPECT_FALSE(std::isnan(got.grad[2]));
  }
}

// Behind a softmax or a sigmoid the logits are used: no clipping at large ones.
TEST(Loss, GoesOnFromLogits) {
  const Array logits({2, 2}, std::vector<float>{60, -60, 1, 2});
  const auto run = [&](const Loss& loss, const Array& truth, bool softmax) {
    PlanRun plan;
    Graph& g = plan.graph;
    const Value x = plan.Feed(logits, true), t = plan.Feed(truth);
    const Value p = softmax ? g.Softmax(x, 1) : Apply(g, Formula::kSigmoid, x);
    const Value into = AddLoss(g, loss.def(), t, p, {}, 2, g.StatePart(g.State(1), 0, {}));
    g.SeedGrad(into, g.Scalar(1));
    g.Backward();
    const Value grad = g.GradOf(x);
    g.Keep(grad);
    plan.Finish();
    plan.Execute();
    return Outcome{plan.Read(into), plan.Read(grad)};
  };
  const Array labels({2}, std::vector<int32_t>{1, 1}), bits({2, 2}, std::vector<float>{0, 1, 1, 1});
  const float second = std::log(1 + std::exp(-1.0f));
  const Outcome sparse = run("sparse_categorical_crossentropy", labels, true);
  EXPECT_FLOAT_EQ(sparse.value[0], 120 + second);
  EXPECT_FLOAT_EQ(sparse.grad[0], 1);
  EXPECT_FLOAT_EQ(sparse.grad[1], -1);
  const Outcome categorical = run("categorical_crossentropy", Array({2, 2}, std::vector<float>{0, 1, 0, 1}), true);
  EXPECT_FLOAT_EQ(categorical.value[0], 120 + second);
  const Outcome binary = run("binary_crossentropy", bits, false);
  EXPECT_NEAR(binary.value[0], 60 + (std::log1p(std::exp(-1.0f)) + std::log1p(std::exp(-2.0f))) / 2, 1e-4f);
  EXPECT_FLOAT_EQ(binary.grad[0], 0.5f);
}

TEST(Loss, OfOnesOwn) {
  const Loss cubic("cubic", [](Graph& g, Value truth, Value pred) {
    const Value d = g.Subtract(pred, truth);
    const int axis[] = {1};
    return g.Reduce(ReduceOp::kMean, g.Multiply(g.Multiply(d, d), d), axis, false);
  });
  const Outcome got =
      Compute(cubic, Array({1, 2}, std::vector<float>{0, 1}), Array({1, 2}, std::vector<float>{2, 4}), {});
  EXPECT_FLOAT_EQ(got.value[0], (8 + 27) / 2.0f);
  EXPECT_FLOAT_EQ(got.grad[1], 3 * 9 / 2.0f);
  CustomObjects custom;
  custom.add<Loss>("cubic", cubic);
  EXPECT_EQ(LossFromConfig(ToConfig(cubic), &custom).name(), "cubic");
  EXPECT_THROW(LossFromConfig(ToConfig(cubic)), Error);
}

TEST(Loss, PenaltyOfAnActivation) {
  for (const int64_t n : {5, 40000}) {
    Array w({n});
    double l1 = 0, l2 = 0;
    for (int64_t i = 0; i < n; ++i) {
      const float v = i % 7 ? 0.01f * static_cast<float>(i % 13 - 6) : 0.0f;
      w.floats()[static_cast<size_t>(i)] = v;
      l1 += std::fabs(static_cast<double>(v));
      l2 += static_cast<double>(v) * static_cast<double>(v);
    }
    PlanRun run;
    const Value x = run.Feed(w, true);
    const Value into = run.graph.PenaltyOf(x, {0.5f, 0.25f, 2}, run.graph.StatePart(run.graph.State(1), 0, {}));
    run.graph.SeedGrad(into, run.graph.Scalar(3));
    run.graph.Backward();
    const Value grad = run.graph.GradOf(x);
    run.graph.Keep(grad);
    run.Finish();
    run.Execute();
    EXPECT_NEAR(run.Read(into)[0], 2 * (0.5 * l1 + 0.25 * l2), 1e-6 * (1 + l1));
    const auto got = run.Read(grad);
    for (size_t i = 0; i < got.size(); ++i) {
      const float v = w.floats()[i], sign = v > 0 ? 1.0f : v < 0 ? -1.0f : 0.0f;
      ASSERT_FLOAT_EQ(got[i], 3 * 2 * (0.5f * sign + 2 * 0.25f * v)) << i;
    }
  }
}

TEST(Loss, SameBitsOnAnyNumberOfThreads) {
  const int64_t rows = 700, n = 90;
  Array truth({rows, n}), pred({rows, n}), weight({rows});
  for (int64_t i = 0; i < rows * n; ++i) {
    pred.floats()[static_cast<size_t>(i)] = 0.5f + 0.4f * std::sin(static_cast<float>(i));
    truth.floats()[static_cast<size_t>(i)] = 0.5f + 0.5f * std::cos(static_cast<float>(i));
  }
  for (int64_t i = 0; i < rows; ++i) weight.floats()[static_cast<size_t>(i)] = static_cast<float>(i % 5);
  ThreadPool one(1), three(3);
  for (const Loss& loss : {Loss("mse"), Loss("binary_crossentropy"), Loss("categorical_crossentropy")}) {
    const Outcome a = Compute(loss, truth, pred, weight, &one), b = Compute(loss, truth, pred, weight, &three);
    EXPECT_EQ(a.value, b.value) << loss.name();
    EXPECT_EQ(a.grad, b.grad) << loss.name();
  }
}

}  // namespace
}  // namespace ingot
