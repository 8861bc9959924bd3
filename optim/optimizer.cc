// SPDX-License-Identifier: MIT
#include "ingot/optim/optimizer.h"

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>

#include "ingot/optim/optimizers.h"

namespace ingot {
namespace {

std::string Lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

std::shared_ptr<OptimizerDef> MakeNamed(const std::string& name, const CustomObjects* custom) {
  if (const OptimizerFactory* factory = custom ? custom->find<OptimizerFactory>(name) : nullptr) return (*factory)();
  for (const OptimizerClass& c : AllOptimizers())
    if (name == c.class_name || Lower(name) == c.alias) return c.make();
  std::string names;
  for (const OptimizerClass& c : AllOptimizers()) names += std::string(names.empty() ? "" : ", ") + c.class_name;
  Fail("optimizer '", name, "' is not known; there are ", names, ", or derive one from OptimizerDef and add it to custom objects");
}

}  // namespace

void OptimizerDef::Prepare(int64_t iteration, float* h) const {
  const float lr = static_cast<float>(learning_rate_at(iteration));
  h[0] = lr;
  h[1] = common.weight_decay ? static_cast<float>(*common.weight_decay) * lr : 0;
  hyper(iteration + 1, lr, h);
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
  f.ignore("is_legacy_optimizer");
  f.ignore("jit_compile");
}

void OptimizerDef::Check() const {
  const std::string where = "optimizer " + class_name();
  const int clips = common.clipnorm.has_value() + common.clipvalue.has_value() + common.global_clipnorm.has_value();
  if (clips > 1) Fail(where, ": only one of clipnorm, clipvalue and global_clipnorm can be given");
  for (const auto& [what, value] : {std::pair{"clipnorm", common.clipnorm}, {"clipvalue", common.clipvalue}, {"global_clipnorm", common.global_clipnorm}})
    if (value && !(*value > 0)) Fail(where, ": ", what, " is ", *value, ", a positive number was expected");
  if (common.use_ema && !(common.ema_momentum >= 0 && common.ema_momentum <= 1))
    Fail(where, ": ema_momentum is ", common.ema_momentum, ", a number from 0 to 1 was expected");
  if (common.use_ema && common.ema_overwrite_frequency && *common.ema_overwrite_frequency < 1)
    Fail(where, ": ema_overwrite_frequency is ", *common.ema_overwrite_frequency, ", a positive number was expected");
  if (common.gradient_accumulation_steps && *common.gradient_accumulation_steps < 2)
    Fail(where, ": gradient_accumulation_steps is ", *common.gradient_accumulation_steps, ", at least 2 was expected");
  if (common.loss_scale_factor) Fail(where, ": loss_scale_factor is not supported: ingot computes in float32, which needs none");
}

Optimizer::Optimizer(const std::string& name) : Optimizer(MakeNamed(name, nullptr)) {}

Optimizer::Optimizer(std::shared_ptr<OptimizerDef> def) : def_(std::move(def)) {
  if (def_->name.empty()) def_->name = Lower(def_->class_name());
  def_->Check();
}

std::vector<SlotSpec> SlotsOf(const OptimizerDef& def) {
  std::vector<SlotSpec> slots = def.slots();
  if (def.common.use_ema) slots.push_back({"average", 0, true});
  if (def.common.gradient_accumulation_steps) slots.push_back({"gradient_accumulator"});
  return slots;
}

Json ToConfig(const Optimizer& optimizer) {
  Json config;
  Fields f = Fields::Writer(config);
  optimizer.def_->AllFields(f);
  return {{"module", "keras.optimizers"}, {"class_name", optimizer.def_->class_name()}, {"config", config}, {"registered_name", nullptr}};
}

Optimizer OptimizerFromConfig(const Json& config, const CustomObjects* custom) {
  if (config.is_string()) return Optimizer(MakeNamed(config.get<std::string>(), custom));
  if (!config.is_object() || !config.contains("class_name") || !config["class_name"].is_string() || !config.contains("config"))
    Fail("optimizer: its config must be a name or an object with class_name and config");
  const std::string name = config["class_name"].get<std::string>();
  auto def = MakeNamed(name, custom);
  Fields f = Fields::Reader(config["config"], "optimizer " + name, custom);
  def->AllFields(f);
  f.Finish();
  return Optimizer(def);
}

}  // namespace ingot
