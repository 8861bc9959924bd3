// SPDX-License-Identifier: MIT
#include "ingot/core/crc32c.h"

#include <gtest/gtest.h>

#include <vector>

namespace ingot {
namespace {

uint32_t BitByBit(const uint8_t* p, size_t n, uint32_t crc) {
  crc = ~crc;
  for (; n; --n) {
    crc ^= *p++;
    for (int bit = 0; bit < 8; ++bit) crc = crc & 1 ? crc >> 1 ^ 0x82F63B78u : crc >> 1;
  }
  return ~crc;
}

TEST(Crc32c, IsThatOfTheStandard) {
  EXPECT_EQ(Crc32c("123456789", 9), 0xE3069283u);
  const std::vector<uint8_t> zeros(32);  // RFC 3720, B.4
  EXPECT_EQ(Crc32c(zeros.data(), zeros.size()), 0x8A9136AAu);
}

// Around every length at which it goes on differently, at every alignment, from any beginning.
TEST(Crc32c, EveryWayToComputeItAgrees) {
  std::vector<uint8_t> bytes(40000);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(i * 2654435761u >> 13);
  for (const size_t around : {0, 8, 4096, 8192, 12288, 16384, 24576, 36864})
    for (size_t n = around < 9 ? 0 : around - 9; n <= around + 9; ++n)
      for (const size_t from : {0, 1, 5})
        for (const uint32_t crc : {0u, 0x12345678u})
          ASSERT_EQ(Crc32c(&bytes[from], n, crc), BitByBit(&bytes[from], n, crc)) << n << " bytes from " << from;
}

}  // namespace
}  // namespace ingot
