// SPDX-License-Identifier: MIT
//
// `ingot bench data`: how fast data is made ready. Images a second for normalizing pictures, in the ways it can be
// written; and an epoch of training over a map that takes its time, against the longer of both: with threads and
// prefetch the shorter should vanish behind it.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "ingot/cli/commands.h"
#include "ingot/ingot.h"

namespace ingot {
namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  int images = 20000, batch = 128, threads = 4, repeats = 7;
  double map_us = 50;
  std::string only{};
  bool json = false, spin = false;
};

// Of several runs.
struct Seconds {
  double median = 0, least = 0;
};
template <class F>
Seconds Time(int repeats, const F& f) {
  std::vector<double> times;
  for (int i = 0; i < repeats; ++i) {
    const auto begin = Clock::now();
    f();
    times.push_back(std::chrono::duration<double>(Clock::now() - begin).count());
  }
  std::sort(times.begin(), times.end());
  return {times[times.size() / 2], times[0]};
}

void Report(const Options& o, const std::string& what, double median, double best, const char* unit) {
  if (o.json) {
    const nlohmann::ordered_json line{{"what", what}, {"median", median}, {"best", best}, {"unit", unit}};
    std::printf("%s\n", line.dump().c_str());
  } else {
    std::printf("%-56s %12.6g %12.6g %s\n", what.c_str(), median, best, unit);
  }
}

// One epoch, each batch taken and dropped.
void Drain(const Dataset& data) {
  auto reader = data.read();
  for (Sample s; reader.next(s);) {
  }
}

void Normalize(const Options& o) {
  Array x({o.images, 28, 28, 1}, DType::kUint8), y({o.images}, DType::kInt32);
  for (uint32_t i = 0; uint8_t & v : x.as<uint8_t>()) v = static_cast<uint8_t>(i++ * 2654435761u >> 24);
  const Dataset data = Dataset::from_arrays(x, y);
  const Scaler scaler = StandardScaler::fit(data);
  const auto time = [&](const std::string& how, const Dataset& pipeline) {
    const Seconds s = Time(o.repeats, [&] { Drain(pipeline); });
    Report(o, "normalize, " + how, o.images / s.median, o.images / s.least, "images/s");
  };
  time("map, batch", data.map(scaler).batch(o.batch));
  time("batch, map", data.batch(o.batch).map(scaler));
  time("batch, map, prefetch", data.batch(o.batch).map(scaler).prefetch(2));
  time("batch, map on 2 threads", data.batch(o.batch).map(scaler, {.threads = 2}));
  time("shuffle, map on 2 threads, batch", data.shuffle(o.images).map(scaler, {.threads = 2}).batch(o.batch));
  const Seconds fit = Time(o.repeats, [&] { StandardScaler::fit(data); });
  Report(o, "fit of the scaler", o.images / fit.median, o.images / fit.least, "images/s");
}

// The map waits, as for a disk, or computes; the step is that of a small dense model.
void Overlap(const Options& o) {
  const Dataset data = Digits(std::min<int64_t>(o.images, 40 * o.batch), 1);
  const auto wait = std::chrono::duration<double, std::micro>(o.map_us);
  const auto slow = [wait, spin = o.spin](Sample&) {
    const auto until = Clock::now() + wait;
    if (!spin) return std::this_thread::sleep_until(until);
    while (Clock::now() < until) {
    }
  };
  const Dataset plain = data.batch(o.batch);
  const Dataset mapped = data.map(slow, {.threads = o.threads}).batch(o.batch).prefetch(4);
  for (const int width : {64, 512, 2048}) {
    Model model = Sequential(
        {Input({28, 28, 1}), Flatten(), Dense(width, {.activation = "relu"}), Dense(10, {.activation = "softmax"})});
    model.compile({.optimizer = "adam", .loss = "sparse_categorical_crossentropy"});
    model.fit(plain);
    constexpr int kEpochs = 4;
    const auto epoch = [&](const Dataset& d) {
      const Seconds s = Time(o.repeats, [&] { model.fit(d, {.epochs = kEpochs}); });
      return Seconds{s.median / kEpochs, s.least / kEpochs};
    };
    const Seconds step = epoch(plain), map = Time(o.repeats, [&] { Drain(mapped); }), both = epoch(mapped);
    const std::string of = "dense " + std::to_string(width) + ", an epoch of ";
    const auto percent = [&](double whole, double longer) { return 100 * (whole / longer - 1); };
    Report(o, of + "steps alone", 1e3 * step.median, 1e3 * step.least, "ms");
    Report(o, of + "maps alone", 1e3 * map.median, 1e3 * map.least, "ms");
    Report(o, of + "both", 1e3 * both.median, 1e3 * both.least, "ms");
    Report(o, of + "both, more than the longer", percent(both.median, std::max(step.median, map.median)),
           percent(both.least, std::max(step.least, map.least)), "%");
  }
}

}  // namespace

void AddBenchData(CLI::App& bench) {
  auto o = std::make_shared<Options>();
  CLI::App* data = bench.add_subcommand("data", "data pipelines: normalizing images, and a slow map behind training");
  data->add_option("--only", o->only, "one of both")->check(CLI::IsMember({"normalize", "overlap"}));
  data->add_option("--images", o->images, "of 28x28")->capture_default_str()->check(CLI::Range(1, 1 << 24));
  data->add_option("--batch", o->batch, "rows")->capture_default_str()->check(CLI::Range(1, 65536));
  data->add_option("--threads", o->threads, "of the slow map")->capture_default_str()->check(CLI::Range(0, 1024));
  data->add_option("--map-us", o->map_us, "what it takes for each element")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1e6));
  data->add_flag("--spin", o->spin, "it computes all that time; else it waits");
  data->add_option("--repeats", o->repeats, "the median and the best of so many are reported")
      ->capture_default_str()
      ->check(CLI::Range(1, 10000));
  data->add_flag("--json", o->json, "print lines of JSON");
  data->callback([o] {
    if (o->only != "overlap") Normalize(*o);
    if (o->only != "normalize") Overlap(*o);
  });
}

}  // namespace ingot
