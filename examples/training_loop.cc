// SPDX-License-Identifier: MIT
//
// A training loop of one's own: sharpness-aware minimization (Foret et al., 2021). Each step asks for the gradient
// twice: at the weights w, and at w + rho g / |g|, where the loss of the batch is about the worst nearby. The second
// one is applied to w. What is learned so holds better on data never seen. model.gradients() computes a gradient,
// apply_gradients() runs the compiled optimizer with whatever it is given.
#include <ingot/ingot.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

using namespace ingot;

namespace {

Model Classifier() {
  Model model = Sequential(
      {Input({28, 28, 1}), Flatten(), Dense(32, {.activation = "relu"}), Dense(10, {.activation = "softmax"})},
      {.seed = 1});
  model.compile({.optimizer = SGD({.learning_rate = 0.05, .momentum = 0.5}),
                 .loss = "sparse_categorical_crossentropy",
                 .metrics = {"accuracy"}});
  return model;
}

double Norm(const Arrays& arrays) {
  double sum = 0;
  for (const Array& a : arrays)
    for (const float v : a.floats()) sum += static_cast<double>(v) * static_cast<double>(v);
  return std::sqrt(sum);
}

// a + scale b
Arrays Sum(const Arrays& a, float scale, const Arrays& b) {
  Arrays sum;
  for (size_t k = 0; k < a.size(); ++k) {
    sum.push_back(a[k].copy());
    for (size_t i = 0; i < a[k].floats().size(); ++i) sum[k].floats()[i] += scale * b[k].floats()[i];
  }
  return sum;
}

// One step; gives the loss at the weights as they were.
double SharpnessAwareStep(Model& model, const Dataset& batch, float rho) {
  const Arrays weights = model.get_weights();
  const Gradients here = model.gradients(batch.x, batch.y);
  model.set_weights(Sum(weights, rho / static_cast<float>(Norm(here.weights) + 1e-12), here.weights));
  const Gradients worst = model.gradients(batch.x, batch.y);
  model.set_weights(weights);
  model.apply_gradients(worst.weights);
  return here.loss;
}

void Train(Model& model, const Dataset& data, int epochs, float rho) {
  constexpr int64_t kBatch = 50;
  double loss = 0;
  for (int epoch = 0; epoch < epochs; ++epoch) {
    loss = 0;
    for (int64_t first = 0; first < data.rows(); first += kBatch)
      loss += SharpnessAwareStep(model, data.slice(first, first + kBatch), rho);
  }
  std::printf("The last epoch, of %d: loss %.4f\n", epochs, loss * kBatch / static_cast<double>(data.rows()));
}

}  // namespace

int main() try {
  const Dataset train = Digits(2000, 1), test = Digits(2000, 1, 2000);

  // gradients and apply_gradients are train_on_batch in two halves.
  Model one = Classifier(), two = Classifier();
  const Dataset batch = train.slice(0, 50);
  for (int step = 0; step < 3; ++step) {
    one.train_on_batch(batch.x, batch.y);
    two.apply_gradients(two.gradients(batch.x, batch.y).weights);
  }
  if (one.get_weights() != two.get_weights()) Fail("three steps in halves are not three steps");

  Model plain = Classifier(), aware = Classifier();
  plain.fit(train, {.batch_size = 50, .epochs = 20, .shuffle = false});
  Train(aware, train, 20, 0.1f);
  const Logs by_fit = plain.evaluate(test), by_loop = aware.evaluate(test);
  std::printf("On unseen digits, by fit:  loss %.4f, accuracy %.1f %%\n", by_fit["loss"], 100 * by_fit["accuracy"]);
  std::printf("On unseen digits, by loop: loss %.4f, accuracy %.1f %%\n", by_loop["loss"], 100 * by_loop["accuracy"]);
  if (!(by_loop["loss"] < by_fit["loss"])) Fail("sharpness-aware steps were to give the lower loss on unseen digits");

  aware.save("training_loop.ingot");
  Model again = load_model("training_loop.ingot");  // the momentum of apply_gradients was saved, too
  std::remove("training_loop.ingot");
  Train(aware, train, 1, 0.1f);
  Train(again, train, 1, 0.1f);
  if (aware.get_weights() != again.get_weights()) Fail("the loaded model does not go on as the saved one does");
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "training_loop: %s\n", e.what());
  return 1;
}
