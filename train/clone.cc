// SPDX-License-Identifier: MIT
//
// clone_model(): by way of the description that files hold, so a clone is what saving and loading would give, with
// weights drawn anew and not compiled.
#include <nlohmann/json.hpp>

#include "ingot/io/keras_config.h"
#include "ingot/train/model.h"

namespace ingot {

Model clone_model(const Model& model, const ModelOptions& options, const CustomObjects& custom_objects) {
  std::shared_ptr<Network> network = NetworkFromConfig(NetworkConfig(model.network()), &custom_objects);
  if (!options.name.empty()) network->name = options.name;
  return Model(std::move(network), options);
}

}  // namespace ingot
