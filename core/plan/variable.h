// SPDX-License-Identifier: MIT
//
// A variable is one weight: what a layer says of it, and where its values lie once a model has given it a place
// in an arena. Layers and models share variables; a shared layer has one set, however often it is called.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "ingot/core/memory.h"
#include "ingot/core/random.h"
#include "ingot/core/types.h"

namespace ingot {

struct Penalty {  // l1 * sum |w| + l2 * sum w^2
  float l1 = 0, l2 = 0;
  bool any() const { return l1 != 0 || l2 != 0; }
};

struct Variable {
  std::string name;   // "kernel"
  std::string layer;  // "dense_1"; the path of the weight is layer/name
  Shape shape;
  DType dtype = DType::kFloat32;
  bool trainable = true;  // false: moved by the layer itself, not by the optimizer (moving_mean)
  Penalty penalty;
  std::function<void(float* values, const Stream& stream)> initialize;

  std::shared_ptr<Block> arena;  // empty until a model places it
  size_t offset = 0;             // bytes

  size_t bytes() const { return static_cast<size_t>(shape.count()) * SizeOf(dtype); }
  float* data() const { return reinterpret_cast<float*>(arena->data() + offset); }
};

using VariablePtr = std::shared_ptr<Variable>;

}  // namespace ingot
