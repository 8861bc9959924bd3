// SPDX-License-Identifier: MIT
//
// What the files that define metrics share.
#pragma once

#include <memory>
#include <string>

#include "ingot/train/metrics.h"

namespace ingot {

// Writes the step: inputs, the weight if there is one, into the state.
void EmitMetric(Graph& g, Values in, Value weight, Value state, MetricAttrs attrs);
// The handle, named as the user says, or as Keras names instances of the class.
Metric NamedMetric(std::shared_ptr<MetricDef> def, const std::string& name);
// Writing: takes back a key.
void EraseField(Fields& f, const char* key);

}  // namespace ingot
