// SPDX-License-Identifier: MIT
//
// Weights and optimizer state as Keras's HDF5 trees and back. Names and orders: keras_names.h.
//
// A weight or a number of the optimizer that is missing, left over or of another shape is an Error that lists what
// matched and what did not. Left alone are metrics' sums and the seeds of dropout, which Keras's files hold too:
// ingot's randomness depends on the model's seed and its step.
#pragma once

#include <string>

#include "ingot/io/format.h"
#include "ingot/io/hdf5.h"

namespace ingot {

// .weights.h5, and what lies in a .keras archive. REQUIRES: into.layout is placed
// `version`: of the Keras that wrote it, empty where that is not known. `own`: the model is the one that was saved
// there, so that its layers must have the names that the file (from Keras 3.6 on) has for them.
void ReadKerasTree(const Hdf5Node& root, const std::string& version, bool own, Checkpoint& into,
                   const std::string& where);
Hdf5Node KerasTree(const Checkpoint& checkpoint);

// Legacy .h5: weights in the group model_weights, or at the root of a file of weights alone; the optimizer's numbers in
// optimizer_weights, if anywhere.
bool IsLegacy(const Hdf5Node& root);
void ReadLegacyTree(const Hdf5Node& root, Checkpoint& into, const std::string& where);
void AddLegacyTree(const Checkpoint& checkpoint, Hdf5Node& root);

}  // namespace ingot
