// SPDX-License-Identifier: MIT
//
// What all formats share: arenas for what they read, and which format a path asks for.
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include "ingot/io/format.h"
#include "ingot/optim/slots.h"

namespace ingot {

std::optional<uint64_t> SeedFrom(const std::string& text) {
  uint64_t seed = 0;
  const char* last = text.data() + text.size();
  const auto [end, status] = std::from_chars(text.data(), last, seed);
  return status == std::errc() && end == last ? std::optional(seed) : std::nullopt;
}

void Checkpoint::SetIterations(int64_t count, const std::string& where) {
  if (count < 0 || count > INT64_MAX / 2) Fail(where, ": the optimizer counts ", count, " steps; the file is damaged");
  iterations = count;
  has_state = true;
}

void Checkpoint::SetLearningRate(float rate, const std::string& where) {
  if (!(rate >= 0) || std::isinf(rate)) Fail(where, ": the learning rate is ", rate, "; the file is damaged");
  learning_rate = static_cast<double>(rate);
}

// A few more are allowed, so that a model that does not fit its file gets the list of what is missing.
void Checkpoint::PlaceWeights(uint64_t held, const std::string& where) {
  constexpr uint64_t kFew = uint64_t{1} << 20;
  uint64_t wanted = 0;
  for (const VariablePtr& v : Layer(network).variables()) {
    if (__builtin_add_overflow(wanted, static_cast<uint64_t>(v->shape.count()), &wanted) || wanted / 4 > kFew + held)
      Fail(where, ": its model asks for many more weights than are there (", v->layer, "/", v->name, " has the shape ",
           v->shape, "), the file holds ", held, " numbers; it is damaged, or its configuration is that of another");
  }
  layout = Layout(Layer(network).variables());
  layout.Place(network->name);
}

void Checkpoint::PlaceSlots() { slots = std::make_shared<Block>(NewSlots(*optimizer, layout, network->name)); }

void Checkpoint::SetCompile(std::shared_ptr<Json> config, const CustomObjects* custom) {
  compile = std::move(config);
  if (compile && compile->contains("optimizer") && !(*compile)["optimizer"].is_null())
    optimizer = OptimizerFromConfig((*compile)["optimizer"], custom).ptr();
}

const Format& FormatOf(const std::string& path) {
  static constexpr Format kFormats[] = {
      {".ingot", ReadIngot, ReadIngotWeights, WriteIngot},
      {".keras", ReadKeras, ReadKerasWeightsOf, WriteKeras},
      {".weights.h5", nullptr, ReadWeightsH5, WriteWeightsH5},
      {".h5", ReadH5, ReadWeightsH5, WriteH5},
      {".hdf5", ReadH5, ReadWeightsH5, WriteH5},
      {".safetensors", nullptr, ReadSafetensorsWeights, WriteSafetensors},
      {".npz", nullptr, ReadNpzWeights, WriteNpz},
  };
  for (const Format& format : kFormats)
    if (path.ends_with(format.extension)) return format;
  std::string known;
  for (const Format& format : kFormats) known += std::string(known.empty() ? "" : ", ") + format.extension;
  Fail(path, ": its extension is none of the formats that ingot knows: ", known);
}

}  // namespace ingot
