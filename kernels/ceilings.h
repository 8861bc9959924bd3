// SPDX-License-Identifier: MIT
//
// What this machine can do at most: the arithmetic of its cores, and the bandwidth of its caches and its memory. All
// that is timed elsewhere is held against these. Measured, never looked up: virtual machines and heat change both.
//
// Threads: every thread of the pool works at once, as far as there are cores; measure while nothing else runs.
#pragma once

#include <cstddef>
#include <vector>

#include "ingot/core/threads.h"

namespace ingot {

// GFLOP/s of fused multiply-adds on 32-bit floats that never leave the registers, on all threads of the pool.
double MeasurePeakGflops(ThreadPool& pool);

// GB/s of copying, read and written bytes counted alike, where each thread works on `bytes` of its own.
double MeasureCopyGBs(ThreadPool& pool, size_t bytes);

struct Ceilings {
  struct Copy {
    const char* name;  // "16 KiB"
    size_t bytes;      // of each thread
    double gbs;
  };
  int threads = 0;  // that worked
  double gflops = 0;
  std::vector<Copy> copies;  // the smallest first
  double seconds = 0;        // that it took to measure

  // Of work on so many bytes, by all threads together: between the measured sizes by their logarithms.
  double gbs(double bytes) const;
};
Ceilings MeasureCeilings(ThreadPool& pool);
// Those of so many threads, measured once in a process, when they are first asked for: about a third of a second.
const Ceilings& CeilingsOf(int threads);

}  // namespace ingot
