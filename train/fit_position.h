// SPDX-License-Identifier: MIT
//
// Where a fit stands, so that a save inside a callback can say it and a later fit can go on from there, to the bit: the
// step, the order of the rows, the running means, the history, what callbacks carry, and which of the callbacks had
// been called. docs/ingot-format.md lists what of it is in the file.
#pragma once

#include <cstdint>
#include <memory>

#include "ingot/io/format.h"
#include "ingot/train/model.h"

namespace ingot {

// The calls of a step, in this order.
enum class Hook : uint8_t { kTrainBegin, kEpochBegin, kBatchBegin, kBatchEnd, kEpochEnd, kTrainEnd };

struct FitRun {
  Model& model;
  const FitOptions& options;
  const Dataset& data;  // what is trained on
  int64_t steps = 0;    // of an epoch; kForever: until the data ends

  History history{};
  int epoch = 0;
  int64_t step = 0;
  Hook hook = Hook::kTrainBegin;
  size_t callback = 0;                // that is being called, for this hook
  int64_t pass = -1, pass_steps = 0;  // through the data; how many steps were done when it began
};

// Null before the first epoch begins and once the last has ended: such a file begins a new fit.
std::shared_ptr<const FitState> PositionOf(ModelState& model, const FitRun& run);

// Model, run and callbacks become what they were. Error, before anything is changed in the model, if another fit was
// saved. REQUIRES: the model's arenas for training are there
void GoOn(const FitState& position, ModelState& model, FitRun& run);

// A number that may be none: f(key, v) where JSON has a way to write it, else its name.
void AnyNumber(Fields& f, const char* key, double& v);

}  // namespace ingot
