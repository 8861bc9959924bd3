// SPDX-License-Identifier: MIT
//
// Losses by name, and as Keras writes them into a file.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "ingot/train/losses.h"

namespace ingot {
namespace {

Loss MakeDefault(const char* class_name) {
  for (const LossClass& c : AllLosses())
    if (std::string(c.class_name) == class_name) return c.make();
  return {};
}

struct Alias {
  const char *name, *function;
};
constexpr Alias kAliases[] = {
    {"mse", "mean_squared_error"},
    {"mae", "mean_absolute_error"},
    {"mape", "mean_absolute_percentage_error"},
    {"msle", "mean_squared_logarithmic_error"},
    {"bce", "binary_crossentropy"},
    {"kld", "kl_divergence"},
    {"MSE", "mean_squared_error"},
    {"MAE", "mean_absolute_error"},
    {"MAPE", "mean_absolute_percentage_error"},
    {"MSLE", "mean_squared_logarithmic_error"},
    {"BCE", "binary_crossentropy"},
    {"KLD", "kl_divergence"},
    {"logcosh", "log_cosh"},
    {"kullback_leibler_divergence", "kl_divergence"},
    {"huber_loss", "huber"},
};

bool IsByShape(std::string name) {
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return name == "crossentropy" || name == "ce";
}

// Which cross-entropy it is, the shapes will tell.
struct CrossentropyByShape : LossDef {
  std::string class_name() const override { return "crossentropy"; }
  Value call(Graph&, Value, Value) const override { fail("not resolved yet"); }
};

struct FunctionLoss : LossDef {
  Loss::Function fn;
  std::string class_name() const override { return "function"; }
  TensorSpec target(const TensorSpec&, const TensorSpec& truth) const override { return truth; }
  Value call(Graph& g, Value truth, Value pred) const override {
    const SameRankShapes shapes = SameRank(g.shape(truth), g.shape(pred));
    return fn(g, g.Reshape(g.Cast(truth), shapes.truth), g.Reshape(pred, shapes.pred));
  }
};

void CheckReduction(const LossDef& def) {
  for (const char* known : {"sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none"})
    if (def.reduction == known) return;
  Fail("loss ", def.name, ": reduction is '", def.reduction,
       "'; 'sum_over_batch_size', 'sum', 'mean', 'mean_with_sample_weight' or 'none' was expected");
}

void Describe(Fields& f, LossDef& def) {
  f("name", def.name);
  f("reduction", def.reduction);
  if (f.reading()) {
    if (def.reduction == "auto") def.reduction = "sum_over_batch_size";  // Keras 2
    f.ignore("dtype");
    f.ignore("fn");
    CheckReduction(def);
  }
  def.fields(f);
}

}  // namespace

std::span<const LossClass> AllLosses() {
  static constexpr LossClass kAll[] = {
#define X(class_name, function, name) {#class_name, function, name, [] { return class_name(); }},
      INGOT_LOSS_CLASSES(X)
#undef X
  };
  return kAll;
}

Loss::Loss(const std::string& name) : given_(name) {
  if (name.empty()) return;
  if (IsByShape(name)) {
    def_ = std::make_shared<CrossentropyByShape>();
  } else {
    std::string function = name;
    for (const Alias& alias : kAliases)
      if (name == alias.name) function = alias.function;
    for (const LossClass& c : AllLosses())
      if (name == c.class_name || function == c.function) def_ = c.make().def_;
  }
  if (!def_) {
    std::string known;
    for (const LossClass& c : AllLosses()) known += std::string(known.empty() ? "" : ", ") + c.function;
    Fail("there is no loss '", name, "'; known are ", known, ", and what CustomObjects holds");
  }
  // Keras calls the loss made of a function's name by that name, and one made of a class's name as the class does.
  if (name[0] < 'A' || name[0] > 'Z' || IsByShape(name)) def_->name = name;
}

Loss::Loss(const char* name) : Loss(std::string(name)) {}

Loss::Loss(std::string name, Function fn, const std::string& reduction) : given_(name) {
  auto def = std::make_shared<FunctionLoss>();
  def->name = std::move(name);
  def->fn = std::move(fn);
  def->reduction = reduction;
  CheckReduction(*def);
  def_ = std::move(def);
}

// What is written down is what is checked, whatever options a loss has.
Loss::Loss(std::shared_ptr<LossDef> def) : def_(std::move(def)) {
  if (!def_) return;
  Json config;
  Fields f = Fields::Writer(config, "loss " + (def_->name.empty() ? def_->class_name() : def_->name));
  def_->fields(f);
}

Loss Loss::resolve(const TensorSpec& pred, const TensorSpec& truth) const {
  if (!def_ || !dynamic_cast<const CrossentropyByShape*>(def_.get())) return *this;
  const int p = pred.shape.rank(), t = truth.shape.rank();
  const bool binary = p > 0 && pred.shape.back() == 1;
  const bool sparse = t < p || (t > 0 && truth.shape.back() == 1 && pred.shape.back() > 1);
  Loss loss = MakeDefault(binary   ? "BinaryCrossentropy"
                          : sparse ? "SparseCategoricalCrossentropy"
                                   : "CategoricalCrossentropy");
  loss.def_->name = given_;
  loss.given_ = given_;
  return loss;
}

Json ToConfig(const Loss& loss) {
  if (!loss.def_) return nullptr;
  if (!loss.given_.empty()) return loss.given_;
  const std::string class_name = loss.def_->class_name();
  const bool ours = static_cast<bool>(MakeDefault(class_name.c_str()));
  Json config;
  Fields f = Fields::Writer(config);
  Describe(f, *loss.def_);
  return {{"module", ours ? Json("keras.losses") : Json(nullptr)},
          {"class_name", class_name},
          {"config", config},
          {"registered_name", ours ? Json(nullptr) : Json(class_name)}};
}

Loss LossFromConfig(const Json& config, const CustomObjects* custom) {
  if (config.is_null()) return {};
  if (config.is_string()) {
    const auto name = config.get<std::string>();
    if (custom) {
      if (const Loss* loss = custom->find<Loss>(name)) return *loss;
      if (const LossFactory* make = custom->find<LossFactory>(name)) return Loss((*make)());
    }
    return Loss(name);
  }
  if (!config.is_object() || !config.contains("class_name") || !config["class_name"].is_string())
    Fail("loss: its description is ", config.dump().substr(0, 60),
         "; a name or an object with class_name and config was expected");
  const auto class_name = config["class_name"].get<std::string>();
  const Json options = config.contains("config") ? config["config"] : Json::object();
  if (options.is_string()) return LossFromConfig(options, custom);  // {"class_name": "function", "config": "mse"}
  Loss loss;
  if (custom) {
    if (const LossFactory* make = custom->find<LossFactory>(class_name))
      loss = Loss((*make)());
    else if (const Loss* found = custom->find<Loss>(class_name))
      return *found;
  }
  if (!loss) loss = MakeDefault(class_name.c_str());
  if (!loss) Fail("loss '", class_name, "' is unknown; give its class in CustomObjects as LossFactory");
  if (!options.is_object())
    Fail("loss '", class_name, "': its config is ", options.dump().substr(0, 60), ", an object was expected");
  Fields f = Fields::Reader(options, "loss '" + class_name + "'", custom);
  Describe(f, *loss.def_);
  f.Finish();
  return loss;
}

}  // namespace ingot
