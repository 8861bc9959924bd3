// SPDX-License-Identifier: MIT
//
// The tiles of Gemm: gemm_plan.h says how work is cut and why, gemm_micro-inl.h holds the inner loops. Compiled once
// for each SIMD target.
//
// A tile walks k block by block and, within a block, C by row blocks and panels. The first block of k overwrites C
// (or adds to it), later ones add, the last one applies the epilogue: C is finished while it is in cache.
#include "ingot/kernels/cpu/gemm.h"

#include "hwy/cache_control.h"
#include "ingot/kernels/cpu/targets.h"  // before Highway

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ingot/kernels/cpu/gemm.cc"
#include "hwy/foreach_target.h"
#include "ingot/kernels/cpu/gemm_micro-inl.h"
#include "ingot/kernels/cpu/gemm_plan.h"

HWY_BEFORE_NAMESPACE();
namespace ingot::cpu {
namespace HWY_NAMESPACE {

// From this size on, C is written past the caches, which it would only sweep: 64 MiB.
constexpr int64_t kStreamFloats = 16 << 20;

struct Job {
  const GemmArgs& args;
  const GemmPlan& plan;
  float* packed;    // B in panels, block of k after block of k; kWhole only
  float* partials;  // (splits, m, n) when k is split
  bool stream;
};

void PackBlock(const GemmArgs& g, int64_t p, int64_t k, int64_t j, int64_t cols, float* to) {
  if (g.trans_b) {
    PackColumns(g.b + j * g.ldb + p, g.ldb, k, cols, to);
  } else {
    PackRows(g.b + p * g.ldb + j, g.ldb, k, cols, to);
  }
}

// Packs nc columns of one block of k into the workspace.
void PackTile(const Job& job, int64_t tile) {
  const GemmArgs& g = job.args;
  const int64_t p = tile / job.plan.n_tiles * job.plan.kc;
  const int64_t j = tile % job.plan.n_tiles * job.plan.nc;
  const int64_t k = std::min(job.plan.kc, g.k - p);
  PackBlock(g, p, k, j, std::min(job.plan.nc, g.n - j), job.packed + p * job.plan.packed_n + j * k);
}

// One tile of C, or of a partial C.
void ComputeTile(const Job& job, int64_t tile) {
  const GemmArgs& g = job.args;
  const GemmPlan& plan = job.plan;
  const int64_t split = tile / (plan.m_tiles * plan.n_tiles);
  const int64_t i0 = tile / plan.n_tiles % plan.m_tiles * plan.mc;
  const int64_t j0 = tile % plan.n_tiles * plan.nc;
  const int64_t i1 = std::min(g.m, i0 + plan.mc);
  const int64_t j1 = std::min(g.n, j0 + plan.nc);
  const int64_t first = split * plan.split_k;
  const int64_t last = std::min(g.k, first + plan.split_k);
  const bool partial = plan.splits > 1;
  float* c = partial ? job.partials + split * g.m * g.n : g.c;
  const int64_t ldc = partial ? g.n : g.ldc;
  const int64_t whole_end = j0 + (j1 - j0) / kPanel * kPanel;  // kDirect packs what lies behind

  alignas(64) float stack[kStackFloats];
  int64_t p = first;
  do {
    const int64_t k = std::min(plan.kc, last - p);
    const float* panels = stack;
    if (plan.pack == PackB::kWhole) {
      panels = job.packed + p * plan.packed_n + j0 * k;
    } else if (plan.pack == PackB::kTile) {
      PackBlock(g, p, k, j0, j1 - j0, stack);
    } else if (whole_end < j1) {
      PackBlock(g, p, k, whole_end, j1 - whole_end, stack);
    }
    const bool done = p + k >= last && !partial;
    // While this block of B is used, the next one is prefetched, a row of 1 KiB for each 16 steps of a kernel.
    const bool prefetch = plan.pack == PackB::kTile && plan.m_tiles == 1 && p + k < last;
    const float* next = g.trans_b ? g.b + j0 * g.ldb + p + k : g.b + (p + k) * g.ldb + j0;
    const int64_t next_step = std::min<int64_t>(16, (g.trans_b ? plan.kc : j1 - j0) / 16);
    int64_t next_rows = !prefetch ? 0 : g.trans_b ? j1 - j0 : std::min(plan.kc, last - p - k);
    for (int64_t i = i0; i < i1;) {
      // Even row blocks: 32 rows are 11 + 11 + 10 rather than 12 + 12 + 8.
      const int64_t rows = Ceil(i1 - i, Ceil(i1 - i, kRows));
      Block block;
      block.a = g.trans_a ? g.a + p * g.lda + i : g.a + i * g.lda + p;
      block.a_stride = g.lda;
      block.a_ahead = g.trans_a ? kAhead * g.lda + rows - 1 : rows * g.lda;
      block.k = k;
      block.ldc = ldc;
      block.finish = {p > first || (g.accumulate && !partial), job.stream, done ? &g.epilogue : nullptr};
      for (int64_t j = j0; j < j1; j += kPanel) {
        const bool direct = plan.pack == PackB::kDirect && j < whole_end;
        block.b = direct ? g.b + p * g.ldb + j : panels + (plan.pack == PackB::kDirect ? 0 : (j - j0) * k);
        block.b_k = direct ? g.ldb : kPanel;
        block.next = next_rows > 0 ? next : stack;
        block.next_step = next_rows > 0 ? next_step : 0;
        block.next_row = next_rows > 0 ? g.ldb : 0;
        block.c = c + i * ldc + j;
        block.cols = std::min(kPanel, j1 - j);
        if (done) block.finish.MoveTo(i * ldc + j, j);
        ChooseMicro(rows, block.cols, g.trans_a)(block);
        block.a_ahead = 0;
        next += Ceil(k, kChunk) * block.next_row;
        next_rows -= Ceil(k, kChunk);
      }
      i += rows;
    }
    p += k;
  } while (p < last);
  if (job.stream) hwy::FlushStream();
}

// Adds the partials of row i in the order of k.
void ReduceRow(const Job& job, int64_t i) {
  const F32 d;
  const GemmArgs& g = job.args;
  float* c = g.c + i * g.ldc;
  for (int64_t j = 0; j < g.n; j += kLanes) {
    const int64_t left = g.n - j;
    const bool whole = left >= kLanes;
    const float* from = job.partials + i * g.n + j;
    Vec sum[] = {hn::Zero(d)};
    for (int64_t s = 0; s < job.plan.splits; ++s, from += g.m * g.n) {
      sum[0] = hn::Add(sum[0], whole ? hn::LoadU(d, from) : LoadSome(from, left));
    }
    const auto load = [&](const float* p) HWY_ATTR { return whole ? hn::LoadU(d, p) : LoadSome(p, left); };
    Finish finish = {g.accumulate, false, &g.epilogue};
    finish.MoveTo(i * g.ldc + j, j);
    Apply(sum, finish, c + j, 0, 0, 0, load);
    if (whole) {
      hn::StoreU(sum[0], d, c + j);
    } else {
      StoreSome(sum[0], c + j, left);
    }
  }
}

// A product with one column is one of a matrix and a vector: of B's panel all but one column would be zeros.
constexpr int64_t kVectorRows = 4;

void FinishRow(const GemmArgs& g, int64_t row, float sum) {
  float* c = g.c + row * g.ldc;
  if (g.accumulate) sum = *c + sum;
  *c = Finished(g.epilogue, sum, 0, row * g.ldc);
}

// Rows [row, row + R) of A, each times b.
template <int R>
HWY_INLINE void RowsTimesVector(const GemmArgs& g, int64_t row) {
  const F32 d;
  Vec sum[R];
  INGOT_UNROLL
  for (int r = 0; r < R; ++r) sum[r] = hn::Zero(d);
  const float* a = g.a + row * g.lda;
  int64_t p = 0;
  for (; p + kLanes <= g.k; p += kLanes) {
    const Vec b = hn::LoadU(d, g.b + p);
    INGOT_UNROLL
    for (int r = 0; r < R; ++r) sum[r] = hn::MulAdd(hn::LoadU(d, a + r * g.lda + p), b, sum[r]);
  }
  if (p < g.k) {
    const Vec b = LoadSome(g.b + p, g.k - p);
    INGOT_UNROLL
    for (int r = 0; r < R; ++r) sum[r] = hn::MulAdd(LoadSome(a + r * g.lda + p, g.k - p), b, sum[r]);
  }
  for (int r = 0; r < R; ++r) FinishRow(g, row + r, hn::GetLane(hn::SumOfLanes(d, sum[r])));
}

// The same for A transposed: V vectors of rows from `row` on, the last with `last` lanes.
template <int V>
HWY_INLINE void ColumnsTimesVector(const GemmArgs& g, int64_t row, int64_t last) {
  const F32 d;
  Vec sum[V];
  INGOT_UNROLL
  for (int v = 0; v < V; ++v) sum[v] = hn::Zero(d);
  const float* a = g.a + row;
  for (int64_t p = 0; p < g.k; ++p, a += g.lda) {
    const Vec b = hn::Set(d, g.b[p]);
    INGOT_UNROLL
    for (int v = 0; v < V; ++v) {
      const Vec x = v + 1 < V || last == kLanes ? hn::LoadU(d, a + v * kLanes) : LoadSome(a + v * kLanes, last);
      sum[v] = hn::MulAdd(x, b, sum[v]);
    }
  }
  HWY_ALIGN float sums[V * kLanes];
  for (int v = 0; v < V; ++v) hn::Store(sum[v], d, sums + v * kLanes);
  for (int64_t i = 0; i < (V - 1) * kLanes + last; ++i) FinishRow(g, row + i, sums[i]);
}

bool IsTimesVector(const GemmArgs& g, const GemmPlan& plan) {
  return g.n == 1 && (g.trans_b || g.ldb == 1) && (!g.trans_a || plan.serial);  // long sums are split by RunGemm
}

void TimesVector(ThreadPool& pool, const GemmArgs& g) {
  if (g.trans_a) {
    int64_t i = 0;
    for (; i + 4 * kLanes <= g.m; i += 4 * kLanes) ColumnsTimesVector<4>(g, i, kLanes);
    for (; i < g.m; i += kLanes) ColumnsTimesVector<1>(g, i, std::min(kLanes, g.m - i));
    return;
  }
  const int64_t task = RoundUp(std::max<int64_t>(1, 65536 / std::max<int64_t>(1, g.k)), kVectorRows);
  const auto rows = [&](int64_t t) HWY_ATTR {
    const int64_t end = std::min(g.m, (t + 1) * task);
    int64_t i = t * task;
    for (; i + kVectorRows <= end; i += kVectorRows) RowsTimesVector<kVectorRows>(g, i);
    for (; i < end; ++i) RowsTimesVector<1>(g, i);
  };
  const int64_t tasks = Ceil(g.m, task);
  if (tasks < 4) {
    for (int64_t t = 0; t < tasks; ++t) rows(t);
  } else {
    pool.For(tasks, rows);
  }
}

void RunGemm(ThreadPool& pool, const GemmArgs& g, const GemmPlan& plan, float* workspace) {
  if (IsTimesVector(g, plan)) return TimesVector(pool, g);
  const bool whole = plan.pack == PackB::kWhole;
  Job job = {g, plan, workspace, workspace + (whole ? g.k * plan.packed_n : 0), false};
  job.stream = !g.accumulate && plan.splits == 1 && g.k <= plan.kc && g.m * g.n >= kStreamFloats &&
               reinterpret_cast<uintptr_t>(g.c) % 64 == 0 && g.ldc % 16 == 0;
  const int64_t tiles = plan.m_tiles * plan.n_tiles * plan.splits;
  if (plan.serial) {
    if (whole) {
      for (int64_t i = 0; i < Ceil(g.k, plan.kc) * plan.n_tiles; ++i) PackTile(job, i);
    }
    for (int64_t i = 0; i < tiles; ++i) ComputeTile(job, i);
  } else {
    if (whole) pool.For(Ceil(g.k, plan.kc) * plan.n_tiles, [&job](int64_t i) { PackTile(job, i); });
    pool.For(tiles, [&job](int64_t i) { ComputeTile(job, i); });
  }
  if (plan.splits > 1) {
    const int64_t rows = std::max<int64_t>(1, 65536 / (g.n * plan.splits));  // a tile of 64 Ki additions
    pool.For(Ceil(g.m, rows), [&job, rows](int64_t t) {
      for (int64_t i = t * rows; i < std::min(job.args.m, (t + 1) * rows); ++i) ReduceRow(job, i);
    });
  }
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace ingot::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ingot::cpu {
HWY_EXPORT(RunGemm);

size_t GemmWorkspace(int64_t m, int64_t n, int64_t k, bool /*trans_a*/, bool trans_b) {
  if (m <= 0 || n <= 0) return 0;
  const GemmPlan plan = MakeGemmPlan(m, n, k, trans_b);
  const int64_t packed = plan.pack == PackB::kWhole ? k * plan.packed_n : 0;
  const int64_t partials = plan.splits > 1 ? plan.splits * m * n : 0;
  return static_cast<size_t>(packed + partials);
}

void Gemm(ThreadPool& pool, const GemmArgs& args, float* workspace) {
  if (args.m <= 0 || args.n <= 0) return;
  ChosenTargets();
  HWY_DYNAMIC_DISPATCH(RunGemm)(pool, args, MakeGemmPlan(args.m, args.n, args.k, args.trans_b), workspace);
}

}  // namespace ingot::cpu
#endif  // HWY_ONCE
