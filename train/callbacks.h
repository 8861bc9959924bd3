// SPDX-License-Identifier: MIT
//
// Callback: what fit calls on its way, in Keras's order. Derive from it, or use one of those below.
#pragma once

#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

namespace ingot {

class Model;
struct Logs;

class Callback {
 public:
  virtual ~Callback() = default;
  virtual void on_train_begin(Model&) {}
  virtual void on_train_end(Model&, const Logs&) {}
  virtual void on_epoch_begin(Model&, int /*epoch*/) {}
  virtual void on_epoch_end(Model&, int /*epoch*/, const Logs&) {}
  virtual void on_train_batch_begin(Model&, int64_t /*batch*/) {}
  virtual void on_train_batch_end(Model&, int64_t /*batch*/, const Logs&) {}
};
using CallbackPtr = std::shared_ptr<Callback>;
using Callbacks = std::vector<CallbackPtr>;

struct EarlyStoppingOptions {
  std::string monitor = "val_loss";
  double min_delta = 0;
  int patience = 0;
  std::string mode = "auto";  // or "min", "max"
  double baseline = std::numeric_limits<double>::quiet_NaN();
  bool restore_best_weights = false;
  int start_from_epoch = 0;
};
CallbackPtr EarlyStopping(const EarlyStoppingOptions& options = {});

// A function behind each epoch.
CallbackPtr OnEpochEnd(std::function<void(Model&, int epoch, const Logs&)> fn);

}  // namespace ingot
