// SPDX-License-Identifier: MIT
//
// The loop around the steps: epochs, batches, shuffling, validation, callbacks, progress.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <optional>
#include <utility>

#include "ingot/core/printed.h"
#include "ingot/core/progress.h"
#include "ingot/train/check.h"
#include "ingot/train/feed.h"
#include "ingot/train/fit_position.h"
#include "ingot/train/interrupt.h"
#include "ingot/train/recorder.h"
#include "ingot/train/trainer.h"

namespace ingot {
namespace {

using Clock = std::chrono::steady_clock;

double Seconds(Clock::time_point since) { return std::chrono::duration<double>(Clock::now() - since).count(); }

// A fixed order for a seed and how many steps were done when the pass through the data began, so that a second fit goes
// on with new orders, as would one that was never interrupted: Fisher and Yates over counted random numbers.
void Shuffle(std::vector<int64_t>& order, uint64_t seed, int64_t steps) {
  std::iota(order.begin(), order.end(), int64_t{0});
  Random random({seed, 0x5f, static_cast<uint32_t>(steps)});
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.Below(i)]);
}

std::string Shown(const Logs& logs) {
  std::string text;
  for (const auto& [name, value] : logs) text += Printed(" - %s: %.4f", name.c_str(), value);
  return text;
}

// A bar where standard error is a terminal, redrawn at most ten times a second; else one line an epoch.
class EpochLine {
 public:
  EpochLine(int verbose, int epochs, int64_t steps)
      : verbose_(verbose), bar_(verbose == 1 && isatty(STDERR_FILENO)), epochs_(epochs), steps_(steps) {}

  void Begin(int epoch) {
    begin_ = drawn_ = Clock::now();
    if (verbose_) std::fprintf(stderr, bar_ ? "Epoch %d/%d\n" : "Epoch %d/%d  ", epoch + 1, epochs_);
  }
  bool Due() const { return bar_ && Seconds(drawn_) >= 0.1; }
  void Step(int64_t done, const Logs& logs) {
    drawn_ = Clock::now();
    const double left = Seconds(begin_) / static_cast<double>(done) * static_cast<double>(steps_ - done);
    Draw(done, logs, steps_ == kForever ? "" : Text(std::lround(left), "s left "), "");
  }
  void End(int64_t done, const Logs& logs) {
    if (verbose_) Draw(done, logs, Text(std::lround(Seconds(begin_)), "s "), "\n");
  }

 private:
  void Draw(int64_t done, const Logs& logs, const std::string& time, const char* after) {
    std::string line = bar_ ? "\r" : "";
    line += steps_ == kForever ? Text(done, " ") : Text(done, "/", steps_, " ");
    if (bar_ && steps_ != kForever) line += ProgressBar(static_cast<uint64_t>(done), static_cast<uint64_t>(steps_));
    const double each = Seconds(begin_) / static_cast<double>(std::max<int64_t>(1, done));
    // \033[K clears what a longer line has left.
    std::fprintf(stderr, "%s %s%.2f ms/step%s%s%s", line.c_str(), time.c_str(), 1e3 * each, Shown(logs).c_str(),
                 bar_ ? "\033[K" : "", after);
    std::fflush(stderr);
  }

  int verbose_;
  bool bar_;
  int epochs_;
  int64_t steps_;
  Clock::time_point begin_, drawn_;
};

void Append(History& history, const std::string& name, double value) {
  for (auto& [key, values] : history.history)
    if (key == name) return values.push_back(value);
  history.history.push_back({name, {value}});
}

// Calls the callbacks, hook after hook. Where the fit goes on from a file, what was called before that was saved is
// left out, and what was not comes first.
class Calls {
 public:
  Calls(FitRun& run, Recorder* recorder) : run_(run), callbacks_(run.options.callbacks), recorder_(recorder) {}

  void GoOn() { behind_ = true, from_ = run_.hook, next_ = run_.callback + 1; }
  bool behind() const { return behind_; }  // what comes now was done before the file was saved

  template <class F>
  void operator()(Hook hook, const F& call) {
    const bool here = behind_ && hook == from_;
    if (behind_ && !here && hook != Hook::kTrainEnd) return;
    behind_ = false;
    run_.hook = hook;
    static const char* const names[] = {"on_train_begin",     "on_epoch_begin", "on_train_batch_begin",
                                        "on_train_batch_end", "on_epoch_end",   "on_train_end"};
    for (run_.callback = here ? next_ : 0; run_.callback < callbacks_.size(); ++run_.callback) {
      Callback& callback = *callbacks_[run_.callback];
      const Recorder::Called called(recorder_, callback, names[static_cast<int>(hook)]);
      call(callback);
    }
  }

 private:
  FitRun& run_;
  const Callbacks& callbacks_;
  Recorder* recorder_;
  bool behind_ = false;
  Hook from_ = Hook::kTrainBegin;
  size_t next_ = 0;
};

// While there is one, a save says where the fit stands.
class Running {
 public:
  Running(ModelState& s, const FitRun& run) : s_(s), before_(std::exchange(s.run, &run)) {}
  ~Running() { s_.run = before_; }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

 private:
  ModelState& s_;
  const FitRun* before_;
};

// As Keras: classes weigh the rows of one target of labels, or of one row of numbers each.
void CheckClassWeight(const ModelState& s, const Samples& data, const std::map<int, float>& class_weight) {
  if (class_weight.empty()) return;
  if (!data.sample_weight.empty())
    Fail("fit: class_weight and sample_weight were both given; give one, or multiply the weights of the samples by ",
         "those of their classes");
  const TensorSpecs& out = s.network->outputs();
  if (out.size() != 1)
    Fail("fit: class_weight needs a model with one output, model '", s.network->name, "' has ", out.size(),
         "; give sample_weight instead");
  if (data.y[0].shape().rank() > 2)
    Fail("fit: class_weight needs a class for each row, the targets have the shape ", data.y[0].shape(),
         "; give sample_weight instead");
  const int64_t classes = out[0].shape.back();
  for (const auto& [label, weight] : class_weight) {
    if (label < 0 || (classes > 1 && label >= classes))
      Fail("fit: class_weight names class ", label, ", model '", s.network->name, "' has ",
           classes > 1 ? Text(classes, " classes, 0 to ", classes - 1) : std::string("classes from 0 on"));
    if (!std::isfinite(weight)) Fail("fit: class_weight of class ", label, " is ", weight, ", a number was expected");
  }
}

void CheckOptions(const FitOptions& o, bool has_validation_data) {
  if (o.batch_size <= 0) Fail("fit: batch_size is ", o.batch_size, ", a positive number was expected");
  if (o.epochs < 0) Fail("fit: epochs is ", o.epochs, ", 0 or more was expected");
  if (o.initial_epoch < 0) Fail("fit: initial_epoch is ", o.initial_epoch, ", 0 or more was expected");
  if (!(o.validation_split >= 0 && o.validation_split < 1))
    Fail("fit: validation_split is ", o.validation_split, ", a number from 0 up to 1 was expected");
  if (o.validation_split > 0 && has_validation_data)
    Fail("fit: validation_split and validation_data were both given; give one");
  if (o.validation_batch_size < 0)
    Fail("fit: validation_batch_size is ", o.validation_batch_size, ", a positive number was expected");
  for (size_t i = 0; i < o.callbacks.size(); ++i)
    if (!o.callbacks[i]) Fail("fit: callback ", i, " is empty");
  if (o.steps_per_epoch < 0) Fail("fit: steps_per_epoch is ", o.steps_per_epoch, ", a positive number was expected");
}

// Makes the next batch of the run ready, the one behind what was done since the pass through the data began. False
// where the epoch ends with the data. Passes are counted over all fits of the model, as far as their size tells, so
// that each has an order of its own.
bool NextBatch(Feed& feed, FitRun& run, int64_t iterations) {
  const bool whole_passes = run.options.steps_per_epoch == 0;
  int64_t pass = run.pass, place = iterations - run.pass_steps;
  if (pass < 0) {
    const bool endless = feed.per_pass() == kForever;
    pass = feed.sized() ? iterations / feed.per_pass() : endless ? 0 : iterations;
    place = endless && feed.indexed() ? iterations : 0;
  } else if (feed.sized() ? place >= feed.per_pass() : whole_passes && run.step == 0 && place > 0) {
    ++pass, place = 0;
  }
  const int64_t left = run.steps == kForever ? kForever : (run.options.epochs - run.epoch) * run.steps - run.step;
  const int64_t most = std::max<int64_t>(1, left);
  if (!feed.Go(pass, place, most)) {
    if (place > 0 && whole_passes) return false;
    if (place == 0 || !feed.Go(++pass, place = 0, most))
      Fail("fit: the data set gives no batch in pass ", pass, " through the data: ", feed.str());
  }
  run.pass = pass;
  run.pass_steps = iterations - place;
  return true;
}

}  // namespace

History Model::fit(const Dataset& given, const FitOptions& o) {
  const std::shared_ptr<ModelState> held = state_;  // a callback may give this handle another model
  ModelState& s = state();
  CheckOptions(o, !o.validation_data.none());
  std::optional<Feed> feed;  // where the data has stages
  if (given.staged()) {
    if (o.validation_split > 0)
      Fail("fit: validation_split needs plain arrays, the data has stages; make validation_data with take and skip");
    feed.emplace(s, given, o.batch_size, true, "fit");
    if (feed->per_pass() == kForever && !o.steps_per_epoch)
      Fail("fit: the data never ends; say how long an epoch is: steps_per_epoch");
  } else {
    CheckData(s, given, true, "fit");
    CheckLabels(s, given);
    CheckClassWeight(s, given, o.class_weight);
  }
  Dataset data = given, validation = o.validation_data;
  if (o.validation_split > 0) {
    const int64_t split = static_cast<int64_t>(static_cast<double>(given.rows()) * (1 - o.validation_split));
    if (split == 0 || split == given.rows())
      Fail("fit: validation_split ", o.validation_split, " of ", given.rows(),
           " rows leaves no rows to train on or to validate on");
    data = given.slice(0, split);
    validation = given.slice(split, given.rows());
  }
  const bool validates = !validation.none();
  if (validates && !validation.staged())
    CheckData(s, validation, true, "fit, validation_data"), CheckLabels(s, validation);

  const int64_t rows = data.rows();
  const int64_t per_pass = feed ? feed->per_pass() : (rows + o.batch_size - 1) / o.batch_size;
  const int64_t steps = o.steps_per_epoch ? o.steps_per_epoch : per_pass == kUnknown ? kForever : per_pass;
  if (o.resume && !s.position)
    Fail("fit: model '", name(),
         "' has no position to go on from; load an .ingot file that a callback saved during fit, ",
         "or leave resume out to begin anew");
  if (!o.resume) s.position.reset();
  std::vector<int64_t> order(o.shuffle ? static_cast<size_t>(rows) : 0);
  int64_t ordered = -1;  // the pass through the data that `order` is for
  EpochLine progress(o.verbose, o.epochs, steps);
  // The plan is made, and data that do not fit are named, before anything is printed.
  const auto plan = [&]() -> Program& {
    const Samples& first = feed ? feed->data() : data;
    return s.session.Find(s, Mode::kTrain, first, feed ? feed->count() : std::min<int64_t>(rows, o.batch_size),
                          !first.sample_weight.empty() || !o.class_weight.empty(),
                          !s.optimizer().def().apply_due(s.iterations));
  };
  FitRun run{*this, o, data, steps};
  run.epoch = o.initial_epoch;
  std::optional<Recorder> profiled;
  if (o.profile) profiled.emplace(*o.profile, s, true, "fit");
  Recorder* const recorder = profiled ? &*profiled : nullptr;
  const char* const input = feed && feed->threads() ? "wait for data" : "make data";
  if (feed) {
    const Recorder::Span span(recorder, Recorder::Part::kInput, input, 0);
    NextBatch(*feed, run, s.iterations);
    CheckClassWeight(s, feed->data(), o.class_weight);
  }
  {
    const Recorder::Span span(recorder, Recorder::Part::kPlan, "make plan");
    plan();
  }
  const Running running(s, run);
  const Interrupt interrupt(o.stop_on_interrupt);
  Calls calls(run, recorder);
  History& history = run.history;
  Logs logs, epoch_logs;
  const Watch watch = o.find_nan ? FindNan(s) : Watch{};
  const auto step = [&](const Samples& of, const Rows& these) {
    const Recorder::Step timed(recorder, run.step, these.last - these.first, watch);
    RunStep(s, s.session, Mode::kTrain, of, these, &o.class_weight, timed.watch());
  };
  s.stop_training = false;
  calls(Hook::kTrainBegin, [&](Callback& c) { c.on_train_begin(*this); });
  if (const auto position = std::exchange(s.position, nullptr)) {
    s.session.Bind(s, plan());
    GoOn(*position, s, run);
    calls.GoOn();
    for (const auto& [key, values] : history.history) epoch_logs.emplace_back(key, values.back());
  }
  constexpr int64_t kMostReserved = 1 << 20;
  const int64_t expected = steps == kForever ? 0 : steps * std::max(0, o.epochs - run.epoch);
  history.batch_loss.reserve(history.batch_loss.size() + static_cast<size_t>(std::min(kMostReserved, expected)));
  for (; run.epoch < o.epochs && (!s.stop_training || calls.behind()); ++run.epoch) {
    const Recorder::Span epoch_span(recorder, Recorder::Part::kEpoch, "epoch", run.epoch);
    if (!calls.behind()) run.step = 0;
    calls(Hook::kEpochBegin, [&](Callback& c) { c.on_epoch_begin(*this, run.epoch); });
    progress.Begin(run.epoch);
    if (!calls.behind()) ResetMetrics(s, Mode::kTrain);
    for (; run.step < steps && (!s.stop_training || calls.behind()); ++run.step) {
      if (run.hook == Hook::kEpochEnd && calls.behind()) break;
      if (feed && !calls.behind()) {
        const Recorder::Span span(recorder, Recorder::Part::kInput, input, run.step);
        if (!NextBatch(*feed, run, s.iterations)) break;
      }
      calls(Hook::kBatchBegin, [&](Callback& c) { c.on_train_batch_begin(*this, run.step); });
      if (!calls.behind() && feed) {
        NextBatch(*feed, run, s.iterations);  // another one only where the fit was resumed just before it
        step(feed->data(), feed->rows());
      } else if (!calls.behind()) {
        // With steps_per_epoch an epoch goes on in the data where the one before it stopped.
        const int64_t at = run.epoch * steps + run.step, pass = at / per_pass, first = at % per_pass * o.batch_size;
        if (o.shuffle && pass != ordered) {
          const Recorder::Span span(recorder, Recorder::Part::kInput, "shuffle");
          if (pass != run.pass) run.pass = pass, run.pass_steps = s.iterations - at % per_pass;
          Shuffle(order, s.seed, run.pass_steps);
          ordered = pass;
        }
        step(data, {o.shuffle ? order.data() : nullptr, first, std::min(rows, first + o.batch_size)});
      }
      if (!calls.behind()) history.batch_loss.push_back(s.SumsOf(Mode::kTrain).mean());
      const bool draw = progress.Due();
      if (draw || !o.callbacks.empty()) ReadLogs(s, Mode::kTrain, logs);  // nobody looks otherwise
      calls(Hook::kBatchEnd, [&](Callback& c) { c.on_train_batch_end(*this, run.step, logs); });
      if (draw) progress.Step(run.step + 1, logs);
      if (interrupt.came()) s.stop_training = true;
    }
    if (!calls.behind()) {
      ReadLogs(s, Mode::kTrain, logs);
      epoch_logs = logs;
      if (validates) {
        const Recorder::Span span(recorder, Recorder::Part::kValidation, kValidationSpan);
        const Logs val = evaluate(validation, o.validation_batch_size ? o.validation_batch_size : o.batch_size);
        for (const auto& [key, value] : val) epoch_logs.emplace_back("val_" + key, value);
      }
      for (const CallbackPtr& callback : o.callbacks) {
        const Recorder::Called called(recorder, *callback, "add_logs");
        callback->add_logs(*this, epoch_logs);
      }
      history.epoch.push_back(run.epoch);
      for (const auto& [key, value] : epoch_logs) Append(history, key, value);
    }
    progress.End(run.step, epoch_logs);
    calls(Hook::kEpochEnd, [&](Callback& c) { c.on_epoch_end(*this, run.epoch, epoch_logs); });
  }
  const bool trained = s.iterations > 0 && s.slots.size() > 0;
  if (s.optimizer().def().common.use_ema && trained && o.epochs > o.initial_epoch) s.TakeAverages();  // as Keras does
  calls(Hook::kTrainEnd, [&](Callback& c) { c.on_train_end(*this, epoch_logs); });
  history.interrupted = interrupt.came();
  if (recorder) recorder->Finish();
  return std::move(history);
}

}  // namespace ingot
