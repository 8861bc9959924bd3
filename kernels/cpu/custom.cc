// SPDX-License-Identifier: MIT
//
// Custom: calls the function that the user registered (core/custom.h).
//
// Threads: as that function.
#include "ingot/kernels/cpu/cpu.h"

namespace ingot::cpu {

void Custom(const Call& call) {
  const auto& attrs = call.as<CustomAttrs>();
  attrs.fn(call, attrs.self);
}

}  // namespace ingot::cpu
