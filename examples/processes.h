// SPDX-License-Identifier: MIT
//
// This program once more, as a process of its own, for what a process can choose only at its start (its threads) and
// for what many processes share. A worker prints a line of numbers, then waits until the program lets it go, so that
// its memory can be looked at while it is alive.
#pragma once

#include <fcntl.h>
#include <ingot/ingot.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

extern char** environ;  // NOLINT: POSIX's name for what a process inherits

namespace measure {

class Worker {
 public:
  // Its main is called with `arguments`, and its pool has so many threads; 0: one for each core.
  explicit Worker(std::vector<std::string> arguments, int threads = 0) {
    int in[2], out[2];
    if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0) ingot::Fail("no pipe: ", std::strerror(errno));
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    arguments.insert(arguments.begin(), "worker");
    std::vector<std::string> settings;
    for (char** e = environ; *e; ++e)
      if (threads == 0 || std::strncmp(*e, "INGOT_THREADS=", 14) != 0) settings.emplace_back(*e);
    if (threads > 0) settings.push_back("INGOT_THREADS=" + std::to_string(threads));
    const int failed =
        posix_spawn(&pid_, "/proc/self/exe", &actions, nullptr, Pointers(arguments).data(), Pointers(settings).data());
    posix_spawn_file_actions_destroy(&actions);
    close(in[0]), close(out[1]);
    go_ = in[1], lines_ = fdopen(out[0], "r");
    if (failed) pid_ = -1, ingot::Fail("a process cannot be started: ", std::strerror(failed));
  }
  Worker(Worker&& o) noexcept
      : pid_(std::exchange(o.pid_, -1)), go_(std::exchange(o.go_, -1)), lines_(std::exchange(o.lines_, nullptr)) {}
  ~Worker() {
    if (go_ >= 0) close(go_);  // lets it go
    if (lines_) std::fclose(lines_);
    if (pid_ > 0) waitpid(pid_, nullptr, 0);
  }

  // The next number that it prints; waits for it.
  double Number() {
    double value = 0;
    if (std::fscanf(lines_, "%lf", &value) != 1) ingot::Fail("a worker ended before it had said what it measured");
    return value;
  }

  // Its pages in MB, each divided by how many processes have it.
  double ProportionalMb() const {
    std::ifstream in("/proc/" + std::to_string(pid_) + "/smaps_rollup");
    for (std::string word; in >> word;)
      if (double kb; word == "Pss:" && in >> kb) return kb / 1024;
    return 0;  // where the system does not say
  }

  // In the worker: prints what it measured, and waits.
  static void Answer(const std::vector<double>& numbers) {
    for (const double number : numbers) std::printf("%.17g ", number);
    std::printf("\n");
    std::fflush(stdout);
    while (std::getchar() != EOF) {
    }
  }

 private:
  static std::vector<char*> Pointers(std::vector<std::string>& texts) {
    std::vector<char*> pointers;
    for (std::string& text : texts) pointers.push_back(text.data());
    pointers.push_back(nullptr);
    return pointers;
  }

  pid_t pid_ = -1;
  int go_ = -1;
  std::FILE* lines_ = nullptr;
};

}  // namespace measure
