// SPDX-License-Identifier: MIT
//
// The contract between plans and kernels, and the list of all kernels. A kernel is a function over operands
// (pointer, shape, type) with its attributes; it allocates nothing and throws nothing. A backend has one function
// for each line of the list: one missing does not link.
//
// To add a kernel: a line here, its attributes in kernels/attrs.h if it has any, kernels/cpu/x.cc.
#pragma once

#include <cstring>
#include <span>
#include <type_traits>

#include "ingot/core/threads.h"
#include "ingot/core/types.h"
#include "ingot/kernels/attrs.h"

namespace ingot {

// Operands, in order: inputs -> outputs. `in place` marks kernels whose first output may lie where an input lay.
// clang-format off
#define INGOT_KERNELS(X)                                                                                               \
  X(Fill)                /* -> y                                   FillAttrs                        */                 \
  X(Copy)                /* x -> y                                 same count                       */                 \
  X(CopyBox)             /* x -> y (kept where not written)        BoxAttrs                         */                 \
  X(Cast)                /* x -> y                                 int32 or uint8 to float32        */                 \
  X(Transpose)           /* x -> y                                 PermuteAttrs                     */                 \
  X(Unary)               /* x -> y                                 UnaryAttrs, in place             */                 \
  X(UnaryGrad)           /* x or y, dy -> dx                       UnaryAttrs, in place             */                 \
  X(Binary)              /* a, b -> y                              BinaryAttrs, broadcasts; in place if equal */       \
  X(BinaryGrad)          /* a, b, dy -> d of the full shape        BinaryAttrs (maximum, minimum, divide) */           \
  X(Reduce)              /* x -> y                                 ReduceAttrs                      */                 \
  X(ReduceMaxGrad)       /* x, y, dy -> dx                         ReduceAttrs: shared among equals */                 \
  X(Broadcast)           /* x -> y                                 axes of 1 repeated               */                 \
  X(Softmax)             /* x -> y                                 AxisAttrs, in place              */                 \
  X(SoftmaxGrad)         /* y, dy -> dx                            AxisAttrs, in place              */                 \
  X(LogSoftmax)          /* x -> y                                 AxisAttrs, in place              */                 \
  X(LogSoftmaxGrad)      /* y, dy -> dx                            AxisAttrs, in place              */                 \
  X(Gemm)                /* a, b [, bias] [, residual] -> c        GemmAttrs; see EpilogueAttrs     */                 \
  X(ColumnSum)           /* x (rows, n) -> y (n)                                                    */                 \
  X(Conv2D)              /* x, w [, bias] [, residual] -> y        ConvAttrs; in place of residual  */                 \
  X(Conv2DGradInput)     /* dy, w -> dx                            ConvAttrs                        */                 \
  X(Conv2DGradKernel)    /* x, dy -> dw                            ConvAttrs                        */                 \
  X(Depthwise)           /* x, w [, bias] [, residual] -> y        ConvAttrs; in place of residual  */                 \
  X(DepthwiseGradInput)  /* dy, w -> dx                            ConvAttrs                        */                 \
  X(DepthwiseGradKernel) /* x, dy -> dw                           ConvAttrs                        */                  \
  X(MaxPool)             /* x -> y [, index]                       PoolAttrs                        */                 \
  X(MaxPoolGrad)         /* dy, index -> dx                        PoolAttrs                        */                 \
  X(AvgPool)             /* x -> y                                 PoolAttrs                        */                 \
  X(AvgPoolGrad)         /* dy -> dx                               PoolAttrs                        */                 \
  X(BatchNorm) /* x, gamma, beta, moving mean, moving var [, residual] -> y, mean, rstd [, index]   BatchNormAttrs: of  \
                  the batch, moves the moving ones */                                                                  \
  X(BatchNormGrad) /* x, gamma, mean, rstd, dy [, beta or y] [, index] -> dx, dgamma, dbeta [, sums] [, dresidual]      \
                      BatchNormAttrs, in place: beta where relu follows at once, y where a residual or a pool is between */ \
  X(BatchNormInfer)   /* x, gamma, beta, mean, var -> y         NormAttrs, in place              */                    \
  X(FoldNorm)         /* gamma, beta, mean, var [, bias] -> scale and shift (2, C)          NormAttrs    */            \
  X(Normalize)        /* x (rows, n) -> y, rstd (rows)          NormAttrs                        */                    \
  X(NormalizeGrad)    /* y, rstd, dy -> dx                      NormAttrs                        */                    \
  X(Dropout)          /* x -> y                                 DropoutAttrs, in place; its own gradient */            \
  X(GaussianNoise)    /* x -> y                                 DropoutAttrs (rate: stddev), in place */               \
  X(Gather)           /* table, ids -> y                                                         */                    \
  X(ScatterAdd)       /* ids, dy -> dtable                                                       */                    \
  X(Resample)         /* x, taps of rows, taps of columns -> y  ResampleAttrs                    */                    \
  X(ResampleGrad)     /* dy, taps of rows, taps of columns -> dx ResampleAttrs                   */                    \
  X(ElementLoss)      /* true, pred (rows, n) -> loss (rows)    LossAttrs                        */                    \
  X(ElementLossGrad)  /* true, pred, dloss (rows) -> dpred      LossAttrs                        */                    \
  X(Crossentropy)     /* true, logits or p (rows, n) -> loss (rows) [, p]    CrossentropyAttrs   */                    \
  X(CrossentropyGrad) /* true, p, dloss (rows) -> dpred         CrossentropyAttrs                */                    \
  X(LossReduce)       /* loss (n) [, weight (n)] -> scalar      ReductionAttrs                   */                    \
  X(LossReduceGrad)   /* dscalar or 1, [weight (n)] -> dloss (n) ReductionAttrs                  */                    \
  X(Penalty)          /* w -> scalar                            PenaltyAttrs: l1 |w| + l2 w^2    */                    \
  X(PenaltyGrad)      /* w, g [, dscalar] -> g                  PenaltyAttrs, in place           */                    \
  X(MetricUpdate)     /* true, pred [, weight] -> state         MetricAttrs                      */                    \
  X(ClipByValue)      /* g -> g                                 ClipAttrs, in place              */                    \
  X(ClipByNorm)       /* g -> g                                 ClipAttrs: one tensor, in place  */                    \
  X(ClipByGlobalNorm) /* g... -> g...                           ClipAttrs: all of them, in place */                    \
  X(Update)           /* w, g, slots... -> w, slots...          UpdateAttrs                      */                    \
  X(Custom)           /* what the user's function takes -> gives    CustomAttrs                  */
// clang-format on

enum class Kernel : uint16_t {
#define X(name) k##name,
  INGOT_KERNELS(X)
#undef X
};
const char* Name(Kernel kernel);

// The epilogue of a kernel that has one, within its attributes; else null.
EpilogueAttrs* EpilogueOf(Kernel kernel, Attrs& attrs);
const EpilogueAttrs* EpilogueOf(Kernel kernel, const Attrs& attrs);

struct Operand {
  void* data = nullptr;
  Shape shape;
  DType dtype = DType::kFloat32;

  float* f() const { return static_cast<float*>(data); }
  int32_t* i() const { return static_cast<int32_t*>(data); }
  uint8_t* u() const { return static_cast<uint8_t*>(data); }
  int64_t count() const { return shape.count(); }
  size_t bytes() const { return static_cast<size_t>(count()) * SizeOf(dtype); }
};

// What a run gives to each of its kernels.
struct Run {
  ThreadPool* pool = nullptr;
  uint64_t seed = 0;             // of the model's random numbers
  uint32_t step = 0;             // of training: dropout draws anew at each
  const float* hyper = nullptr;  // what the optimizer computed for this step (optim/optimizer.h)
};

// One call of a kernel.
struct Call {
  std::span<const Operand> in, out;
  const Attrs* attrs = nullptr;
  void* workspace = nullptr;
  const Run* run = nullptr;
  // Memory of this call alone, where a plan gives any: for what is made of its second operand, a weight. It is ignored
  // unless `fresh`, and then still as the last call left it.
  void* kept = nullptr;
  size_t kept_bytes = 0;
  bool fresh = false;

  template <class A>
  const A& as() const {
    return attrs->as<A>();
  }
};

using KernelFn = void (*)(const Call&);

// The arithmetic and the least traffic of a call, for plan(), the profiler and the roofline.
struct Cost {
  double flops = 0;
  double bytes = 0;
};
Cost CostOf(Kernel kernel, const Call& call);

// Where plans run. Called when a plan is made, not at each step, but for Run.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual const char* name() const = 0;
  virtual KernelFn Resolve(Kernel kernel) const = 0;
  virtual size_t WorkspaceBytes(Kernel kernel, const Call& call) const = 0;  // by shapes alone
  // What it pays to keep of a weight, packed or transformed, from call to call; by shapes alone.
  virtual size_t KeptBytes(Kernel kernel, const Call& call) const = 0;
};

const Backend& CpuBackend();

}  // namespace ingot
