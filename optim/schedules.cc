// SPDX-License-Identifier: MIT
#include "ingot/optim/schedules.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>

#include "ingot/core/error.h"

namespace ingot {
namespace {

double Cosine(double fraction) { return 0.5 * (1 + std::cos(std::numbers::pi * fraction)); }

void CheckSteps(const std::string& name, int64_t steps) {
  if (steps <= 0) Fail(name, ": its decay steps are ", steps, ", a positive number was expected");
}

// Null where Keras 2 was given none.
void Name(Fields& f, std::string& name) {
  if (f.reading() && f.raw("name").is_null())
    f.seen("name");
  else
    f("name", name);
}

// initial * rate^(step / decay_steps), or initial / (1 + rate * step / decay_steps)
struct Decay : ScheduleDef {
  bool inverse;
  double initial = 0.1, rate = 0.96;
  int64_t steps = 1000;
  bool staircase = false;
  std::string name;

  explicit Decay(bool inverse_) : inverse(inverse_), name(inverse_ ? "InverseTimeDecay" : "ExponentialDecay") {}
  std::string class_name() const override { return inverse ? "InverseTimeDecay" : "ExponentialDecay"; }
  void fields(Fields& f) override {
    f("initial_learning_rate", initial), f("decay_steps", steps), f("decay_rate", rate), f("staircase", staircase),
        Name(f, name);
  }
  void check() const override { CheckSteps(class_name(), steps); }
  double at(int64_t step) const override {
    double p = static_cast<double>(step) / static_cast<double>(steps);
    if (staircase) p = std::floor(p);
    return inverse ? initial / (1 + rate * p) : initial * std::pow(rate, p);
  }
};

struct CosineSchedule : ScheduleDef {
  double initial = 0.1, alpha = 0;
  int64_t steps = 1000, warmup_steps = 0;
  std::optional<double> warmup_target;
  std::string name = "CosineDecay";

  std::string class_name() const override { return "CosineDecay"; }
  void fields(Fields& f) override {
    f("initial_learning_rate", initial), f("decay_steps", steps), f("alpha", alpha), Name(f, name);
    f("warmup_target", warmup_target), f("warmup_steps", warmup_steps);
  }
  void check() const override { CheckSteps(class_name(), steps); }
  double at(int64_t step) const override {
    const double from = warmup_target ? *warmup_target : initial;
    double s = static_cast<double>(step);
    if (warmup_target) {
      const double warm = static_cast<double>(warmup_steps);
      if (s < warm) return initial + (*warmup_target - initial) * s / warm;
      s -= warm;
    }
    const double fraction = std::min(s, static_cast<double>(steps)) / static_cast<double>(steps);
    return from * ((1 - alpha) * Cosine(fraction) + alpha);
  }
};

struct Restarts : ScheduleDef {
  double initial = 0.1, t_mul = 2, m_mul = 1, alpha = 0;
  int64_t first = 1000;
  std::string name = "SGDRDecay";

  std::string class_name() const override { return "CosineDecayRestarts"; }
  void fields(Fields& f) override {
    f("initial_learning_rate", initial), f("first_decay_steps", first), f("t_mul", t_mul), f("m_mul", m_mul),
        f("alpha", alpha), Name(f, name);
  }
  void check() const override { CheckSteps(class_name(), first); }
  double at(int64_t step) const override {
    const double done = static_cast<double>(step) / static_cast<double>(first);
    double restart, fraction;
    if (t_mul == 1) {
      restart = std::floor(done);
      fraction = done - restart;
    } else {
      restart = std::floor(std::log(1 - done * (1 - t_mul)) / std::log(t_mul));
      const double before = (1 - std::pow(t_mul, restart)) / (1 - t_mul);
      fraction = (done - before) / std::pow(t_mul, restart);
    }
    return initial * ((1 - alpha) * std::pow(m_mul, restart) * Cosine(fraction) + alpha);
  }
};

struct Piecewise : ScheduleDef {
  std::vector<int64_t> boundaries;
  std::vector<double> values = {0.1};
  std::string name = "PiecewiseConstant";

  std::string class_name() const override { return "PiecewiseConstantDecay"; }
  void fields(Fields& f) override {
    f("boundaries", boundaries);
    if (!f.reading()) {
      f.raw_out()["values"] = values;
    } else if (f.has("values")) {
      values.clear();
      if (!f.raw("values").is_array()) f.fail("values", "a list of numbers");
      for (const Json& v : f.raw("values"))
        v.is_number() ? values.push_back(v.get<double>()) : f.fail("values", "a list of numbers");
    }
    Name(f, name);
  }
  void check() const override {
    if (values.size() != boundaries.size() + 1)
      Fail("PiecewiseConstantDecay: ", boundaries.size(), " boundaries take ", boundaries.size() + 1, " values, ",
           values.size(), " came");
  }
  double at(int64_t step) const override {
    size_t i = 0;
    while (i < boundaries.size() && step > boundaries[i]) ++i;
    return values[i];
  }
};

struct Polynomial : ScheduleDef {
  double initial = 0.1, end = 0.0001, power = 1;
  int64_t steps = 1000;
  bool cycle = false;
  std::string name = "PolynomialDecay";

  std::string class_name() const override { return "PolynomialDecay"; }
  void fields(Fields& f) override {
    f("initial_learning_rate", initial), f("decay_steps", steps), f("end_learning_rate", end), f("power", power),
        f("cycle", cycle), Name(f, name);
  }
  void check() const override { CheckSteps(class_name(), steps); }
  double at(int64_t step) const override {
    double s = static_cast<double>(step), span = static_cast<double>(steps);
    if (cycle)
      span *= step == 0 ? 1 : std::ceil(s / span);
    else
      s = std::min(s, span);
    return (initial - end) * std::pow(1 - s / span, power) + end;
  }
};

constexpr ScheduleClass kAll[] = {
    {"ExponentialDecay", [] { return Schedule(new Decay(false)); }},
    {"InverseTimeDecay", [] { return Schedule(new Decay(true)); }},
    {"CosineDecay", [] { return Schedule(new CosineSchedule); }},
    {"CosineDecayRestarts", [] { return Schedule(new Restarts); }},
    {"PiecewiseConstantDecay", [] { return Schedule(new Piecewise); }},
    {"PolynomialDecay", [] { return Schedule(new Polynomial); }},
};

Schedule MakeDecay(bool inverse, double initial, int64_t steps, double rate, bool staircase) {
  auto d = std::make_shared<Decay>(inverse);
  d->initial = initial, d->steps = steps, d->rate = rate, d->staircase = staircase;
  d->check();
  return d;
}

}  // namespace

Schedule ExponentialDecay(double initial, int64_t steps, double rate, const StaircaseOptions& o) {
  return MakeDecay(false, initial, steps, rate, o.staircase);
}
Schedule InverseTimeDecay(double initial, int64_t steps, double rate, const StaircaseOptions& o) {
  return MakeDecay(true, initial, steps, rate, o.staircase);
}
Schedule CosineDecay(double initial, int64_t steps, const CosineDecayOptions& o) {
  auto d = std::make_shared<CosineSchedule>();
  d->initial = initial, d->steps = steps, d->alpha = o.alpha, d->warmup_target = o.warmup_target,
  d->warmup_steps = o.warmup_steps;
  d->check();
  return d;
}
Schedule CosineDecayRestarts(double initial, int64_t first, const RestartsOptions& o) {
  auto d = std::make_shared<Restarts>();
  d->initial = initial, d->first = first, d->t_mul = o.t_mul, d->m_mul = o.m_mul, d->alpha = o.alpha;
  d->check();
  return d;
}
Schedule PiecewiseConstantDecay(std::vector<int64_t> boundaries, std::vector<double> values) {
  auto d = std::make_shared<Piecewise>();
  d->boundaries = std::move(boundaries), d->values = std::move(values);
  d->check();
  return d;
}
Schedule PolynomialDecay(double initial, int64_t steps, const PolynomialOptions& o) {
  auto d = std::make_shared<Polynomial>();
  d->initial = initial, d->steps = steps, d->end = o.end_learning_rate, d->power = o.power, d->cycle = o.cycle;
  d->check();
  return d;
}

std::span<const ScheduleClass> AllSchedules() { return kAll; }

Schedule ScheduleFromConfig(const std::string& class_name, const Json& config, const CustomObjects* custom) {
  Schedule schedule;
  if (const ScheduleFactory* factory = custom ? custom->find<ScheduleFactory>(class_name) : nullptr)
    schedule = (*factory)();
  for (const ScheduleClass& c : kAll)
    if (!schedule && class_name == c.name) schedule = c.make();
  if (!schedule)
    Fail("learning rate schedule '", class_name,
         "' is not known; derive it from ScheduleDef and add it to custom objects");
  Fields f = Fields::Reader(config, "schedule " + class_name, custom);
  schedule->fields(f);
  f.Finish();
  schedule->check();
  return schedule;
}

void Describe(Fields& f, const char* key, LearningRate& rate) {
  if (!f.reading()) {
    if (!rate.schedule_) {  // Keras keeps it in float32 and writes what that holds
      double held = static_cast<double>(static_cast<float>(rate.value_));
      return f(key, held);
    }
    std::string name = rate.schedule_->class_name();
    return f.object(key, name, "keras.optimizers.schedules", [&](Fields& child) { rate.schedule_->fields(child); });
  }
  const Json& value = f.raw(key);
  if (value.is_null()) return;
  rate.schedule_ = nullptr;
  if (!value.is_object()) return f(key, rate.value_);
  if (!value.contains("class_name") || !value["class_name"].is_string() || !value.contains("config"))
    f.fail(key, "a number or a schedule");
  rate.schedule_ = ScheduleFromConfig(value["class_name"].get<std::string>(), value["config"], f.custom());
}

}  // namespace ingot
