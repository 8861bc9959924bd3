// SPDX-License-Identifier: MIT
//
// Which classes a model takes for which, as a table of HTML.
#pragma once

#include <string>

#include "ingot/core/array.h"
#include "ingot/train/model.h"

namespace ingot {

// Of the one output of a model. Where its loss is none of classes, it says so instead.
std::string ConfusionMatrix(const Model& model, const Array& predicted, const Array& truth);

}  // namespace ingot
