// SPDX-License-Identifier: MIT
//
// Activations as layers of their own, and those that have options or weights.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ingot/layers/activations.h"
#include "ingot/layers/layer.h"
#include "ingot/layers/reshaping.h"

namespace ingot {

Layer ActivationLayer(const Activation& activation, const NameOptions& options = {});  // Keras's Activation

struct ReLUOptions {
  std::optional<float> max_value{};
  float negative_slope = 0, threshold = 0;
  std::string name{};
};
Layer ReLU(const ReLUOptions& options = {});

struct LeakyReLUOptions { float negative_slope = 0.3f; std::string name{}; };
Layer LeakyReLU(const LeakyReLUOptions& options = {});

struct PReLUOptions {
  Initializer alpha_initializer = "zeros";
  Regularizer alpha_regularizer{};
  std::vector<int64_t> shared_axes{};
  std::string name{};
};
Layer PReLU(const PReLUOptions& options = {});

struct ELUOptions { float alpha = 1; std::string name{}; };
Layer ELU(const ELUOptions& options = {});

struct SoftmaxOptions { std::vector<int64_t> axis = {-1}; std::string name{}; };
Layer Softmax(const SoftmaxOptions& options = {});

}  // namespace ingot
