// SPDX-License-Identifier: MIT
//
// Can loading be sped up when many processes define the model? In the slow case 4 processes each read the same HDF5
// file and predict. It is mended in two ways: 4 processes that map one .ingot file read-only, so that its weights are
// in memory once; and one process that loads once and has 4 threads, each with a predictor() over the same weights.
//
// An interpreter's lock, SavedModel and a strategy that mirrors a model on several devices have no like here: ingot's
// threads share no lock, its own format stands for SavedModel, and its one device is the CPU.
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "measure.h"
#include "processes.h"

using namespace ingot;
using namespace measure;

namespace {

constexpr int kWorkers = 4, kBatches = 10;

Array Rows(int64_t n) {
  Random random({3});
  Array x({n, 784});
  for (float& v : x.floats()) v = random.Uniform();
  return x;
}

Model Mlp(int64_t width) {
  Model model = Sequential({Input({784}), Dense(width, {.activation = "relu"}), Dense(width, {.activation = "relu"}),
                            Dense(10, {.activation = "softmax"})},
                           {.seed = 3});
  model.compile({.optimizer = "adam", .loss = "sparse_categorical_crossentropy"});
  return model;
}

// In a worker. What it answers: seconds of loading, and a number that shows what it predicted.
void Load(const std::string& how, const std::string& path) {
  const Array x = Rows(32);
  const auto predict = [&](auto&& model) {
    Array y;
    for (int i = 0; i < kBatches; ++i) y = model.predict_on_batch({x})[0];
    return y.floats()[3];
  };
  Model model;
  const LoadMode mode = how == "share" ? LoadMode::kShare : LoadMode::kRead;
  const double seconds = Seconds([&] { model = load_model(path, {.mode = mode}); });
  if (how != "predictors" && how != "copies") return Worker::Answer({seconds, predict(model)});

  // Handed on to threads: as it is, or to each a copy.
  double said[kWorkers];
  std::vector<Model> copies(kWorkers);
  std::vector<std::thread> threads;
  for (int i = 0; i < kWorkers; ++i)
    threads.emplace_back([&, i] {
      if (how == "predictors") {
        said[i] = predict(model.predictor());
      } else {
        copies[i] = clone_model(model, {.initialize = false});
        copies[i].set_weights(model.get_weights());
        said[i] = predict(copies[i]);
      }
    });
  for (std::thread& t : threads) t.join();
  Worker::Answer({seconds, said[kWorkers - 1]});
}

// In a worker: images a second, trained in batches of that size.
void Train(int batch, int64_t width, int steps) {
  Model model = Mlp(width);
  const Dataset data = Dataset::from_arrays(Rows(batch * steps), Array({batch * steps}, DType::kInt32));
  model.fit(data.take(2 * batch), {.batch_size = batch});
  Worker::Answer({batch * steps / Seconds([&] { model.fit(data, {.batch_size = batch}); })});
}

// Workers together: from their start until the last has predicted, the load of the slowest, and memory of all.
struct Crew {
  double seconds = 0, load = 0, mb = 0, said = 0;
  Crew(int count, const std::string& how, const std::string& path) {
    std::vector<Worker> workers;
    seconds = Seconds([&] {
      for (int i = 0; i < count; ++i) {
        const std::string own = how == "own" ? std::to_string(i) + path : path;
        workers.emplace_back(std::vector<std::string>{"load", how, own});
      }
      for (Worker& w : workers) load = std::max(load, w.Number()), said = w.Number();
    });
    for (const Worker& w : workers) mb += w.ProportionalMb();
  }
};

double Together(int count, int threads, int batch, int64_t width, int steps) {
  std::vector<Worker> workers;
  for (int i = 0; i < count; ++i)
    workers.emplace_back(
        std::vector<std::string>{"train", std::to_string(batch), std::to_string(width), std::to_string(steps)},
        threads);
  double sum = 0;
  for (Worker& w : workers) sum += w.Number();
  return sum;
}

}  // namespace

int main(int argc, char** argv) try {
  const std::vector<std::string> args(argv + 1, argv + argc);
  if (args.size() == 3 && args[0] == "load") return Load(args[1], args[2]), 0;
  if (args.size() == 4 && args[0] == "train")
    return Train(std::stoi(args[1]), std::stoi(args[2]), std::stoi(args[3])), 0;
  const bool small = Small(argc, argv);
  const int rounds = small ? 1 : 5;
  const int64_t width = small ? 256 : 2048;
  const std::string full = "question_3.h5", bare = "question_3_bare.h5", ingot = "question_3.ingot";
  Leftovers leftovers{{full, bare, ingot}};
  for (int i = 0; i < kWorkers; ++i) leftovers.paths.push_back(std::to_string(i) + full);
  Model model = Mlp(width);
  model.save(bare);  // no step done yet, so no state of the optimizer
  Array labels({32}, DType::kInt32);
  for (int i = 0; i < 32; ++i) labels.as<int32_t>()[i] = i % 10;
  model.train_on_batch({Rows(32)}, {labels});
  model.save(full), model.save(ingot);
  const double expected = [&] {
    const Array y = model.predict(Rows(32));
    return y.floats()[3];
  }();

  for (int i = 0; i < kWorkers; ++i)
    std::filesystem::copy_file(full, std::to_string(i) + full, std::filesystem::copy_options::overwrite_existing);
  const auto size = [](const std::string& path) { return static_cast<double>(std::filesystem::file_size(path)) / 1e6; };

  struct Side {
    int count;
    std::string how, path;
    std::vector<double> seconds{}, load{}, mb{};
  };
  enum { kAlone, kFour, kOwn, kShared, kThreads, kCopies };
  std::vector<Side> sides = {{1, "read", full},          {kWorkers, "read", full}, {kWorkers, "own", full},
                             {kWorkers, "share", ingot}, {1, "predictors", full},  {1, "copies", full}};
  for (int round = 0; round < rounds; ++round)
    for (Side& s : sides) {
      const Crew crew(s.count, s.how, s.path);
      if (std::abs(crew.said - expected) > 1e-4) Fail("workers that ", s.how, " ", s.path, " predict otherwise");
      s.seconds.push_back(crew.seconds), s.load.push_back(crew.load), s.mb.push_back(crew.mb);
    }
  const auto seconds = [&](int i) { return Median(sides[i].seconds); };
  const auto load = [&](int i) { return Median(sides[i].load); };
  const auto mb = [&](int i) { return Median(sides[i].mb); };

  Report report("3. Can loading be sped up when many processes define the model?");
  const int cores = ThreadPool::Default().threads();
  std::printf("(%.0f MB of weights; seconds from the start of the processes to their last of %d predictions)\n",
              4e-6 * static_cast<double>(model.count_params()), kBatches);
  report.Row("4 processes: each reads .h5 : all share .ingot", seconds(kFour), seconds(kShared));
  report.Row("their memory, shared pages divided among them", mb(kFour), mb(kShared), "MB");
  const double once =
      report.Row("4 processes read .h5 : 1 reads, 4 threads predict", seconds(kFour), seconds(kThreads));
  report.Row("their memory", mb(kFour), mb(kThreads), "MB");
  const double copies =
      report.Row("4 threads: a copy of the model each : a predictor each", seconds(kCopies), seconds(kThreads));
  report.Row("their memory", mb(kCopies), mb(kThreads), "MB");
  report.Row("loading .h5: the slowest of 4 at once : one alone", load(kFour), load(kAlone));
  const double contention =
      report.Row("loading .h5, 4 at once: all the same file : each its own", load(kFour), load(kOwn));
  const double of_all = load(kFour) / seconds(kFour);
  report.Claim(
      "The interpreter's lock and the contention for the file are the bottleneck.",
      Both(contention >= kNoticed, of_all >= 0.5),
      Printed("there is no interpreter here. Loading takes %.0f %% of the time of the slow case; %.1f times as "
              "long as one alone, %.2f times as long as with a file for each, on %d cores",
              100 * of_all, load(kFour) / load(kAlone), contention, cores));
  report.Claim(
      "Handing a loaded model to workers saves the loading (or does it pay again, in copying?).",
      Both(once >= kNoticed, copies < kNoticed),
      Printed("%.1f times as fast as loading in each process; copies for the threads take %.2f times as long as "
              "predictors, which copy nothing, and %.0f MB more",
              once, copies, mb(kCopies) - mb(kThreads)));

  const auto read = [](const std::string& path, LoadMode mode) { return [=] { load_model(path, {.mode = mode}); }; };
  const auto loads = InTurns(small ? 3 : 21, {read(full, LoadMode::kRead), read(bare, LoadMode::kRead),
                                              read(ingot, LoadMode::kRead), read(ingot, LoadMode::kShare)});
  const double format = report.Row("loading alone: .h5 read : .ingot read", loads[0], loads[2]);
  const double mapped = report.Row("loading alone: .h5 read : .ingot shared", loads[0], loads[3]);
  const double metadata = report.Row("loading .h5 alone: with the optimizer's state : without", loads[0], loads[1]);
  report.Claim(
      "SavedModel loads faster than HDF5; removing metadata helps.", Both(format >= kNoticed, metadata >= kNoticed),
      Printed(".ingot stands for SavedModel: %.2f times as fast read, %.1f times mapped; of %.0f MB of HDF5 %.0f "
              "are the optimizer's state, without which it loads %.2f times as fast",
              format, mapped, size(full), size(full) - size(bare), metadata));

  // Hand-made data parallelism at its best: each process trains on its part, and nothing is exchanged.
  const int steps = small ? 5 : 20;
  std::vector<double> parts, whole;
  for (int round = 0; round < rounds; ++round) {
    parts.push_back(Together(cores, 1, 256 / cores, width / 4, cores * steps));
    whole.push_back(Together(1, 0, 256, width / 4, steps));
  }
  const double part = Median(parts), all = Median(whole);
  report.Row(Printed("training, images/s: 1 process on %d cores : %d processes on 1", cores, cores), all, part, "");
  report.Claim("Mirrored data-parallel training makes hand-made processes unnecessary.",
               all >= part / kNoticed          ? Verdict::kHolds
               : all > part / cores * kNoticed ? Verdict::kInPart
                                               : Verdict::kDoesNot,
               Printed("of the cores of one machine: one process reaches %.2f of what %d processes reach that exchange "
                       "nothing, and so train %d models. Several devices cannot be tested here",
                       all / part, cores, cores));
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "question_3_many_processes: %s\n", e.what());
  return 1;
}
