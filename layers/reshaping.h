// SPDX-License-Identifier: MIT
//
// Layers that move elements without changing them. The type of what comes in passes through.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ingot/layers/layer.h"
#include "ingot/layers/options.h"

namespace ingot {

struct FlattenOptions {
  std::string data_format = "channels_last";  // "channels_first": the second axis goes last before flattening
  std::string name{};
};
Layer Flatten(const FlattenOptions& options = {});  // (batch, a, b, ...) to (batch, a * b * ...)

// The extents behind the batch; one of them may be -1, and follows from the others.
Layer Reshape(const std::vector<int64_t>& target_shape, const NameOptions& options = {});

// Axis i + 1 of the output is axis dims[i] of the input; axes behind the batch count from 1.
Layer Permute(const std::vector<int64_t>& dims, const NameOptions& options = {});

Layer RepeatVector(int64_t n, const NameOptions& options = {});  // (batch, features) to (batch, n, features)

Layer IdentityLayer(const NameOptions& options = {});  // Keras's Identity; ingot::Identity is the initializer

}  // namespace ingot
