// SPDX-License-Identifier: MIT
//
// Every metric against Keras (tests/golden/metrics.safetensors), batch by batch; names, configurations, errors.
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "ingot/tests/fixture.h"
#include "ingot/train/metrics.h"
#include "ingot/train/plan_run.h"

namespace ingot {
namespace {

const testing::Golden& Cases() {
  static const testing::Golden golden("metrics");
  return golden;
}

struct Updates {
  PlanRun run;
  Value truth, pred, weight, state;
  Metric metric;

  Updates(const Metric& m, const Array& t, const Array& p, const Array& w) : metric(m) {
    const TensorSpec spec = metric.def().target({p.shape()}, {t.shape(), t.dtype()});
    truth = run.Feed(t, spec);
    pred = run.Feed(p);
    if (!w.empty()) weight = run.Feed(w);
    state = run.graph.State(2 * metric.def().state_doubles({p.shape()}));
    metric.def().update(run.graph, truth, pred, weight, state);
    run.Finish();
  }
  std::vector<double> Add(const Array& t, const Array& p, const Array& w) {
    run.fed[0].second = t;
    run.fed[1].second = p;
    if (weight) run.fed[2].second = w;
    run.Execute();
    return metric.def().result(run.ReadState(state));
  }
};

TEST(Metric, AgreesWithKeras) {
  std::set<std::string> classes;
  for (const Json& c : Cases().cases()) {
    const std::string name = c["name"];
    SCOPED_TRACE(name);
    classes.insert(c["config"]["class_name"].get<std::string>());
    const auto tensor = [&](const std::string& key, int batch) {
      const std::string full = key + std::to_string(batch);
      return Cases().has(c, full) ? Cases().at(c, full) : Array();
    };
    // Keras does not save the axis.
    const Metric metric =
        name == "CosineSimilarity_axis0" ? CosineSimilarity({.axis = 0}) : MetricFromConfig(c["config"]);
    Updates updates(metric, tensor("y_true", 0), tensor("y_pred", 0), tensor("sw", 0));
    for (int b = 0; !tensor("y_true", b).empty(); ++b) {
      const auto got = updates.Add(tensor("y_true", b), tensor("y_pred", b), tensor("sw", b));
      const Array result = tensor("result", b);
      const auto want = result.as<float>();
      ASSERT_EQ(got.size(), want.size());
      for (size_t i = 0; i < got.size(); ++i)
        EXPECT_NEAR(got[i], static_cast<double>(want[i]), 1e-6 + 1e-5 * std::fabs(static_cast<double>(want[i])))
            << "batch " << b << ", value " << i;
    }
  }
  for (const MetricClass& c : AllMetrics())
    EXPECT_TRUE(classes.count(c.class_name)) << c.class_name << " has no golden case";
}

TEST(Metric, ConfigIsWrittenAsKerasDoes) {
  for (const Json& c : Cases().cases()) {
    const Json written = ToConfig(MetricFromConfig(c["config"]));
    EXPECT_EQ(written, c["config"]) << c["name"];
  }
  for (const char* name : {"accuracy", "acc", "mse", "AUC", "auc", "f_beta_score", "huber"}) {
    EXPECT_EQ(ToConfig(Metric(name)), Json(name));
    EXPECT_EQ(Metric(name).name(), name);
  }
  EXPECT_EQ(MetricFromConfig(ToConfig(Metric(Huber({.delta = 2})))).name(), "huber_loss");
  EXPECT_THROW(Metric("no_such_metric"), Error);
  EXPECT_THROW(MetricFromConfig({{"class_name", "AUC"}, {"config", {{"curve", "ABC"}}}}), Error);
  EXPECT_THROW(AUC({.num_thresholds = 1}), Error);
  EXPECT_THROW(Precision({.thresholds = {1.5f}}), Error);
}

TEST(Metric, AccuracyIsResolvedByShapes) {
  const auto of = [](const TensorSpec& pred, const TensorSpec& truth) {
    const Metric metric = Metric("acc").resolve(pred, truth);
    EXPECT_EQ(metric.name(), "acc");
    EXPECT_EQ(ToConfig(metric), Json("acc"));
    return metric.def().class_name();
  };
  EXPECT_EQ(of({{kNone, 1}}, {{kNone}}), "BinaryAccuracy");
  EXPECT_EQ(of({{kNone, 4}}, {{kNone}}), "SparseCategoricalAccuracy");
  EXPECT_EQ(of({{kNone, 4}}, {{kNone, 1}}), "SparseCategoricalAccuracy");
  EXPECT_EQ(of({{kNone, 4}}, {{kNone, 4}}), "CategoricalAccuracy");
}

TEST(Metric, SaysWhatIsWrongWithTargets) {
  EXPECT_THROW(SparseCategoricalAccuracy().def().target({{kNone, 4}}, {{kNone, 4}}), Error);
  EXPECT_THROW(CategoricalAccuracy().def().target({{kNone, 4}}, {{kNone}}), Error);
  EXPECT_THROW(AUC().def().target({{kNone, 4}}, {{kNone, 3}}), Error);
  EXPECT_THROW(Precision({.class_id = 4}).def().target({{kNone, 4}}, {{kNone, 4}}), Error);
}

struct LargestError : HostMetric {
  std::string class_name() const override { return "LargestError"; }
  int64_t state_doubles(const TensorSpec&) const override { return 1; }
  using HostMetric::update;
  void update(const Batch& batch, std::span<double> state) const override {
    for (size_t i = 0; i < batch.truth.size(); ++i)
      state[0] = std::max(state[0], std::fabs(static_cast<double>(batch.truth[i] - batch.pred[i])));
  }
  std::vector<double> result(std::span<const double> state) const override { return {state[0]}; }
};

TEST(Metric, OfOnesOwn) {
  const Array truth({2, 2}, std::vector<float>{1, 2, 3, 4}), pred({2, 2}, std::vector<float>{1, 5, 3, 3});
  EXPECT_EQ(Updates(MakeMetric<LargestError>(), truth, pred, {}).Add(truth, pred, {}), std::vector<double>{3});
  const Metric bias("bias", [](Graph& g, Value t, Value p) {
    const int axis[] = {1};
    return g.Reduce(ReduceOp::kMean, g.Subtract(p, t), axis, false);
  });
  EXPECT_EQ(Updates(bias, truth, pred, {}).Add(truth, pred, {}), std::vector<double>{0.5});
  CustomObjects custom;
  custom.add<MetricFactory>("LargestError", [] { return std::make_shared<LargestError>(); });
  EXPECT_EQ(MetricFromConfig(ToConfig(MakeMetric<LargestError>()), &custom).def().class_name(), "LargestError");
}

}  // namespace
}  // namespace ingot
