// SPDX-License-Identifier: MIT
//
// Whose losses and metrics the logs are the means of: those of one batch, of one epoch, of one evaluation, whatever
// else the model does meanwhile.
#include <gtest/gtest.h>

#include "ingot/ingot.h"
#include "ingot/tests/folder.h"

namespace ingot {
namespace {

class LogsOf : public testing::InFolder {};

Array Drawn(const Shape& shape, uint64_t seed) {
  Array array(shape);
  Random random({seed, 0, 0});
  for (float& v : array.floats()) v = random.Uniform(-1, 1);
  return array;
}

Dataset Points(int64_t rows, uint64_t seed, int outputs = 1) {
  Dataset data{{Drawn({rows, 4}, seed)}, {}, {}};
  for (int i = 0; i < outputs; ++i) data.y.push_back(Drawn({rows, 1}, seed + 1 + static_cast<uint64_t>(i)));
  return data;
}

// Nothing is learnt, so that batches in any order have the same losses.
Model Still() {
  Model model = Sequential({Input({4}), Dense(1)}, {.seed = 3});
  model.compile({.optimizer = SGD({.learning_rate = 0}), .loss = "mse", .metrics = {"mae"}});
  return model;
}

Model TwoOutputs() {
  const InputTensor x = Input({4});
  return Model(Tensors{x}, Tensors{Dense(1, {.name = "a"})(x), Dense(1, {.name = "b"})(x)}, {.seed = 3});
}

// Calls a function behind each batch.
class EachBatch : public Callback {
 public:
  explicit EachBatch(std::function<void(Model&)> fn) : fn_(std::move(fn)) {}
  void on_train_batch_end(Model& model, int64_t, const Logs&) override { fn_(model); }

 private:
  std::function<void(Model&)> fn_;
};

TEST_F(LogsOf, ABatchAreItsOwn) {
  Model model = Still();
  const Dataset a = Points(8, 1), b = Points(4, 11);
  const Logs of_a = model.evaluate(a), of_b = model.evaluate(b);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(model.train_on_batch(a.x, a.y), of_a);
    EXPECT_EQ(model.test_on_batch(b.x, b.y), of_b);
    EXPECT_EQ(model.test_on_batch(a.x, a.y), of_a);
    EXPECT_EQ(model.train_on_batch(b.x, b.y), of_b);
  }
}

TEST_F(LogsOf, AnEpochAreItsOwnWhateverIsEvaluatedMeanwhile) {
  Model model = Still();
  const Dataset data = Points(8, 1), other = Points(4, 11);
  const FitOptions plain{.batch_size = 4, .epochs = 2, .shuffle = false};
  const History want = model.fit(data, plain);
  FitOptions busy = plain;
  busy.callbacks = {
      std::make_shared<EachBatch>([&](Model& m) { m.evaluate(other), m.test_on_batch(other.x, other.y); })};
  const History got = model.fit(data, busy);
  EXPECT_EQ(got.history, want.history);
  EXPECT_EQ(got.batch_loss, want.batch_loss);
}

// Plans come and go; what was added up stays.
TEST_F(LogsOf, AnEpochHoldEveryMetricThoughItsPlanIsGone) {
  Model model = Still();
  const Dataset data = Points(8, 1);
  FitOptions o{.batch_size = 4, .epochs = 2, .shuffle = false};
  const History want = model.fit(data, o);
  ASSERT_EQ(want.history.size(), 2u);
  for (const auto& [what, fn] : std::vector<std::pair<const char*, std::function<void(Model&)>>>{
           {"predictions for many batch sizes",
            [](Model& m) {
              for (int64_t n = 1; n <= 20; ++n) m.predict_on_batch({Array({n, 4})});
            }},
           {"frozen and thawed", [](Model& m) { m.set_trainable(true); }}}) {
    SCOPED_TRACE(what);
    o.callbacks = {std::make_shared<EachBatch>(fn)};
    EXPECT_EQ(model.fit(data, o).history, want.history);
  }
}

// A file says of which output a metric is; what was meant for all of them must not come back as one for each.
TEST_F(LogsOf, SeveralOutputsAreTheSameBehindAFile) {
  Model model = TwoOutputs();
  const Dataset data = Points(8, 1, 2);
  const auto hold = [&](const CompileOptions& options, size_t names) {
    model.compile(options);
    const Logs want = model.evaluate(data);
    EXPECT_EQ(want.size(), names);
    for (const char* name : {"m.ingot", "m.keras", "m.h5"}) {
      SCOPED_TRACE(name);
      model.save(path(name));
      const Logs got = load_model(path(name)).evaluate(data);
      ASSERT_EQ(got.size(), want.size());
      for (const auto& [key, value] : want) EXPECT_EQ(got[key], value) << key;
    }
  };
  hold({.loss = "mse", .metrics = {"mae", "mse"}, .weighted_metrics = {"mae"}}, 3u + 4u + 2u);
  hold({.loss = "mse", .output_metrics = {{"mae", "mse"}, {}}, .output_weighted_metrics = {{}, {"mae"}}}, 3u + 2u + 1u);
}

}  // namespace
}  // namespace ingot
