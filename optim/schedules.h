// SPDX-License-Identifier: MIT
//
// The learning rate: a number, or a schedule of Keras's that makes one out of the number of updates done.
//   Adam({.learning_rate = CosineDecay(0, 1000, {.warmup_target = 1e-3, .warmup_steps = 100})})
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ingot/core/fields.h"

namespace ingot {

class ScheduleDef {
 public:
  using Factory = std::function<std::shared_ptr<ScheduleDef>()>;  // in CustomObjects
  virtual ~ScheduleDef() = default;
  virtual std::string class_name() const = 0;
  virtual void fields(Fields&) {}
  virtual double at(int64_t step) const = 0;
  virtual void check() const {}  // Error for options that cannot be
};
using Schedule = std::shared_ptr<ScheduleDef>;

class LearningRate {
 public:
  LearningRate(double value = 0.001)
      : value_(static_cast<double>(static_cast<float>(value))) {}      // NOLINT: a number is a rate
  LearningRate(Schedule schedule) : schedule_(std::move(schedule)) {}  // NOLINT: a schedule is one
  template <class Def>
  LearningRate(std::shared_ptr<Def> schedule) : schedule_(std::move(schedule)) {}  // NOLINT: one's own, too

  double at(int64_t step) const { return schedule_ ? schedule_->at(step) : value_; }
  const Schedule& schedule() const { return schedule_; }

 private:
  friend void Describe(Fields& f, const char* key, LearningRate& rate);
  double value_ = 0;  // a float32, as in Keras, which writes what that is
  Schedule schedule_;
};

struct StaircaseOptions {
  bool staircase = false;
};
struct CosineDecayOptions {
  double alpha = 0;
  std::optional<double> warmup_target{};
  int64_t warmup_steps = 0;
};
struct RestartsOptions {
  double t_mul = 2, m_mul = 1, alpha = 0;
};
struct PolynomialOptions {
  double end_learning_rate = 0.0001, power = 1;
  bool cycle = false;
};

Schedule ExponentialDecay(double initial, int64_t decay_steps, double decay_rate, const StaircaseOptions& o = {});
Schedule InverseTimeDecay(double initial, int64_t decay_steps, double decay_rate, const StaircaseOptions& o = {});
Schedule CosineDecay(double initial, int64_t decay_steps, const CosineDecayOptions& o = {});
Schedule CosineDecayRestarts(double initial, int64_t first_decay_steps, const RestartsOptions& o = {});
Schedule PiecewiseConstantDecay(std::vector<int64_t> boundaries, std::vector<double> values);
Schedule PolynomialDecay(double initial, int64_t decay_steps, const PolynomialOptions& o = {});

// The list of all, for reading configurations and for the tests.
struct ScheduleClass {
  const char* name;
  Schedule (*make)();
};
std::span<const ScheduleClass> AllSchedules();
using ScheduleFactory = ScheduleDef::Factory;
Schedule ScheduleFromConfig(const std::string& class_name, const Json& config, const CustomObjects* custom = nullptr);

}  // namespace ingot
