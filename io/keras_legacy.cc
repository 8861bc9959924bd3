// SPDX-License-Identifier: MIT
//
// The layout of legacy .h5 files, Keras 2's and 3's: a group for each layer of the model, whose attribute weight_names
// lists its weights in order. Lists too long for one attribute go on in layer_names1, layer_names2, ...
#include <algorithm>
#include <map>
#include <set>
#include <string_view>

#include "ingot/io/keras_names.h"
#include "ingot/io/keras_optimizer.h"
#include "ingot/io/keras_weights.h"
#include "ingot/layers/operation.h"

namespace ingot {
namespace {

constexpr size_t kMostOfAttribute = 64512;  // bytes; Keras's own bound

// What a list does not name would be lost without a word, so a list that is none is an Error.
std::vector<std::string> Names(const Hdf5Node& node, const std::string& attribute, const std::string& where) {
  std::vector<std::string> all;
  const auto append = [&](const std::string& part) {
    if (!node.attributes.contains(part)) return false;
    const auto* names = node.texts(part);
    if (!names) Fail(where, ": the attribute ", part, " of '", node.name, "' is no list of names; the file is damaged");
    all.insert(all.end(), names->begin(), names->end());
    return true;
  };
  if (!append(attribute))
    for (int i = 0; append(attribute + std::to_string(i));) ++i;
  std::set<std::string_view> seen;
  for (const std::string& name : all)
    if (!seen.insert(name).second)
      Fail(where, ": ", attribute, " of '", node.name, "' lists '", name, "' twice; the file is damaged");
  return all;
}

void SetNames(Hdf5Node& node, const std::string& attribute, const std::vector<std::string>& names) {
  size_t width = 1;
  for (const std::string& name : names) width = std::max(width, name.size());
  if (width > kMostOfAttribute) Fail("a name of ", width, " bytes is too long for an .h5 file");
  const size_t most = kMostOfAttribute / width;  // names an attribute can hold
  if (names.size() <= most) {
    node.attributes[attribute] = names;
    return;
  }
  for (size_t first = 0, part = 0; first < names.size(); first += most, ++part) {
    const auto begin = names.begin() + static_cast<std::ptrdiff_t>(first);
    const auto end = names.begin() + static_cast<std::ptrdiff_t>(std::min(names.size(), first + most));
    node.attributes[attribute + std::to_string(part)] = std::vector<std::string>(begin, end);
  }
}

// The tensors that weight_names lists.
std::vector<const StoredTensor*> TensorsOf(const Hdf5Node& group, const std::string& where) {
  std::vector<const StoredTensor*> tensors;
  for (const std::string& name : Names(group, "weight_names", where)) {
    const Hdf5Node* node = group.find(name);
    if (!node || !node->tensor) Fail(where, ": ", group.name, " lists the weight '", name, "' and does not hold it");
    tensors.push_back(&*node->tensor);
  }
  return tensors;
}

struct SavedLayer {
  std::string name;
  std::vector<const StoredTensor*> tensors;
};

}  // namespace

bool IsLegacy(const Hdf5Node& root) {
  return root.find("model_weights") || root.attributes.contains("layer_names") ||
         root.attributes.contains("layer_names0");
}

void ReadLegacyTree(const Hdf5Node& root, Checkpoint& into, const std::string& where) {
  const Hdf5Node* weights = root.find("model_weights");
  if (!weights) weights = &root;
  std::vector<SavedLayer> saved;
  for (const std::string& name : Names(*weights, "layer_names", where)) {
    const Hdf5Node* group = weights->find(name);
    if (!group) Fail(where, ": layer_names lists '", name, "', and there is no such group");
    saved.push_back({name, TensorsOf(*group, where)});
    if (saved.back().tensors.empty()) saved.pop_back();
  }
  if (const Hdf5Node* top = weights->find("top_level_model_weights"))
    if (!TensorsOf(*top, where).empty()) saved.push_back({"top_level_model_weights", TensorsOf(*top, where)});
  std::vector<Layer> layers;
  for (const Layer& layer : into.network->layers())
    if (!LegacyWeights(layer).empty()) layers.push_back(layer);

  // By name where the names are the model's, else in order, as Keras does. To skip what does not match: by name where
  // any name is the model's, as Keras's by_name does.
  std::map<std::string, const SavedLayer*> by_name;
  for (const SavedLayer& s : saved) by_name.emplace(s.name, &s);
  const auto common =
      std::count_if(layers.begin(), layers.end(), [&](const Layer& l) { return by_name.contains(l.name()); });
  const bool as_many = saved.size() == layers.size();
  const bool named = static_cast<size_t>(common) == layers.size() || (into.skip_mismatch && (common > 0 || !as_many));
  if (!named && !as_many)
    Fail(where, ": holds ", saved.size(), " layers with weights, the model has ", layers.size(),
         ", and their names differ; load_weights(path, {.skip_mismatch = true}) loads those of the same name");
  Matches matches;
  for (size_t i = 0; i < layers.size(); ++i) {
    const std::vector<VariablePtr> variables = LegacyWeights(layers[i]);
    std::vector<const StoredTensor*> tensors;
    if (!named) {
      tensors = saved[i].tensors;
    } else if (const auto from = by_name.find(layers[i].name()); from != by_name.end()) {
      tensors = from->second->tensors;
      by_name.erase(from);
    }
    // Keras leaves a layer that has another number of weights.
    const bool another = into.skip_mismatch && !tensors.empty() && tensors.size() != variables.size();
    for (size_t k = 0; k < variables.size(); ++k) {
      const Variable& v = *variables[k];
      const std::string name = v.layer + "/" + v.name;
      if (another)
        matches.WithItsLayer(name);
      else
        matches.AddWeight(name, static_cast<size_t>(into.layout.IndexOf(&v)), into,
                          k < tensors.size() ? tensors[k] : nullptr);
    }
    for (size_t k = variables.size(); k < tensors.size(); ++k) matches.LeftOver(tensors[k]->name, tensors[k]->shape);
  }
  if (named)
    for (const auto& [name, layer] : by_name)
      for (const StoredTensor* tensor : layer->tensors) matches.LeftOver(tensor->name, tensor->shape);
  if (const Hdf5Node* optimizer = into.optimizer ? root.find("optimizer_weights") : nullptr) {
    // "adam/iteration" is Keras 3's, "iteration:0" Keras 2's, "Adam/iter:0" that of its legacy optimizers.
    using enum OptimizerOrder;
    const std::vector<std::string> names = Names(*optimizer, "weight_names", where);
    if (names.empty() && !optimizer->children.empty())
      Fail(where, ": optimizer_weights holds what its weight_names does not list; the file is damaged. Without the ",
           "optimizer (LoadOptions::compile, --no-compile) it can be loaded");
    const std::string first = names.empty() ? "" : names[0];
    const std::string* version = root.text("keras_version");
    std::vector<OptimizerOrder> orders = {kKeras3, kKeras3Early};
    if (version && EarlyKeras3(*version)) orders = {kKeras3Early, kKeras3};
    if (first.ends_with(":0")) orders = {first.ends_with("iter:0") ? kKeras2Legacy : kKeras2};
    MatchOptimizer(TensorsOf(*optimizer, where), orders, into, matches, where);
  }
  matches.Finish(into, where);
}

void AddLegacyTree(const Checkpoint& c, Hdf5Node& root) {
  Hdf5Node& weights = root.child("model_weights");
  weights.attributes["backend"] = "tensorflow";
  weights.attributes["keras_version"] = root.attributes["keras_version"];
  std::vector<std::string> layer_names;
  for (const Layer& layer : c.network->layers()) {
    if (dynamic_cast<const Operation*>(&layer.def())) continue;
    layer_names.push_back(layer.name());
    Hdf5Node& group = weights.child(layer.name());
    const std::vector<VariablePtr> variables = LegacyWeights(layer);
    std::vector<std::string> names;
    for (const VariablePtr& v : variables) names.push_back(v->layer + "/" + v->name);
    names = UniqueNames(names);  // layers in different models of a model may share a name
    for (size_t i = 0; i < names.size(); ++i) group.child(names[i]).tensor = StoredVariable(c, *variables[i]);
    SetNames(group, "weight_names", names);
  }
  SetNames(weights, "layer_names", layer_names);
  SetNames(weights.child("top_level_model_weights"), "weight_names", {});
  if (!c.optimizer) return;
  Hdf5Node& optimizer = root.child("optimizer_weights");
  const std::vector<NamedTensor> all = WriteOptimizer(c);
  std::vector<std::string> names;
  for (const NamedTensor& t : all) names.push_back(OptimizerName(*c.optimizer) + "/" + t.name);
  names = UniqueNames(names);
  for (size_t i = 0; i < names.size(); ++i) optimizer.child(names[i]).tensor = all[i].tensor;
  SetNames(optimizer, "weight_names", names);
}

}  // namespace ingot
