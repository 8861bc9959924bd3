// SPDX-License-Identifier: MIT
//
// What fit refuses of its options, and how it says where NaN begins.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "ingot/layers/layers.h"
#include "ingot/optim/optimizers.h"
#include "ingot/tests/errors_test_util.h"
#include "ingot/train/model.h"

namespace ingot {
namespace {

using namespace testing;

TEST(Errors, OptionsOfFit) {
  const Dataset data = Labelled();
  const auto fit = [&](const FitOptions& options) { return [=] { Compiled().fit(data, options); }; };
  ExpectErrors({
      {"batch_size", fit({.batch_size = 0}), {"batch_size is 0", "positive"}},
      {"negative batch_size", fit({.batch_size = -1}), {"batch_size is -1"}},
      {"batch_size of evaluate", [&] { Compiled().evaluate(data, 0); }, {"evaluate: batch_size is 0"}},
      {"batch_size of predict", [&] { Compiled().predict(data.x[0], -1); }, {"predict: batch_size is -1"}},
      {"batch_size of plan", [] { Compiled().plan(0); }, {"plan: batch_size is 0"}},
      {"validation_batch_size", fit({.validation_batch_size = -1}), {"validation_batch_size is -1"}},
      {"epochs", fit({.epochs = -1}), {"epochs is -1"}},
      {"initial_epoch", fit({.initial_epoch = -2}), {"initial_epoch is -2"}},
      {"steps_per_epoch", fit({.steps_per_epoch = -1}), {"steps_per_epoch is -1"}},
      {"all for validation", fit({.validation_split = 1}), {"validation_split is 1", "from 0 up to 1"}},
      {"negative split", fit({.validation_split = -0.1}), {"validation_split is -0.1"}},
      {"NaN", fit({.validation_split = std::nan("")}), {"validation_split is nan"}},
      {"nothing to train on", fit({.validation_split = 0.99}), {"validation_split 0.99 of 8 rows"}},
      {"split and data", fit({.validation_split = 0.5, .validation_data = data}), {"both given"}},
      {"class too large", fit({.class_weight = {{7, 2.0f}}}), {"class_weight names class 7", "4 classes, 0 to 3"}},
      {"negative class", fit({.class_weight = {{-1, 2.0f}}}), {"class_weight names class -1"}},
      {"weight of NaN", fit({.class_weight = {{0, kNan}}}), {"class_weight of class 0 is nan"}},
      {"weights of classes and of samples",
       [&] {
         Dataset weighted = data;
         weighted.sample_weight = Ones({8});
         Compiled().fit(weighted, {.class_weight = {{0, 2.0f}}});
       },
       {"class_weight and sample_weight", "give one"}},
      {"classes of two outputs",
       [] {
         Model m = TwoByTwo();
         m.compile({.loss = "mse"});
         m.fit(Dataset{{Ones({4, 3}), Ones({4, 2})}, {Ones({4, 1}), Ones({4, 2})}, {}}, {.class_weight = {{0, 1.0f}}});
       },
       {"class_weight", "has 2", "sample_weight"}},
      {"classes of rows of rows",
       [] {
         Model m = Sequential({Input({2, 20}), Dense(4)});
         m.compile({.loss = "mse"});
         m.fit(Ones({8, 2, 20}), Ones({8, 2, 4}), {.class_weight = {{0, 1.0f}}});
       },
       {"class_weight", "(8, 2, 4)"}},
      {"what is not there to monitor",
       fit({.callbacks = {EarlyStopping({.monitor = "val_los"})}}),
       {"EarlyStopping", "'val_los'"}},
  });
}

// As Keras: not wrong, just nothing or more to do.
TEST(Errors, OptionsOfFitThatAreNone) {
  const Dataset data = Labelled();
  EXPECT_TRUE(Compiled().fit(data, {.epochs = 0}).epoch.empty());
  EXPECT_TRUE(Compiled().fit(data, {.epochs = 3, .initial_epoch = 5}).epoch.empty());
  EXPECT_EQ(Compiled().fit(data, {.batch_size = 1000}).batch_loss.size(), 1u);
  EXPECT_EQ(Compiled().fit(data, {.batch_size = 4, .steps_per_epoch = 5}).batch_loss.size(), 5u);
  // An end far away is not paid for in advance.
  FitOptions endless{.epochs = std::numeric_limits<int>::max(), .steps_per_epoch = std::numeric_limits<int>::max()};
  struct Stop : Callback {
    void on_train_batch_end(Model& model, int64_t, const Logs&) override { model.set_stop_training(true); }
  };
  endless.callbacks = {std::make_shared<Stop>()};
  EXPECT_EQ(Compiled().fit(data, endless).batch_loss.size(), 1u);
}

// With steps_per_epoch an epoch goes on where the one before it stopped, so all rows are met, shuffled or not.
TEST(Errors, StepsPerEpochMissNoRow) {
  for (const bool shuffle : {false, true}) {
    Model model = Sequential({Input({8}), Dense(1, {.use_bias = false, .kernel_initializer = "zeros"})}, {.seed = 1});
    model.compile({.optimizer = SGD({.learning_rate = 0.1}), .loss = "mse"});
    Array x({8, 8});  // row i moves weight i alone
    for (size_t i = 0; i < 8; ++i) x.floats()[i * 9] = 1;
    model.fit(x, Ones({8, 1}), {.batch_size = 2, .epochs = 2, .shuffle = shuffle, .steps_per_epoch = 2});
    const Array weights = model.get_weights()[0];
    for (const float w : weights.floats()) EXPECT_FLOAT_EQ(w, 0.1f) << shuffle;
  }
}

TEST(Errors, NanIsTracedToWhereItBegins) {
  const Dataset data = Dataset::from_arrays(Ones({8, 20}), Ones({8, 4}));
  const FitOptions find{.shuffle = false, .find_nan = true};
  const auto with = [&](size_t weight, float value) {
    Model m = OfLoss("mse");
    Arrays w = m.get_weights();
    w[weight].floats()[0] = value;
    m.set_weights(w);
    m.fit(data, find);
  };
  Dataset bad_x = data, bad_y = data;
  bad_x.x = {Ones({8, 20})};
  bad_x.x[0].floats()[7] = kNan;
  bad_y.y = {Ones({8, 4})};
  bad_y.y[0].floats()[7] = INFINITY;
  ExpectErrors({
      {"input", [&] { OfLoss("mse").fit(bad_x, find); }, {"step 0", "input 0 of this batch", "not finite"}},
      {"target", [&] { OfLoss("mse").fit(bad_y, find); }, {"target 0 of this batch"}},
      {"weight", [&] { with(2, kNan); }, {"weight dense/kernel"}},
      {"forward",
       [&] {
         Model m = OfLoss("mse");
         Arrays w = m.get_weights();
         w[0].floats()[0] = w[0].floats()[16] = 3e38f;  // their sum is infinite
         m.set_weights(w);
         m.fit(data, find);
       },
       {"step 0", "layer 'hidden'", "forward"}},
      {"loss",
       [&] {
         Model m = Sequential({Input({20}), Dense(4, {.name = "big"})}, {.seed = 1});
         m.compile({.optimizer = "sgd", .loss = "mse"});
         m.set_weights({Ones({20, 4}), Array({4}, std::vector<float>(4, 1e30f))});
         m.fit(data, find);
       },
       {"layer 'loss'", "forward"}},
      {"update",
       [&] {
         Model m = Sequential({Input({20}), Dense(4)}, {.seed = 1});
         m.compile({.optimizer = SGD({.learning_rate = 3e38}), .loss = "mse", .loss_weights = {1e3f}});
         m.fit(data, find);
       },
       {"layer 'optimizer'", "update"}},
  });
  // Without being asked nobody looks.
  Model m = OfLoss("mse");
  EXPECT_TRUE(std::isnan(m.fit(bad_x, {.shuffle = false})["loss"][0]));
}

}  // namespace
}  // namespace ingot
