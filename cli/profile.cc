// SPDX-License-Identifier: MIT
//
// `ingot profile`: where the time of training a model goes, or of its predictions.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "ingot/cli/arrays.h"
#include "ingot/cli/bench_models.h"
#include "ingot/cli/commands.h"
#include "ingot/cli/output.h"
#include "ingot/core/error.h"
#include "ingot/core/random.h"
#include "ingot/core/trace.h"
#include "ingot/ingot.h"
#include "ingot/train/trainer.h"

namespace ingot {
namespace {

struct Options {
  std::string model, trace;
  std::vector<std::string> x, y;
  int batch = 32, threads = 0;
  size_t top = 40;
  double seconds = 1;
  bool predict = false, json = false;
};

// A file of that name goes before a model of bench.
Model ModelOf(const std::string& name, bool compiled) {
  const auto& names = BenchModelNames();
  std::error_code missing;
  if (!std::filesystem::exists(name, missing) && std::find(names.begin(), names.end(), name) != names.end())
    return BenchModel(name);
  return load_model(name, {.compile = compiled});
}

// As many rows as `batches` take: random inputs where there is no file.
Dataset DataOf(const Model& model, const Options& o, int64_t batches) {
  if (!o.x.empty()) return {ReadNpyFiles(o.x), o.predict ? Arrays{} : ReadNpyFiles(o.y)};
  Dataset data = ExampleBatch(model.state(), batches * o.batch, !o.predict, "profile");
  Random random({1, 0, 0});
  for (Array& x : data.x)
    if (x.dtype() == DType::kFloat32)
      for (float& v : x.floats()) v = 2 * random.Uniform() - 1;
  return data;
}

void ProfileModel(const Options& o) {
  std::vector<std::string> inputs = o.x;
  inputs.insert(inputs.end(), o.y.begin(), o.y.end());
  inputs.push_back(o.model);
  if (!o.trace.empty()) CheckTarget("--trace", o.trace, inputs);
  if (!o.x.empty() && o.y.empty() && !o.predict) Fail("--x without --y: give the targets too, or --predict");
  ThreadPool pool(o.threads);
  Model model = ModelOf(o.model, !o.predict);
  model.state().pool = &pool;
  Profile result;
  if (o.predict) {
    Dataset data = DataOf(model, o, 1);
    if (data.rows() > o.batch) data = data.slice(0, o.batch);
    result = profile(model, data, {.training = false, .seconds = o.seconds});
  } else {
    model.state().RequireCompiled("profile");
    const Dataset few = DataOf(model, o, 1);
    model.fit(few, {.batch_size = o.batch, .steps_per_epoch = 1});  // makes what is made once
    // An epoch of at most a second's steps, and at most 256 MiB of inputs, again and again.
    const auto clock = Trace::Now();
    model.fit(few, {.batch_size = o.batch, .steps_per_epoch = 3});
    const double each = 1e-9 * static_cast<double>(Trace::Now() - clock) / 3;
    size_t bytes = 0;
    for (const Array& x : few.x) bytes += x.bytes();
    const double most = std::min(o.seconds / each, 268435456.0 / static_cast<double>(std::max<size_t>(1, bytes)));
    const Dataset data = o.x.empty() ? DataOf(model, o, static_cast<int64_t>(std::clamp(most, 4.0, 1000.0))) : few;
    const int64_t batches = (data.rows() + o.batch - 1) / o.batch;
    // Where the data are more than the time is, a part of an epoch.
    const double steps = std::max(4.0, o.seconds / each);
    FitOptions fit{.batch_size = o.batch, .profile = &result};
    if (steps < static_cast<double>(batches))
      fit.steps_per_epoch = static_cast<int>(std::min(steps, 1e9));
    else
      fit.epochs = static_cast<int>(std::min(steps / static_cast<double>(batches), 1e6));
    model.fit(data, fit);
  }
  if (!o.trace.empty()) result.write_trace(o.trace);
  if (o.json)
    std::printf("%s\n", result.json().c_str());
  else
    std::fputs(Printable(result.str(o.top ? o.top : SIZE_MAX), true).c_str(), stdout);
}

}  // namespace

void AddProfile(CLI::App& app) {
  auto o = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "profile",
      "where the time of training goes: by phase, by layer, by step of the plan, against this machine's most");
  std::string names;
  for (const std::string& name : BenchModelNames()) names += ", " + name;
  command->add_option("MODEL", o->model, "a file that holds a model, or one that bench knows" + names)->required();
  AddBatch(*command, "--batch", o->batch, "rows");
  CLI::Option* x = command->add_option("--x", o->x, "inputs, an .npy file for each; without, random ones");
  CLI::Option* y = command->add_option("--y", o->y, "targets, an .npy file for each output")->needs(x);
  command->add_flag("--predict", o->predict, "of predictions")->excludes(y);
  command->add_option("--seconds", o->seconds, "how long to measure")
      ->capture_default_str()
      ->check(NumberFrom(0.01, 3600));
  command->add_option("--threads", o->threads, "threads; 0: one for each core")
      ->capture_default_str()
      ->check(CLI::Range(0, 1024));
  command->add_option("--top", o->top, "so many layers and steps, the dearest; 0: all")->capture_default_str();
  command->add_option("--trace", o->trace, "where to write what each thread did when, for ui.perfetto.dev")
      ->check(NamesAFile());
  command->add_flag("--json", o->json, "print one line of JSON");
  command->callback([o] { ProfileModel(*o); });
}

}  // namespace ingot
