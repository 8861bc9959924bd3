// SPDX-License-Identifier: MIT
//
// What all formats share: arenas for what they read, and which format a path asks for.
#include <nlohmann/json.hpp>

#include "ingot/io/format.h"
#include "ingot/optim/slots.h"

namespace ingot {

void Checkpoint::PlaceWeights() {
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
      {".ingot", ReadIngot, nullptr, WriteIngot},
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
