// SPDX-License-Identifier: MIT
//
// Layers that make one tensor of several: Add()({a, b}). Shapes broadcast as in NumPy; where ranks differ, axes of 1
// are added behind the batch, as Keras does.
#pragma once

#include <string>

#include "ingot/layers/layer.h"
#include "ingot/layers/reshaping.h"

namespace ingot {

Layer Add(const NameOptions& options = {});
Layer Subtract(const NameOptions& options = {});  // of two
Layer Multiply(const NameOptions& options = {});
Layer Average(const NameOptions& options = {});
Layer Maximum(const NameOptions& options = {});
Layer Minimum(const NameOptions& options = {});

struct ConcatenateOptions {
  int64_t axis = -1;
  std::string name{};
};
Layer Concatenate(const ConcatenateOptions& options = {});

}  // namespace ingot
