// SPDX-License-Identifier: MIT
#include "ingot/train/recorder.h"

#include <cxxabi.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <deque>
#include <iterator>
#include <limits>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "ingot/core/error.h"
#include "ingot/core/median.h"
#include "ingot/data/ahead.h"

namespace ingot {
namespace {

constexpr double kBudget = 0.01;        // of the time of steps, for looking into one of them now and then
constexpr double kClocks = 0.005;       // and for clocks around them
constexpr size_t kMostTimes = 1 << 16;  // that are kept for a median
constexpr int64_t kFirst = 3;           // steps are looked into anyway

double Seconds(int64_t nanoseconds) { return 1e-9 * static_cast<double>(nanoseconds); }

// What a look costs: two readings of the clock, which wait for what runs before them, here and in the pool's threads; a
// line in the trace; the calls. As measured (docs/profile.md), by the time of one reading.
int64_t CostOfALook() {
  constexpr int kRuns = 8, kTimes = 32;
  int64_t least = std::numeric_limits<int64_t>::max();
  for (int run = 0; run < kRuns; ++run) {
    const int64_t begin = Trace::Now();
    for (int i = 1; i < kTimes; ++i) Trace::Now();
    least = std::min(least, Trace::Now() - begin);
  }
  return 12 * least / kTimes + 50;
}

struct Times {
  std::vector<float> ms;
  void Add(int64_t nanoseconds) {
    if (ms.size() < kMostTimes) ms.push_back(static_cast<float>(1e-6 * static_cast<double>(nanoseconds)));
  }
  // The first was of cold caches, and made what is made at first use.
  double MedianOfWarm() const {
    return static_cast<double>(Median(ms.size() > 1 ? std::vector<float>(ms.begin() + 1, ms.end()) : ms));
  }
};

// Programs may go before the profile is written: what is needed of each is noted at its first step.
struct Looked {
  uint64_t made;
  int64_t rows;
  bool accumulates;
  std::vector<Profile::Part> parts;
  std::vector<std::string> names;  // in the trace
  std::vector<Times> times;
  Times copy;
};

// Steps of so many rows, with an update or gradients kept for a later one: some are looked into, some are timed as a
// whole, and if they are short others only counted.
struct Whole {
  int64_t rows = 0;
  bool accumulates = false;
  int64_t steps = 0, looked = 0, timed = 0;
  int64_t skip = 0, skip_clock = 0;  // so many before the next one is looked into, or timed
  double looked_seconds = 0, timed_seconds = 0;
  Times times{};
  double mean() const {
    return timed ? timed_seconds / static_cast<double>(timed) : looked_seconds / static_cast<double>(looked);
  }
  double seconds() const { return looked_seconds + static_cast<double>(steps - looked) * mean(); }
};

}  // namespace

struct Recorder::Seen {
  Profile& into;
  ModelState& model;
  std::string where;
  int64_t every, cost_of_a_look = CostOfALook();
  int64_t began = Trace::Now(), at = 0;
  const Watch* also = nullptr;
  Watch watch{};
  double parts[4] = {};
  std::deque<Looked> looked{};  // so that names stay where they are
  Looked* now = nullptr;
  std::vector<Whole> whole{};
  std::map<std::pair<const Callback*, std::string_view>, Profile::Call> calls{};
  std::deque<std::string> call_names{};
  bool finished = false;

  Whole& Of(int64_t rows, bool accumulates) {
    for (Whole& w : whole)
      if (w.rows == rows && w.accumulates == accumulates) return w;
    return whole.emplace_back(Whole{.rows = rows, .accumulates = accumulates});
  }
  // When to look again.
  void Plan(Whole& w) const {
    if (every) {
      w.skip = every - 1;
      return;
    }
    const double cost = Seconds(cost_of_a_look) * static_cast<double>(now ? now->parts.size() : 0);
    // At least one in between is not looked into, and so tells how long the whole takes.
    w.skip = static_cast<int64_t>(std::clamp(std::ceil(cost / (kBudget * std::max(1e-9, w.mean()))) - 1, 1.0, 1e6));
  }
};

Recorder::Recorder(Profile& into, ModelState& model, bool training, const char* where, int64_t every) {
  seen_ = std::make_unique<Seen>(Seen{into, model, where, every});
  seen_->watch = [this](const Program& p, const ingot::Step* step) { Look(p, step); };
  Profile empty;
  empty.model = model.network->name;
  empty.training = training;
  empty.threads = (model.pool ? model.pool : &ThreadPool::Default())->threads();
  if (!Trace::Begin("main"))
    Fail(where, ": a profile is being taken already; one at a time in a process, so let the other end before");
  into = std::move(empty);
  seen_->began = Trace::Now();
}

Recorder::~Recorder() {
  if (!seen_->finished) Trace::Cancel();
}

void Recorder::End(Part part, const char* name, int64_t number, int64_t begin) {
  const int64_t now = Trace::Now();
  seen_->parts[static_cast<size_t>(part)] += Seconds(now - begin);
  if (part == Part::kEpoch) ++seen_->into.epochs;
  Trace::Add(name, number, begin, now);
}

void Recorder::End(const Callback& callback, const char* hook, int64_t begin) {
  const int64_t now = Trace::Now();
  Profile::Call& call = seen_->calls[{&callback, hook}];
  if (call.calls++ == 0) call.callback = NameOf(callback), call.hook = hook;
  call.seconds += Seconds(now - begin);
  if (now - begin < 1000) return;  // most hooks do nothing: a trace is not made of them
  if (seen_->call_names.empty() || seen_->call_names.back() != call.callback + "." + hook) {
    const auto known = std::find(seen_->call_names.begin(), seen_->call_names.end(), call.callback + "." + hook);
    if (known != seen_->call_names.end()) return Trace::Add(known->c_str(), -1, begin, now);
    seen_->call_names.push_back(call.callback + "." + hook);
  }
  Trace::Add(seen_->call_names.back().c_str(), -1, begin, now);
}

Recorder::Step::Step(Recorder* r, int64_t number, int64_t rows, const Watch& also)
    : r_(r), watch_(&also), number_(number), rows_(rows), begin_(0), accumulates_(false) {
  if (!r) return;
  Seen& seen = *r->seen_;
  seen.now = nullptr;
  accumulates_ = seen.into.training && !seen.model.optimizer().def().apply_due(seen.model.iterations);
  Whole& whole = seen.Of(rows, accumulates_);
  ++seen.into.steps_done;
  if (whole.steps++ < kFirst || whole.skip-- <= 0) {
    watch_ = &seen.watch;
    seen.also = &also;
    Trace::Detail(true);
  } else if (whole.timed > 0 && whole.skip_clock-- > 0) {
    return;
  }
  begin_ = seen.at = Trace::Now();
}

Recorder::Step::~Step() {
  if (!begin_) return;
  const int64_t now = Trace::Now();
  Seen& seen = *r_->seen_;
  Whole& whole = seen.Of(rows_, accumulates_);
  Trace::Add(seen.into.training ? "step" : "prediction", number_, begin_, now);
  if (watch_ == &seen.watch) {
    Trace::Detail(false);
    ++seen.into.looked_into;
    ++whole.looked;
    whole.looked_seconds += Seconds(now - begin_);
    seen.Plan(whole);
    return;
  }
  ++whole.timed;
  whole.timed_seconds += Seconds(now - begin_);
  whole.times.Add(now - begin_);
  const double each = Seconds(now - seen.began) / static_cast<double>(seen.into.steps_done);  // and what lies between
  whole.skip_clock = static_cast<int64_t>(std::min(1e3, Seconds(seen.cost_of_a_look) / (kClocks * each)));
}

void Recorder::Look(const Program& program, const ingot::Step* step) {
  const int64_t now = Trace::Now();
  Seen& seen = *seen_;
  const ingot::Plan& plan = *program.plan;
  if (!step) {  // the batch is where the plan reads it
    for (Looked& l : seen.looked)
      if (l.made == program.made) seen.now = &l;
    if (!seen.now) {
      static const char* const phases[] = {"forward", "backward", "update"};
      Looked& l =
          seen.looked.emplace_back(Looked{program.made, program.x.at(0).shape[0], program.accumulates, {}, {}, {}, {}});
      for (const ingot::Step& s : plan.steps()) {
        l.parts.push_back(
            {phases[static_cast<int>(s.phase)], plan.layer(s), Fused(s), Shapes(s), 0, s.cost.flops, s.cost.bytes});
        l.names.push_back(l.parts.back().layer + ": " + l.parts.back().kernel);
      }
      l.times.resize(l.parts.size());
      seen.now = &l;
    }
    seen.now->copy.Add(now - seen.at);
    Trace::Add("copy in", -1, seen.at, now);
  } else if (seen.now) {
    const size_t i = static_cast<size_t>(step - plan.steps().data());
    seen.now->times[i].Add(now - seen.at);
    Trace::Add(seen.now->names[i].c_str(), -1, seen.at, now);
  }
  if (seen.also && *seen.also) (*seen.also)(program, step);
  seen.at = Trace::Now();
}

void Recorder::Finish() {
  Seen& seen = *seen_;
  Profile& p = seen.into;
  p.seconds = Seconds(Trace::Now() - seen.began);
  std::vector<TracedThread> threads = Trace::End();
  seen.finished = true;

  // What is told of a step is of those of as many rows as brought most rows.
  double in_steps = 0;
  std::map<int64_t, int64_t> steps_of;
  for (const Whole& w : seen.whole) in_steps += w.seconds(), steps_of[w.rows] += w.steps;
  int64_t most = 0;
  for (const auto& [rows, steps] : steps_of)
    if (rows * steps >= most) most = rows * steps, p.batch = rows;
  double of_phase[3] = {};  // milliseconds of an average step
  double sum = 0;
  for (const Whole& w : seen.whole) {
    if (w.rows != p.batch) continue;
    const Looked* looked = nullptr;
    for (const Looked& l : seen.looked)
      if (l.rows == w.rows && l.accumulates == w.accumulates && (!looked || l.copy.ms.size() > looked->copy.ms.size()))
        looked = &l;
    if (!looked) continue;
    // Where gradients are accumulated, a step with an update is one of several: all that is told is of their average.
    const double part = static_cast<double>(w.steps) / static_cast<double>(steps_of[p.batch]);
    double of_these = looked->copy.MedianOfWarm();
    p.copy_ms += part * of_these;
    for (size_t i = 0; i < looked->parts.size(); ++i) {
      if (looked->times[i].ms.empty()) continue;  // made of the weights alone, before
      const Profile::Part& from = looked->parts[i];
      auto to = std::find_if(p.steps.begin(), p.steps.end(), [&](const Profile::Part& s) {
        return part < 1 && s.phase == from.phase && s.layer == from.layer && s.kernel == from.kernel &&
               s.shapes == from.shapes;
      });
      if (to == p.steps.end()) to = p.steps.insert(to, {from.phase, from.layer, from.kernel, from.shapes, 0, 0, 0});
      const double ms = looked->times[i].MedianOfWarm();
      to->ms += part * ms, to->flops += part * from.flops, to->bytes += part * from.bytes;
      of_phase[from.phase == "forward" ? 0 : from.phase == "backward" ? 1 : 2] += part * ms;
      of_these += ms;
    }
    sum += part * of_these;
    p.ms_median += part * (w.times.ms.empty() ? of_these : w.times.MedianOfWarm());
    p.ms_min +=
        part *
        (w.times.ms.empty() ? of_these : static_cast<double>(*std::min_element(w.times.ms.begin(), w.times.ms.end())));
  }
  for (const Profile::Part& part : p.steps) p.flops += part.flops, p.bytes += part.bytes;

  double callbacks = 0;
  for (auto& [key, call] : seen.calls) callbacks += call.seconds, p.calls.push_back(call);
  std::stable_sort(p.calls.begin(), p.calls.end(),
                   [](const Profile::Call& a, const Profile::Call& b) { return a.seconds > b.seconds; });
  const auto of = [&](Part part) { return seen.parts[static_cast<size_t>(part)]; };
  // Where steps were timed now and then, their sum is an estimate; it takes what there was to take at most.
  in_steps = std::min(in_steps, p.seconds - callbacks - of(Part::kInput) - of(Part::kValidation) - of(Part::kPlan));
  const double share = in_steps / std::max(1e-12, sum);  // seconds for each ms of a step
  p.seconds_copying = share * p.copy_ms;
  p.phases = {{"input", of(Part::kInput) + p.seconds_copying},
              {"forward", share * of_phase[0]},
              {"backward", share * of_phase[1]},
              {"update", share * of_phase[2]},
              {"callbacks", callbacks},
              {"validation", of(Part::kValidation)},
              {"plan", of(Part::kPlan)}};
  double all = 0;
  for (const Profile::Phase& phase : p.phases) all += phase.seconds;
  p.phases.push_back({"other", std::max(0.0, p.seconds - all)});

  // What threads make for a validation is no part of what the epoch's steps wait for.
  std::vector<TraceEvent> validations;
  if (!threads.empty())
    std::copy_if(threads.front().events.begin(), threads.front().events.end(), std::back_inserter(validations),
                 [](const TraceEvent& e) { return e.name == std::string_view(kValidationSpan); });
  const auto for_validation = [&](const TraceEvent& e) {
    return std::any_of(validations.begin(), validations.end(),
                       [&](const TraceEvent& v) { return e.begin >= v.begin && e.begin < v.end; });
  };
  std::map<std::string_view, int32_t> numbers;
  for (TracedThread& from : threads) {
    Profile::Thread& to = p.trace.emplace_back(Profile::Thread{from.name, {}, from.dropped});
    to.events.reserve(from.events.size());
    for (const TraceEvent& e : from.events) {
      if (e.end < seen.began) continue;
      const int64_t begin = std::max(e.begin, seen.began);  // it may have begun in an earlier profile
      const auto [at, fresh] = numbers.emplace(e.name, static_cast<int32_t>(p.names.size()));
      if (fresh) p.names.push_back(e.name);
      to.events.push_back({at->second, e.number, begin - seen.began, e.end - seen.began});
      if (&from == &threads.front()) continue;  // who trains: what it makes itself is of the phase "input"
      const bool make = e.name == std::string_view(kMakeSpan), wait = e.name == std::string_view(kWaitSpan);
      if (!(make || wait) || for_validation(e)) continue;
      if (make) p.make_seconds += Seconds(e.end - begin);
      if (wait) p.make_seconds -= Seconds(e.end - begin);
    }
  }
}

std::string NameOf(const Callback& callback) {
  int failed = 0;
  char* text = abi::__cxa_demangle(typeid(callback).name(), nullptr, nullptr, &failed);
  std::string name = failed ? "a callback" : text;
  std::free(text);
  constexpr std::string_view kOurs = "ingot::(anonymous namespace)::", kEnd = "Callback";
  if (name.starts_with(kOurs) && name.ends_with(kEnd)) name.resize(name.size() - kEnd.size());
  const size_t arguments = std::min(name.find('<'), name.size());
  const size_t colons = name.rfind("::", arguments);
  return colons == std::string::npos ? name : name.substr(colons + 2);
}

}  // namespace ingot
