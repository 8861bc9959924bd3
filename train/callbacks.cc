// SPDX-License-Identifier: MIT
#include "ingot/train/callbacks.h"

#include <cmath>
#include <optional>

#include "ingot/core/error.h"
#include "ingot/train/model.h"
#include "ingot/train/monitor.h"

namespace ingot {
namespace {

class EarlyStoppingCallback : public Callback {
 public:
  explicit EarlyStoppingCallback(const EarlyStoppingOptions& o)
      : o_(o), monitor_("EarlyStopping", o.monitor, o.mode, o.min_delta) {}

  void on_train_begin(Model&) override {
    wait_ = 0;
    best_weights_.clear();
    best_.reset();
  }

  void on_epoch_end(Model& model, int epoch, const Logs& logs) override {
    if (epoch < o_.start_from_epoch) return;
    const double value = monitor_.Value(model, logs, Text("epoch ", epoch + 1));
    if (o_.restore_best_weights && best_weights_.empty()) best_weights_ = model.get_weights();
    ++wait_;
    if (!best_ || monitor_.Improves(value, *best_)) {
      best_ = value;
      if (o_.restore_best_weights) best_weights_ = model.get_weights();
      // An epoch that does not beat the baseline counts as one without improvement.
      if (std::isnan(o_.baseline) || monitor_.Improves(value, o_.baseline)) wait_ = 0;
      return;
    }
    if (wait_ >= o_.patience && epoch > 0) model.set_stop_training(true);
  }

  void on_train_end(Model& model, const Logs&) override {
    if (o_.restore_best_weights && !best_weights_.empty()) model.set_weights(best_weights_);
  }

  void state(Fields& f, std::vector<Array>& arrays) override {
    f("early_stopping_wait", wait_);
    StateOf(f, "early_stopping_best", best_);
    if (f.reading())
      best_weights_ = arrays;
    else
      arrays = best_weights_;  // replaced, never written into
  }

 private:
  EarlyStoppingOptions o_;
  Monitor monitor_;
  std::optional<double> best_;
  int wait_ = 0;
  std::vector<Array> best_weights_;
};

class TerminateOnNaNCallback : public Callback {
 public:
  explicit TerminateOnNaNCallback(const TerminateOnNaNOptions& o) : o_(o) {}
  void on_train_batch_end(Model& model, int64_t batch, const Logs& logs) override {
    if (!logs.contains("loss") || std::isfinite(logs["loss"])) return;
    if (o_.raise_error) Fail("TerminateOnNaN: the loss is ", logs["loss"], " behind batch ", batch, "; training ends");
    model.set_stop_training(true);
  }

 private:
  TerminateOnNaNOptions o_;
};

class EpochEnd : public Callback {
 public:
  explicit EpochEnd(std::function<void(Model&, int, const Logs&)> fn) : fn_(std::move(fn)) {}
  void on_epoch_end(Model& model, int epoch, const Logs& logs) override { fn_(model, epoch, logs); }

 private:
  std::function<void(Model&, int, const Logs&)> fn_;
};

}  // namespace

CallbackPtr EarlyStopping(const EarlyStoppingOptions& options) {
  return std::make_shared<EarlyStoppingCallback>(options);
}
CallbackPtr TerminateOnNaN(const TerminateOnNaNOptions& options) {
  return std::make_shared<TerminateOnNaNCallback>(options);
}
CallbackPtr OnEpochEnd(std::function<void(Model&, int, const Logs&)> fn) {
  return std::make_shared<EpochEnd>(std::move(fn));
}

}  // namespace ingot
