// SPDX-License-Identifier: MIT
//
// The arena of an optimizer's slots: one after the other, layout.slot_stride() apart, each laid out as the trainable
// weights.
#pragma once

#include <string>

#include "ingot/core/plan/layout.h"
#include "ingot/optim/optimizer.h"

namespace ingot {

// With what each slot begins with. REQUIRES: the layout's variables are placed
Block NewSlots(const OptimizerDef& optimizer, const Layout& layout, const std::string& model);

}  // namespace ingot
