// SPDX-License-Identifier: MIT
//
// What the engine promises as a whole: a step allocates nothing; plans are few; models nest and share; training goes
// on.
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <thread>

#include "ingot/data/digits.h"
#include "ingot/layers/layers.h"
#include "ingot/optim/optimizers.h"
#include "ingot/tests/allocations.h"
#include "ingot/train/model.h"
#include "ingot/train/trainer.h"

namespace ingot {
namespace {

Model Mlp(uint64_t seed = 1) {
  return Sequential({Input({20}), Dense(16, {.activation = "relu"}), Dropout(0.3), Dense(4, {.activation = "softmax"})},
                    {.seed = seed});
}

Model Cnn(uint64_t seed = 1) {
  return Sequential(
      {
          Input({28, 28, 1}),
          Conv2D(16, {3, 3}, {.activation = "relu", .kernel_regularizer = L2(1e-3f)}),
          BatchNormalization(),
          MaxPooling2D({2, 2}),
          Conv2D(8, {3, 3}, {.activation = "relu", .kernel_regularizer = L2(1e-3f)}),
          BatchNormalization(),
          MaxPooling2D({2, 2}),
          Flatten(),
          Dropout(0.5),
          Dense(10, {.activation = "softmax"}),
      },
      {.seed = seed});
}

Dataset Rows(int64_t n) {
  Array x({n, 20}), y({n}, DType::kInt32);
  Random random({7, 0, 0});
  for (float& v : x.floats()) v = random.Uniform(-1, 1);
  for (int32_t& v : y.as<int32_t>()) v = static_cast<int32_t>(random.Below(4));
  return Dataset::from_arrays(x, y);
}

TEST(Engine, AStepAllocatesNothing) {
  if (!testing::AllocationsAreCounted()) GTEST_SKIP() << "a sanitizer counts allocations itself";
  for (const bool image : {false, true}) {
    Model model = image ? Cnn() : Mlp();
    model.compile({.optimizer = "adam", .loss = "sparse_categorical_crossentropy", .metrics = {"accuracy"}});
    const Dataset data = image ? Digits(24) : Rows(24);
    ModelState& s = model.state();
    const auto step = [&](int64_t first, int64_t last) {
      RunStep(s, s.session, Mode::kTrain, data, {nullptr, first, last});
    };
    s.EnsureBuilt({});
    step(0, 10), step(10, 20), step(20, 24);
    const int64_t before = testing::Allocations();
    for (int i = 0; i < 10; ++i) step(0, 10), step(20, 24);
    EXPECT_EQ(testing::Allocations() - before, 0) << (image ? "cnn" : "mlp");
  }
}

TEST(Engine, FitLearnsAndGoesOn) {
  Model model = Mlp();
  model.compile(
      {.optimizer = Adam({.learning_rate = 0.01}), .loss = "sparse_categorical_crossentropy", .metrics = {"accuracy"}});
  Dataset data = Rows(200);
  for (int64_t i = 0; i < 200; ++i)  // the class is where the largest of four features is
    data.y[0].as<int32_t>()[static_cast<size_t>(i)] = static_cast<int32_t>(
        std::max_element(data.x[0].floats().begin() + i * 20, data.x[0].floats().begin() + i * 20 + 4) -
        (data.x[0].floats().begin() + i * 20));
  const History first = model.fit(data, {.batch_size = 32, .epochs = 15});
  EXPECT_LT(first["loss"].back(), 0.8 * first["loss"].front());
  EXPECT_EQ(model.iterations(), 15 * 7);
  EXPECT_EQ(first.batch_loss.size(), 15u * 7u);
  const History second = model.fit(data, {.batch_size = 32, .epochs = 1});
  EXPECT_LT(second["loss"].front(), first["loss"].front());
  EXPECT_EQ(model.iterations(), 16 * 7);
}

TEST(Engine, TwoHalvesOfAStepAreAStepWhateverTheLossScale) {
  const Dataset batch = Rows(16);
  for (const bool accumulates : {false, true}) {
    SGDOptions options{.momentum = 0.9, .clipnorm = 0.5, .loss_scale_factor = 8};
    if (accumulates) options.gradient_accumulation_steps = 2;
    Model one = Mlp(), two = Mlp();
    two.set_weights(one.get_weights());
    for (Model* model : {&one, &two})
      model->compile({.optimizer = SGD(options), .loss = "sparse_categorical_crossentropy"});
    for (int step = 0; step < 4; ++step) {
      one.train_on_batch(batch.x, batch.y);
      two.apply_gradients(two.gradients(batch.x, batch.y).weights);
    }
    EXPECT_EQ(one.get_weights(), two.get_weights()) << (accumulates ? "accumulated" : "at once");
  }
}

TEST(Engine, SharedLayersBelongToBothModels) {
  Layer dense = Dense(3);
  InputTensor x = Input({5});
  Model small({x}, {dense(x)});
  const Array in({2, 5}, std::vector<float>{1, 2, 3, 4, 5, 5, 4, 3, 2, 1});
  const Array before = small.predict(in);
  Model large({x}, {Dense(2)(dense(x))});  // takes the layer into its own arena
  const Array after = small.predict(in);
  EXPECT_EQ(std::memcmp(before.data(), after.data(), before.bytes()), 0);
  large.compile({.optimizer = "sgd", .loss = "mse"});
  large.train_on_batch({in}, {Array({2, 2}, std::vector<float>{1, 2, 3, 4})});
  EXPECT_NE(std::memcmp(small.predict(in).data(), before.data(), before.bytes()), 0) << "training one trains the other";
}

TEST(Engine, PredictorsShareWeights) {
  Model model = Mlp();
  const Dataset data = Rows(16);
  const Array want = model.predict(data.x[0], 16);
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      Predictor predictor = model.predictor();
      for (int i = 0; i < 20; ++i) {
        const Arrays got = predictor.predict_on_batch(data.x);
        if (std::memcmp(got[0].data(), want.data(), want.bytes()) != 0) ++wrong;
      }
    });
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(wrong.load(), 0);
}

// Plans for 40 batch sizes, in three modes: those least recently used make room, and what is computed stays right.
TEST(Engine, PlansAreBoundedInNumber) {
  constexpr size_t kMost = 16;
  Model model = Mlp();
  model.compile({.optimizer = SGD({.learning_rate = 0}), .loss = "sparse_categorical_crossentropy"});
  const Dataset data = Rows(40);
  const Array want = model.predict(data.x[0], 40);
  const ModelState& s = model.state();
  const auto round = [&] {
    for (int64_t n = 1; n <= 40; ++n) {
      const Dataset batch = data.slice(0, n);
      const Arrays got = model.predict_on_batch(batch.x);
      EXPECT_EQ(std::memcmp(got[0].data(), want.data(), got[0].bytes()), 0) << n;
      model.test_on_batch(batch.x, batch.y);
      model.train_on_batch(batch.x, batch.y);
      EXPECT_LE(s.session.programs_.size(), kMost);
    }
  };
  round();
  EXPECT_EQ(s.session.programs_.size(), kMost) << "they are kept, too";
  const size_t activation = s.session.activation_.size();
  round();
  EXPECT_EQ(s.session.activation_.size(), activation) << "memory is that of the largest batch";
}

TEST(Engine, ThePlanShowsWhatIsFused) {
  const std::string cnn = Cnn().plan(4, false), mlp = Mlp().plan(4, false);
  EXPECT_NE(cnn.find("Conv2D + bias + relu"), std::string::npos) << cnn;
  EXPECT_EQ(cnn.find("Unary"), std::string::npos) << cnn;
  EXPECT_NE(mlp.find("Gemm + bias + relu"), std::string::npos) << mlp;
  const std::string plain = Sequential({Input({3}), Dense(2, {.use_bias = false})}).plan(4, false);
  EXPECT_EQ(plain.find('+'), std::string::npos) << plain;
}

}  // namespace
}  // namespace ingot
