// SPDX-License-Identifier: MIT
//
// The gradient of batch-norm and of what joined it. With z = (x - mean) rstd and dy what arrives at z gamma + beta:
//
//   dx = gamma rstd (dy - mean(dy) - z mean(dy z))     dgamma = sum(dy z)     dbeta = sum(dy)
//
// Two passes: one sums dy and dy (x - mean), one writes dx. Whatever lies between dy and the gradient that came (relu,
// pooling) and between dx and the gradient that is wanted (a relu in front, the sums for its bias) is done on the way,
// so that no gradient of that size is stored in between. Only a residual's own gradient is written out by the first.
// Compiled once for each SIMD target.
//
// Threads: blocks by shape alone, joined in order.
#include <algorithm>

#include "ingot/kernels/cpu/column_plan.h"
#include "ingot/kernels/cpu/cpu.h"
#include "ingot/kernels/cpu/targets.h"  // before Highway
#include "ingot/kernels/cpu/tiles.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ingot/kernels/cpu/batchnorm_grad.cc"
#include "hwy/foreach_target.h"
#include "ingot/kernels/cpu/batchnorm-inl.h"

#ifndef INGOT_KERNELS_CPU_BATCHNORM_GRAD_ONCE  // shared by the targets
#define INGOT_KERNELS_CPU_BATCHNORM_GRAD_ONCE
namespace ingot::cpu {
namespace {

// Rows of windows, in parts of about kBlock / 4 of them.
struct RowParts {
  int64_t rows, block, parts;
  RowParts(int64_t all, int64_t width)
      : rows(all),
        block(std::max<int64_t>(1, kBlock / 4 / std::max<int64_t>(1, width))),
        parts(std::max<int64_t>(1, Tiles(all, block))) {}
};
RowParts PooledRows(const Call& call) {
  const Shape& y = call.in[4].shape;
  return {y[0] * y[1], y[2] * y[3]};
}
}  // namespace
}  // namespace ingot::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace ingot::cpu {
namespace HWY_NAMESPACE {
namespace {

// The operands by name. Absent ones are null.
struct Grad {
  const Call& call;
  const BatchNormAttrs& attrs;
  ColumnPlan plan;
  const float *x, *gamma, *mean, *rstd, *dy;
  const float* beta = nullptr;  // where relu follows at once
  const float* y = nullptr;     // where a residual or a pool is between
  const uint8_t* index = nullptr;
  float *dx, *dgamma, *dbeta;
  float *sums = nullptr, *dresidual = nullptr;
  float* factors;  // (3, padded): gamma rstd, mean(dy), mean(dy z) rstd
  float* partial;

  explicit Grad(const Call& c) : call(c), attrs(c.as<BatchNormAttrs>()), plan(NormPlan(c)) {
    size_t in = 0, out = 0;
    x = c.in[in++].f(), gamma = c.in[in++].f(), mean = c.in[in++].f(), rstd = c.in[in++].f(), dy = c.in[in++].f();
    if (attrs.relu) (attrs.residual || attrs.pool ? y : beta) = c.in[in++].f();
    if (attrs.pool) index = c.in[in++].u();
    dx = c.out[out++].f(), dgamma = c.out[out++].f(), dbeta = c.out[out++].f();
    if (attrs.sums) sums = c.out[out++].f();
    if (attrs.residual && attrs.relu) dresidual = c.out[out++].f();
    factors = static_cast<float*>(c.workspace);
    partial = factors + 3 * plan.padded;
  }
};

// dy behind the relu, of a vector of elements at e in columns j. q: mean, rstd, gamma, beta.
struct PlainDy {
  const float* dy;
  template <class LoadFn>
  HWY_INLINE Num operator()(const LoadFn& load, int64_t e, const float* const*, int64_t, Num) const {
    return load(dy + e);
  }
};
struct ReluDy {
  const float* dy;
  float limit;
  template <class LoadFn>
  HWY_INLINE Num operator()(const LoadFn& load, int64_t e, const float* const* q, int64_t j, Num x) const {
    const Num y = Normal(x, load(q[0] + j), load(q[1] + j) * load(q[2] + j), load(q[3] + j));
    return ReluGrad(y, load(dy + e), limit);
  }
};
struct ResidualDy {  // and stores it
  const float *dy, *y;
  float limit;
  float* to;
  template <class LoadFn>
  HWY_INLINE Num operator()(const LoadFn& load, int64_t e, const float* const*, int64_t, Num) const {
    const Num g = ReluGrad(load(y + e), load(dy + e), limit);
    StoreLike(load, g, to + e);
    return g;
  }
};

// The sums of dy and of dy (x - mean), in parts.
template <int P, class Dy>
void SumParts(const Grad& g, const Dy& dy_at) {
  const ColumnPlan& plan = g.plan;
  const float* const all[] = {g.mean, g.rstd, g.gamma, g.beta};
  ForTiles(g.call, plan.blocks(), 2 * plan.block_size(), [&](int64_t, int64_t first, int64_t last) HWY_ATTR {
    for (int64_t i = first; i < last; ++i) {
      const ColumnPlan::Block b = plan.At(i);
      float* sums = g.partial + b.part * 2 * plan.padded + b.column;
      const int64_t room = std::min(plan.padded - b.column, kBlockColumns);
      std::fill_n(sums, room, 0.0f);
      std::fill_n(sums + plan.padded, room, 0.0f);
      const float* p[P];
      for (int k = 0; k < P; ++k) p[k] = all[k] + b.column;
      AddBlock<2, P, Plus>(
          [&g, &dy_at](const auto& load, int64_t e, const float* const* q, int64_t j, Num* t) HWY_ATTR {
            const Num x = load(g.x + e);
            t[0] = dy_at(load, e, q, j, x);
            t[1] = t[0] * (x - load(q[0] + j));
          },
          b.row * plan.columns + b.column, b.rows, plan.columns, b.columns, p, sums, plan.padded);
    }
  });
}

// The gradient that arrives at a window.
struct WindowDy {
  const float *dy, *y;
  float limit;
  explicit WindowDy(const Grad& g) : dy(g.dy), y(g.y), limit(g.attrs.limit) {}
  template <class LoadFn>
  HWY_INLINE Num operator()(const LoadFn& load, int64_t at) const {
    const Num v = load(dy + at);
    return y ? ReluGrad(load(y + at), v, limit) : v;
  }
};

// The same where a window has passed on one of its elements: dy is that of the window, x is looked up.
void SumPooled(const Grad& g) {
  const RowParts rows = PooledRows(g.call);
  const float *x = g.x, *mean = g.mean;
  const uint8_t* index = g.index;
  const WindowDy window_dy(g);
  WithWindows(g.call.in[0].shape, g.call.in[4].shape, g.attrs.window, [&](const auto& windows) HWY_ATTR {
    const int64_t size = windows.size();
    ForTiles(g.call, rows.parts, kTile, [&](int64_t, int64_t first, int64_t last) HWY_ATTR {
      for (int64_t part = first; part < last; ++part) {
        float *sums = g.partial + part * 2 * g.plan.padded, *along = sums + g.plan.padded;
        std::fill_n(sums, 2 * g.plan.padded, 0.0f);
        const auto add = [=](const auto& load, int64_t at, int64_t image, int64_t k, const int64_t* offset) HWY_ATTR {
          const VI where = LoadBytes(load, index + at);
          Num passed = load(x + image);
          for (int64_t i = 1; i < size; ++i)
            passed = Num(hn::IfThenElse(AreEqual(where, Whole(i)), load(x + image + offset[i]).v, passed.v));
          const Num dy = window_dy(load, at);
          Store(Load(sums + k) + dy, sums + k);
          Store(MulAdd(dy, passed - load(mean + k), Load(along + k)), along + k);
        };
        for (int64_t row = part * rows.block; row < std::min(rows.rows, (part + 1) * rows.block); ++row)
          windows.Row(x, row, add);
      }
    });
  });
}

void JoinParts(const Grad& g, int64_t parts) {
  const ColumnPlan& plan = g.plan;
  ForTiles(g.call, plan.columns, 2 * parts, [&](int64_t, int64_t first, int64_t last) {
    for (int64_t c = first; c < last; ++c) {
      double sum = 0, along = 0;
      for (int64_t part = 0; part < parts; ++part) {
        sum += static_cast<double>(g.partial[part * 2 * plan.padded + c]);
        along += static_cast<double>(g.partial[(part * 2 + 1) * plan.padded + c]);
      }
      const double n = static_cast<double>(std::max<int64_t>(1, plan.rows)), r = static_cast<double>(g.rstd[c]);
      g.dbeta[c] = static_cast<float>(sum);
      g.dgamma[c] = static_cast<float>(along * r);
      g.factors[c] = g.gamma[c] * g.rstd[c];
      g.factors[plan.padded + c] = static_cast<float>(sum / n);
      g.factors[2 * plan.padded + c] = static_cast<float>(along * r * r / n);  // of x - mean
    }
  });
}

// dx of a vector, past the relu that x came from.
template <bool kFromRelu>
HWY_INLINE Num Dx(Num x, Num dy, Num mean, Num factor, Num mean_dy, Num slope, float from_limit) {
  const Num dx = factor * (dy - mean_dy - (x - mean) * slope);
  return kFromRelu ? ReluGrad(x, dx, from_limit) : dx;
}

template <bool kFromRelu, int P, class Dy>
void WriteParts(const Grad& g, const Dy& dy_at) {
  const ColumnPlan& plan = g.plan;
  const float* const all[] = {
      g.mean, g.rstd, g.gamma, g.beta, g.factors, g.factors + plan.padded, g.factors + 2 * plan.padded};
  ForTiles(g.call, plan.blocks(), 2 * plan.block_size(), [&](int64_t, int64_t first, int64_t last) HWY_ATTR {
    for (int64_t i = first; i < last; ++i) {
      const ColumnPlan::Block b = plan.At(i);
      float* sums = g.partial + b.part * plan.padded + b.column;
      std::fill_n(sums, std::min(plan.padded - b.column, kBlockColumns), 0.0f);
      const float* p[P + 3];
      for (int k = 0; k < P; ++k) p[k] = all[k] + b.column;
      for (int k = 0; k < 3; ++k) p[P + k] = all[4 + k] + b.column;
      AddBlock<1, P + 3, Plus>(
          [&g, &dy_at](const auto& load, int64_t e, const float* const* q, int64_t j, Num* t) HWY_ATTR {
            const Num x = load(g.x + e), dy = dy_at(load, e, q, j, x);
            t[0] = Dx<kFromRelu>(x, dy, load(q[0] + j), load(q[P] + j), load(q[P + 1] + j), load(q[P + 2] + j),
                                 g.attrs.from_limit);
            StoreLike(load, t[0], g.dx + e);
          },
          b.row * plan.columns + b.column, b.rows, plan.columns, b.columns, p, sums, plan.padded);
    }
  });
}

// A part are rows of windows, with what lies below the last of an image or to the right of them, which none covers.
template <bool kFromRelu>
void WritePooled(const Grad& g) {
  const RowParts rows = PooledRows(g.call);
  const float *x = g.x, *mean = g.mean, *factor = g.factors;
  const float *mean_dy = factor + g.plan.padded, *slope = mean_dy + g.plan.padded, limit = g.attrs.from_limit;
  const uint8_t* index = g.index;
  float* to = g.dx;
  const WindowDy window_dy(g);
  WithWindows(g.call.in[0].shape, g.call.in[4].shape, g.attrs.window, [&](const auto& windows) HWY_ATTR {
    const auto& s = windows;
    const int64_t size = s.size();
    ForTiles(g.call, rows.parts, kTile, [&](int64_t, int64_t first, int64_t last) HWY_ATTR {
      for (int64_t part = first; part < last; ++part) {
        float* sums = g.partial + part * g.plan.padded;
        std::fill_n(sums, g.plan.padded, 0.0f);
        const auto write = [=](const auto& load, int64_t at, int64_t image, int64_t k, const int64_t* offset) HWY_ATTR {
          const VI where = LoadBytes(load, index + at);
          const Num dy = window_dy(load, at);
          const Num m = load(mean + k), f = load(factor + k), d = load(mean_dy + k), b = load(slope + k);
          Num sum = Load(sums + k);
          for (int64_t i = 0; i < size; ++i) {
            const int64_t e = image + offset[i];
            const Num mine = Num(hn::IfThenElseZero(AreEqual(where, Whole(i)), dy.v));
            const Num dx = Dx<kFromRelu>(load(x + e), mine, m, f, d, b, limit);
            StoreLike(load, dx, to + e);
            sum = sum + dx;
          }
          Store(sum, sums + k);
        };
        const auto uncovered = [&](int64_t at, int64_t pixels) HWY_ATTR {
          for (const int64_t end = at + pixels * s.c; at < end; at += s.c)
            for (int64_t k = 0; k < s.c; k += kLanes) {
              const LoadFirst load{std::min(kLanes, s.c - k)};
              const Num dx = Dx<kFromRelu>(load(x + at + k), Num(0.0f), load(mean + k), load(factor + k),
                                           load(mean_dy + k), load(slope + k), limit);
              StoreLike(load, dx, to + at + k);
              Store(Load(sums + k) + dx, sums + k);
            }
        };
        for (int64_t row = part * rows.block; row < std::min(rows.rows, (part + 1) * rows.block); ++row) {
          s.Row(x, row, write);
          const int64_t top = row / s.oh * s.h + row % s.oh * s.ph, bottom = top + s.ph;
          for (int64_t ih = top; ih < bottom; ++ih) uncovered((ih * s.w + s.ow * s.pw) * s.c, s.w - s.ow * s.pw);
          if (row % s.oh == s.oh - 1) uncovered(bottom * s.w * s.c, (s.h - s.oh * s.ph) * s.w);
        }
      }
    });
  });
}

void JoinSums(const Grad& g, int64_t parts) {
  ForTiles(g.call, g.plan.columns, parts, [&](int64_t, int64_t first, int64_t last) {
    for (int64_t c = first; c < last; ++c) {
      double sum = 0;
      for (int64_t part = 0; part < parts; ++part) sum += static_cast<double>(g.partial[part * g.plan.padded + c]);
      g.sums[c] = static_cast<float>(sum);
    }
  });
}

template <bool kFromRelu>
int64_t Write(const Grad& g) {
  if (g.index) return WritePooled<kFromRelu>(g), PooledRows(g.call).parts;
  if (g.beta) {
    WriteParts<kFromRelu, 4>(g, ReluDy{g.dy, g.attrs.limit});
  } else {
    WriteParts<kFromRelu, 1>(g, PlainDy{g.dresidual ? g.dresidual : g.dy});
  }
  return g.plan.parts;
}

void RunBatchNormGrad(const Call& call) {
  const Grad g(call);
  if (g.index) {
    SumPooled(g);
  } else if (g.beta) {
    SumParts<4>(g, ReluDy{g.dy, g.attrs.limit});
  } else if (g.dresidual) {
    SumParts<1>(g, ResidualDy{g.dy, g.y, g.attrs.limit, g.dresidual});
  } else {
    SumParts<1>(g, PlainDy{g.dy});
  }
  JoinParts(g, g.index ? PooledRows(call).parts : g.plan.parts);
  const int64_t parts = g.attrs.from_relu ? Write<true>(g) : Write<false>(g);
  if (g.sums) JoinSums(g, parts);
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace ingot::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ingot::cpu {
HWY_EXPORT(RunBatchNormGrad);

void BatchNormGrad(const Call& call) {
  ChosenTargets();
  HWY_DYNAMIC_DISPATCH(RunBatchNormGrad)(call);
}
size_t BatchNormGradWorkspace(const Call& call) {
  const ColumnPlan plan = NormPlan(call);
  int64_t sums = 2 * plan.parts;
  if (call.as<BatchNormAttrs>().pool) sums = 2 * PooledRows(call).parts;
  return static_cast<size_t>((3 + sums) * plan.padded) * sizeof(float);
}

}  // namespace ingot::cpu
#endif  // HWY_ONCE
