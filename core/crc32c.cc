// SPDX-License-Identifier: MIT
#include "ingot/core/crc32c.h"

#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace ingot {
namespace {

constexpr std::array<uint32_t, 256> MakeTable() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t c = i;
    for (int bit = 0; bit < 8; ++bit) c = c & 1 ? c >> 1 ^ 0x82F63B78u : c >> 1;
    table[i] = c;
  }
  return table;
}
constexpr std::array<uint32_t, 256> kTable = MakeTable();

uint32_t Portable(const uint8_t* p, size_t n, uint32_t crc) {
  for (; n; --n) crc = crc >> 8 ^ kTable[(crc ^ *p++) & 0xff];
  return crc;
}

#if defined(__x86_64__)
uint64_t Load(const uint8_t* p) {
  uint64_t word;
  std::memcpy(&word, p, 8);
  return word;
}

__attribute__((target("sse4.2"))) uint32_t Hardware(const uint8_t* p, size_t n, uint32_t crc) {
  uint64_t wide = crc;
  for (; n >= 8; n -= 8, p += 8) wide = __builtin_ia32_crc32di(wide, Load(p));
  return Portable(p, n, static_cast<uint32_t>(wide));
}

// The instruction takes three cycles and can begin anew in each: three parts side by side are three times as fast. A
// CRC is the remainder of the message as a polynomial mod P (bit 31 is x^0); a part with n bits behind it weighs x^n
// more. The carry-less product of two such numbers comes out shifted right by one, and the instruction itself divides
// 64 bits, which weigh x^32 more than they say: so its power is x^(n - 33).
constexpr size_t kPart = 4096;

constexpr uint32_t Power(size_t n) {
  uint32_t power = 0x80000000u;
  for (size_t i = 0; i < n; ++i) power = power & 1 ? power >> 1 ^ 0x82F63B78u : power >> 1;
  return power;
}
constexpr uint32_t kByOne = Power(8 * kPart - 33), kByTwo = Power(16 * kPart - 33);

__attribute__((target("sse4.2,pclmul"))) uint64_t Times(uint32_t crc, uint32_t power) {
  const __m128i product =
      _mm_clmulepi64_si128(_mm_cvtsi32_si128(static_cast<int>(crc)), _mm_cvtsi32_si128(static_cast<int>(power)), 0);
  return static_cast<uint64_t>(_mm_cvtsi128_si64(product));
}

__attribute__((target("sse4.2,pclmul"))) uint32_t Threefold(const uint8_t* p, size_t n, uint32_t crc) {
  for (; n >= 3 * kPart; n -= 3 * kPart, p += 3 * kPart) {
    uint64_t a = crc, b = 0, c = 0;
    for (size_t i = 0; i < kPart; i += 8) {
      a = __builtin_ia32_crc32di(a, Load(p + i));
      b = __builtin_ia32_crc32di(b, Load(p + kPart + i));
      c = __builtin_ia32_crc32di(c, Load(p + 2 * kPart + i));
    }
    const uint64_t ahead = Times(static_cast<uint32_t>(a), kByTwo) ^ Times(static_cast<uint32_t>(b), kByOne);
    crc = static_cast<uint32_t>(__builtin_ia32_crc32di(0, ahead) ^ c);
  }
  return Hardware(p, n, crc);
}
#endif

}  // namespace

uint32_t Crc32c(const void* data, size_t bytes, uint32_t crc) {
  const auto* p = static_cast<const uint8_t*>(data);
#if defined(__x86_64__)
  if (__builtin_cpu_supports("sse4.2")) {
    if (bytes >= 3 * kPart && __builtin_cpu_supports("pclmul")) return ~Threefold(p, bytes, ~crc);
    return ~Hardware(p, bytes, ~crc);
  }
#endif
  return ~Portable(p, bytes, ~crc);
}

}  // namespace ingot
