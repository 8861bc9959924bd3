// SPDX-License-Identifier: MIT
//
// What programs define for themselves, where it goes wrong or might: names that a file needs and nobody registered;
// targets of one axis less than the output. That each kind of object works is shown by examples/.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "ingot/ingot.h"

namespace ingot {
namespace {

struct OwnLayer : UnaryLayer {
  std::string class_name() const override { return "OwnLayer"; }
  Shape build(const Shape& in) override { return in; }
  Value call(Graph& g, Value x) override { return g.Add(x, x); }
};

// The mean squared error, written as a stranger would.
Value Squares(Graph& g, Value truth, Value pred) {
  const Value d = g.Subtract(g.Cast(truth), pred);
  return g.Reduce(ReduceOp::kMean, g.Multiply(d, d), std::array{-1}, false);
}

struct OwnLoss : LossDef {
  std::string class_name() const override { return "OwnLoss"; }
  Value call(Graph& g, Value truth, Value pred) const override { return Squares(g, truth, pred); }
};

struct OwnMetric : HostMetric {
  OwnMetric() { name = "own_metric"; }
  std::string class_name() const override { return "OwnMetric"; }
  void update(const Batch& batch, std::span<double> state) const override {
    state[0] += static_cast<double>(batch.pred.size());
  }
  std::vector<double> result(std::span<const double> state) const override { return {state[0]}; }
};

struct OwnOptimizer : OptimizerDef {
  std::string class_name() const override { return "OwnOptimizer"; }
  bool custom() const override { return true; }
};

struct OwnSchedule : ScheduleDef {
  std::string class_name() const override { return "OwnSchedule"; }
  double at(int64_t) const override { return 0.1; }
};

Activation OwnActivation() {
  return {"own_activation", [](Graph& g, Value x) { return g.Add(x, x); }};
}

Dataset Line() {
  return Dataset::from_arrays(Array({4, 1}, std::vector<float>{0, 1, 2, 3}),
                              Array({4, 1}, std::vector<float>{0, -5, 9, 4}));
}

Model Trained(const Layer& layer, const CompileOptions& options) {
  Model model = Sequential({Input({1}), Dense(1), layer}, {.seed = 1});
  model.compile(options);
  model.fit(Line());
  return model;
}

struct Case {
  const char* what;
  Layer layer;
  CompileOptions options;
  std::string name;
};

std::vector<Case> Cases() {
  return {
      {"layer", MakeLayer<OwnLayer>("twice"), {.loss = "mse"}, "OwnLayer"},
      {"activation", Dense(1, {.activation = OwnActivation()}), {.loss = "mse"}, "own_activation"},
      {"loss", Dense(1), {.loss = MakeLoss<OwnLoss>()}, "OwnLoss"},
      {"loss function", Dense(1), {.loss = Loss("own_loss", Squares)}, "own_loss"},
      {"metric", Dense(1), {.loss = "mse", .metrics = {MakeMetric<OwnMetric>()}}, "OwnMetric"},
      {"metric function", Dense(1), {.loss = "mse", .metrics = {Metric("own_mean", Squares)}}, "own_mean"},
      {"loss as metric", Dense(1), {.loss = "mse", .metrics = {MakeLoss<OwnLoss>()}}, "OwnLoss"},
      {"optimizer",
       Dense(1),
       {.optimizer = Optimizer(std::make_shared<OwnOptimizer>()), .loss = "mse"},
       "OwnOptimizer"},
      {"schedule",
       Dense(1),
       {.optimizer = SGD({.learning_rate = Schedule(new OwnSchedule)}), .loss = "mse"},
       "OwnSchedule"},
  };
}

CustomObjects All() {
  CustomObjects custom;
  custom.add<LayerFactory>("OwnLayer", [] { return std::make_shared<OwnLayer>(); })
      .add("own_activation", OwnActivation())
      .add<LossFactory>("OwnLoss", [] { return std::make_shared<OwnLoss>(); })
      .add("own_loss", Loss("own_loss", Squares))
      .add<MetricFactory>("OwnMetric", [] { return std::make_shared<OwnMetric>(); })
      .add("own_mean", Metric("own_mean", Squares))
      .add<OptimizerFactory>("OwnOptimizer", [] { return std::make_shared<OwnOptimizer>(); })
      .add<ScheduleFactory>("OwnSchedule", [] { return Schedule(new OwnSchedule); });
  return custom;
}

std::string TempPath() { return ::testing::TempDir() + "custom_objects_" + std::to_string(getpid()) + ".ingot"; }

TEST(CustomObjects, WhatIsNotRegisteredIsNamedWithFileAndRemedy) {
  const std::string path = TempPath();
  for (const Case& c : Cases()) {
    Trained(c.layer, c.options).save(path);
    try {
      load_model(path);
      ADD_FAILURE() << c.what << ": was loaded without being registered";
    } catch (const Error& e) {
      const std::string message = e.what();
      for (const std::string& part : {path, "'" + c.name + "'"})
        EXPECT_NE(message.find(part), std::string::npos) << c.what << ": " << message;
      EXPECT_TRUE(message.find("ustom objects") != std::string::npos ||
                  message.find("CustomObjects") != std::string::npos)
          << c.what << ": " << message;
    }
  }
  std::remove(path.c_str());
}

TEST(CustomObjects, WhatIsRegisteredIsLoadedAndGoesOn) {
  const std::string path = TempPath();
  const CustomObjects custom = All();
  for (const Case& c : Cases()) {
    Model model = Trained(c.layer, c.options);
    model.save(path);
    Model again = load_model(path, {.custom_objects = custom});
    const Logs want = model.evaluate(Line()), got = again.evaluate(Line());
    EXPECT_EQ(std::vector(got), std::vector(want)) << c.what;
    model.fit(Line());
    again.fit(Line());
    EXPECT_EQ(model.predict(Line().x[0]), again.predict(Line().x[0])) << c.what;
  }
  std::remove(path.c_str());
}

// As Keras does for its own: targets (N) are compared with outputs (N, 1) row by row, not all with all.
TEST(CustomObjects, TargetsHaveTheRankOfTheOutput) {
  Dataset flat = Line();
  flat.y[0] = flat.y[0].reshape({4});
  for (const Loss& loss : {MakeLoss<OwnLoss>(), Loss("own_loss", Squares)}) {
    Model model = Sequential({Input({1}), Dense(1)}, {.seed = 1});
    model.compile({.loss = loss, .metrics = {"mse", Metric("own_mean", Squares), loss}});
    for (const Dataset& data : {Line(), flat})
      for (const auto& [name, value] : model.evaluate(data))
        EXPECT_NEAR(value, model.evaluate(Line())["mse"], 1e-5) << name << " of " << loss.def().class_name();
  }
}

}  // namespace
}  // namespace ingot
