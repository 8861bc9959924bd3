// SPDX-License-Identifier: MIT
//
// The CNN of docs/design.md, trained: the same bits on any number of threads and each time, and agreement of every
// SIMD target that this machine has.
#include "ingot/kernels/cpu/targets.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
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
// Two to three times the largest difference seen on an AMD EPYC (Zen 5), which this test prints: AVX3 and AVX2 sum in
// the same order and agree in every bit. Scalar code rounds products that the others fuse into sums, and Winograd's
// transforms carry that on: 1.9e-6 of the largest gradient of a layer (32 roundings of 2^-24, of sums over 21,632
// pixels), 1.3e-7 of the loss, and 6.2e-7 of the way that weights went. With kinks some 1e-6 of the 124 thousand
// numbers in front of each relu change their side, and each takes the gradient of a pixel along: 6.8e-5.
constexpr double kFirstLossBound = 4e-7, kGradientBound = 4e-6, kLossBound = 5e-7, kWeightBound = 1.8e-6,
                 kKinkedBound = 2e-4;

// Smooth: without the kinks of relu and of the maximum, where the rounding of a number that is nearly 0, or of two that
// are nearly equal, decides where a gradient goes.
Model Cnn(bool smooth = false) {
  const char* activation = smooth ? "tanh" : "relu";
  const auto pool = [&] { return smooth ? AveragePooling2D({2, 2}) : MaxPooling2D({2, 2}); };
  return Sequential(
      {
          Input({28, 28, 1}),
          Conv2D(64, {3, 3}, {.activation = activation, .kernel_regularizer = L2(1e-3f)}),
          BatchNormalization(),
          pool(),
          Conv2D(32, {3, 3}, {.activation = activation, .kernel_regularizer = L2(1e-3f)}),
          BatchNormalization(),
          pool(),
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

Outcome Train(int threads, int steps = kSteps, const Optimizer& optimizer = Adam({.learning_rate = 1e-3}),
              bool smooth = false) {
  ThreadPool pool(threads);
  Model model = Cnn(smooth);
  model.state().pool = &pool;
  model.compile({.optimizer = optimizer, .loss = "sparse_categorical_crossentropy"});
  Outcome out;
  for (int i = 0; i < steps; ++i) {
    const int64_t first = i % 4 * kBatch;
    const Dataset batch = Data().slice(first, first + kBatch);
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

struct Largest {
  double first = 0, gradient = 0, kinked = 0, loss = 0, weight = 0;
};

// Restores the choice of targets however a test ends.
struct Forced {
  explicit Forced(int64_t targets) { cpu::ForceTarget(targets); }
  ~Forced() { cpu::ForceTarget(0); }
};

TEST(Cnn, SimdTargetsAgree) {
  const Dataset batch = Data().slice(0, kBatch);
  const auto gradients = [&](bool smooth) {
    Model model = Cnn(smooth);
    model.compile({.optimizer = "adam", .loss = "sparse_categorical_crossentropy"});
    return model.gradients(batch.x, batch.y);
  };
  // Of the largest gradient in its layer: that of a bias in front of a batch-norm is a sum in which nearly all cancels.
  const std::vector<VariablePtr> variables = Cnn().variables();
  const auto apart = [&](const Gradients& a, const Gradients& b, size_t i) {
    double scale = 1e-3;
    for (size_t k = 0; k < variables.size(); ++k)
      if (variables[k]->layer == variables[i]->layer)
        for (const float g : b.weights[k].floats()) scale = std::max(scale, std::fabs(static_cast<double>(g)));
    return LargestDifference({a.weights[i]}, {b.weights[i]}) / scale;
  };
  const Gradients exact = gradients(true), kinked = gradients(false);
  // SGD, whose steps are as well-conditioned as the gradient. Adam's first ones are as long as the learning rate
  // whatever the gradient: where that is nearly zero, rounding would decide which way.
  const Optimizer sgd = SGD({.learning_rate = kRate});
  const Outcome start = Train(2, 0, sgd, true), want = Train(2, kSteps / 2, sgd, true);
  const double moved = LargestDifference(start.weights, want.weights);
  int targets = 0;
  for (const int64_t* target = cpu::SupportedTargetList(); *target; ++target, ++targets) {
    const Forced forced(*target);
    SCOPED_TRACE(cpu::TargetName(*target));
    // Sums in another order: gradients agree to rounding, relative to the largest of a weight.
    const Gradients got = gradients(true), got_kinked = gradients(false);
    Largest seen;
    seen.first =
        std::max(std::fabs(got.loss - exact.loss) / exact.loss, std::fabs(got_kinked.loss - kinked.loss) / kinked.loss);
    for (size_t i = 0; i < exact.weights.size(); ++i) {
      seen.gradient = std::max(seen.gradient, apart(got, exact, i));
      seen.kinked = std::max(seen.kinked, apart(got_kinked, kinked, i));
    }
    EXPECT_LE(seen.gradient, kGradientBound);
    EXPECT_LE(seen.kinked, kKinkedBound);
    const Outcome trained = Train(2, kSteps / 2, sgd, true);
    for (size_t i = 0; i < want.losses.size(); ++i)
      seen.loss = std::max(seen.loss, std::fabs(trained.losses[i] - want.losses[i]) / want.losses[i]);
    seen.weight = LargestDifference(trained.weights, want.weights) / moved;
    EXPECT_LE(seen.first, kFirstLossBound);
    EXPECT_LE(seen.loss, kLossBound);
    EXPECT_LE(seen.weight, kWeightBound) << "of the way";
    std::printf(
        "%-10s loss %.1e, gradients %.1e (with kinks %.1e); after %d steps: losses %.1e, weights %.1e of the way\n",
        cpu::TargetName(*target), seen.first, seen.gradient, seen.kinked, kSteps / 2, seen.loss, seen.weight);
  }
  EXPECT_GE(targets, 1);
}

}  // namespace
}  // namespace ingot
