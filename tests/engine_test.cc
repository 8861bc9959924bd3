// SPDX-License-Identifier: MIT
//
// What the engine promises as a whole: a step allocates nothing; the bits do not depend on threads; plans are few;
// models nest and share; errors say where, what came and what was expected.
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <thread>

#include "ingot/data/digits.h"
#include "ingot/kernels/cpu/targets.h"
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

void ExpectSameBits(const Arrays& a, const Arrays& b, const std::string& what) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i)
    EXPECT_EQ(std::memcmp(a[i].data(), b[i].data(), a[i].bytes()), 0) << what << ", weight " << i;
}

TEST(Engine, AStepAllocatesNothing) {
  if (!testing::AllocationsAreCounted()) GTEST_SKIP() << "a sanitizer counts allocations itself";
  for (const bool image : {false, true}) {
    Model model = image ? Cnn() : Mlp();
    model.compile({.optimizer = "adam", .loss = "sparse_categorical_crossentropy", .metrics = {"accuracy"}});
    const Dataset data = image ? Digits(24) : Rows(24);
    ModelState& s = model.state();
    const auto step = [&](int64_t first, int64_t last) {
      RunStep(s, s.session, Mode::kTrain, data, {nullptr, first, last}, nullptr, false);
    };
    s.EnsureBuilt({});
    step(0, 10), step(10, 20), step(20, 24);
    const int64_t before = testing::Allocations();
    for (int i = 0; i < 10; ++i) step(0, 10), step(20, 24);
    EXPECT_EQ(testing::Allocations() - before, 0) << (image ? "cnn" : "mlp");
  }
}

// One pool of each size in turn: the default pool's size is fixed, so the steps run through a pool of our own.
Arrays TrainOn(ThreadPool& pool, int steps) {
  Model model = Cnn();
  model.compile({.optimizer = Adam(), .loss = "sparse_categorical_crossentropy"});
  const Dataset data = Digits(64, 3);
  model.state().pool = &pool;
  for (int i = 0; i < steps; ++i) {
    const Dataset batch = data.slice(i % 2 * 32, i % 2 * 32 + 32);
    model.train_on_batch(batch.x, batch.y);
  }
  return model.get_weights();
}

TEST(Engine, BitsDoNotDependOnThreads) {
  ThreadPool one(1);
  const Arrays want = TrainOn(one, 20);
  ExpectSameBits(TrainOn(one, 20), want, "the same again");
  for (const int threads : {2, 3, 5}) {
    ThreadPool pool(threads);
    ExpectSameBits(TrainOn(pool, 20), want, std::to_string(threads) + " threads");
  }
}

TEST(Engine, SimdTargetsAgree) {
  ThreadPool pool(2);
  const Arrays want = TrainOn(pool, 5);
  for (const int64_t* target = cpu::SupportedTargetList(); *target; ++target) {
    cpu::ForceTarget(*target);
    const Arrays got = TrainOn(pool, 5);
    cpu::ForceTarget(0);
    // Adam's first steps have the size of the learning rate whatever the gradient: where a gradient is nearly zero,
    // its rounding decides the sign. So weights are compared with the distance they went, 5 steps of 0.001.
    for (size_t i = 0; i < want.size(); ++i)
      for (size_t k = 0; k < want[i].floats().size(); ++k)
        EXPECT_NEAR(got[i].floats()[k], want[i].floats()[k], 2.1 * 5 * 0.001) << cpu::TargetName(*target);
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

// The message of what is thrown must hold all the parts.
void ExpectError(const std::function<void()>& fn, const std::vector<std::string>& parts) {
  try {
    fn();
    ADD_FAILURE() << "nothing was thrown; expected: " << parts[0];
  } catch (const Error& e) {
    for (const std::string& part : parts) EXPECT_NE(std::string(e.what()).find(part), std::string::npos) << e.what();
  }
}

TEST(Errors, NameLayerWhatCameAndWhatWasExpected) {
  ExpectError([] { Sequential({Input({4, 4, 3}), Conv2D(8, {5, 5})}); }, {"conv2d", "5"});
  ExpectError([] { Sequential({Dense(3, {.name = "a"}), Dense(3, {.name = "a"})}); }, {"two layers are named 'a'"});
  ExpectError([] { Dense(3, {.activation = "reluu"})(Input({4})); }, {"reluu"});
  ExpectError([] { Dense(0)(Input({4})); }, {"units is 0"});
  ExpectError([] { Optimizer("adamm"); }, {"adamm", "Adam"});
  Model model = Mlp();
  const Dataset data = Rows(8);
  ExpectError([&] { model.fit(data); }, {"not compiled"});
  model.compile({.optimizer = "adam", .loss = "sparse_categorical_crossentropy"});
  ExpectError([&] { model.fit(Array({8, 19}), data.y[0]); }, {"(8, 19)", "(None, 20)"});
  ExpectError([&] { model.predict(Array({8, 3})); }, {"(8, 3)", "(None, 20)"});
  ExpectError([&] { model.fit(Array({8, 20}), Array({7}, DType::kInt32)); }, {"8", "7"});
  ExpectError([&] { model.fit(Array({0, 20}), Array({0}, DType::kInt32)); }, {"no rows"});
  Array bad({8}, DType::kInt32);
  bad.as<int32_t>()[5] = 4;
  ExpectError([&] { model.fit(data.x[0], bad); }, {"4"});
  ExpectError([&] { model.fit(data, {.batch_size = 0}); }, {"batch_size is 0"});
  ExpectError([&] { model.fit(data, {.validation_split = 1.5}); }, {"validation_split"});
  ExpectError([&] { model.set_weights({}); }, {"weights"});
}

TEST(Errors, AModelTooBigForMemory) {
  ExpectError([] { Sequential({Input({1 << 20}), Dense(1 << 24)}); }, {"not enough memory", "TiB"});
}

TEST(Errors, NanIsTracedToItsLayer) {
  Model model = Sequential({Input({3}), Dense(4, {.name = "first"}), Dense(1, {.name = "second"})}, {.seed = 1});
  model.compile({.optimizer = "sgd", .loss = "mse"});
  Arrays weights = model.get_weights();
  weights[0].floats()[0] = 3e38f;
  model.set_weights(weights);
  const Array x({4, 3}, std::vector<float>(12, 100.0f)), y({4, 1});
  ExpectError([&] { model.fit(x, y, {.shuffle = false, .find_nan = true}); }, {"'first'", "forward"});
}

}  // namespace
}  // namespace ingot
