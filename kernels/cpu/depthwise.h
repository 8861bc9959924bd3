// SPDX-License-Identifier: MIT
//
// Depthwise convolution: every input channel has M output channels of its own. Sizes are those of a ConvShape with
// k = c * M; its groups are not looked at. The kernel is (KH, KW, C, M), output channel c*M + m belongs to channel
// c of the input, so all is laid out as in a convolution with groups = C. Everything said in conv.h holds.
#pragma once

#include <cstddef>

#include "ingot/core/threads.h"
#include "ingot/kernels/cpu/conv.h"

namespace ingot::cpu {

size_t DepthwiseConv2DWorkspace(const ConvShape& s);
size_t DepthwiseConv2DGradInputWorkspace(const ConvShape& s);
size_t DepthwiseConv2DGradKernelWorkspace(const ConvShape& s);

void DepthwiseConv2D(ThreadPool& pool, const ConvShape& s, const float* x, const float* w, const Epilogue& epilogue,
                     float* y, float* workspace);
void DepthwiseConv2DGradInput(ThreadPool& pool, const ConvShape& s, const float* dy, const float* w, float* dx,
                              float* workspace);
void DepthwiseConv2DGradKernel(ThreadPool& pool, const ConvShape& s, const float* x, const float* dy, float* dw,
                               float* workspace);

}  // namespace ingot::cpu
