// SPDX-License-Identifier: MIT
#include "ingot/core/memory.h"

#include <gtest/gtest.h>

#include <cstring>
#include <thread>
#include <vector>

#include "ingot/core/error.h"

namespace ingot {
namespace {

bool AllZero(const Block& block) {
  for (size_t i = 0; i < block.size(); ++i)
    if (block.data()[i] != std::byte{0}) return false;
  return true;
}

TEST(Memory, BlocksAreAlignedAndZeroEvenWhenTheirPagesWereUsedBefore) {
  for (const size_t bytes : {size_t{1}, size_t{256}, size_t{257}, size_t{200000}, size_t{5} << 20}) {
    for (int round = 0; round < 3; ++round) {
      Block block(bytes, "test");
      EXPECT_GE(block.size(), bytes);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(block.data()) % kAlignment, 0u);
      EXPECT_TRUE(AllZero(block)) << bytes << " bytes, round " << round;
      std::memset(block.data(), 0xff, block.size());
    }
  }
}

TEST(Memory, BlocksComeAndGoOnManyThreads) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([t] {
      std::vector<Block> held(8);
      for (size_t i = 0; i < 2000; ++i) {
        Block& block = held[i % held.size()];
        block = Block(1000 * (1 + (i + static_cast<size_t>(t)) % 5), "test");
        ASSERT_EQ(block.data()[0], std::byte{0});
        block.data()[0] = std::byte{1};
      }
    });
  for (std::thread& t : threads) t.join();
}

TEST(Memory, MoreThanTheMachineHasIsAnErrorThatSaysBothSizes) {
  try {
    Block block(size_t{1} << 60, "weights of 'huge'");
    FAIL() << "was given";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("weights of 'huge'"), std::string::npos) << e.what();
    EXPECT_NE(std::string(e.what()).find("1.00 EiB"), std::string::npos) << e.what();
  }
}

}  // namespace
}  // namespace ingot
