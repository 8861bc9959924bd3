// SPDX-License-Identifier: MIT
//
// What a saved model is, whatever the format: the network with its weights, how it was compiled, and the state of the
// optimizer. Formats turn it into a file and back.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ingot/core/plan/layout.h"
#include "ingot/layers/network.h"

namespace ingot {

struct Checkpoint {
  std::shared_ptr<Network> network;
  Layout layout;                  // weights placed
  std::shared_ptr<Json> compile;  // as Keras's get_compile_config(); null if not compiled
  uint64_t seed = 0;
  int64_t iterations = 0;
  std::vector<std::string> slot_names;  // empty where there is no optimizer state
  std::shared_ptr<Block> slots;         // one after the other, layout.slot_stride() apart
};

void WriteIngot(const std::string& path, const Checkpoint& checkpoint);
Checkpoint ReadIngot(const std::string& path, const CustomObjects* custom = nullptr);

}  // namespace ingot
