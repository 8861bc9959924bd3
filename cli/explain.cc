// SPDX-License-Identifier: MIT
//
// `ingot explain`: what holds back the training of a model on arrays of .npy files.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "ingot/cli/arrays.h"
#include "ingot/cli/commands.h"
#include "ingot/cli/output.h"
#include "ingot/ingot.h"

namespace ingot {
namespace {

struct Options {
  std::string model, tensorboard;
  std::vector<std::string> x, y;
  int batch_size = 32, histogram_freq = 0;
  bool shuffle = true, json = false;
  double validation_split = 0, seconds = 30;
};

void ExplainModel(const Options& o) {
  Model model = load_model(o.model);
  Callbacks callbacks;
  if (!o.tensorboard.empty()) callbacks.push_back(TensorBoard(o.tensorboard, {.histogram_freq = o.histogram_freq}));
  const Explanation found = explain(model, Dataset(ReadNpyFiles(o.x), ReadNpyFiles(o.y)),
                                    {.fit = {.batch_size = o.batch_size,
                                             .callbacks = callbacks,
                                             .validation_split = o.validation_split,
                                             .shuffle = o.shuffle},
                                     .seconds = o.seconds});
  if (o.json)
    std::printf("%s\n", found.json().c_str());
  else
    std::fputs(Printable(found.str(), true).c_str(), stdout);
}

}  // namespace

void AddExplain(CLI::App& app) {
  auto o = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "explain",
      "what holds training back, in words: watches an epoch and tries a few steps otherwise; nothing is saved");
  command->add_option("MODEL", o->model, "a saved model: .ingot, .keras or .h5")->required();
  command->add_option("--x", o->x, "inputs, an .npy file for each")->required();
  command->add_option("--y", o->y, "targets, an .npy file for each output")->required();
  AddBatch(*command, "--batch-size", o->batch_size, "rows at once");
  command->add_flag("--shuffle,!--no-shuffle", o->shuffle,
                    "draw the order of rows anew each epoch, or not (default: --shuffle)");
  command->add_option("--validation-split", o->validation_split, "the part of the rows, the last ones, to validate on")
      ->check(NumberFrom(0, 1));
  CLI::Option* board =
      command->add_option("--tensorboard", o->tensorboard, "a folder to log to, as TensorBoard reads it")
          ->check(NamesAFile());
  command->add_option("--histogram-freq", o->histogram_freq, "histograms of the weights there, every so many epochs")
      ->needs(board)
      ->check(CLI::Range(0, 1 << 30));
  command->add_option("--seconds", o->seconds, "watch the epoch for so long at most")
      ->capture_default_str()
      ->check(NumberFrom(0.01, 86400));
  command->add_flag("--json", o->json, "print one line of JSON");
  command->callback([o] { ExplainModel(*o); });
}

}  // namespace ingot
