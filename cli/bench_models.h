// SPDX-License-Identifier: MIT
//
// The models that `ingot bench` times, as bench/compare describes them to the peers.
#pragma once

#include <string>
#include <vector>

#include "ingot/ingot.h"

namespace ingot {

const std::vector<std::string>& BenchModelNames();
// Of mlp alone: so many hidden layers of that width.
struct MlpSize {
  int64_t width = 64, depth = 1;
};
Model BenchModel(const std::string& name, const MlpSize& size = {});  // compiled with Adam
// Random images, and labels that fit the model.
Dataset BenchData(const Model& model, int64_t rows);

}  // namespace ingot
