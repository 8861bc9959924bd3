// SPDX-License-Identifier: MIT
//
// All that training changes in a model, as it was: weights, the optimizer's slots (or that there were none yet) and
// iterations, the learning rate, the place in the run. What is tried on a model is undone with it, at the latest when
// the snapshot goes. It makes the arenas that training needs.
#pragma once

#include <memory>
#include <optional>

#include "ingot/train/trainer.h"

namespace ingot {

class Snapshot {
 public:
  explicit Snapshot(Model& model);
  ~Snapshot();
  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;

  void Restore();  // Error if the optimizer is another by now

 private:
  Model& model_;
  bool fresh_;
  Arrays weights_;
  Block slots_;
  int64_t iterations_;
  bool stop_;
  std::optional<double> rate_;
  std::shared_ptr<const FitState> position_;
  ThreadPool* pool_;
};

}  // namespace ingot
