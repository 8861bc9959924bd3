// SPDX-License-Identifier: MIT
//
// Weights and optimizer state as named tensors:
//
//   dense/kernel                      the weight `kernel` of layer `dense` (Layout::names)
//   optimizer/momentum/dense/kernel   a slot of the optimizer, where there is one
//   optimizer/iterations              how many steps were done
//   optimizer/learning_rate           where it is a number
#pragma once

#include <string>
#include <vector>

#include "ingot/io/format.h"
#include "ingot/io/stored.h"

namespace ingot {

inline constexpr char kIterations[] = "optimizer/iterations";
inline constexpr char kLearningRate[] = "optimizer/learning_rate";

// Of a checkpoint, all of them, in place.
std::vector<StoredTensor> NamedTensors(const Checkpoint& checkpoint);
// Error unless the tensors are those of the model; then nothing was changed.
void TakeNamed(const std::vector<StoredTensor>& tensors, Checkpoint& into, const std::string& where);

}  // namespace ingot
