// SPDX-License-Identifier: MIT
//
// Transfer learning. A model learned the digits 0 to 4; of 5 to 9 there are few. So it is loaded, its head is cut off,
// what is left is frozen, a new head is trained on top of it, and in the end all of it, slowly.
#include <ingot/ingot.h>

#include <algorithm>
#include <cstdio>

using namespace ingot;

namespace {

// `n` digits of the five classes from `from` on, which are then called 0 to 4.
Dataset Five(int32_t from, int64_t n, uint64_t seed) {
  const Dataset all = Digits(4 * n, seed);
  const auto labels = all.y[0].as<int32_t>();
  Array x({n, 28, 28, 1}), y({n}, DType::kInt32);
  int64_t rows = 0;
  for (int64_t i = 0; i < all.rows() && rows < n; ++i) {
    if (labels[i] < from || labels[i] >= from + 5) continue;
    std::ranges::copy(all.x[0].floats().subspan(i * 784, 784), x.floats().subspan(rows * 784).begin());
    y.as<int32_t>()[rows++] = labels[i] - from;
  }
  return Dataset{{x}, {y}, {}};
}

Model Classifier(const std::string& head, uint64_t seed) {
  return Sequential(
      {Input({28, 28, 1}), Conv2D(8, {3, 3}, {.strides = 2, .activation = "relu"}),
       Conv2D(16, {3, 3}, {.strides = 2, .activation = "relu"}), Flatten(),
       Dense(32, {.activation = "relu", .name = "feat"}), Dense(5, {.activation = "softmax", .name = head})},
      {.seed = seed});
}

CompileOptions Slowly(double learning_rate) {
  return {.optimizer = Adam({.learning_rate = learning_rate}),
          .loss = "sparse_categorical_crossentropy",
          .metrics = {"accuracy"}};
}

}  // namespace

int main() try {
  Model old = Classifier("zero_to_four", 1);
  old.compile(Slowly(3e-3));
  old.fit(Five(0, 1500, 1), {.epochs = 3});
  old.save("transfer.ingot");

  // The model without its head. `trainable` takes effect at once, and base stays a layer that can be thawed.
  const Model loaded = load_model("transfer.ingot");
  const Model base(loaded.inputs(), loaded.get_layer("feat").output());
  base.set_trainable(false);
  const InputTensor image = Input({28, 28, 1});
  Model model(image, Dense(5, {.activation = "softmax", .name = "five_to_nine"})(base(image)), {.seed = 2});

  const Dataset few = Five(5, 200, 2), test = Five(5, 1000, 3);
  model.compile(Slowly(1e-2));
  model.fit(few, {.epochs = 10});
  const double before = model.evaluate(test)["accuracy"];

  base.set_trainable(true);
  model.compile(Slowly(1e-3));
  model.fit(few, {.epochs = 10});
  const double after = model.evaluate(test)["accuracy"];
  std::printf("200 digits of new classes: %.1f %% right with a new head, %.1f %% fine-tuned\n", 100 * before,
              100 * after);

  // The same beginning in one call, where the program makes the model itself: all that matches is loaded.
  Model again = Classifier("five_to_nine", 3);
  for (const std::string& skipped : again.load_weights("transfer.ingot", {.skip_mismatch = true}))
    std::printf("  %s\n", skipped.c_str());
  std::remove("transfer.ingot");
  if (!(again.get_layer("feat").variables()[0]->shape == Shape{576, 32})) Fail("the features are others");
  if (after <= before) Fail("fine-tuning made it no better: ", after, " after ", before);
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "transfer: %s\n", e.what());
  return 1;
}
