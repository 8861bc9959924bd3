// SPDX-License-Identifier: MIT
//
// Saving while training goes on: the file is the model as it was when it was asked for, and nothing is lost.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "ingot/ingot.h"
#include "ingot/tests/folder.h"

namespace ingot {
namespace {

namespace fs = std::filesystem;

class ThreadBackgroundSave : public testing::InFolder {};

Dataset Points() {
  Array x({32, 16}), y({32, 4});
  Random random({5, 0, 0});
  for (float& v : x.floats()) v = random.Uniform(-1, 1);
  for (float& v : y.floats()) v = random.Uniform(-1, 1);
  return Dataset::from_arrays(x, y);
}

Model Wide(uint64_t seed = 3) {
  Model model = Sequential({Input({16}), Dense(400, {.activation = "relu"}), BatchNormalization(), Dense(4)},
                           {.name = "wide", .seed = seed});
  model.compile({.optimizer = "adam", .loss = "mse"});
  return model;
}

std::string ReadAll(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

constexpr SaveOptions kBackground{.background = true};

TEST_F(ThreadBackgroundSave, HoldsTheMomentItWasAskedForInEveryFormat) {
  Model model = Wide();
  const Dataset data = Points();
  for (const char* name : {"m.ingot", "m.keras", "m.h5", "m.weights.h5", "m.safetensors", "m.npz"}) {
    SCOPED_TRACE(name);
    model.fit(data, {.batch_size = 8});
    const Arrays weights = model.get_weights(), state = model.get_optimizer_state();
    const int64_t iterations = model.iterations();
    model.save(path(name), kBackground);
    model.fit(data, {.batch_size = 8, .epochs = 3});
    model.get_layer(1).set_trainable(false);  // a file is not to be half of one and half of another
    model.get_layer(1).set_trainable(true);
    model.wait_for_save();
    Model again = Wide(9);
    again.load_weights(path(name));
    EXPECT_EQ(again.get_weights(), weights);
    EXPECT_EQ(again.get_optimizer_state(), state);
    EXPECT_EQ(again.iterations(), iterations);
  }
}

TEST_F(ThreadBackgroundSave, IsTheSameFileToTheByte) {
  Model model = Wide();
  for (const bool trained : {false, true}) {
    if (trained) model.fit(Points(), {.batch_size = 8});
    for (const char* name : {".ingot", ".h5", ".weights.h5", ".safetensors", ".npz"}) {
      model.save(path(std::string("a") + name));
      model.save(path(std::string("b") + name), kBackground);
      model.wait_for_save();
      EXPECT_EQ(ReadAll(path(std::string("a") + name)), ReadAll(path(std::string("b") + name))) << name;
    }
  }
}

TEST_F(ThreadBackgroundSave, AlsoWhereWeightsLieWithAnotherModel) {
  const Layer shared = Dense(8);
  Model first = Sequential({Input({4}), shared, Dense(3)}, {.name = "first"});
  Model second = Sequential({Input({4}), shared, Dense(2)}, {.name = "second"});
  first.save(path("a.ingot"));
  first.save(path("b.ingot"), kBackground);
  first.wait_for_save();
  EXPECT_EQ(ReadAll(path("a.ingot")), ReadAll(path("b.ingot")));
}

TEST_F(ThreadBackgroundSave, EachOfManyIsWritten) {
  Model model = Wide();
  const Dataset data = Points();
  std::vector<Arrays> states;
  for (int i = 0; i < 12; ++i) {
    model.train_on_batch(data.x, data.y);
    states.push_back(model.get_weights());
    model.save(path("m" + std::to_string(i) + ".ingot"), kBackground);
    model.save(path("latest.ingot"), {.background = i % 3 != 0});
  }
  model.wait_for_save();
  for (size_t i = 0; i < states.size(); ++i)
    EXPECT_EQ(load_model(path("m" + std::to_string(i) + ".ingot")).get_weights(), states[i]);
  EXPECT_EQ(load_model(path("latest.ingot")).get_weights(), states.back());
}

TEST_F(ThreadBackgroundSave, ModelsDoNotWaitForOneAnother) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      Model model = Wide(static_cast<uint64_t>(t));
      const Dataset data = Points();
      for (int i = 0; i < 5; ++i) {
        model.train_on_batch(data.x, data.y);
        model.save(path("own" + std::to_string(t) + ".ingot"), kBackground);
        model.save(path("shared.ingot"), kBackground);
      }
    });
  for (std::thread& thread : threads) thread.join();
  for (int t = 0; t < 4; ++t) EXPECT_EQ(load_model(path("own" + std::to_string(t) + ".ingot")).iterations(), 5);
  EXPECT_EQ(load_model(path("shared.ingot")).iterations(), 5) << "the last model of any thread to end";
  for (const auto& entry : fs::directory_iterator(folder_)) EXPECT_FALSE(entry.path().string().ends_with(".part"));
}

TEST_F(ThreadBackgroundSave, AnErrorIsSaidOnceByWhoeverWaits) {
  Model model = Wide();
  const std::string nowhere = path("no/such/folder/m.ingot");
  const auto said = [&](const auto& f) -> std::string {
    try {
      f();
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  model.save(nowhere, kBackground);
  EXPECT_NE(said([&] { model.wait_for_save(); }).find(nowhere), std::string::npos);
  EXPECT_EQ(said([&] { model.wait_for_save(); }), "");
  model.save(nowhere, kBackground);
  EXPECT_NE(said([&] { model.save(path("m.ingot"), kBackground); }).find(nowhere), std::string::npos);
  EXPECT_FALSE(fs::exists(path("m.ingot")));
  model.save(path("m.ingot"), kBackground);
  model.wait_for_save();
  EXPECT_TRUE(fs::exists(path("m.ingot")));
  model.save(nowhere, kBackground);
  ::testing::internal::CaptureStderr();
  model = Model();
  EXPECT_NE(::testing::internal::GetCapturedStderr().find(nowhere), std::string::npos);
  // What can be seen at once is said at once.
  Model other = Wide();
  EXPECT_THROW(other.save(path("m.txt"), kBackground), Error);
  EXPECT_THROW(Sequential({Dense(3)}).save(path("m.ingot"), kBackground), Error);
  EXPECT_NO_THROW(other.wait_for_save());
}

TEST_F(ThreadBackgroundSave, TheEndOfTheModelWaits) {
  {
    Model model = Wide();
    model.save(path("m.ingot"), kBackground);
  }
  EXPECT_EQ(load_model(path("m.ingot")).get_weights(), Wide().get_weights());
}

TEST_F(ThreadBackgroundSave, TheEndOfTheProcessWaits) {
  constexpr char kPath[] = "INGOT_BACKGROUND_TEST_PATH";
  if (const char* to = std::getenv(kPath)) {
    Model model = Sequential({Input({2000}), Dense(2000)});
    model.save(to, kBackground);
    fs::remove_all(folder_);  // this process's own: nothing ends the test
    std::exit(0);             // `model` stays as it is
  }
  const auto child = [&](const std::string& to, const std::string& log) {
    const pid_t pid = fork();
    if (pid == 0) {
      setenv(kPath, to.c_str(), 1);
      if (!std::freopen(log.c_str(), "w", stderr) || dup2(STDERR_FILENO, STDOUT_FILENO) < 0) _exit(126);
      unsetenv("GTEST_TOTAL_SHARDS"), unsetenv("GTEST_SHARD_INDEX");  // this one test, whichever shard the parent is
      execl("/proc/self/exe", "ingot_tests", "--gtest_filter=ThreadBackgroundSave.TheEndOfTheProcessWaits", nullptr);
      _exit(127);
    }
    int status = -1;
    waitpid(pid, &status, 0);
    return status;
  };
  EXPECT_EQ(child(path("m.ingot"), path("log")), 0) << ReadAll(path("log"));
  EXPECT_EQ(load_model(path("m.ingot")).count_params(), 2000 * 2001);
  EXPECT_FALSE(fs::exists(path("m.ingot.part")));
  child(path("none/m.ingot"), path("log"));
  EXPECT_NE(ReadAll(path("log")).find(path("none/m.ingot")), std::string::npos) << ReadAll(path("log"));
}

// The new file, or the old one: never a part.
TEST_F(ThreadBackgroundSave, ALoadMeanwhileSeesTheOldFile) {
  Model model = Wide();
  const Dataset data = Points();
  model.save(path("m.ingot"));
  int64_t last = 0;
  for (int i = 0; i < 10; ++i) {
    model.train_on_batch(data.x, data.y);
    model.save(path("m.ingot"), kBackground);
    const int64_t seen = load_model(path("m.ingot")).iterations();
    EXPECT_GE(seen, last);
    EXPECT_GE(seen, i);
    EXPECT_LE(seen, i + 1);
    last = seen;
  }
}

}  // namespace
}  // namespace ingot
