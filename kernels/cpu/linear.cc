// SPDX-License-Identifier: MIT
//
// Products, convolutions and pooling as steps of a plan: operands and attributes become the sizes that the kernels of
// gemm.h, conv.h, depthwise.h and pool.h take. No arithmetic here.
//
// Threads: as the kernels called.
#include "ingot/kernels/cpu/conv.h"
#include "ingot/kernels/cpu/cpu.h"
#include "ingot/kernels/cpu/depthwise.h"
#include "ingot/kernels/cpu/gemm.h"
#include "ingot/kernels/cpu/pool.h"

namespace ingot::cpu {
namespace {

Epilogue MakeEpilogue(const Call& call, const EpilogueAttrs& a) {
  Epilogue e;
  if (call.in.size() - (a.residual ? 1 : 0) > 2) {
    e.shift = call.in[2].f();
    if (a.scaled && e.shift != nullptr) e.scale = e.shift, e.shift += call.out[0].shape.back();
  }
  if (a.residual) e.residual = call.in.back().f();
  e.residual_last = a.residual_last, e.slope = a.slope, e.limit = a.limit;
  return e;
}

GemmArgs ArgsOf(const Call& call) {
  const auto& attrs = call.as<GemmAttrs>();
  const Operand &a = call.in[0], &b = call.in[1], &c = call.out[0];
  GemmArgs args;
  args.m = c.shape[0], args.n = c.shape[1], args.k = a.shape[attrs.trans_a ? 0 : 1];
  args.a = a.f(), args.lda = a.shape[1], args.trans_a = attrs.trans_a;
  args.b = b.f(), args.ldb = b.shape[1], args.trans_b = attrs.trans_b;
  args.c = c.f(), args.ldc = args.n;
  args.epilogue = MakeEpilogue(call, attrs.epilogue);
  return args;
}

// x is the side of the image, y the side of the result, whichever way the convolution runs.
ConvShape ShapeOf(const Call& call, const Operand& x, const Operand& w, const Operand& y) {
  const auto& a = call.as<ConvAttrs>();
  ConvShape s{};
  s.n = x.shape[0], s.h = x.shape[1], s.w = x.shape[2], s.c = x.shape[3];
  s.oh = y.shape[1], s.ow = y.shape[2], s.k = y.shape[3];
  s.kh = w.shape[0], s.kw = w.shape[1];
  s.stride_h = a.stride_h, s.stride_w = a.stride_w;
  s.dilation_h = a.dilation_h, s.dilation_w = a.dilation_w;
  s.groups = a.groups;
  s.pad_top = a.pad_top, s.pad_left = a.pad_left;
  return s;
}

ConvShape Forward(const Call& call) { return ShapeOf(call, call.in[0], call.in[1], call.out[0]); }
ConvShape GradInput(const Call& call) { return ShapeOf(call, call.out[0], call.in[1], call.in[0]); }
ConvShape GradKernel(const Call& call) { return ShapeOf(call, call.in[0], call.out[0], call.in[1]); }

PoolShape PoolOf(const Call& call, const Operand& x, const Operand& y) {
  const auto& a = call.as<PoolAttrs>();
  PoolShape s{};
  s.n = x.shape[0], s.h = x.shape[1], s.w = x.shape[2], s.c = x.shape[3];
  s.oh = y.shape[1], s.ow = y.shape[2];
  s.ph = a.pool_h, s.pw = a.pool_w;
  s.stride_h = a.stride_h, s.stride_w = a.stride_w;
  s.pad_top = a.pad_top, s.pad_left = a.pad_left;
  return s;
}

ThreadPool& Pool(const Call& call) { return *call.run->pool; }
float* Floats(const Call& call) { return static_cast<float*>(call.workspace); }

}  // namespace

void Gemm(const Call& call) { Gemm(Pool(call), ArgsOf(call), Floats(call)); }
size_t GemmWorkspace(const Call& call) {
  const GemmArgs a = ArgsOf(call);
  return sizeof(float) * GemmWorkspace(a.m, a.n, a.k, a.trans_a, a.trans_b);
}

void Conv2D(const Call& call) {
  Conv2D(Pool(call), Forward(call), call.in[0].f(), call.in[1].f(), MakeEpilogue(call, call.as<ConvAttrs>().epilogue),
         call.out[0].f(), Floats(call), {static_cast<float*>(call.kept), call.fresh});
}
size_t Conv2DKept(const Call& call) { return sizeof(float) * Conv2DKept(Forward(call)); }
void Conv2DGradInput(const Call& call) {
  Conv2DGradInput(Pool(call), GradInput(call), call.in[0].f(), call.in[1].f(), call.out[0].f(), Floats(call));
}
void Conv2DGradKernel(const Call& call) {
  Conv2DGradKernel(Pool(call), GradKernel(call), call.in[0].f(), call.in[1].f(), call.out[0].f(), Floats(call));
}
size_t Conv2DWorkspace(const Call& call) { return sizeof(float) * Conv2DWorkspace(Forward(call)); }
size_t Conv2DGradInputWorkspace(const Call& call) { return sizeof(float) * Conv2DGradInputWorkspace(GradInput(call)); }
size_t Conv2DGradKernelWorkspace(const Call& call) {
  return sizeof(float) * Conv2DGradKernelWorkspace(GradKernel(call));
}

void Depthwise(const Call& call) {
  DepthwiseConv2D(Pool(call), Forward(call), call.in[0].f(), call.in[1].f(),
                  MakeEpilogue(call, call.as<ConvAttrs>().epilogue), call.out[0].f(), Floats(call));
}
void DepthwiseGradInput(const Call& call) {
  DepthwiseConv2DGradInput(Pool(call), GradInput(call), call.in[0].f(), call.in[1].f(), call.out[0].f(), Floats(call));
}
void DepthwiseGradKernel(const Call& call) {
  DepthwiseConv2DGradKernel(Pool(call), GradKernel(call), call.in[0].f(), call.in[1].f(), call.out[0].f(),
                            Floats(call));
}
size_t DepthwiseWorkspace(const Call& call) { return sizeof(float) * DepthwiseConv2DWorkspace(Forward(call)); }
size_t DepthwiseGradInputWorkspace(const Call& call) {
  return sizeof(float) * DepthwiseConv2DGradInputWorkspace(GradInput(call));
}
size_t DepthwiseGradKernelWorkspace(const Call& call) {
  return sizeof(float) * DepthwiseConv2DGradKernelWorkspace(GradKernel(call));
}

void MaxPool(const Call& call) {
  MaxPool(Pool(call), PoolOf(call, call.in[0], call.out[0]), call.in[0].f(), call.out[0].f(),
          call.out.size() > 1 ? call.out[1].data : nullptr);
}
void MaxPoolGrad(const Call& call) {
  MaxPoolGrad(Pool(call), PoolOf(call, call.out[0], call.in[0]), call.in[0].f(), call.in[1].data, call.out[0].f());
}
void AvgPool(const Call& call) {
  AvgPool(Pool(call), PoolOf(call, call.in[0], call.out[0]), call.in[0].f(), call.out[0].f());
}
void AvgPoolGrad(const Call& call) {
  AvgPoolGrad(Pool(call), PoolOf(call, call.out[0], call.in[0]), call.in[0].f(), call.out[0].f());
}

}  // namespace ingot::cpu
