// SPDX-License-Identifier: MIT
//
// `ingot demo`: trains the CNN on digits, saves it, loads it again, goes on training, and says what each cost.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "ingot/cli/commands.h"
#include "ingot/cli/output.h"
#include "ingot/core/memory.h"
#include "ingot/core/plural.h"
#include "ingot/ingot.h"

namespace ingot {
namespace {

using Clock = std::chrono::steady_clock;
double Ms(Clock::time_point since) { return std::chrono::duration<double, std::milli>(Clock::now() - since).count(); }

struct Options {
  std::string data, out = "digits.ingot";
  int64_t rows = 40000, test_rows = 5000;
  int epochs = 4, batch = 128;
  uint64_t seed = 1;
};

Model Cnn(const Shape& image, uint64_t seed) {
  return Sequential(
      {
          Input(image),
          Conv2D(64, {3, 3}, {.activation = "relu", .kernel_regularizer = L2(1e-3f)}),
          BatchNormalization(),
          MaxPooling2D({2, 2}),
          Conv2D(32, {3, 3}, {.activation = "relu", .kernel_regularizer = L2(1e-3f)}),
          BatchNormalization(),
          MaxPooling2D({2, 2}),
          Flatten(),
          Dropout(0.5),
          Dense(10, {.activation = "softmax"}),
      },
      {.seed = seed});
}

void RunDemo(const Options& o) {
  if (!o.out.empty()) FormatOf(o.out), CheckTarget("--out", o.out);
  const auto drawing = Clock::now();
  ImageData data;
  if (o.data.empty())
    data = {Digits(o.rows, o.seed), Digits(o.test_rows, o.seed, o.rows)};
  else
    data = LoadImages(o.data);
  std::printf("%s %lld images to train on, %lld to test on (%.0f ms)\n",
              o.data.empty() ? "Drew digits from strokes (no download; see data/digits.h):" : "Read",
              static_cast<long long>(data.train.rows()), static_cast<long long>(data.test.rows()), Ms(drawing));

  const auto building = Clock::now();
  Model model = Cnn(data.train.x[0].shape().from(1), o.seed);
  model.compile(
      {.optimizer = Adam({.learning_rate = 1e-3}), .loss = "sparse_categorical_crossentropy", .metrics = {"accuracy"}});
  std::printf("Built and compiled the model in %.2f ms\n\n%s\n", Ms(building), model.summary().c_str());
  std::fflush(stdout);

  const auto training = Clock::now();
  const History history = model.fit(data.train, {.batch_size = o.batch,
                                                 .epochs = o.epochs,
                                                 .verbose = 1,
                                                 .validation_data = data.test,
                                                 .stop_on_interrupt = true});
  const double train_ms = Ms(training);
  const Logs before = model.evaluate(data.test, 256);
  std::printf("\nTrained %s in %.1f s; accuracy on unseen images %.2f %%\n",
              Counted(history.epoch.size(), "epoch").c_str(), train_ms / 1e3, 100 * before["accuracy"]);

  const auto saving = Clock::now();
  model.save(o.out);
  const double save_ms = Ms(saving);
  const auto loading = Clock::now();
  Model again = load_model(o.out);
  const double load_ms = Ms(loading);
  const auto stepping = Clock::now();
  const Dataset batch = data.train.slice(0, std::min<int64_t>(o.batch, data.train.rows()));
  const Logs after = again.evaluate(data.test, 256);
  if (after["loss"] != before["loss"])
    Fail("the loaded model gives the loss ", after["loss"], ", the saved one gave ", before["loss"]);
  const auto first_step = Clock::now();
  again.train_on_batch(batch.x, batch.y);
  std::printf("Saved %s (%s, weights and optimizer) in %.2f ms, synced to disk\n", o.out.c_str(),
              HumanBytes(std::filesystem::file_size(o.out)).c_str(), save_ms);
  std::printf("Loaded it, ready to train on, in %.2f ms; its first training step took %.2f ms\n", load_ms,
              Ms(first_step));
  std::printf("The loaded model gives the same loss, bit for bit (%.6f), in %.0f ms\n", after["loss"], Ms(stepping));
}

}  // namespace

void AddDemo(CLI::App& app) {
  auto o = std::make_shared<Options>();
  CLI::App* demo = app.add_subcommand("demo", "train the CNN on digits, save it, load it, show what each cost");
  demo->add_option("--data", o->data,
                   "a folder with MNIST's, Fashion-MNIST's or CIFAR-10's files; digits are drawn otherwise");
  demo->add_option("--out", o->out, "where to save the model")->capture_default_str();
  demo->add_option("--rows", o->rows, "digits to draw for training")
      ->capture_default_str()
      ->check(CLI::Range(1, 10000000));
  demo->add_option("--epochs", o->epochs, "how often over all of them")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  AddBatch(*demo, "--batch-size", o->batch, "rows of a step");
  // CLI11 would take -1 for the largest number of 64 bits.
  demo->add_option("--seed", o->seed, "0 or more; the same seed gives the same run")
      ->capture_default_str()
      ->check([](const std::string& text) {
        const bool digits = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
        return digits ? std::string() : "'" + text + "' is not a whole number of 0 or more";
      });
  demo->callback([o] { RunDemo(*o); });
}

}  // namespace ingot
