// SPDX-License-Identifier: MIT
//
// Where Keras's HDF5 files keep what: the names of weights, and the order of the optimizer's numbers.
//
//   .keras and .weights.h5   layers/<class in snake case, counted>/vars/<i>, nested models inside: layers/functional/
//                            layers/dense/vars/0. By class, not by name, and in order of the model's layers.
//   legacy .h5               <layer's name>/<whatever its attribute weight_names lists, in order>, trained weights
//                            first, a nested model being one layer
//   the optimizer            optimizer/vars/<i>, or optimizer_weights with its weight_names
#pragma once

#include <string>
#include <vector>

#include "ingot/core/plan/layout.h"
#include "ingot/layers/network.h"
#include "ingot/optim/optimizer.h"

namespace ingot {

// A group of the new layout: its path ("layers/dense", "" the model itself), its layer, and its own weights in order.
struct KerasGroup {
  std::string path;
  Layer layer;  // none for the model itself
  std::vector<VariablePtr> variables;
};
std::vector<KerasGroup> KerasGroups(const Network& network);

// The weights of a layer in the order of legacy files.
std::vector<VariablePtr> LegacyWeights(const Layer& layer);

// Those that the optimizer moves, in Keras's order: trainable, of layers that are not frozen. Indices in the layout.
std::vector<size_t> TrainedVariables(const LayerDef& model, const Layout& layout);

// How versions of Keras order an optimizer's numbers in a file.
enum class OptimizerOrder : uint8_t {
  kKeras3,       // iteration, learning rate, slots (those of the common options first), other numbers
  kKeras3Early,  // to 3.6 and on: other numbers before the optimizer's own slots, those of common options by variable
  kKeras2,       // 2.11 to 2.15: no learning rate, no other numbers; SGD has slots that it does not use
  kKeras2Legacy  // iteration, other numbers, then each slot for all variables
};
bool EarlyKeras3(const std::string& version);  // "3.6.0"
std::vector<OptimizerVariable> OptimizerVariables(const OptimizerDef& def, int trained, OptimizerOrder order);

}  // namespace ingot
