// SPDX-License-Identifier: MIT
//
// The models that `ingot bench` times, as bench/compare describes them to the peers.
#pragma once

#include <string>
#include <vector>

#include "ingot/ingot.h"

namespace ingot {

const std::vector<std::string>& BenchModelNames();
Model BenchModel(const std::string& name);  // compiled with Adam
// Random images, and labels that fit the model.
Dataset BenchData(const Model& model, int64_t rows);

}  // namespace ingot
