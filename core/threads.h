// SPDX-License-Identifier: MIT
//
// One pool of threads. Work is handed out as numbered tiles: For(n, f) calls f(0) .. f(n-1), each exactly
// once, on whichever thread is free, and returns when all are done. What a tile computes may depend on its
// number only, never on the thread that runs it; so results have the same bits on 1 thread and on 64.
//
// Threads: For may be called from any thread. While one caller has the pool, a second caller (or a tile that
// itself calls For) runs its tiles inline: correct, and no deadlock. Tiles must not throw.
// Nothing is allocated by For, but in the trace of a step that is looked into (core/trace.h). Workers spin for some
// microseconds after a job, then sleep.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <type_traits>
#include <vector>

namespace ingot {

class ThreadPool {
 public:
  // A pool that runs tiles on `threads` threads, the caller's among them. 0: one for each core.
  explicit ThreadPool(int threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // The pool of this process, made at first use: with as many threads as set_threads or else INGOT_THREADS says.
  static ThreadPool& Default();

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  template <class F>
  void For(int64_t n, F&& f) {
    using Fn = std::remove_reference_t<F>;
    Run(
        n, [](void* context, int64_t i) { (*static_cast<Fn*>(context))(i); },
        const_cast<void*>(static_cast<const void*>(&f)));
  }

 private:
  using TileFn = void (*)(void* context, int64_t tile);

  void Run(int64_t n, TileFn fn, void* context);
  void Worker(int number);
  void TakeTiles();

  std::vector<std::thread> workers_;
  std::atomic_flag owned_;         // by the caller whose job the pool runs
  std::atomic<uint32_t> job_{0};   // counts jobs; idle workers wait for it to change
  std::atomic<bool> open_{false};  // the job may be joined; what follows is set before and stays until all left
  std::atomic<int> inside_{0};     // workers that joined, or are about to see that they may not
  std::atomic<int64_t> next_{0};   // the first tile nobody has taken
  std::atomic<bool> stop_{false};
  int64_t tiles_ = 0;
  TileFn fn_ = nullptr;
  void* context_ = nullptr;
};

// How many threads this process computes on. At its beginning: Error if the pool is there already, with others.
void set_threads(int threads);

}  // namespace ingot
