// SPDX-License-Identifier: MIT
//
// Models in several threads at once: trained, each its own; made and dropped while others train; one predicting from
// many threads over the same weights. What comes out has the bits that one thread alone gives. Under TSan these tests
// show that nothing is shared that must not be.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <functional>
#include <nlohmann/json.hpp>
#include <thread>

#include "ingot/core/random.h"
#include "ingot/io/keras_config.h"
#include "ingot/layers/layers.h"
#include "ingot/optim/optimizers.h"
#include "ingot/tests/fixture.h"
#include "ingot/train/model.h"

namespace ingot {
namespace {

constexpr int kThreads = 4;

// f(0), f(1), ... each on a thread of its own, all at once.
void Together(int n, const std::function<void(int)>& f) {
  std::atomic<int> waiting{n};
  std::vector<std::thread> threads;
  for (int i = 0; i < n; ++i)
    threads.emplace_back([&, i] {
      --waiting;
      while (waiting.load() > 0) std::this_thread::yield();
      f(i);
    });
  for (std::thread& t : threads) t.join();
}

// Something of everything that keeps state or draws numbers, and a branch.
Model Small(uint64_t seed) {
  InputTensor in = Input({8, 8, 2});
  Tensor x = Conv2D(4, {3, 3}, {.padding = "SAME", .activation = "relu", .kernel_regularizer = L2(1e-3f)})(in);
  x = BatchNormalization()(x);
  x = Add()({x, DepthwiseConv2D({3, 3}, {.padding = "same"})(x)});
  x = Dropout(0.3)(GlobalAveragePooling2D()(MaxPooling2D({2, 2}, {.padding = "Same"})(x)));
  x = LayerNormalization()(Dense(16, {.activation = "gelu"})(x));
  return Model({in}, {Dense(3, {.activation = "softmax"})(x)}, {.seed = seed});
}

Dataset Rows(int64_t n) {
  Array x({n, 8, 8, 2}), y({n}, DType::kInt32);
  Random random({21, 0, 0});
  for (float& v : x.floats()) v = random.Normal();
  for (int32_t& v : y.as<int32_t>()) v = static_cast<int32_t>(random.Below(3));
  return Dataset::from_arrays(x, y);
}

// Large enough that a step is cut into tiles, so that models meet in the pool.
const Dataset& Data() {
  static const Dataset data = Rows(150);
  return data;
}

const CompileOptions& Compile() {
  static const CompileOptions options{
      .optimizer = Adam({.learning_rate = 1e-2}), .loss = "sparse_categorical_crossentropy", .metrics = {"accuracy"}};
  return options;
}

Arrays Trained(uint64_t seed) {
  Model model = Small(seed);
  model.compile(Compile());
  model.fit(Data(), {.batch_size = 64, .epochs = 2, .validation_split = 0.2, .class_weight = {{1, 2.0f}}});
  return model.get_weights();
}

bool Same(const Arrays& a, const Arrays& b) {
  bool same = a.size() == b.size();
  for (size_t i = 0; same && i < a.size(); ++i)
    same = a[i].bytes() == b[i].bytes() && std::memcmp(a[i].data(), b[i].data(), a[i].bytes()) == 0;
  return same;
}

TEST(Threads, ModelsTrainApart) {
  std::vector<Arrays> want, got(kThreads);
  for (int i = 0; i < kThreads; ++i) want.push_back(Trained(static_cast<uint64_t>(i)));
  Together(kThreads, [&](int i) { got[static_cast<size_t>(i)] = Trained(static_cast<uint64_t>(i)); });
  for (size_t i = 0; i < kThreads; ++i) EXPECT_TRUE(Same(got[i], want[i])) << "model " << i;
}

TEST(Threads, ModelsComeAndGoWhileOthersTrain) {
  const Arrays want = Trained(7);
  std::atomic<int> wrong{0}, made{0};
  Together(kThreads, [&](int i) {
    if (i < 2) {
      wrong += !Same(Trained(7), want);
      return;
    }
    for (int k = 0; k < 20; ++k) {
      Model model = k % 2 ? Small(1) : Sequential({Dense(4, {.activation = "relu"}), Dropout(0.5), Dense(3)});
      model.compile({.optimizer = k % 3 ? "sgd" : "adam", .loss = k % 2 ? "sparse_categorical_crossentropy" : "mse"});
      if (k % 2)
        model.train_on_batch({Data().x[0].slice(0, 4)}, {Data().y[0].slice(0, 4)});
      else
        model.train_on_batch({Array({5, 6})}, {Array({5, 3})});
      model.summary();
      ++made;
    }
  });
  EXPECT_EQ(wrong.load(), 0);
  EXPECT_EQ(made.load(), 2 * 20);
}

// Predictors are made and first used at the same moment, so their plans are made side by side too.
TEST(Threads, PredictorsShareWeights) {
  Model model = Small(3);
  const Array& x = Data().x[0];
  const int64_t sizes[] = {1, 7, 150, 64};
  std::vector<Array> want;
  for (const int64_t n : sizes) want.push_back(model.predict_on_batch({x.slice(0, n)})[0]);
  std::atomic<int> wrong{0};
  Together(2 * kThreads, [&](int i) {
    Predictor predictor = model.predictor();
    for (int round = 0; round < 8; ++round) {
      const size_t k = static_cast<size_t>(round + i) % std::size(sizes);
      wrong += !Same(predictor.predict_on_batch({x.slice(0, sizes[k])}), {want[k]});
    }
  });
  EXPECT_EQ(wrong.load(), 0);
}

// Images of any size: each thread brings its own, and plans differ.
TEST(Threads, PredictorsOfAnySize) {
  InputTensor in = Input({kNone, kNone, 1});
  Model model({in}, {GlobalMaxPooling2D()(UpSampling2D(2)(Conv2D(3, {2, 2}, {.padding = "Same"})(in)))}, {.seed = 4});
  std::vector<Array> x, want;
  for (int i = 0; i < kThreads; ++i) {
    x.push_back(Array({2, 3 + i, 9 - i, 1}, std::vector<float>(static_cast<size_t>(2 * (3 + i) * (9 - i)), 0.5f)));
    want.push_back(model.predict_on_batch({x.back()})[0]);
  }
  std::atomic<int> wrong{0};
  Together(kThreads, [&](int i) {
    Predictor predictor = model.predictor();
    for (int round = 0; round < 6; ++round) {
      const size_t k = static_cast<size_t>(i + round) % x.size();
      wrong += !Same(predictor.predict_on_batch({x[k]}), {want[k]});
    }
  });
  EXPECT_EQ(wrong.load(), 0);
}

// Every layer there is: what a layer does when a plan is made must not disturb another plan being made.
TEST(Threads, PredictorsOfEveryLayer) {
  const testing::Golden golden("layers");
  for (const Json& c : golden.cases()) {
    Model model(NetworkFromConfig(c["config"]), {.seed = 1});
    const Arrays x = golden.list(c, "x"), want = model.predict_on_batch(x);
    std::atomic<int> wrong{0};
    Together(2, [&](int) { wrong += !Same(model.predictor().predict_on_batch(x), want); });
    EXPECT_EQ(wrong.load(), 0) << c["name"];
  }
}

TEST(Threads, ModelsAreSavedAndLoadedApart) {
  std::atomic<int> wrong{0};
  Together(kThreads, [&](int i) {
    const std::string path =
        ::testing::TempDir() + "threads_" + std::to_string(getpid()) + "_" + std::to_string(i) + ".ingot";
    Model model = Small(static_cast<uint64_t>(i));
    model.compile(Compile());
    for (int k = 0; k < 3; ++k) {
      model.train_on_batch({Data().x[0].slice(0, 16)}, {Data().y[0].slice(0, 16)});
      model.save(path);
      Model again = load_model(path);
      wrong += !Same(model.get_weights(), again.get_weights());
      model = clone_model(again, {.seed = 1});
      model.compile(Compile());
    }
    std::remove(path.c_str());
  });
  EXPECT_EQ(wrong.load(), 0);
}

// Seeds of models that have none are handed out, each once.
TEST(Threads, SeedsDiffer) {
  std::vector<uint64_t> seeds(kThreads * 8);
  Together(kThreads, [&](int i) {
    for (int k = 0; k < 8; ++k) seeds[static_cast<size_t>(8 * i + k)] = Sequential({Input({2}), Dense(1)}).seed();
  });
  std::sort(seeds.begin(), seeds.end());
  EXPECT_EQ(std::adjacent_find(seeds.begin(), seeds.end()), seeds.end());
}

}  // namespace
}  // namespace ingot
