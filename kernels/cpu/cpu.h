// SPDX-License-Identifier: MIT
//
// The kernels of the CPU: one function for each line of INGOT_KERNELS, and how much workspace those need that need any.
#pragma once

#include "ingot/kernels/kernels.h"

namespace ingot::cpu {

#define X(name) void name(const Call& call);
INGOT_KERNELS(X)
#undef X

// Bytes, by shapes alone.
// clang-format off
#define INGOT_KERNELS_WITH_WORKSPACE(X)                                                                                \
  X(Gemm)                                                                                                              \
  X(Conv2D) X(Conv2DGradInput) X(Conv2DGradKernel) X(Depthwise) X(DepthwiseGradInput) X(DepthwiseGradKernel) X(Reduce) \
      X(ColumnSum) X(BatchNorm) X(BatchNormGrad) X(BatchNormInfer) X(LossReduce) X(LossReduceGrad) X(Penalty)          \
          X(MetricUpdate) X(ClipByNorm) X(ClipByGlobalNorm)
// clang-format on
#define X(name) size_t name##Workspace(const Call& call);
INGOT_KERNELS_WITH_WORKSPACE(X)
#undef X
size_t Conv2DKept(const Call& call);  // of Call::kept

}  // namespace ingot::cpu
