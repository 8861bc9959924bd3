// SPDX-License-Identifier: MIT
//
// The rules by figures that are given, each where it must speak and where it must be silent; then all of it on models
// that are made to wait, by sleeps far longer than anything else takes.
#include "ingot/train/explain.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <fstream>
#include <functional>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <thread>

#include "ingot/ingot.h"
#include "ingot/tests/folder.h"
#include "ingot/train/explain_rules.h"
#include "ingot/train/trainer.h"

namespace ingot {
namespace {

using std::chrono::milliseconds;
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

void ExpectText(const std::optional<Finding>& found, const std::string& part) {
  ASSERT_TRUE(found);
  EXPECT_NE(found->text.find(part), std::string::npos) << found->text;
}

TEST(ExplainRules, MapOnTheTrainingThread) {
  // 0.6 s of making, 0.35 s of steps: two threads hide it.
  const DataFigures f{1.0, 0.6, 0.35, 0, 0, true, 4};
  ExpectText(WaitsForData(f), "60 % of the epoch waits for data (600 ms of 1 s): map runs on one thread");
  ExpectText(WaitsForData(f), "add .threads = 2 to map and .prefetch(2), and an epoch takes about 400 ms");
  EXPECT_DOUBLE_EQ((*WaitsForData(f))["percent"], 60);
}
TEST(ExplainRules, BatchesMadeWithoutMap) {
  ExpectText(WaitsForData({1.0, 0.3, 0.65, 0, 0, false, 4}), "makes the batches itself; add .prefetch(2)");
}
TEST(ExplainRules, TooFewThreads) {
  ExpectText(WaitsForData({1.0, 0.6, 0.35, 1, 0.95, true, 4}), "map runs on 1 thread; with .threads = 3");
}
TEST(ExplainRules, ThreadsThatAreIdle) {
  ExpectText(WaitsForData({1.0, 0.6, 0.35, 2, 0.8, true, 4}), "at work for 40 % of the time only");
}
TEST(ExplainRules, MoreWorkThanCores) { ExpectText(WaitsForData({1.0, 0.8, 0.15, 2, 1.9, true, 2}), ".cache()"); }
TEST(ExplainRules, DataThatIsThere) {
  EXPECT_FALSE(WaitsForData({1.0, 0.05, 0.9, 0, 0, true, 4}));
  EXPECT_FALSE(WaitsForData({1.0, 0.0, 0.9, 2, 1.5, true, 4}));
}

TEST(ExplainRules, SmallBatch) {
  // 32: 1 ms, 100 steps; 256: 2.76 ms, 13 steps of it.
  const BatchFigures f{3200, {{32, 1.0}, {64, 1.3}, {128, 1.9}, {256, 2.76}, {512, 5.4}}, 0.29e9, 1000};
  const auto found = BatchTooSmall(f);
  ExpectText(found, "batch 32 leaves 71 % of the arithmetic idle (290 of 1000 GFLOP/s): 256 would be 2.8 times faster");
  EXPECT_EQ((*found)["better_batch"], 256);
}
TEST(ExplainRules, BatchThatIsLargeEnough) {
  EXPECT_FALSE(BatchTooSmall({3200, {{32, 1.0}, {64, 1.9}, {128, 3.8}}, 0.29e9, 1000}));
  EXPECT_FALSE(BatchTooSmall({3200, {{32, 1.0}}, 1e6, 1000}));
  EXPECT_FALSE(BatchTooSmall({3200, {{32, 1.0}, {64, 2.5}}, 1e6, 1000}));
}

TEST(ExplainRules, Cores) {
  ExpectText(CoresIdle({1, 8, 3.0, 0.6}), "1 thread of 8 cores: on all of them a step takes 600 us, not 3 ms");
  EXPECT_FALSE(CoresIdle({1, 8, 3.0, 2.9}));
  EXPECT_FALSE(CoresIdle({8, 8, 3.0, 1.0}));
}

TEST(ExplainRules, Callbacks) {
  ExpectText(CallbackCosts({"TensorBoard", "on_epoch_end", 2.0, 0.36, 0.34, 1, 0.3, false}),
             "TensorBoard histograms take 18 % of an epoch that writes them (360 ms, 340 ms of it in 1 call of "
             "on_epoch_end): a "
             "larger histogram_freq");
  ExpectText(CallbackCosts({"ModelCheckpoint", "on_epoch_end", 2.0, 1.0, 1.0, 1, 0, true}), ".background = true");
  ExpectText(
      CallbackCosts({"Mine", "on_train_batch_end", 2.0, 1.0, 0.9, 100, 0, false}),
      "Mine takes 50 % of the epoch (1 s, 900 ms of it in 100 calls of on_train_batch_end): training stands still");
  EXPECT_FALSE(CallbackCosts({"Mine", "on_epoch_end", 2.0, 0.05, 0.05, 1, 0, false}));
}

TEST(ExplainRules, Validation) {
  ExpectText(ValidationCosts({2.0, 1.0}), "validation takes 50 % of the epoch (1 s of 2 s)");
  EXPECT_FALSE(ValidationCosts({2.0, 0.3}));
}

TEST(ExplainRules, Scale) {
  ExpectText(NotNormalized({"x[0]", 0.05, 512, 7, 3, 100, 200, 0.9, 0.3}),
             "features of x[0] differ in scale by 10^4 (deviation 512 of feature 3, 0.05 of feature 7): normalize");
  ExpectText(
      NotNormalized({"x[0]", 280, 300, 0, 1, 577, 200, 0.9, 0.3}),
      "are of magnitude 577, not 1: normalize (Normalization, or fit a scaler); 200 steps on the same rows end at a "
      "loss of 0.9 as they are, 0.3 normalized");
  ExpectText(NotNormalized({"x[0]", 280, 300, 0, 1, 577, 200, kNaN, 0.3}), "nan as they are");
  EXPECT_FALSE(NotNormalized({"x[0]", 0.9, 1.1, 0, 1, 1, 200, 0.9, 0.3}));      // as it should be
  EXPECT_FALSE(NotNormalized({"x[0]", 0.05, 512, 7, 3, 100, 200, 0.9, 0.89}));  // the model does not mind
  EXPECT_FALSE(NotNormalized({"x[0]", 0.05, 512, 7, 3, 100, 200, kNaN, kNaN}));
}

TEST(ExplainRules, Constant) {
  ExpectText(ConstantFeatures({"x[0]", 6, 10, 100}), "6 of 10 features of x[0] are the same in all 100 rows");
  EXPECT_FALSE(ConstantFeatures({"x[0]", 1, 10, 100}));
  EXPECT_FALSE(ConstantFeatures({"x[0]", 10, 10, 1}));
}

TEST(ExplainRules, Finite) {
  ExpectText(NotFinite({"x[0]", 12, 17, 1000}), "x[0] holds 12 values that are not finite, the first in row 17");
  EXPECT_FALSE(NotFinite({"x[0]", 0, 0, 1000}));
}

TEST(ExplainRules, Labels) {
  ExpectText(OneClass({3, 500, 1}), "all 500 labels looked at are 3");
  EXPECT_FALSE(OneClass({3, 500, 2}));
  EXPECT_FALSE(OneClass({3, 1, 1}));
}

TEST(ExplainRules, Rate) {
  ExpectText(
      RateTooHigh({0.5, 1.0, 8.0, 100, 9.0, 0.4}),
      "the loss rises within the epoch, from 1 to 8, at learning rate 0.5: 100 steps on the same rows end at 9 with "
      "it, at 0.4 with 0.05");
  ExpectText(RateTooHigh({0.5, 1.0, kNaN, 100, kNaN, 0.4}), "from 1 to nan");
  EXPECT_FALSE(RateTooHigh({0.5, 1.0, 0.9, 100, 9.0, 0.4}));  // it falls
  EXPECT_FALSE(RateTooHigh({0.5, 1.0, 8.0, 100, 9.0, 8.9}));  // a smaller one is no better: it is something else
  // Of losses below zero, as of cosine similarity.
  EXPECT_FALSE(LossRises({0.5, -0.5, -0.55, 100, 0, 0}));
  EXPECT_TRUE(LossRises({0.5, -0.5, -0.2, 100, 0, 0}));
  EXPECT_FALSE(RateTooHigh({0.5, -0.5, -0.2, 100, -0.95, -0.9}));
  EXPECT_TRUE(RateTooHigh({0.5, -0.5, -0.2, 100, -0.2, -0.9}));
}

TEST(ExplainRules, OptimizerState) {
  ExpectText(
      OptimizerStateMissing({"Adam", 0, 2, 0.12, 2.31, 0.15}),
      "optimizer state was not in the file: the weights are trained (loss 0.12; drawn anew 2.31), but Adam begins");
  EXPECT_FALSE(OptimizerStateMissing({"Adam", 500, 2, 0.12, 2.31, 0.1}));  // it was
  EXPECT_FALSE(OptimizerStateMissing({"Adam", 0, 2, 2.31, 2.31, 0.1}));    // nothing was trained
  EXPECT_FALSE(OptimizerStateMissing({"SGD", 0, 0, 0.12, 2.31, 0.1}));     // there is none
}

// ---- All of it.

// Rows of numbers around 0, and labels that follow from them.
Dataset Numbers(int64_t n, float scale = 1) {
  Array x({n, 10}), y({n, 1});
  Random random({1, 2, 3});
  for (int64_t i = 0; i < n; ++i) {
    float sum = 0;
    for (int64_t k = 0; k < 10; ++k) {
      const float v = 2 * random.Uniform() - 1;
      x.floats()[static_cast<size_t>(10 * i + k)] = scale * v;
      sum += v;
    }
    y.floats()[static_cast<size_t>(i)] = sum > 0;
  }
  return {{x}, {y}};
}

Model Binary(const Optimizer& optimizer = "adam", const Loss& loss = "binary_crossentropy") {
  Model model =
      Sequential({Input({10}), Dense(16, {.activation = "relu"}), Dense(1, {.activation = "sigmoid"})}, {.seed = 1});
  model.compile({.optimizer = optimizer, .loss = loss});
  return model;
}

ExplainOptions Quick(FitOptions fit = {}) { return {.fit = std::move(fit), .trials = 0.05}; }

std::function<void(Sample&)> Slow() {
  return [](Sample&) { std::this_thread::sleep_for(milliseconds(1)); };
}

struct Sleeps : Callback {
  void on_epoch_end(Model&, int, const Logs&) override { std::this_thread::sleep_for(milliseconds(300)); }
};

// What is told of a machine that stood still for a moment is true, and not of the model: not so often in turn.
Explanation Repeated(const std::function<bool(const Explanation&)>& well,
                     const std::function<Explanation()>& explained) {
  Explanation e = explained();
  for (int i = 0; i < 4 && !well(e); ++i) e = explained();
  return e;
}

using ExplainInFolder = testing::InFolder;

TEST(Explain, SlowMap) {
  Model model = Binary();
  const Explanation e = explain(model, Numbers(200).map(Slow()).batch(20), Quick());
  EXPECT_GT(e["data"]["percent"], 50) << e.str();
  EXPECT_NE(e["data"].text.find("map runs on one thread"), std::string::npos) << e.str();
  EXPECT_GT(e["data"]["wait_seconds"], 0.19);
}

TEST(Explain, SlowMapOnAThread) {
  Model model = Binary();
  const Explanation e = explain(model, Numbers(200).map(Slow(), {.threads = 1}).batch(20), Quick());
  EXPECT_EQ(e["data"]["threads"], 1) << e.str();
  EXPECT_GT(e["data"]["make_seconds"], 0.15) << e.str();
}

TEST(Explain, MapThatIsHidden) {
  Model model = Binary();
  // A callback that takes far longer than the map, which reads ahead meanwhile.
  struct Long : Callback {
    void on_train_batch_end(Model&, int64_t, const Logs&) override { std::this_thread::sleep_for(milliseconds(100)); }
  };
  const Dataset data = Numbers(60).map([](Sample&) {}, {.threads = 2}).batch(10).prefetch(4);
  const Explanation e =
      Repeated([](const Explanation& x) { return !x.has("data"); },
               [&] { return explain(model, data, Quick({.callbacks = {std::make_shared<Long>()}})); });
  EXPECT_FALSE(e.has("data")) << e.str();
  EXPECT_GT(e["callback"]["percent"], 50) << e.str();
}

TEST(Explain, SlowCallback) {
  Model model = Binary();
  const Explanation e = explain(model, Numbers(64),
                                Quick({.callbacks = {std::make_shared<Sleeps>(), EarlyStopping({.monitor = "loss"})}}));
  EXPECT_GT(e["callback"]["percent"], 50) << e.str();
  EXPECT_NE(e["callback"].text.find("Sleeps takes"), std::string::npos) << e.str();
  EXPECT_FALSE(e.has("data")) << e.str();
}

TEST(Explain, LongValidation) {
  Model model = Binary();
  FitOptions fit;
  fit.validation_data = Numbers(100).map(Slow()).batch(20);
  const Explanation e = explain(model, Numbers(64), Quick(fit));
  EXPECT_GT(e["validation"]["percent"], 50) << e.str();
}

TEST(Explain, Unscaled) {
  Model model = Binary();
  Dataset data = Numbers(400, 1000);
  const Explanation e = explain(model, data, Quick());
  EXPECT_NEAR(e["scale"]["magnitude"], 577, 60) << e.str();
  EXPECT_LT(e["scale"]["loss_normalized"], e["scale"]["loss"]);
  for (int64_t i = 0; i < 400; ++i) data.x[0].floats()[static_cast<size_t>(10 * i + 3)] *= 1e-6f;
  const Explanation differ = explain(model, data, Quick());
  EXPECT_NEAR(differ["scale"]["ratio"], 1e6, 2e5) << differ.str();
  EXPECT_NE(differ["scale"].text.find("differ in scale by 10^6"), std::string::npos) << differ.str();
}

TEST(Explain, ScaledByTheModelItself) {
  const Layer norm = Normalization();
  const Dataset data = Numbers(400, 1000);
  Model model = Sequential({Input({10}), norm, Dense(1, {.activation = "sigmoid"})}, {.seed = 1});
  adapt(norm, data.x[0]);
  model.compile({.loss = "binary_crossentropy"});
  EXPECT_FALSE(explain(model, data, Quick()).has("scale"));
}

TEST(Explain, OptimizerWithoutItsState) {
  Model trained = Binary();
  trained.fit(Numbers(400), {.epochs = 60});
  EXPECT_FALSE(explain(trained, Numbers(400), Quick()).has("optimizer"));
  Model again = Binary();
  EXPECT_FALSE(explain(again, Numbers(400), Quick()).has("optimizer"));  // nothing to lose
  again.set_weights(trained.get_weights());
  const Explanation e = explain(again, Numbers(400), Quick());
  EXPECT_LT(e["optimizer"]["loss"], e["optimizer"]["loss_drawn"]) << e.str();
  EXPECT_NE(e["optimizer"]["loss"], e["optimizer"]["loss_after"]) << e.str();
}

TEST(Explain, RateTooHigh) {
  Model model = Sequential({Input({10}), Dense(1)}, {.seed = 1});
  model.compile({.optimizer = SGD({.learning_rate = 5}), .loss = "mse"});
  const Explanation e = explain(model, Numbers(512), Quick({.batch_size = 16}));
  EXPECT_FALSE(e["rate"]["loss"] <= e["rate"]["loss_tenth"]) << e.str();  // it may be NaN
  model.compile({.optimizer = SGD({.learning_rate = 0.01}), .loss = "mse"});
  EXPECT_FALSE(explain(model, Numbers(512), Quick({.batch_size = 16})).has("rate"));
}

TEST(Explain, BadData) {
  Model model = Binary();
  Dataset data = Numbers(100);
  EXPECT_FALSE(explain(model, data, Quick()).has("finite"));
  EXPECT_FALSE(explain(model, data, Quick()).has("labels"));
  EXPECT_FALSE(explain(model, data, Quick()).has("constant"));
  for (float& v : data.y[0].floats()) v = 1;
  for (int64_t i = 0; i < 1000; ++i)
    if (i % 10 < 6) data.x[0].floats()[static_cast<size_t>(i)] = 0.5f;
  const Explanation e = explain(model, data, Quick());
  EXPECT_EQ(e["labels"]["label"], 1) << e.str();
  EXPECT_EQ(e["constant"]["constant"], 6) << e.str();
  data.x[0].floats()[173] = std::numeric_limits<float>::infinity();
  EXPECT_EQ(explain(model, data, Quick())["finite"]["row"], 17);
}

TEST(Explain, SmallBatchAndLarge) {
  // A step on one row costs nearly what one on many does, whatever the machine.
  Model model = Binary();
  const Explanation e = explain(model, Numbers(2000), Quick({.batch_size = 1}));
  EXPECT_GT(e["batch"]["times_faster"], 2) << e.str();
  EXPECT_GT(e["batch"]["percent_idle"], 50);
  // There is no room for a larger one.
  EXPECT_FALSE(explain(model, Numbers(64), Quick({.batch_size = 32})).has("batch"));
}

TEST_F(ExplainInFolder, ForegroundCheckpoint) {
  Model model = Sequential({Input({10}), Dense(2000), Dense(2000), Dense(1)});
  model.compile({.loss = "mse"});
  const Explanation e = explain(model, Numbers(16), Quick({.callbacks = {ModelCheckpoint(path("m.ingot"))}}));
  EXPECT_NE(e["callback"].text.find(".background = true"), std::string::npos) << e.str();
}

// What was trained, and how far, is as it was.
TEST(Explain, LeavesTheModelAsItWas) {
  Model a = Binary(), b = Binary();
  a.fit(Numbers(100), {.epochs = 2});
  b.fit(Numbers(100), {.epochs = 2});
  explain(a, Numbers(200, 1000), Quick({.callbacks = {ReduceLROnPlateau({.monitor = "loss"})}}));
  EXPECT_EQ(a.iterations(), b.iterations());
  EXPECT_EQ(a.learning_rate(), b.learning_rate());
  EXPECT_FALSE(a.stop_training());
  const History ha = a.fit(Numbers(100), {.epochs = 2}), hb = b.fit(Numbers(100), {.epochs = 2});
  EXPECT_EQ(ha.batch_loss, hb.batch_loss);
}

TEST_F(ExplainInFolder, LeavesAModelThatIsNew) {
  Model model = Binary();
  model.save(path("before.ingot"));
  explain(model, Numbers(200), Quick());
  EXPECT_TRUE(model.get_optimizer_state().empty());
  model.save(path("after.ingot"));
  const auto bytes = [&](const char* name) {
    std::ifstream in(path(name), std::ios::binary);
    return std::string{std::istreambuf_iterator<char>(in), {}};
  };
  EXPECT_TRUE(bytes("before.ingot") == bytes("after.ingot"));
  Model other = Binary();
  EXPECT_EQ(model.fit(Numbers(100), {.epochs = 2}).batch_loss, other.fit(Numbers(100), {.epochs = 2}).batch_loss);
}

TEST(Explain, SaysWhenAllIsWell) {
  Model model = Binary();
  // A batch that cannot grow.
  const Explanation e = Repeated([](const Explanation& x) { return x.findings.empty(); },
                                 [&] { return explain(model, Numbers(400), Quick({.batch_size = 200})); });
  EXPECT_TRUE(e.findings.empty()) << e.str();
  EXPECT_NE(e.str().find("nothing was found that holds training back"), std::string::npos);
  EXPECT_NE(e.str().find("watched 2 steps of batch 200"), std::string::npos) << e.str();
  const auto json = nlohmann::json::parse(e.json());
  EXPECT_TRUE(json.at("findings").empty());
}

TEST(Explain, LongEpochsAreCut) {
  Model model = Binary();
  ExplainOptions options = Quick();
  options.seconds = 0.1;
  const Explanation e = explain(model, Numbers(4000).map(Slow()).batch(20), options);
  EXPECT_LT(e.profile.steps_done, 190);
  EXPECT_NE(e.watched.find(" of 200"), std::string::npos) << e.watched;
  EXPECT_GT(e["data"]["wait_seconds"], 2) << e.str();  // of the whole epoch: 4 s
}

TEST(Explain, WrongUse) {
  Model model = Binary();
  Profile p;
  EXPECT_THROW(explain(model, Numbers(10), Quick({.profile = &p})), Error);
  Model raw = Sequential({Input({10}), Dense(1)});
  EXPECT_THROW(explain(raw, Numbers(10)), Error);
  EXPECT_THROW(explain(model, Numbers(10), Quick({.callbacks = {BackupAndRestore("backup.ingot")}})), Error);
  EXPECT_THROW(explain(model, Numbers(10), {.seconds = -1}), Error);
}

}  // namespace
}  // namespace ingot
