// SPDX-License-Identifier: MIT
//
// How far a long load, save or check has come, told to whoever asked to be told:
//   on_progress(ShowProgress);  // a bar on standard error, as the command line does where that is a terminal
// What ends within half a second is not told of at all.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

namespace ingot {

struct Progress {
  std::string what;              // "reading 'model.h5'"
  uint64_t done = 0, total = 0;  // bytes; a total of 0 is not known
  double seconds = 0;            // since it began
  bool ended = false;            // told once, if anything was told before
};

// Of this process. Called at most ten times a second for each task, never twice at once, by whichever thread works;
// what it throws is lost. {} is nobody.
void on_progress(std::function<void(const Progress&)> listener);

// One line of standard error, drawn over itself, gone at the end.
void ShowProgress(const Progress& progress);
// That line, in less than `columns` of a terminal: a long path is shortened in its middle. 0: however long it is.
std::string ProgressLine(const Progress& progress, size_t columns = 0);
std::string ProgressBar(uint64_t done, uint64_t total);  // "━━━━╌╌╌╌"

// The work that is told of, from its making to its end. Threads: Add from any.
class Watched {
 public:
  Watched(const char* doing, const std::string& path, uint64_t total);  // "" where it is no file's
  ~Watched();
  Watched(const Watched&) = delete;
  Watched& operator=(const Watched&) = delete;

  void Add(uint64_t bytes) {
    const uint64_t done = done_.fetch_add(bytes, std::memory_order_relaxed) + bytes;
    if (watched_) Tell(done, false);
  }

 private:
  using Clock = std::chrono::steady_clock;
  void Tell(uint64_t done, bool ended);

  const char* doing_;
  const std::string path_;
  const uint64_t total_;
  const bool watched_;
  std::atomic<uint64_t> done_{0};
  Clock::time_point begin_;
  std::atomic<int64_t> next_ms_;  // when to tell again
};

}  // namespace ingot
