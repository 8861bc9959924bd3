// SPDX-License-Identifier: MIT
//
// `ingot bench load`: loading, to the end of the first prediction and of the first training step, and saving, in every
// format and mode. Each measurement has a process of its own.
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>

#include "ingot/cli/commands.h"
#include "ingot/cli/fresh_process.h"
#include "ingot/core/median.h"
#include "ingot/core/memory.h"
#include "ingot/ingot.h"

namespace ingot {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using Clock = std::chrono::steady_clock;

struct Size {
  const char* name;
  int width, layers;
};
constexpr Size kTiny = {"tiny", 16, 1};
constexpr Size kSizes[] = {{"50k", 64, 1}, {"19m", 2880, 3}, {"177m", 9216, 3}};
constexpr const char* kExtensions[] = {".ingot", ".keras", ".h5", ".weights.h5", ".safetensors", ".npz"};

struct Options {
  std::string folder, file, save, mode = "map";
  std::vector<std::string> sizes = {"50k", "19m", "177m"}, formats;
  int repeat = 5, processes = 0;
  bool cold = false, json = false;
};

class Scratch {  // a temporary folder
 public:
  Scratch() {
    std::string name = (fs::temp_directory_path() / "ingot-bench.XXXXXX").string();
    if (!mkdtemp(name.data())) Fail(name, ": cannot be made");
    path_ = name;
  }
  ~Scratch() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

double Ms(Clock::time_point since) { return std::chrono::duration<double, std::milli>(Clock::now() - since).count(); }

Model Mlp(const Size& size, bool initialize) {
  std::vector<Layer> layers = {Input({784})};
  for (int i = 0; i < size.layers; ++i) layers.push_back(Dense(size.width, {.activation = "relu"}));
  layers.push_back(Dense(10, {.activation = "softmax"}));
  Model model = Sequential(layers, {.seed = 1, .initialize = initialize});
  model.compile({.optimizer = "adam", .loss = "sparse_categorical_crossentropy"});
  return model;
}

void Step(Model& model) { model.train_on_batch({Array({32, 784})}, {Array({32}, DType::kInt32)}); }

std::string PathOf(const Options& o, const Size& size, const std::string& extension) {
  return (fs::path(o.folder) / (std::string("mlp-") + size.name + extension)).string();
}

// One file of each format, of a model that was trained for a step. Gives how long each save took; nothing where all of
// them are there already.
Json Make(const Options& o, const Size& size) {
  if (std::all_of(o.formats.begin(), o.formats.end(),
                  [&](const std::string& extension) { return fs::exists(PathOf(o, size, extension)); }))
    return Json::object();
  return InFreshProcess([&] {
    Model model = Mlp(size, true);
    Step(model);
    Json saved;
    for (const std::string& extension : o.formats) {
      const std::string path = PathOf(o, size, extension);
      std::vector<double> ms;
      for (int i = 0; i < 3; ++i) {
        const auto begin = Clock::now();
        model.save(path);
        ms.push_back(Ms(begin));
      }
      saved[extension] = Median(ms);
    }
    return saved;
  });
}

Model LoadOf(const Size& size, const std::string& path, LoadMode mode) {
  const bool holds_model =
      path.ends_with(".ingot") || path.ends_with(".keras") || (path.ends_with(".h5") && !path.ends_with(".weights.h5"));
  if (holds_model) return load_model(path, {.mode = mode});
  Model model = Mlp(size, false);
  model.load_weights(path, {.mode = mode});
  return model;
}

double ResidentMb() { return static_cast<double>(MemoryOfProcess().resident) / 1048576; }

enum class Then { kNothing, kPredict, kTrain };

// What the first load of a process costs beyond its file, which is the code that it brings in, is no matter of the
// file: a tiny one of the same format goes before, and has a figure of its own.
double FirstOfProcess(const std::string& tiny, LoadMode mode) {
  ThreadPool::Default();  // whose threads a program has anyway
  const auto begin = Clock::now();
  LoadOf(kTiny, tiny, mode);
  return Ms(begin);
}

void MakeTiny(const std::string& path) {
  InFreshProcess([&] {
    Model model = Mlp(kTiny, true);
    Step(model);
    model.save(path);
    return Json();
  });
}

// Milliseconds to load, and to the end of what follows.
Json Once(const Size& size, const std::string& path, const std::string& tiny, LoadMode mode, Then then) {
  return InFreshProcess([&] {
    WarmMemoryFor(path);
    const double first = FirstOfProcess(tiny, mode);
    const double before = ResidentMb();
    const auto begin = Clock::now();
    Model model = LoadOf(size, path, mode);
    const double load = Ms(begin);
    if (then == Then::kPredict) model.predict_on_batch({Array({32, 784})});
    if (then == Then::kTrain) Step(model);
    const double all = Ms(begin);
    return Json{{"first", first}, {"load", load}, {"all", all}, {"resident", ResidentMb() - before}};
  });
}

void Print(const Options& o, const Json& row) {
  if (o.json) {
    std::printf("%s\n", row.dump().c_str());
  } else {
    std::printf("%-5s %-12s %-5s %-5s", row["params"].get<std::string>().c_str(),
                row["format"].get<std::string>().c_str(), row["mode"].get<std::string>().c_str(),
                row["cold"].get<bool>() ? "cold" : "warm");
    struct Column {
      const char* key;
      int width, digits;
    };
    for (const Column& c : {Column{"file_mb", 8, 1},
                            {"first_load_ms", 9, 3},
                            {"load_ms", 9, 3},
                            {"first_predict_ms", 12, 1},
                            {"first_step_ms", 10, 1},
                            {"resident_mb", 11, 1},
                            {"save_ms", 9, 1}}) {
      if (row.contains(c.key))
        std::printf(" %*.*f", c.width, c.digits, row[c.key].get<double>());
      else
        std::printf(" %*s", c.width, "-");  // not run: what is shared cannot be trained
    }
    std::printf("\n");
  }
  std::fflush(stdout);
}

void Measure(const Options& o, const Size& size, const std::string& extension, const Json& saved, LoadMode mode,
             bool cold) {
  const std::string path = PathOf(o, size, extension), tiny = PathOf(o, kTiny, extension);
  if (!fs::exists(tiny)) MakeTiny(tiny);
  const auto run = [&](Then then) {
    (cold ? DropFromPageCache : BringIntoPageCache)(path);
    return Once(size, path, tiny, mode, then);
  };
  std::vector<double> first, load, predict, train, resident;
  for (int i = 0; i < o.repeat; ++i) {
    const Json p = run(Then::kPredict);
    first.push_back(p["first"]), load.push_back(p["load"]), predict.push_back(p["all"]);
    if (mode == LoadMode::kShare) continue;
    const Json t = run(Then::kTrain);
    first.push_back(t["first"]), load.push_back(t["load"]), train.push_back(t["all"]);
    resident.push_back(t["resident"]);
  }
  Json row = {{"engine", "ingot"},
              {"params", size.name},
              {"format", extension.substr(1)},
              {"mode", Name(mode)},
              {"cold", cold},
              {"file_mb", static_cast<double>(fs::file_size(path)) / 1e6},
              {"load_ms", Median(load)},
              {"load_ms_min", *std::min_element(load.begin(), load.end())},
              {"first_load_ms", Median(first)},
              {"first_predict_ms", Median(predict)},
              {"first_predict_ms_min", *std::min_element(predict.begin(), predict.end())}};
  if (saved.contains(extension)) row["save_ms"] = saved[extension];
  if (!train.empty()) {
    row["first_step_ms"] = Median(train);
    row["first_step_ms_min"] = *std::min_element(train.begin(), train.end());
    row["resident_mb"] = Median(resident);
  }
  Print(o, row);
}

// Of a process: its pages, each divided by how many processes have it.
double ProportionalMb(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/smaps_rollup");
  std::string word;
  double kb = 0;
  while (in >> word)
    if (word == "Pss:") {
      in >> kb;
      break;
    }
  return kb / 1024;
}

// n processes that load the model to share it, predict, and wait while their memory is counted.
void Share(const Options& o, const Size& size, int n) {
  const std::string path = PathOf(o, size, ".ingot");
  int ready[2], go[2];
  if (pipe(ready) != 0 || pipe(go) != 0) Fail("pipes cannot be made");
  std::fflush(nullptr);
  std::vector<pid_t> children;
  for (int i = 0; i < n; ++i) {
    const pid_t child = fork();
    if (child < 0) Fail("a child process cannot be started");
    if (child > 0) {
      children.push_back(child);
      continue;
    }
    close(go[1]), close(ready[0]);
    // Closed as soon as all is said: whoever has it keeps the parent waiting for a child that was killed.
    const auto say = [&](double value) {
      if (write(ready[1], &value, sizeof value) != sizeof value) _exit(1);
      close(ready[1]);
    };
    try {
      const auto begin = Clock::now();
      Model model = load_model(path, {.mode = LoadMode::kShare});
      model.predict_on_batch({Array({32, 784})});
      say(Ms(begin));
      char end;
      if (read(go[0], &end, 1) < 0) _exit(1);  // until the parent has counted
    } catch (const std::exception& e) {
      std::fprintf(stderr, "ingot: %s\n", e.what());
      say(-1);
    }
    _exit(0);
  }
  close(go[0]), close(ready[1]);
  std::vector<double> ms;
  for (double one = -1; read(ready[0], &one, sizeof one) == sizeof one;)
    if (one >= 0) ms.push_back(one);
  double pss = 0;
  for (const pid_t child : children) pss += ProportionalMb(child);
  close(go[1]), close(ready[0]);
  for (const pid_t child : children) waitpid(child, nullptr, 0);
  if (ms.size() != static_cast<size_t>(n))
    Fail(path, ": ", static_cast<size_t>(n) - ms.size(), " of ", n, " processes could not load it");
  const Json row = {{"engine", "ingot"},
                    {"params", size.name},
                    {"format", "ingot"},
                    {"mode", "share"},
                    {"processes", n},
                    {"pss_mb", pss},
                    {"model_mb", static_cast<double>(fs::file_size(path)) / 3e6},
                    {"ms_median", Median(ms)},
                    {"ms_max", *std::max_element(ms.begin(), ms.end())}};
  if (o.json)
    std::printf("%s\n", row.dump().c_str());
  else
    std::printf("%s mlp-%s: %.1f MB proportional in all (weights %.1f MB), load and predict %.1f ms each\n",
                n == 1 ? "1 process shares" : (std::to_string(n) + " processes share").c_str(), size.name, pss,
                row["model_mb"].get<double>(), Median(ms));
}

// One file of any origin, once, in this process: for scripts that let others take turns.
void RunFile(const Options& o) {
  const LoadMode mode = LoadModeNamed(o.mode);
  const Scratch scratch;
  const std::string tiny = (scratch.path() / ("tiny" + fs::path(o.file).extension().string())).string();
  MakeTiny(tiny);
  WarmMemoryFor(o.file);
  const double first = FirstOfProcess(tiny, mode);
  const auto begin = Clock::now();
  Model model = load_model(o.file, {.mode = mode});
  Json row = {
      {"engine", "ingot"}, {"file", o.file}, {"mode", o.mode}, {"first_load_ms", first}, {"load_ms", Ms(begin)}};
  if (mode != LoadMode::kShare && model.compiled()) {
    Step(model);
    row["first_step_ms"] = Ms(begin);
  }
  if (!o.save.empty()) {
    const auto saving = Clock::now();
    model.save(o.save);
    row["save_ms"] = Ms(saving);
  }
  std::printf("%s\n", row.dump().c_str());
}

void RunLoad(Options o) {
  if (!o.file.empty()) return RunFile(o);
  if (o.processes) {
    for (const std::string& format : o.formats)
      if (format != ".ingot") Fail("--processes: ", format, " files cannot be shared; .ingot is what processes share");
    o.formats = {".ingot"};
  }
  if (o.formats.empty()) o.formats.assign(std::begin(kExtensions), std::end(kExtensions));
  std::optional<Scratch> scratch;
  if (o.folder.empty()) o.folder = scratch.emplace().path().string();
  fs::create_directories(o.folder);
  if (!o.json && !o.processes)
    std::printf("%-5s %-12s %-5s %-5s %8s %9s %9s %12s %10s %11s %9s\n", "model", "format", "mode", "cache", "file MB",
                "first ms", "load ms", "predicted ms", "trained ms", "resident MB", "save ms");
  for (const Size& size : kSizes) {
    if (std::find(o.sizes.begin(), o.sizes.end(), size.name) == o.sizes.end()) continue;
    const Json saved = Make(o, size);
    for (const std::string& extension : o.formats) {
      if (o.processes) break;
      for (const LoadMode mode : {LoadMode::kMap, LoadMode::kShare, LoadMode::kRead}) {
        Measure(o, size, extension, saved, mode, false);
        if (o.cold) Measure(o, size, extension, saved, mode, true);
      }
    }
    for (int n = 1; n <= o.processes; n *= 2) Share(o, size, n);
    if (scratch)
      for (const std::string& extension : o.formats) fs::remove(PathOf(o, size, extension));
  }
}

}  // namespace

void AddBenchLoad(CLI::App& bench) {
  auto o = std::make_shared<Options>();
  CLI::App* load = bench.add_subcommand(
      "load", "load an MLP with Adam's state, to the end of a prediction and of a training step, in each format");
  load->add_option("--params", o->sizes, "of these sizes: 50k, 19m, 177m")
      ->delimiter(',')
      ->check(CLI::IsMember({"50k", "19m", "177m"}));
  load->add_option("--formats", o->formats, "of these formats, by extension: .ingot,.h5")
      ->delimiter(',')
      ->check(CLI::IsMember(std::vector<std::string>(std::begin(kExtensions), std::end(kExtensions))));
  load->add_option("--repeat", o->repeat, "how often")->capture_default_str()->check(CLI::Range(1, 1000));
  load->add_option("--dir", o->folder,
                   "a folder for the files (of up to 14 GB), which stay there; those that are there are used. Else a\n"
                   "temporary one");
  load->add_option("--processes", o->processes,
                   "instead: 1, 2, 4, ... up to so many processes share one .ingot file; their memory")
      ->check(CLI::Range(1, 256));
  CLI::Option* file = load->add_option("--file", o->file, "instead: this model of 784 inputs and 10 classes, once");
  load->add_option("--mode", o->mode, "how to load that file")
      ->needs(file)
      ->check(CLI::IsMember({"map", "share", "read"}));
  load->add_option("--save", o->save, "and save it here")->needs(file);
  load->add_flag("--cold", o->cold, "also with the file dropped from memory each time");
  load->add_flag("--json", o->json, "print a line of JSON for each");
  load->callback([o] { RunLoad(*o); });
}

}  // namespace ingot
