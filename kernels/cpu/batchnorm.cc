// SPDX-License-Identifier: MIT
//
// Normalization of each channel, by the batch or by moving statistics. x is (rows, C). With z = (x - mean) rstd:
//
//   y = z gamma + beta, and what joined it: a residual added, relu, the largest of each window
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
#include "ingot/kernels/cpu/batchnorm-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ingot::cpu {
namespace HWY_NAMESPACE {
namespace {

// y = relu(z gamma + beta + residual), of which residual and relu may be absent. p: mean, rstd, gamma, beta.
template <bool kRelu, size_t N>
void MapNormal(const Call& call, const ColumnPlan& plan, const float* const (&p)[4], const float* const (&from)[N],
               float limit, float* y) {
  MapColumns(call, plan.rows, plan.columns, p, from, y,
             [limit](const auto& load, const auto& in, int64_t i, const float* const* q, int64_t j) HWY_ATTR {
               Num v = Normal(load(in[0] + i), load(q[0] + j), load(q[1] + j) * load(q[2] + j), load(q[3] + j));
               if constexpr (N == 2) v = v + load(in[1] + i);
               return kRelu ? Relu(v, limit) : v;
             });
}

// The largest of each window of relu(z gamma + beta), and which it is; what is normalized is never stored.
void Pooled(const Call& call, const BatchNormAttrs& attrs, const float* const (&p)[4], uint8_t* index) {
  const float* x = call.in[0].f();
  float* y = call.out[0].f();
  const Shape& out = call.out[0].shape;
  const float *mean = p[0], *rstd = p[1], *gamma = p[2], *beta = p[3];
  const bool relu = attrs.relu;
  const float limit = attrs.limit;
  WithWindows(call.in[0].shape, out, attrs.window, [&](const auto& windows) HWY_ATTR {
    const int64_t size = windows.size();
    const auto window = [=](const auto& load, int64_t at, int64_t image, int64_t k, const int64_t* offset) HWY_ATTR {
      const Num m = load(mean + k), scale = load(rstd + k) * load(gamma + k), shift = load(beta + k);
      Num best = Normal(load(x + image), m, scale, shift);
      if (relu) best = Relu(best, limit);
      VI where = hn::Zero(DI());
      for (int64_t i = 1; i < size; ++i) {
        // Greater, or the first NaN: not (v <= best), unless best is a NaN already.
        Num v = Normal(load(x + image + offset[i]), m, scale, shift);
        if (relu) v = Relu(v, limit);
        const auto take = hn::AndNot((v <= best).m, (best == best).m);
        best = Num(hn::IfThenElse(take, v.v, best.v));
        where = hn::IfThenElse(hn::RebindMask(DI(), take), Whole(i), where);
      }
      StoreLike(load, best, y + at);
      StoreBytes(load, where, index + at);
    };
    ForTiles(call, out[0] * out[1], out[2] * out[3] * size, [&](int64_t, int64_t first, int64_t last) HWY_ATTR {
      for (int64_t row = first; row < last; ++row) windows.Row(x, row, window);
    });
  });
}

void RunBatchNorm(const Call& call) {
  const auto& attrs = call.as<BatchNormAttrs>();
  const NormAttrs& norm = attrs.norm;
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
      rstd[c] = 1 / std::sqrt(variance + norm.epsilon);
      moving_mean[c] = moving_mean[c] * norm.momentum + mean[c] * norm.rest;
      moving_variance[c] = moving_variance[c] * norm.momentum + variance * norm.rest;
    }
  });
  const float* const p[] = {mean, rstd, gamma, beta};
  if (attrs.pool) return Pooled(call, attrs, p, static_cast<uint8_t*>(call.out[3].data));
  if (attrs.residual) {
    const float* const from[] = {x, call.in[5].f()};
    return attrs.relu ? MapNormal<true>(call, plan, p, from, attrs.limit, y)
                      : MapNormal<false>(call, plan, p, from, attrs.limit, y);
  }
  const float* const from[] = {x};
  attrs.relu ? MapNormal<true>(call, plan, p, from, attrs.limit, y)
             : MapNormal<false>(call, plan, p, from, attrs.limit, y);
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
HWY_EXPORT(RunBatchNormInfer);

void BatchNorm(const Call& call) {
  ChosenTargets();
  HWY_DYNAMIC_DISPATCH(RunBatchNorm)(call);
}
size_t BatchNormWorkspace(const Call& call) { return NormPlan(call).bytes(3); }

void BatchNormInfer(const Call& call) {
  ChosenTargets();
  HWY_DYNAMIC_DISPATCH(RunBatchNormInfer)(call);
}
size_t BatchNormInferWorkspace(const Call& call) { return static_cast<size_t>(NormPlan(call).padded) * sizeof(float); }

}  // namespace ingot::cpu
#endif  // HWY_ONCE
