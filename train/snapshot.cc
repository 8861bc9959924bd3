// SPDX-License-Identifier: MIT
#include "ingot/train/snapshot.h"

#include <cstring>
#include <exception>

#include "ingot/core/error.h"

namespace ingot {

Snapshot::Snapshot(Model& model)
    : model_(model),
      fresh_(!model.state().slots_ready && !model.state().slots.size()),
      weights_(model.get_weights()),
      slots_((model.state().EnsureTrainingArenas(), model.state().slots.size()), "a copy of the optimizer's state"),
      iterations_(model.state().iterations),
      stop_(model.state().stop_training),
      rate_(model.state().learning_rate),
      position_(model.state().position),
      pool_(model.state().pool) {
  if (slots_.size()) std::memcpy(slots_.data(), model.state().slots.data(), slots_.size());
}

Snapshot::~Snapshot() {
  try {
    Restore();
    ModelState& s = model_.state();
    s.position = position_;
    if (!fresh_) return;
    s.session.Clear();  // its plans know where the slots lie
    s.slots = Block();
    s.slots_ready = false;
  } catch (const std::exception&) {  // Restore has been called before, and said it then
  }
}

void Snapshot::Restore() {
  ModelState& s = model_.state();
  s.pool = pool_;  // a trial that was left by an exception may have lent another
  model_.set_weights(weights_);
  if (slots_.size() != s.slots.size())
    Fail("explain: a callback gave the model another optimizer; what it was before cannot be restored");
  if (slots_.size()) std::memcpy(s.slots.data(), slots_.data(), slots_.size());
  s.iterations = iterations_;
  s.stop_training = stop_;
  s.learning_rate = rate_;
  ResetMetrics(s, Mode::kTrain);
  ResetMetrics(s, Mode::kTest);
}

}  // namespace ingot
