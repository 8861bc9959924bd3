// SPDX-License-Identifier: MIT
//
// fit, evaluate and predict over data with stages: to the bit what they are over plain arrays where both mean the same.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "ingot/data/data_test_util.h"
#include "ingot/ingot.h"
#include "ingot/tests/folder.h"
#include "ingot/train/feed.h"

namespace ingot {
namespace {

using testing::ErrorOf;
using testing::ExpectThreads;
using testing::ThreadsNow;

class FitDataset : public testing::InFolder {};

constexpr int64_t kRows = 37;

Dataset Points(bool weights = false) {
  Array x({kRows, 4}), y({kRows}, DType::kInt32), w({kRows});
  Random random({5, 0, 0});
  for (float& v : x.floats()) v = random.Uniform(-1, 1);
  for (int32_t& v : y.as<int32_t>()) v = static_cast<int32_t>(random.Below(3));
  for (float& v : w.floats()) v = random.Uniform(0, 2);
  return {{x}, {y}, weights ? w : Array()};
}

// The same rows, one after the other.
Dataset GeneratedPoints() {
  return Dataset::from_generator([data = Points()] {
    return [data, i = int64_t{0}](Sample& s) mutable {
      if (i == kRows) return false;
      s.x = {data.x[0].slice(i, i + 1).reshape({4})};
      s.y = {data.y[0].slice(i, i + 1).reshape({})};
      ++i;
      return true;
    };
  });
}

Model Small(uint64_t seed = 3) {
  Model model =
      Sequential({Input({4}), Dense(5, {.activation = "relu"}), Dropout(0.4), Dense(3, {.activation = "softmax"})},
                 {.seed = seed});
  model.compile({.optimizer = "adam", .loss = "sparse_categorical_crossentropy", .metrics = {"accuracy"}});
  return model;
}

const auto kNothing = [](Sample&) {};

std::vector<Dataset> AllTheSame() {
  return {Points().batch(8),
          Points().skip(0),  // batched by fit
          Points().map(kNothing),
          Points().map(kNothing).batch(8),
          Points().batch(8).map(kNothing),
          Points().map(kNothing, {.threads = 3}).batch(8).prefetch(2),
          Points().batch(8).prefetch(3),
          Points().map(kNothing).cache().batch(8),
          GeneratedPoints(),
          GeneratedPoints().batch(8).prefetch(2),
          GeneratedPoints().map(kNothing, {.threads = 2}).batch(8),
          GeneratedPoints().cache().batch(8)};
}

TEST_F(FitDataset, IsToTheBitWhatItIsOverArraysOnAnyThreads) {
  for (const FitOptions& o :
       {FitOptions{.batch_size = 8, .epochs = 3, .shuffle = false},
        FitOptions{.batch_size = 8, .epochs = 3, .shuffle = false, .class_weight = {{0, 2.0f}, {2, 0.5f}}},
        FitOptions{.batch_size = 8, .epochs = 3, .validation_data = Points(), .shuffle = false},
        FitOptions{.batch_size = 8, .epochs = 4, .shuffle = false, .steps_per_epoch = 3}}) {
    Model plain = Small();
    const History expected = plain.fit(Points(), o);
    size_t i = 0;
    for (const Dataset& data : AllTheSame()) {
      SCOPED_TRACE(Text("data set ", i++, ", ", data.str()));
      Model model = Small();
      const History got = model.fit(data, o);
      EXPECT_EQ(model.get_weights(), plain.get_weights());
      EXPECT_EQ(model.get_optimizer_state(), plain.get_optimizer_state());
      EXPECT_EQ(got.batch_loss, expected.batch_loss);
      EXPECT_EQ(got.history, expected.history);
      EXPECT_EQ(model.iterations(), plain.iterations());
    }
  }
}

TEST_F(FitDataset, WeightsOfSamplesComeAlong) {
  Model plain = Small(), model = Small();
  plain.fit(Points(true), {.batch_size = 8, .shuffle = false});
  model.fit(Points(true).map(kNothing).batch(8), {});
  EXPECT_EQ(model.get_weights(), plain.get_weights());
  Model without = Small();
  without.fit(Points(), {.batch_size = 8, .shuffle = false});
  EXPECT_NE(without.get_weights(), plain.get_weights());
}

TEST_F(FitDataset, EvaluatesAndPredictsOnAnyThreads) {
  Model model = Small();
  const Logs expected = model.evaluate(Points(), 8);
  const Array outputs = model.predict(Points().x[0], 8);
  for (const Dataset& data : AllTheSame()) {
    SCOPED_TRACE(data.str());
    EXPECT_EQ(model.evaluate(data, 8), expected);
    EXPECT_EQ(model.predict(data, 8), Arrays{outputs});
  }
  EXPECT_EQ(model.predict(Points(), 8), Arrays{outputs});
  const Dataset inputs = Points().map([](Sample& s) { s.y.clear(); });
  EXPECT_EQ(model.predict(inputs, 8), Arrays{outputs});
  EXPECT_NE(ErrorOf([&] { model.evaluate(inputs); }), "");
}

TEST_F(FitDataset, ValidatesOnStages) {
  Model plain = Small(), model = Small();
  const History a = plain.fit(Points(), {.batch_size = 8, .validation_data = Points(), .shuffle = false});
  const History b = model.fit(
      Points(),
      {.batch_size = 8, .validation_data = Points().map(kNothing, {.threads = 2}).batch(8), .shuffle = false});
  EXPECT_EQ(a.history, b.history);
}

// No batch is made of rows that lie in arrays: they are copied once, from there to where the plan reads them.
TEST_F(FitDataset, ThreadsLeaveRowsOfArraysWhereTheyLie) {
  const Dataset points = Points(true);
  Model model = Small();
  for (const Dataset& data : {points.skip(0), points.batch(8), points.shuffle(9).batch(8).prefetch(3),
                              points.shard(1, 2).batch(8).repeat()}) {
    SCOPED_TRACE(data.str());
    Feed feed(model.state(), data, 8, true, "test");
    auto reader = (data.stage()->batched() ? data : data.batch(8)).read();
    Sample expected;
    for (int64_t i = 0; i < 2 && reader.next(expected); ++i) {
      ASSERT_TRUE(feed.Go(0, i, 2));
      EXPECT_EQ(feed.data().x[0].data(), points.x[0].data());
      EXPECT_EQ(feed.data().sample_weight.data(), points.sample_weight.data());
      const Rows rows = feed.rows();
      EXPECT_EQ(std::vector<int64_t>(rows.order + rows.first, rows.order + rows.last), expected.indices);
    }
  }
  Feed made(model.state(), points.map(kNothing).batch(8), 8, true, "test");
  ASSERT_TRUE(made.Go(0, 0, 1));
  EXPECT_NE(made.data().x[0].data(), points.x[0].data());
}

// Each epoch has another order, and so has a second fit; two fits of an epoch are one of two.
TEST_F(FitDataset, ShufflesEachEpochAnew) {
  const Dataset data = Points().shuffle(kRows, 4).batch(8);
  std::vector<std::vector<int64_t>> orders;
  const auto note = [&](Sample& s) { orders.push_back(s.indices); };
  Model whole = Small(), parts = Small();
  whole.fit(data.map(note), {.epochs = 2});
  for (int i = 0; i < 2; ++i) parts.fit(data.map(note));
  EXPECT_EQ(whole.get_weights(), parts.get_weights());
  ASSERT_EQ(orders.size(), 20u);
  EXPECT_NE(orders[0], orders[5]);
  for (size_t i = 0; i < 10; ++i) EXPECT_EQ(orders[i], orders[10 + i]);
}

TEST_F(FitDataset, ThreadsDoNotReadBehindTheEnd) {
  std::atomic<int> calls = 0;
  Model model = Small();
  model.fit(Points().map([&](Sample&) { ++calls; }, {.threads = 4}).batch(8).prefetch(8), {.epochs = 2});
  EXPECT_EQ(calls, 2 * kRows);
}

TEST_F(FitDataset, AnEpochOfAStreamEndsWithIt) {
  Model model = Small();
  const History h = model.fit(GeneratedPoints().batch(10), {.epochs = 3});
  EXPECT_EQ(h.batch_loss.size(), 12u);
  EXPECT_EQ(h.epoch.size(), 3u);
  // A length that changes from pass to pass.
  auto pass = std::make_shared<int>(0);
  const Dataset growing = Dataset::from_generator([pass] {
    return [left = 8 * ++*pass](Sample& s) mutable {
      s.x = {Array({4})};
      s.y = {Array({}, {1})};
      return left-- > 0;
    };
  });
  EXPECT_EQ(Small().fit(growing, {.batch_size = 8, .epochs = 3}).batch_loss.size(), 6u);
}

TEST_F(FitDataset, RunsOverDataWithoutEnd) {
  Model plain = Small(), model = Small();
  plain.fit(Points(), {.batch_size = kRows, .epochs = 2, .shuffle = false, .steps_per_epoch = 3});
  model.fit(Points().batch(kRows).repeat(), {.epochs = 2, .steps_per_epoch = 3});
  EXPECT_EQ(model.get_weights(), plain.get_weights());
  EXPECT_NE(ErrorOf([&] { model.fit(Points().repeat()); }).find("steps_per_epoch"), std::string::npos);
  EXPECT_NE(ErrorOf([&] { model.evaluate(Points().repeat()); }).find("take"), std::string::npos);
  EXPECT_NE(ErrorOf([&] { model.predict(Points().repeat()); }).find("take"), std::string::npos);
}

// ---- Resuming.

std::vector<Dataset> Resumable() {
  const auto noise = [](Sample& s) {
    Random random({static_cast<uint64_t>(s.index), 1, static_cast<uint32_t>(s.epoch)});
    for (float& v : s.x[0].floats()) v += 0.1f * random.Uniform(-1, 1);
  };
  return {Points().shuffle(kRows, 2).batch(8), Points().shuffle(10, 2).map(noise, {.threads = 2}).batch(8).prefetch(2),
          GeneratedPoints().shuffle(12, 3).map(noise).batch(8), Points().shuffle(kRows).map(noise).repeat().batch(8)};
}

TEST_F(FitDataset, GoesOnInTheMiddleOfAnEpoch) {
  size_t which = 0;
  for (const Dataset& data : Resumable()) {
    const bool endless = which++ == 3;
    for (const int steps : {0, 3, 7}) {
      if (endless && !steps) continue;
      SCOPED_TRACE(Text(data.str(), ", steps_per_epoch ", steps));
      // Saved behind every step, and before every one.
      struct Saver : Callback {
        std::string to;
        int64_t n = 0;
        void Save(Model& m) { m.save(to + std::to_string(n++) + ".ingot"); }
        void on_train_batch_begin(Model& m, int64_t) override { Save(m); }
        void on_train_batch_end(Model& m, int64_t, const Logs&) override { Save(m); }
        void on_epoch_begin(Model& m, int) override { Save(m); }
        void on_epoch_end(Model& m, int, const Logs&) override { Save(m); }
      };
      auto saver = std::make_shared<Saver>();
      saver->to = path("p");
      Model whole = Small();
      const History expected = whole.fit(data, {.epochs = 3, .callbacks = {saver}, .steps_per_epoch = steps});
      ASSERT_GT(saver->n, 20);
      for (int64_t i = 0; i < saver->n; i += 3) {
        Model again = load_model(saver->to + std::to_string(i) + ".ingot");
        const History got = again.fit(
            data, {.epochs = 3, .callbacks = {std::make_shared<Callback>()}, .steps_per_epoch = steps, .resume = true});
        EXPECT_EQ(again.get_weights(), whole.get_weights()) << "from save " << i;
        EXPECT_EQ(got.batch_loss, expected.batch_loss) << "from save " << i;
      }
    }
  }
}

TEST_F(FitDataset, OtherStagesAreAnotherFit) {
  Model model = Small();
  struct Saver : Callback {
    std::string to;
    void on_train_batch_end(Model& m, int64_t, const Logs&) override { m.save(to); }
  };
  auto saver = std::make_shared<Saver>();
  saver->to = path("m.ingot");
  model.fit(Points().shuffle(10, 1).batch(8), {.callbacks = {saver}});
  Model again = load_model(saver->to);
  EXPECT_NE(ErrorOf([&] {
              again.fit(Points().shuffle(10, 2).batch(8), {.callbacks = {saver}, .resume = true});
            }).find("shuffle(10, 1)"),
            std::string::npos);
}

// ---- Errors, ends.

TEST_F(FitDataset, ErrorsHaveTheIndexAndLeaveNoThread) {
  Model model = Small();
  model.fit(Points(), {.batch_size = 8});  // the engine's own threads are there from now on
  const int before = ThreadsNow();
  for (const int threads : {0, 2}) {
    const Dataset bad = Points().shuffle(kRows, 1).map(
        [](Sample& s) {
          if (s.index == 21) throw std::runtime_error("unreadable");
        },
        {.threads = threads});
    const std::string epoch = std::to_string(model.iterations() / 5);
    EXPECT_EQ(ErrorOf([&] { model.fit(bad.batch(8)); }), "map: element 21 of epoch " + epoch + ": unreadable");
    EXPECT_NE(ErrorOf([&] { model.evaluate(bad.batch(8)); }).find("element 21"), std::string::npos);
    EXPECT_NE(ErrorOf([&] { model.predict(bad.batch(8)); }).find("element 21"), std::string::npos);
    ExpectThreads(before);
  }
}

TEST_F(FitDataset, EndingEarlyLeavesNoThread) {
  Model model = Small();
  model.fit(Points(), {.batch_size = 8});
  const int before = ThreadsNow();
  struct Stop : Callback {
    void on_train_batch_end(Model& m, int64_t batch, const Logs&) override { m.set_stop_training(batch == 1); }
  };
  const Dataset data =
      Points()
          .map([](Sample&) { std::this_thread::sleep_for(std::chrono::microseconds(100)); }, {.threads = 3})
          .batch(8)
          .prefetch(4)
          .repeat();
  model.fit(data, {.epochs = 5, .callbacks = {std::make_shared<Stop>()}, .steps_per_epoch = 1000});
  ExpectThreads(before);
}

TEST_F(FitDataset, WrongDataIsNamed) {
  Model model = Small();
  const auto fails = [&](const Dataset& data, const FitOptions& o = {}) {
    return ErrorOf([&] { model.fit(data, o); });
  };
  const std::string label = fails(Points().map([](Sample& s) { s.y[0].as<int32_t>()[0] += 5; }).batch(8));
  EXPECT_TRUE(label.starts_with("fit, batch 0 of pass 0 through the data: ")) << label;
  EXPECT_NE(fails(Points().map([](Sample& s) { s.x[0] = Array({5}); }).batch(8)), "");
  EXPECT_NE(fails(Points().map([](Sample& s) { s.y.clear(); }).batch(8)), "");
  EXPECT_NE(fails(Points().take(0).batch(8)), "");
  EXPECT_NE(fails(Dataset::from_generator([] { return [](Sample&) { return false; }; })), "");
  EXPECT_NE(fails(Points().batch(8), {.validation_split = 0.5}).find("validation_split"), std::string::npos);
  EXPECT_NE(fails(Points().batch(64, {.drop_remainder = true})), "");
  EXPECT_EQ(model.iterations(), 0);
}

}  // namespace
}  // namespace ingot
