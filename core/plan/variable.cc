// SPDX-License-Identifier: MIT
#include "ingot/core/plan/variable.h"

#include <cstring>

#include "ingot/core/error.h"

namespace ingot {
namespace {

void RequirePlace(const Variable& v) {
  if (v.arena) return;
  Fail("weight '", v.layer, "/", v.name, "' has no values yet: a model gives it a place when it knows its input ",
       "(begin with Input({...}), or call fit or predict) and its weights are drawn or loaded");
}

}  // namespace

const float* Variable::data() const {
  RequirePlace(*this);
  return reinterpret_cast<const float*>(arena->data() + offset);
}

float* Variable::writable() const {
  RequirePlace(*this);
  if (arena->pages() == Pages::kReadOnly)
    Fail("weight '", layer, "/", name,
         "' lies in a file that processes share (LoadMode::kShare) and cannot be changed; ",
         "load it with LoadMode::kMap or kRead");
  WeightsVersion::Change();
  return reinterpret_cast<float*>(arena->data() + offset);
}

Arrays GetValues(const std::vector<VariablePtr>& weights, const std::string& owner) {
  Arrays values;
  for (const VariablePtr& v : weights) {
    if (!v->arena) Fail(owner, " has no weights yet; call fit or predict, or begin with Input({...})");
    values.push_back(Array::View(v->shape, v->dtype, v->data()).copy());
  }
  return values;
}

void CheckValues(const std::vector<VariablePtr>& weights, const Arrays& values, const std::string& owner) {
  if (values.size() != weights.size())
    Fail(owner, " has ", weights.size(), " weights, ", values.size(), " came",
         weights.empty() ? "; those that there will be are made when it knows its input: begin with Input({...})" : "");
  for (size_t i = 0; i < weights.size(); ++i) {
    const Variable& v = *weights[i];
    const auto fail = [&](const auto&... parts) {
      Fail(owner, ": weight ", i, " (", v.layer, "/", v.name, ") ", parts...);
    };
    if (!(values[i].shape() == v.shape)) fail("has the shape ", v.shape, ", ", values[i].shape(), " came");
    if (values[i].dtype() != v.dtype) fail("holds ", Name(v.dtype), ", ", Name(values[i].dtype()), " came");
  }
}

void SetValues(const std::vector<VariablePtr>& weights, const Arrays& values, const std::string& owner) {
  CheckValues(weights, values, owner);
  for (const VariablePtr& v : weights)
    if (!v->arena) Fail(owner, " has no weights yet to set; call predict, or begin with Input({...})");
  for (size_t i = 0; i < weights.size(); ++i)
    if (weights[i]->bytes()) std::memcpy(weights[i]->writable(), values[i].data(), weights[i]->bytes());
}

}  // namespace ingot
