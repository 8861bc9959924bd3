// SPDX-License-Identifier: MIT
#include "ingot/io/keras_names.h"

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <map>
#include <set>

#include "ingot/layers/operation.h"

namespace ingot {
namespace {

struct Walker {
  std::vector<KerasGroup> groups;
  std::set<const LayerDef*> seen;

  void Walk(const Network& network, const std::string& base) {
    std::map<std::string, int> used;
    for (const Layer& layer : network.layers()) {
      if (dynamic_cast<const Operation*>(&layer.def())) continue;
      // Keras counts every layer, also one that another part of the model has already saved.
      const std::string name = SnakeCase(layer.def().class_name());
      const int count = used[name]++;
      const std::string path = base + "layers/" + name + (count ? "_" + std::to_string(count) : "");
      if (!seen.insert(&layer.def()).second) continue;
      groups.push_back({path, layer, layer.def().variables});
      if (const auto* inner = dynamic_cast<const Network*>(&layer.def())) Walk(*inner, path + "/");
    }
  }
};

void Split(const Layer& layer, std::vector<VariablePtr>& trained, std::vector<VariablePtr>& others,
           std::set<const Variable*>& seen) {
  for (const VariablePtr& v : layer.def().variables)
    if (seen.insert(v.get()).second) (layer.def().trainable && v->trainable ? trained : others).push_back(v);
  for (const Layer& inner : layer.def().sublayers()) Split(inner, trained, others, seen);
}

}  // namespace

std::vector<KerasGroup> KerasGroups(const Network& network) {
  Walker walker;
  walker.groups.push_back({"", Layer(), network.variables});
  walker.Walk(network, "");
  return std::move(walker.groups);
}

std::vector<VariablePtr> LegacyWeights(const Layer& layer) {
  std::vector<VariablePtr> trained, others;
  std::set<const Variable*> seen;
  Split(layer, trained, others, seen);
  trained.insert(trained.end(), others.begin(), others.end());
  return trained;
}

std::vector<size_t> TrainedVariables(const LayerDef& model, const Layout& layout) {
  std::vector<char> trained(layout.variables().size(), 0);
  const auto walk = [&](const auto& self, const LayerDef& def) -> void {
    if (def.trainable)
      for (const VariablePtr& v : def.variables) trained[static_cast<size_t>(layout.IndexOf(v.get()))] = v->trainable;
    for (const Layer& layer : def.sublayers()) self(self, layer.def());
  };
  walk(walk, model);
  std::vector<size_t> indices;
  for (size_t i = 0; i < trained.size(); ++i)
    if (trained[i]) indices.push_back(i);
  return indices;
}

bool EarlyKeras3(const std::string& version) {
  int minor = 0;
  return std::sscanf(version.c_str(), "3.%d", &minor) == 1 && minor < 10;
}

std::vector<OptimizerVariable> OptimizerVariables(const OptimizerDef& def, int trained, OptimizerOrder order) {
  using Var = OptimizerVariable;
  std::vector<Var> list = KerasVariables(def, trained), others;
  if (order == OptimizerOrder::kKeras3) return list;
  const auto is_other = [](const Var& v) { return v.kind == Var::kScalar; };
  std::copy_if(list.begin(), list.end(), std::back_inserter(others), is_other);
  std::erase_if(list, is_other);
  if (order == OptimizerOrder::kKeras3Early) {
    const int own = static_cast<int>(def.slots().size());
    const auto common = [&](const Var& v) { return v.kind == Var::kSlot && v.index >= own; };
    const auto first = std::find_if(list.begin(), list.end(), common);
    const auto last = std::find_if_not(first, list.end(), common);
    std::stable_sort(first, last, [](const Var& a, const Var& b) { return a.variable < b.variable; });
    const auto at =
        std::find_if(list.begin(), list.end(), [&](const Var& v) { return v.kind == Var::kSlot && v.index < own; });
    list.insert(at, others.begin(), others.end());
    return list;
  }
  std::erase_if(list, [](const Var& v) { return v.kind == Var::kLearningRate; });
  if (order == OptimizerOrder::kKeras2) return list;
  std::stable_sort(list.begin() + 1, list.end(), [](const Var& a, const Var& b) { return a.index < b.index; });
  list.insert(list.begin() + 1, others.begin(), others.end());
  return list;
}

}  // namespace ingot
