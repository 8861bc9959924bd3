// SPDX-License-Identifier: MIT
#include "ingot/io/keras_sharing.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "ingot/core/error.h"
#include "ingot/layers/operation.h"

namespace ingot {
namespace {

bool HasState(const LayerDef& def) { return def.class_name() != "InputLayer" && !dynamic_cast<const Operation*>(&def); }

// "Dense 'encoder'" of an object that stands for a layer; empty if it does not say.
std::string LayerOf(const Json& object) {
  if (!object.is_object() || !object.contains("class_name") || !object["class_name"].is_string()) return "";
  if (!object.contains("config") || !object["config"].is_object()) return "";
  const Json& config = object["config"];
  if (!config.contains("name") || !config["name"].is_string()) return "";
  return object["class_name"].get<std::string>() + " '" + config["name"].get<std::string>() + "'";
}

std::string IdOf(const Json& object) {
  return object.is_object() && object.contains(kSharedId) && object[kSharedId].is_number_integer()
             ? object[kSharedId].dump()
             : "";
}

// Whether a part of a layer, as an initializer, has been written before. (All layers have the same type.)
bool HasMarkedPart(const Json& j) {
  if (!j.is_structured()) return false;
  for (const auto& [key, value] : j.items())
    if (key != "dtype" && (key == kSharedId || HasMarkedPart(value))) return true;
  return false;
}

Json WithoutMarks(const Json& j) {
  if (!j.is_structured()) return j;
  Json copy = j.is_array() ? Json::array() : Json::object();
  if (j.is_array())
    for (const Json& item : j) copy.push_back(WithoutMarks(item));
  else
    for (const auto& [key, value] : j.items())
      if (key != kSharedId) copy[key] = WithoutMarks(value);
  return copy;
}

}  // namespace

SharedLayers::SharedLayers(const Network& network) { Walk(network); }

void SharedLayers::Walk(const Network& network) {
  for (const Layer& layer : network.layers()) {
    if (!HasState(layer.def())) continue;
    const auto [at, fresh] = holder_.emplace(&layer.def(), &network);
    if (!fresh) {
      ids_.emplace(&layer.def(), static_cast<int>(ids_.size()) + 1);
      if (example_.empty())
        example_ = "layer '" + layer.name() + "' stands in model '" + at->second->name + "' and in model '" +
                   network.name + "'";
    } else if (const auto* inner = dynamic_cast<const Network*>(&layer.def())) {
      Walk(*inner);
    }
  }
}

int SharedLayers::id(const LayerDef& def) const {
  const auto found = ids_.find(&def);
  return found == ids_.end() ? 0 : found->second;
}

std::map<const LayerDef*, int64_t> SharedWriter::CountCalls(const Network& network) {
  std::map<const LayerDef*, int64_t> before;
  for (const Layer& layer : network.layers()) {
    if (shared_.id(layer.def()) == 0) continue;
    before[&layer.def()] = calls_[&layer.def()];
    const auto chained = chained_.find(&layer.def());
    if (chained != chained_.end() && keras_cannot_.empty())
      keras_cannot_ = "layer '" + layer.name() + "' stands in the Sequential model '" + chained->second +
                      "' and in the functional model '" + network.name + "'";
  }
  for (const Network::Node& node : network.nodes())
    if (before.contains(&node.layer.def())) ++calls_[&node.layer.def()];
  return before;
}

void SharedWriter::Chained(const LayerDef& def, const Network& network) {
  if (shared_.id(def) != 0) chained_.emplace(&def, network.name);
}

Layer SharedReader::Find(const Json& object) {
  const std::string id = IdOf(object);
  if (id.empty()) return Layer();
  const std::string what = LayerOf(object);
  const auto found = by_id_.find(id);
  if (found != by_id_.end()) {
    const auto& [layer, first] = found->second;
    if (first != what)
      Fail("layers ", first, " and ", what, " have the same ", kSharedId, " ", id, "; that marks one layer");
    shared_.insert(&layer.def());
    return layer;
  }
  // Its first mark, or is it the second and the first was lost? Then its parts are marked too, and it was there before.
  if (!HasMarkedPart(object["config"])) return Layer();
  const auto unmarked = unmarked_.find(what);
  if (unmarked == unmarked_.end() || !unmarked->second.unique) return Layer();
  const auto& [before, layer, unique] = unmarked->second;
  if (WithoutMarks((*before)["config"]) != WithoutMarks(object["config"])) return Layer();
  by_id_.emplace(id, std::pair(layer, what));
  shared_.insert(&layer.def());
  return layer;
}

void SharedReader::Made(const Json& object, const Layer& layer) {
  if (!HasState(layer.def())) return;
  const std::string what = LayerOf(object), id = IdOf(object);
  if (!id.empty()) {
    by_id_.emplace(id, std::pair(layer, what));
  } else if (!what.empty()) {
    const auto [at, fresh] = unmarked_.emplace(what, Unmarked{&object, layer, true});
    if (!fresh) at->second.unique = false;
  }
}

}  // namespace ingot
