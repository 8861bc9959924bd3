// SPDX-License-Identifier: MIT
//
// What the tests of bad input share: each case is an Error that says where, what came and what was expected, never a
// crash, a hang or an exception of somebody else's. Cases are data: what is done, and parts that the message must hold.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "ingot/layers/layers.h"
#include "ingot/train/model.h"

namespace ingot::testing {

struct Bad {
  const char* name;
  std::function<void()> fn;
  std::vector<std::string> says;
};

inline void ExpectErrors(const std::vector<Bad>& cases) {
  for (const Bad& bad : cases) {
    SCOPED_TRACE(bad.name);
    try {
      bad.fn();
      ADD_FAILURE() << "nothing was thrown";
    } catch (const Error& e) {
      for (const std::string& part : bad.says)
        EXPECT_NE(std::string(e.what()).find(part), std::string::npos) << "'" << part << "' is not in: " << e.what();
      EXPECT_EQ(std::string(e.what()).find("ingot has a bug"), std::string::npos) << e.what();
    } catch (const std::exception& e) {
      ADD_FAILURE() << "another exception: " << e.what();
    }
  }
}

inline constexpr int64_t kOne = 1;
inline const float kNan = std::numeric_limits<float>::quiet_NaN();

inline Array Ones(const Shape& shape) { return {shape, std::vector<float>(static_cast<size_t>(shape.count()), 1.0f)}; }

inline Model Mlp() {
  return Sequential(
      {Input({20}), Dense(16, {.activation = "relu", .name = "hidden"}), Dense(4, {.activation = "softmax"})},
      {.seed = 1});
}
inline Model Compiled() {
  Model model = Mlp();
  model.compile({.optimizer = "adam", .loss = "sparse_categorical_crossentropy", .metrics = {"accuracy"}});
  return model;
}
inline Model OfLoss(const Losses& loss) {
  Model model = Mlp();
  model.compile({.optimizer = "sgd", .loss = loss});
  return model;
}
// Inputs (N, 3) and (N, 2); outputs "p" (N, 1) and "q" (N, 2).
inline Model TwoByTwo() {
  InputTensor a = Input({3}), b = Input({2});
  return Model({a, b}, {Dense(1, {.name = "p"})(a), Dense(2, {.name = "q"})(Concatenate()({a, b}))}, {.seed = 1});
}
inline Dataset Labelled() { return Dataset::from_arrays(Ones({8, 20}), Array({8}, DType::kInt32)); }
inline Array Labels(float odd) {
  Array y = Ones({8});
  y.floats()[5] = odd;
  return y;
}

}  // namespace ingot::testing
