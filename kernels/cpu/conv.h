// SPDX-License-Identifier: MIT
//
// Convolution in two dimensions on the CPU, and its two gradients. All tensors are dense fp32 in C order:
//
//   x  (N, H, W, C)    y, dy  (N, OH, OW, K)    w, dw  (KH, KW, C/groups, K)
//   y[n,oh,ow,k] = sum over kh, kw, c of x[n, oh*stride_h - pad_top + kh*dilation_h, ow*..., c] *
//   w[kh,kw,c,k]
//
// where x is 0 outside the image and c runs over the group of k: output channels [g*K/groups, (g+1)*K/groups)
// see input channels [g*C/groups, (g+1)*C/groups). Bias and what else becomes of a sum: epilogue.h.
//
// The padding below and on the right follows from the sizes: whatever the last windows reach beyond the image.
// REQUIRES: sizes, strides, dilations and groups at least 1 (n may be 0), paddings at least 0, groups divides c
// and k. Nothing else: kernels larger than the image and strides larger than the kernel are fine.
//
// Large convolutions of 3x3 with stride 1 go by Winograd's algorithm (winograd.h), chosen by shape alone, and by
// whether the transformed kernel is kept; an infinity or NaN then reaches the whole tile of 4x4 outputs around it.
//
// Threads: every function may be called from any thread. The order of every sum is fixed by the shape alone, so
// the bits do not depend on the number of threads; they may differ between SIMD targets. Nothing is allocated.
// `workspace` has as many floats as the function of the same name with "Workspace" says, by shape alone, at most
// about 48 MiB except when one panel of 32 channels of the kernel alone is larger. Its contents on entry are ignored.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ingot/core/threads.h"
#include "ingot/kernels/cpu/epilogue.h"

namespace ingot::cpu {

struct ConvShape {
  int64_t n, h, w, c;  // input (N, H, W, C)
  int64_t oh, ow, k;   // output (N, OH, OW, K)
  int64_t kh, kw;      // kernel (KH, KW, C/groups, K)
  int64_t stride_h = 1, stride_w = 1;
  int64_t dilation_h = 1, dilation_w = 1;
  int64_t groups = 1;
  int64_t pad_top = 0, pad_left = 0;
};

size_t Conv2DWorkspace(const ConvShape& s);
size_t Conv2DGradInputWorkspace(const ConvShape& s);
size_t Conv2DGradKernelWorkspace(const ConvShape& s);

// Memory for what is made of w, packed or transformed, and whether it is there and holds that of this w already.
struct Kept {
  float* data = nullptr;  // Conv2DKept(s) floats, or none: then it is made in the workspace at each call
  bool fresh = false;
};
size_t Conv2DKept(const ConvShape& s);  // 0 where it would not pay

// The epilogue's residual may be y itself.
void Conv2D(ThreadPool& pool, const ConvShape& s, const float* x, const float* w, const Epilogue& epilogue, float* y,
            float* workspace, const Kept& kept = {});

// dx from dy; also the forward pass of Conv2DTranspose, whose input is `dy` and whose output is `dx`.
void Conv2DGradInput(ThreadPool& pool, const ConvShape& s, const float* dy, const float* w, float* dx,
                     float* workspace);

// dw from x and dy; overwrites dw.
void Conv2DGradKernel(ThreadPool& pool, const ConvShape& s, const float* x, const float* dy, float* dw,
                      float* workspace);

}  // namespace ingot::cpu
