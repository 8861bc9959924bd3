// SPDX-License-Identifier: MIT
#include "ingot/train/callbacks.h"

#include <cmath>

#include "ingot/core/error.h"
#include "ingot/train/model.h"

namespace ingot {
namespace {

class EarlyStoppingCallback : public Callback {
 public:
  explicit EarlyStoppingCallback(const EarlyStoppingOptions& o) : o_(o) {
    if (o.mode != "auto" && o.mode != "min" && o.mode != "max")
      Fail("EarlyStopping: mode is '", o.mode, "', auto, min or max was expected");
    const bool up = o.mode == "max" ||
                    (o.mode == "auto" &&
                     (o.monitor.ends_with("accuracy") || o.monitor.ends_with("acc") || o.monitor.ends_with("auc") ||
                      o.monitor.ends_with("precision") || o.monitor.ends_with("recall")));
    sign_ = up ? 1 : -1;
  }

  void on_train_begin(Model&) override {
    wait_ = 0;
    best_weights_.clear();
    has_best_ = false;
  }

  void on_epoch_end(Model& model, int epoch, const Logs& logs) override {
    if (epoch < o_.start_from_epoch) return;
    if (!logs.contains(o_.monitor)) {
      std::string names;
      for (const auto& [name, value] : logs) names += " " + name;
      Fail("EarlyStopping: there is no '", o_.monitor, "' to monitor in epoch ", epoch + 1,
           "; give validation data, or set monitor to one of:", names);
    }
    const double value = logs[o_.monitor];
    if (o_.restore_best_weights && best_weights_.empty()) best_weights_ = model.get_weights();
    ++wait_;
    const auto improves = [&](double on) { return sign_ * (value - on) > std::fabs(o_.min_delta); };
    if (!has_best_ || improves(best_)) {
      best_ = value;
      has_best_ = true;
      if (o_.restore_best_weights) best_weights_ = model.get_weights();
      // An epoch that does not beat the baseline counts as one without improvement.
      if (std::isnan(o_.baseline) || improves(o_.baseline)) wait_ = 0;
      return;
    }
    if (wait_ >= o_.patience && epoch > 0) model.stop_training = true;
  }

  void on_train_end(Model& model, const Logs&) override {
    if (o_.restore_best_weights && !best_weights_.empty()) model.set_weights(best_weights_);
  }

 private:
  EarlyStoppingOptions o_;
  double sign_, best_ = 0;
  bool has_best_ = false;
  int wait_ = 0;
  std::vector<Array> best_weights_;
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
CallbackPtr OnEpochEnd(std::function<void(Model&, int, const Logs&)> fn) {
  return std::make_shared<EpochEnd>(std::move(fn));
}

}  // namespace ingot
