// SPDX-License-Identifier: MIT
//
// `ingot machine`: what this machine can do at most, measured.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>
#include <vector>

#include "ingot/cli/commands.h"
#include "ingot/core/threads.h"
#include "ingot/kernels/ceilings.h"

namespace ingot {
namespace {

constexpr std::pair<const char*, size_t> kSizes[] = {{"16 KiB", size_t{16} << 10},
                                                     {"256 KiB", size_t{256} << 10},
                                                     {"4 MiB", size_t{4} << 20},
                                                     {"256 MiB", size_t{256} << 20}};

void Print(bool json) {
  const int cores = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  nlohmann::ordered_json all = {{"cores", cores}, {"ceilings", nlohmann::ordered_json::array()}};
  std::vector<int> counts = {1};
  if (cores > 1) counts.push_back(cores);
  for (const int threads : counts) {
    ThreadPool pool(threads);
    nlohmann::ordered_json line = {{"threads", threads}, {"gflops", MeasurePeakGflops(pool)}};
    for (const auto& [name, bytes] : kSizes) line["copy_gbs"][name] = MeasureCopyGBs(pool, bytes);
    all["ceilings"].push_back(line);
  }
  if (json) {
    std::printf("%s\n", all.dump().c_str());
    return;
  }
  std::printf("%-8s %18s", "threads", "multiply-add");
  for (const auto& [name, bytes] : kSizes) std::printf("  copy in %s", name);
  std::printf("\n");
  for (const auto& line : all["ceilings"]) {
    std::printf("%-8d %10.1f GFLOP/s", line["threads"].get<int>(), line["gflops"].get<double>());
    for (const auto& [name, bytes] : kSizes)
      std::printf("  %*.1f GB/s", static_cast<int>(std::string(name).size()) + 3, line["copy_gbs"][name].get<double>());
    std::printf("\n");
  }
}

}  // namespace

void AddMachine(CLI::App& app) {
  auto json = std::make_shared<bool>(false);
  CLI::App* command = app.add_subcommand(
      "machine",
      "measure what this machine can do at most: arithmetic, and copying in each thread's caches and memory");
  command->add_flag("--json", *json, "print one line of JSON");
  command->callback([json] { Print(*json); });
}

}  // namespace ingot
