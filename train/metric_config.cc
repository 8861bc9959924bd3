// SPDX-License-Identifier: MIT
//
// Metrics by name, and as Keras writes them into a file.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "ingot/train/metric_def.h"

namespace ingot {
namespace {

const MetricClass* FindClass(const std::string& class_name) {
  for (const MetricClass& c : AllMetrics())
    if (class_name == c.class_name) return &c;
  return nullptr;
}

std::string Lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return text;
}
bool IsAccuracy(const std::string& name) { return Lower(name) == "accuracy" || Lower(name) == "acc"; }
bool IsCrossentropy(const std::string& name) { return Lower(name) == "crossentropy" || Lower(name) == "ce"; }

// Which one it is, the shapes will tell.
struct ByShape : MetricDef {
  std::string class_name() const override { return "by_shape"; }
  void update(Graph&, Value, Value, Value, Value) const override { fail("not resolved yet"); }
  std::vector<double> result(std::span<const double>) const override { return {0}; }
};

// Classes whose first argument has no default: something to read into.
[[maybe_unused]] Metric MakeDefault(Metric (*make)(float, const AtOptions&)) { return make(0.5f, {}); }
template <class Options>
Metric MakeDefault(Metric (*make)(const Options&)) {
  return make({});
}
template <class Options>
Metric MakeDefault(Loss (*make)(const Options&)) {
  return Metric(make({}));
}

void Describe(Fields& f, MetricDef& def) {
  f("name", def.name);
  if (f.reading()) {
    f.ignore("dtype");
    f.ignore("fn");
  } else {
    std::string dtype = "float32";
    f("dtype", dtype);
  }
  def.fields(f);
}

}  // namespace

void EraseField(Fields& f, const char* key) { f.raw_out().erase(key); }

std::span<const MetricClass> AllMetrics() {
  static constexpr MetricClass kAll[] = {
#define X(class_name, alias, name) {#class_name, alias, name, [] { return MakeDefault(class_name); }},
      INGOT_METRIC_CLASSES(X)
#undef X
  };
  return kAll;
}

Metric::Metric(const std::string& name) : given_(name) {
  if (name.empty()) return;
  if (IsAccuracy(name) || IsCrossentropy(name)) {
    def_ = std::make_shared<ByShape>();
  } else {
    for (const MetricClass& c : AllMetrics())
      if (name == c.class_name || name == c.alias) def_ = c.make().def_;
    if (!def_) {
      try {
        def_ = Metric(Loss(name)).def_;  // "mse", "huber"
      } catch (const Error&) {
        std::string known;
        for (const MetricClass& c : AllMetrics()) known += std::string(known.empty() ? "" : ", ") + c.alias;
        Fail("there is no metric '", name, "'; known are ", known, ", every loss, and what CustomObjects holds");
      }
    }
  }
  def_->name = name;  // Keras names a metric as it was asked for
}

Metric::Metric(const char* name) : Metric(std::string(name)) {}

Metric Metric::resolve(const TensorSpec& pred, const TensorSpec& truth) const {
  if (!def_ || !dynamic_cast<const ByShape*>(def_.get())) return *this;
  Metric metric;
  if (IsCrossentropy(given_)) {
    metric = Metric(Loss(given_).resolve(pred, truth));
  } else {
    const int p = pred.shape.rank(), t = truth.shape.rank();
    const bool sparse = t < p || (t > 0 && truth.shape.back() == 1 && pred.shape.back() > 1);
    metric = p > 0 && pred.shape.back() == 1 ? BinaryAccuracy()
             : sparse                        ? SparseCategoricalAccuracy()
                                             : CategoricalAccuracy();
  }
  metric.def_->name = given_;
  metric.given_ = given_;
  return metric;
}

Json ToConfig(const Metric& metric) {
  if (!metric.def_) return nullptr;
  if (!metric.given_.empty()) return metric.given_;
  const std::string class_name = metric.def_->class_name();
  Json config;
  Fields f = Fields::Writer(config);
  Describe(f, *metric.def_);
  // A loss that is no metric of Keras's is written as the loss: Keras takes the mean of one, too.
  const bool ours = FindClass(class_name) != nullptr;
  const auto losses = AllLosses();
  const bool loss =
      std::any_of(losses.begin(), losses.end(), [&](const LossClass& c) { return class_name == c.class_name; });
  if (!ours && loss) config.erase("dtype");
  return {{"module", ours   ? Json("keras.metrics")
                     : loss ? Json("keras.losses")
                            : Json(nullptr)},
          {"class_name", class_name},
          {"config", config},
          {"registered_name", ours || loss ? Json(nullptr) : Json(class_name)}};
}

Metric MetricFromConfig(const Json& config, const CustomObjects* custom) {
  if (config.is_null()) return {};
  if (config.is_string()) {
    const auto name = config.get<std::string>();
    if (custom) {
      if (const Metric* metric = custom->find<Metric>(name)) return *metric;
      if (const MetricFactory* make = custom->find<MetricFactory>(name)) return Metric((*make)());
      if (const Loss* loss = custom->find<Loss>(name)) return Metric(*loss);
    }
    return Metric(name);
  }
  if (!config.is_object() || !config.contains("class_name") || !config["class_name"].is_string())
    Fail("metric: its description is ", config.dump().substr(0, 60),
         "; a name or an object with class_name and config was expected");
  const auto class_name = config["class_name"].get<std::string>();
  const Json options = config.contains("config") ? config["config"] : Json::object();
  if (options.is_string()) return MetricFromConfig(options, custom);
  if (config.contains("module") && config["module"] == "keras.losses") return Metric(LossFromConfig(config, custom));
  if (options.is_object() && class_name == "MeanMetricWrapper" && options.contains("fn"))
    return MetricFromConfig(options["fn"], custom);
  Metric metric;
  if (custom) {
    if (const MetricFactory* make = custom->find<MetricFactory>(class_name))
      metric = Metric((*make)());
    else if (const LossFactory* make_loss = custom->find<LossFactory>(class_name))
      metric = Metric(Loss((*make_loss)()));
    else if (const Metric* found = custom->find<Metric>(class_name))
      return *found;
  }
  if (!metric)
    if (const MetricClass* c = FindClass(class_name)) metric = c->make();
  if (!metric) Fail("metric '", class_name, "' is unknown; give its class in CustomObjects as MetricFactory");
  if (!options.is_object())
    Fail("metric '", class_name, "': its config is ", options.dump().substr(0, 60), ", an object was expected");
  Fields f = Fields::Reader(options, "metric '" + class_name + "'", custom);
  Describe(f, *metric.def_);
  f.Finish();
  return metric;
}

}  // namespace ingot
