// SPDX-License-Identifier: MIT
//
// What the main kernels cost, each alone, reached as plans reach them: through the backend. Arithmetic and traffic are
// those of plan(): GFLOP and GB a second of the least that a call must do and move. Shapes are those of the demo's CNN
// at a batch of 128, and a few of matrices.
//   build/ingot_bench --benchmark_filter=Conv
#include <benchmark/benchmark.h>

#include <cstring>
#include <utility>
#include <vector>

#include "ingot/core/memory.h"
#include "ingot/core/random.h"
#include "ingot/core/threads.h"
#include "ingot/kernels/kernels.h"
#include "ingot/kernels/updates.h"

namespace ingot {
namespace {

struct Spec {
  const char* name;
  Kernel kernel;
  std::vector<Shape> in, out;
  Attrs attrs{};
};

// Memory as plans have it: one arena, filled with numbers between 0 and 1, which every kernel can work on.
class Prepared {
 public:
  explicit Prepared(const Spec& spec) : spec_(spec), hyper_(8, 1e-3f) {
    for (const Shape& shape : spec.in) in_.push_back({nullptr, shape});
    for (const Shape& shape : spec.out) out_.push_back({nullptr, shape});
    size_t bytes = 0;
    for (auto* list : {&in_, &out_})
      for (const Operand& o : *list) bytes += AlignUp(o.bytes());
    arena_ = Block(bytes, "the operands of a benchmark");
    size_t at = 0;
    Random random({1, 0, 0});
    for (auto* list : {&in_, &out_})
      for (Operand& o : *list) {
        o.data = arena_.data() + at;
        at += AlignUp(o.bytes());
        for (int64_t i = 0; i < o.count(); ++i) o.f()[i] = random.Uniform();
      }
    // Updates move their weights and slots in place.
    for (size_t i = 0; spec.kernel == Kernel::kUpdate && i < out_.size(); ++i) out_[i].data = in_[i ? i + 1 : 0].data;
    run_.pool = &ThreadPool::Default();
    run_.hyper = hyper_.data();
    workspace_ = Block(CpuBackend().WorkspaceBytes(spec.kernel, call()), "the workspace of a benchmark");
  }
  Call call() { return {in_, out_, &spec_.attrs, workspace_.size() ? workspace_.data() : nullptr, &run_}; }

 private:
  const Spec& spec_;
  std::vector<float> hyper_;
  std::vector<Operand> in_, out_;
  Block arena_, workspace_;
  Run run_;
};

void Time(benchmark::State& state, const Spec& spec) {
  Prepared prepared(spec);
  const KernelFn fn = CpuBackend().Resolve(spec.kernel);
  const Call call = prepared.call();
  for (auto _ : state) {
    fn(call);
    benchmark::ClobberMemory();
  }
  const Cost cost = CostOf(spec.kernel, call);
  const auto rate = [](double amount) {
    return benchmark::Counter(amount / 1e9, benchmark::Counter::kIsIterationInvariantRate);
  };
  if (cost.flops > 0) state.counters["GFLOP"] = rate(cost.flops);
  state.counters["GB"] = rate(cost.bytes);
}

constexpr int64_t kBatch = 128;

std::vector<Spec> Specs() {
  std::vector<Spec> all;
  const auto gemm = [&](const char* name, int64_t m, int64_t k, int64_t n) {
    all.push_back({name, Kernel::kGemm, {{m, k}, {k, n}, {n}}, {{m, n}}, GemmAttrs{false, false, {}}});
  };
  gemm("Gemm/128x784x64", kBatch, 784, 64);
  gemm("Gemm/512x512x512", 512, 512, 512);
  gemm("Gemm/1024x1024x1024", 1024, 1024, 1024);

  const auto conv = [&](const char* forward, const char* input, const char* kernel, int64_t size, int64_t c,
                        int64_t k) {
    const Shape x{kBatch, size, size, c}, w{3, 3, c, k}, y{kBatch, size - 2, size - 2, k};
    ConvAttrs attrs;
    all.push_back({input, Kernel::kConv2DGradInput, {y, w}, {x}, attrs});
    all.push_back({kernel, Kernel::kConv2DGradKernel, {x, y}, {w}, attrs});
    attrs.epilogue.slope = 0;
    all.push_back({forward, Kernel::kConv2D, {x, w, {k}}, {y}, attrs});
  };
  conv("Conv3x3/28x28x1to64", "Conv3x3GradInput/28x28x1to64", "Conv3x3GradKernel/28x28x1to64", 28, 1, 64);
  conv("Conv3x3/13x13x64to32", "Conv3x3GradInput/13x13x64to32", "Conv3x3GradKernel/13x13x64to32", 13, 64, 32);

  const Shape x{kBatch, 26, 26, 64}, c{64};
  const BatchNormAttrs norm{{1e-3f, 0.99f}};
  all.push_back({"BatchNorm/26x26x64", Kernel::kBatchNorm, {x, c, c, c, c}, {x, c, c}, norm});
  all.push_back({"BatchNormGrad/26x26x64", Kernel::kBatchNormGrad, {x, c, c, c, x}, {x, c, c}, norm});
  all.push_back({"Softmax/4096x1000", Kernel::kSoftmax, {{4096, 1000}}, {{4096, 1000}}, AxisAttrs{1}});
  const Shape w{int64_t{1} << 20};
  const UpdateAttrs adam{static_cast<uint16_t>(UpdateFormula::kAdam), {0.1f, 0.001f, 1e-7f}, false, 1};
  all.push_back({"UpdateAdam/1Mi", Kernel::kUpdate, {w, w, w, w}, {w, w, w}, adam});
  return all;
}

}  // namespace
}  // namespace ingot

int main(int argc, char** argv) {
  static const std::vector<ingot::Spec> specs = ingot::Specs();
  for (const ingot::Spec& spec : specs)
    benchmark::RegisterBenchmark(spec.name, [&spec](benchmark::State& state) { ingot::Time(state, spec); })
        ->UseRealTime()
        ->Unit(benchmark::kMicrosecond);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
