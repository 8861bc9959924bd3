// SPDX-License-Identifier: MIT
//
// Layers that scale what they get to mean 0 and variance 1: over the batch, over features, over groups of channels, or
// by numbers fixed beforehand.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ingot/core/array.h"
#include "ingot/layers/layer.h"

namespace ingot {

struct BatchNormalizationOptions {
  int axis = -1;
  float momentum = 0.99f, epsilon = 1e-3f;
  bool center = true, scale = true;
  Initializer beta_initializer = "zeros", gamma_initializer = "ones";
  Initializer moving_mean_initializer = "zeros", moving_variance_initializer = "ones";
  Regularizer beta_regularizer{}, gamma_regularizer{};
  std::string name{};
};
// In training by the batch's own mean and (biased) variance, which move the moving ones; else, and when not trainable,
// by the moving ones.
Layer BatchNormalization(const BatchNormalizationOptions& options = {});

struct LayerNormalizationOptions {
  std::vector<int64_t> axis = {-1};
  float epsilon = 1e-3f;
  bool center = true, scale = true;
  Initializer beta_initializer = "zeros", gamma_initializer = "ones";
  Regularizer beta_regularizer{}, gamma_regularizer{};
  std::string name{};
};
Layer LayerNormalization(const LayerNormalizationOptions& options = {});

struct GroupNormalizationOptions {
  int64_t groups = 32;  // -1: each channel is a group
  int axis = -1;
  float epsilon = 1e-3f;
  bool center = true, scale = true;
  Initializer beta_initializer = "zeros", gamma_initializer = "ones";
  Regularizer beta_regularizer{}, gamma_regularizer{};
  std::string name{};
};
Layer GroupNormalization(const GroupNormalizationOptions& options = {});

struct NormalizationOptions {
  std::vector<int64_t> axis = {-1};
  std::vector<float> mean{}, variance{};  // none: learned by Adapt, kept as weights
  bool invert = false;
  std::string name{};
};
Layer Normalization(const NormalizationOptions& options = {});
// Sets a Normalization layer's mean and variance to those of the data. REQUIRES: the layer is in a model.
void Adapt(const Layer& layer, const Array& data);

struct RescalingOptions {
  std::vector<float> offset = {0};
  std::string name{};
};
Layer Rescaling(const std::vector<float>& scale, const RescalingOptions& options = {});
inline Layer Rescaling(float scale, const RescalingOptions& options = {}) { return Rescaling(std::vector<float>{scale}, options); }

}  // namespace ingot
