// SPDX-License-Identifier: MIT
//
// Predictions keep what they make of weights, packed or transformed, from one to the next. Whatever changes a weight,
// the prediction behind it must be that of a model which has never predicted before: to the bit, as nothing else
// differs.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <functional>

#include "ingot/ingot.h"
#include "ingot/train/trainer.h"

namespace ingot {
namespace {

namespace fs = std::filesystem;

Array Wave(const Shape& shape, float step) {
  Array a(shape);
  float i = 0;
  for (float& v : a.floats()) v = std::sin(step * ++i);
  return a;
}

// Convolutions that go by Winograd's algorithm and directly, normalizations that become epilogues, a Dense.
Model Net() {
  Model model = Sequential(
      {Input({14, 14, 8}), Conv2D(48, {3, 3}, {.padding = "same", .name = "three"}),
       BatchNormalization({.momentum = 0.5f}), ReLU(), Conv2D(48, {3, 3}, {.padding = "same", .activation = "relu"}),
       Conv2D(40, {1, 1}, {.use_bias = false, .name = "one"}), BatchNormalization(), GlobalAveragePooling2D(),
       Dense(3)},
      {.seed = 7});
  model.compile({.optimizer = SGD({.learning_rate = 0.05f}), .loss = "mse"});
  return model;
}

class KeptWeights : public ::testing::Test {
 protected:
  const Array x_ = Wave({4, 14, 14, 8}, 0.37f), y_ = Wave({4, 3}, 1.1f);

  // What a model with these weights predicts that has kept nothing.
  Array Fresh(const Model& model) const {
    Model other = Net();
    other.set_weights(model.get_weights());
    return other.predict(x_);
  }

  // `change` gives the model other weights; two batch sizes and a predictor look before and behind.
  void Check(Model& model, const std::function<void()>& change) {
    Predictor predictor = model.predictor();
    const Array before = model.predict(x_), one = model.predict(x_, 1), held = predictor.predict_on_batch({x_})[0];
    EXPECT_EQ(before, held);
    EXPECT_EQ(before, model.predict(x_));  // kept by now
    EXPECT_EQ(before, Fresh(model));
    const double loss = model.evaluate(x_, y_)["loss"];
    change();
    const Array want = Fresh(model);
    EXPECT_NE(before, want) << "nothing was changed";
    EXPECT_EQ(model.predict(x_), want);
    EXPECT_EQ(model.predict(x_, 1), one.shape() == want.shape() ? Model(model).predict(x_, 1) : want);
    EXPECT_NE(model.predict(x_, 1), one);
    EXPECT_EQ(predictor.predict_on_batch({x_})[0], want);
    EXPECT_NE(model.evaluate(x_, y_)["loss"], loss);
  }
};

TEST_F(KeptWeights, SomethingIsKept) {
  Model model = Net();
  const Array before = model.predict(x_);
  size_t kept = 0;
  for (const auto& program : model.state().session.programs_) kept += program->plan->kept_bytes();
  EXPECT_GT(kept, size_t{48 * 48 * 9 * sizeof(float)});
  // Written behind everybody's back, which nobody may: what is kept still stands in, so it is really used.
  const_cast<float*>(model.get_layer("three").variables()[0]->data())[0] += 1;
  EXPECT_EQ(model.predict(x_), before);
  model.get_layer("three").variables()[0]->writable();
  EXPECT_NE(model.predict(x_), before);
}

// Too many rows for weights to be worth keeping, while normalizations that were folded still are.
TEST_F(KeptWeights, LargeBatches) {
  Model model = Net();
  const Array x = Wave({40, 14, 14, 8}, 0.11f);
  const Array first = model.predict(x, 40);
  EXPECT_EQ(model.predict(x, 40), first);
  Predictor predictor = model.predictor();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(predictor.predict_on_batch({x})[0], first);
}

TEST_F(KeptWeights, Training) {
  Model model = Net();
  Check(model, [&] { model.fit(x_, y_, {.batch_size = 2, .epochs = 1}); });
  Check(model, [&] { model.train_on_batch({x_}, {y_}); });
  Check(model, [&] { model.apply_gradients(model.gradients({x_}, {y_}).weights); });
}

TEST_F(KeptWeights, StatisticsThatAForwardPassMoves) {
  Model model = Net();
  Check(model, [&] { model.vjp({x_}, {y_}); });
}

TEST_F(KeptWeights, SettingAndLoading) {
  Model model = Net();
  Arrays other = model.get_weights();
  for (Array& a : other) a = Wave(a.shape(), 0.9f);
  for (Array& a : other)
    for (float& v : a.floats()) v = std::abs(v);  // variances among them
  Check(model, [&] { model.set_weights(other); });

  const fs::path folder = fs::path(::testing::TempDir()) / Text("ingot-kept-", getpid());
  fs::create_directories(folder);
  Model trained = Net();
  trained.fit(x_, y_, {.epochs = 2});
  for (const char* name : {"w.safetensors", "w.npz", "w.weights.h5", "w.ingot", "w.keras"}) {
    const std::string path = (folder / name).string();
    trained.save(path);
    model.set_weights(other);
    Check(model, [&] { model.load_weights(path); });
    if (std::string(name) == "w.npz") continue;
    model.set_weights(other);
    Check(model, [&] { model.load_weights(path, {.mode = LoadMode::kMap}); });
  }
  fs::remove_all(folder);
}

TEST_F(KeptWeights, ALayerThatAnotherModelTrains) {
  Model model = Net();
  const Tensor in = Input({14, 14, 8});
  Model other(in, GlobalAveragePooling2D()(model.get_layer("three")(in)));
  other.compile({.optimizer = SGD({.learning_rate = 0.1f}), .loss = "mse"});
  Check(model, [&] { other.train_on_batch({x_}, {Wave({4, 48}, 0.2f)}); });
}

TEST_F(KeptWeights, AveragesTakenAtTheEnd) {
  Model model = Net();
  SGDOptions options{.learning_rate = 0.05f};
  options.use_ema = true;
  model.compile({.optimizer = SGD(options), .loss = "mse"});
  Check(model, [&] { model.fit(x_, y_, {.epochs = 2}); });
}

// Processes that share a file share its pages: a copy of each would undo that.
TEST_F(KeptWeights, NothingOfWeightsThatProcessesShare) {
  const std::string path = (fs::path(::testing::TempDir()) / Text("ingot-kept-", getpid(), ".ingot")).string();
  Model model = Net();
  model.save(path);
  Model shared = load_model(path, {.mode = LoadMode::kShare});
  EXPECT_EQ(shared.predict(x_), model.predict(x_));
  size_t kept = 0;
  for (const auto& program : shared.state().session.programs_) kept += program->plan->kept_bytes();
  EXPECT_LT(kept, size_t{48 * 48 * sizeof(float)});  // normalizations, folded
  fs::remove(path);
}

}  // namespace
}  // namespace ingot
