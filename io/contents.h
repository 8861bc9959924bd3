// SPDX-License-Identifier: MIT
//
// What a file of any format holds, as it holds it: its tensors under the names they have there, and what it says of
// model and training. No network is built, so layers, optimizers and losses that ingot does not know are no obstacle.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "ingot/core/fields.h"
#include "ingot/io/mapped_file.h"
#include "ingot/io/stored.h"

namespace ingot {

struct Contents {
  std::string format;  // its extension, ".keras"
  std::shared_ptr<const MappedFile> file;
  Json model;             // as Keras writes it, {"class_name", "config"}; null where the file holds weights alone
  std::string optimizer;  // its class, or its name where that is all; empty where there is none
  std::vector<StoredTensor> tensors;
};

// Error if the file is not what its extension says, or damaged as far as this can be seen without reading tensors.
Contents ReadContents(const std::string& path);

// The tensors as .npz or .safetensors, by the extension; Error if it is another.
void WriteTensors(const std::string& path, const std::vector<StoredTensor>& tensors);

}  // namespace ingot
