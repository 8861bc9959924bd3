// SPDX-License-Identifier: MIT
#include "ingot/layers/layer.h"

#include <algorithm>
#include <cctype>
#include <string_view>
#include <unordered_set>

#include "ingot/layers/network.h"

namespace ingot {
namespace {

void Collect(const LayerDef& def, std::vector<VariablePtr>& into, std::unordered_set<const Variable*>& seen) {
  for (const VariablePtr& v : def.variables)
    if (seen.insert(v.get()).second) into.push_back(v);
  for (const Layer& layer : def.sublayers()) Collect(layer.def(), into, seen);
}

// An axis has at most that many elements: then what layers reckon with extents and their own sizes fits 64 bits.
constexpr int64_t kMaxExtent = int64_t{1} << 31;
constexpr int64_t kMaxWeight = int64_t{1} << 48;  // elements: their bytes and those of all slots fit 64 bits too

// Runs f, so that what is wrong is said with the name of the layer.
template <class F>
auto Named(const LayerDef& def, const F& f) {
  try {
    return f();
  } catch (const Error& e) {
    if (std::string_view(e.what()).starts_with(def.label())) throw;
    Fail(def.label(), ": ", e.what());
  }
}

}  // namespace

TensorSpecs BuildLayer(LayerDef& def, const TensorSpecs& in) {
  TensorSpecs out = Named(def, [&] { return def.build(in); });
  for (const TensorSpec& spec : out)
    for (const int64_t extent : spec.shape)
      if (extent != kNone && (extent < 0 || extent > kMaxExtent))
        Fail(def.label(), ": the output would have the shape ", spec.shape, "; an axis has 0 to ", kMaxExtent,
             " elements");
  return out;
}

Values CallLayer(LayerDef& def, Graph& g, const Values& in, const TensorSpecs& announced) {
  Values out = Named(def, [&] { return def.call(g, in); });
  bool same = out.size() == announced.size();
  for (size_t i = 0; same && i < out.size(); ++i) same = announced[i].shape.accepts(g.shape(out[i]));
  if (same) return out;
  std::string said, made;
  for (const TensorSpec& spec : announced) said += " " + spec.shape.str();
  for (const Value v : out) made += " " + g.shape(v).str();
  Fail(def.label(), ": build() announced the shape", said, ", call() made", made, "; they must agree");
}

VariablePtr LayerDef::add_weight(const std::string& weight, const Shape& shape, const Initializer& initializer,
                                 const Regularizer& regularizer, bool trained) {
  if (!shape.known())
    fail("weight '", weight, "' would have the shape ", shape, "; the last axis of the input must be known");
  if (shape.count() > kMaxWeight)
    fail("weight '", weight, "' would have the shape ", shape, "; a weight has at most ", kMaxWeight, " elements");
  auto v = std::make_shared<Variable>();
  v->name = weight;
  v->layer = name;
  v->shape = shape;
  v->trainable = trained;
  v->penalty = regularizer;
  v->initialize = initializer.function(shape);
  const auto at =
      trained ? std::find_if(variables.begin(), variables.end(), [](const VariablePtr& o) { return !o->trainable; })
              : variables.end();
  variables.insert(at, v);
  return v;
}

const Shape& LayerDef::only(const TensorSpecs& in, int rank) const {
  if (in.size() != 1) fail("takes one input, ", in.size(), " came");
  if (rank >= 0 && in[0].shape.rank() != rank)
    fail("takes inputs of ", rank, " axes with the batch, ", in[0].shape, " came");
  return in[0].shape;
}

std::vector<Layer> LayerDef::sublayers() const { return {}; }

LayerCall::~LayerCall() {
  std::vector<std::shared_ptr<LayerCall>> last;
  const auto take = [&](Tensors& tensors) {
    for (Tensor& t : tensors)
      if (t.from) last.push_back(std::move(t.from));
  };
  take(in);
  while (!last.empty()) {
    const std::shared_ptr<LayerCall> call = std::move(last.back());
    last.pop_back();
    if (call.use_count() == 1) take(call->in);
  }
}

Tensors Layer::call(const Tensors& x) const {
  if (!def_) Fail("an empty Layer was called; make one first, as in Dense(8)");
  auto node = std::make_shared<LayerCall>();
  node->layer = *this;
  node->in = x;
  TensorSpecs in;
  for (const Tensor& t : x) {
    if (!t.from) Fail(def_->label(), ": was called on an empty Tensor; begin with Input({...})");
    in.push_back(t.spec);
  }
  node->out = BuildLayer(*def_, in);
  def_->built = true;
  std::vector<std::weak_ptr<LayerCall>>& calls = def_->calls;
  if (calls.size() == calls.capacity())  // now and then, so that many calls stay cheap
    std::erase_if(calls, [](const std::weak_ptr<LayerCall>& call) { return call.expired(); });
  calls.push_back(node);
  Tensors out;
  for (size_t i = 0; i < node->out.size(); ++i) out.push_back({node->out[i], node, static_cast<int>(i)});
  return out;
}

Tensor Layer::operator()(const Tensors& x) const {
  Tensors out = call(x);
  if (out.size() != 1) Fail(def_->label(), ": has ", out.size(), " outputs; use .call(...) to take them all");
  return out[0];
}

Tensor Layer::operator()(const Tensor& x) const { return (*this)(Tensors{x}); }

std::vector<VariablePtr> Layer::variables() const {
  std::vector<VariablePtr> all;
  std::unordered_set<const Variable*> seen;
  Collect(def(), all, seen);
  return all;
}

Arrays Layer::get_weights() const { return GetValues(variables(), Text("layer '", name(), "'")); }

void Layer::set_weights(const Arrays& weights) const { SetValues(variables(), weights, Text("layer '", name(), "'")); }

namespace {

// The call that input() and output() speak of: the first, as in Keras.
std::shared_ptr<LayerCall> FirstCall(const LayerDef& def, const char* what) {
  for (const auto& call : def.calls)
    if (auto held = call.lock()) return held;
  Fail(def.label(), ": has no ", what, ": it was not called on a tensor yet");
}

Tensor Single(const LayerDef& def, const Tensors& tensors, const char* what) {
  if (tensors.size() != 1)
    Fail(def.label(), ": has ", tensors.size(), " ", what, "s; use .", what, "s() to take them all");
  return tensors[0];
}

const Network* DescribedModel(const LayerDef& def) {
  const auto* network = dynamic_cast<const Network*>(&def);
  if (network && !network->has_calls())
    Fail(def.label(), ": has no tensors before it knows its input; begin with Input({...})");
  return network;
}

}  // namespace

Tensors Layer::inputs() const {
  if (const Network* network = DescribedModel(*def_)) return network->input_tensors();
  const auto call = FirstCall(*def_, "input");
  return call->in.empty() ? outputs() : call->in;  // of an Input, what it gives
}

Tensors Layer::outputs() const {
  if (const Network* network = DescribedModel(*def_)) return network->output_tensors();
  const auto call = FirstCall(*def_, "output");
  Tensors out;
  for (size_t i = 0; i < call->out.size(); ++i) out.push_back({call->out[i], call, static_cast<int>(i)});
  return out;
}

Tensor Layer::input() const { return Single(*def_, inputs(), "input"); }
Tensor Layer::output() const { return Single(*def_, outputs(), "output"); }

int64_t Layer::count_params() const {
  const auto* network = dynamic_cast<const Network*>(def_.get());
  if (network ? !network->has_calls() : !def_->built && def_->variables.empty())
    Fail(def_->label(), ": its parameters are counted once it is built, and it does not know its input yet; ",
         "call it on a tensor, or begin the model with Input({...})");
  int64_t n = 0;
  for (const VariablePtr& v : variables()) n += v->shape.count();
  return n;
}

// Keras: an underscore before an upper-case letter that follows a lower-case letter or digit, or that begins a word
// after another upper-case letter; digits join what stands before them.
std::string SnakeCase(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto upper = [&](size_t k) { return std::isupper(static_cast<unsigned char>(text[k])) != 0; };
    const auto lower = [&](size_t k) { return std::islower(static_cast<unsigned char>(text[k])) != 0; };
    if (i && upper(i) && text[i - 1] != '_' && (lower(i - 1) || (i + 1 < text.size() && lower(i + 1)))) out += '_';
    out += static_cast<char>(std::tolower(static_cast<unsigned char>(text[i])));
  }
  return out;
}

}  // namespace ingot
