// SPDX-License-Identifier: MIT
//
// The program of README.md, word for word; tests/check_readme holds the two together. It draws 25,000 digits, trains
// a small CNN on them, saves it, and loads it again.
//
// clang-format off
#include <ingot/ingot.h>
using namespace ingot;

int main() {
  const Dataset train = Digits(20000, /*seed=*/1), test = Digits(5000, 1, 20000);
  Model model = Sequential({
      Input({28, 28, 1}),
      Conv2D(64, {3, 3}, {.activation = "relu", .kernel_regularizer = L2(1e-3f)}),
      BatchNormalization(),
      MaxPooling2D({2, 2}),
      Flatten(),
      Dropout(0.5),
      Dense(10, {.activation = "softmax"}),
  });
  model.compile({.optimizer = Adam({.learning_rate = 1e-3}),
                 .loss = "sparse_categorical_crossentropy",
                 .metrics = {"accuracy"}});
  model.fit(train, {.batch_size = 128, .epochs = 5, .verbose = 1, .validation_data = test});
  model.save("digits.ingot");
  Model again = load_model("digits.ingot");  // ready to train on, optimizer and all
}
