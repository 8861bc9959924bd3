// SPDX-License-Identifier: MIT
//
// `ingot bench create`: what it costs to make and compile the 784-64-10 model over and over in one process.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>

#include "ingot/cli/commands.h"
#include "ingot/core/median.h"
#include "ingot/core/memory.h"
#include "ingot/core/plural.h"
#include "ingot/ingot.h"

namespace ingot {
namespace {

using Clock = std::chrono::steady_clock;

double ResidentMb() { return static_cast<double>(MemoryOfProcess().resident) / 1048576; }

struct CreateOptions {
  int models = 10000, alive = 1;
  bool fit = false, json = false;
};

void RunCreate(const CreateOptions& o) {
  const Array x({32, 784}), y({32}, DType::kInt32);
  std::vector<std::optional<Model>> held(static_cast<size_t>(o.alive));
  std::vector<double> ms;
  ms.reserve(static_cast<size_t>(o.models));
  // Resident memory is read once as many models are alive as ever will be, and as many have gone: what is left is
  // growth.
  const int warm = std::max(5, 2 * o.alive);
  double resident = 0;
  for (int i = -warm; i < o.models; ++i) {
    if (i == 0) resident = ResidentMb();
    const auto begin = Clock::now();
    Model model = Sequential({Input({784}), Dense(64, {.activation = "relu"}), Dense(10, {.activation = "softmax"})});
    model.compile({.optimizer = "adam", .loss = "sparse_categorical_crossentropy"});
    if (o.fit) model.train_on_batch({x}, {y});
    held[static_cast<size_t>((i + warm) % o.alive)] = std::move(model);
    if (i >= 0) ms.push_back(std::chrono::duration<double, std::milli>(Clock::now() - begin).count());
  }
  const size_t tenth = std::max<size_t>(1, ms.size() / 10);
  const double first = Median<double>({ms.begin(), ms.begin() + static_cast<std::ptrdiff_t>(tenth)});
  const double last = Median<double>({ms.end() - static_cast<std::ptrdiff_t>(tenth), ms.end()});
  const double growth = ResidentMb() - resident;
  if (o.json)
    std::printf(
        "{\"engine\": \"ingot\", \"fit\": %s, \"alive\": %d, \"models\": %d, \"ms_first\": %.4f, \"ms_last\": %.4f, "
        "\"rss_growth_mb\": %.2f}\n",
        o.fit ? "true" : "false", o.alive, o.models, first, last, growth);
  else
    std::printf(
        "%s made and compiled%s, %d alive: %.4f ms each over the first tenth, %.4f over the last; %.2f MB more "
        "resident\n",
        Counted(static_cast<size_t>(o.models), "model").c_str(), o.fit ? " and trained for a step" : "", o.alive, first,
        last, growth);
}

}  // namespace

void AddBench(CLI::App& app) {
  CLI::App* bench = app.add_subcommand("bench", "time parts of ingot: create, load, step, predict");
  bench->require_subcommand(1);
  auto o = std::make_shared<CreateOptions>();
  CLI::App* create =
      bench->add_subcommand("create", "make and compile the 784-64-10 model over and over in one process");
  create->add_option("--models", o->models, "how many")->capture_default_str()->check(CLI::Range(1, 100000000));
  create->add_option("--alive", o->alive, "how many are alive at once")
      ->capture_default_str()
      ->check(CLI::Range(1, 100000));
  create->add_flag("--fit", o->fit, "train each for one step");
  create->add_flag("--json", o->json, "print one line of JSON");
  create->callback([o] { RunCreate(*o); });
  AddBenchData(*bench);
  AddBenchLoad(*bench);
  AddBenchKernels(*bench);
  AddBenchStep(*bench);
}

}  // namespace ingot
