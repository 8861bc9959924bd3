// SPDX-License-Identifier: MIT
//
// Counter-based random numbers: Philox 4x32 with 10 rounds (Salmon et al., "Parallel random numbers: as easy as
// 1, 2, 3", 2011). Four words depend on a key and a counter alone: nothing is stored, so element i of stream s
// has the same value whoever computes it, in whatever order, on CPU or GPU.
//
// A Stream names one use of randomness: the seed of a model, which use in it, and how often it has been used
// (the step of training). Element i of a stream takes word i % 4 of counter i / 4.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

namespace ingot {

struct Stream {
  uint64_t seed = 0;
  uint32_t use = 0;  // which dropout, which weight
  uint32_t step = 0;
};

using Words = std::array<uint32_t, 4>;

inline Words Philox(const Stream& s, uint64_t block) {
  uint32_t k0 = static_cast<uint32_t>(s.seed), k1 = static_cast<uint32_t>(s.seed >> 32);
  uint32_t c0 = static_cast<uint32_t>(block), c1 = static_cast<uint32_t>(block >> 32), c2 = s.use, c3 = s.step;
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53} * c0, p1 = uint64_t{0xCD9E8D57} * c2;
    c0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0;
    c2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c1 = static_cast<uint32_t>(p1);
    c3 = static_cast<uint32_t>(p0);
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return {c0, c1, c2, c3};
}

// Uniform in [0, 1), of 24 bits: every value is exact in float32.
inline float Uniform(uint32_t word) { return static_cast<float>(word >> 8) * 0x1p-24f; }

// Numbers one after the other, where order matters and speed does not (shuffling, drawing data).
class Random {
 public:
  explicit Random(Stream stream) : stream_(stream) {}
  uint32_t Word() {
    if (used_ == 4) words_ = Philox(stream_, block_++), used_ = 0;
    return words_[used_++];
  }
  float Uniform() { return ingot::Uniform(Word()); }
  float Uniform(float low, float high) { return low + (high - low) * Uniform(); }
  // Below n, each as likely as any other to within n / 2^64.
  uint64_t Below(uint64_t n) {
    const uint64_t high = Word();
    __extension__ using Wide = unsigned __int128;
    return static_cast<uint64_t>((static_cast<Wide>((high << 32) | Word()) * n) >> 64);
  }
  float Normal() {  // Box and Muller; the first word is kept from 0
    const double u = (static_cast<double>(Word()) + 0.5) * 0x1p-32, v = static_cast<double>(Word()) * 0x1p-32;
    return static_cast<float>(std::sqrt(-2 * std::log(u)) * std::cos(6.283185307179586 * v));
  }

 private:
  Stream stream_;
  uint64_t block_ = 0;
  Words words_{};
  size_t used_ = 4;
};

}  // namespace ingot
