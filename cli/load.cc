// SPDX-License-Identifier: MIT
//
// `ingot load-report`: where the time and the memory of loading a model go, phase by phase.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "ingot/cli/commands.h"
#include "ingot/cli/fresh_process.h"
#include "ingot/cli/output.h"
#include "ingot/ingot.h"

namespace ingot {
namespace {

using Json = nlohmann::json;

struct Options {
  std::string file, mode = "map";
  int batch_size = 32;
  bool cold = false, json = false;
};

Json Measure(const Options& o, bool cold) {
  if (cold) DropFromPageCache(o.file);
  const FirstUse use{.batch_size = o.batch_size, .mode = LoadModeNamed(o.mode)};
  return InFreshProcess([&] {
    const LoadReport report = measure_load(o.file, use);
    Json answer = Json::parse(report.json());
    answer["text"] = report.str();
    return answer;
  });
}

// By how much each phase was shorter once the file was in memory.
void PrintSaved(const Json& cold, const Json& warm) {
  std::printf("A warm page cache saves %.1f ms:", cold["ms"].get<double>() - warm["ms"].get<double>());
  const char* before = " ";
  for (const Json& c : cold["phases"])
    for (const Json& w : warm["phases"])
      if (c["phase"] == w["phase"] && c["disk_bytes"] > w["disk_bytes"]) {
        std::printf("%s%.1f of %s", before, c["ms"].get<double>() - w["ms"].get<double>(),
                    c["phase"].get<std::string>().c_str());
        before = ", ";
      }
  std::printf("\n");
}

void Report(const Options& o) {
  Json cold;
  if (o.cold) cold = Measure(o, true);
  Measure(o, false);  // so that the file is in memory for the next
  Json warm = Measure(o, false);
  if (!o.json) {
    if (o.cold)
      std::printf("Cold: the file was not in memory\n\n%s\nWarm\n\n", cold["text"].get<std::string>().c_str());
    std::printf("%s", warm["text"].get<std::string>().c_str());
    if (o.cold) std::printf("\n"), PrintSaved(cold, warm);
    return;
  }
  warm.erase("text");
  Json answer = {{"file", o.file}, {"mode", o.mode}, {"batch_size", o.batch_size}, {"warm", warm}};
  if (o.cold) cold.erase("text"), answer["cold"] = cold;
  std::printf("%s\n", Line(answer).c_str());
}

}  // namespace

void AddLoad(CLI::App& app) {
  auto o = std::make_shared<Options>();
  CLI::App* report = app.add_subcommand(
      "load-report",
      "what loading a model costs, phase by phase, to the end of its first prediction and training step");
  report->add_option("FILE", o->file, "a saved model: .ingot, .keras or .h5")->required();
  report->add_option("--mode", o->mode, "how to load: map (copy-on-write), share (read-only) or read (all of it, now)")
      ->capture_default_str()
      ->check(CLI::IsMember({"map", "share", "read"}));
  AddBatch(*report, "--batch-size", o->batch_size, "rows of the first prediction and step");
  report->add_flag("--cold", o->cold, "also with the file dropped from memory first, and what that costs");
  report->add_flag("--json", o->json, "as one line of JSON");
  report->callback([o] { Report(*o); });
}

}  // namespace ingot
