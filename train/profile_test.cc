// SPDX-License-Identifier: MIT
#include "ingot/train/profile.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "ingot/ingot.h"
#include "ingot/tests/folder.h"
#include "ingot/train/recorder.h"

namespace ingot {
namespace {

using std::chrono::milliseconds;

Model Small() {
  Model model = Sequential({Input({8}), Dense(16, {.activation = "relu", .name = "first"}), Dense(3, {.name = "last"})},
                           {.seed = 1});
  model.compile({.optimizer = "adam", .loss = "mse"});
  return model;
}

Dataset Numbers(int64_t n) {
  Array x({n, 8}), y({n, 3});
  Random random({1, 2, 3});
  for (float& v : x.floats()) v = random.Uniform();
  for (float& v : y.floats()) v = random.Uniform();
  return {{x}, {y}};
}

class ProfileTrace : public testing::InFolder {};

nlohmann::json Traced(const Profile& profile, const std::string& path) {
  profile.write_trace(path);
  std::ifstream in(path);
  return nlohmann::json::parse(in);
}

// Each thread has a name, and what one does lies in or beside what it does else. What each did, by its name.
std::map<std::string, std::vector<std::string>> CheckTrace(const nlohmann::json& trace) {
  std::map<int64_t, std::string> threads;
  std::map<int64_t, std::vector<int64_t>> open;  // ends of what began and has not ended
  std::map<int64_t, int64_t> last;
  std::map<std::string, std::vector<std::string>> done;
  for (const nlohmann::json& e : trace.at("traceEvents")) {
    const std::string kind = e.at("ph"), name = e.at("name");
    if (kind == "M") {
      if (name == "thread_name") threads[e.at("tid")] = e.at("args").at("name");
      continue;
    }
    EXPECT_EQ(kind, "X");
    const int64_t id = e.at("tid");
    EXPECT_TRUE(threads.contains(id)) << "thread " << id << " has no name";
    const auto nanoseconds = [&](const char* key) { return std::llround(1000 * e.at(key).get<double>()); };
    const int64_t begin = nanoseconds("ts"), end = begin + nanoseconds("dur");
    EXPECT_GE(begin, last[id]) << name;
    EXPECT_GE(end, begin) << name;
    last[id] = begin;
    std::vector<int64_t>& ends = open[id];
    while (!ends.empty() && ends.back() <= begin) ends.pop_back();
    if (!ends.empty()) {
      EXPECT_LE(end, ends.back()) << name << " ends behind what it lies in";
    }
    ends.push_back(end);
    done[threads[id]].push_back(name);
  }
  return done;
}

int64_t CountOf(const std::vector<std::string>& names, const std::string& name) {
  return std::count(names.begin(), names.end(), name);
}

TEST(Profile, OfAStepHasAllStepsOfThePlan) {
  Model model = Small();
  const Profile p = profile(model, Numbers(4), {.seconds = 0.01});
  EXPECT_EQ(p.batch, 4);
  EXPECT_GT(p.ms_median, 0);
  EXPECT_LE(p.ms_min, p.ms_median);
  EXPECT_EQ(p.looked_into, (p.steps_done + 1) / 2 + 1);  // the first three, then every second
  std::map<std::string, int> phases;
  for (const Profile::Part& part : p.steps) {
    ++phases[part.phase];
    EXPECT_GT(part.ms, 0) << part.kernel;
    EXPECT_GT(p.bound(part).ms, 0) << part.kernel;
  }
  EXPECT_GE(phases["forward"], 2);
  EXPECT_GE(phases["backward"], 2);
  EXPECT_GE(phases["update"], 1);
  // Layers are sums of steps.
  double steps = 0, layers = 0;
  for (const Profile::Part& part : p.steps) steps += part.ms;
  std::vector<std::string> names;
  for (const Profile::Part& part : p.layers()) layers += part.ms, names.push_back(part.layer);
  EXPECT_NEAR(steps, layers, 1e-9 + 1e-6 * steps);
  for (const char* name : {"first", "last", "loss", "optimizer"}) EXPECT_EQ(CountOf(names, name), 1) << name;
  double phases_sum = 0;
  for (const Profile::Phase& phase : p.phases) phases_sum += phase.seconds;
  EXPECT_NEAR(phases_sum, p.seconds, 1e-6 + 0.05 * p.seconds);
}

// Every so many steps there is an update: what is told is of the average step.
TEST(Profile, OfGradientsThatAccumulateHasTheUpdateToo) {
  Model plain = Small();
  const Profile one = profile(plain, Numbers(4), {.seconds = 0.01});
  for (const int every : {2, 3, 4}) {
    Model model = Small();
    model.compile({.optimizer = Adam({.gradient_accumulation_steps = every}), .loss = "mse"});
    const Profile p = profile(model, Numbers(4), {.seconds = 0.02});
    std::map<std::string, double> layers, flops;
    for (const Profile::Part& part : p.layers()) layers[part.layer] = part.ms, flops[part.layer] = part.flops;
    EXPECT_GT(layers["optimizer"], 0) << p.str();
    for (const Profile::Part& part : one.layers()) {
      if (part.layer != "first") continue;
      EXPECT_DOUBLE_EQ(flops["first"], part.flops);  // forward and backward are of every step
    }
    EXPECT_GT(p.ms_median, 0);
    EXPECT_LE(p.ms_min, p.ms_median);
  }
}

TEST(Profile, OfAPredictionHasNoOtherPhase) {
  Model model = Small();
  const Profile p = profile(model, Dataset(Numbers(4).x, {}), {.training = false, .seconds = 0.01});
  ASSERT_FALSE(p.steps.empty());
  for (const Profile::Part& part : p.steps) EXPECT_EQ(part.phase, "forward");
}

TEST(Profile, TablesFitAndJsonIsJson) {
  Model model = Small();
  const Profile p = profile(model, Numbers(4), {.seconds = 0.01});
  std::istringstream lines(p.str());
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) EXPECT_LE(line.size(), 120u) << line;
  EXPECT_GT(count, 10);
  EXPECT_NE(p.str(1).find(Text("of ", p.steps.size() - 1, " more")), std::string::npos);
  const auto json = nlohmann::json::parse(p.json());
  EXPECT_EQ(json.at("batch"), 4);
  EXPECT_EQ(json.at("plan").size(), p.steps.size());
  EXPECT_EQ(json.at("layers").size(), p.layers().size());
  for (const auto& step : json.at("plan"))
    EXPECT_TRUE(step.at("bound_by") == "memory" || step.at("bound_by") == "arithmetic");
}

TEST(Profile, BoundIsTheSlowerOfBoth) {
  Profile p;
  p.threads = 1;
  const Profile::Part much_arithmetic{"", "", "", "", 1, 1e12, 1e3}, many_bytes{"", "", "", "", 1, 1, 1e9};
  EXPECT_FALSE(p.bound(much_arithmetic).memory);
  EXPECT_TRUE(p.bound(many_bytes).memory);
  EXPECT_GT(p.bound(many_bytes).ms, 0);
}

// The same numbers come out, watched or not.
TEST(Profile, AFitComputesTheSame) {
  Model a = Small(), b = Small();
  Profile p;
  const History ha = a.fit(Numbers(50), {.batch_size = 8, .epochs = 3});
  const History hb = b.fit(Numbers(50), {.batch_size = 8, .epochs = 3, .profile = &p});
  EXPECT_EQ(ha.batch_loss, hb.batch_loss);
  EXPECT_EQ(p.steps_done, 21);
  EXPECT_EQ(p.epochs, 3);
  EXPECT_EQ(p.batch, 8);
  EXPECT_GE(p.looked_into, 3);
  EXPECT_FALSE(p.steps.empty());
}

TEST_F(ProfileTrace, OfAFitShowsThreadsCallbacksAndWaiting) {
  struct Sleeps : Callback {
    void on_epoch_end(Model& model, int, const Logs&) override {
      model.save(to, {.background = true});
      std::this_thread::sleep_for(milliseconds(20));
    }
    void on_train_end(Model& model, const Logs&) override { model.wait_for_save(); }
    std::string to;
  };
  const auto sleeps = std::make_shared<Sleeps>();
  sleeps->to = path("m.ingot");
  Model model = Small();
  Profile p;
  const Dataset data = Numbers(24)
                           .map([](Sample&) { std::this_thread::sleep_for(milliseconds(2)); }, {.threads = 2})
                           .batch(4)
                           .prefetch(2);
  model.fit(data,
            {.epochs = 2, .callbacks = {sleeps, TensorBoard(path("logs"), {.histogram_freq = 1})}, .profile = &p});
  auto done = CheckTrace(Traced(p, path("trace.json")));
  std::vector<std::string>& main = done["main"];
  EXPECT_EQ(CountOf(main, "epoch"), 2);
  EXPECT_EQ(CountOf(main, "step"), 12);
  EXPECT_GE(CountOf(main, "wait for data"), 12);
  EXPECT_EQ(CountOf(main, "Sleeps.on_epoch_end"), 2);
  EXPECT_EQ(CountOf(main, "histograms"), 2);
  EXPECT_GE(CountOf(done["data 1"], "make") + CountOf(done["data 2"], "make"), 12);
  EXPECT_EQ(CountOf(done["background save"], "save"), 2);
  EXPECT_GE(CountOf(done["tensorboard"], "write"), 1);
  EXPECT_GE(CountOf(main, "first: Gemm + bias + relu"), 3);
  ASSERT_FALSE(p.calls.empty());
  EXPECT_EQ(p.calls[0].callback, "Sleeps");
  EXPECT_EQ(p.calls[0].hook, "on_epoch_end");
  EXPECT_EQ(p.calls[0].calls, 2);
  EXPECT_GE(p.calls[0].seconds, 0.04);
  EXPECT_GE(p.phase("callbacks"), 0.04);
  EXPECT_GE(p.make_seconds, 0.09);  // 48 rows, 2 ms each
  EXPECT_GT(p.phase("input"), p.phase("forward"));
}

// A span that began under an earlier profile begins with this one.
TEST_F(ProfileTrace, WhatBeganEarlierIsCut) {
  Model model = Small();
  std::atomic<bool> began{false}, ended{false};
  std::thread other;
  Profile first, second;
  const auto start = LambdaCallback({.on_train_begin = [&](Model&) {
    other = std::thread([&] {
      Trace::NameThread("other");
      TraceSpan span("long");
      began = true;
      while (!ended) std::this_thread::sleep_for(milliseconds(1));
    });
    while (!began) std::this_thread::sleep_for(milliseconds(1));
  }});
  const auto stop = LambdaCallback({.on_epoch_end = [&](Model&, int, const Logs&) {
    ended = true;
    other.join();
  }});
  model.fit(Numbers(8), {.callbacks = {start}, .profile = &first});
  model.fit(Numbers(8), {.callbacks = {stop}, .profile = &second});
  auto done = CheckTrace(Traced(second, path("trace.json")));
  EXPECT_EQ(CountOf(done["other"], "long"), 1);
}

TEST_F(ProfileTrace, ThePoolsThreadsAreSeen) {
  ThreadPool pool(3);
  Model model = Sequential({Input({256}), Dense(512), Dense(512), Dense(256)});
  model.compile({.optimizer = "sgd", .loss = "mse"});
  model.state().pool = &pool;
  const Profile p = profile(model, {{Array({256, 256})}, {Array({256, 256})}}, {.seconds = 0.1});
  EXPECT_EQ(p.threads, 3);
  const auto done = CheckTrace(Traced(p, path("trace.json")));
  int workers = 0;
  for (const auto& [name, events] : done) workers += name.starts_with("pool worker");
  EXPECT_GE(workers, 1);
}

TEST_F(ProfileTrace, MapOnTheTrainingThreadIsInput) {
  Model model = Small();
  Profile p;
  model.fit(Numbers(20).map([](Sample&) { std::this_thread::sleep_for(milliseconds(1)); }).batch(4), {.profile = &p});
  EXPECT_GE(CountOf(CheckTrace(Traced(p, path("trace.json")))["main"], "make data"), 5);
  EXPECT_GE(p.phase("input"), 0.02);
  EXPECT_EQ(p.make_seconds, 0);
}

TEST(Profile, OneAtATime) {
  struct Again : Callback {
    void on_epoch_end(Model&, int, const Logs&) override {
      Model other = Small();
      Profile p;
      other.fit(Numbers(4), {.profile = &p});
    }
  };
  Model model = Small();
  Profile p;
  EXPECT_THROW(model.fit(Numbers(8), {.callbacks = {std::make_shared<Again>()}, .profile = &p}), Error);
  EXPECT_FALSE(Trace::on());  // and the Error ended the first
  EXPECT_NO_THROW(model.fit(Numbers(8), {.profile = &p}));
}

TEST(Profile, WatchesBesideTheSearchForNan) {
  Model model = Small();
  Dataset data = Numbers(40);
  data.x[0].floats()[200] = std::numeric_limits<float>::quiet_NaN();
  Profile p;
  EXPECT_THROW(model.fit(data, {.batch_size = 4, .shuffle = false, .find_nan = true, .profile = &p}), Error);
  EXPECT_FALSE(Trace::on());
}

TEST_F(ProfileTrace, NamesCallbacks) {
  struct Mine : Callback {};
  EXPECT_EQ(NameOf(Mine()), "Mine");
  EXPECT_EQ(NameOf(*TensorBoard(path("logs"))), "TensorBoard");
  EXPECT_EQ(NameOf(*ModelCheckpoint(path("m.ingot"))), "ModelCheckpoint");
  EXPECT_EQ(NameOf(*EarlyStopping()), "EarlyStopping");
  EXPECT_EQ(NameOf(*ReduceLROnPlateau()), "ReduceLROnPlateau");
}

}  // namespace
}  // namespace ingot
