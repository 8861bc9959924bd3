// SPDX-License-Identifier: MIT
#include "ingot/io/keras_config.h"

#include <algorithm>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <queue>
#include <set>
#include <unordered_map>

#include "ingot/io/keras_operations.h"
#include "ingot/io/keras_sharing.h"
#include "ingot/layers/layers.h"
#include "ingot/layers/operation.h"

namespace ingot {
namespace {

constexpr int kMaxNesting = 32;

// One use of a layer's output: the layer, which of its calls, which output of that.
struct History {
  std::string layer;
  int64_t call = 0, output = 0;
};

[[noreturn]] void Bad(const std::string& where, const std::string& what, const Json& got) {
  std::string text = got.dump();
  Fail(where, ": ", what, ", got ", text.size() > 80 ? text.substr(0, 77) + "..." : text);
}

const Json& At(const Json& object, const char* key, const std::string& where) {
  if (!object.is_object() || !object.contains(key)) Fail(where, ": '", key, "' is missing");
  return object[key];
}

std::string StringAt(const Json& object, const char* key, const std::string& where) {
  const Json& value = At(object, key, where);
  if (!value.is_string()) Bad(where, std::string("'") + key + "' must be a string", value);
  return value.get<std::string>();
}

bool IsHistory(const Json& j) {
  return j.is_array() && j.size() >= 3 && j[0].is_string() && j[1].is_number_integer() && j[2].is_number_integer();
}

History ReadHistory(const Json& j, const std::string& where) {
  if (!IsHistory(j)) Bad(where, "a tensor is written as [layer, call, output]", j);
  const auto small = [](const Json& n) { return n.get<int64_t>() >= 0 && n.get<int64_t>() < (int64_t{1} << 31); };
  if (!small(j[1]) || !small(j[2])) Bad(where, "a tensor is written as [layer, call, output], counted from 0", j);
  return {j[0].get<std::string>(), j[1].get<int64_t>(), j[2].get<int64_t>()};
}

bool IsTensor(const Json& j) {
  return j.is_object() && j.contains("class_name") && j["class_name"] == "__keras_tensor__";
}

// The members of an object in the order in which Keras counts them, which is that of their names, however it wrote
// them.
std::vector<std::pair<std::string, const Json*>> SortedMembers(const Json& object) {
  std::vector<std::pair<std::string, const Json*>> members;
  for (const auto& item : object.items()) members.emplace_back(item.key(), &item.value());
  std::sort(members.begin(), members.end());
  return members;
}

// All tensors named anywhere in the arguments of a call, in order: Keras 3 writes {"class_name": "__keras_tensor__"},
// Keras 2 lists [layer, call, output, kwargs].
void CollectHistories(const Json& j, const std::string& where, std::vector<History>& into) {
  if (j.is_object()) {
    if (IsTensor(j)) {
      into.push_back(ReadHistory(At(At(j, "config", where), "keras_history", where), where));
      return;
    }
    for (const auto& [name, value] : SortedMembers(j)) CollectHistories(*value, where, into);
  } else if (IsHistory(j)) {
    into.push_back(ReadHistory(j, where));
    if (j.size() > 3) CollectHistories(j[3], where, into);
  } else if (j.is_array()) {
    for (const Json& item : j) CollectHistories(item, where, into);
  }
}

// The number by which a configuration means the first call of a layer. The call in which a model was described counts
// as its first: in Keras 2 everywhere, in Keras 3 where the ends of a model are listed, and for Functional ones only.
int64_t FirstCall(const Layer& layer, bool keras2, bool of_ends) {
  const auto* network = dynamic_cast<const Network*>(&layer.def());
  if (!network) return 0;
  return keras2 ? !network->input_layers().empty() : of_ends && !network->sequential();
}

// Whether a call with the argument `training` is another than one without it. (Noise that is turned off is not told
// apart: it is off wherever a model does not train.)
bool SaysTraining(const Layer& layer, const Json& training) {
  const std::string kind = layer.def().class_name();
  if (kind == "BatchNormalization" || dynamic_cast<const Network*>(&layer.def())) return true;
  const bool noise = kind.find("Dropout") != std::string::npos || kind == "GaussianNoise";
  return noise && training != false;
}

// Arguments of a call that are no tensors would change what it does; a layer of ingot takes none.
void CheckKwargs(const Json& kwargs, const Layer& layer, const std::string& where) {
  if (!kwargs.is_object()) return;
  for (const auto& [key, value] : kwargs.items())
    if (!value.is_null() && key != "mask" && (key != "training" || SaysTraining(layer, value)))
      Bad(where, "a call has the argument '" + key + "', which ingot does not support", value);
}

void CheckArgument(const Json& j, const std::string& where) {
  if (j.is_object() && j.contains("class_name") && j["class_name"] == "__keras_tensor__") return;
  if (!j.is_array()) Bad(where, "a call takes something that is no tensor, which ingot does not support", j);
  for (const Json& item : j) CheckArgument(item, where);
}

// Keras 3 writes {"args", "kwargs"}, Keras 2 a list of [layer, call, output, kwargs].
void CheckCall(const Json& call, const Layer& layer, const std::string& where) {
  if (call.is_object()) {
    if (call.contains("kwargs")) CheckKwargs(call["kwargs"], layer, where);
    CheckArgument(At(call, "args", where), where);
  } else if (IsHistory(call)) {
    if (call.size() > 3) CheckKwargs(call[3], layer, where);
  } else if (call.is_array()) {
    for (const Json& item : call) CheckCall(item, layer, where);
  } else {
    Bad(where, "a call must be an object or a list", call);
  }
}

// What is listed as an input or output of a model is a tensor, or a list or an object of them.
void CheckEnds(const Json& j, const std::string& where) {
  if (IsHistory(j) || IsTensor(j)) return;
  if (!j.is_structured()) Bad(where, "a tensor is written as [layer, call, output]", j);
  for (const auto& item : j.items()) {
    if (!item.value().is_structured() || item.value().empty())
      Bad(where, "a tensor is written as [layer, call, output]", j);
    CheckEnds(item.value(), where);
  }
}

// The names under which a model takes or gives its tensors, where Keras has a dict of them.
std::vector<std::string> KeysOf(const Json& ends) {
  std::vector<std::string> keys;
  if (!ends.is_object() || IsTensor(ends)) return keys;
  for (const auto& [name, value] : SortedMembers(ends)) {
    if (!IsHistory(*value) && !IsTensor(*value)) return {};  // lists within
    keys.push_back(name);
  }
  return keys;
}

class Reader {
 public:
  Reader(const CustomObjects* custom) : custom_(custom) {}

  std::shared_ptr<Network> Model(const Json& model, int nesting) {
    if (nesting > kMaxNesting) Fail("models are nested deeper than ", kMaxNesting);
    const std::string kind = StringAt(model, "class_name", "model");
    const Json& config = At(model, "config", "model");
    std::shared_ptr<Network> network;
    if (kind == "Sequential")
      network = Sequence(config, nesting);
    else if (kind == "Functional" || kind == "Model")
      network = Functional(config, nesting);
    else
      Fail("model is of class '", kind,
           "'; Sequential and Functional models can be read, a subclass only by its weights");
    if (config.is_object() && config.contains("trainable") && config["trainable"] == false) network->trainable = false;
    return network;
  }

 private:
  Layer OneLayer(const Json& layer, int nesting) {
    const std::string kind = StringAt(layer, "class_name", "layer");
    const Json& config = At(layer, "config", "layer");
    if (kind != "InputLayer")
      if (const Layer before = shared_.Find(layer)) return before;
    const Layer made = NewLayer(layer, kind, config, nesting);
    shared_.Made(layer, made);
    return made;
  }

  Layer NewLayer(const Json& layer, const std::string& kind, const Json& config, int nesting) {
    if ((kind == "Sequential" || kind == "Functional" || kind == "Model") &&
        !(custom_ && custom_->find<LayerFactory>(kind))) {
      const auto network = Model(layer, nesting + 1);
      if (layer.contains("name") && layer["name"].is_string()) network->name = layer["name"].get<std::string>();
      return Layer(network);
    }
    // Keras to 3.6 and later wrote the change of type between layers of other dtypes as a layer.
    if (kind == "Cast" && layer.contains("inbound_nodes") && !(custom_ && custom_->find<LayerFactory>(kind)))
      return LayerFromConfig("Identity", {{"name", layer.contains("name") ? layer["name"] : Json("cast")}}, custom_);
    if (IsOperation(layer) && !(custom_ && custom_->find<LayerFactory>(kind)))
      if (auto operation = ReadOperation(layer)) return Layer(std::move(operation));
    return LayerFromConfig(kind, config, custom_);
  }

  std::shared_ptr<Network> Sequence(const Json& config, int nesting) {
    const Json& list = config.is_array() ? config : At(config, "layers", "Sequential");  // Keras 1 wrote a bare list
    const std::string name =
        config.is_object() && config.contains("name") ? StringAt(config, "name", "Sequential") : "sequential";
    if (!list.is_array()) Bad("model '" + name + "'", "'layers' must be a list", list);
    std::vector<Layer> layers;
    for (const Json& item : list) {
      Layer layer = OneLayer(item, nesting);
      // Keras 2 kept the input's shape with the first layer.
      const Json& inner = item["config"];
      const bool shaped = layers.empty() && layer.def().class_name() != "InputLayer" && inner.is_object() &&
                          inner.contains("batch_input_shape");
      if (shaped)
        layers.push_back(LayerFromConfig(
            "InputLayer", {{"batch_input_shape", inner["batch_input_shape"]}, {"name", layer.name() + "_input"}},
            custom_));
      layers.push_back(std::move(layer));
    }
    const bool starts = !layers.empty() && layers[0].def().class_name() == "InputLayer";
    if (!starts && config.is_object() && config.contains("build_input_shape") && config["build_input_shape"].is_array())
      layers.insert(layers.begin(),
                    LayerFromConfig("InputLayer",
                                    {{"batch_shape", config["build_input_shape"]}, {"name", "input_layer"}}, custom_));
    return std::make_shared<Network>(std::move(layers), name);
  }

  std::shared_ptr<Network> Functional(const Json& config, int nesting) {
    const std::string name = config.contains("name") ? StringAt(config, "name", "model") : "functional";
    const std::string where = "model '" + name + "'";
    const Json& list = At(config, "layers", where);
    if (!list.is_array()) Bad(where, "'layers' must be a list", list);

    struct Item {
      Layer layer;
      std::vector<std::vector<History>> calls;
    };
    std::vector<Item> items;
    bool keras2 = false;
    std::unordered_map<std::string, size_t> by_name;
    for (const Json& j : list) {
      Item item{OneLayer(j, nesting), {}};
      const std::string layer_name =
          j.contains("name") && j["name"].is_string() ? j["name"].get<std::string>() : item.layer.name();
      if (j.contains("inbound_nodes")) {
        for (const Json& call : j["inbound_nodes"]) {
          if (!dynamic_cast<const Operation*>(&item.layer.def()))
            CheckCall(call, item.layer, "layer '" + layer_name + "'");
          keras2 = keras2 || call.is_array();
          item.calls.emplace_back();
          CollectHistories(call, "layer '" + layer_name + "'", item.calls.back());
        }
      }
      if (!by_name.emplace(layer_name, items.size()).second) Fail(where, ": two layers are named '", layer_name, "'");
      items.push_back(std::move(item));
    }

    std::map<std::string, std::vector<History>> all_ends;
    for (const char* key : {"input_layers", "output_layers"}) {
      CheckEnds(At(config, key, where), where + ", " + key);
      CollectHistories(At(config, key, where), where + ", " + key, all_ends[key]);
    }
    // Calls of a layer that other models hold too are counted in this model alone, or over all: then the first is not
    // number 0. A call that nobody uses would not be in the model.
    std::map<size_t, std::set<int64_t>> used;
    const auto use = [&](const History& h, bool of_ends) {
      const auto layer = by_name.find(h.layer);
      if (layer == by_name.end() || !shared_.IsShared(items[layer->second].layer)) return;
      used[layer->second].insert(h.call - FirstCall(items[layer->second].layer, keras2, of_ends));
    };
    for (const Item& item : items)
      for (const std::vector<History>& call : item.calls)
        for (const History& h : call) use(h, false);
    for (const auto& [key, histories] : all_ends)
      for (const History& h : histories) use(h, true);
    for (const auto& [i, calls] : used)
      if (calls.size() != items[i].calls.size() || *calls.rbegin() - *calls.begin() >= std::ssize(calls))
        Fail(where, ": layer '", items[i].layer.name(), "' is called ", items[i].calls.size(),
             " times, but the outputs of ", calls.size(), " calls are used, numbered ", *calls.begin(), " to ",
             *calls.rbegin());
    // The number of a call, from 0.
    const auto number = [&](const History& h, bool of_ends) {
      const size_t layer = by_name.at(h.layer);
      const auto counted = used.find(layer);
      return h.call - FirstCall(items[layer].layer, keras2, of_ends) -
             (counted == used.end() ? 0 : *counted->second.begin());
    };

    // Calls are made once what they need is there.
    std::map<std::pair<size_t, int64_t>, Tensors> made;
    const auto tensor = [&](const History& h, bool of_ends = false) -> const Tensor* {
      const auto layer = by_name.find(h.layer);
      if (layer == by_name.end())
        Fail(where, ": a call takes the output of layer '", h.layer, "', which is not in the model");
      const auto found = made.find({layer->second, number(h, of_ends)});
      if (found == made.end()) return nullptr;
      if (h.output < 0 || h.output >= static_cast<int64_t>(found->second.size()))
        Fail(where, ": a call takes output ", h.output, " of layer '", h.layer, "', which has ", found->second.size());
      return &found->second[static_cast<size_t>(h.output)];
    };
    for (size_t i = 0; i < items.size(); ++i)
      if (items[i].layer.def().class_name() == "InputLayer") made[{i, 0}] = items[i].layer.call({});
    // Each call waits for the calls before it; what it was the last to wait for sets it going. In the order in which
    // they are listed, so far as that can be.
    using Call = std::pair<size_t, int64_t>;
    std::map<Call, std::vector<Call>> waiting;
    std::map<Call, size_t> missing;
    std::priority_queue<Call, std::vector<Call>, std::greater<>> ready;
    for (size_t i = 0; i < items.size(); ++i) {
      if (items[i].layer.def().class_name() == "InputLayer") continue;
      for (size_t c = 0; c < items[i].calls.size(); ++c) {
        const Call call{i, static_cast<int64_t>(c)};
        size_t& count = missing[call];
        for (const History& h : items[i].calls[c]) {
          if (tensor(h)) continue;  // of an input; Error if there is no such layer
          const size_t from = by_name.at(h.layer);
          waiting[{from, number(h, false)}].push_back(call);
          ++count;
        }
        if (count == 0) ready.push(call);
      }
    }
    while (!ready.empty()) {
      const Call call = ready.top();
      ready.pop();
      missing.erase(call);
      Item& item = items[call.first];
      Tensors args;
      for (const History& h : item.calls[static_cast<size_t>(call.second)]) args.push_back(*tensor(h));
      made[call] = item.layer.call(args);
      const auto next = waiting.find(call);
      if (next == waiting.end()) continue;
      for (const Call& waits : next->second)
        if (--missing[waits] == 0) ready.push(waits);
    }
    if (!missing.empty())
      Fail(where, ": layer '", items[missing.begin()->first.first].layer.name(),
           "' waits for tensors that are never made: the calls form a cycle, or one is missing");

    const auto ends = [&](const char* key) {
      Tensors tensors;
      for (const History& h : all_ends[key]) {
        const Tensor* t = tensor(h, true);
        if (!t) Fail(where, ": ", key, " names call ", h.call, " of layer '", h.layer, "', which does not exist");
        tensors.push_back(*t);
      }
      return tensors;
    };
    const Tensors inputs = ends("input_layers"), outputs = ends("output_layers");
    auto network = std::make_shared<Network>(inputs, outputs, name);
    network->input_keys = KeysOf(config["input_layers"]);
    network->output_keys = KeysOf(config["output_layers"]);
    return network;
  }

  const CustomObjects* custom_;
  SharedReader shared_;
};

Json ShapeJson(const Shape& shape) {
  Json list = Json::array();
  for (const int64_t dim : shape) list.push_back(dim == kNone ? Json(nullptr) : Json(dim));
  return list;
}

Json NetworkObject(const Network& network, SharedWriter& shared);

Json ModelObject(const Network& network, const Json& config) {
  if (network.sequential())
    return {{"module", "keras"}, {"class_name", "Sequential"}, {"config", config}, {"registered_name", nullptr}};
  return {{"module", "keras.src.models.functional"},
          {"class_name", "Functional"},
          {"config", config},
          {"registered_name", "Functional"}};
}

// Layers that Keras has in keras.applications alone, and where it finds them.
constexpr std::pair<const char*, const char*> kOfApplications[] = {
    {"LayerScale", "keras.src.applications.convnext"},
    {"CustomScaleLayer", "keras.src.applications.inception_resnet_v2"},
};

Json NewLayerObject(const Layer& layer, SharedWriter& shared) {
  if (const auto* network = dynamic_cast<const Network*>(&layer.def())) return NetworkObject(*network, shared);
  if (const auto* operation = dynamic_cast<const Operation*>(&layer.def())) return WriteOperation(*operation);
  Json config = LayerConfig(layer.def());
  if (layer.def().class_name() != "InputLayer")
    config["dtype"] = {{"module", "keras"},
                       {"class_name", "DTypePolicy"},
                       {"config", {{"name", "float32"}}},
                       {"registered_name", nullptr}};
  const std::string kind = layer.def().class_name();
  for (const auto& [name, module] : kOfApplications)
    if (kind == name) return {{"module", module}, {"class_name", kind}, {"config", config}, {"registered_name", kind}};
  // One of the user's own is found by its name in custom_objects, in Keras too.
  const auto all = AllLayers();
  const bool known = std::any_of(all.begin(), all.end(), [&](const LayerClass* c) { return kind == c->name; });
  return {{"module", known ? Json("keras.layers") : Json(nullptr)},
          {"class_name", kind},
          {"config", config},
          {"registered_name", known ? Json(nullptr) : Json(kind)}};
}

Json LayerObject(const Layer& layer, SharedWriter& shared) {
  const auto* network = dynamic_cast<const Network*>(&layer.def());
  const bool known = shared.Known(layer.def());
  // Models that share models could otherwise be written more and more often, the deeper they lie.
  Json object = known && network ? ModelObject(*network, {{"name", layer.name()}}) : NewLayerObject(layer, shared);
  if (const int id = shared.id(layer.def())) object[kSharedId] = id;
  return object;
}

Json NetworkObject(const Network& network, SharedWriter& shared) {
  Json config = {{"name", network.name}, {"trainable", network.trainable}};
  config["dtype"] = {{"module", "keras"},
                     {"class_name", "DTypePolicy"},
                     {"config", {{"name", "float32"}}},
                     {"registered_name", nullptr}};
  Json layers = Json::array();
  if (network.sequential()) {
    if (!network.input_layers().empty()) layers.push_back(LayerObject(network.input_layers()[0], shared));
    for (const Layer& layer : network.layers()) {
      layers.push_back(LayerObject(layer, shared));
      shared.Chained(layer.def(), network);
    }
    config["layers"] = layers;
    if (network.has_calls()) config["build_input_shape"] = ShapeJson(network.inputs()[0].shape);
    return ModelObject(network, config);
  }

  for (const Layer& layer : network.layers()) layers.push_back(LayerObject(layer, shared));
  // Which layer, call and output each tensor is.
  std::map<int, History> history;
  std::map<const LayerDef*, int64_t> calls = shared.CountCalls(network);
  for (size_t i = 0; i < network.input_layers().size(); ++i)
    history[static_cast<int>(i)] = {network.input_layers()[i].name(), 0, 0};
  for (const Network::Node& node : network.nodes()) {
    const int64_t call = calls[&node.layer.def()]++;
    for (size_t i = 0; i < node.out.size(); ++i)
      history[node.out[i]] = {node.layer.name(), call, static_cast<int64_t>(i)};
  }
  const TensorSpecs specs = network.specs();
  const auto tensor = [&](int id) {
    const History& h = history.at(id);
    const TensorSpec& spec = specs[static_cast<size_t>(id)];
    return Json{{"class_name", "__keras_tensor__"},
                {"config",
                 {{"shape", ShapeJson(spec.shape)},
                  {"dtype", Name(spec.dtype)},
                  {"keras_history", {h.layer, h.call, h.output}}}}};
  };
  for (size_t i = 0; i < network.layers().size(); ++i) {
    const Layer& layer = network.layers()[i];
    Json& object = layers[i];
    object["name"] = layer.name();
    object["inbound_nodes"] = Json::array();
    for (const Network::Node& node : network.nodes()) {
      if (!(node.layer == layer)) continue;
      Json args = Json::array();
      for (const int id : node.in) args.push_back(tensor(id));
      if (const auto* operation = dynamic_cast<const Operation*>(&layer.def()))
        args = ArgumentsOf(*operation, args);
      else if (node.in.size() > 1)
        args = Json::array({args});
      object["inbound_nodes"].push_back({{"args", args}, {"kwargs", Json::object()}});
    }
  }
  config["layers"] = layers;
  Json inputs = Json::array(), outputs = Json::array();
  for (const Layer& layer : network.input_layers()) inputs.push_back({layer.name(), 0, 0});
  for (const int id : network.output_ids()) {
    const History& h = history.at(id);
    const auto maker = std::find_if(network.layers().begin(), network.layers().end(),
                                    [&](const Layer& layer) { return layer.name() == h.layer; });
    outputs.push_back({h.layer, h.call + FirstCall(*maker, false, true), h.output});
  }
  const auto ends = [](const Json& list, const std::vector<std::string>& keys) {
    if (keys.empty()) return list.size() == 1 ? list[0] : list;
    Json named = Json::object();
    for (size_t i = 0; i < keys.size(); ++i) named[keys[i]] = list[i];
    return named;
  };
  config["input_layers"] = ends(inputs, network.input_keys);
  config["output_layers"] = ends(outputs, network.output_keys);
  return ModelObject(network, config);
}

}  // namespace

std::shared_ptr<Network> NetworkFromConfig(const Json& model, const CustomObjects* custom) {
  return Reader(custom).Model(model, 0);
}

Json NetworkConfig(const Network& network) {
  SharedWriter shared(network);
  return NetworkObject(network, shared);
}

Json NetworkConfigForKeras(const Network& network) {
  SharedWriter shared(network);
  Json object = NetworkObject(network, shared);
  if (!shared.keras_cannot().empty())
    Fail(shared.keras_cannot(), "; Keras cannot load such a file. Save the model as .ingot");
  return object;
}

}  // namespace ingot
