// SPDX-License-Identifier: MIT
//
// Model::save over a file that is there, in every format, with all that can go wrong: killed at any moment, a full
// disk, a folder that may not be written, a file that may not grow, signals all the time. The target is the old file
// or the new one, whole, and loads; nothing else is left behind. (io/atomic_file_test.cc has the single file.)
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <functional>
#include <random>

#include "ingot/ingot.h"
#include "ingot/tests/folder.h"

namespace ingot {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFormats[] = {".ingot", ".keras", ".h5", ".weights.h5", ".safetensors", ".npz"};

// About 130 KB, some 400 KB with Adam's slots.
Model Sized(uint64_t seed) {
  Model model = Sequential({Input({64}), Dense(256), Dense(64)}, {.name = "sized", .seed = seed});
  model.compile({.optimizer = "adam", .loss = "mse"});
  const Array x({1, 64}), y({1, 64});
  model.train_on_batch({x}, {y});
  return model;
}

// f in a process of its own, which has no threads: its text, or what ended it. An Error is its text.
std::string InChild(const std::function<std::string()>& f) {
  int ends[2];
  if (pipe(ends) != 0) return std::string("no pipe: ") + std::strerror(errno);
  const pid_t child = fork();
  if (child == 0) {
    std::string text;
    try {
      text = f();
    } catch (const std::exception& e) {
      text = e.what();
    }
    const bool written = write(ends[1], text.data(), text.size()) == static_cast<ssize_t>(text.size());
    _exit(written ? 0 : 1);
  }
  close(ends[1]);
  std::string text;
  char piece[4096];
  for (ssize_t n; (n = read(ends[0], piece, sizeof piece)) != 0;)
    if (n > 0)
      text.append(piece, static_cast<size_t>(n));
    else if (errno != EINTR)
      break;
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) return "ended by signal " + std::to_string(WTERMSIG(status));
  return text;
}

class Save : public testing::InFolder {
 protected:
  std::string path(const std::string& extension) const { return testing::InFolder::path("m" + extension); }
  // The weights that a file holds.
  Arrays Loaded(const std::string& extension) {
    if (extension == ".ingot" || extension == ".keras" || extension == ".h5")
      return load_model(path(extension)).get_weights();
    Model model = Sized(99);
    model.load_weights(path(extension));
    return model.get_weights();
  }
  size_t Entries(const fs::path& folder) const {
    return static_cast<size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
  }
  // Saves in a child, once `prepare` has made that fail; expects an Error that holds `reason`, and the old file.
  void ExpectRefused(const std::function<void()>& prepare, const std::string& reason) {
    for (const char* extension : kFormats) {
      SCOPED_TRACE(extension);
      fs::remove(path(extension));
      old_.save(path(extension));
      const size_t entries = Entries(folder_);
      const std::string said = InChild([&] {
        prepare();
        new_.save(path(extension));
        return std::string("was saved");
      });
      chmod(folder_.c_str(), 0755);
      EXPECT_TRUE(said.starts_with(path(extension))) << said;
      EXPECT_NE(said.find(reason), said.npos) << said;
      EXPECT_EQ(Loaded(extension), old_.get_weights());
      EXPECT_EQ(Entries(folder_), entries) << "a temporary is left";
    }
  }

  Model old_ = Sized(1), new_ = Sized(2);
};

// At random moments within what a few saves take.
void KillAWriterOf(const std::string& path, Model& a, Model& b, const std::function<Arrays()>& loaded) {
  a.save(path);
  const auto begin = std::chrono::steady_clock::now();
  b.save(path);
  const double save = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin).count();
  std::mt19937 random(5);
  std::uniform_real_distribution<double> moment(0, 3 * save);
  const Arrays of_a = a.get_weights(), of_b = b.get_weights();
  for (int round = 0; round < 200; ++round) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0)
      for (;;) a.save(path), b.save(path);
    usleep(static_cast<useconds_t>(moment(random)));
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    const Arrays got = loaded();
    ASSERT_TRUE(got == of_a || got == of_b) << "round " << round << ": a mixture was loaded";
  }
}

TEST_F(Save, KilledAtAnyMomentLeavesTheOldFileOrTheNewOne) {
  for (const char* extension : {".ingot", ".keras", ".h5"}) {
    SCOPED_TRACE(extension);
    KillAWriterOf(path(extension), old_, new_, [&] { return Loaded(extension); });
    old_.save(path(extension));
    EXPECT_EQ(Loaded(extension), old_.get_weights());
    EXPECT_EQ(Entries(folder_), 1u) << "the next save takes over what a killed one left";
    fs::remove(path(extension));
  }
}

TEST_F(Save, AFileThatMayNotGrowIsAnErrorAndTheOldOneStays) {
  ExpectRefused(
      [] {
        signal(SIGXFSZ, SIG_IGN);
        const rlimit limit = {100000, 100000};  // the write across it is a short one
        setrlimit(RLIMIT_FSIZE, &limit);
      },
      std::strerror(EFBIG));
}

TEST_F(Save, AFolderThatMayNotBeWrittenIsAnErrorAndTheOldFileStays) {
  chmod(folder_.c_str(), 0755);
  const bool root = geteuid() == 0;
  ExpectRefused(
      [&] {
        if (root ? setuid(65534) != 0 : chmod(folder_.c_str(), 0555) != 0) Fail("the folder cannot be shut");
      },
      std::strerror(EACCES));
}

// On a small file system of its own, which ends with the child's view of the mounts.
TEST_F(Save, AFullDiskIsAnErrorAndTheOldFileStays) {
  for (const char* extension : kFormats) {
    SCOPED_TRACE(extension);
    const fs::path disk = folder_ / "disk", copy = folder_ / (std::string("m") + extension);
    fs::create_directories(disk);
    const std::string said = InChild([&] {
      if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
          mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=700k") != 0)
        return std::string("skip");
      const std::string target = (disk / (std::string("m") + extension)).string();
      old_.save(target);
      std::string what;
      try {
        new_.save(target);
        return std::string("was saved");
      } catch (const Error& e) {
        what = e.what();
      }
      if (!what.starts_with(target)) return "does not begin with the path: " + what;
      if (Entries(disk) != 1) return "a temporary is left after: " + what;
      // Saved again once there is room.
      if (mount("tmpfs", disk.c_str(), "tmpfs", MS_REMOUNT, "size=4m") != 0) return std::string("no larger disk");
      fs::copy_file(target, copy);
      new_.save(target);
      if (Entries(disk) != 1) return std::string("a temporary is left after the next save");
      return what;
    });
    if (said == "skip") GTEST_SKIP() << "a small tmpfs can be mounted by root alone";
    EXPECT_NE(said.find(std::strerror(ENOSPC)), said.npos) << said;
    EXPECT_EQ(Loaded(extension), old_.get_weights());
    fs::remove(copy);
  }
}

TEST_F(Save, SignalsAllTheTimeChangeNothing) {
  for (const char* extension : kFormats) {
    SCOPED_TRACE(extension);
    const std::string said = InChild([&] {
      static volatile sig_atomic_t signals = 0;
      struct sigaction action = {};
      action.sa_handler = [](int) { signals = signals + 1; };  // without SA_RESTART: calls end with EINTR
      sigaction(SIGALRM, &action, nullptr);
      const itimerval storm = {{0, 100}, {0, 100}};
      setitimer(ITIMER_REAL, &storm, nullptr);
      int saves = 0;
      for (; saves < 10 || signals < 100; ++saves) (saves % 2 ? old_ : new_).save(path(extension));
      if (saves % 2) old_.save(path(extension));
      return std::string("saved");
    });
    EXPECT_EQ(said, "saved");
    EXPECT_EQ(Loaded(extension), old_.get_weights());
    fs::remove(path(extension));
    EXPECT_EQ(Entries(folder_), 0u);
  }
}

}  // namespace
}  // namespace ingot
