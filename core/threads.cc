// SPDX-License-Identifier: MIT
#include "ingot/core/threads.h"

#include <cstdlib>
#include <mutex>
#include <system_error>

#include "ingot/core/error.h"
#include "ingot/core/trace.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace ingot {
namespace {

// Long enough to bridge the gap between two steps of a plan, short enough not to burn a core that others want.
constexpr int kSpins = 4000;

void Pause() {
#if defined(__x86_64__)
  _mm_pause();
#else
  std::this_thread::yield();
#endif
}

constexpr int kMostThreads = 1024;

int ThreadsFromEnvironment() {
  const char* text = std::getenv("INGOT_THREADS");
  if (!text || !*text) return 0;
  char* end = nullptr;
  const long n = std::strtol(text, &end, 10);
  if (*end || n < 0 || n > kMostThreads)
    Fail("INGOT_THREADS is '", text, "', a number of threads was expected: 1 to ", kMostThreads,
         ", or 0, one for each core");
  return static_cast<int>(n);
}

// Of the pool of the process: what set_threads asked for, and whether it is there.
std::mutex default_mutex;
int default_threads = 0;
bool default_made = false;

}  // namespace

ThreadPool::ThreadPool(int threads) {
  if (threads <= 0) threads = static_cast<int>(std::thread::hardware_concurrency());
  try {
    for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { Worker(i); });
  } catch (const std::system_error&) {
    // The system gives no more threads: those that are there do the work.
  }
}

ThreadPool::~ThreadPool() {
  stop_.store(true);
  job_.fetch_add(1);
  job_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

ThreadPool& ThreadPool::Default() {
  static ThreadPool pool([] {
    const std::lock_guard lock(default_mutex);
    const int threads = default_threads ? default_threads : ThreadsFromEnvironment();
    default_made = true;
    return threads;
  }());
  return pool;
}

void set_threads(int threads) {
  if (threads < 1 || threads > kMostThreads)
    Fail("set_threads: ", threads, " threads were asked for, 1 to ", kMostThreads, " was expected");
  std::unique_lock lock(default_mutex);
  if (!default_made) {
    default_threads = threads;
    return;
  }
  lock.unlock();
  if (const int has = ThreadPool::Default().threads(); has != threads)
    Fail("set_threads: ", threads, " threads were asked for, and the pool is at work already, with ", has,
         "; call it at the beginning of the program, before a model is compiled or data is read");
}

void ThreadPool::TakeTiles() {
  for (int64_t i; (i = next_.fetch_add(1, std::memory_order_relaxed)) < tiles_;) fn_(context_, i);
}

void ThreadPool::Worker(int number) {
  Trace::NameThread("pool worker", number);
  uint32_t seen = 0;
  for (;;) {
    for (int spin = 0; spin < kSpins && job_.load(std::memory_order_relaxed) == seen; ++spin) Pause();
    job_.wait(seen);
    seen = job_.load();
    if (stop_.load()) return;
    // Either this worker sees that the job is closed, or the owner sees that the worker is inside: both sides write
    // before they read, and all four are in one order.
    inside_.fetch_add(1);
    const int64_t begin = Trace::detailed() && open_.load() ? Trace::Now() : 0;
    if (open_.load()) TakeTiles();
    const int64_t end = begin ? Trace::Now() : 0;
    inside_.fetch_sub(1);
    if (begin) Trace::Add("tiles", -1, begin, end);  // nobody waits for it
  }
}

void ThreadPool::Run(int64_t n, TileFn fn, void* context) {
  if (n <= 1 || workers_.empty() || owned_.test_and_set(std::memory_order_acquire)) {
    for (int64_t i = 0; i < n; ++i) fn(context, i);
    return;
  }
  fn_ = fn;
  context_ = context;
  tiles_ = n;
  next_.store(0, std::memory_order_relaxed);
  open_.store(true);
  job_.fetch_add(1);
  job_.notify_all();
  TakeTiles();
  // No tile is left: workers that come late find the door shut, those inside are waited for.
  open_.store(false);
  for (int spin = 0; inside_.load() != 0; ++spin) {
    if (spin < kSpins)
      Pause();
    else
      std::this_thread::yield();
  }
  owned_.clear(std::memory_order_release);
}

}  // namespace ingot
