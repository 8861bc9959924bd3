// SPDX-License-Identifier: MIT
//
// An object's header: a list of messages, in one block or, by messages that say where it continues, in several.
#pragma once

#include <functional>

#include "ingot/io/hdf5_image.h"

namespace ingot::hdf5 {

// Calls `each` with type, flags and body of every message but the continuations; at most 65535 of them, each paid for.
void ForEachMessage(Image& image, uint64_t address, const std::function<void(uint16_t, uint8_t, Bytes)>& each);

}  // namespace ingot::hdf5
