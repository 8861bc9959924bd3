// SPDX-License-Identifier: MIT
//
// Optimizers as a user sees them, and how one is made.
//
// An optimizer says which slots it keeps for each weight, which formula of kernels/updates.h moves them, and what that
// formula is given at each step. State (slots, the number of updates) belongs to the model, not to the optimizer, so
// a handle can be shared. One's own optimizer derives from OptimizerDef and gives update(), which sees plain numbers.
//
// Threads: an Optimizer never changes.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ingot/core/error.h"
#include "ingot/core/fields.h"
#include "ingot/kernels/attrs.h"
#include "ingot/kernels/updates.h"
#include "ingot/optim/schedules.h"

namespace ingot {

inline constexpr size_t kMaxHyper = kHyperFloats;
inline constexpr int kHyperScale = 6;  // for update(): what gradients are divided by

struct SlotSpec {
  std::string name;
  float initial = 0;
  bool from_weights = false;  // begins as a copy of the weights
  bool interleaved = false;   // in Keras's files: beside the slot before it, variable by variable
};

// What every optimizer of Keras's takes.
struct CommonOptions {
  std::optional<double> weight_decay{}, clipnorm{}, clipvalue{}, global_clipnorm{};
  bool use_ema = false;
  double ema_momentum = 0.99;
  std::optional<int64_t> ema_overwrite_frequency{};
  std::optional<double> loss_scale_factor{};
  std::optional<int64_t> gradient_accumulation_steps{};
};

class OptimizerDef {
 public:
  using Factory = std::function<std::shared_ptr<OptimizerDef>()>;  // in CustomObjects
  virtual ~OptimizerDef() = default;

  virtual std::string class_name() const = 0;
  virtual void fields(Fields&) {}  // options of its own
  virtual std::vector<SlotSpec> slots() const { return {}; }
  // The formula, and what it is given that does not change.
  virtual UpdateAttrs attrs() const { return {}; }
  // What it is given at a step: h[0] and h[1] are set, the rest are this optimizer's. `step` counts from 1.
  virtual void hyper(int64_t /*step*/, float /*lr*/, float* /*h*/) const {}

  virtual void check() const {}  // Error for options of its own that cannot be
  // Numbers Keras keeps in its files although they follow from how many updates were done (Nadam's product).
  virtual std::vector<float> scalars(int64_t /*updates*/) const { return {}; }

  // One's own: says so, and moves the weights itself, one variable at a time. Weight decay, clipping, averages, loss
  // scale and accumulation are done around it.
  virtual bool custom() const { return false; }
  virtual void update(std::span<float> /*w*/, std::span<const float> /*g*/, std::span<float* const> /*slots*/,
                      float /*lr*/, int64_t /*step*/) const {}

  double learning_rate_at(int64_t iteration) const { return learning_rate.at(iteration); }
  // Fills kMaxHyper floats for the step that follows `iteration` others. Of n steps whose gradients are accumulated
  // the last is an update; formulas count updates, schedules steps.
  // `rate`: the learning rate, as learning_rate_at says or as the model was told since.
  void Prepare(int64_t iteration, double rate, float* h) const;
  void AllFields(Fields& f);
  void Check() const;  // Error for options that exclude each other

  int64_t accumulation_steps() const { return common.gradient_accumulation_steps.value_or(1); }
  bool apply_due(int64_t iteration) const { return (iteration + 1) % accumulation_steps() == 0; }
  // Whether the weights now take on their averages, after so many steps.
  bool overwrite_due(int64_t iterations_done) const;

  LearningRate learning_rate = 0.001;
  CommonOptions common;
  std::string name;
  // Parts of the names of variables that weight decay leaves alone. As in Keras (exclude_from_weight_decay), this is no
  // option: configurations and files do not hold it, and one that was loaded decays all until told again.
  std::vector<std::string> no_decay{};
};

// One's own, which moves the weights itself, one variable at a time.
class HostOptimizer : public OptimizerDef {
 public:
  bool custom() const final { return true; }
  void update(std::span<float> w, std::span<const float> g, std::span<float* const> slots, float lr,
              int64_t step) const override = 0;
};

class Optimizer {
 public:
  Optimizer(const char* name) : Optimizer(std::string(name)) {}  // NOLINT: "adam"
  Optimizer(const std::string& name);                            // NOLINT
  explicit Optimizer(std::shared_ptr<OptimizerDef> def);

  const OptimizerDef& def() const { return *def_; }
  std::shared_ptr<const OptimizerDef> ptr() const { return def_; }

 private:
  friend Json ToConfig(const Optimizer& optimizer);
  std::shared_ptr<OptimizerDef> def_;
};

template <class Def, class... Args>
Optimizer MakeOptimizer(Args&&... args) {
  return Optimizer(std::make_shared<Def>(std::forward<Args>(args)...));
}

// The slots of an optimizer, those that its common options add among them.
std::vector<SlotSpec> SlotsOf(const OptimizerDef& def);

// Keras's optimizer.variables, which is the order of its files: the slot of which variable, or another number.
struct OptimizerVariable {
  enum Kind : uint8_t { kIteration, kLearningRate, kSlot, kScalar } kind;
  int index = 0;     // kSlot: in SlotsOf; kScalar: in scalars()
  int variable = 0;  // kSlot: which of those trained
};
std::vector<OptimizerVariable> KerasVariables(const OptimizerDef& def, int trained_variables);

Json ToConfig(const Optimizer& optimizer);
Optimizer OptimizerFromConfig(const Json& config, const CustomObjects* custom = nullptr);

using OptimizerFactory = OptimizerDef::Factory;

}  // namespace ingot
