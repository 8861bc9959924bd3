// SPDX-License-Identifier: MIT
//
// The pool calls each tile once, whatever the number of tiles, threads and callers, and from within a tile.
#include "ingot/core/threads.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <thread>
#include <vector>

#include "ingot/core/error.h"

namespace ingot {
namespace {

class Counts {
 public:
  explicit Counts(int64_t n) : size_(n), counts_(new std::atomic<int>[static_cast<size_t>(n + 1)]()) {}
  void Add(int64_t i) { counts_[static_cast<size_t>(i)].fetch_add(1); }
  bool All(int count) const {
    for (int64_t i = 0; i < size_; ++i) {
      if (counts_[static_cast<size_t>(i)].load() != count) return false;
    }
    return counts_[static_cast<size_t>(size_)].load() == 0;
  }

 private:
  int64_t size_;
  std::unique_ptr<std::atomic<int>[]> counts_;
};

TEST(ThreadPool, EachTileOnce) {
  for (int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (int64_t n : {0, 1, 2, 3, 7, 8, 9, 1000}) {
      Counts counts(n);
      pool.For(n, [&](int64_t i) { counts.Add(i); });
      EXPECT_TRUE(counts.All(1)) << n << " tiles on " << threads << " threads";
    }
  }
}

TEST(ThreadPool, ManyJobsInARow) {
  ThreadPool pool(3);
  Counts counts(5);
  for (int job = 0; job < 2000; ++job) pool.For(5, [&](int64_t i) { counts.Add(i); });
  EXPECT_TRUE(counts.All(2000));
}

TEST(ThreadPool, WakesAfterSleep) {
  ThreadPool pool(3);
  Counts counts(64);
  for (int job = 0; job < 3; ++job) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // longer than workers spin
    pool.For(64, [&](int64_t i) { counts.Add(i); });
  }
  EXPECT_TRUE(counts.All(3));
}

TEST(ThreadPool, OneTileRunsOnTheCaller) {
  ThreadPool pool(4);
  std::thread::id id;
  pool.For(1, [&](int64_t) { id = std::this_thread::get_id(); });
  EXPECT_EQ(id, std::this_thread::get_id());
}

TEST(ThreadPool, WritesOfTilesAreSeenAfterFor) {
  ThreadPool pool(4);
  std::vector<int64_t> out(1000);
  for (int64_t job = 0; job < 200; ++job) {
    pool.For(1000, [&](int64_t i) { out[static_cast<size_t>(i)] = i * job; });
    for (int64_t i = 0; i < 1000; ++i) ASSERT_EQ(out[static_cast<size_t>(i)], i * job);
  }
}

TEST(ThreadPool, NestedForRunsInline) {
  ThreadPool pool(3);
  Counts counts(20 * 30);
  pool.For(20, [&](int64_t i) {
    const std::thread::id id = std::this_thread::get_id();
    pool.For(30, [&](int64_t j) {
      EXPECT_EQ(id, std::this_thread::get_id());
      counts.Add(i * 30 + j);
    });
  });
  EXPECT_TRUE(counts.All(1));
}

TEST(ThreadPool, ConcurrentCallers) {
  ThreadPool pool(3);
  Counts counts(50);
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&] {
      for (int job = 0; job < 500; ++job) pool.For(50, [&](int64_t i) { counts.Add(i); });
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_TRUE(counts.All(4 * 500));
}

TEST(ThreadPool, DefaultIsOnePool) {
  EXPECT_EQ(&ThreadPool::Default(), &ThreadPool::Default());
  EXPECT_GE(ThreadPool::Default().threads(), 1);
}

// Each in a process of its own, whose pool is not there yet.
class ThreadPoolDeathTest : public ::testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

[[noreturn]] void ExitWith(bool well) { std::exit(well ? 0 : 1); }

TEST_F(ThreadPoolDeathTest, SizeIsSetByTheProgramOrElseByTheEnvironment) {
  const auto of_pool = [] { return ThreadPool::Default().threads(); };
  EXPECT_EXIT(setenv("INGOT_THREADS", "5", 1); ExitWith(of_pool() == 5), ::testing::ExitedWithCode(0), "");
  EXPECT_EXIT(setenv("INGOT_THREADS", "5", 1); set_threads(3); set_threads(4);
              ExitWith(of_pool() == 4), ::testing::ExitedWithCode(0), "");
}

TEST_F(ThreadPoolDeathTest, SizeThatCannotBeIsAnError) {
  const auto says = [](const auto& call, const char* what) {
    try {
      call();
    } catch (const Error& e) {
      if (std::string(e.what()).find(what) != std::string::npos) ExitWith(true);
    }
    ExitWith(false);
  };
  const auto make = [] { ThreadPool::Default(); };
  for (const char* text : {"abc", "-1", "1025", "2 "}) {
    EXPECT_EXIT(setenv("INGOT_THREADS", text, 1); says(make, "INGOT_THREADS is '"), ::testing::ExitedWithCode(0), "")
        << text;
  }
  EXPECT_EXIT(says([] { set_threads(0); }, "0 threads were asked for"), ::testing::ExitedWithCode(0), "");
  EXPECT_EXIT(says([] { set_threads(1025); }, "1025 threads were asked for"), ::testing::ExitedWithCode(0), "");
  const auto late = [] {
    set_threads(2);
    ThreadPool::Default();
    set_threads(2);
    set_threads(3);
  };
  EXPECT_EXIT(says(late, "at work already, with 2"), ::testing::ExitedWithCode(0), "");
}

TEST(ThreadPool, EndsWithoutWork) {
  for (int i = 0; i < 50; ++i) ThreadPool pool(4);
}

}  // namespace
}  // namespace ingot
