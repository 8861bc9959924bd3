// SPDX-License-Identifier: MIT
//
// Layers that make one tensor of several: Add()({a, b}). Shapes broadcast as in NumPy; where ranks differ, axes of 1
// are put behind the batch, as Keras does.
#pragma once

#include <cstdint>
#include <string>

#include "ingot/layers/layer.h"
#include "ingot/layers/options.h"

namespace ingot {

Layer Add(const NameOptions& options = {});
Layer Subtract(const NameOptions& options = {});  // the second of two from the first
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
