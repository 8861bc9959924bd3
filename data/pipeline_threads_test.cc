// SPDX-License-Identifier: MIT
//
// The threads of a data set: no more than were asked for, none left behind; many readers of one data set; the cache.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>

#include "ingot/data/data_test_util.h"
#include "ingot/tests/folder.h"

namespace ingot {
namespace {

using testing::ErrorOf;
using testing::ExpectThreads;
using testing::Flat;
using testing::Generated;
using testing::Lists;
using testing::Numbers;
using testing::Read;
using testing::ThreadsNow;

class PipelineThreads : public testing::InFolder {};

TEST_F(PipelineThreads, StoppingEarlyLeavesNoThread) {
  const int before = ThreadsNow();
  for (const Dataset& source : {Numbers(1000).skip(0), Generated(1000), Numbers(1000).repeat()})
    for (const int taken : {0, 1, 30}) {
      std::atomic<int> calls = 0;
      {
        auto reader = source
                          .map(
                              [&calls](Sample&) {
                                ++calls;
                                std::this_thread::sleep_for(std::chrono::microseconds(50));
                              },
                              {.threads = 3})
                          .batch(2)
                          .prefetch(4)
                          .read();
        Sample s;
        for (int i = 0; i < taken; ++i) ASSERT_TRUE(reader.next(s));
        EXPECT_GT(ThreadsNow(), before);
      }
      ExpectThreads(before);
      const int done = calls;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      EXPECT_EQ(calls, done) << "someone still works";
      EXPECT_LE(done, 2 * (taken + 16)) << "no more is made ahead than was asked for";
    }
}

TEST_F(PipelineThreads, PrefetchMakesSoManyAndNoMore) {
  std::atomic<int> made = 0;
  const Dataset data = Generated(100).map([&](Sample&) { ++made; }).prefetch(5);
  auto reader = data.read();
  for (int i = 0; i < 1000 && made < 5; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(made, 5);
  Sample s;
  ASSERT_TRUE(reader.next(s));
  for (int i = 0; i < 1000 && made < 6; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_EQ(made, 6);
}

TEST_F(PipelineThreads, OneDataSetManyReaders) {
  const Dataset data = Numbers(200).shuffle(200, 1).map([](Sample&) {}, {.threads = 2}).cache().shuffle(50).batch(8);
  const Lists expected = Read(data, 1);
  std::vector<std::thread> readers;
  for (int i = 0; i < 4; ++i) readers.emplace_back([&] { EXPECT_EQ(Read(data, 1), expected); });
  for (std::thread& t : readers) t.join();
}

// ---- Cache.

TEST_F(PipelineThreads, CacheRunsWhatIsBeforeItOnce) {
  for (const Dataset& source : {Numbers(150).shuffle(150, 2), Generated(150)})
    for (const bool file : {false, true}) {
      std::atomic<int> calls = 0;
      const Dataset mapped = source.map([&calls](Sample&) { ++calls; }, {.threads = 2});
      const std::string name = path(source.size() ? "arrays.cache" : "generator.cache");
      const Dataset data = (file ? mapped.cache(name) : mapped.cache()).batch(4);
      for (int pass = 0; pass < 3; ++pass) EXPECT_EQ(Read(data, pass), Read(source.batch(4), 0));
      EXPECT_EQ(calls, 150);
      EXPECT_EQ(data.size(), 38);
      if (!file) continue;
      EXPECT_EQ(Read(mapped.cache(name)), Read(source)) << "another reader finds the file";
      EXPECT_EQ(calls, 150);
      EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), source.size() ? 1 : 2)
          << "nothing else is left";
    }
  EXPECT_NE(ErrorOf([&] { Read(Numbers(5).take(5).cache(path("arrays.cache"))); }).find("holds 150 elements"),
            std::string::npos);
  EXPECT_EQ(Flat(Read(Numbers(5).map([](Sample&) {}).cache().shuffle(5, 1), 2)),
            Flat(Read(Numbers(5).shuffle(5, 1), 2)));
}

TEST_F(PipelineThreads, ACacheThatFailedIsTriedAgain) {
  bool fails = true;
  const Dataset data = Numbers(5)
                           .map([&](Sample&) {
                             if (fails) throw std::runtime_error("not yet");
                           })
                           .cache(path("c"));
  EXPECT_NE(ErrorOf([&] { Read(data); }), "");
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
  fails = false;
  EXPECT_EQ(Read(data).size(), 5u);
}

}  // namespace
}  // namespace ingot
