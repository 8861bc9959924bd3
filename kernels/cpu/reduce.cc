// SPDX-License-Identifier: MIT
//
// Sums, means and maxima over any axes, and the gradient of the maximum. Neighbouring axes of one kind, kept or
// reduced, are joined. If the last is kept, rows of columns are added up (columns-inl.h); if it is reduced, runs that
// lie in one piece are. Compiled once for each SIMD target.
//
// Threads: long sums are cut into parts by shape alone; a part is summed in floats, at most a few hundred in a row, and
// parts are combined in double precision in their order.
#include <algorithm>
#include <limits>

#include "ingot/kernels/cpu/column_plan.h"
#include "ingot/kernels/cpu/cpu.h"
#include "ingot/kernels/cpu/targets.h"  // before Highway
#include "ingot/kernels/cpu/tiles.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ingot/kernels/cpu/reduce.cc"
#include "hwy/foreach_target.h"
#include "ingot/kernels/cpu/columns-inl.h"

#ifndef INGOT_KERNELS_CPU_REDUCE_ONCE  // shared by the targets
#define INGOT_KERNELS_CPU_REDUCE_ONCE
namespace ingot::cpu {
namespace {

struct Axes {
  int n = 0;
  int64_t extent[kMaxRank], stride[kMaxRank];
  bool reduced[kMaxRank];

  Axes(const Shape& shape, uint8_t bits) {
    for (int i = 0; i < shape.rank(); ++i) {
      if (shape[i] == 1) continue;
      const bool r = bits >> i & 1;
      if (n > 0 && reduced[n - 1] == r) {
        extent[n - 1] *= shape[i];
      } else {
        extent[n] = shape[i], reduced[n++] = r;
      }
    }
    if (n == 0) extent[0] = 1, reduced[0] = false, n = 1;
    int64_t step = 1;
    for (int i = n - 1; i >= 0; --i) stride[i] = step, step *= extent[i];
  }
  // How many combinations of the axes of a kind there are, the last `without` axes left out.
  int64_t Count(bool kind, int without = 0) const {
    int64_t count = 1;
    for (int i = 0; i < n - without; ++i)
      if (reduced[i] == kind) count *= extent[i];
    return count;
  }
  // Where the index-th of them lies.
  int64_t Offset(int64_t index, bool kind, int without = 0) const {
    int64_t offset = 0;
    for (int i = n - 1 - without; i >= 0; --i) {
      if (reduced[i] != kind) continue;
      offset += index % extent[i] * stride[i];
      index /= extent[i];
    }
    return offset;
  }
};

// The last axis kept: `groups` of columns, each the sum of `runs` matrices of (run, columns).
struct ColumnJob {
  Axes axes;
  int64_t columns, run, runs, groups;
  ColumnPlan plan;
  explicit ColumnJob(const Axes& a)
      : axes(a),
        columns(a.extent[a.n - 1]),
        run(a.n > 1 ? a.extent[a.n - 2] : 1),
        runs(a.Count(true, 2)),
        groups(a.Count(false, 1)),
        plan(run * runs, columns) {}
  size_t bytes() const { return plan.parts > 1 ? static_cast<size_t>(groups) * plan.bytes(1) : 0; }
};

// The last axis reduced: each output the sum of `runs` runs, cut into parts of kBlock elements.
struct RowJob {
  Axes axes;
  int64_t run, count, outputs, parts;
  explicit RowJob(const Axes& a)
      : axes(a),
        run(a.extent[a.n - 1]),
        count(a.Count(true)),
        outputs(a.Count(false)),
        parts(count > 2 * kBlock ? (count + kBlock - 1) / kBlock : 1) {}
  size_t bytes() const { return parts > 1 ? static_cast<size_t>(outputs * parts) * sizeof(double) : 0; }
};

double ScaleOf(ReduceOp op, int64_t count) { return op == ReduceOp::kMean ? 1 / static_cast<double>(count) : 1; }

}  // namespace
}  // namespace ingot::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace ingot::cpu {
namespace HWY_NAMESPACE {
namespace {

HWY_INLINE double Combine(Plus, double a, double b) { return a + b; }
HWY_INLINE double Combine(Larger, double a, double b) { return a > b || a != a ? a : b; }

template <class Op>
void ReduceColumns(const Call& call, const ColumnJob& job, const float* x, float* y, double scale) {
  const ColumnPlan& plan = job.plan;
  auto* partial = static_cast<float*>(call.workspace);  // (groups, parts, padded)
  const int64_t blocks = plan.blocks();
  ForTiles(call, job.groups * blocks, plan.block_size(), [&](int64_t, int64_t first, int64_t last) HWY_ATTR {
    for (int64_t i = first; i < last; ++i) {
      const int64_t group = i / blocks;
      const ColumnPlan::Block b = plan.At(i % blocks);
      alignas(64) float own[kBlockColumns];
      float* sums = plan.parts == 1 ? own : partial + (group * plan.parts + b.part) * plan.padded + b.column;
      std::fill_n(sums, std::min(plan.padded - b.column, kBlockColumns), Op::kStart);
      const int64_t base = job.axes.Offset(group, false, 1) + b.column;
      for (int64_t row = b.row; row < b.row + b.rows;) {
        const int64_t which = row / job.run, within = row % job.run;
        const int64_t rows = std::min(job.run - within, b.row + b.rows - row);
        const int64_t at = base + job.axes.Offset(which, true, 2) + within * job.columns;
        const float* none[] = {nullptr};
        AddBlock<1, 0, Op>([x](const auto& load, int64_t e, const float* const*, int64_t, Num* t)
                               HWY_ATTR { t[0] = load(x + e); },
                           at, rows, job.columns, b.columns, none, sums, 0);
        row += rows;
      }
      if (plan.parts > 1) continue;
      float* to = y + group * job.columns + b.column;
      for (int64_t c = 0; c < b.columns; ++c) to[c] = static_cast<float>(static_cast<double>(own[c]) * scale);
    }
  });
  if (plan.parts == 1) return;
  ForTiles(call, job.groups * job.columns, plan.parts, [&](int64_t, int64_t first, int64_t last) HWY_ATTR {
    for (int64_t i = first; i < last; ++i) {
      const float* from = partial + i / job.columns * plan.parts * plan.padded + i % job.columns;
      double sum = static_cast<double>(Op::kStart);
      for (int64_t p = 0; p < plan.parts; ++p) sum = Combine(Op(), sum, static_cast<double>(from[p * plan.padded]));
      y[i] = static_cast<float>(sum * scale);
    }
  });
}

HWY_INLINE double ReduceRun(Plus, const float* x, int64_t n) {
  double sum = 0;
  if (n < kLanes) {
    for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(x[i]);
    return sum;
  }
  return static_cast<double>(Sum(
      n, [](Num v) HWY_ATTR { return v; }, x));
}
HWY_INLINE double ReduceRun(Larger op, const float* x, int64_t n) {
  float most = Larger::kStart;
  int64_t i = 0;
  if (n >= kLanes) {
    Num lanes = Load(x);
    for (i = kLanes; i + kLanes <= n; i += kLanes) lanes = op(lanes, Load(x + i));
    HWY_ALIGN float each[kLanes];
    Store(lanes, each);
    for (const float v : each) most = op(most, v);
  }
  for (; i < n; ++i) most = op(most, x[i]);
  return static_cast<double>(most);
}

template <class Op>
void ReduceRows(const Call& call, const RowJob& job, const float* x, float* y, double scale) {
  auto* partial = static_cast<double*>(call.workspace);  // (outputs, parts)
  const int64_t part_size = job.parts > 1 ? kBlock : job.count;
  ForTiles(call, job.outputs * job.parts, part_size, [&](int64_t, int64_t first, int64_t last) HWY_ATTR {
    for (int64_t i = first; i < last; ++i) {
      const int64_t base = job.axes.Offset(i / job.parts, false), from = i % job.parts * part_size;
      double sum = static_cast<double>(Op::kStart);
      for (int64_t k = from, end = std::min(job.count, from + part_size); k < end;) {
        const int64_t within = k % job.run, n = std::min(job.run - within, end - k);
        sum = Combine(Op(), sum, ReduceRun(Op(), x + base + job.axes.Offset(k / job.run, true, 1) + within, n));
        k += n;
      }
      if (job.parts > 1) {
        partial[i] = sum;
      } else {
        y[i] = static_cast<float>(sum * scale);
      }
    }
  });
  if (job.parts == 1) return;
  for (int64_t i = 0; i < job.outputs; ++i) {
    double sum = static_cast<double>(Op::kStart);
    for (int64_t p = 0; p < job.parts; ++p) sum = Combine(Op(), sum, partial[i * job.parts + p]);
    y[i] = static_cast<float>(sum * scale);
  }
}

template <class Op>
void ReduceAs(const Call& call, const Axes& axes, double scale) {
  const float* x = call.in[0].f();
  float* y = call.out[0].f();
  if (call.out[0].count() == 0) return;
  if (axes.reduced[axes.n - 1]) return ReduceRows<Op>(call, RowJob(axes), x, y, scale);
  ReduceColumns<Op>(call, ColumnJob(axes), x, y, scale);
}

void RunReduce(const Call& call) {
  const auto& attrs = call.as<ReduceAttrs>();
  const Axes axes(call.in[0].shape, attrs.axes);
  if (attrs.op == ReduceOp::kMax) return ReduceAs<Larger>(call, axes, 1);
  ReduceAs<Plus>(call, axes, ScaleOf(attrs.op, axes.Count(true)));
}

void RunColumnSum(const Call& call) { ReduceAs<Plus>(call, Axes(call.in[0].shape, 1), 1); }

// Each of those equal to the maximum has its share of the gradient. f(rows of columns or runs) is what both halves do:
// count those that are equal, then share.
void RunReduceMaxGrad(const Call& call) {
  const float *x = call.in[0].f(), *y = call.in[1].f(), *dy = call.in[2].f();
  float* dx = call.out[0].f();
  const Axes axes(call.in[0].shape, call.as<ReduceAttrs>().axes);
  if (call.out[0].count() == 0) return;
  if (axes.reduced[axes.n - 1]) {
    const RowJob job(axes);
    ForTiles(call, job.outputs, job.count, [&](int64_t, int64_t first, int64_t last) HWY_ATTR {
      for (int64_t i = first; i < last; ++i) {
        const int64_t base = axes.Offset(i, false), runs = job.count / job.run;
        const Num most(y[i]), one(1.0f), zero(0.0f);
        double equal = 0;
        for (int64_t r = 0; r < runs; ++r) {
          const float* from = x + base + axes.Offset(r, true, 1);
          equal += static_cast<double>(Sum(
              job.run, [&](Num v) HWY_ATTR { return Select(v == most, one, zero); }, from));
        }
        const Num share(equal > 0 ? dy[i] / static_cast<float>(equal) : 0);
        for (int64_t r = 0; r < runs; ++r) {
          const int64_t at = base + axes.Offset(r, true, 1);
          Map(
              job.run, dx + at, [&](Num v) HWY_ATTR { return Select(v == most, share, zero); }, x + at);
        }
      }
    });
    return;
  }
  const ColumnJob job(axes);
  const int64_t vectors = Tiles(job.columns, kLanes), rows = job.run * job.runs;
  ForTiles(call, job.groups * vectors, rows * kLanes, [&](int64_t, int64_t first, int64_t last) HWY_ATTR {
    for (int64_t i = first; i < last; ++i) {
      const int64_t group = i / vectors, column = i % vectors * kLanes, n = std::min(kLanes, job.columns - column);
      const int64_t base = axes.Offset(group, false, 1) + column, out = group * job.columns + column;
      const LoadFirst load{n};
      const Num most = load(y + out), zero(0.0f);
      Num equal = zero;
      for (int64_t r = 0; r < rows; ++r) {
        const int64_t at = base + axes.Offset(r / job.run, true, 2) + r % job.run * job.columns;
        equal = equal + Select(load(x + at) == most, Num(1.0f), zero);
      }
      const Num share = load(dy + out) / Max(equal, Num(1.0f));
      for (int64_t r = 0; r < rows; ++r) {
        const int64_t at = base + axes.Offset(r / job.run, true, 2) + r % job.run * job.columns;
        StoreSome(Select(load(x + at) == most, share, zero), dx + at, n);
      }
    }
  });
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace ingot::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ingot::cpu {
HWY_EXPORT(RunReduce);
HWY_EXPORT(RunColumnSum);
HWY_EXPORT(RunReduceMaxGrad);

namespace {
size_t ReduceBytes(const Axes& axes) {
  return axes.reduced[axes.n - 1] ? RowJob(axes).bytes() : ColumnJob(axes).bytes();
}
}  // namespace

void Reduce(const Call& call) {
  ChosenTargets();
  HWY_DYNAMIC_DISPATCH(RunReduce)(call);
}
size_t ReduceWorkspace(const Call& call) { return ReduceBytes(Axes(call.in[0].shape, call.as<ReduceAttrs>().axes)); }

void ColumnSum(const Call& call) {
  ChosenTargets();
  HWY_DYNAMIC_DISPATCH(RunColumnSum)(call);
}
size_t ColumnSumWorkspace(const Call& call) { return ReduceBytes(Axes(call.in[0].shape, 1)); }

void ReduceMaxGrad(const Call& call) {
  ChosenTargets();
  HWY_DYNAMIC_DISPATCH(RunReduceMaxGrad)(call);
}

}  // namespace ingot::cpu
#endif  // HWY_ONCE
