// SPDX-License-Identifier: MIT
//
// `ingot machine`: what this machine can do at most, measured.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "ingot/cli/commands.h"
#include "ingot/core/threads.h"
#include "ingot/kernels/ceilings.h"

namespace ingot {
namespace {

void Print(bool json) {
  const int cores = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  nlohmann::ordered_json all = {{"cores", cores}, {"ceilings", nlohmann::ordered_json::array()}};
  std::vector<int> counts = {1};
  std::vector<Ceilings> found;
  if (cores > 1) counts.push_back(cores);
  for (const int threads : counts) {
    ThreadPool pool(threads);
    const Ceilings& measured = found.emplace_back(MeasureCeilings(pool));
    nlohmann::ordered_json line = {{"threads", threads}, {"gflops", measured.gflops}};
    for (const Ceilings::Copy& copy : measured.copies) line["copy_gbs"][copy.name] = copy.gbs;
    all["ceilings"].push_back(line);
  }
  if (json) {
    std::printf("%s\n", all.dump().c_str());
    return;
  }
  std::printf("%-8s %18s", "threads", "multiply-add");
  for (const Ceilings::Copy& copy : found[0].copies) std::printf("  copy in %s", copy.name);
  std::printf("\n");
  for (const Ceilings& measured : found) {
    std::printf("%-8d %10.1f GFLOP/s", measured.threads, measured.gflops);
    for (const Ceilings::Copy& copy : measured.copies)
      std::printf("  %*.1f GB/s", static_cast<int>(std::strlen(copy.name)) + 3, copy.gbs);
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
