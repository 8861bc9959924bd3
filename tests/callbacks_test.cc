// SPDX-License-Identifier: MIT
//
// Callbacks that golden fits do not reach: what they call and when, Ctrl-C, memory, files that cannot be written, and
// that a resumed fit writes the log and takes the rates of one that was never interrupted.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmath>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "ingot/ingot.h"
#include "ingot/tests/folder.h"

namespace ingot {
namespace {

Model Small() {
  Model model = Sequential({Input({3}), Dense(4, {.activation = "tanh"}), Dense(1)}, {.seed = 1});
  model.compile({.optimizer = SGD({.learning_rate = 0.1}), .loss = "mse"});
  return model;
}
Dataset Data() {
  Random random({5, 0, 0});
  Array x({12, 3}), y({12, 1});
  for (float& v : x.floats()) v = random.Uniform(-1, 1);
  for (float& v : y.floats()) v = random.Uniform(-1, 1);
  return Dataset::from_arrays(x, y);
}

std::string Read(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream all;
  all << in.rdbuf();
  return all.str();
}

using CallbacksTest = testing::InFolder;

class Named : public Callback {
 public:
  void add_logs(Model&, Logs& logs) override {
    for (const auto& [name, value] : std::vector<std::pair<std::string, double>>{
             {"small", 1e-4}, {"large", 1e5}, {"third", 1.0 / 3}, {"hundred", 100}, {"nan", -NAN}, {"minus", -1.5}})
      logs.emplace_back(name, value);
  }
};

TEST(Callbacks, LambdasAreCalledInKerasOrder) {
  std::string order;
  const auto note = [&](const char* what) { return [&order, what](auto&&...) { order += what; }; };
  Small().fit(Data(), {.batch_size = 6,
                       .epochs = 2,
                       .callbacks = {LambdaCallback({.on_epoch_begin = note("e"),
                                                     .on_epoch_end = note("E"),
                                                     .on_train_begin = note("t"),
                                                     .on_train_end = note("T"),
                                                     .on_train_batch_begin = note("b"),
                                                     .on_train_batch_end = note("B")}),
                                     LambdaCallback({})}});
  EXPECT_EQ(order, "tebBbBEebBbBET");
}

TEST(Callbacks, MemoryIsInTheHistory) {
  const History h = Small().fit(Data(), {.epochs = 3, .callbacks = {MemoryReport()}});
  for (const char* name : {"resident_mb", "private_mb", "page_cache_mb", "arenas_mb"})
    ASSERT_EQ(h[name].size(), 3u) << name;
  EXPECT_NEAR(h["resident_mb"][0], h["private_mb"][0] + h["page_cache_mb"][0], 1e-9);
  EXPECT_GT(h["resident_mb"][0], h["arenas_mb"][0]);
  EXPECT_GT(h["arenas_mb"][0], 0);
}

TEST(Callbacks, CtrlCEndsBehindTheStepAndOnlyWhereAskedFor) {
  static int before = 0;
  before = 0;
  const auto own = std::signal(SIGINT, [](int) { ++before; });
  const auto interrupting = LambdaCallback({.on_train_batch_end = [](Model&, int64_t batch, const Logs&) {
    if (batch == 1) std::raise(SIGINT);
  }});
  bool ended = false;
  Model model = Small();
  const History h = model.fit(
      Data(),
      {.batch_size = 2,
       .epochs = 5,
       .callbacks = {interrupting, LambdaCallback({.on_train_end = [&](Model&, const Logs&) { ended = true; }})},
       .stop_on_interrupt = true});
  EXPECT_TRUE(h.interrupted);
  EXPECT_TRUE(ended);
  EXPECT_EQ(model.iterations(), 2);
  EXPECT_EQ(h.batch_loss.size(), 2u);
  EXPECT_EQ(h["loss"].size(), 1u) << "the epoch is whole as far as it went";
  EXPECT_EQ(before, 0);
  std::raise(SIGINT);
  EXPECT_EQ(before, 1) << "what the program did before is back";
  EXPECT_FALSE(Small().fit(Data(), {.batch_size = 2, .callbacks = {interrupting}}).interrupted);
  EXPECT_EQ(before, 2);
  // A second one while the step still runs is the program's.
  const auto twice = LambdaCallback({.on_train_batch_end = [](Model&, int64_t, const Logs&) {
    std::raise(SIGINT);
    std::raise(SIGINT);
  }});
  EXPECT_TRUE(Small().fit(Data(), {.callbacks = {twice}, .stop_on_interrupt = true}).interrupted);
  EXPECT_EQ(before, 3);
  std::signal(SIGINT, own);
}

TEST_F(CallbacksTest, CsvGoesOnBehindWhatIsThere) {
  Small().fit(Data(), {.epochs = 2, .callbacks = {CSVLogger(path("log.csv"))}});
  const std::string first = Read(path("log.csv"));
  EXPECT_EQ(first.substr(0, first.find('\r')), "epoch,loss,val_loss");
  Small().fit(Data(), {.epochs = 1, .callbacks = {CSVLogger(path("log.csv"), {.append = true})}});
  const std::string both = Read(path("log.csv"));
  EXPECT_EQ(both.substr(0, first.size()), first);
  EXPECT_EQ(both.substr(first.size(), 2), "0,");
  Small().fit(Data(), {.epochs = 1, .callbacks = {CSVLogger(path("log.csv"))}});
  EXPECT_LT(Read(path("log.csv")).size(), first.size());
}

void Write(const std::string& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

// Not one byte of what the file holds is written again; the columns are those of its header.
TEST_F(CallbacksTest, CsvIsAppendedToInTheOrderOfItsHeader) {
  const auto fit = [&](const CSVLoggerOptions& options = {.append = true}) {
    return Small().fit(Data(), {.callbacks = {CSVLogger(path("log.csv"), options)}})["loss"][0];
  };
  const auto behind = [&](const std::string& before) {
    const std::string all = Read(path("log.csv"));
    EXPECT_EQ(all.substr(0, before.size()), before);
    return all.substr(std::min(all.size(), before.size()));
  };
  const std::string turned = "val_loss,\"loss\",epoch,mae\r\n9,8,0,7\r\n";
  Write(path("log.csv"), turned);
  double want = fit();
  std::string line = behind(turned);
  EXPECT_TRUE(line.starts_with("NA,") && line.ends_with(",0,NA\r\n")) << line;
  EXPECT_EQ(std::stod(line.substr(3)), want);

  for (const auto& [cut, glue] : std::vector<std::pair<std::string, std::string>>{
           {"epoch,loss\r\n0,0.5", "\r\n"}, {"epoch,loss\r\n0,0.5\r", "\n"}, {"epoch,loss", "\r\n"}}) {
    Write(path("log.csv"), cut);
    want = fit();
    line = behind(cut);
    ASSERT_TRUE(line.starts_with(glue + "0,")) << line;
    EXPECT_EQ(std::stod(line.substr(glue.size() + 2)), want);
  }
  Write(path("log.csv"), "");
  fit();
  EXPECT_TRUE(Read(path("log.csv")).starts_with("epoch,loss,val_loss\r\n0,"));
}

TEST_F(CallbacksTest, CsvThatCannotBeAppendedToStaysAsItIs) {
  const auto refused = [&](const std::string& before, const std::vector<std::string>& texts) {
    Write(path("log.csv"), before);
    try {
      Small().fit(Data(), {.callbacks = {CSVLogger(path("log.csv"), {.append = true})}});
      ADD_FAILURE() << "no error of " << before;
    } catch (const Error& e) {
      for (const std::string& text : texts) EXPECT_NE(std::string(e.what()).find(text), std::string::npos) << e.what();
    }
    EXPECT_EQ(Read(path("log.csv")), before);
  };
  refused("epoch,accuracy,mae\r\n0,1,2\r\n", {"log.csv", "'loss'", "epoch, accuracy, mae"});
  refused("epoch;loss\n0;1\n", {"'epoch'", "separator"});
  refused("loss,val_loss\n1,2\n", {"'epoch'"});

  // No room: what there was stays, and nothing of a line that was cut.
  std::string full = "epoch,loss\r\n";
  while (full.size() < 16380) full += "0,1\r\n";
  const auto own = std::signal(SIGXFSZ, SIG_IGN);
  rlimit old;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &old), 0);
  const rlimit little{16390, old.rlim_max};
  Write(path("log.csv"), full);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &little), 0);
  std::string what;
  try {
    Small().fit(Data(), {.callbacks = {CSVLogger(path("log.csv"), {.append = true})}});
  } catch (const Error& e) {
    what = e.what();
  }
  setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, own);
  EXPECT_NE(what.find("room on the disk"), std::string::npos) << what;
  EXPECT_EQ(Read(path("log.csv")), full);
}

TEST_F(CallbacksTest, CsvIntoAPipeOrAFolderIsRefused) {
  ASSERT_EQ(mkfifo(path("pipe.csv").c_str(), 0600), 0);
  for (const bool append : {false, true})
    for (const std::string& to : {path("pipe.csv"), path("")}) {
      try {
        Small().fit(Data(), {.callbacks = {CSVLogger(to, {.append = append})}});
        ADD_FAILURE() << "no error of " << to;
      } catch (const Error& e) {
        EXPECT_NE(std::string(e.what()).find("a device or a pipe, not a file"), std::string::npos) << e.what();
      }
    }
}

TEST(Callbacks, ALongNameIsShownWithItsValue) {
  const std::string name(80, 'n');
  struct Long : Callback {
    std::string name;
    void add_logs(Model&, Logs& logs) override { logs.emplace_back(name, 0.25); }
  };
  const auto callback = std::make_shared<Long>();
  callback->name = name;
  ::testing::internal::CaptureStderr();
  Small().fit(Data(), {.verbose = 2, .callbacks = {callback}});
  EXPECT_NE(::testing::internal::GetCapturedStderr().find(" - " + name + ": 0.2500"), std::string::npos);
}

// nohup, or & in a script.
TEST(Callbacks, AnInterruptThatIsIgnoredStaysIgnored) {
  const auto own = std::signal(SIGINT, SIG_IGN);
  const History h = Small().fit(
      Data(),
      {.batch_size = 2,
       .epochs = 2,
       .callbacks = {LambdaCallback({.on_train_batch_end = [](Model&, int64_t, const Logs&) { std::raise(SIGINT); }})},
       .stop_on_interrupt = true});
  EXPECT_FALSE(h.interrupted);
  EXPECT_EQ(h["loss"].size(), 2u);
  EXPECT_EQ(std::signal(SIGINT, own), SIG_IGN);
}

TEST_F(CallbacksTest, CheckpointNamesAreFormattedAsPythonDoes) {
  const auto name = [&](const std::string& format) {
    Model model = Small();
    model.fit(Data(), {.callbacks = {LambdaCallback({}), std::make_shared<Named>(),
                                     ModelCheckpoint(path("at" + format + ".ingot"))}});
    std::string found;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
      found += entry.path().filename().string();
      std::filesystem::remove(entry.path());
    }
    return found;
  };
  EXPECT_EQ(name("{small:5}"), "at0.0001.ingot");
  EXPECT_EQ(name("{small}"), "at0.0001.ingot");
  EXPECT_EQ(name("{large:5}"), "at100000.0.ingot");
  EXPECT_EQ(name("{third:08.3}"), "at0000.333.ingot");
  EXPECT_EQ(name("{third:9.2f}"), "at     0.33.ingot");
  EXPECT_EQ(name("{hundred:.3}"), "at1e+02.ingot");
  EXPECT_EQ(name("{hundred:.4}"), "at100.0.ingot");
  EXPECT_EQ(name("{hundred:5}"), "at100.0.ingot");
  EXPECT_EQ(name("{hundred:g}"), "at100.ingot");
  EXPECT_EQ(name("{nan:05}{minus:06}"), "at00nan-001.5.ingot");
  EXPECT_EQ(name("{epoch:3}{epoch:03d}"), "at  1001.ingot");
}

template <class F>
void ExpectError(const F& f, const std::string& text) {
  try {
    f();
    ADD_FAILURE() << "no error; expected: " << text;
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find(text), std::string::npos) << e.what();
  }
}

TEST_F(CallbacksTest, Errors) {
  const auto fit = [](const CallbackPtr& callback) { Small().fit(Data(), {.callbacks = {callback}}); };
  ExpectError([&] { fit(CSVLogger(path("none/log.csv"))); }, "is there such a folder");
  ExpectError([&] { CSVLogger(path("log.csv"), {.separator = ""}); }, "one character was expected");
  ExpectError([&] { ReduceLROnPlateau({.factor = 1}); }, "below 1");
  ExpectError([&] { ReduceLROnPlateau({.factor = NAN}); }, "below 1");
  ExpectError([&] { ReduceLROnPlateau({.factor = -1}); }, "factor is -1");
  ExpectError([&] { ReduceLROnPlateau({.min_lr = -1e-3}); }, "min_lr is -0.001");
  ExpectError([&] { ReduceLROnPlateau({.min_lr = NAN}); }, "min_lr");
  ExpectError([&] { Small().set_learning_rate(1e300); }, "1e+300 came");
  ExpectError([&] { Small().set_learning_rate(-0.5); }, "-0.5 came");
  ExpectError([&] { fit(ReduceLROnPlateau({})); }, "val_loss");
  ExpectError([&] { LearningRateScheduler({}); }, "is empty");
  ExpectError([&] { fit(LearningRateScheduler([](int, double) { return NAN; })); }, "a number was expected");
  Model scheduled = Small();
  scheduled.compile({.optimizer = SGD({.learning_rate = ExponentialDecay(0.1f, 10, 0.5f)}), .loss = "mse"});
  ExpectError([&] { scheduled.fit(Data(), {.callbacks = {LearningRateScheduler([](int, double r) { return r; })}}); },
              "follows the schedule");
}

// Stopped behind its fourth epoch and started again: the log, the rates and the weights of a fit that ran through.
TEST_F(CallbacksTest, ResumedAsIfNeverInterrupted) {
  const auto run = [&](const std::string& log, const std::string& backup, int stop) {
    Model model = Small();
    Callbacks callbacks = {ReduceLROnPlateau({.monitor = "loss", .factor = 0.5, .patience = 1, .min_delta = 10}),
                           CSVLogger(path(log)), BackupAndRestore(path(backup), {.background = false})};
    if (stop >= 0)
      callbacks.push_back(LambdaCallback({.on_epoch_end = [stop](Model&, int epoch, const Logs&) {
        if (epoch == stop) throw Error("pulled the plug");
      }}));
    try {
      model.fit(Data(), {.batch_size = 5, .epochs = 7, .callbacks = callbacks});
    } catch (const Error&) {
      EXPECT_GE(stop, 0);
    }
    return model;
  };
  const Model whole = run("whole.csv", "whole.ingot", -1);
  run("cut.csv", "cut.ingot", 3);
  std::ofstream(path("cut.csv"), std::ios::app) << "what came behind the last save";
  const Model resumed = run("cut.csv", "cut.ingot", -1);
  EXPECT_EQ(Read(path("cut.csv")), Read(path("whole.csv")));
  EXPECT_EQ(resumed.learning_rate(), whole.learning_rate());
  EXPECT_LT(whole.learning_rate(), 0.01);
  EXPECT_EQ(resumed.get_weights(), whole.get_weights());
}

}  // namespace
}  // namespace ingot
