// SPDX-License-Identifier: MIT
#include "ingot/layers/layer.h"

#include <algorithm>
#include <cctype>

namespace ingot {
namespace {

void Collect(const LayerDef& def, std::vector<VariablePtr>& into) {
  for (const VariablePtr& v : def.variables)
    if (std::find(into.begin(), into.end(), v) == into.end()) into.push_back(v);
  for (const Layer& layer : def.sublayers()) Collect(layer.def(), into);
}

}  // namespace

VariablePtr LayerDef::add_weight(const std::string& weight, const Shape& shape, const Initializer& initializer,
                                 const Regularizer& regularizer, bool trained) {
  if (!shape.known())
    fail("weight '", weight, "' would have the shape ", shape, "; the last axis of the input must be known");
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
  node->out = def_->build(in);
  def_->built = true;
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
  Collect(*def_, all);
  return all;
}

int64_t Layer::count_params() const {
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
