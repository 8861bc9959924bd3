// SPDX-License-Identifier: MIT
//
// Normalization of each channel, by the batch or by moving statistics. x is (rows, C). With z = (x - mean) rstd:
//
//   y = z gamma + beta     dx = gamma rstd (dy - mean(dy) - z mean(dy z))     dgamma = sum(dy z)     dbeta = sum(dy)
//
// Statistics are taken block by block while a block is in cache: first its mean m, then the sums of d = x - m, which
// corrects m for its rounding, and of d^2. So nothing cancels. Blocks are joined in double precision (Chan, Golub and
// LeVeque, 1979).
// Compiled once for each SIMD target.
//
// Threads: blocks by shape alone, joined in order.
#include <algorithm>
#include <cmath>

#include "ingot/kernels/cpu/column_plan.h"
#include "ingot/kernels/cpu/cpu.h"
#include "ingot/kernels/cpu/targets.h"  // before Highway
#include "ingot/kernels/cpu/tiles.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ingot/kernels/cpu/batchnorm.cc"
#include "hwy/foreach_target.h"
#include "ingot/kernels/cpu/columns-inl.h"

#ifndef INGOT_KERNELS_CPU_BATCHNORM_ONCE  // shared by the targets
#define INGOT_KERNELS_CPU_BATCHNORM_ONCE
namespace ingot::cpu {
namespace {

ColumnPlan NormPlan(const Call& call) {
  const int64_t columns = call.in[0].shape.back();
  return ColumnPlan(columns > 0 ? call.in[0].count() / columns : 0, columns);
}

}  // namespace
}  // namespace ingot::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace ingot::cpu {
namespace HWY_NAMESPACE {
namespace {

// y = (x - mean) * scale + beta
HWY_INLINE Num Normal(Num x, Num mean, Num scale, Num beta) { return MulAdd(x - mean, scale, beta); }

void RunBatchNorm(const Call& call) {
  const auto& attrs = call.as<NormAttrs>();
  const ColumnPlan plan = NormPlan(call);
  const float *x = call.in[0].f(), *gamma = call.in[1].f(), *beta = call.in[2].f();
  float *y = call.out[0].f(), *mean = call.out[1].f(), *rstd = call.out[2].f();
  float *moving_mean = call.in[3].f(), *moving_variance = call.in[4].f();
  auto* partial = static_cast<float*>(call.workspace);  // (parts, 3, padded): m, sum of d, sum of d^2
  ForTiles(call, plan.blocks(), plan.block_size(), [&](int64_t, int64_t first, int64_t last) HWY_ATTR {
    for (int64_t i = first; i < last; ++i) {
      const ColumnPlan::Block b = plan.At(i);
      float* means = partial + b.part * 3 * plan.padded + b.column;
      float* sums = means + plan.padded;
      const int64_t room = std::min(plan.padded - b.column, kBlockColumns), at = b.row * plan.columns + b.column;
      std::fill_n(means, room, 0.0f);
      std::fill_n(sums, room, 0.0f);
      std::fill_n(sums + plan.padded, room, 0.0f);
      const float* none[] = {nullptr};
      AddBlock<1, 0, Plus>([x](const auto& load, int64_t e, const float* const*, int64_t, Num* t)
                               HWY_ATTR { t[0] = load(x + e); },
                           at, b.rows, plan.columns, b.columns, none, means, 0);
      const float inverse = 1 / static_cast<float>(std::max<int64_t>(1, b.rows));
      for (int64_t c = 0; c < b.columns; ++c) means[c] *= inverse;
      const float* of_block[] = {means};
      AddBlock<2, 1, Plus>(
          [x](const auto& load, int64_t e, const float* const* p, int64_t j, Num* t) HWY_ATTR {
            t[0] = load(x + e) - load(p[0] + j);
            t[1] = t[0] * t[0];
          },
          at, b.rows, plan.columns, b.columns, of_block, sums, plan.padded);
    }
  });
  ForTiles(call, plan.columns, 4 * plan.parts, [&](int64_t, int64_t first, int64_t last) {
    for (int64_t c = first; c < last; ++c) {
      double n = 0, m = 0, squares = 0;
      for (int64_t part = 0; part < plan.parts; ++part) {
        const float* of_part = partial + part * 3 * plan.padded + c;
        const auto rows = static_cast<double>(std::min(plan.block_rows, plan.rows - part * plan.block_rows));
        if (rows <= 0) break;
        const auto d = static_cast<double>(of_part[plan.padded]), d2 = static_cast<double>(of_part[2 * plan.padded]);
        const double apart = static_cast<double>(of_part[0]) + d / rows - m, all = n + rows;
        m += apart * rows / all;
        squares += std::max(0.0, d2 - d * d / rows) + apart * apart * n * rows / all;
        n = all;
      }
      const auto variance = static_cast<float>(squares / std::max(1.0, n));
      mean[c] = static_cast<float>(m);
      rstd[c] = 1 / std::sqrt(variance + attrs.epsilon);
      moving_mean[c] = moving_mean[c] * attrs.momentum + mean[c] * attrs.rest;
      moving_variance[c] = moving_variance[c] * attrs.momentum + variance * attrs.rest;
    }
  });
  const float* const p[] = {mean, rstd, gamma, beta};
  const float* const from[] = {x};
  MapColumns(call, plan.rows, plan.columns, p, from, y,
             [](const auto& load, const auto& in, int64_t i, const float* const* q, int64_t j) HWY_ATTR {
               return Normal(load(in[0] + i), load(q[0] + j), load(q[1] + j) * load(q[2] + j), load(q[3] + j));
             });
}

void RunBatchNormGrad(const Call& call) {
  const ColumnPlan plan = NormPlan(call);
  const float *x = call.in[0].f(), *gamma = call.in[1].f(), *mean = call.in[2].f(), *rstd = call.in[3].f();
  const float* dy = call.in[4].f();
  float *dx = call.out[0].f(), *dgamma = call.out[1].f(), *dbeta = call.out[2].f();
  auto* factors = static_cast<float*>(call.workspace);  // (3, padded)
  float* partial = factors + 3 * plan.padded;           // (parts, 2, padded): sums of dy, of dy (x - mean)
  ForTiles(call, plan.blocks(), 2 * plan.block_size(), [&](int64_t, int64_t first, int64_t last) HWY_ATTR {
    for (int64_t i = first; i < last; ++i) {
      const ColumnPlan::Block b = plan.At(i);
      float* sums = partial + b.part * 2 * plan.padded + b.column;
      const int64_t room = std::min(plan.padded - b.column, kBlockColumns);
      std::fill_n(sums, room, 0.0f);
      std::fill_n(sums + plan.padded, room, 0.0f);
      const float* p[] = {mean + b.column};
      AddBlock<2, 1, Plus>(
          [x, dy](const auto& load, int64_t e, const float* const* q, int64_t j, Num* t) HWY_ATTR {
            t[0] = load(dy + e);
            t[1] = t[0] * (load(x + e) - load(q[0] + j));
          },
          b.row * plan.columns + b.column, b.rows, plan.columns, b.columns, p, sums, plan.padded);
    }
  });
  ForTiles(call, plan.columns, 2 * plan.parts, [&](int64_t, int64_t first, int64_t last) {
    for (int64_t c = first; c < last; ++c) {
      double sum = 0, along = 0;
      for (int64_t part = 0; part < plan.parts; ++part) {
        sum += static_cast<double>(partial[part * 2 * plan.padded + c]);
        along += static_cast<double>(partial[(part * 2 + 1) * plan.padded + c]);
      }
      const double n = static_cast<double>(std::max<int64_t>(1, plan.rows)), r = static_cast<double>(rstd[c]);
      dbeta[c] = static_cast<float>(sum);
      dgamma[c] = static_cast<float>(along * r);
      factors[c] = gamma[c] * rstd[c];
      factors[plan.padded + c] = static_cast<float>(sum / n);
      factors[2 * plan.padded + c] = static_cast<float>(along * r * r / n);  // of x - mean
    }
  });
  const float* const p[] = {mean, factors, factors + plan.padded, factors + 2 * plan.padded};
  const float* const from[] = {x, dy};
  MapColumns(call, plan.rows, plan.columns, p, from, dx,
             [](const auto& load, const auto& in, int64_t i, const float* const* q, int64_t j) HWY_ATTR {
               const Num centered = load(in[0] + i) - load(q[0] + j);
               return load(q[1] + j) * (load(in[1] + i) - load(q[2] + j) - centered * load(q[3] + j));
             });
}

void RunBatchNormInfer(const Call& call) {
  const float epsilon = call.as<NormAttrs>().epsilon;
  const ColumnPlan plan = NormPlan(call);
  const float *x = call.in[0].f(), *gamma = call.in[1].f(), *beta = call.in[2].f();
  const float *mean = call.in[3].f(), *variance = call.in[4].f();
  auto* scale = static_cast<float*>(call.workspace);
  Map(
      plan.columns, scale, [epsilon](Num g, Num v) HWY_ATTR { return g / Sqrt(v + Num(epsilon)); }, gamma, variance);
  const float* const p[] = {mean, scale, beta};
  const float* const from[] = {x};
  MapColumns(call, plan.rows, plan.columns, p, from, call.out[0].f(),
             [](const auto& load, const auto& in, int64_t i, const float* const* q, int64_t j)
                 HWY_ATTR { return Normal(load(in[0] + i), load(q[0] + j), load(q[1] + j), load(q[2] + j)); });
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace ingot::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ingot::cpu {
HWY_EXPORT(RunBatchNorm);
HWY_EXPORT(RunBatchNormGrad);
HWY_EXPORT(RunBatchNormInfer);

void BatchNorm(const Call& call) {
  ChosenTargets();
  HWY_DYNAMIC_DISPATCH(RunBatchNorm)(call);
}
size_t BatchNormWorkspace(const Call& call) { return NormPlan(call).bytes(3); }

void BatchNormGrad(const Call& call) {
  ChosenTargets();
  HWY_DYNAMIC_DISPATCH(RunBatchNormGrad)(call);
}
size_t BatchNormGradWorkspace(const Call& call) {
  const ColumnPlan plan = NormPlan(call);
  return plan.bytes(2) + static_cast<size_t>(3 * plan.padded) * sizeof(float);
}

void BatchNormInfer(const Call& call) {
  ChosenTargets();
  HWY_DYNAMIC_DISPATCH(RunBatchNormInfer)(call);
}
size_t BatchNormInferWorkspace(const Call& call) { return static_cast<size_t>(NormPlan(call).padded) * sizeof(float); }

}  // namespace ingot::cpu
#endif  // HWY_ONCE
