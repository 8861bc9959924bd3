// SPDX-License-Identifier: MIT
//
// The layout of Keras 3: groups by the classes of the layers.
#include "ingot/io/keras_weights.h"

#include <set>

#include "ingot/io/keras_names.h"
#include "ingot/io/keras_optimizer.h"

namespace ingot {
namespace {

constexpr std::string_view kSeeds = "seed_generator";

// "layers/dense_1/vars" of the tree. Files of Keras 2.13 call the layers otherwise.
const Hdf5Node* VarsOf(const Hdf5Node& root, const std::string& group) {
  const std::string path = group.empty() ? "vars" : group + "/vars";
  if (const Hdf5Node* node = root.find(path)) return node;
  std::string old = path;
  for (size_t at = 0; (at = old.find("layers/", at)) != std::string::npos; at += 30)
    old.replace(at, 6, "_layer_checkpoint_dependencies");
  return root.find(old);
}

void FindLeftOver(const Hdf5Node& node, const std::set<const Hdf5Node*>& used, Matches& matches) {
  if (node.name == kSeeds) return;
  if (node.tensor && !used.contains(&node)) matches.LeftOver(node.tensor->name, node.tensor->shape);
  for (const Hdf5Node& child : node.children) FindLeftOver(child, used, matches);
}

// optimizer/vars: numbered from 0.
void MatchNumbered(const Hdf5Node& vars, bool early, Checkpoint& into, Matches& matches, const std::string& where) {
  std::vector<const StoredTensor*> tensors;
  while (const Hdf5Node* node = vars.find(std::to_string(tensors.size()))) {
    if (!node->tensor) break;
    tensors.push_back(&*node->tensor);
  }
  if (tensors.size() != vars.children.size())
    Fail(where, ": optimizer/vars has ", vars.children.size(), " entries, not the numbers from 0 on");
  // Nothing in the file says which version wrote it; but for the name of each group, which came with 3.6.
  using enum OptimizerOrder;
  std::vector<OptimizerOrder> orders = {kKeras3, kKeras3Early, kKeras2};
  if (early || vars.attributes.empty()) std::swap(orders[0], orders[1]);
  MatchOptimizer(tensors, orders, into, matches, where);
}

}  // namespace

void ReadKerasTree(const Hdf5Node& root, const std::string& version, bool own, Checkpoint& into,
                   const std::string& where) {
  const bool early = EarlyKeras3(version);
  const std::vector<KerasGroup> groups = KerasGroups(*into.network);
  std::set<std::string> names;
  for (const KerasGroup& group : groups)
    if (own && group.layer) names.insert(group.layer.name());
  Matches matches;
  std::set<const Hdf5Node*> used;
  for (const KerasGroup& group : groups) {
    const Hdf5Node* vars = group.variables.empty() ? nullptr : VarsOf(root, group.path);
    // Weights go by the order of layers. Two of one shape in another order would else be exchanged without a word.
    const std::string* saved = vars && group.layer ? vars->text("name") : nullptr;
    if (saved && *saved != group.layer.name() && names.contains(*saved))
      Fail(where, ": ", group.path, " holds the weights of layer '", *saved,
           "', where the model of its config.json has '", group.layer.name(),
           "'; the layers are in an order that ingot does not know");
    // Skipping, Keras leaves a layer that has another number of weights, and the rest of one behind the first that does
    // not fit: the bias of a head whose kernel is another's.
    bool fits = !into.skip_mismatch || !vars || vars->children.size() == group.variables.size();
    for (size_t i = 0; i < group.variables.size(); ++i) {
      const Variable& v = *group.variables[i];
      const Hdf5Node* found = vars ? vars->find(std::to_string(i)) : nullptr;
      const std::string name = v.layer + "/" + v.name + " at " + group.path + "/vars/" + std::to_string(i);
      if (found && !found->tensor) Fail(where, ": ", name, " is a group and no weight; the file is damaged");
      used.insert(found);
      if (fits || !into.skip_mismatch)
        fits = matches.AddWeight(name, static_cast<size_t>(into.layout.IndexOf(&v)), into,
                                 found ? &*found->tensor : nullptr);
      else
        matches.WithItsLayer(name);
    }
  }
  for (const char* part : {"vars", "layers", "_layer_checkpoint_dependencies"})
    if (const Hdf5Node* node = root.find(part)) FindLeftOver(*node, used, matches);
  if (into.optimizer)
    if (const Hdf5Node* vars = root.find("optimizer/vars")) MatchNumbered(*vars, early, into, matches, where);
  matches.Finish(into, where);
}

Hdf5Node KerasTree(const Checkpoint& c) {
  Hdf5Node root;
  for (const KerasGroup& group : KerasGroups(*c.network)) {
    Hdf5Node& vars = root.child(group.path.empty() ? "vars" : group.path + "/vars");
    vars.attributes["name"] = group.layer ? group.layer.name() : c.network->name;
    for (size_t i = 0; i < group.variables.size(); ++i)
      vars.child(std::to_string(i)).tensor = StoredVariable(c, *group.variables[i]);
  }
  if (!c.optimizer) return root;
  Hdf5Node& vars = root.child("optimizer/vars");
  vars.attributes["name"] = OptimizerName(*c.optimizer);
  const std::vector<NamedTensor> all = WriteOptimizer(c);
  for (size_t i = 0; i < all.size(); ++i) vars.child(std::to_string(i)).tensor = all[i].tensor;
  return root;
}

}  // namespace ingot
