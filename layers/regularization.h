// SPDX-License-Identifier: MIT
//
// Layers that disturb what they get while training, and do nothing else. The disturbance depends on the model's seed,
// the layer's place and the step; where the layer has a `seed`, on that, the step and which of the layer's calls it is
// alone: in whatever model, it draws the same. ActivityRegularization disturbs nothing and adds a penalty on what it
// gets to the loss.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "ingot/layers/layer.h"

namespace ingot {

struct DropoutOptions {
  Shape noise_shape{};  // with the batch; 1: the axis shares its mask; kNone: as long as the input; (): no sharing
  std::optional<int64_t> seed{};
  std::string name{};
};
// Sets a share `rate` of the elements to 0 and divides the others by 1 - rate.
Layer Dropout(double rate, const DropoutOptions& options = {});

struct NoiseOptions {
  std::optional<int64_t> seed{};
  std::string name{};
};
Layer SpatialDropout1D(double rate, const NoiseOptions& options = {});  // whole channels of (batch, steps, channels)
Layer SpatialDropout2D(double rate, const NoiseOptions& options = {});  // of (batch, height, width, channels)
Layer GaussianNoise(double stddev, const NoiseOptions& options = {});   // x + N(0, stddev)

struct ActivityRegularizationOptions {
  float l1 = 0, l2 = 0;
  std::string name{};
};
Layer ActivityRegularization(const ActivityRegularizationOptions& options = {});

}  // namespace ingot
