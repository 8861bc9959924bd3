// SPDX-License-Identifier: MIT
//
// Which SIMD targets are compiled, and which one runs. A kernel file includes this header before any header of
// Highway, so that every file is compiled for the same few targets: AVX3 (AVX-512 of Skylake), AVX2 with FMA, and
// what the compiler may assume anyway (SSE2 or scalar code on x86, NEON on Arm). The others gain nothing for
// 32-bit floats and would double the size of the library.
//
// Which runs: the best one the processor has, or the one named by the environment variable INGOT_TARGET (avx3,
// avx2 or baseline; a target that the processor lacks is ignored), or the one a test forced. A kernel calls
// ChosenTargets() before HWY_DYNAMIC_DISPATCH; then Highway's table leads to that target without the stub which
// would detect the processor again.
//
// Threads: ChosenTargets may be called from any thread. ForceTarget must not run beside a kernel.
#pragma once

#include <cstdint>

#ifdef HWY_DISABLED_TARGETS
#error "include ingot/kernels/cpu/targets.h before the headers of Highway"
#endif
// Bits 0 to 7: whatever is newer than AVX3 on x86, whether or not this version of Highway has a name for it.
#define HWY_DISABLED_TARGETS (0xFFLL | HWY_SSE4 | HWY_SSSE3 | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)

namespace ingot::cpu {

// The targets that kernels may use now, as bits of Highway; the lowest bit compiled is the one that runs.
int64_t ChosenTargets();

// Restricts kernels to `targets` (as far as the processor has them; 0: back to the choice made at start).
void ForceTarget(int64_t targets);

// The compiled targets this processor can run, best first: what a test loops over. Ends with 0.
const int64_t* SupportedTargetList();

// "AVX3", "AVX2", ...: the target that runs when `targets` may be used.
const char* TargetName(int64_t targets);

}  // namespace ingot::cpu
