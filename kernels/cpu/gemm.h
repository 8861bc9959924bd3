// SPDX-License-Identifier: MIT
//
// Matrix product for dense layers and their gradients, in 32-bit floats, all matrices row major:
//
//   C = op(A) op(B)  (+ C if accumulate), and what the epilogue makes of it (epilogue.h)
//
// Invariants: the result has the same bits whatever the number of threads and wherever the operands lie, since work
// is cut by shape alone; it may differ in the last bits between SIMD targets. Nothing is allocated: a caller asks
// GemmWorkspace at compile time and passes that much memory. C must not overlap A, B or the workspace. NaN in C is
// never read unless `accumulate` is set. m = 0 or n = 0 does nothing; k = 0 leaves C, or zero, with the epilogue.
//
// Threads: may be called from any thread; two calls may run at once with two workspaces.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ingot/core/threads.h"
#include "ingot/kernels/cpu/epilogue.h"

namespace ingot::cpu {

struct GemmArgs {
  int64_t m = 0, n = 0, k = 0;
  const float* a = nullptr;  // (m, k), or (k, m) when trans_a; rows lie lda apart
  int64_t lda = 0;
  bool trans_a = false;
  const float* b = nullptr;  // (k, n), or (n, k) when trans_b; rows lie ldb apart
  int64_t ldb = 0;
  bool trans_b = false;
  float* c = nullptr;  // (m, n)
  int64_t ldc = 0;
  Epilogue epilogue{};  // its residual has the rows of C and must not overlap C
  bool accumulate = false;
};

// How many floats Gemm needs for this shape, on any number of threads and any SIMD target.
size_t GemmWorkspace(int64_t m, int64_t n, int64_t k, bool trans_a, bool trans_b);

// REQUIRES: `workspace` holds GemmWorkspace(...) floats and is aligned to 64 bytes; null if that is 0.
void Gemm(ThreadPool& pool, const GemmArgs& args, float* workspace);

}  // namespace ingot::cpu
