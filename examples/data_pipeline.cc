// SPDX-License-Identifier: MIT
//
// A data pipeline: digits shuffled anew for each epoch, shifted at random by threads of their own, scaled by statistics
// found in one pass, made ready while the model trains. What comes, and so what is learnt, does not depend on how many
// threads there are.
#include <ingot/ingot.h>

#include <cstdio>

using namespace ingot;

namespace {

Model Trained(int threads) {
  const Dataset digits = Digits(4000, /*seed=*/1);
  const Scaler scaler = StandardScaler::fit(digits);
  const Dataset train = digits.skip(500)
                            .shuffle(3500, /*seed=*/1)
                            .batch(100)
                            .map(random_shift(1, 1, {.seed = 1}), {.threads = threads})
                            .map(scaler)
                            .prefetch(4);
  const Dataset test = digits.take(500).batch(100).map(scaler);

  Model model = Sequential(
      {Input({28, 28, 1}), Flatten(), Dense(64, {.activation = "relu"}), Dense(10, {.activation = "softmax"})},
      {.seed = 1});
  model.compile({.optimizer = "adam", .loss = "sparse_categorical_crossentropy", .metrics = {"accuracy"}});
  const History history = model.fit(train, {.epochs = 8, .validation_data = test});
  std::printf("%d threads: accuracy on digits it has not seen %.3f\n", threads, history["val_accuracy"].back());
  return model;
}

}  // namespace

int main() {
  Model one = Trained(1), four = Trained(4);
  if (one.get_weights() != four.get_weights()) {
    std::puts("1 and 4 threads gave other weights");
    return 1;
  }
  std::puts("1 and 4 threads gave the same weights, to the bit");
  return one.evaluate(Digits(500, 1, 4000).batch(100).map(StandardScaler::fit(Digits(4000, 1))))["accuracy"] < 0.8;
}
