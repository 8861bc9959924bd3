// SPDX-License-Identifier: MIT
//
// CRC32C (Castagnoli): the checksum of the native file and of TensorBoard's records. Uses the processor's instruction
// where there is one.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ingot {

// `crc` goes on from the checksum of what came before.
uint32_t Crc32c(const void* data, size_t bytes, uint32_t crc = 0);

}  // namespace ingot
