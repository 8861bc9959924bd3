// SPDX-License-Identifier: MIT
#include "ingot/optim/optimizer.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <nlohmann/json.hpp>

#include "ingot/layers/layer.h"
#include "ingot/optim/optimizers.h"

namespace ingot {
namespace {

std::string Lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

// "RMSprop" -> "rm_sprop", "AdamW" -> "adam_w": as Keras names an object after its class.
std::shared_ptr<OptimizerDef> MakeNamed(const std::string& name, const CustomObjects* custom) {
  if (const OptimizerFactory* factory = custom ? custom->find<OptimizerFactory>(name) : nullptr) return (*factory)();
  for (const OptimizerClass& c : AllOptimizers())
    if (name == c.class_name || Lower(name) == c.alias) return c.make();
  std::string names;
  for (const OptimizerClass& c : AllOptimizers()) names += std::string(names.empty() ? "" : ", ") + c.class_name;
  Fail("optimizer '", name, "' is not known; there are ", names,
       ", or derive one from OptimizerDef and add it to custom objects");
}

// Whether nothing that options lead to hints at NaN or infinity: a look, where to write all options down would be a
// large part of what it costs to compile a small model.
bool IsPlain(const OptimizerDef& def) {
  if (def.learning_rate.schedule() || def.accumulation_steps() < 1) return false;
  float h[kMaxHyper] = {};
  def.Prepare(0, def.learning_rate_at(0), h);
  const UpdateAttrs attrs = def.attrs();
  const auto finite = [](double v) { return std::isfinite(v); };
  const auto& c = def.common;
  bool plain = !def.custom() && std::all_of(std::begin(h), std::end(h), finite) &&
               std::all_of(std::begin(attrs.p), std::end(attrs.p), finite) && finite(c.ema_momentum);
  for (const auto& option : {c.weight_decay, c.clipnorm, c.clipvalue, c.global_clipnorm, c.loss_scale_factor})
    plain = plain && finite(option.value_or(0));
  for (const SlotSpec& slot : def.slots()) plain = plain && finite(static_cast<double>(slot.initial));
  return plain;
}

}  // namespace

void OptimizerDef::Prepare(int64_t iteration, double rate, float* h) const {
  const float lr = static_cast<float>(rate);
  h[0] = lr;
  h[1] = common.weight_decay ? static_cast<float>(*common.weight_decay) * lr : 0;
  const int64_t updates = iteration / accumulation_steps();
  hyper(updates + 1, lr, h);
  h[kHyperAverage] = updates == 0 ? 0.0f : static_cast<float>(common.ema_momentum);  // Keras begins with the weights
  if (custom())
    h[kHyperScale] = accumulation_steps() > 1 ? 1.0f : static_cast<float>(common.loss_scale_factor.value_or(1));
}

bool OptimizerDef::overwrite_due(int64_t iterations_done) const {
  if (!common.use_ema || !common.ema_overwrite_frequency || iterations_done < 1) return false;
  return ((iterations_done - 1) / accumulation_steps() + 1) % *common.ema_overwrite_frequency == 0;
}

void OptimizerDef::AllFields(Fields& f) {
  f("name", name);
  f("learning_rate", learning_rate);
  f("weight_decay", common.weight_decay);
  f("clipnorm", common.clipnorm);
  f("global_clipnorm", common.global_clipnorm);
  f("clipvalue", common.clipvalue);
  f("use_ema", common.use_ema);
  f("ema_momentum", common.ema_momentum);
  f("ema_overwrite_frequency", common.ema_overwrite_frequency);
  f("loss_scale_factor", common.loss_scale_factor);
  f("gradient_accumulation_steps", common.gradient_accumulation_steps);
  fields(f);
  if (f.reading() && f.has("decay") && class_name() != "Nadam") {  // of the rate, in Keras 2's legacy optimizers
    double decay = 0;
    f("decay", decay);
    if (decay != 0 && !learning_rate.schedule()) learning_rate = InverseTimeDecay(learning_rate.at(0), 1, decay);
  }
  f.ignore("is_legacy_optimizer");
  f.ignore("jit_compile");
}

void OptimizerDef::Check() const {
  const std::string where = "optimizer " + class_name();
  if (!learning_rate.schedule() && !(learning_rate.at(0) >= 0))
    Fail(where, ": learning_rate is ", learning_rate.at(0), ", a number of 0 or more was expected");
  const int clips = common.clipnorm.has_value() + common.clipvalue.has_value() + common.global_clipnorm.has_value();
  if (clips > 1) Fail(where, ": only one of clipnorm, clipvalue and global_clipnorm can be given");
  for (const auto& [what, value] : {std::pair{"clipnorm", common.clipnorm},
                                    {"clipvalue", common.clipvalue},
                                    {"global_clipnorm", common.global_clipnorm}})
    if (value && !(*value > 0)) Fail(where, ": ", what, " is ", *value, ", a positive number was expected");
  if (common.use_ema && !(common.ema_momentum >= 0 && common.ema_momentum <= 1))
    Fail(where, ": ema_momentum is ", common.ema_momentum, ", a number from 0 to 1 was expected");
  if (common.use_ema && common.ema_overwrite_frequency && *common.ema_overwrite_frequency < 1)
    Fail(where, ": ema_overwrite_frequency is ", *common.ema_overwrite_frequency, ", a positive number was expected");
  if (common.gradient_accumulation_steps && *common.gradient_accumulation_steps < 2)
    Fail(where, ": gradient_accumulation_steps is ", *common.gradient_accumulation_steps, ", at least 2 was expected");
  if (common.loss_scale_factor && !(*common.loss_scale_factor > 0))
    Fail(where, ": loss_scale_factor is ", *common.loss_scale_factor, ", a positive number was expected");
  check();
}

Optimizer::Optimizer(const std::string& name) : Optimizer(MakeNamed(name, nullptr)) {}

Optimizer::Optimizer(std::shared_ptr<OptimizerDef> def) : def_(std::move(def)) {
  if (!def_) Fail("optimizer: an empty one was given");
  if (def_->name.empty()) def_->name = SnakeCase(def_->class_name());
  if (!IsPlain(*def_)) {
    Json config;  // only finite numbers can be written down, whatever options an optimizer has
    Fields f = Fields::Writer(config, "optimizer " + def_->class_name());
    def_->AllFields(f);
  }
  def_->Check();
}

std::vector<SlotSpec> SlotsOf(const OptimizerDef& def) {
  std::vector<SlotSpec> slots = def.slots();
  if (def.common.use_ema) slots.push_back({"average"});
  if (def.common.gradient_accumulation_steps) slots.push_back({"gradient_accumulator"});
  return slots;
}

std::vector<OptimizerVariable> KerasVariables(const OptimizerDef& def, int trained_variables) {
  std::vector<OptimizerVariable> list = {{OptimizerVariable::kIteration}};
  if (!def.learning_rate.schedule()) list.push_back({OptimizerVariable::kLearningRate});
  const std::vector<SlotSpec> slots = SlotsOf(def);
  // Those of the common options come first.
  std::vector<int> order;
  const int own = static_cast<int>(def.slots().size()), all = static_cast<int>(slots.size());
  for (int s = own; s < all; ++s) order.push_back(s);
  for (int s = 0; s < own; ++s) order.push_back(s);
  for (size_t first = 0, last = 0; first < order.size(); first = last) {
    for (last = first + 1; last < order.size() && slots[static_cast<size_t>(order[last])].interleaved;) ++last;
    for (int v = 0; v < trained_variables; ++v)
      for (size_t s = first; s < last; ++s) list.push_back({OptimizerVariable::kSlot, order[s], v});
  }
  for (int i = 0; i < static_cast<int>(def.scalars(0).size()); ++i) list.push_back({OptimizerVariable::kScalar, i});
  return list;
}

Json ToConfig(const Optimizer& optimizer) {
  Json config;
  Fields f = Fields::Writer(config);
  optimizer.def_->AllFields(f);
  return {{"module", "keras.optimizers"},
          {"class_name", optimizer.def_->class_name()},
          {"config", config},
          {"registered_name", nullptr}};
}

Optimizer OptimizerFromConfig(const Json& config, const CustomObjects* custom) {
  if (config.is_string()) return Optimizer(MakeNamed(config.get<std::string>(), custom));
  if (!config.is_object() || !config.contains("class_name") || !config["class_name"].is_string() ||
      !config.contains("config"))
    Fail("optimizer: its config must be a name or an object with class_name and config");
  std::string name = config["class_name"].get<std::string>();
  if (name.starts_with("Custom>")) name.erase(0, 7);  // how Keras 2.11 to 2.15 wrote its own
  auto def = MakeNamed(name, custom);
  Fields f = Fields::Reader(config["config"], "optimizer " + name, custom);
  def->AllFields(f);
  f.Finish();
  return Optimizer(def);
}

}  // namespace ingot
