// SPDX-License-Identifier: MIT
#include "ingot/io/keras_optimizer.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace ingot {
namespace {

using Var = OptimizerVariable;

// Whether the entries have the shapes that an order puts there.
bool Fits(const std::vector<Var>& list, OptimizerOrder order, const std::vector<const StoredTensor*>& tensors,
          const std::vector<size_t>& trained, const Checkpoint& c) {
  // The SGD of Keras 2 keeps slots also without momentum, and does not use them.
  const bool unused = order == OptimizerOrder::kKeras2 && SlotsOf(*c.optimizer).empty();
  if (tensors.size() != list.size() && !(unused && tensors.size() == list.size() + trained.size())) return false;
  for (size_t i = 0; i < list.size(); ++i) {
    const bool slot = list[i].kind == Var::kSlot;
    const Shape shape = slot ? c.layout.variables()[trained[static_cast<size_t>(list[i].variable)]]->shape : Shape();
    if (!(tensors[i]->shape == shape)) return false;
  }
  return true;
}

template <class T>
StoredTensor Scalar(const std::string& name, StoredType type, T value) {
  const auto owner = std::make_shared<T>(value);
  return {name, type, Shape(), Bytes(reinterpret_cast<const std::byte*>(owner.get()), sizeof(T)), owner};
}

}  // namespace

StoredTensor StoredScalar(const std::string& name, int32_t value) { return Scalar(name, StoredType::kInt32, value); }
StoredTensor StoredScalar(const std::string& name, int64_t value) { return Scalar(name, StoredType::kInt64, value); }
StoredTensor StoredScalar(const std::string& name, float value) { return Scalar(name, StoredType::kFloat32, value); }

int64_t StoredWholeNumber(const StoredTensor& t, const std::string& where) {
  if (t.shape.count() == 1) {
    if (t.type == StoredType::kInt64) {
      int64_t value;
      std::memcpy(&value, t.bytes.data(), sizeof value);
      return value;
    }
    if (t.type == StoredType::kInt32) {
      int32_t value;
      std::memcpy(&value, t.bytes.data(), sizeof value);
      return value;
    }
  }
  Fail(where, ": ", t.name, " is ", Name(t.type), " ", t.shape, ", a whole number was expected");
}

float StoredNumber(const StoredTensor& t, const std::string& where) {
  if (t.shape.count() != 1) Fail(where, ": ", t.name, " has the shape ", t.shape, ", one number was expected");
  float value = 0;
  Convert(t, 0, 1, DType::kFloat32, &value);
  return value;
}

StoredTensor StoredVariable(const Checkpoint& c, const Variable& v) {
  return {v.layer + "/" + v.name, StoredAs(v.dtype), v.shape, Bytes(c.values(v), v.bytes()),
          c.copied ? c.copied : v.arena};
}

std::string OptimizerName(const OptimizerDef& def) { return def.name.empty() ? SnakeCase(def.class_name()) : def.name; }

void MatchOptimizer(const std::vector<const StoredTensor*>& tensors, std::span<const OptimizerOrder> orders,
                    Checkpoint& into, Matches& matches, const std::string& where) {
  if (tensors.empty()) return;
  into.SetIterations(StoredWholeNumber(*tensors[0], where), where);
  const std::vector<size_t> trained = TrainedVariables(*into.network, into.layout);
  const int count = static_cast<int>(trained.size());
  std::vector<Var> expected;
  for (const OptimizerOrder order : orders) {
    std::vector<Var> list = OptimizerVariables(*into.optimizer, count, order);
    if (expected.empty()) expected = list;
    if (!Fits(list, order, tensors, trained, into)) continue;
    expected = std::move(list);
    break;
  }
  const size_t slots = SlotsOf(*into.optimizer).size();
  const bool has_rate = tensors.size() > 1 && expected.size() > 1 && expected[1].kind == Var::kLearningRate;
  if (has_rate) into.SetLearningRate(StoredNumber(*tensors[1], where), where);
  // Compiled and not trained: Keras makes the slots with the first step.
  if (slots > 0 && into.iterations == 0 && tensors.size() <= (has_rate ? 2u : 1u)) return;
  if (tensors.size() < expected.size())
    Fail(where, ": the optimizer's state has ", tensors.size(), " entries, ", into.optimizer->class_name(), " over ",
         count, " trained weights has ", expected.size(), "; were layers frozen or thawed since it was saved?");
  if (slots == 0) return;

  const std::vector<SlotSpec> specs = SlotsOf(*into.optimizer);
  for (size_t i = 0; i < expected.size(); ++i) {
    if (expected[i].kind != Var::kSlot) continue;
    const size_t s = static_cast<size_t>(expected[i].index), at = trained[static_cast<size_t>(expected[i].variable)];
    const Variable& v = *into.layout.variables()[at];
    matches.AddSlot(specs[s].name + " of " + v.layer + "/" + v.name, s, at, into, tensors[i]);
  }
}

std::vector<NamedTensor> WriteOptimizer(const Checkpoint& c) {
  std::vector<NamedTensor> all;
  const std::vector<size_t> trained = TrainedVariables(*c.network, c.layout);
  const std::vector<SlotSpec> specs = SlotsOf(*c.optimizer);
  const std::vector<float> scalars = c.optimizer->scalars(c.iterations);
  const float rate = static_cast<float>(c.learning_rate.value_or(c.optimizer->learning_rate_at(c.iterations)));
  for (const Var& var : OptimizerVariables(*c.optimizer, static_cast<int>(trained.size()), OptimizerOrder::kKeras3)) {
    const size_t k = static_cast<size_t>(var.index);
    switch (var.kind) {
      case Var::kIteration:
        all.push_back({"iteration", StoredScalar("iteration", static_cast<int32_t>(c.iterations))});
        break;
      case Var::kLearningRate:
        all.push_back({"learning_rate", StoredScalar("learning_rate", rate)});
        break;
      case Var::kScalar:
        if (c.slots) all.push_back({"variable", StoredScalar("variable", scalars[k])});
        break;
      case Var::kSlot: {
        if (!c.slots) break;
        const size_t at = trained[static_cast<size_t>(var.variable)];
        const Variable& v = *c.layout.variables()[at];
        std::string name = v.layer + "_" + v.name + "_" + specs[k].name;
        std::replace(name.begin(), name.end(), '/', '_');
        const auto* data = reinterpret_cast<const std::byte*>(c.slot(k, at));
        all.push_back({name, {name, StoredType::kFloat32, v.shape, Bytes(data, v.bytes()), c.slots}});
        break;
      }
    }
  }
  return all;
}

}  // namespace ingot
