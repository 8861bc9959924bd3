// SPDX-License-Identifier: MIT
#include "ingot/train/explain_rules.h"

#include <algorithm>
#include <cmath>

#include "ingot/core/plural.h"
#include "ingot/core/printed.h"

namespace ingot {
namespace {

// From where on something is worth a sentence.
constexpr double kWaits = 0.1, kCallback = 0.05, kValidation = 0.3;  // of the epoch
constexpr double kFaster = 1.25;                                     // times, to change the batch
constexpr double kOddScale = 100, kLarge = 20, kSmall = 0.02;
// Losses may be negative: they are held against each other by parts of the other's magnitude.
constexpr double kBetter = 0.1, kRises = 0.2, kTrained = 0.3;

double Percent(double part, double whole) { return whole > 0 ? 100 * part / whole : 0; }

// "0.31 s", "12 ms", "45 us".
std::string Time(double seconds) {
  if (seconds >= 1) return Printed("%.3g s", seconds);
  if (seconds >= 1e-3) return Printed("%.3g ms", 1e3 * seconds);
  return Printed("%.3g us", 1e6 * seconds);
}

// Of a NaN the sign says nothing.
double Plain(double loss) { return std::isnan(loss) ? std::fabs(loss) : loss; }

bool Better(double loss, double than) {
  return std::isfinite(loss) && (!std::isfinite(than) || loss < than - kBetter * std::fabs(than));
}

}  // namespace

std::optional<Finding> WaitsForData(const DataFigures& f) {
  if (!(f.wait > kWaits * f.epoch)) return std::nullopt;
  // The work of making all batches; on n threads beside the steps an epoch takes the longer of both.
  const double work = f.threads ? f.made : f.wait;
  const double other = f.epoch - f.wait - f.steps;
  const double wanted = std::ceil(1.1 * work / std::max(1e-9, f.steps));
  const int threads = static_cast<int>(std::clamp(wanted, 1.0, static_cast<double>(f.cores)));
  const double then = other + std::max(f.steps, work / threads);
  Finding found{"data",
                Printed("%.0f %% of the epoch waits for data (%s of %s): ", Percent(f.wait, f.epoch),
                        Time(f.wait).c_str(), Time(f.epoch).c_str()),
                {{"percent", Percent(f.wait, f.epoch)},
                 {"wait_seconds", f.wait},
                 {"epoch_seconds", f.epoch},
                 {"step_seconds", f.steps},
                 {"make_seconds", work},
                 {"threads", f.threads},
                 {"threads_wanted", threads},
                 {"epoch_seconds_then", then}}};
  const double busy = f.threads ? f.made / (f.threads * f.epoch) : 0;
  if (f.threads == 0) {
    found.text += f.maps ? Printed("map runs on one thread, the one that trains; add .threads = %d to map", threads)
                         : "the thread that trains makes the batches itself; add";
    found.text += f.maps ? " and .prefetch(2)" : " .prefetch(2)";
    found.text += Printed(", and an epoch takes about %s", Time(then).c_str());
  } else if (busy < 0.7) {
    found.text +=
        Printed("its %s at work for %.0f %% of the time only; let them go further ahead: a larger .prefetch(n)",
                f.threads == 1 ? "thread is" : Printed("%d threads are", f.threads).c_str(), 100 * busy);
  } else if (f.threads < threads && f.maps) {
    found.text += Printed("map runs on %s; with .threads = %d an epoch takes about %s",
                          Counted(static_cast<size_t>(f.threads), "thread").c_str(), threads, Time(then).c_str());
  } else {
    found.text += Printed(
        "making the batches takes %s, the steps %s, on %s; add .cache() behind what is the same in each "
        "epoch, or do it once beforehand",
        Time(work).c_str(), Time(f.steps).c_str(), Counted(static_cast<size_t>(f.cores), "core").c_str());
  }
  return found;
}

std::optional<Finding> BatchTooSmall(const BatchFigures& f) {
  if (f.timed.size() < 2 || f.rows <= 0) return std::nullopt;
  const auto epoch = [&](const std::pair<int64_t, double>& t) {
    return 1e-3 * t.second * static_cast<double>((f.rows + t.first - 1) / t.first);
  };
  double best = epoch(f.timed[0]);
  for (const auto& t : f.timed) best = std::min(best, epoch(t));
  const auto at = std::find_if(f.timed.begin(), f.timed.end(), [&](const auto& t) { return epoch(t) <= 1.1 * best; });
  const double now = epoch(f.timed[0]), then = epoch(*at), factor = now / std::max(1e-12, then);
  if (factor < kFaster) return std::nullopt;
  const double gflops = f.timed[0].second > 0 ? f.flops / f.timed[0].second / 1e6 : 0;
  const double idle = f.peak_gflops > 0 ? std::clamp(100 * (1 - gflops / f.peak_gflops), 0.0, 100.0) : 0;
  return Finding{
      "batch",
      Printed("batch %lld leaves %.0f %% of the arithmetic idle (%.3g of %.0f GFLOP/s): %lld would be %.1f times "
              "faster an epoch (steps of %s in all, not %s); it makes fewer updates, so the learning rate may "
              "have to grow with it",
              static_cast<long long>(f.timed[0].first), idle, gflops, f.peak_gflops, static_cast<long long>(at->first),
              factor, Time(then).c_str(), Time(now).c_str()),
      {{"batch", static_cast<double>(f.timed[0].first)},
       {"percent_idle", idle},
       {"gflops", gflops},
       {"better_batch", static_cast<double>(at->first)},
       {"times_faster", factor},
       {"step_ms", f.timed[0].second},
       {"step_ms_then", at->second}}};
}

std::optional<Finding> CoresIdle(const CoreFigures& f) {
  if (f.threads >= f.cores || f.ms_all <= 0 || f.ms < 1.2 * f.ms_all) return std::nullopt;
  return Finding{"cores",
                 Printed("training runs on %s of %d cores: on all of them a step takes %s, not %s; see set_threads",
                         Counted(static_cast<size_t>(f.threads), "thread").c_str(), f.cores,
                         Time(1e-3 * f.ms_all).c_str(), Time(1e-3 * f.ms).c_str()),
                 {{"threads", f.threads}, {"cores", f.cores}, {"step_ms", f.ms}, {"step_ms_then", f.ms_all}}};
}

std::optional<Finding> CallbackCosts(const CallbackFigures& f) {
  if (!(f.seconds > kCallback * f.epoch)) return std::nullopt;
  const double percent = Percent(f.seconds, f.epoch);
  const bool histograms = f.histograms > 0.5 * f.seconds;
  Finding found{
      "callback",
      Printed("%s%s %.0f %% of %s (%s, %s of it in %s of %s): ", f.name.c_str(),
              histograms ? " histograms take" : " takes", percent,
              histograms ? "an epoch that writes them" : "the epoch", Time(f.seconds).c_str(),
              Time(f.hook_seconds).c_str(), Counted(static_cast<size_t>(f.calls), "call").c_str(), f.hook.c_str()),
      {{"percent", percent},
       {"seconds", f.seconds},
       {"epoch_seconds", f.epoch},
       {"calls", static_cast<double>(f.calls)}}};
  if (histograms)
    found.text += "a larger histogram_freq writes them less often";
  else if (f.saves)
    found.text += ".background = true lets training go on while the file is written";
  else
    found.text += "training stands still meanwhile; do it less often, or on a thread of its own";
  return found;
}

std::optional<Finding> ValidationCosts(const ValidationFigures& f) {
  if (!(f.seconds > kValidation * f.epoch)) return std::nullopt;
  return Finding{
      "validation",
      Printed("validation takes %.0f %% of the epoch (%s of %s): a larger validation_batch_size, or fewer rows, "
              "makes it shorter",
              Percent(f.seconds, f.epoch), Time(f.seconds).c_str(), Time(f.epoch).c_str()),
      {{"percent", Percent(f.seconds, f.epoch)}, {"seconds", f.seconds}, {"epoch_seconds", f.epoch}}};
}

bool ScaleIsOdd(const FeatureFigures& f) {
  return f.magnitude >= kLarge || (f.magnitude > 0 && f.magnitude <= kSmall) ||
         (f.least > 0 && f.most >= kOddScale * f.least);
}

std::optional<Finding> NotNormalized(const FeatureFigures& f) {
  if (!ScaleIsOdd(f) || !Better(f.loss_normalized, f.loss)) return std::nullopt;
  const double ratio = f.least > 0 ? f.most / f.least : 1;
  std::string text =
      ratio >= kOddScale
          ? Printed("features of %s differ in scale by 10^%.0f (deviation %.3g of feature %lld, %.3g of feature %lld)",
                    f.input.c_str(), std::round(std::log10(ratio)), f.most, static_cast<long long>(f.most_at), f.least,
                    static_cast<long long>(f.least_at))
          : Printed("features of %s are of magnitude %.3g, not 1", f.input.c_str(), f.magnitude);
  text += Printed(
      ": normalize (Normalization, or fit a scaler); %lld steps on the same rows end at a loss of %.4g as they "
      "are, %.4g normalized",
      static_cast<long long>(f.steps), Plain(f.loss), Plain(f.loss_normalized));
  return Finding{"scale",
                 text,
                 {{"ratio", ratio},
                  {"magnitude", f.magnitude},
                  {"deviation_most", f.most},
                  {"deviation_least", f.least},
                  {"steps", static_cast<double>(f.steps)},
                  {"loss", f.loss},
                  {"loss_normalized", f.loss_normalized}}};
}

std::optional<Finding> ConstantFeatures(const ConstantFigures& f) {
  // A few are usual (the borders of images); from half of them on something is wrong with the data.
  if (f.rows < 2 || f.constant == 0 || 2 * f.constant < f.features) return std::nullopt;
  return Finding{
      "constant",
      Printed("%lld of %lld features of %s are the same in all %lld rows looked at: nothing can be learned from "
              "them",
              static_cast<long long>(f.constant), static_cast<long long>(f.features), f.input.c_str(),
              static_cast<long long>(f.rows)),
      {{"constant", static_cast<double>(f.constant)},
       {"features", static_cast<double>(f.features)},
       {"rows", static_cast<double>(f.rows)}}};
}

std::optional<Finding> NotFinite(const FiniteFigures& f) {
  if (f.bad == 0) return std::nullopt;
  return Finding{
      "finite",
      Printed("%s holds %s that %s not finite, the first in row %lld (%lld rows looked at): one is enough to make "
              "all weights NaN",
              f.array.c_str(), Counted(static_cast<size_t>(f.bad), "value").c_str(), f.bad == 1 ? "is" : "are",
              static_cast<long long>(f.first_row), static_cast<long long>(f.rows)),
      {{"values", static_cast<double>(f.bad)},
       {"row", static_cast<double>(f.first_row)},
       {"rows", static_cast<double>(f.rows)}}};
}

std::optional<Finding> OneClass(const LabelFigures& f) {
  if (f.classes_seen != 1 || f.rows < 2) return std::nullopt;
  return Finding{
      "labels",
      Printed("all %lld labels looked at are %lld: the model will say %lld to everything",
              static_cast<long long>(f.rows), static_cast<long long>(f.label), static_cast<long long>(f.label)),
      {{"label", static_cast<double>(f.label)}, {"rows", static_cast<double>(f.rows)}}};
}

bool LossRises(const RateFigures& f) {
  return !std::isfinite(f.first) || !std::isfinite(f.last) || f.last > f.first + kRises * std::fabs(f.first);
}

std::optional<Finding> RateTooHigh(const RateFigures& f) {
  if (!LossRises(f) || !Better(f.loss_tenth, f.loss)) return std::nullopt;
  return Finding{
      "rate",
      Printed("the loss rises within the epoch, from %.4g to %.4g, at learning rate %.3g: %lld steps on the same "
              "rows end at %.4g with it, at %.4g with %.3g",
              Plain(f.first), Plain(f.last), f.rate, static_cast<long long>(f.steps), Plain(f.loss), f.loss_tenth,
              f.rate / 10),
      {{"learning_rate", f.rate},
       {"loss_first", f.first},
       {"loss_last", f.last},
       {"steps", static_cast<double>(f.steps)},
       {"loss", f.loss},
       {"loss_tenth", f.loss_tenth}}};
}

std::optional<Finding> OptimizerStateMissing(const OptimizerFigures& f) {
  if (f.iterations > 0 || f.slots == 0 || !(f.loss < f.loss_drawn - kTrained * std::fabs(f.loss_drawn)))
    return std::nullopt;
  return Finding{
      "optimizer",
      Printed("optimizer state was not in the file: the weights are trained (loss %.4g; drawn anew %.4g), but %s "
              "begins at step 0 with empty moments, so the first epochs repeat work (this one: from %.4g to "
              "%.4g); save the whole model, and do not compile it again",
              f.loss, Plain(f.loss_drawn), f.optimizer.c_str(), f.loss, Plain(f.loss_after)),
      {{"loss", f.loss},
       {"loss_drawn", f.loss_drawn},
       {"loss_after", f.loss_after},
       {"slots", static_cast<double>(f.slots)}}};
}

}  // namespace ingot
