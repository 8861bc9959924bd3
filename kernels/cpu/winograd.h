// SPDX-License-Identifier: MIT
//
// Convolutions of 3x3, stride 1, by Winograd's algorithm F(4x4, 3x3): tiles of 4x4 outputs by 36 products for each pair
// of channels instead of 144. Tensors, threads and workspace are as conv.h says, and the bits again do not depend on
// the number of threads. The error is about that of direct convolution (winograd_transform-inl.h); but a NaN or an
// infinity in the input reaches the whole tile, not only the outputs that see it.
//
// conv.cc and conv_grad_kernel.cc come here where that is faster, by shape alone; users call those.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ingot/kernels/cpu/conv.h"

namespace ingot::cpu {

// Whether the algorithm can do it: 3x3, stride, dilation and groups 1.
bool WinogradCan(const ConvShape& s);

// Whether it is also expected to be faster; `kept`: with the transformed kernel at hand.
bool WinogradPays(const ConvShape& s, bool kept = false);
bool WinogradGradInputPays(const ConvShape& s);
bool WinogradGradKernelPays(const ConvShape& s);

// REQUIRES of all: WinogradCan(s).
size_t WinogradWorkspace(const ConvShape& s);
size_t WinogradGradInputWorkspace(const ConvShape& s);
size_t WinogradGradKernelWorkspace(const ConvShape& s);

size_t WinogradKept(const ConvShape& s);
void WinogradConv2D(ThreadPool& pool, const ConvShape& s, const float* x, const float* w, const Epilogue& epilogue,
                    float* y, float* workspace, const Kept& kept = {});
void WinogradGradInput(ThreadPool& pool, const ConvShape& s, const float* dy, const float* w, float* dx,
                       float* workspace);
void WinogradGradKernel(ThreadPool& pool, const ConvShape& s, const float* x, const float* dy, float* dw,
                        float* workspace);

}  // namespace ingot::cpu
