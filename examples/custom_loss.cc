// SPDX-License-Identifier: MIT
//
// A loss of one's own: the pinball loss, with which a model learns a quantile instead of the mean. It is a class,
// because its option is to be saved with the model. Two models learn the 10 % and 90 % quantiles of noise that grows
// with x, so that between them lie 80 % of all targets.
#include <ingot/ingot.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <random>

using namespace ingot;

namespace {

// The mean over the last axis of max(q d, (q - 1) d), d = truth - pred.
struct PinballLoss : LossDef {
  float quantile;

  explicit PinballLoss(float q = 0.5f) : quantile(q) {
    name = "pinball";
    if (!(q > 0 && q < 1)) fail("quantile is ", q, ", a number between 0 and 1 was expected");
  }
  std::string class_name() const override { return "Pinball"; }
  void fields(Fields& f) override { f("quantile", quantile); }

  Value call(Graph& g, Value truth, Value pred) const override {
    const Value d = g.Subtract(g.Cast(truth), pred);
    const Value above = g.Multiply(d, g.Scalar(quantile)), below = g.Multiply(d, g.Scalar(quantile - 1));
    return g.Reduce(ReduceOp::kMean, g.Binary(BinaryOp::kMaximum, above, below), std::array{-1}, false);
  }
};

Loss Pinball(float quantile) { return MakeLoss<PinballLoss>(quantile); }

Dataset Fan(int64_t n) {
  Array x({n, 1}), y({n});
  std::mt19937 random(5);
  std::uniform_real_distribution<float> uniform(0, 1);
  std::normal_distribution<float> normal;
  for (size_t i = 0; i < y.floats().size(); ++i) {
    x.floats()[i] = uniform(random);
    y.floats()[i] = x.floats()[i] + (0.1f + 0.5f * x.floats()[i]) * normal(random);
  }
  return Dataset::from_arrays(x, y);
}

// The share of targets below what the model says, among those with x in [from, from + 0.5).
double Below(Model& model, const Dataset& data, float from) {
  const Array pred = model.predict(data.x[0], 256);
  double below = 0, rows = 0;
  for (size_t i = 0; i < pred.floats().size(); ++i) {
    if (data.x[0].floats()[i] < from || data.x[0].floats()[i] >= from + 0.5f) continue;
    below += data.y[0].floats()[i] < pred.floats()[i];
    ++rows;
  }
  return below / rows;
}

}  // namespace

int main() try {
  const Dataset data = Fan(4096);
  CustomObjects custom;
  custom.add<PinballLoss>();
  for (const float quantile : {0.1f, 0.9f}) {
    Model model = Sequential({Input({1}), Dense(16, {.activation = "relu"}), Dense(1)}, {.seed = 1});
    model.compile({.optimizer = Adam({.learning_rate = 0.005}), .loss = Pinball(quantile)});
    model.fit(data, {.batch_size = 128, .epochs = 20});
    for (const float from : {0.0f, 0.5f}) {
      const double below = Below(model, data, from), want = static_cast<double>(quantile);
      std::printf("Quantile %.1f: %.1f %% of the targets with x from %.1f lie below\n", want, 100 * below,
                  static_cast<double>(from));
      if (!(std::fabs(below - want) < 0.03)) Fail(below, " of the targets lie below the quantile ", quantile);
    }

    model.save("custom_loss.ingot");
    Model again = load_model("custom_loss.ingot", {.custom_objects = custom});  // its quantile is in the file
    std::remove("custom_loss.ingot");
    if (model.predict(data.x[0]) != again.predict(data.x[0])) Fail("the loaded model predicts otherwise");
    if (model.fit(data, {.epochs = 2})["loss"] != again.fit(data, {.epochs = 2})["loss"])
      Fail("the loaded model does not go on training as the saved one does");
  }
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "custom_loss: %s\n", e.what());
  return 1;
}
