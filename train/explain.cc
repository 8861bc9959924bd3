// SPDX-License-Identifier: MIT
//
// Watches an epoch, tries what it takes, and lets the rules speak.
#include "ingot/train/explain.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <thread>

#include "ingot/core/error.h"
#include "ingot/core/plural.h"
#include "ingot/core/printed.h"
#include "ingot/data/stage.h"
#include "ingot/kernels/ceilings.h"
#include "ingot/optim/slots.h"
#include "ingot/train/background_save.h"
#include "ingot/train/check.h"
#include "ingot/train/explain_data.h"
#include "ingot/train/explain_rules.h"
#include "ingot/train/recorder.h"
#include "ingot/train/snapshot.h"

namespace ingot {
namespace {

double Now() { return 1e-9 * static_cast<double>(Trace::Now()); }

// Ends the epoch when it has been watched for long enough.
class WatchesForExplain : public Callback {
 public:
  explicit WatchesForExplain(double seconds) : seconds_(seconds) {}
  void on_epoch_begin(Model&, int) override { began_ = Now(); }
  void on_train_batch_end(Model& model, int64_t, const Logs&) override {
    if (Now() - began_ > seconds_) model.set_stop_training(true), cut_ = true;
  }
  bool cut() const { return cut_; }

 private:
  double seconds_, began_ = 0;
  bool cut_ = false;
};

// Whether what the model does first with an input makes its scale matter.
bool ScaleMatters(const Network& network, size_t input) {
  static const std::set<std::string> indifferent = {"Normalization",      "Rescaling",          "BatchNormalization",
                                                    "LayerNormalization", "GroupNormalization", "Embedding"};
  if (network.inputs()[input].dtype != DType::kFloat32) return false;
  for (const Network::Node& node : network.nodes())
    for (const int in : node.in)
      if (in == static_cast<int>(input) && indifferent.contains(node.layer.def().class_name())) return false;
  return true;
}

class Explainer {
 public:
  Explainer(Model& model, const Dataset& data, const ExplainOptions& options)
      : model_(model), s_(model_.state()), data_(data), o_(options) {}

  Explanation Run() {
    s_.RequireCompiled("explain");
    if (o_.fit.profile) Fail("explain: takes a profile of its own; leave FitOptions::profile out");
    for (const CallbackPtr& callback : o_.fit.callbacks)
      if (callback && NameOf(*callback) == "BackupAndRestore")
        Fail("explain: with BackupAndRestore among the callbacks, the epoch that is watched would begin from its ",
             "backup, and delete it at the end; leave it out");
    if (!(o_.seconds > 0) || !(o_.trials >= 0)) Fail("explain: seconds and trials are times, positive numbers");
    some_ = SomeOf(data_, o_.fit.batch_size, o_.trials);
    CheckData(s_, some_.rows, true, "explain");
    CheckLabels(s_, some_.rows);
    Snapshot before(model_);
    before_ = &before;
    s_.position.reset();
    const double loss = Loss();
    const double drawn = s_.iterations > 0 ? 0 : LossOfDrawn();
    Watch();
    OfData();
    OfTime();
    OfTrials();
    if (const auto found =
            OptimizerStateMissing({s_.optimizer().def().class_name(), s_.iterations,
                                   static_cast<int64_t>(SlotsOf(s_.optimizer().def()).size()), loss, drawn, after_}))
      result_.findings.push_back(*found);
    return std::move(result_);
  }

 private:
  void Add(std::optional<Finding> found) {
    if (found) result_.findings.push_back(*std::move(found));
  }

  double Loss() { return model_.evaluate(Dataset(some_.rows), std::max(32, o_.fit.batch_size))["loss"]; }

  // What is not trained stays as it is: a frozen part may well be from elsewhere.
  double LossOfDrawn() {
    Arrays drawn = GetValues(s_.layout.variables(), "explain");
    const auto& variables = s_.layout.variables();
    const std::vector<char> trained = s_.TrainedVariables();
    for (size_t i = 0; i < variables.size(); ++i) {
      if (!trained[i]) continue;
      if (variables[i]->initialize)
        variables[i]->initialize(static_cast<float*>(drawn[i].data()), {s_.seed, static_cast<uint32_t>(i), UINT32_MAX});
    }
    SetValues(variables, drawn, "explain");
    const double loss = Loss();
    before_->Restore();
    return loss;
  }

  void Watch() {
    FitOptions fit = o_.fit;
    const auto until = std::make_shared<WatchesForExplain>(o_.seconds);
    fit.epochs = fit.initial_epoch + 1;
    fit.resume = false;
    fit.callbacks.push_back(until);
    fit.profile = &result_.profile;
    const History history = model_.fit(data_, fit);
    const Profile& p = result_.profile;
    // Losses of batches, from their running mean; all are taken to be as large.
    const std::vector<double>& running = history.batch_loss;
    const size_t n = running.size(), quarter = std::max<size_t>(1, n / 4);
    const auto mean = [&](size_t first, size_t last) {
      const double to = running[last - 1] * static_cast<double>(last);
      const double from = first ? running[first - 1] * static_cast<double>(first) : 0;
      return (to - from) / static_cast<double>(last - first);
    };
    if (n >= 8) first_ = mean(0, quarter), last_ = mean(n - quarter, n);
    steps_ = std::max<int64_t>(1, p.steps_done);
    rows_ = o_.fit.steps_per_epoch ? int64_t{o_.fit.steps_per_epoch} * std::max<int64_t>(1, p.batch)
            : data_.staged()       ? RowsOfStages()
                             : static_cast<int64_t>(static_cast<double>(data_.rows()) * (1 - o_.fit.validation_split));
    const int64_t all = p.batch ? (rows_ + p.batch - 1) / p.batch : steps_;
    const double scale = until->cut() ? static_cast<double>(std::max(all, steps_)) / static_cast<double>(steps_) : 1;
    // What an epoch takes: what is of each step, and what is of the epoch.
    wait_ = scale * Inputs();
    in_steps_ = scale * (p.phase("forward") + p.phase("backward") + p.phase("update") + p.seconds_copying);
    validation_ = p.phase("validation");
    epoch_ = wait_ + in_steps_ + validation_ + scale * p.phase("other");
    const std::string own = NameOf(*until);
    for (const Profile::Call& call : p.calls) {
      if (call.hook == "on_train_begin" || call.hook == "on_train_end" || call.callback == own) continue;
      const double times = call.hook.starts_with("on_train_batch") ? scale : 1, seconds = times * call.seconds;
      epoch_ += seconds;
      CallbackFigures& f = callbacks_[call.callback];
      f.seconds += seconds;
      if (seconds <= f.hook_seconds) continue;
      f.name = call.callback, f.hook = call.hook, f.hook_seconds = seconds;
      f.calls = static_cast<int64_t>(std::llround(times * static_cast<double>(call.calls)));
    }
    result_.watched = Printed(
        "watched %s of batch %lld%s: an epoch takes %.3g s, of which %.1f %% in steps (%.4g ms each), %.1f %% waiting "
        "for data, %.1f %% in callbacks, %.1f %% validating",
        Counted(static_cast<size_t>(steps_), "step").c_str(), static_cast<long long>(p.batch),
        until->cut() ? Printed(" of %lld", static_cast<long long>(all)).c_str() : "", epoch_, Percent(in_steps_),
        1e3 * in_steps_ / (scale * static_cast<double>(steps_)), Percent(wait_), Percent(Callbacks()),
        Percent(validation_));
    after_ = Loss();
    before_->Restore();
  }

  double Percent(double part) const { return epoch_ > 0 ? 100 * part / epoch_ : 0; }
  double Callbacks() const {
    double sum = 0;
    for (const auto& [name, f] : callbacks_) sum += f.seconds;
    return sum;
  }
  int64_t RowsOfStages() const {
    const int64_t size = data_.size().value_or(0), batch = std::max<int64_t>(1, result_.profile.batch);
    return size ? (data_.stage()->batched() ? size * batch : size) : steps_ * batch;
  }
  // Seconds of the input phase that are not the copy of a batch into the plan.
  double Inputs() const { return std::max(0.0, result_.profile.phase("input") - result_.profile.seconds_copying); }

  void OfData() {
    some_.rows.ForEach([&](const char* what, size_t i, const Array& a) {
      if (a.dtype() != DType::kFloat32) return;
      FiniteFigures f{std::string(what) == "sample_weight" ? what : Text(what, "[", i, "]"), 0, 0, a.rows()};
      const auto values = a.floats();
      for (size_t k = 0; k < values.size(); ++k) {
        if (std::isfinite(values[k])) continue;
        if (f.bad++ == 0)
          f.first_row = static_cast<int64_t>(k) / std::max<int64_t>(1, a.size() / a.rows()) * some_.apart;
      }
      finite_ &= f.bad == 0;
      Add(NotFinite(f));
    });
    for (size_t i = 0; i < some_.rows.y.size(); ++i) OfLabels(some_.rows.y[i], s_.network->outputs()[i].shape);
  }

  // Whole numbers, one for each row, where the output tells classes.
  void OfLabels(const Array& y, const Shape& out) {
    const bool binary = out.back() == 1 && s_.losses.size() == 1 &&
                        s_.losses[0].def().class_name().find("rossentropy") != std::string::npos;
    if (y.size() != y.rows() || y.rows() < 2 || (out.back() == 1 && !binary)) return;
    std::set<double> seen;
    for (int64_t i = 0; i < y.size() && seen.size() < 2; ++i) seen.insert(ValueAt(y, i));
    if (!(std::fabs(*seen.begin()) < 1e15) || *seen.begin() != std::floor(*seen.begin())) return;
    Add(OneClass({static_cast<int64_t>(*seen.begin()), y.rows(), static_cast<int64_t>(seen.size())}));
  }

  void OfTime() {
    const Profile& p = result_.profile;
    const int cores = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
    if (data_.staged()) {  // of plain arrays there is nothing to prepare, nor to read ahead
      DataFigures data{epoch_, wait_, in_steps_, 0, 0, false, cores};
      data.threads = data_.stage()->threads();
      data.made = p.make_seconds * (p.steps_done ? wait_ / std::max(1e-12, Inputs()) : 1);
      data.maps = data_.stage()->maps();
      Add(WaitsForData(data));
    }
    double histograms = 0;
    bool background = false;
    for (const Profile::Thread& thread : p.trace) {
      background |= thread.name == kBackgroundSaveThread;
      for (const Profile::Event& e : thread.events)
        if (p.names[static_cast<size_t>(e.name)] == kHistogramsSpan)
          histograms += 1e-9 * static_cast<double>(e.end - e.begin);
    }
    for (auto& [name, f] : callbacks_) {
      f.epoch = epoch_;
      f.histograms = name == "TensorBoard" ? histograms : 0;
      f.saves = !background && name == "ModelCheckpoint";
      Add(CallbackCosts(f));
    }
    Add(ValidationCosts({epoch_, validation_}));
  }

  // ---- Trials.

  // The least of a few steps of that batch, of rows taken again and again; they are made in turns, so that what else
  // the machine does falls on all of them.
  std::vector<double> Times(const std::vector<std::pair<int64_t, ThreadPool*>>& kinds) {
    std::vector<double> ms(kinds.size(), std::numeric_limits<double>::infinity());
    Session session;  // whose plans and memory go with the trial
    ThreadPool* const own = s_.pool;
    std::vector<int64_t> order;
    const double began = Now();
    for (int round = 0; round < 3 || (round < 50 && Now() - began < o_.trials); ++round)
      for (size_t k = 0; k < kinds.size(); ++k) {
        order.resize(static_cast<size_t>(kinds[k].first));
        for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int64_t>(i) % some_.rows.rows();
        s_.pool = kinds[k].second ? kinds[k].second : own;  // Snapshot gives it back, whatever comes
        const double from = Now();
        RunStep(s_, session, Mode::kTrain, some_.rows, {order.data(), 0, kinds[k].first}, &o_.fit.class_weight);
        if (round > 0) ms[k] = std::min(ms[k], 1e3 * (Now() - from));  // the first makes the plan
        s_.pool = own;
      }
    before_->Restore();
    return ms;
  }

  // The loss on some of the rows behind so many steps on them, from where the model stands.
  double Train(const Samples& rows, double rate) {
    if (rate > 0) model_.set_learning_rate(rate);
    const int64_t per_epoch = (rows.rows() + o_.fit.batch_size - 1) / o_.fit.batch_size;
    for (int64_t done = 0; done < trial_; done += per_epoch)
      model_.fit(Dataset(rows), {.batch_size = o_.fit.batch_size,
                                 .class_weight = o_.fit.class_weight,
                                 .steps_per_epoch = static_cast<int>(std::min(per_epoch, trial_ - done))});
    const double loss = model_.evaluate(Dataset(rows), std::max(32, o_.fit.batch_size))["loss"];
    before_->Restore();
    return loss;
  }

  void OfTrials() {
    const Profile& p = result_.profile;
    if (p.batch <= 0 || o_.trials == 0) return;
    const double each = std::max(1e-6, 1e-3 * p.ms_median);
    trial_ = static_cast<int64_t>(std::clamp(o_.trials / each, 10.0, 300.0));

    // Larger batches: while there are four steps an epoch, memory for them, and time.
    BatchFigures batches{rows_, {}, p.flops, 0};
    std::vector<std::pair<int64_t, ThreadPool*>> kinds = {{p.batch, nullptr}};
    double bytes = 0;  // of memory, for a row
    for (const auto& program : s_.session.programs_)
      if (program->mode == Mode::kTrain && program->x[0].shape[0] == p.batch)
        bytes = static_cast<double>(program->plan->activation_bytes()) / static_cast<double>(p.batch);
    for (int64_t b = 2 * p.batch; b <= std::min<int64_t>(4096, rows_ / 4); b *= 2) {
      const double factor = static_cast<double>(b) / static_cast<double>(p.batch);
      if (bytes * static_cast<double>(b) > 1e9 || each * factor > o_.trials / 2) break;
      kinds.emplace_back(b, nullptr);
    }
    const int threads = (s_.pool ? s_.pool : &ThreadPool::Default())->threads();
    const int cores = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
    std::optional<ThreadPool> all;
    if (threads < cores) kinds.emplace_back(p.batch, &all.emplace(cores));
    if (kinds.size() > 1) {
      const std::vector<double> ms = Times(kinds);
      const size_t sizes = ms.size() - (all ? 1 : 0);
      for (size_t k = 0; k < sizes; ++k) batches.timed.emplace_back(kinds[k].first, ms[k]);
      batches.peak_gflops = CeilingsOf(threads).gflops;
      Add(BatchTooSmall(batches));
      if (all) Add(CoresIdle({threads, cores, ms[0], ms.back()}));
      for (size_t k = 0; k < sizes; ++k)
        result_.watched +=
            Printed("%s %lld: %.4g ms", k ? "," : "; a step of batch", static_cast<long long>(kinds[k].first), ms[k]);
    }
    if (finite_) OfFeatures();

    RateFigures rate{model_.learning_rate(), first_, last_, trial_, 0, 0};
    if (first_ != 0) result_.watched += Printed("; the loss goes from %.4g to %.4g within it", first_, last_);
    if (!finite_ || !LossRises(rate) || s_.optimizer().def().learning_rate.schedule()) return;
    rate.loss = Train(some_.rows, 0);
    rate.loss_tenth = Train(some_.rows, rate.rate / 10);
    Add(RateTooHigh(rate));
  }

  void OfFeatures() {
    for (size_t i = 0; i < some_.rows.x.size(); ++i) {
      const Array& x = some_.rows.x[i];
      if (x.size() == 0 || !ScaleMatters(*s_.network, i)) continue;
      const Moments m = MomentsOf(x);
      const std::string name = Text("x[", i, "]");
      std::vector<std::pair<double, int64_t>> deviations;
      for (size_t k = 0; k < m.deviation.size(); ++k)
        if (m.deviation[k] > 1e-6 * std::fabs(m.mean[k])) deviations.emplace_back(m.deviation[k], k);
      const auto features = static_cast<int64_t>(m.deviation.size());
      Add(ConstantFeatures({name, features - static_cast<int64_t>(deviations.size()), features, x.rows()}));
      if (deviations.empty()) continue;
      std::sort(deviations.begin(), deviations.end());
      // Of many features a few may be nearly always the same, as the borders of images are.
      const size_t off = deviations.size() >= 50 ? deviations.size() / 10 : 0;
      const auto& low = deviations[off];
      const auto& high = deviations[deviations.size() - 1 - off];
      FeatureFigures f{name, low.first, high.first, low.second, high.second, m.magnitude, trial_, 0, 0};
      result_.watched += Printed("; %s is of magnitude %.3g, its features deviate by %.3g to %.3g", name.c_str(),
                                 m.magnitude, low.first, high.first);
      if (!ScaleIsOdd(f)) continue;
      Samples normalized = some_.rows;
      normalized.x[i] = Normalized(x, m);
      f.loss = Train(some_.rows, 0);
      f.loss_normalized = Train(normalized, 0);
      Add(NotNormalized(f));
    }
  }

  Model model_;  // shares what it is a handle of, which a callback may take away from the caller's
  ModelState& s_;
  const Dataset& data_;
  const ExplainOptions& o_;
  Explanation result_;
  Snapshot* before_ = nullptr;
  Some some_;
  bool finite_ = true;
  int64_t steps_ = 0, rows_ = 0, trial_ = 0;
  double epoch_ = 0, wait_ = 0, in_steps_ = 0, validation_ = 0, first_ = 0, last_ = 0, after_ = 0;
  std::map<std::string, CallbackFigures> callbacks_;
};

}  // namespace

Explanation explain(Model& model, const Dataset& data, const ExplainOptions& options) {
  return Explainer(model, data, options).Run();
}

}  // namespace ingot
