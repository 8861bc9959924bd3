// SPDX-License-Identifier: MIT
//
// A fit that is interrupted, at any moment and in any way, and goes on ends with the bits of one that was not.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "ingot/ingot.h"
#include "ingot/tests/folder.h"
#include "ingot/train/fit_position.h"
#include "ingot/train/trainer.h"

namespace ingot {
namespace {

namespace fs = std::filesystem;

class Backup : public testing::InFolder {};

std::string ReadAll(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

Dataset Pictures(int64_t n) {
  Array x({n, 6, 6, 1}), y({n}, DType::kInt32);
  Random random({11, 0, 0});
  for (float& v : x.floats()) v = random.Uniform(-1, 1);
  for (int32_t& v : y.as<int32_t>()) v = static_cast<int32_t>(random.Below(3));
  return Dataset::from_arrays(x, y);
}

Model Cnn(const Optimizer& optimizer, uint64_t seed) {
  Model model = Sequential({Input({6, 6, 1}), Conv2D(4, {3, 3}, {.name = "conv"}), BatchNormalization({.name = "norm"}),
                            ReLU({.name = "relu"}), Flatten({.name = "flat"}), Dropout(0.3, {.name = "drop"}),
                            Dense(3, {.activation = "softmax", .name = "out"})},
                           {.name = "cnn", .seed = seed});
  model.compile({.optimizer = optimizer, .loss = "sparse_categorical_crossentropy", .metrics = {"accuracy"}});
  return model;
}

std::string Shown(const History& history) {
  std::string text;
  char number[64];
  const auto add = [&](const std::string& name, const std::vector<double>& values) {
    text += name;
    for (const double v : values) std::snprintf(number, sizeof number, " %a", v), text += number;
    text += "\n";
  };
  add("epoch", std::vector<double>(history.epoch.begin(), history.epoch.end()));
  for (const auto& [name, values] : history.history) add(name, values);
  add("batch_loss", history.batch_loss);
  return text;
}

// The rate falls with the number of batches it has seen: state of a callback of one's own.
class Slower : public Callback {
 public:
  void on_train_begin(Model&) override { seen_ = 0; }
  void on_train_batch_end(Model& model, int64_t, const Logs&) override {
    model.set_learning_rate(0.02 / (1 + static_cast<double>(++seen_)));
  }
  void state(Fields& f, std::vector<Array>&) override { f("seen", seen_); }

 private:
  int64_t seen_ = 0;
};

// One process's life: it trains, from the backup if there is one, and leaves the result in its folder.
void TrainOnce(const std::string& folder, int kind) {
  const std::string backup = folder + "/backup.ingot";
  const uint64_t seed = fs::exists(backup) ? 99 : 7;  // the file's counts
  FitOptions o{.batch_size = 8, .epochs = 4};
  Model model;
  if (kind == 0) {
    model = Cnn(Adam({.learning_rate = 0.01}), seed);
    o.validation_split = 0.2;
    o.callbacks = {EarlyStopping({.patience = 2, .restore_best_weights = true}),
                   BackupAndRestore(backup, {.save_freq = 1, .background = false})};
  } else if (kind == 1) {
    SGDOptions sgd;
    sgd.learning_rate = ExponentialDecay(0.05, 5, 0.9);
    sgd.momentum = 0.9f;
    sgd.use_ema = true;
    sgd.ema_overwrite_frequency = 7;
    sgd.gradient_accumulation_steps = 3;
    model = Cnn(SGD(sgd), seed);
    o.steps_per_epoch = 9;  // epochs end within a pass
    o.callbacks = {BackupAndRestore(backup, {.save_freq = 2})};
  } else {
    model = Cnn(Adam({.clipnorm = 1.0}), seed);
    o.callbacks = {BackupAndRestore(backup, {.save_freq = 3}), std::make_shared<Slower>(),
                   ModelCheckpoint(folder + "/best.ingot", {.monitor = "loss", .save_best_only = true})};
  }
  const History history = model.fit(Pictures(100), o);
  model.save(folder + "/result.ingot");
  std::ofstream(folder + "/history") << Shown(history);
}

constexpr char kFolder[] = "INGOT_BACKUP_TEST_FOLDER";

pid_t Start(const std::string& folder, const std::string& test, int kind) {
  const pid_t child = fork();
  if (child != 0) return child;
  setenv(kFolder, folder.c_str(), 1);
  setenv("INGOT_BACKUP_TEST_KIND", std::to_string(kind).c_str(), 1);
  unsetenv("GTEST_TOTAL_SHARDS"), unsetenv("GTEST_SHARD_INDEX");  // this one test, whichever shard the parent is
  const std::string filter = "--gtest_filter=" + test;
  const int null = dup2(STDERR_FILENO, STDOUT_FILENO);
  (void)null;
  execl("/proc/self/exe", "ingot_tests", filter.c_str(), "--gtest_brief=1", nullptr);
  _exit(127);
}

int Ends(pid_t child) {
  int status = -1;
  waitpid(child, &status, 0);
  return status;
}

// As often as the file was replaced.
class Saves {
 public:
  explicit Saves(const std::string& path) : path_(path) { Count(); }
  int Count() {
    struct stat now;
    if (stat(path_.c_str(), &now) == 0 && (now.st_ino != inode_ || now.st_mtim.tv_nsec != nanoseconds_)) {
      inode_ = now.st_ino, nanoseconds_ = now.st_mtim.tv_nsec;
      ++count_;
    }
    return count_;
  }

 private:
  std::string path_;
  ino_t inode_ = 0;
  long nanoseconds_ = 0;
  int count_ = 0;
};

TEST_F(Backup, AFitKilledAgainAndAgainEndsAsOneThatWasNot) {
  if (const char* folder = std::getenv(kFolder))
    return TrainOnce(folder, std::atoi(std::getenv("INGOT_BACKUP_TEST_KIND")));
  const std::string test = "Backup.AFitKilledAgainAndAgainEndsAsOneThatWasNot";
  Random random({static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count()), 1, 1});
  int killed = 0;
  for (int kind = 0; kind < 3; ++kind) {
    SCOPED_TRACE("kind " + std::to_string(kind));
    const std::string whole = path("whole" + std::to_string(kind)), parts = path("parts" + std::to_string(kind));
    fs::create_directories(whole), fs::create_directories(parts);
    ASSERT_EQ(Ends(Start(whole, test, kind)), 0);
    for (int kills = 0;; ++kills) {
      const pid_t child = Start(parts, test, kind);
      ASSERT_GT(child, 0);
      if (kills == 7) {
        ASSERT_EQ(Ends(child), 0);
        break;
      }
      // A while after the first, second, ... save of this life; where there is none, it ends by itself.
      Saves saves(parts + "/backup.ingot");
      const int least = saves.Count() + static_cast<int>(random.Below(4)) + (kills % 3 != 0);
      int status = 0;
      pid_t ended = 0;
      while ((ended = waitpid(child, &status, WNOHANG)) == 0 && saves.Count() < least) usleep(100);
      if (ended == 0) {
        usleep(static_cast<useconds_t>(random.Below(3000)));
        kill(child, SIGKILL);
        killed += WIFSIGNALED(Ends(child));
      } else {
        ASSERT_EQ(status, 0);
        break;
      }
    }
    EXPECT_EQ(ReadAll(parts + "/result.ingot"), ReadAll(whole + "/result.ingot"));
    EXPECT_EQ(ReadAll(parts + "/history"), ReadAll(whole + "/history"));
    EXPECT_GT(fs::file_size(whole + "/result.ingot"), 4096u);
    EXPECT_FALSE(fs::exists(parts + "/backup.ingot"));
    EXPECT_FALSE(fs::exists(parts + "/backup.ingot.part"));
    EXPECT_EQ(fs::exists(whole + "/best.ingot"), kind == 2);
    EXPECT_EQ(ReadAll(parts + "/best.ingot"), ReadAll(whole + "/best.ingot"));
  }
  EXPECT_GE(killed, 10);
}

// What was called, and a save somewhere that also ends the fit: with an exception, as nothing else is as abrupt.
struct Interrupted {};

class Recorder : public Callback {
 public:
  explicit Recorder(char name) : name_(name) {}
  void on_epoch_begin(Model& m, int epoch) override { Note(m, "E", epoch); }
  void on_epoch_end(Model& m, int epoch, const Logs& logs) override { Note(m, "e", epoch, logs); }
  void on_train_batch_begin(Model& m, int64_t batch) override { Note(m, "B", batch); }
  void on_train_batch_end(Model& m, int64_t batch, const Logs& logs) override { Note(m, "b", batch, logs); }
  void on_train_end(Model& m, const Logs& logs) override { Note(m, "end", 0, logs); }

  std::vector<std::string> calls;
  int save_at = -1;  // this many calls of it in
  std::string path;

 private:
  void Note(Model& model, const char* what, int64_t number, const Logs& logs = {}) {
    calls.push_back(Text(name_, what, number));
    for (const auto& [name, value] : logs) calls.back() += Text(" ", name, " ", value);
    if (static_cast<int>(calls.size()) - 1 != save_at) return;
    model.save(path);
    throw Interrupted();
  }
  char name_;
};

TEST_F(Backup, AModelSavedInAnyCallGoesOnBehindThatCall) {
  const Dataset data = Pictures(30);
  const auto fit = [&](Model& model, std::vector<std::shared_ptr<Recorder>> recorders, bool resume) {
    FitOptions o{.batch_size = 8, .epochs = 3, .validation_data = Pictures(5), .resume = resume};
    for (const auto& r : recorders) o.callbacks.push_back(r);
    return model.fit(data, o);
  };
  const auto recorders = [] {
    return std::vector{std::make_shared<Recorder>('x'), std::make_shared<Recorder>('y'),
                       std::make_shared<Recorder>('z')};
  };
  Model whole = Cnn("adam", 3);
  const auto undisturbed = recorders();
  const std::string history = Shown(fit(whole, undisturbed, false));
  const int calls = static_cast<int>(undisturbed[1]->calls.size());
  ASSERT_EQ(calls, 3 * (2 + 2 * 4) + 1);
  for (int at = 0; at < calls - 1; ++at) {
    SCOPED_TRACE("saved in " + undisturbed[1]->calls[static_cast<size_t>(at)]);
    Model model = Cnn("adam", 3);
    auto before = recorders();
    before[1]->save_at = at;
    before[1]->path = path("m.ingot");
    EXPECT_THROW(fit(model, before, false), Interrupted);
    Model again = load_model(path("m.ingot"));
    auto after = recorders();
    EXPECT_EQ(Shown(fit(again, after, true)), history);
    EXPECT_EQ(again.get_weights(), whole.get_weights());
    EXPECT_EQ(again.get_optimizer_state(), whole.get_optimizer_state());
    EXPECT_EQ(again.iterations(), whole.iterations());
    for (size_t i = 0; i < 3; ++i) {
      before[i]->calls.insert(before[i]->calls.end(), after[i]->calls.begin(), after[i]->calls.end());
      EXPECT_EQ(before[i]->calls, undisturbed[i]->calls);
    }
  }
}

class Position : public Backup {
 protected:
  // Leaves m.ingot, saved in the middle of the second epoch.
  void Interrupt(const Callbacks& others = {}) {
    Model model = Cnn("adam", 3);
    const auto r = std::make_shared<Recorder>('r');
    r->save_at = 2 + 2 * 4 + 5;
    r->path = path("m.ingot");
    FitOptions o = Options();
    o.callbacks = others;
    o.callbacks.push_back(r);
    EXPECT_THROW(model.fit(Pictures(30), o), Interrupted);
  }
  FitOptions Options() const { return {.batch_size = 8, .epochs = 3, .resume = false}; }
  FitOptions Going() const { return {.batch_size = 8, .epochs = 3, .resume = true}; }
  std::string WhatFails(const Dataset& data, const FitOptions& o) const {
    Model model = load_model(path("m.ingot"));
    const Arrays weights = model.get_weights();
    try {
      model.fit(data, o);
    } catch (const Error& e) {
      EXPECT_EQ(model.get_weights(), weights);
      return e.what();
    }
    return "";
  }
};

TEST_F(Position, AnotherFitIsNamedNotContinued) {
  Interrupt();
  const Dataset data = Pictures(30);
  EXPECT_EQ(WhatFails(data, Going()), "");
  FitOptions o = Going();
  o.batch_size = 10;
  EXPECT_NE(WhatFails(data, o).find("batch_size is 10, it was 8; steps is 3, it was 4"), std::string::npos)
      << WhatFails(data, o);
  o = Going();
  o.shuffle = false;
  EXPECT_NE(WhatFails(data, o).find("shuffle is false, it was true"), std::string::npos);
  o = Going();
  o.steps_per_epoch = 7;
  EXPECT_NE(WhatFails(data, o).find("steps is 7, it was 4"), std::string::npos);
  EXPECT_NE(WhatFails(Pictures(31), Going()).find("rows is 31, it was 30"), std::string::npos);
  Dataset other = data;
  other.x[0] = data.x[0].copy();
  other.x[0].floats()[40] += 1;
  EXPECT_NE(WhatFails(other, Going()).find("data is"), std::string::npos);
  o = Going();
  o.class_weight = {{0, 2.0f}, {1, 1.0f}, {2, 1.0f}};
  EXPECT_NE(WhatFails(data, o).find("weighs"), std::string::npos);
}

TEST_F(Position, CallbacksWithStateAreNeeded) {
  Interrupt({EarlyStopping({.monitor = "loss", .patience = 5, .restore_best_weights = true})});
  EXPECT_NE(WhatFails(Pictures(30), Going()).find("callback 0"), std::string::npos);
  FitOptions o = Going();
  o.callbacks = {ModelCheckpoint(path("c.ingot"), {.monitor = "loss"})};
  EXPECT_NE(WhatFails(Pictures(30), o).find("early_stopping_wait"), std::string::npos) << WhatFails(Pictures(30), o);
  o.callbacks = {EarlyStopping({.monitor = "loss", .patience = 5, .restore_best_weights = true})};
  EXPECT_EQ(WhatFails(Pictures(30), o), "");
}

TEST_F(Position, WithoutResumeALoadedModelBeginsANewFit) {
  Interrupt();
  Model model = load_model(path("m.ingot"));
  const int64_t before = model.iterations();
  EXPECT_EQ(before, 4 + 2);
  EXPECT_EQ(model.fit(Pictures(30), Options()).epoch, (std::vector<int>{0, 1, 2}));
  EXPECT_EQ(model.iterations(), before + 12);
  // And the position is gone with it, and with compile(); a model that was never interrupted has none.
  EXPECT_THROW(model.fit(Pictures(30), Going()), Error);
  model = load_model(path("m.ingot"));
  model.compile({.loss = "sparse_categorical_crossentropy"});
  EXPECT_THROW(model.fit(Pictures(30), Going()), Error);
  model.save(path("n.ingot"));
  model.load_weights(path("n.ingot"));
  EXPECT_THROW(model.fit(Pictures(30), Going()), Error);
}

TEST_F(Position, MoreEpochsMayBeAskedFor) {
  Interrupt();
  FitOptions o = Going();
  o.epochs = 5;
  Model model = load_model(path("m.ingot")), whole = Cnn("adam", 3);
  const std::string history = Shown(model.fit(Pictures(30), o));
  o.resume = false;
  EXPECT_EQ(history, Shown(whole.fit(Pictures(30), o)));
  EXPECT_EQ(model.get_weights(), whole.get_weights());
}

// Each key in turn is missing, of another kind or beyond all bounds: an Error or a fit, never a crash.
TEST_F(Position, DamageIsAnError) {
  Interrupt({EarlyStopping({.monitor = "loss", .patience = 5, .restore_best_weights = true})});
  Model model = load_model(path("m.ingot"));
  const std::shared_ptr<const FitState> good = model.state().position;
  ASSERT_TRUE(good);
  FitOptions o = Going();
  o.callbacks = {EarlyStopping({.monitor = "loss", .patience = 5, .restore_best_weights = true})};
  const Dataset data = Pictures(30);
  int errors = 0, fits = 0;
  const auto attempt = [&](FitState state) {
    model.state().position = std::make_shared<FitState>(std::move(state));
    try {
      model.fit(data, o);
      ++fits;
    } catch (const Error&) {
      ++errors;
    }
  };
  const Json values[] = {nullptr,
                         "x",
                         -1,
                         int64_t{1} << 62,
                         1e300,
                         Json::array(),
                         Json::object(),
                         Json::array({nullptr}),
                         Json::array({Json::array({"loss", Json::array({1.0})})}),
                         Json::array({{{"callback", 0}, {"state", 3}, {"tensors", 99}}})};
  for (const auto& [key, value] : good->about->items()) {
    FitState without = *good;
    without.about = std::make_shared<Json>(*good->about);
    without.about->erase(key);
    attempt(without);
    for (const Json& bad : values) {
      FitState changed = *good;
      changed.about = std::make_shared<Json>(*good->about);
      (*changed.about)[key] = bad;
      attempt(changed);
    }
  }
  for (size_t i = 0; i < good->tensors.size(); ++i) {
    FitState fewer = *good;
    fewer.tensors.erase(fewer.tensors.begin() + static_cast<std::ptrdiff_t>(i));
    attempt(fewer);
  }
  EXPECT_GT(errors, 200);
  EXPECT_LT(fits, 40);
}

// In the first epoch there is no history yet, and so no metric of one.
TEST_F(Position, AMetricOfNoEpochsIsDamage) {
  Model model = Cnn("adam", 3);
  const auto r = std::make_shared<Recorder>('r');
  r->save_at = 3;
  r->path = path("m.ingot");
  FitOptions o = Options();
  o.callbacks = {r};
  EXPECT_THROW(model.fit(Pictures(30), o), Interrupted);
  model = load_model(r->path);
  FitState changed = *model.state().position;
  changed.about = std::make_shared<Json>(*changed.about);
  ASSERT_EQ((*changed.about)["history"], Json::array());
  (*changed.about)["history"] = Json::array({Json::array({"loss", Json::array()})});
  model.state().position = std::make_shared<FitState>(std::move(changed));
  EXPECT_THROW(model.fit(Pictures(30), Going()), Error);
}

TEST_F(Backup, TheFileGoesWhenTrainingHasEnded) {
  Model model = Cnn("adam", 3);
  const std::string file = path("new/folder/b.ingot");
  model.fit(Pictures(30), {.batch_size = 8, .callbacks = {BackupAndRestore(file, {.save_freq = 1})}});
  EXPECT_TRUE(fs::is_empty(path("new/folder")));
  model.fit(Pictures(30), {.batch_size = 8, .callbacks = {BackupAndRestore(file, {.delete_checkpoint = false})}});
  EXPECT_TRUE(fs::exists(file));
  // That fit is over: only epochs beyond it are trained.
  const int64_t before = model.iterations();
  const History history =
      model.fit(Pictures(30), {.batch_size = 8, .epochs = 2, .callbacks = {BackupAndRestore(file)}});
  EXPECT_EQ(model.iterations(), before + 4);
  EXPECT_EQ(history.epoch, (std::vector<int>{0, 1}));
  std::ofstream(file + ".part") << "left by a killed save";
  model.fit(Pictures(30), {.batch_size = 8, .callbacks = {BackupAndRestore(file, {.save_freq = 1000})}});
  EXPECT_TRUE(fs::is_empty(path("new/folder")));
}

TEST_F(Backup, AFileOfAnotherKindIsRefused) {
  EXPECT_THROW(BackupAndRestore(path("b.keras")), Error);
  EXPECT_THROW(BackupAndRestore(path("b.ingot"), {.save_freq = -1}), Error);
  Model model = Cnn("adam", 3);
  model.save(path("plain.ingot"));
  EXPECT_THROW(model.fit(Pictures(30), {.callbacks = {BackupAndRestore(path("plain.ingot"))}}), Error);
  std::ofstream(path("bad.ingot")) << "no model";
  EXPECT_THROW(model.fit(Pictures(30), {.callbacks = {BackupAndRestore(path("bad.ingot"))}}), Error);
  EXPECT_EQ(ReadAll(path("bad.ingot")), "no model");
}

std::vector<std::string> Files(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

// The logs are given; what counts is which files there are.
std::vector<std::string> Written(const std::string& folder, const std::string& name,
                                 const ModelCheckpointOptions& options, const std::vector<double>& values) {
  fs::remove_all(folder);
  fs::create_directories(folder);
  Model model = Sequential({Input({2}), Dense(1)});
  const CallbackPtr callback = ModelCheckpoint(folder + "/" + name, options);
  callback->on_train_begin(model);
  for (size_t i = 0; i < values.size(); ++i) {
    Logs logs;
    logs.emplace_back(options.monitor, values[i]);
    callback->on_epoch_begin(model, static_cast<int>(i));
    for (int64_t batch = 0; batch < 5; ++batch) callback->on_train_batch_end(model, batch, logs);
    callback->on_epoch_end(model, static_cast<int>(i), logs);
  }
  return Files(folder);
}

// By keras.callbacks.ModelCheckpoint of Keras 3.15.1 on the same calls (with .keras in place of .ingot).
TEST_F(Backup, ModelCheckpointWritesWhatKerasWrites) {
  using Names = std::vector<std::string>;
  const std::string f = path("c");
  EXPECT_EQ(Written(f, "{epoch:02d}-{val_loss:.2f}.ingot", {}, {3, 2.345, 2.5, 1e-5}),
            (Names{"01-3.00.ingot", "02-2.35.ingot", "03-2.50.ingot", "04-0.00.ingot"}));
  EXPECT_EQ(Written(f, "{epoch:02d}-{val_loss:.2f}.ingot", {.save_best_only = true}, {3, 2, 2.5, 1}),
            (Names{"01-3.00.ingot", "02-2.00.ingot", "04-1.00.ingot"}));
  EXPECT_EQ(Written(f, "{epoch}.ingot", {.save_best_only = true, .mode = "max"}, {1, 2, 2, 3}),
            (Names{"1.ingot", "2.ingot", "4.ingot"}));
  EXPECT_EQ(Written(f, "{epoch}.ingot", {.save_best_only = true, .initial_value_threshold = 1.5}, {3, 2, 1}),
            (Names{"3.ingot"}));
  EXPECT_EQ(Written(f, "{epoch}-{batch:03d}.ingot", {.save_freq = 3}, {1, 2, 3}),
            (Names{"1-003.ingot", "2-001.ingot", "2-004.ingot", "3-002.ingot", "3-005.ingot"}));
  EXPECT_EQ(Written(f, "{{x}}{val_loss}.ingot", {}, {0.5}), (Names{"{x}0.5.ingot"}));
  EXPECT_EQ(Written(f, "{val_loss}.ingot", {}, {2}), (Names{"2.0.ingot"}));
  EXPECT_EQ(Written(f, "{val_loss:.3e}-{val_loss:8.1f}-{val_loss:08.1f}.ingot", {}, {12.345}),
            (Names{"1.235e+01-    12.3-000012.3.ingot"}));
  EXPECT_EQ(Written(f, "{epoch:4d}.weights.h5", {.save_weights_only = true}, {2}), (Names{"   1.weights.h5"}));
}

TEST_F(Backup, ModelCheckpointNamesWhatItCannotDo) {
  EXPECT_THROW(ModelCheckpoint(path("a.txt")), Error);
  EXPECT_THROW(ModelCheckpoint(path("a.weights.h5")), Error);
  EXPECT_THROW(ModelCheckpoint(path("a.keras"), {.save_weights_only = true}), Error);
  EXPECT_THROW(ModelCheckpoint(path("a.keras"), {.mode = "up"}), Error);
  EXPECT_THROW(ModelCheckpoint(path("a.keras"), {.save_freq = -1}), Error);
  for (const char* name : {"{epoch", "epoch}", "{mae}.ingot", "{epoch:x}.ingot", "{epoch:.2d}.ingot",
                           "{epoch:999d}.ingot", "{val_loss:d}.ingot", "{val_loss:.f}.ingot", "{batch}.ingot"}) {
    SCOPED_TRACE(name);
    EXPECT_THROW(Written(path("c"), name, {}, {1}), Error);
  }
  EXPECT_THROW(Written(path("c"), "a.ingot", {.monitor = "surprise", .save_best_only = true}, {1}), Error);
  Model model = Cnn("adam", 3);
  const CallbackPtr best = ModelCheckpoint(path("a.ingot"), {.save_best_only = true});
  EXPECT_THROW(model.fit(Pictures(30), {.callbacks = {best}}), Error) << "there is no val_loss";
}

TEST_F(Backup, TerminateOnNaNEndsTheFit) {
  Dataset data = Pictures(64);
  data.x[0].floats()[36 * 20] = std::numeric_limits<float>::infinity();
  Model model = Cnn("adam", 3);
  const History history =
      model.fit(data, {.batch_size = 8, .epochs = 3, .callbacks = {TerminateOnNaN()}, .shuffle = false});
  EXPECT_EQ(history.batch_loss.size(), 3u);
  EXPECT_EQ(history.epoch, (std::vector<int>{0}));
  Model other = Cnn("adam", 3);
  EXPECT_THROW(other.fit(data, {.callbacks = {TerminateOnNaN({.raise_error = true})}}), Error);
}

}  // namespace
}  // namespace ingot
