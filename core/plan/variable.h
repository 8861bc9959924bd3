// SPDX-License-Identifier: MIT
//
// A variable is one weight: what a layer says of it, and where its values lie once a model has given it a place
// in an arena. Layers and models share variables; a shared layer has one set, however often it is called.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ingot/core/array.h"
#include "ingot/core/memory.h"
#include "ingot/core/random.h"
#include "ingot/core/types.h"

namespace ingot {

struct Penalty {  // l1 * sum |w| + l2 * sum w^2
  float l1 = 0, l2 = 0;
  bool any() const { return l1 != 0 || l2 != 0; }
};

// Which values weights have, all models' of this process together: whoever writes to a weight makes it another one.
// What plans keep of weights (packed, transformed) holds while it stays.
class WeightsVersion {
 public:
  static uint64_t Now() { return version_.load(std::memory_order_acquire); }
  static void Change() { version_.fetch_add(1, std::memory_order_acq_rel); }

 private:
  static inline std::atomic<uint64_t> version_{1};
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
  // Errors before a model has given it a place.
  const float* data() const;
  // Ask for it anew whenever values change: predictions must know. Error where the pages are those of a file that
  // processes share.
  float* writable() const;
};

using VariablePtr = std::shared_ptr<Variable>;

// The values of weights, copied, and new ones for all of them: an Error, before any is changed, if they do not fit.
// `owner` begins messages: "model 'sequential'".
Arrays GetValues(const std::vector<VariablePtr>& weights, const std::string& owner);
void CheckValues(const std::vector<VariablePtr>& weights, const Arrays& values, const std::string& owner);
void SetValues(const std::vector<VariablePtr>& weights, const Arrays& values, const std::string& owner);

}  // namespace ingot
