// SPDX-License-Identifier: MIT
//
// How Keras 3 writes operations of keras.ops that stand in a model: as layers are written, but with a module of its
// own, only a name for a configuration, and numbers among the arguments of the call. Legacy .h5 files leave out the
// module.
#pragma once

#include <memory>

#include "ingot/core/fields.h"
#include "ingot/layers/operation.h"

namespace ingot {

// Whether an entry of a model's 'layers' is an operation and no layer.
bool IsOperation(const Json& entry);

// Of such an entry, with the numbers that its call takes. nullptr if a layer of that class does the same. Error if
// ingot has no such operation.
std::shared_ptr<Operation> ReadOperation(const Json& entry);

Json WriteOperation(const Operation& operation);
// The arguments of its call: the tensors as they are written, the numbers between them.
Json ArgumentsOf(const Operation& operation, const Json& tensors);

}  // namespace ingot
