// SPDX-License-Identifier: MIT
#include "ingot/train/callbacks.h"

#include <cmath>
#include <optional>
#include <utility>

#include "ingot/core/error.h"
#include "ingot/core/memory.h"
#include "ingot/train/model.h"
#include "ingot/train/monitor.h"
#include "ingot/train/trainer.h"

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

class Lambda : public Callback {
 public:
  explicit Lambda(const LambdaCallbackOptions& o) : o_(o) {}
  void on_train_begin(Model& m) override { Call(o_.on_train_begin, m); }
  void on_train_end(Model& m, const Logs& logs) override { Call(o_.on_train_end, m, logs); }
  void on_epoch_begin(Model& m, int epoch) override { Call(o_.on_epoch_begin, m, epoch); }
  void on_epoch_end(Model& m, int epoch, const Logs& logs) override { Call(o_.on_epoch_end, m, epoch, logs); }
  void on_train_batch_begin(Model& m, int64_t batch) override { Call(o_.on_train_batch_begin, m, batch); }
  void on_train_batch_end(Model& m, int64_t batch, const Logs& logs) override {
    Call(o_.on_train_batch_end, m, batch, logs);
  }

 private:
  template <class F, class... A>
  static void Call(const F& f, A&&... arguments) {
    if (f) f(std::forward<A>(arguments)...);
  }
  LambdaCallbackOptions o_;
};

class MemoryReportCallback : public Callback {
 public:
  void add_logs(Model& model, Logs& logs) override {
    const ProcessMemory now = MemoryOfProcess();
    const double mb = 1.0 / 1048576;
    logs.emplace_back("resident_mb", static_cast<double>(now.resident) * mb);
    logs.emplace_back("private_mb", static_cast<double>(now.resident - now.shared) * mb);
    logs.emplace_back("page_cache_mb", static_cast<double>(now.shared) * mb);
    logs.emplace_back("arenas_mb", static_cast<double>(model.state().ArenaBytes()) * mb);
  }
};

}  // namespace

CallbackPtr EarlyStopping(const EarlyStoppingOptions& options) {
  return std::make_shared<EarlyStoppingCallback>(options);
}
CallbackPtr TerminateOnNaN(const TerminateOnNaNOptions& options) {
  return std::make_shared<TerminateOnNaNCallback>(options);
}
CallbackPtr MemoryReport() { return std::make_shared<MemoryReportCallback>(); }
CallbackPtr LambdaCallback(const LambdaCallbackOptions& options) { return std::make_shared<Lambda>(options); }

}  // namespace ingot
