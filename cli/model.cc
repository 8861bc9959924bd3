// SPDX-License-Identifier: MIT
//
// `ingot predict`, `evaluate` and `fit`: a saved model of any format, on arrays of .npy files.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "ingot/cli/arrays.h"
#include "ingot/cli/commands.h"
#include "ingot/cli/output.h"
#include "ingot/ingot.h"
#include "ingot/io/atomic_file.h"

namespace ingot {
namespace {

struct Options {
  std::string model, out, history, tensorboard;
  std::vector<std::string> x, y;
  int batch_size = 32, epochs = 1, histogram_freq = 0;
  bool shuffle = true;
  double validation_split = 0;
};

Dataset DataOf(const Options& o) {
  Dataset data;
  data.x = ReadNpyFiles(o.x);
  data.y = ReadNpyFiles(o.y);
  return data;
}

std::vector<std::string> Joined(std::vector<std::string> a, const std::vector<std::string>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// With several outputs: out.npy, out_1.npy, ...
std::string Numbered(const std::string& path, size_t i) {
  if (i == 0) return path;
  const size_t dot = path.size() - 4;  // it ends in .npy
  return path.substr(0, dot) + "_" + std::to_string(i) + path.substr(dot);
}

void Predict(const Options& o) {
  CheckTarget("--out", o.out);
  Model model = load_model(o.model, {.compile = false});
  for (size_t i = 0; i < model.network().outputs().size(); ++i)
    CheckTarget("--out", Numbered(o.out, i), Joined({o.model}, o.x));
  const Arrays outputs = model.predict(ReadNpyFiles(o.x), o.batch_size);
  for (size_t i = 0; i < outputs.size(); ++i) {
    WriteNpyFile(Numbered(o.out, i), outputs[i]);
    std::printf("%s %s\n", Numbered(o.out, i).c_str(), outputs[i].shape().str().c_str());
  }
}

void Evaluate(const Options& o) {
  Model model = load_model(o.model);
  Json json;
  for (const auto& [name, value] : model.evaluate(DataOf(o), o.batch_size)) json[name] = value;
  std::printf("%s\n", Line(json).c_str());
}

void Fit(const Options& o) {
  std::vector<std::string> files = Joined(o.x, o.y);
  if (!o.out.empty()) FormatOf(o.out), CheckTarget("--out", o.out, files);  // MODEL itself may be replaced
  files.push_back(o.model);
  if (!o.out.empty()) files.push_back(o.out);
  if (!o.history.empty()) CheckTarget("--history", o.history, files);
  Model model = load_model(o.model);
  // Progress is for who looks on: scripts find errors on standard error and nothing else.
  const int verbose = isatty(STDERR_FILENO) ? 1 : 0;
  Callbacks callbacks;
  if (!o.tensorboard.empty()) callbacks.push_back(TensorBoard(o.tensorboard, {.histogram_freq = o.histogram_freq}));
  const History history = model.fit(DataOf(o), {.batch_size = o.batch_size,
                                                .epochs = o.epochs,
                                                .verbose = verbose,
                                                .callbacks = callbacks,
                                                .validation_split = o.validation_split,
                                                .shuffle = o.shuffle,
                                                .stop_on_interrupt = true});
  Json json;
  for (const auto& [name, values] : history.history) json[name] = values;
  json["batch_loss"] = history.batch_loss;
  if (!o.out.empty()) model.save(o.out);
  if (o.history.empty()) {
    std::printf("%s\n", Line(json).c_str());
    return;
  }
  const std::string text = Line(json) + "\n";
  AtomicFile file(o.history);
  file.Write(text.data(), text.size());
  file.Commit();
}

CLI::App* Command(CLI::App& app, const char* name, const char* about, const std::shared_ptr<Options>& o) {
  CLI::App* command = app.add_subcommand(name, about);
  command->add_option("MODEL", o->model, "a saved model: .ingot, .keras or .h5")->required();
  command->add_option("--x", o->x, "inputs, an .npy file for each")->required();
  AddBatch(*command, "--batch-size", o->batch_size, "rows at once");
  return command;
}

}  // namespace

void AddModel(CLI::App& app) {
  auto o = std::make_shared<Options>();
  CLI::App* predict = Command(app, "predict", "what a model predicts for inputs", o);
  predict->add_option("--out", o->out, "where to write it, as .npy; a second output goes beside it, as ..._1.npy")
      ->required()
      ->check(NamesAFile())
      ->check(NamesAnNpyFile());
  predict->callback([o] { Predict(*o); });

  CLI::App* evaluate = Command(app, "evaluate", "loss and metrics of a compiled model, as JSON", o);
  evaluate->add_option("--y", o->y, "targets, an .npy file for each output")->required();
  evaluate->callback([o] { Evaluate(*o); });

  CLI::App* fit = Command(app, "fit",
                          "train a model further, with its own optimizer and where that stopped; prints the history as "
                          "JSON, with batch_loss, the running mean behind each batch",
                          o);
  fit->add_option("--y", o->y, "targets, an .npy file for each output")->required();
  fit->add_option("--epochs", o->epochs, "how often over all rows")
      ->capture_default_str()
      ->check(CLI::Range(0, 1 << 30));
  fit->add_flag("--shuffle,!--no-shuffle", o->shuffle,
                "draw the order of rows anew each epoch, or not (default: --shuffle)");
  fit->add_option("--validation-split", o->validation_split, "the part of the rows, the last ones, to validate on")
      ->check(NumberFrom(0, 1));
  fit->add_option("--out", o->out, "where to save the trained model; without --out it is not kept")
      ->check(NamesAFile());
  fit->add_option("--history", o->history, "where to write the history as JSON, instead of standard output")
      ->check(NamesAFile());
  CLI::Option* board = fit->add_option("--tensorboard", o->tensorboard, "a folder to log to, as TensorBoard reads it")
                           ->check(NamesAFile());
  fit->add_option("--histogram-freq", o->histogram_freq, "histograms of the weights there, every so many epochs")
      ->needs(board)
      ->check(CLI::Range(0, 1 << 30));
  fit->callback([o] { Fit(*o); });
}

}  // namespace ingot
