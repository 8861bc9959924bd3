// SPDX-License-Identifier: MIT
//
// `ingot bench kernels`: each main kernel alone, held against the ceilings that `ingot machine` measures. What it must
// at least compute takes some time at the cores' peak, what it must at least move some time at the speed of copying as
// many bytes as it has operands, which lie in whichever cache they fit: the longer of both is what the machine allows,
// and the percentage says how near the kernel comes. Above 100 % are kernels that read more than they write, for which
// copying is no ceiling, and convolutions that need fewer multiplications than the direct ones.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <bit>
#include <chrono>
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "ingot/bench/kernel_specs.h"
#include "ingot/cli/commands.h"
#include "ingot/cli/output.h"
#include "ingot/core/error.h"
#include "ingot/kernels/ceilings.h"

namespace ingot {
namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  std::string filter;
  double seconds = 0.2;
  int threads = 0;
  bool json = false;
};

class Ceilings {
 public:
  explicit Ceilings(ThreadPool& pool) : pool_(pool), gflops_(MeasurePeakGflops(pool)) {}
  double gflops() const { return gflops_; }
  // Of copying where so many bytes lie, shared among all threads.
  double CopyGBs(size_t bytes) {
    const size_t each = std::bit_ceil(std::max<size_t>(16384, bytes / static_cast<size_t>(pool_.threads())));
    const auto [it, fresh] = copies_.try_emplace(each);
    if (fresh) it->second = MeasureCopyGBs(pool_, each);
    return it->second;
  }

 private:
  ThreadPool& pool_;
  double gflops_;
  std::map<size_t, double> copies_;
};

std::vector<double> SortedMicroseconds(const PreparedCall& call, double seconds) {
  const auto now = [] { return Clock::now(); };
  const auto us = [](auto since) { return std::chrono::duration<double, std::micro>(Clock::now() - since).count(); };
  for (int i = 0; i < 3; ++i) call.Run();
  std::vector<double> times;
  for (const auto begin = now(); times.size() < 3 || us(begin) < 1e6 * seconds;) {
    const auto at = now();
    call.Run();
    times.push_back(us(at));
  }
  std::sort(times.begin(), times.end());
  return times;
}

void Measure(const Options& o) {
  ThreadPool pool(o.threads);
  Ceilings ceilings(pool);
  if (!o.json)
    std::printf("%d threads, at most %.0f GFLOP/s\n%-56s %10s %10s %9s %8s  %-13s %8s\n", pool.threads(),
                ceilings.gflops(), "kernel/model/shapes", "median us", "least us", "GFLOP/s", "GB/s", "bound by",
                "ceiling");
  bool any = false;
  for (const KernelSpec& spec : KernelSpecs()) {
    if (spec.name.find(o.filter) == std::string::npos) continue;
    any = true;
    const PreparedCall call(spec, pool);
    const std::vector<double> us = SortedMicroseconds(call, o.seconds);
    const Cost cost = call.cost();
    const double median = us[us.size() / 2], copy = ceilings.CopyGBs(call.bytes());
    const double compute_us = cost.flops / ceilings.gflops() / 1e3, move_us = cost.bytes / copy / 1e3;
    const double gflops = cost.flops / median / 1e3, gbs = cost.bytes / median / 1e3;
    const char* bound = compute_us > move_us ? "arithmetic" : "bandwidth";
    const double percent = 100 * std::max(compute_us, move_us) / median;
    if (o.json)
      std::printf("%s\n", nlohmann::ordered_json{{"kernel", spec.name},
                                                 {"threads", pool.threads()},
                                                 {"us_median", median},
                                                 {"us_min", us.front()},
                                                 {"gflops", gflops},
                                                 {"gbs", gbs},
                                                 {"peak_gflops", ceilings.gflops()},
                                                 {"copy_gbs", copy},
                                                 {"bound_by", bound},
                                                 {"percent_of_ceiling", percent}}
                              .dump()
                              .c_str());
    else
      std::printf("%-56s %10.2f %10.2f %9.1f %8.1f  %-13s %6.1f %%\n", spec.name.c_str(), median, us.front(), gflops,
                  gbs, bound, percent);
    std::fflush(stdout);
  }
  if (!any) Fail("no kernel's name contains '", o.filter, "'; `ingot bench kernels --seconds 0` lists all");
}

}  // namespace

void AddBenchKernels(CLI::App& bench) {
  auto o = std::make_shared<Options>();
  CLI::App* command = bench.add_subcommand("kernels", "each main kernel alone, against what the machine can do");
  command->add_option("--filter", o->filter, "only kernels whose names contain this");
  command->add_option("--seconds", o->seconds, "how long to measure each")
      ->capture_default_str()
      ->check(NumberFrom(0, 3600));
  command->add_option("--threads", o->threads, "threads; 0: one for each core")
      ->capture_default_str()
      ->check(CLI::Range(0, 1024));
  command->add_flag("--json", o->json, "print a line of JSON for each");
  command->callback([o] { Measure(*o); });
}

}  // namespace ingot
