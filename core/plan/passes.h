// SPDX-License-Identifier: MIT
//
// What happens between a graph and a plan, in this order. Each pass is a function over the list of operations.
#pragma once

#include <cstdint>
#include <vector>

#include "ingot/core/plan/graph.h"

namespace ingot {

// An activation that follows a matrix product or a convolution, and is its only reader, joins it.
void FuseActivations(Graph& graph);

// What stands around a batch-norm that trains joins it, forward and backward: the addition of a residual, relu and
// max-pooling behind it; the relu in front of it, with the sums for its bias, in the gradient. Likewise of max-pooling.
void FuseBlocks(Graph& graph);

// Drops operations whose results nobody needs.
void DropUnused(Graph& graph);

struct Placement {
  std::vector<size_t> offset;  // by value; of roots in Space::kActivation
  size_t bytes = 0;
};
// Gives each intermediate value its place: in the memory of an input that ends where it begins if its operation
// allows that, else the lowest gap that is free for as long as it lives; large values choose first.
Placement PlaceActivations(Graph& graph);

}  // namespace ingot
