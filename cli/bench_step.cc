// SPDX-License-Identifier: MIT
//
// `ingot bench step` and `bench predict`: what one step of training, or one prediction, costs, with the data in memory.
// A step is timed as a user meets it: whole epochs of fit, divided by the steps in them.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "ingot/cli/bench_models.h"
#include "ingot/cli/commands.h"
#include "ingot/cli/output.h"
#include "ingot/core/error.h"
#include "ingot/core/plural.h"
#include "ingot/kernels/ceilings.h"
#include "ingot/train/profile.h"
#include "ingot/train/trainer.h"

namespace ingot {
namespace {

using Clock = std::chrono::steady_clock;
double Ms(Clock::time_point since) { return std::chrono::duration<double, std::milli>(Clock::now() - since).count(); }

struct Options {
  std::string model = "mlp";
  int batch = 32, threads = 0;
  double seconds = 3;
  MlpSize mlp;
  bool profile = false, json = false;
};

// The most memory that this process ever had resident.
double PeakMb() {
  std::ifstream in("/proc/self/status");
  for (std::string word; in >> word;)
    if (double kb = 0; word == "VmHWM:" && in >> kb) return kb / 1024;
  return 0;
}

// Milliseconds of one step, again and again for so many seconds.
std::vector<double> TimeSteps(Model& model, const Options& o) {
  int steps = 8;
  auto epoch = [&, data = BenchData(model, int64_t{8} * o.batch)]() mutable {
    if (data.rows() != int64_t{steps} * o.batch) data = BenchData(model, int64_t{steps} * o.batch);
    const auto begin = Clock::now();
    model.fit(data, {.batch_size = o.batch, .shuffle = false});
    return Ms(begin) / steps;
  };
  epoch();
  // Epochs long enough that what fit does once vanishes; at most as much data as is fed in a fifth of the time.
  const double row_mb = 4e-6 * static_cast<double>(model.network().inputs()[0].shape.from(1).count());
  const double most = std::min(200 * o.seconds / epoch(), 256 / (row_mb * o.batch));
  steps = static_cast<int>(std::clamp(most, 4.0, 2000.0));
  epoch();
  std::vector<double> ms;
  for (const auto begin = Clock::now(); ms.size() < 3 || Ms(begin) < 1e3 * o.seconds;) ms.push_back(epoch());
  return ms;
}

std::vector<double> TimePredictions(Model& model, const Options& o) {
  const Dataset data = BenchData(model, o.batch);
  for (int i = 0; i < 3; ++i) model.predict_on_batch(data.x);
  std::vector<double> ms;
  for (const auto begin = Clock::now(); ms.size() < 3 || Ms(begin) < 1e3 * o.seconds;) {
    const auto at = Clock::now();
    model.predict_on_batch(data.x);
    ms.push_back(Ms(at));
  }
  return ms;
}

void Measure(const Options& o, bool training) {
  if (o.model != "mlp" && (o.mlp.width != MlpSize{}.width || o.mlp.depth != MlpSize{}.depth))
    Fail("--width and --depth are for --model mlp; ", o.model, " has sizes of its own");
  ThreadPool pool(o.threads);
  Model model = BenchModel(o.model, o.mlp);
  model.state().pool = &pool;
  std::vector<double> ms = training ? TimeSteps(model, o) : TimePredictions(model, o);
  std::sort(ms.begin(), ms.end());
  const double median = ms[ms.size() / 2], least = ms.front(), peak_mb = PeakMb(), peak = MeasurePeakGflops(pool);
  const Profile steps =
      profile(model, BenchData(model, o.batch), {.training = training, .seconds = o.profile ? o.seconds : 0});
  const double gflops = steps.flops / median / 1e6;
  if (o.json) {
    nlohmann::ordered_json row = {{"engine", "ingot"},   {"what", training ? "step" : "predict"},
                                  {"model", o.model},    {"parameters", model.count_params()},
                                  {"batch", o.batch},    {"threads", pool.threads()},
                                  {"ms_median", median}, {"ms_min", least},
                                  {"gflops", gflops},    {"percent_of_peak", 100 * gflops / peak},
                                  {"peak_mb", peak_mb}};
    if (o.profile) row["profile"] = nlohmann::ordered_json::parse(steps.json());
    std::printf("%s\n", row.dump().c_str());
    return;
  }
  if (o.profile) std::fputs(steps.str().c_str(), stdout);
  std::printf("%s, batch %d, %s, a %s: median %.4f ms, least %.4f ms; %.1f GFLOP/s, %.1f %% of %.0f\n", o.model.c_str(),
              o.batch, Counted(static_cast<size_t>(pool.threads()), "thread").c_str(),
              training ? "step of training" : "prediction", median, least, gflops, 100 * gflops / peak, peak);
}

}  // namespace

void AddBenchStep(CLI::App& bench) {
  for (const bool training : {true, false}) {
    auto o = std::make_shared<Options>();
    CLI::App* command = training ? bench.add_subcommand("step", "one step of training: forward, backward, update")
                                 : bench.add_subcommand("predict", "one prediction");
    command->add_option("--model", o->model, "which")->capture_default_str()->check(CLI::IsMember(BenchModelNames()));
    AddBatch(*command, "--batch", o->batch, "rows");
    command->add_option("--threads", o->threads, "threads; 0: one for each core")
        ->capture_default_str()
        ->check(CLI::Range(0, 1024));
    command->add_option("--seconds", o->seconds, "how long to measure")
        ->capture_default_str()
        ->check(NumberFrom(0.01, 3600));
    command->add_option("--width", o->mlp.width, "of mlp: the width of its hidden layers")
        ->capture_default_str()
        ->check(CLI::Range(1, 65536));
    command->add_option("--depth", o->mlp.depth, "of mlp: how many hidden layers")
        ->capture_default_str()
        ->check(CLI::Range(1, 10000));
    command->add_flag("--profile", o->profile, "print what each step of the plan costs");
    command->add_flag("--json", o->json, "print one line of JSON");
    command->callback([o, training] { Measure(*o, training); });
  }
}

}  // namespace ingot
