// SPDX-License-Identifier: MIT
//
// An optimizer's numbers as a list, which is how every Keras file holds them.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "ingot/io/format.h"
#include "ingot/io/keras_names.h"
#include "ingot/io/matches.h"
#include "ingot/io/stored.h"

namespace ingot {

// What a weight holds, in place. REQUIRES: the variable is placed and outlives what comes back
StoredTensor StoredVariable(const Checkpoint& checkpoint, const Variable& variable);

StoredTensor StoredScalar(const std::string& name, int32_t value);
StoredTensor StoredScalar(const std::string& name, int64_t value);
StoredTensor StoredScalar(const std::string& name, float value);
int64_t StoredWholeNumber(const StoredTensor& tensor, const std::string& where);  // Error if it is none
float StoredNumber(const StoredTensor& tensor, const std::string& where);

std::string OptimizerName(const OptimizerDef& def);  // "adam", "rm_sprop"

// Takes the first of `orders` whose shapes are those of the file.
// Sets into.iterations and into.learning_rate, and adds to `matches` what fills the slots. A file of a
// model that was compiled and not trained has no slots: then there are none here, and they begin as they do.
void MatchOptimizer(const std::vector<const StoredTensor*>& tensors, std::span<const OptimizerOrder> orders,
                    Checkpoint& into, Matches& matches, const std::string& where);

struct NamedTensor {
  std::string name;  // "iteration", "sequential_dense_kernel_momentum"
  StoredTensor tensor;
};
std::vector<NamedTensor> WriteOptimizer(const Checkpoint& checkpoint);  // in the order of Keras 3

}  // namespace ingot
