// SPDX-License-Identifier: MIT
#include "ingot/core/progress.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <thread>
#include <vector>

#include "ingot/io/atomic_file.h"
#include "ingot/tests/folder.h"

namespace ingot {
namespace {

class ProgressTest : public testing::InFolder {
 protected:
  void SetUp() override {
    testing::InFolder::SetUp();
    on_progress([this](const Progress& p) { told_.push_back(p); });
  }
  void TearDown() override { on_progress({}); }
  static void Wait(int ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }

  std::vector<Progress> told_;
};

TEST_F(ProgressTest, WhatIsShortIsNotToldOf) {
  {
    Watched task("reading", "a", 100);
    for (int i = 0; i < 100; ++i) task.Add(1);
  }
  EXPECT_TRUE(told_.empty());
}

TEST_F(ProgressTest, WhatIsLongIsToldOfToItsEnd) {
  {
    Watched task("reading", "a", 100);
    Wait(600);
    for (int i = 0; i < 40; ++i) task.Add(1);
    task.Add(0);
    Wait(150);
    task.Add(70);  // more than was announced
  }
  ASSERT_GE(told_.size(), 3u);
  EXPECT_EQ(told_.front().what, "reading 'a'");
  EXPECT_EQ(told_.front().done, 1u);
  EXPECT_FALSE(told_.front().ended);
  EXPECT_GE(told_.front().seconds, 0.5);
  EXPECT_EQ(told_.back().done, 100u);
  EXPECT_TRUE(told_.back().ended);
  for (size_t i = 0; i + 2 < told_.size(); ++i) EXPECT_GE(told_[i + 1].seconds - told_[i].seconds, 0.09);
}

TEST_F(ProgressTest, FromManyThreadsAndThroughAListenerThatThrows) {
  int told = 0;
  on_progress([&](const Progress&) {
    ++told;
    throw std::runtime_error("no");
  });
  {
    Watched task("reading", "a", 1000);
    Wait(600);
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i)
      threads.emplace_back([&] {
        for (int k = 0; k < 250; ++k) task.Add(1);
      });
    for (std::thread& t : threads) t.join();
  }
  EXPECT_GE(told, 2);
}

// One that puts another in its place, and does what is told of itself.
TEST_F(ProgressTest, AListenerMayDoWhatItLikes) {
  int first = 0, second = 0;
  on_progress([&](const Progress&) {
    ++first;
    Watched own("its own", "", 1);
    Wait(600);
    own.Add(1);
    on_progress([&](const Progress&) { ++second; });
  });
  {
    Watched task("reading", "a", 100);
    Wait(600);
    task.Add(1);
    Wait(150);
    task.Add(1);
  }
  EXPECT_EQ(first, 1);
  EXPECT_GE(second, 1);
}

TEST_F(ProgressTest, ASaveIsToldOf) {
  {
    AtomicFile file(path("f"), 3000);
    const std::vector<char> bytes(1000);
    file.Write(bytes.data(), bytes.size());
    Wait(600);
    file.Write(bytes.data(), bytes.size());
    file.Commit();
  }
  ASSERT_EQ(told_.size(), 2u);
  EXPECT_EQ(told_[0].what, "writing '" + path("f") + "'");
  EXPECT_EQ(told_[0].done, 2000u);
  EXPECT_EQ(told_[0].total, 3000u);
  EXPECT_TRUE(told_[1].ended);
}

size_t Columns(const std::string& text) {
  size_t n = 0;
  for (const char c : text) n += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return n;
}

TEST(ProgressLine, FitsIntoTheTerminal) {
  const std::string file(300, 'd');
  const Progress p{"reading '/a/" + file + "/end.ingot'", 50, 100, 2, false};
  EXPECT_GT(Columns(ProgressLine(p)), 300u);
  for (const size_t columns : {1u, 2u, 5u, 20u, 40u, 60u, 80u, 81u, 120u, 200u}) {
    const std::string line = ProgressLine(p, columns);
    EXPECT_LT(Columns(line), columns) << line;
    if (columns < 80) continue;
    EXPECT_TRUE(line.starts_with("reading ")) << line;
    EXPECT_NE(line.find("end.ingot' ━"), std::string::npos) << line;
    EXPECT_NE(line.find("50 B of 100 B, 25 B/s, 2s left"), std::string::npos) << line;
  }
  EXPECT_EQ(ProgressLine({"reading 'a'", 50, 0, 0, false}, 80), "reading 'a' 50 B");
  EXPECT_EQ(ProgressLine({"reading 'ääääääääääääääääääää'", 50, 0, 0, false}, 24), "readi…äääääääääää' 50 B");
}

TEST(ProgressLine, APathDoesNotMoveTheCursor) {
  const std::string line =
      ProgressLine({"reading 'a\x1b[2J\r\n\x7f\xc2\x9b"
                    "1mä'",
                    1, 2, 0, false});
  EXPECT_TRUE(line.starts_with("reading 'a\\x1b[2J\\x0d\\n\\x7f\\xc2\\x9b1mä'")) << line;
}

TEST(ProgressBar, Fills) {
  const auto full = [](uint64_t done, uint64_t total) {
    size_t n = 0;
    const std::string bar = ProgressBar(done, total);
    for (size_t at = 0; (at = bar.find("━", at)) != std::string::npos; ++at) ++n;
    return n;
  };
  EXPECT_EQ(full(0, 10), 0u);
  EXPECT_EQ(full(5, 10), 10u);
  EXPECT_EQ(full(10, 10), 20u);
  EXPECT_EQ(full(0, 0), 0u);
  EXPECT_EQ(full(uint64_t{1} << 63, uint64_t{1} << 63), 20u);
}

}  // namespace
}  // namespace ingot
