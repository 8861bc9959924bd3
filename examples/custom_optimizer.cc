// SPDX-License-Identifier: MIT
//
// An optimizer of one's own: Signum, signSGD with momentum (Bernstein et al., 2018), which goes the same distance in
// every direction, whatever the size of the gradient. It names its slot; the engine keeps it with the model, saves it,
// and does weight decay, clipping, averages and learning rate schedules around the update, as for Keras's optimizers.
#include <ingot/ingot.h>

#include <algorithm>
#include <cstdio>

using namespace ingot;

namespace {

// m <- beta m + (1 - beta) g
// w <- w - lr sign(m)
struct SignumDef : HostOptimizer {
  float beta = 0.9f;

  explicit SignumDef(const LearningRate& rate = 1e-3) { learning_rate = rate; }
  std::string class_name() const override { return "Signum"; }
  void fields(Fields& f) override { f("beta", beta); }
  void check() const override {
    if (!(beta >= 0 && beta < 1)) Fail("optimizer Signum: beta is ", beta, ", a number from 0 up to 1 was expected");
  }

  std::vector<SlotSpec> slots() const override { return {{.name = "momentum"}}; }
  // Of one variable, within a training step: allocates nothing, throws nothing.
  void update(std::span<float> w, std::span<const float> g, std::span<float* const> slots, float lr,
              int64_t) const override {
    float* m = slots[0];
    for (size_t i = 0; i < w.size(); ++i) {
      m[i] = beta * m[i] + (1 - beta) * g[i];
      w[i] -= lr * static_cast<float>((m[i] > 0) - (m[i] < 0));
    }
  }
};

Optimizer Signum(const LearningRate& rate) { return Optimizer(std::make_shared<SignumDef>(rate)); }

}  // namespace

int main() try {
  const Dataset train = Digits(4000, 1), test = Digits(1000, 1, 4000);
  Model model = Sequential(
      {Input({28, 28, 1}), Flatten(), Dense(32, {.activation = "relu"}), Dense(10, {.activation = "softmax"})},
      {.seed = 1});
  model.compile({.optimizer = Signum(CosineDecay(1e-3, 1250)),
                 .loss = "sparse_categorical_crossentropy",
                 .metrics = {"accuracy"}});

  const Arrays before = model.get_weights();
  model.train_on_batch({train.x[0].slice(0, 32)}, {train.y[0].slice(0, 32)});
  const double moved = static_cast<double>(before[2].floats()[0] - model.get_weights()[2].floats()[0]);
  std::printf("The first step moved a weight by %.6f\n", moved);
  if (!(std::abs(moved) < 1.0001e-3)) Fail("the first step moved a weight by ", moved, ", more than the learning rate");

  model.fit(train, {.epochs = 8});
  const double accuracy = model.evaluate(test)["accuracy"];
  std::printf("Accuracy on unseen digits after 8 epochs: %.1f %%\n", 100 * accuracy);
  if (!(accuracy > 0.7)) Fail("accuracy ", accuracy, ", more than 0.7 was expected");

  model.save("custom_optimizer.ingot");
  CustomObjects custom;
  custom.add<SignumDef>();
  Model again = load_model("custom_optimizer.ingot", {.custom_objects = custom});
  std::remove("custom_optimizer.ingot");
  if (model.predict(test.x) != again.predict(test.x)) Fail("the loaded model predicts otherwise");

  // Momentum and the place in the schedule were saved, too: both go the same way to the last bit.
  model.fit(train, {.epochs = 2});
  again.fit(train, {.epochs = 2});
  if (model.get_weights() != again.get_weights()) Fail("the loaded model does not go on as the saved one does");
  std::printf("Saved, loaded and trained on: the same weights, bit for bit, after %lld steps\n",
              static_cast<long long>(again.iterations()));
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "custom_optimizer: %s\n", e.what());
  return 1;
}
