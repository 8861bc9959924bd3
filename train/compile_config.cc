// SPDX-License-Identifier: MIT
#include "ingot/train/compile_config.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace ingot {
namespace {

Json MetricList(const std::vector<Metric>& metrics) {
  Json list = Json::array();
  for (const Metric& m : metrics) list.push_back(ToConfig(m));
  return list;
}

// Of every output, or of each its own. Where there are several, Keras takes a list for what is in it to be of one each.
Json MetricsConfig(const std::vector<Metric>& all, const std::vector<std::vector<Metric>>& each, size_t outputs) {
  if (!each.empty()) {
    Json lists = Json::array();
    for (const auto& metrics : each) lists.push_back(MetricList(metrics));
    return lists;
  }
  if (all.empty()) return nullptr;
  const Json list = MetricList(all);
  return outputs == 1 ? list : Json(outputs, list);
}

// Keras writes one loss as itself, several as a list or as an object by the names of the outputs.
bool IsOne(const Json& j) { return j.is_string() || (j.is_object() && j.contains("class_name")); }

[[noreturn]] void Malformed(const char* key, const Json& got, const char* expected) {
  Fail("compile config: '", key, "' is ", got.dump().substr(0, 60), ", ", expected, " was expected");
}

std::vector<Metric> ReadMetrics(const Json& j, const char* key, const CustomObjects* custom) {
  std::vector<Metric> metrics;
  if (IsOne(j)) return {MetricFromConfig(j, custom)};
  if (!j.is_array() && !j.is_null()) Malformed(key, j, "a list of metrics");
  for (const Json& item : j) {
    if (!IsOne(item)) Malformed(key, item, "a metric: a name or an object with class_name and config,");
    metrics.push_back(MetricFromConfig(item, custom));
  }
  return metrics;
}

}  // namespace

Json CompileConfig(const CompileOptions& o, size_t outputs) {
  Json config;
  config["optimizer"] = ToConfig(o.optimizer);
  if (o.loss.size() == 1) {
    config["loss"] = ToConfig(o.loss[0]);
  } else {
    config["loss"] = Json::array();
    for (const Loss& loss : o.loss) config["loss"].push_back(ToConfig(loss));
  }
  config["loss_weights"] = nullptr;
  if (!o.loss_weights.empty()) config["loss_weights"] = o.loss_weights;
  config["metrics"] = MetricsConfig(o.metrics, o.output_metrics, outputs);
  config["weighted_metrics"] = MetricsConfig(o.weighted_metrics, o.output_weighted_metrics, outputs);
  config["run_eagerly"] = false;
  config["steps_per_execution"] = 1;
  config["jit_compile"] = true;  // as Keras writes it for models whose kernels allow it
  return config;
}

CompileOptions CompileOptionsFromConfig(const Json& config, const std::vector<std::string>& outputs,
                                        const CustomObjects* custom) {
  if (!config.is_object()) Fail("compile config: is ", config.dump().substr(0, 60), ", an object was expected");
  const auto get = [&](const char* key) { return config.contains(key) ? config[key] : Json(nullptr); };
  // What is given by the name of an output, in the order of the outputs.
  const auto in_order = [&](const Json& j, const char* key) {
    if (!j.is_object() || IsOne(j)) return j;
    Json list = Json::array();
    for (const std::string& name : outputs) list.push_back(j.contains(name) ? j[name] : Json(nullptr));
    for (const auto& item : j.items())
      if (std::find(outputs.begin(), outputs.end(), item.key()) == outputs.end())
        Fail("compile config: '", key, "' names the output '", item.key(), "', which the model does not have");
    return list;
  };
  CompileOptions o;
  if (!get("optimizer").is_null()) o.optimizer = OptimizerFromConfig(get("optimizer"), custom);
  const Json loss = in_order(get("loss"), "loss");
  if (IsOne(loss))
    o.loss = {LossFromConfig(loss, custom)};
  else if (loss.is_array())
    for (const Json& item : loss) o.loss.push_back(LossFromConfig(item, custom));
  else if (!loss.is_null())
    Malformed("loss", loss, "a loss, or a list or an object of losses");
  const Json weights = in_order(get("loss_weights"), "loss_weights");
  if (weights.is_array()) {
    for (const Json& w : weights) {
      if (!w.is_number() && !w.is_null()) Malformed("loss_weights", w, "a number for each output");
      o.loss_weights.push_back(w.is_null() ? 1.0f : w.get<float>());
    }
  } else if (weights.is_number()) {
    o.loss_weights = {weights.get<float>()};
  } else if (!weights.is_null()) {
    Malformed("loss_weights", weights, "a list of numbers");
  }
  const auto take = [&](const char* key, std::vector<Metric>& all, std::vector<std::vector<Metric>>& each) {
    const Json given = get(key);
    const Json list = in_order(given, key);
    const auto is_list = [](const Json& j) { return j.is_array() || j.is_null(); };
    if (list.is_array() && ((given.is_object() && !IsOne(given)) || std::any_of(list.begin(), list.end(), is_list) ||
                            (outputs.size() > 1 && list.size() == outputs.size())))
      for (const Json& item : list) each.push_back(ReadMetrics(item, key, custom));
    else
      all = ReadMetrics(list, key, custom);
  };
  take("metrics", o.metrics, o.output_metrics);
  take("weighted_metrics", o.weighted_metrics, o.output_weighted_metrics);
  return o;
}

}  // namespace ingot
