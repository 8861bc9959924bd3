// SPDX-License-Identifier: MIT
//
// What the threads of this process did, and when: spans of time with a name, kept by each thread for itself. One trace
// is taken at a time, by whoever profiles (train/recorder.h); while there is none a span costs one test.
//
// Threads: any may add spans, without a lock: each writes to a lane of its own and then says how many there are. Who
// ends the trace reads what was said so far; a span that ends later is not in it. A lane holds kMostEvents at most, the
// first ones, and counts the others.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace ingot {

struct TraceEvent {
  const char* name;    // as long as the trace is taken
  int64_t number;      // of the batch, the element, ...; negative: none
  int64_t begin, end;  // nanoseconds of the steady clock
};

struct TracedThread {
  std::string name;
  std::vector<TraceEvent> events;  // by their beginning; what encloses others comes before them
  int64_t dropped = 0;
};

class Trace {
 public:
  static constexpr int64_t kMostEvents = int64_t{1} << 18;

  static int64_t Now() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
  }
  // Whether spans are wanted; and whether also those that are too many to be wanted always: a pool's tiles.
  static bool on() { return level_.load(std::memory_order_relaxed) > 0; }
  static bool detailed() { return level_.load(std::memory_order_relaxed) > 1; }
  static void Add(const char* name, int64_t number, int64_t begin, int64_t end);
  // How this thread is called in traces from now on: "data 2".
  static void NameThread(const char* name, int number = -1);

  // For who takes it. False: another is being taken.
  static bool Begin(const char* name_of_this_thread);
  static void Detail(bool on) { level_.store(on ? 2 : 1, std::memory_order_relaxed); }
  static std::vector<TracedThread> End();  // this thread first, where it did anything
  static void Cancel() noexcept;           // ends it, and gives nothing

 private:
  static std::atomic<int> level_;
};

// From here to the end of the block.
class TraceSpan {
 public:
  explicit TraceSpan(const char* name, int64_t number = -1)
      : name_(name), number_(number), begin_(Trace::on() ? Trace::Now() : 0) {}
  ~TraceSpan() {
    if (begin_) Trace::Add(name_, number_, begin_, Trace::Now());
  }
  TraceSpan(const TraceSpan&) = delete;
  TraceSpan& operator=(const TraceSpan&) = delete;

 private:
  const char* name_;
  int64_t number_, begin_;
};

}  // namespace ingot
