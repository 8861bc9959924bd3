// SPDX-License-Identifier: MIT
//
// Callbacks that set the learning rate. A resumed fit goes on with the rate of the file.
#include <algorithm>
#include <cmath>
#include <optional>

#include "ingot/core/error.h"
#include "ingot/train/callbacks.h"
#include "ingot/train/model.h"
#include "ingot/train/monitor.h"

namespace ingot {
namespace {

void LogRate(const Model& model, Logs& logs) {
  if (!logs.contains("learning_rate")) logs.emplace_back("learning_rate", model.learning_rate());
}

class ReduceLROnPlateauCallback : public Callback {
 public:
  explicit ReduceLROnPlateauCallback(const ReduceLROnPlateauOptions& o)
      : o_(o), monitor_("ReduceLROnPlateau", o.monitor, o.mode, o.min_delta) {
    if (!(o.factor >= 0 && o.factor < 1))
      Fail("ReduceLROnPlateau: factor is ", o.factor,
           ", a number from 0 and below 1 was expected, which makes the rate smaller");
    if (!(o.min_lr >= 0 && std::isfinite(static_cast<float>(o.min_lr))))
      Fail("ReduceLROnPlateau: min_lr is ", o.min_lr, ", a rate of 0 or more was expected");
  }

  void on_train_begin(Model&) override { best_.reset(), wait_ = cooldown_ = 0; }
  void add_logs(Model& model, Logs& logs) override { LogRate(model, logs); }
  void on_epoch_end(Model& model, int epoch, const Logs& logs) override {
    const double value = monitor_.Value(model, logs, Text("epoch ", epoch + 1));
    if (cooldown_ > 0) --cooldown_, wait_ = 0;
    if (!best_ || monitor_.Improves(value, *best_)) {
      best_ = value;
      wait_ = 0;
    } else if (cooldown_ == 0 && ++wait_ >= o_.patience) {
      const double rate = model.learning_rate();
      if (rate <= static_cast<double>(static_cast<float>(o_.min_lr))) return;
      model.set_learning_rate(std::max(rate * o_.factor, o_.min_lr));
      cooldown_ = o_.cooldown;
      wait_ = 0;
    }
  }

  void state(Fields& f, std::vector<Array>&) override {
    f("reduce_lr_wait", wait_);
    f("reduce_lr_cooldown", cooldown_);
    StateOf(f, "reduce_lr_best", best_);
  }

 private:
  ReduceLROnPlateauOptions o_;
  Monitor monitor_;
  std::optional<double> best_;
  int wait_ = 0, cooldown_ = 0;
};

class LearningRateSchedulerCallback : public Callback {
 public:
  explicit LearningRateSchedulerCallback(std::function<double(int, double)> schedule) : schedule_(std::move(schedule)) {
    if (!schedule_) Fail("LearningRateScheduler: the schedule is empty; give a function of epoch and rate");
  }
  void on_epoch_begin(Model& model, int epoch) override {
    model.set_learning_rate(schedule_(epoch, model.learning_rate()));
  }
  void add_logs(Model& model, Logs& logs) override { LogRate(model, logs); }

 private:
  std::function<double(int, double)> schedule_;
};

}  // namespace

CallbackPtr ReduceLROnPlateau(const ReduceLROnPlateauOptions& options) {
  return std::make_shared<ReduceLROnPlateauCallback>(options);
}
CallbackPtr LearningRateScheduler(std::function<double(int, double)> schedule) {
  return std::make_shared<LearningRateSchedulerCallback>(std::move(schedule));
}

}  // namespace ingot
