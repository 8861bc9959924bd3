// SPDX-License-Identifier: MIT
//
// The update part of a plan, in Keras's order: the mean of accumulated gradients, clipping, one pass over each run of
// weights that lie side by side in every arena (weight decay and loss scale within), averages of the weights.
#pragma once

#include <vector>

#include "ingot/core/plan/graph.h"
#include "ingot/optim/optimizer.h"

namespace ingot {

// `variables`: those to update, by index in the layout, in the order in which they lie.
void EmitUpdate(Graph& g, const OptimizerDef& def, const std::vector<size_t>& variables);

// For the steps where def.apply_due() is false: gradients are only added up.
void EmitAccumulate(Graph& g, const OptimizerDef& def, const std::vector<size_t>& variables);

}  // namespace ingot
