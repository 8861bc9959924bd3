// SPDX-License-Identifier: MIT
//
// What happens between a graph and a plan, in this order. Each pass is a function over the list of operations.
#pragma once

#include <cstdint>
#include <vector>

#include "ingot/core/plan/graph.h"

namespace ingot {

// What stands around a batch-norm that trains joins it, forward and backward: the addition of a residual, relu and
// max-pooling behind it; the relu in front of it, with the sums for its bias, in the gradient. Likewise of max-pooling.
void FuseBlocks(Graph& graph);

// Drops operations whose results nobody needs.
void DropUnused(Graph& graph);

// What follows a product or a convolution, and is its only reader, joins it as its epilogue: a normalization by moving
// statistics, an activation, the addition of a residual. In core/plan/fuse_epilogues.cc.
void FuseEpilogues(Graph& graph);
// For tests that compare plans with and without. Must not be called while plans are made.
void SetFusion(bool on);

// What predictions make of weights alone gets a place of its own, where it stays until they change. Returns its bytes.
size_t KeepWhatWeightsMake(Graph& graph);
// What a step of the plan is to weights, once that has been.
bool IsOfWeights(const Graph& graph, const Op& op);    // it has been given such a place
bool WritesWeights(const Graph& graph, const Op& op);  // which then are others
// A kernel may keep what it makes of its second operand. (Not where processes share a file: each would hold a copy.)
bool MayKeep(const Graph& graph, const Op& op);

struct Placement {
  std::vector<size_t> offset;  // by value; of roots in Space::kActivation
  size_t bytes = 0;
};
// Gives each intermediate value its place: in the memory of an input that ends where it begins if its operation
// allows that, else the lowest gap that is free for as long as it lives; large values choose first.
Placement PlaceActivations(Graph& graph);

}  // namespace ingot
