// SPDX-License-Identifier: MIT
//
// A layer of one's own: GatedDense, whose outputs are opened and closed by the input itself (a gated linear unit).
// The layer says its options, its weights and its forward part. Gradients follow from the operations, as the program
// shows by finite differences. Then it trains a model where an ordinary Dense cannot follow, saves and loads it.
#include <ingot/ingot.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <random>

using namespace ingot;

namespace {

// y = (x W + b) * sigmoid(x V + c)
struct GatedDenseLayer : UnaryLayer {
  int64_t units;
  VariablePtr kernel, bias, gate_kernel, gate_bias;

  explicit GatedDenseLayer(int64_t units_ = 1) : units(units_) {}

  std::string class_name() const override { return "GatedDense"; }
  void fields(Fields& f) override { f("units", units); }

  Shape build(const Shape& in) override {
    if (units <= 0) fail("units is ", units, ", a positive number was expected");
    if (in.rank() != 2) fail("takes inputs of 2 axes (batch, features), ", in, " came");
    if (!kernel) {  // build is called for each use of the layer; its weights are made once
      kernel = add_weight("kernel", {in.back(), units}, "glorot_uniform");
      bias = add_weight("bias", {units}, "zeros");
      gate_kernel = add_weight("gate_kernel", {in.back(), units}, "glorot_uniform");
      gate_bias = add_weight("gate_bias", {units}, "zeros");
    }
    if (in.back() != kernel->shape[0])
      fail("the input has ", in.back(), " features, the kernel expects ", kernel->shape[0]);
    return in.with(-1, units);
  }

  Value call(Graph& g, Value x) override {
    const Value y = g.Gemm(x, weight(g, kernel), false, false, weight(g, bias));
    const Value gate = g.Gemm(x, weight(g, gate_kernel), false, false, weight(g, gate_bias));
    return g.Multiply(y, Apply(g, Formula::kSigmoid, gate));
  }
};

Layer GatedDense(int64_t units, const std::string& name = "") { return MakeLayer<GatedDenseLayer>(name, units); }

// x0 where x1 is well above 0, nothing where it is well below.
Dataset Gated(int64_t n) {
  Array x({n, 2}), y({n, 1});
  std::mt19937 random(7);
  std::uniform_real_distribution<float> uniform(-1, 1);
  for (float& v : x.floats()) v = uniform(random);
  for (size_t i = 0; i < y.floats().size(); ++i)
    y.floats()[i] = x.floats()[2 * i] / (1 + std::exp(-8 * x.floats()[2 * i + 1]));
  return Dataset::from_arrays(x, y);
}

double LossOf(const Layer& layer, const Dataset& data) {
  Model model = Sequential({Input({2}), layer}, {.seed = 1});
  model.compile({.optimizer = Adam({.learning_rate = 0.05}), .loss = "mse"});
  return model.fit(data, {.batch_size = 64, .epochs = 40})["loss"].back();
}

// How far the gradient is from (loss(w + h) - loss(w - h)) / 2h, at its worst.
double GradientError(Model& model, const Dataset& data) {
  constexpr float kStep = 1e-2f;
  const Arrays weights = model.get_weights(), gradients = model.gradients(data.x, data.y).weights;
  double worst = 0;
  for (size_t k = 0; k < weights.size(); ++k) {
    for (size_t i = 0; i < weights[k].floats().size(); ++i) {
      double loss[2];
      for (const int side : {0, 1}) {
        Arrays moved = weights;
        moved[k] = weights[k].copy();
        moved[k].floats()[i] += side ? kStep : -kStep;
        model.set_weights(moved);
        loss[side] = model.evaluate(data, 256)["loss"];
      }
      const double slope = (loss[1] - loss[0]) / (2 * static_cast<double>(kStep));
      worst = std::max(worst, std::fabs(slope - static_cast<double>(gradients[k].floats()[i])));
    }
  }
  model.set_weights(weights);
  return worst;
}

}  // namespace

int main() try {
  const Dataset data = Gated(1024);
  const double dense = LossOf(Dense(1), data), gated = LossOf(GatedDense(1), data);
  std::printf("Loss after 40 epochs: Dense %.5f, GatedDense %.5f\n", dense, gated);
  if (!(gated < dense / 20)) Fail("GatedDense was to reach a twentieth of the loss of Dense");

  Model model = Sequential({Input({2}), GatedDense(8), Dense(1)}, {.seed = 2});
  model.compile({.optimizer = "adam", .loss = "mse"});
  const double error = GradientError(model, data.slice(0, 256));
  std::printf("Gradients differ from finite differences by %.1e at most\n", error);
  if (!(error < 1e-4)) Fail("the gradients are not the slopes of the loss");

  const FitOptions epochs{.batch_size = 64, .epochs = 5};
  model.fit(data, epochs);
  model.save("custom_layer.ingot");
  CustomObjects custom;
  custom.add<GatedDenseLayer>();
  Model again = load_model("custom_layer.ingot", {.custom_objects = custom});
  std::remove("custom_layer.ingot");
  if (model.predict(data.x[0]) != again.predict(data.x[0])) Fail("the loaded model predicts otherwise");

  const double saved = model.fit(data, epochs)["loss"].back(), loaded = again.fit(data, epochs)["loss"].back();
  std::printf("Loss of 5 more epochs: the saved model %.8f, the loaded model %.8f\n", saved, loaded);
  if (saved != loaded) Fail("the loaded model does not go on training as the saved one does");
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "custom_layer: %s\n", e.what());
  return 1;
}
