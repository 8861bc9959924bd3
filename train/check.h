// SPDX-License-Identifier: MIT
//
// What is given is checked once, before anything is changed or run, so that no step can meet a wrong shape or label.
#pragma once

#include "ingot/train/trainer.h"

namespace ingot {

// Rows that agree, inputs the model takes, as many targets as outputs. Builds the model if it waited for data.
void CheckData(ModelState& s, const Samples& data, bool targets, const char* where);
void CheckLabels(ModelState& s, const Samples& data);
// A loss for each output of the network, weights and metrics likewise. REQUIRES: the outputs are known
void CheckCompile(const CompileOptions& options, const Network& network);

}  // namespace ingot
