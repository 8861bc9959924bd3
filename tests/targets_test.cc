// SPDX-License-Identifier: MIT
//
// The CNN of docs/design.md, trained: the same bits on any number of threads and each time, and agreement of every
// SIMD target that this machine has.
#include "ingot/kernels/cpu/targets.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "ingot/core/threads.h"
#include "ingot/data/digits.h"
#include "ingot/layers/layers.h"
#include "ingot/optim/optimizers.h"
#include "ingot/train/model.h"
#include "ingot/train/trainer.h"

namespace ingot {
namespace {

constexpr int kSteps = 20;
constexpr int64_t kBatch = 32;
constexpr double kRate = 1e-3;
// Of AVX3, AVX2 and scalar code the largest differences seen are 1e-6, 9e-5 and 6e-5.
constexpr double kGradientBound = 1e-5, kLossBound = 1e-3, kWeightBound = 1e-3;

Model Cnn() {
  return Sequential(
      {
          Input({28, 28, 1}),
          Conv2D(64, {3, 3}, {.activation = "relu", .kernel_regularizer = L2(1e-3f)}),
          BatchNormalization(),
          MaxPooling2D({2, 2}),
          Conv2D(32, {3, 3}, {.activation = "relu", .kernel_regularizer = L2(1e-3f)}),
          BatchNormalization(),
          MaxPooling2D({2, 2}),
          Flatten(),
          Dropout(0.5),
          Dense(10, {.activation = "softmax"}),
      },
      {.seed = 1});
}

const Dataset& Data() {
  static const Dataset data = Digits(4 * kBatch, 3);
  return data;
}

struct Outcome {
  Arrays weights;
  std::vector<double> losses;
};

Outcome Train(int threads, int steps = kSteps) {
  ThreadPool pool(threads);
  Model model = Cnn();
  model.state().pool = &pool;
  model.compile({.optimizer = Adam({.learning_rate = kRate}), .loss = "sparse_categorical_crossentropy"});
  Outcome out;
  for (int i = 0; i < steps; ++i) {
    const int64_t first = i % 4 * kBatch;
    const Dataset batch = Data().slice(first, first + kBatch);
    model.reset_metrics();
    out.losses.push_back(model.train_on_batch(batch.x, batch.y)["loss"]);
  }
  out.weights = model.get_weights();
  return out;
}

TEST(Cnn, BitsDependOnTheSeedAlone) {
  const Outcome want = Train(1);
  EXPECT_LT(want.losses.back(), want.losses.front()) << "it learns";
  for (const int threads : {1, 2, 3, 5}) {
    const Outcome got = Train(threads);
    EXPECT_EQ(got.losses, want.losses) << threads << " threads";
    for (size_t i = 0; i < want.weights.size(); ++i)
      EXPECT_EQ(std::memcmp(got.weights[i].data(), want.weights[i].data(), want.weights[i].bytes()), 0)
          << threads << " threads, weight " << i;
  }
}

double LargestDifference(const Arrays& a, const Arrays& b) {
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i)
    for (size_t k = 0; k < a[i].floats().size(); ++k)
      largest =
          std::max(largest, std::fabs(static_cast<double>(a[i].floats()[k]) - static_cast<double>(b[i].floats()[k])));
  return largest;
}

// Restores the choice of targets however a test ends.
struct Forced {
  explicit Forced(int64_t targets) { cpu::ForceTarget(targets); }
  ~Forced() { cpu::ForceTarget(0); }
};

TEST(Cnn, SimdTargetsAgree) {
  const Dataset batch = Data().slice(0, kBatch);
  const auto gradients = [&] {
    Model model = Cnn();
    model.compile({.optimizer = "adam", .loss = "sparse_categorical_crossentropy"});
    return model.gradients(batch.x, batch.y);
  };
  const Gradients exact = gradients();
  const Outcome want = Train(2, kSteps / 2);
  int targets = 0;
  for (const int64_t* target = cpu::SupportedTargetList(); *target; ++target, ++targets) {
    const Forced forced(*target);
    SCOPED_TRACE(cpu::TargetName(*target));
    // Sums in another order: gradients agree to rounding, relative to the largest of a weight.
    const Gradients got = gradients();
    EXPECT_NEAR(got.loss, exact.loss, 1e-5 * exact.loss);
    for (size_t i = 0; i < exact.weights.size(); ++i) {
      double scale = 1e-3;
      for (const float g : exact.weights[i].floats()) scale = std::max(scale, std::fabs(static_cast<double>(g)));
      EXPECT_LE(LargestDifference({got.weights[i]}, {exact.weights[i]}), kGradientBound * scale) << "weight " << i;
    }
    // Adam's first steps are as long as the learning rate whatever the gradient: where that is nearly zero, rounding
    // decides which way. So weights are compared with that length.
    const Outcome trained = Train(2, kSteps / 2);
    for (size_t i = 0; i < want.losses.size(); ++i)
      EXPECT_NEAR(trained.losses[i], want.losses[i], kLossBound * want.losses[i]) << "step " << i;
    EXPECT_LE(LargestDifference(trained.weights, want.weights), kWeightBound) << "of steps of " << kRate;
  }
  EXPECT_GE(targets, 1);
}

}  // namespace
}  // namespace ingot
