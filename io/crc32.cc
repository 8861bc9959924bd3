// SPDX-License-Identifier: MIT
//
// Zip's CRC-32 at the speed of memory: every save of a Keras archive and every check of one reads gigabytes through it.
//
// A CRC is the remainder of the message, taken as a polynomial over GF(2), divided by P. So a piece of the message may
// be replaced by any other with the same remainder: 128 bits that lie D bits ahead of others weigh x^D more, and their
// two halves times x^(D+64) mod P and x^D mod P can be added to those others instead. That is two carry-less
// multiplications for 16 bytes; four such folds run side by side. (Gopal et al., "Fast CRC Computation for Generic
// Polynomials Using PCLMULQDQ Instruction", Intel 2009.) The last 16 bytes are left to the table of zlib, which is the
// fallback too.
#include <zlib.h>

#include <cstddef>
#include <cstdint>

#include "ingot/io/zip.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace ingot {
namespace {

#if defined(__x86_64__)

// x^n mod P. Bit 31 is x^0, as zip has it, and the product of two such numbers comes out shifted right by one: hence
// the shift left here. By the same convention 32 bits at the low end of a half of 64 weigh x^32 more than they say:
// hence the powers used below are D + 64 - 32 and D - 32.
constexpr int64_t Power(int n) {
  uint32_t power = 0x80000000u;
  for (int i = 0; i < n; ++i) power = power & 1 ? power >> 1 ^ 0xedb88320u : power >> 1;
  return static_cast<int64_t>(power) << 1;
}
static_assert(Power(512 + 32) == 0x154442bd4 && Power(512 - 32) == 0x1c6e41596, "as in the paper");

constexpr size_t kBlock = 64;

__m128i Load(const uint8_t* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }

__attribute__((target("pclmul,sse4.1"))) inline __m128i Fold(__m128i ahead, __m128i powers, __m128i onto) {
  const __m128i low = _mm_clmulepi64_si128(ahead, powers, 0x00);
  const __m128i high = _mm_clmulepi64_si128(ahead, powers, 0x11);
  return _mm_xor_si128(_mm_xor_si128(low, high), onto);
}

// REQUIRES: a positive number of whole blocks
__attribute__((target("pclmul,sse4.1"))) uint32_t Folded(const uint8_t* p, size_t blocks, uint32_t crc) {
  const __m128i by_512 = _mm_set_epi64x(Power(512 - 32), Power(512 + 32));
  const __m128i by_128 = _mm_set_epi64x(Power(128 - 32), Power(128 + 32));
  __m128i a = _mm_xor_si128(Load(p), _mm_cvtsi32_si128(static_cast<int>(~crc)));
  __m128i b = Load(p + 16), c = Load(p + 32), d = Load(p + 48);
  while (--blocks) {
    p += kBlock;
    a = Fold(a, by_512, Load(p));
    b = Fold(b, by_512, Load(p + 16));
    c = Fold(c, by_512, Load(p + 32));
    d = Fold(d, by_512, Load(p + 48));
  }
  d = Fold(Fold(Fold(a, by_128, b), by_128, c), by_128, d);
  uint8_t rest[16];
  _mm_storeu_si128(reinterpret_cast<__m128i*>(rest), d);
  return static_cast<uint32_t>(~crc32_z(0xffffffffu, rest, sizeof rest));  // zlib inverts before and after; undone
}
#endif

}  // namespace

uint32_t Crc32(const void* data, size_t bytes, uint32_t crc) {
  const auto* p = static_cast<const uint8_t*>(data);
#if defined(__x86_64__)
  if (bytes >= kBlock && __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1")) {
    const size_t blocks = bytes / kBlock;
    crc = ~Folded(p, blocks, crc);
    p += blocks * kBlock;
    bytes %= kBlock;
  }
#endif
  return bytes ? static_cast<uint32_t>(crc32_z(crc, p, bytes)) : crc;
}

}  // namespace ingot
