// SPDX-License-Identifier: MIT
//
// What this machine can do at most: the arithmetic of its cores, and the bandwidth of its caches and its memory. All
// that is timed elsewhere is held against these. Measured, never looked up: virtual machines and heat change both.
//
// Threads: every thread of the pool works at once; measure while nothing else runs.
#pragma once

#include <cstddef>

#include "ingot/core/threads.h"

namespace ingot {

// GFLOP/s of fused multiply-adds on 32-bit floats that never leave the registers, on all threads of the pool.
double MeasurePeakGflops(ThreadPool& pool);

// GB/s of copying, read and written bytes counted alike, where each thread works on `bytes` of its own.
double MeasureCopyGBs(ThreadPool& pool, size_t bytes);

}  // namespace ingot
