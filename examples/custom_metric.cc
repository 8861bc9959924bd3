// SPDX-License-Identifier: MIT
//
// A metric of one's own: Matthews's correlation coefficient, which cannot be had by betting on the larger class. A
// HostMetric sees each batch as plain numbers and adds it to a state of doubles, from which result() is computed: so
// the coefficient is that of all rows, not a mean over batches. It is followed in training and validation, and saved.
#include <ingot/ingot.h>

#include <cmath>
#include <cstdio>
#include <random>

using namespace ingot;

namespace {

// (tp tn - fp fn) / sqrt((tp + fp) (tp + fn) (tn + fp) (tn + fn)), 0 where that is 0 / 0. From -1 to 1; 0 is chance.
struct MatthewsMetric : HostMetric {
  float threshold;

  explicit MatthewsMetric(float threshold_ = 0.5f) : threshold(threshold_) { name = "matthews"; }
  std::string class_name() const override { return "Matthews"; }
  void fields(Fields& f) override { f("threshold", threshold); }

  int64_t state_doubles(const TensorSpec&) const override { return 4; }  // tn, fp, fn, tp
  void update(const Batch& batch, std::span<double> state) const override {
    for (size_t i = 0; i < batch.pred.size(); ++i) {
      const double weight = batch.weight.empty() ? 1 : static_cast<double>(batch.weight[i]);
      state[(batch.truth[i] > 0.5f ? 2 : 0) + (batch.pred[i] > threshold ? 1 : 0)] += weight;
    }
  }
  std::vector<double> result(std::span<const double> state) const override {
    const double tn = state[0], fp = state[1], fn = state[2], tp = state[3];
    const double square = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn);
    return {square > 0 ? (tp * tn - fp * fn) / std::sqrt(square) : 0};
  }
};

Metric Matthews(float threshold = 0.5f) { return MakeMetric<MatthewsMetric>(threshold); }

// Nine rows in ten are of class 0.
Dataset Rare(int64_t n, unsigned seed) {
  Array x({n, 2}), y({n, 1});
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  for (size_t i = 0; i < y.floats().size(); ++i) {
    y.floats()[i] = i % 10 == 0 ? 1.0f : 0.0f;
    for (size_t k = 0; k < 2; ++k) x.floats()[2 * i + k] = normal(random) + 2.5f * y.floats()[i];
  }
  return Dataset::from_arrays(x, y);
}

}  // namespace

int main() try {
  const Dataset train = Rare(2000, 1), test = Rare(1000, 2);
  Model model =
      Sequential({Input({2}), Dense(8, {.activation = "relu"}), Dense(1, {.activation = "sigmoid"})}, {.seed = 1});
  model.compile({.optimizer = Adam({.learning_rate = 0.01}),
                 .loss = "binary_crossentropy",
                 .metrics = {"accuracy", Matthews(0.4f)}});
  Arrays zeros = model.get_weights();
  const Arrays first = zeros;
  for (Array& w : zeros) w = Array(w.shape());
  zeros.back().floats()[0] = -2;
  model.set_weights(zeros);
  Logs logs = model.evaluate(test);
  std::printf("A model that always says class 0: accuracy %.2f, matthews %.2f\n", logs["accuracy"], logs["matthews"]);
  if (logs["matthews"] != 0) Fail("a constant model has the coefficient ", logs["matthews"], ", not 0");

  model.set_weights(first);
  const History history = model.fit(train, {.epochs = 10, .validation_data = test});
  logs = model.evaluate(test);
  std::printf("After 10 epochs:                  accuracy %.2f, matthews %.2f\n", logs["accuracy"], logs["matthews"]);
  if (!(logs["matthews"] > 0.8)) Fail("matthews is ", logs["matthews"], ", more than 0.8 was expected");
  if (history["val_matthews"].back() != logs["matthews"]) Fail("validation gave another value than evaluate");
  if (model.evaluate(test, 7)["matthews"] != logs["matthews"]) Fail("the value depends on the size of the batch");

  model.save("custom_metric.ingot");
  CustomObjects custom;
  custom.add<MatthewsMetric>();
  Model again = load_model("custom_metric.ingot", {.custom_objects = custom});
  std::remove("custom_metric.ingot");
  if (again.evaluate(test)["matthews"] != logs["matthews"]) Fail("the loaded model is measured otherwise");
  if (model.fit(train, {.epochs = 2})["matthews"] != again.fit(train, {.epochs = 2})["matthews"])
    Fail("the loaded model does not go on training as the saved one does");
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "custom_metric: %s\n", e.what());
  return 1;
}
