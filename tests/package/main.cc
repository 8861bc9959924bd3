// SPDX-License-Identifier: MIT
//
// What a program outside ingot needs to train a model: ten lines.
#include <ingot/ingot.h>

#include <cstdio>

int main() {
  using namespace ingot;
  Model model = Sequential({Input({28, 28, 1}), Flatten(), Dense(10, {.activation = "softmax"})});
  model.compile({.optimizer = "adam", .loss = "sparse_categorical_crossentropy", .metrics = {"accuracy"}});
  const History history = model.fit(Digits(2000, 1), {.epochs = 3});
  std::printf("accuracy %.3f\n", history["accuracy"].back());
  return history["accuracy"].back() > 0.5 ? 0 : 1;
}
