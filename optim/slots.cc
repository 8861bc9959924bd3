// SPDX-License-Identifier: MIT
#include "ingot/optim/slots.h"

#include <algorithm>
#include <cstring>

namespace ingot {

Block NewSlots(const OptimizerDef& optimizer, const Layout& layout, const std::string& model) {
  const std::vector<SlotSpec> specs = SlotsOf(optimizer);
  const size_t stride = layout.slot_stride();
  Block slots(stride * specs.size(), "optimizer state of model '" + model + "'");
  for (size_t s = 0; s < specs.size() && slots.size(); ++s) {
    std::byte* slot = slots.data() + s * stride;
    if (specs[s].from_weights) {
      for (size_t i = 0; i < layout.variables().size(); ++i) {
        const Variable& v = *layout.variables()[i];
        if (v.trainable) std::memcpy(slot + layout.offset(i), v.data(), v.bytes());
      }
    } else if (specs[s].initial != 0) {
      std::fill_n(reinterpret_cast<float*>(slot), layout.trainable_bytes() / sizeof(float), specs[s].initial);
    }
  }
  return slots;
}

}  // namespace ingot
