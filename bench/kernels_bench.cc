// SPDX-License-Identifier: MIT
//
// What the main kernels cost, each alone, reached as plans reach them: through the backend. Arithmetic and traffic are
// those of plan(): GFLOP and GB a second of the least that a call must do and move. kernel_specs.h lists them.
//   build/ingot_bench --benchmark_filter=Conv
#include <benchmark/benchmark.h>

#include "ingot/bench/kernel_specs.h"

namespace ingot {
namespace {

void Time(benchmark::State& state, const KernelSpec& spec) {
  const PreparedCall prepared(spec, ThreadPool::Default());
  for (auto _ : state) {
    prepared.Run();
    benchmark::ClobberMemory();
  }
  const Cost cost = prepared.cost();
  const auto rate = [](double amount) {
    return benchmark::Counter(amount / 1e9, benchmark::Counter::kIsIterationInvariantRate);
  };
  if (cost.flops > 0) state.counters["GFLOP"] = rate(cost.flops);
  state.counters["GB"] = rate(cost.bytes);
}

}  // namespace
}  // namespace ingot

int main(int argc, char** argv) {
  static const std::vector<ingot::KernelSpec> specs = ingot::KernelSpecs();
  for (const ingot::KernelSpec& spec : specs)
    benchmark::RegisterBenchmark(spec.name.c_str(), [&spec](benchmark::State& state) { ingot::Time(state, spec); })
        ->UseRealTime()
        ->Unit(benchmark::kMicrosecond);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
