// SPDX-License-Identifier: MIT
//
// Two activations of one's own. QuickGELU is made of Graph operations, and its gradient follows. Binarize is a plain
// function over floats with a gradient that no operation would give it: the straight-through estimator, by which
// networks with activations of -1 and 1 are trained. Both train on digits, are saved, loaded and go on.
#include <ingot/ingot.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

using namespace ingot;

namespace {

// x sigmoid(1.702 x), within 0.021 of gelu.
Activation QuickGelu() {
  return {"quick_gelu", [](Graph& g, Value x) {
            return g.Multiply(x, Apply(g, Formula::kSigmoid, g.Multiply(x, g.Scalar(1.702f))));
          }};
}

// 1 where x > 0, else -1. Kernels run within a training step: they allocate nothing and throw nothing.
void BinarizeKernel(const Call& call, const void*) {
  const Operand &x = call.in[0], &y = call.out[0];
  for (int64_t i = 0; i < x.count(); ++i) y.f()[i] = x.f()[i] > 0 ? 1.0f : -1.0f;
}

// Its slope is 0 nearly everywhere. Taken instead: that of x for |x| <= 1.
void BinarizeGradKernel(const Call& call, const void*) {
  const Operand &x = call.in[0], &dy = call.in[1], &dx = call.out[0];
  for (int64_t i = 0; i < x.count(); ++i) dx.f()[i] = std::fabs(x.f()[i]) <= 1 ? dy.f()[i] : 0.0f;
}

Activation Binarize() {
  return {"binarize", [](Graph& g, Value x) {
            return g.Custom(std::array{x}, {g.shape(x)}, {BinarizeKernel, nullptr}, [x](Graph& b, Value dy) {
              b.AddGrad(x, b.Custom(std::array{x, dy}, {b.shape(x)}, {BinarizeGradKernel, nullptr}));
            });
          }};
}

void Train(const Activation& activation, const Dataset& data, const CustomObjects& custom) {
  Model model = Sequential(
      {Input({28, 28, 1}), Flatten(), Dense(64, {.activation = activation}), Dense(10, {.activation = "softmax"})},
      {.seed = 1});
  model.compile({.optimizer = "adam", .loss = "sparse_categorical_crossentropy", .metrics = {"accuracy"}});
  const double accuracy = model.fit(data, {.epochs = 10})["accuracy"].back();
  std::printf("%s: accuracy %.1f %%\n", activation.name().c_str(), 100 * accuracy);
  if (!(accuracy > 0.85)) Fail("accuracy ", accuracy, ", more than 0.85 was expected");

  model.save("custom_activation.ingot");
  Model again = load_model("custom_activation.ingot", {.custom_objects = custom});
  std::remove("custom_activation.ingot");
  if (model.predict(data.x[0]) != again.predict(data.x[0])) Fail("the loaded model predicts otherwise");
  if (model.fit(data, {.epochs = 2})["loss"] != again.fit(data, {.epochs = 2})["loss"])
    Fail("the loaded model does not go on training as the saved one does");
}

}  // namespace

int main() try {
  const Array x({1, 5}, std::vector<float>{-2, -0.5f, 0, 0.5f, 2});
  Model alone = Sequential({Input({5}), ActivationLayer(QuickGelu())});
  const Array y = alone.predict(x);
  for (size_t i = 0; i < 5; ++i) {
    const float v = x.floats()[i], want = v / (1 + std::exp(-1.702f * v));
    std::printf("quick_gelu(%4.1f) = %7.4f\n", static_cast<double>(v), static_cast<double>(y.floats()[i]));
    if (!(std::fabs(y.floats()[i] - want) < 1e-6f)) Fail("quick_gelu(", v, ") is ", y.floats()[i], ", not ", want);
  }

  CustomObjects custom;
  custom.add("quick_gelu", QuickGelu()).add("binarize", Binarize());
  const Dataset data = Digits(2000, 1);
  Train(QuickGelu(), data, custom);
  Train(Binarize(), data, custom);
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "custom_activation: %s\n", e.what());
  return 1;
}
