// SPDX-License-Identifier: MIT
#include "ingot/layers/network.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <unordered_map>
#include <unordered_set>

#include "ingot/core/plural.h"
#include "ingot/layers/core.h"

namespace ingot {
namespace {

// Files hold names as JSON, and some as texts that end with a zero. Bytes that are no text are shown as numbers.
void CheckName(const std::string& name, const std::string& of) {
  const bool zero = name.find('\0') != std::string::npos;
  if (!zero && IsUtf8(name)) return;
  std::string shown;
  char hex[8];
  for (const char c : name) {
    std::snprintf(hex, sizeof hex, c >= ' ' && c < 127 ? "%c" : "\\x%02x", static_cast<unsigned char>(c));
    shown += hex;
  }
  Fail(of, " '", shown, "': its name ", zero ? "holds a zero byte" : "is not UTF-8", "; give it another");
}

bool IsInput(const Layer& layer) { return dynamic_cast<const InputLayer*>(&layer.def()) != nullptr; }

// The order of layers in Keras: by depth, the longest way to an output first; equals in the order in which a walk
// back from the outputs meets them. Calls are given so that each comes after those it needs.
struct Order {
  std::vector<LayerCall*> calls;
  std::vector<Layer> layers;
};

Order Sort(const Tensors& inputs, const Tensors& outputs, const std::string& model) {
  std::unordered_map<const LayerDef*, int> met;  // when the walk met a layer
  std::vector<LayerCall*> calls;
  std::unordered_set<const LayerCall*> begun, done;
  std::unordered_set<const LayerCall*> of_inputs;
  for (const Tensor& t : inputs) of_inputs.insert(t.from.get());
  const auto is_input = [&](const LayerCall* call) { return of_inputs.contains(call); };
  struct Visit {
    LayerCall* call;
    size_t next;
  };
  std::vector<Visit> stack;
  for (const Tensor& output : outputs) {
    stack.push_back({output.from.get(), 0});
    while (!stack.empty()) {
      Visit& visit = stack.back();
      LayerCall* call = visit.call;
      if (visit.next == 0) {
        if (done.contains(call)) {
          stack.pop_back();
          continue;
        }
        if (!begun.insert(call).second)
          Fail("model '", model, "': layer '", call->layer.def().label(), "' depends on its own output");
        met.emplace(&call->layer.def(), static_cast<int>(met.size()));
      }
      if (!is_input(call) && visit.next < call->in.size()) {
        LayerCall* before = call->in[visit.next++].from.get();
        stack.push_back({before, 0});
        continue;
      }
      if (IsInput(call->layer) && !is_input(call))
        Fail("model '", model, "': the output depends on input '", call->layer.def().label(),
             "', which is not among the model's inputs");
      done.insert(call);
      calls.push_back(call);
      stack.pop_back();
    }
  }

  std::unordered_map<const LayerCall*, int> call_depth;
  std::unordered_map<const LayerDef*, int> layer_depth;
  std::unordered_map<const LayerDef*, Layer> layer_of;
  for (size_t i = calls.size(); i-- > 0;) {
    LayerCall* call = calls[i];
    const LayerDef* def = &call->layer.def();
    const int depth = std::max(call_depth[call], layer_depth[def]);
    call_depth[call] = layer_depth[def] = depth;
    layer_of.emplace(def, call->layer);
    if (is_input(call)) continue;
    for (const Tensor& t : call->in) call_depth[t.from.get()] = std::max(call_depth[t.from.get()], depth + 1);
  }
  for (const Tensor& t : inputs) {  // inputs that nothing uses are layers too
    const LayerDef* def = &t.from->layer.def();
    if (layer_of.emplace(def, t.from->layer).second) layer_depth[def] = 0, met[def] = -1;
  }
  std::vector<std::pair<std::pair<int, int>, Layer>> sorted;
  for (const auto& [def, layer] : layer_of) sorted.push_back({{-layer_depth[def], met[def]}, layer});
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  Order order;
  order.calls = std::move(calls);
  for (auto& [key, layer] : sorted) order.layers.push_back(layer);
  return order;
}

}  // namespace

Network::Network(std::vector<Layer> sequence, const std::string& model_name) : sequential_(true) {
  name = model_name;
  named_by_user = !model_name.empty();
  if (sequence.empty()) Fail("Sequential: there are no layers; list at least one");
  std::unordered_set<const LayerDef*> seen;
  for (size_t i = 0; i < sequence.size(); ++i) {
    if (!sequence[i]) Fail("Sequential: layer ", i, " is empty");
    if (!seen.insert(&sequence[i].def()).second)
      Fail("Sequential: layer ", i, " (", sequence[i].def().label(),
           ") stands there twice; to use a layer more than once describe a Model of inputs and outputs");
    if (IsInput(sequence[i])) {
      if (i) Fail("Sequential: an Input stands at place ", i, "; it can only be the first");
      input_layers_ = {sequence[0]};
    } else {
      layers_.push_back(sequence[i]);
    }
  }
  if (layers_.empty()) Fail("Sequential: there is no layer behind the Input; list at least one");
  NameLayers();
  CountNesting();
  if (!input_layers_.empty()) Chain(input_layers_[0].call({})[0]);
}

Network::Network(const Tensors& inputs, const Tensors& outputs, const std::string& model_name) : sequential_(false) {
  name = model_name;
  named_by_user = !model_name.empty();
  if (inputs.empty() || outputs.empty()) Fail("Model: at least one input and one output are needed");
  for (const Tensors* tensors : {&inputs, &outputs})
    for (const Tensor& t : *tensors)
      if (!t.from) Fail("Model: one of the tensors is empty; begin with Input({...}) and call layers on it");
  for (const Tensor& t : inputs)
    if (!IsInput(t.from->layer))
      Fail("Model: an input comes from layer '", t.from->layer.def().label(), "'; inputs must come from Input({...})");
  std::unordered_map<const LayerCall*, size_t> place;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const auto [first, is_new] = place.emplace(inputs[i].from.get(), i);
    if (!is_new) Fail("Model: inputs ", first->second, " and ", i, " are the same Input; each may be listed once");
  }
  const Order order = Sort(inputs, outputs, label());
  layers_ = order.layers;
  for (const Tensor& t : inputs) input_layers_.push_back(t.from->layer);
  NameLayers();
  CountNesting();
  Trace(inputs, outputs);
}

void Network::CountNesting() {
  for (const Layer& layer : layers_)
    if (const auto* inner = dynamic_cast<const Network*>(&layer.def()))
      nesting_ = std::max(nesting_, inner->nesting_ + 1);
  if (nesting_ > kMaxNesting) fail("models are nested deeper than ", kMaxNesting);
}

// Gives names to layers that have none, as Keras would in a fresh session: dense, dense_1, ...
void Network::NameLayers() {
  std::unordered_set<std::string> taken;
  CheckName(name, "model");
  const auto take = [&](const Layer& layer) {
    CheckName(layer.name(), layer.def().class_name() + " layer");
    if (!layer.name().empty() && !taken.insert(layer.name()).second)
      Fail("model '", label(), "': two layers are named '", layer.name(), "'; names must differ");
  };
  if (sequential_) std::for_each(input_layers_.begin(), input_layers_.end(), take);
  std::for_each(layers_.begin(), layers_.end(), take);
  std::unordered_map<std::string, int> next;
  const auto assign = [&](const Layer& layer) {
    LayerDef& def = layer.def();
    if (def.name.empty()) {
      const std::string base = def.class_name() == "InputLayer" ? "input_layer" : SnakeCase(def.class_name());
      do {
        const int n = next[base]++;
        def.name = n ? base + "_" + std::to_string(n) : base;
      } while (!taken.insert(def.name).second);
    }
    for (const VariablePtr& v : def.variables) v->layer = def.name;
  };
  for (const Layer& layer : input_layers_) assign(layer);
  for (const Layer& layer : layers_) assign(layer);
}

void Network::Chain(const Tensor& input) {
  Tensor t = input;
  for (const Layer& layer : layers_) t = layer(t);
  Trace({input}, {t});
  for (const Layer& layer : layers_)
    for (const VariablePtr& v : layer.def().variables) v->layer = layer.name();
}

void Network::Trace(const Tensors& inputs, const Tensors& outputs) {
  input_tensors_ = inputs;
  output_tensors_ = outputs;
  std::map<std::pair<const LayerCall*, int>, int> number;
  for (const Tensor& t : inputs) {
    number[{t.from.get(), t.index}] = static_cast<int>(specs_.size());
    specs_.push_back(t.spec);
    input_specs_.push_back(t.spec);
  }
  for (LayerCall* call : Sort(inputs, outputs, label()).calls) {
    if (number.contains({call, 0})) continue;  // an input
    const auto* inner = dynamic_cast<const Network*>(&call->layer.def());
    calls_ += inner ? inner->calls_ : 1;
    if (calls_ > kMaxCalls) fail("has more than ", kMaxCalls, " calls of layers, those of the models in it among them");
    Node node{call->layer, {}, {}};
    for (const Tensor& t : call->in) node.in.push_back(number.at({t.from.get(), t.index}));
    for (size_t i = 0; i < call->out.size(); ++i) {
      node.out.push_back(static_cast<int>(specs_.size()));
      number[{call, static_cast<int>(i)}] = node.out.back();
      specs_.push_back(call->out[i]);
    }
    nodes_.push_back(std::move(node));
  }
  for (const Tensor& t : outputs) {
    output_ids_.push_back(number.at({t.from.get(), t.index}));
    output_specs_.push_back(t.spec);
  }
}

TensorSpecs Network::build(const TensorSpecs& in) {
  if (!has_calls()) {
    if (in.size() != 1) fail("takes one input, ", in.size(), " came");
    InputTensor input = Input(in[0].shape.from(1), {.dtype = Name(in[0].dtype)});
    input_layers_ = {input};
    NameLayers();
    Chain(input);
  }
  if (in.size() != input_specs_.size()) fail("takes ", Counted(input_specs_.size(), "input"), ", ", in.size(), " came");
  for (size_t i = 0; i < in.size(); ++i)
    if (!input_specs_[i].shape.accepts(in[i].shape))
      fail("input ", i, " ('", input_layers_[i].name(), "') has the shape ", in[i].shape, ", the model was built for ",
           input_specs_[i].shape);
  TensorSpecs specs(specs_.size());
  std::copy(in.begin(), in.end(), specs.begin());
  for (const Node& node : nodes_) {
    TensorSpecs args;
    for (const int id : node.in) args.push_back(specs[static_cast<size_t>(id)]);
    const TensorSpecs out = BuildLayer(node.layer.def(), args);
    for (size_t i = 0; i < out.size(); ++i) specs[static_cast<size_t>(node.out[i])] = out[i];
  }
  TensorSpecs out;
  for (const int id : output_ids_) out.push_back(specs[static_cast<size_t>(id)]);
  return out;
}

Values Network::call(Graph& g, const Values& in) {
  Values values(specs_.size());
  std::copy(in.begin(), in.end(), values.begin());
  for (const Node& node : nodes_) {
    LayerDef& def = node.layer.def();
    Values args;
    for (const int id : node.in) args.push_back(values[static_cast<size_t>(id)]);
    g.BeginLayer(def.name);
    TensorSpecs announced;
    for (const int id : node.out) announced.push_back(specs_[static_cast<size_t>(id)]);
    const Values out = CallLayer(def, g, args, announced);
    for (size_t i = 0; i < out.size(); ++i) {
      if (def.activity.any()) g.Penalize(out[i], def.activity);
      values[static_cast<size_t>(node.out[i])] = out[i];
    }
  }
  Values out;
  for (const int id : output_ids_) out.push_back(values[static_cast<size_t>(id)]);
  return out;
}

void Network::check_values(int i, const Array& values) const {
  for (const Node& node : nodes_)
    for (size_t k = 0; k < node.in.size(); ++k)
      if (node.in[k] == i) node.layer.def().check_values(static_cast<int>(k), values);
}

void Network::set_trainable(bool value) {
  LayerDef::set_trainable(value);
  for (const Layer& layer : layers_) layer.set_trainable(value);
}

std::vector<std::string> Network::output_names() const {
  if (!output_keys.empty()) return output_keys;
  std::unordered_map<int, const Layer*> maker;
  for (const Node& node : nodes_)
    for (const int id : node.out) maker[id] = &node.layer;
  std::vector<std::string> names;
  std::unordered_set<std::string> taken;
  std::unordered_map<std::string, int> next;
  for (const int id : output_ids_) {
    const auto made = maker.find(id);
    const std::string& found =
        made != maker.end() ? made->second->name() : input_layers_[static_cast<size_t>(id)].name();
    // One layer may make several outputs: dense, dense_1, ...
    std::string unique = found;
    while (!taken.insert(unique).second) unique = found + "_" + std::to_string(++next[found]);
    names.push_back(unique);
  }
  return names;
}

std::vector<std::string> Network::input_names() const {
  std::vector<std::string> names;
  for (const Layer& layer : input_layers_) names.push_back(layer.name());
  return names;
}

}  // namespace ingot
