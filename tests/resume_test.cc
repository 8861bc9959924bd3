// SPDX-License-Identifier: MIT
//
// What must come along when a model is saved, loaded, frozen or trained again: seeds and orders, momenta and clocks.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "ingot/ingot.h"
#include "ingot/tests/folder.h"

namespace ingot {
namespace {

namespace fs = std::filesystem;

class Resume : public testing::InFolder {};

Model Small(const Optimizer& optimizer = "adam", uint64_t seed = 3) {
  Model model = Sequential({Input({4}), Dense(5, {.activation = "relu"}), Dropout(0.4), Dense(2)}, {.seed = seed});
  model.compile({.optimizer = optimizer, .loss = "mse"});
  return model;
}

Dataset Points(int64_t n = 24) {
  Array x({n, 4}), y({n, 2});
  Random random({5, 0, 0});
  for (float& v : x.floats()) v = random.Uniform(-1, 1);
  for (float& v : y.floats()) v = random.Uniform(-1, 1);
  return Dataset::from_arrays(x, y);
}

TEST_F(Resume, ASavedModelGoesOnWithTheSameMasksAndOrders) {
  const Dataset data = Points();
  Model model = Small();
  model.fit(data, {.batch_size = 5, .epochs = 2});
  for (const char* name : {"m.ingot", "m.keras", "m.h5"}) model.save(path(name));
  model.fit(data, {.batch_size = 5, .epochs = 2});
  for (const char* name : {"m.ingot", "m.keras", "m.h5"}) {
    Model again = load_model(path(name));
    EXPECT_EQ(again.seed(), model.seed()) << name;
    again.fit(data, {.batch_size = 5, .epochs = 2});
    EXPECT_EQ(again.get_weights(), model.get_weights()) << name;
  }
}

TEST_F(Resume, TwoFitsOfAnEpochAreOneOfTwo) {
  const Dataset data = Points();
  Model whole = Small(), parts = Small();
  whole.fit(data, {.batch_size = 5, .epochs = 2});
  for (int i = 0; i < 2; ++i) parts.fit(data, {.batch_size = 5});
  EXPECT_EQ(whole.get_weights(), parts.get_weights());
}

TEST_F(Resume, EveryFitHasAnOrderOfItsOwn) {
  const Dataset data = Points();
  Model model = Small("sgd");
  const Arrays before = model.get_weights();
  model.set_learning_rate(0);  // so that losses differ by the order alone
  const std::vector<double> first = model.fit(data, {.batch_size = 5}).batch_loss;
  EXPECT_NE(first, model.fit(data, {.batch_size = 5}).batch_loss);
  EXPECT_EQ(model.get_weights(), before);
}

TEST_F(Resume, WeightsOfEveryFormatGoIntoAModelThatIsThere) {
  Model model = Small();
  model.fit(Points(), {.batch_size = 5});
  for (const char* name : {"w.ingot", "w.keras", "w.h5", "w.weights.h5", "w.safetensors", "w.npz"}) {
    SCOPED_TRACE(name);
    model.save(path(name));
    Model other = Small("adam", 9);
    other.load_weights(path(name));
    EXPECT_EQ(other.get_weights(), model.get_weights());
    EXPECT_EQ(other.get_optimizer_state(), model.get_optimizer_state());
    EXPECT_EQ(other.iterations(), model.iterations());
  }
}

TEST_F(Resume, WhereAWeightOfAnotherShapeLiesIsSaidOnce) {
  Sequential({Input({4}), Dense(3, {.name = "price"})}).save(path("o.weights.h5"));
  Model model = Sequential({Input({4}), Dense(2, {.name = "price"})});
  try {
    model.load_weights(path("o.weights.h5"));
    FAIL() << "nothing was thrown";
  } catch (const Error& e) {
    const std::string said = e.what();
    EXPECT_NE(said.find("price/kernel at layers/dense/vars/0: the model has (4, 2), the file (4, 3)\n"),
              std::string::npos)
        << said;
  }
}

TEST_F(Resume, AFileWithoutMomentaLeavesNoneBehind) {
  Model fresh = Small();
  Model trained = Small();
  trained.fit(Points(), {.batch_size = 5, .epochs = 3});
  for (const char* name : {"f.ingot", "f.weights.h5", "f.safetensors"}) {
    SCOPED_TRACE(name);
    fresh.save(path(name));
    Model model = Small();
    model.fit(Points(), {.batch_size = 5, .epochs = 3});
    model.load_weights(path(name));
    EXPECT_EQ(model.iterations(), 0);
    EXPECT_TRUE(model.get_optimizer_state().empty());
  }
}

// A file whose optimizer took steps and has no slots has lost them: to begin with none would be to forget in silence.
TEST_F(Resume, StepsWithoutTheirMomentaAreRefused) {
  Model plain = Small("sgd");
  plain.fit(Points(), {.batch_size = 5});
  for (const char* name : {"s.weights.h5", "s.keras", "s.h5", "s.safetensors", "s.npz", "s.ingot"}) {
    SCOPED_TRACE(name);
    plain.save(path(name));
    Model model = Small("adam");
    const Arrays before = model.get_weights();
    EXPECT_THROW(model.load_weights(path(name)), Error);
    EXPECT_EQ(model.get_weights(), before);
    EXPECT_EQ(model.iterations(), 0);
  }
}

TEST_F(Resume, AFileOfAModelThatWasNotCompiledLeavesTheOptimizerAlone) {
  const Model plain =
      Sequential({Input({4}), Dense(5, {.activation = "relu"}), Dropout(0.4), Dense(2)}, {.name = "plain", .seed = 3});
  for (const char* name : {"p.ingot", "p.keras", "p.h5", "p.weights.h5", "p.safetensors", "p.npz"}) {
    SCOPED_TRACE(name);
    Model(plain).save(path(name));
    Model model = Small();
    model.fit(Points(), {.batch_size = 5});
    const Arrays state = model.get_optimizer_state();
    const int64_t iterations = model.iterations();
    model.load_weights(path(name));
    EXPECT_EQ(model.get_weights(), plain.get_weights());
    EXPECT_EQ(model.get_optimizer_state(), state);
    EXPECT_EQ(model.iterations(), iterations);
  }
}

TEST_F(Resume, WeightsThatDoNotFitChangeNothing) {
  Sequential({Input({4}), Dense(5), Dense(3)}).save(path("other.weights.h5"));
  Model model = Small();
  model.fit(Points(), {.batch_size = 5});
  const Arrays weights = model.get_weights(), state = model.get_optimizer_state();
  try {
    model.load_weights(path("other.weights.h5"));
    FAIL() << "was loaded";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("(5, 3)"), std::string::npos) << e.what();
  }
  EXPECT_EQ(model.get_weights(), weights);
  EXPECT_EQ(model.get_optimizer_state(), state);
}

TEST_F(Resume, AveragesAreTakenOnlyOnceThereAreSome) {
  Model model = Small(SGD({.use_ema = true}));
  const Arrays before = model.get_weights();
  model.fit(Points(), {.epochs = 0});
  model.gradients(Points().x, Points().y);  // makes the slots, which are zero
  model.fit(Points(), {.epochs = 0});
  EXPECT_EQ(model.get_weights(), before);
}

TEST_F(Resume, ALayerFrozenThroughItsHandleStopsAtOnce) {
  Model model = Small("sgd");
  const Dataset data = Points();
  model.fit(data, {.batch_size = 5});
  model.get_layer(0).set_trainable(false);
  const Arrays before = model.get_weights();
  model.fit(data, {.batch_size = 5});
  EXPECT_EQ(model.get_weights()[0], before[0]);
  EXPECT_NE(model.get_weights()[2], before[2]);
}

TEST_F(Resume, ALayerOfTwoModelsInsideOneAnotherStaysOne) {
  const Layer dense = Dense(3);
  const Tensor a = Input({3}), x = Input({3});
  const Model inner({a}, {dense(a)});
  Model outer({x}, {Add()({dense(x), inner(x)})});
  outer.save(path("shared.ingot"));
  EXPECT_EQ(load_model(path("shared.ingot")).count_params(), outer.count_params());
  EXPECT_THROW(outer.save(path("shared.h5")), Error) << "Keras itself would make two of it";
}

TEST_F(Resume, ToAskForThePlanDecidesNothing) {
  Model model = Sequential({Input({4}), Dense(3, {.activation = "softmax"})});
  model.compile({.loss = "sparse_categorical_crossentropy", .metrics = {"accuracy"}});
  model.plan();
  const Array x({2, 4}), one_hot({2, 3}), labels({2}, {0, 2});
  EXPECT_THROW(model.train_on_batch({x}, {one_hot}), Error);
  EXPECT_GE(model.train_on_batch({x}, {labels})["accuracy"], 0);
}

// The monitored values are given; what counts is after which epoch it stops.
int StopsAfter(const EarlyStoppingOptions& options, const std::vector<double>& values) {
  Model model = Small("sgd");
  const CallbackPtr callback = EarlyStopping(options);
  callback->on_train_begin(model);
  for (size_t i = 0; i < values.size(); ++i) {
    Logs logs;
    logs.emplace_back(options.monitor, values[i]);
    callback->on_epoch_end(model, static_cast<int>(i), logs);
    if (model.stop_training()) return static_cast<int>(i) + 1;
  }
  return -1;
}

// By keras.callbacks.EarlyStopping of Keras 3.15.1 on the same values.
TEST(EarlyStopping, StopsWhereKerasDoes) {
  EXPECT_EQ(StopsAfter({.monitor = "loss"}, {3, 2, 2.5, 1}), 3);
  EXPECT_EQ(StopsAfter({.monitor = "loss", .patience = 2}, {3, 2, 2.5, 2.4, 1}), 4);
  EXPECT_EQ(StopsAfter({.monitor = "loss", .patience = 2}, {3, 2, 2.5, 1, 2, 2}), 6);
  EXPECT_EQ(StopsAfter({.monitor = "loss", .min_delta = 0.5, .patience = 1}, {3, 2.8, 2.6, 1}), 2);
  EXPECT_EQ(StopsAfter({.monitor = "accuracy", .patience = 1}, {0.1, 0.2, 0.2, 0.3}), 3);
  EXPECT_EQ(StopsAfter({.monitor = "loss", .patience = 2, .baseline = 1.5}, {3, 2, 2.5, 2.4}), 3);
  EXPECT_EQ(StopsAfter({.monitor = "loss", .patience = 2}, {3, 2, 2.5, 2.4}), 4);
  EXPECT_EQ(StopsAfter({.monitor = "loss", .patience = 1, .start_from_epoch = 2}, {1, 2, 3, 2.5, 2.6}), 5);
}

}  // namespace
}  // namespace ingot
