// SPDX-License-Identifier: MIT
//
// Layers that bring what they get to mean 0 and variance 1: over the batch, over the features of a sample, over groups
// of channels, or by numbers fixed beforehand. Variances are the biased ones: sums are divided by n, not n - 1.
#pragma once

#include <cstdint>
#include <string>

#include "ingot/core/array.h"
#include "ingot/layers/layer.h"
#include "ingot/layers/options.h"

namespace ingot {

// By the batch's own mean and variance while training, which also move the moving ones:
//   moving = momentum * moving + (1 - momentum) * batch
// By the moving ones else, and where the layer is not trainable.
struct BatchNormalizationOptions {
  int64_t axis = -1;
  double momentum = 0.99;
  float epsilon = 1e-3f;
  bool center = true, scale = true;
  Initializer beta_initializer = "zeros", gamma_initializer = "ones";
  Initializer moving_mean_initializer = "zeros", moving_variance_initializer = "ones";
  Regularizer beta_regularizer{}, gamma_regularizer{};
  std::string name{};
};
Layer BatchNormalization(const BatchNormalizationOptions& options = {});

struct LayerNormalizationOptions {
  Axes axis = -1;
  float epsilon = 1e-3f;
  bool center = true, scale = true;
  bool rms_scaling = false;  // as Keras has it: divides by the deviation, but leaves the mean where it is
  Initializer beta_initializer = "zeros", gamma_initializer = "ones";
  Regularizer beta_regularizer{}, gamma_regularizer{};
  std::string name{};
};
Layer LayerNormalization(const LayerNormalizationOptions& options = {});

struct GroupNormalizationOptions {
  int64_t groups = 32;  // -1: each channel is a group
  int64_t axis = -1;
  float epsilon = 1e-3f;
  bool center = true, scale = true;
  Initializer beta_initializer = "zeros", gamma_initializer = "ones";
  Regularizer beta_regularizer{}, gamma_regularizer{};
  std::string name{};
};
Layer GroupNormalization(const GroupNormalizationOptions& options = {});

struct NormalizationOptions {
  Axes axis = -1;              // those that have a mean of their own; {}: one mean for everything
  Numbers mean{}, variance{};  // given both; or none, and then they are weights that adapt() sets
  bool invert = false;         // from mean 0 and variance 1 back
  std::string name{};
};
Layer Normalization(const NormalizationOptions& options = {});
// Sets the mean and the variance of a Normalization layer to those of the data (float32), in one pass.
void adapt(const Layer& layer, const Array& data);

struct RescalingOptions {
  Numbers offset = 0.0;
  std::string name{};
};
// x scale + offset; arrays go along the last axes.
Layer Rescaling(const Numbers& scale, const RescalingOptions& options = {});

}  // namespace ingot
