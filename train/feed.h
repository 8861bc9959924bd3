// SPDX-License-Identifier: MIT
//
// Where fit, evaluate and predict take the batches of a Dataset with stages from. A batch has a place: which pass
// through the data, and which batch of it. Asked for the places in their order it reads on; asked for another, where a
// fit is resumed, it goes there.
//
// Batches of rows as they lie in arrays are not made: the arrays and the rows are handed out, and each row is copied
// once, to where the plan reads it. To prefetch them brings their pages into memory.
#pragma once

#include <string>
#include <utility>

#include "ingot/data/stage.h"
#include "ingot/train/trainer.h"

namespace ingot {

class Feed {
 public:
  Feed(ModelState& model, const Dataset& data, int64_t batch_size, bool targets, std::string where);

  int64_t per_pass() const { return per_pass_; }  // batches; kUnknown or kForever
  bool sized() const { return per_pass_ != kUnknown && per_pass_ != kForever; }
  bool indexed() const { return stage_->indexed(); }
  // The batch of that place, checked against the model, is what data() and rows() are; false where the pass is over.
  // No more than `most` batches will be asked for from this one on: those behind them are not read ahead.
  bool Go(int64_t pass, int64_t place, int64_t most);
  const Samples& data() const { return arrays_ ? *arrays_ : static_cast<const Samples&>(batch_); }
  Rows rows() const { return {arrays_ ? rows_.data() : nullptr, 0, count()}; }
  int64_t count() const { return arrays_ ? static_cast<int64_t>(rows_.size()) : batch_.rows(); }
  bool weighted() const { return !data().sample_weight.empty(); }
  int threads() const { return stage_->threads(); }  // that read ahead
  std::string str() const { return stage_->str(); }

 private:
  void Check();

  ModelState& model_;
  bool targets_;
  std::string where_;
  StagePtr stage_;  // of batches; where a pass has a size, of all passes one behind the other
  int64_t per_pass_;
  int64_t pass_ = -1, place_ = -1;   // of the batch
  ViewPtr view_;                     // where there is one
  const Samples* arrays_ = nullptr;  // where batches are rows of them
  bool checked_ = false;             // the arrays
  std::vector<int64_t> rows_;
  SequencePtr sequence_;
  Sample batch_;
};

}  // namespace ingot
