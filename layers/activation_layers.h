// SPDX-License-Identifier: MIT
//
// Activations as layers of their own, and those that have options or weights.
#pragma once

#include <optional>
#include <string>

#include "ingot/layers/activations.h"
#include "ingot/layers/layer.h"
#include "ingot/layers/options.h"

namespace ingot {

struct ActivationLayerOptions {
  Regularizer activity_regularizer{};
  std::string name{};
};
Layer ActivationLayer(const Activation& activation, const ActivationLayerOptions& options = {});  // Keras's Activation

// max_value from there on, x from the threshold on, negative_slope (x - threshold) below.
struct ReLUOptions {
  std::optional<float> max_value{};
  float negative_slope = 0, threshold = 0;
  std::string name{};
};
Layer ReLU(const ReLUOptions& options = {});

struct LeakyReLUOptions {
  float negative_slope = 0.3f;
  std::string name{};
};
Layer LeakyReLU(const LeakyReLUOptions& options = {});

// max(x, 0) - alpha max(-x, 0), an alpha for each element of a sample, or one for all along the shared axes.
struct PReLUOptions {
  Initializer alpha_initializer = "zeros";
  Regularizer alpha_regularizer{};
  Axes shared_axes{};  // the batch is axis 0 and always shared
  std::string name{};
};
Layer PReLU(const PReLUOptions& options = {});

struct ELUOptions {
  float alpha = 1;
  std::string name{};
};
Layer ELU(const ELUOptions& options = {});

struct SoftmaxOptions {
  Axes axis = -1;
  std::string name{};
};
Layer Softmax(const SoftmaxOptions& options = {});

}  // namespace ingot
