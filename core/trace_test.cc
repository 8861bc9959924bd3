// SPDX-License-Identifier: MIT
#include "ingot/core/trace.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <thread>
#include <vector>

namespace ingot {
namespace {

TEST(Trace, IsOffUntilItBegins) {
  EXPECT_FALSE(Trace::on());
  { const TraceSpan span("nobody looks"); }
  ASSERT_TRUE(Trace::Begin("main"));
  EXPECT_FALSE(Trace::Begin("main"));  // one at a time
  EXPECT_TRUE(Trace::on());
  EXPECT_FALSE(Trace::detailed());
  {
    const TraceSpan outer("outer");
    const TraceSpan inner("inner", 7);
  }
  const auto threads = Trace::End();
  EXPECT_FALSE(Trace::on());
  ASSERT_EQ(threads.size(), 1u);
  ASSERT_EQ(threads[0].events.size(), 2u);
  EXPECT_STREQ(threads[0].events[0].name, "outer");
  EXPECT_STREQ(threads[0].events[1].name, "inner");
  EXPECT_EQ(threads[0].events[1].number, 7);
  EXPECT_LE(threads[0].events[1].end, threads[0].events[0].end);
}

TEST(Trace, HoldsWhatThreadsDidAndNothingOfTheOneBefore) {
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(Trace::Begin("main"));
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([t] {
        Trace::NameThread("worker", t);
        for (int i = 0; i < 10000; ++i) TraceSpan span("work", i);
      });
    for (std::thread& t : threads) t.join();
    const auto all = Trace::End();
    ASSERT_EQ(all.size(), 4u);
    std::vector<std::string> names;
    for (const TracedThread& thread : all) {
      names.push_back(thread.name);
      ASSERT_EQ(thread.events.size(), 10000u) << thread.name;
      EXPECT_EQ(thread.dropped, 0);
      for (int i = 0; i < 10000; ++i) ASSERT_EQ(thread.events[static_cast<size_t>(i)].number, i);
    }
    std::sort(names.begin(), names.end());
    EXPECT_EQ(names, (std::vector<std::string>{"worker 0", "worker 1", "worker 2", "worker 3"}));
  }
}

TEST(Trace, ThreadsThatFollowOneAnotherAreOneLine) {
  ASSERT_TRUE(Trace::Begin("main"));
  for (int i = 0; i < 3; ++i)
    std::thread([] {
      Trace::NameThread("data", 1);
      const TraceSpan span("work");
    }).join();
  const auto all = Trace::End();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].name, "data 1");
  EXPECT_EQ(all[0].events.size(), 3u);
}

// Others go on adding while a trace ends and the next begins; what is read is whole.
TEST(Trace, MayEndWhileOthersAdd) {
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t)
    threads.emplace_back([&] {
      while (!stop) TraceSpan span("work", 3);
    });
  for (int round = 0; round < 50; ++round) {
    ASSERT_TRUE(Trace::Begin("main"));
    std::this_thread::sleep_for(std::chrono::microseconds(200));
    for (const TracedThread& thread : Trace::End()) {
      int64_t before = 0;
      for (const TraceEvent& e : thread.events) {
        ASSERT_STREQ(e.name, "work");
        ASSERT_EQ(e.number, 3);
        ASSERT_LE(before, e.begin);
        ASSERT_LE(e.begin, e.end);
        before = e.end;
      }
    }
  }
  stop = true;
  for (std::thread& t : threads) t.join();
}

TEST(Trace, WhatIsCancelledIsNotThereLater) {
  ASSERT_TRUE(Trace::Begin("main"));
  { TraceSpan span("lost"); }
  Trace::Cancel();
  Trace::Cancel();
  ASSERT_TRUE(Trace::Begin("main"));
  { TraceSpan span("kept"); }
  const auto all = Trace::End();
  ASSERT_EQ(all.size(), 1u);
  ASSERT_EQ(all[0].events.size(), 1u);
  EXPECT_STREQ(all[0].events[0].name, "kept");
}

TEST(Trace, CountsWhatItCannotHold) {
  ASSERT_TRUE(Trace::Begin("main"));
  for (int64_t i = 0; i < Trace::kMostEvents + 5; ++i) TraceSpan span("many", i);
  const auto all = Trace::End();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(static_cast<int64_t>(all[0].events.size()), Trace::kMostEvents);
  EXPECT_EQ(all[0].dropped, 5);
}

}  // namespace
}  // namespace ingot
