// SPDX-License-Identifier: MIT
//
// Networks and compile options as Keras's JSON: what model.to_json() and get_compile_config() give, and what the
// files of every Keras version hold inside. Reads the forms of Keras 2 and 3, writes that of Keras 3.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>

#include "ingot/core/custom.h"
#include "ingot/core/fields.h"
#include "ingot/layers/network.h"

namespace ingot {

// {"class_name": "Sequential" or "Functional", "config": {...}}
std::shared_ptr<Network> NetworkFromConfig(const Json& model, const CustomObjects* custom = nullptr);
Json NetworkConfig(const Network& network);
Json NetworkConfigForKeras(const Network& network);  // Error if Keras could not read it

}  // namespace ingot
