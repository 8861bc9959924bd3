// SPDX-License-Identifier: MIT
//
// What compile() was given, matched with what the model has: a loss, its weight and metrics for each output. Losses
// wait until the outputs are known, metrics until the targets are, since "accuracy" depends on both.
#include <cmath>
#include <map>

#include "ingot/core/plural.h"
#include "ingot/train/check.h"
#include "ingot/train/trainer.h"

namespace ingot {

void CheckCompile(const CompileOptions& options, const Network& network) {
  const size_t outputs = network.outputs().size();
  const std::string where = "compile: model '" + network.name + "' has " + Counted(outputs, "output") + ", ";
  if (options.loss.empty()) Fail("compile: model '", network.name, "' has no loss; set .loss, as in .loss = \"mse\"");
  for (size_t i = 0; i < options.loss.size(); ++i)
    if (!options.loss[i]) Fail(where, "loss ", i, " of those given is empty; each output needs one");
  if (options.loss.size() != outputs && options.loss.size() != 1)
    Fail(where, Counted(options.loss.size(), "loss"), " came");
  if (!options.loss_weights.empty() && options.loss_weights.size() != outputs)
    Fail(where, "loss_weights holds ", options.loss_weights.size());
  if (!options.output_metrics.empty() && options.output_metrics.size() != outputs)
    Fail(where, "output_metrics holds ", options.output_metrics.size());
  if (!options.output_weighted_metrics.empty() && options.output_weighted_metrics.size() != outputs)
    Fail(where, "output_weighted_metrics holds ", options.output_weighted_metrics.size());
  for (size_t i = 0; i < options.loss_weights.size(); ++i)
    if (!std::isfinite(options.loss_weights[i]))
      Fail("compile: loss_weights[", i, "] is ", options.loss_weights[i], ", a finite number was expected");
}

void ModelState::ResolveLosses() {
  CheckCompile(options, *network);
  const size_t outputs = network->outputs().size();
  losses.clear();
  for (size_t i = 0; i < outputs; ++i) losses.push_back(options.loss[options.loss.size() == 1 ? 0 : i]);
  loss_weights = options.loss_weights.empty() ? std::vector<float>(outputs, 1.0f) : options.loss_weights;
  for (LossSums& sum : sums) sum.outputs.assign(outputs, 0);
  output_loss_names.clear();
  if (outputs > 1)
    for (const std::string& name : network->output_names()) output_loss_names.push_back(name + "_loss");
  hyper.assign(kMaxHyper, 0);
  metrics.clear();
  session.Clear();
}

void ModelState::ResolveMetrics(const TensorSpecs& y) {
  const std::vector<std::string> names = network->output_names();
  const TensorSpecs& out = network->outputs();
  for (size_t i = 0; i < losses.size() && i < y.size(); ++i) losses[i] = losses[i].resolve(out[i], y[i]);
  if (!metrics.empty()) return;
  std::map<std::string, int> taken;
  const auto add = [&](size_t output, const Metric& metric, bool weighted) {
    const Metric resolved = metric.resolve(out[output], y[output]);
    // As in Keras: the name it was asked for by, after that of the output where there are several; "weighted_", and
    // then a number, where it is taken.
    const std::string of = out.size() > 1 ? names[output] + "_" : "";
    const std::string own = metric.name().empty() ? resolved.name() : metric.name();
    std::string name = of + own;
    if (weighted && taken.contains(name)) name = of + "weighted_" + own;
    if (const int before = taken[name]++) name += "_" + std::to_string(before);
    metrics.push_back({name, static_cast<int>(output), resolved, weighted});
  };
  const auto add_all = [&](const std::vector<Metric>& all, const std::vector<std::vector<Metric>>& each,
                           bool weighted) {
    for (size_t i = 0; i < out.size() && i < y.size(); ++i)
      for (const Metric& m : each.empty() ? all : each[i]) add(i, m, weighted);
  };
  add_all(options.metrics, options.output_metrics, false);
  add_all(options.weighted_metrics, options.output_weighted_metrics, true);
}

}  // namespace ingot
