// SPDX-License-Identifier: MIT
//
// What EarlyStopping and ModelCheckpoint have in common: a number of the logs that shall become better.
#pragma once

#include <optional>
#include <string>

#include "ingot/core/fields.h"
#include "ingot/train/model.h"

namespace ingot {

class Monitor {
 public:
  // `who` begins messages. mode: "auto", "min" or "max"; "auto" goes by what kind of metric it is.
  Monitor(const char* who, const std::string& name, const std::string& mode, double min_delta = 0);

  // Error that lists what there is, if it is not there. `when`: "epoch 3".
  double Value(const Model& model, const Logs& logs, const std::string& when);
  bool Improves(double value, double on) const;  // REQUIRES: Value() was called

 private:
  const char* who_;
  std::string name_;
  double min_delta_;
  int sign_;  // 1: more is better; -1: less; 0: not known yet
};

// For Callback::state.
void StateOf(Fields& f, const char* key, std::optional<double>& value);

}  // namespace ingot
