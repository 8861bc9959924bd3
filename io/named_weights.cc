// SPDX-License-Identifier: MIT
//
// Weights by name, in the formats that are lists of named arrays: .safetensors and .npz.
#include "ingot/io/named_weights.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "ingot/io/atomic_file.h"
#include "ingot/io/format.h"
#include "ingot/io/keras_optimizer.h"
#include "ingot/io/mapped_file.h"
#include "ingot/io/matches.h"
#include "ingot/io/npy.h"
#include "ingot/io/pytorch.h"
#include "ingot/io/safetensors.h"

namespace ingot {

std::vector<StoredTensor> NamedTensors(const Checkpoint& c) {
  std::vector<StoredTensor> tensors;
  const std::vector<std::string> names = c.layout.names();
  for (size_t i = 0; i < names.size(); ++i) {
    tensors.push_back(StoredVariable(c, *c.layout.variables()[i]));
    tensors.back().name = names[i];
  }
  if (!c.optimizer) return tensors;
  tensors.push_back(StoredScalar(kIterations, c.iterations));
  if (c.learning_rate) tensors.push_back(StoredScalar(kLearningRate, static_cast<float>(*c.learning_rate)));
  if (!c.slots) return tensors;
  const std::vector<SlotSpec> specs = SlotsOf(*c.optimizer);
  for (size_t s = 0; s < specs.size(); ++s) {
    for (const size_t i : TrainedVariables(*c.network, c.layout)) {
      const Variable& v = *c.layout.variables()[i];
      const auto* data = reinterpret_cast<const std::byte*>(c.slot(s, i));
      tensors.push_back({"optimizer/" + specs[s].name + "/" + names[i], StoredType::kFloat32, v.shape,
                         Bytes(data, v.bytes()), c.slots});
    }
  }
  return tensors;
}

void TakeNamed(const std::vector<StoredTensor>& tensors, Checkpoint& into, const std::string& where) {
  std::map<std::string, const StoredTensor*> by_name;
  for (const StoredTensor& t : tensors)
    if (!by_name.emplace(t.name, &t).second) Fail(where, ": holds two tensors named '", t.name, "'");
  const auto take = [&](const std::string& name) -> const StoredTensor* {
    const auto found = by_name.find(name);
    if (found == by_name.end()) return nullptr;
    const StoredTensor* tensor = found->second;
    by_name.erase(found);
    return tensor;
  };
  Matches matches;
  const std::vector<std::string> names = into.layout.names();
  for (size_t i = 0; i < names.size(); ++i) matches.AddWeight(names[i], i, into, take(names[i]));
  // The optimizer's state is for the optimizer it was written with: all of it, or none was meant.
  const auto is_state = [](const auto& item) { return item.first.starts_with("optimizer/"); };
  const bool has_state = std::any_of(by_name.begin(), by_name.end(), is_state);
  if (!into.optimizer) {
    std::erase_if(by_name, is_state);
  } else if (has_state) {
    const StoredTensor* iterations = take(kIterations);
    if (!iterations) Fail(where, ": holds the state of an optimizer without ", kIterations);
    into.SetIterations(StoredWholeNumber(*iterations, where), where);
    if (const StoredTensor* rate = take(kLearningRate)) into.SetLearningRate(StoredNumber(*rate, where), where);
    // One that was not trained yet has no slots.
    if (into.iterations > 0 || std::any_of(by_name.begin(), by_name.end(), is_state)) {
      const std::vector<SlotSpec> specs = SlotsOf(*into.optimizer);
      for (size_t s = 0; s < specs.size(); ++s) {
        for (const size_t i : TrainedVariables(*into.network, into.layout)) {
          const std::string name = "optimizer/" + specs[s].name + "/" + names[i];
          matches.AddSlot(name, s, i, into, take(name));
        }
      }
    }
  }
  for (const auto& [name, tensor] : by_name) matches.LeftOver(name, tensor->shape);
  matches.Finish(into, where);
}

namespace {

void Take(const std::vector<StoredTensor>& tensors, const ReadOptions& options, Checkpoint& into,
          const std::string& path) {
  options.pytorch ? TakePyTorch(tensors, into, path) : TakeNamed(tensors, into, path);
}

}  // namespace

Writing WriteSafetensors(const std::string& path, const Checkpoint& c) {
  return [path, holds = Safetensors{{{"format", "ingot"}, {"model", c.network->name}}, NamedTensors(c)}] {
    AtomicFile file(path, BytesOf(holds.tensors));
    WriteSafetensors(WithChecksums(holds), file.sink());
    file.Commit();
  };
}

void ReadSafetensorsWeights(const std::string& path, const ReadOptions& options, Checkpoint& into) {
  const auto file = MappedFile::Open(path, options.mode, options.report);
  if (!options.copy) into.image = file;
  Take(ReadSafetensors(file->bytes(), file, path).tensors, options, into, path);
}

Writing WriteNpz(const std::string& path, const Checkpoint& c) {
  return [path, tensors = NamedTensors(c)] {
    AtomicFile file(path, BytesOf(tensors));
    WriteNpz(tensors, file.sink());
    file.Commit();
  };
}

void ReadNpzWeights(const std::string& path, const ReadOptions& options, Checkpoint& into) {
  const auto file = MappedFile::Open(path, options.mode, options.report);
  if (!options.copy) into.image = file;
  Take(ReadNpz(file->bytes(), file, path), options, into, path);
}

}  // namespace ingot
