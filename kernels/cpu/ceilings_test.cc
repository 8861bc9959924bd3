// SPDX-License-Identifier: MIT
#include "ingot/kernels/ceilings.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

namespace ingot {
namespace {

// A thousand threads on two cores would take a thousand times as long as one.
TEST(Ceilings, ArePutByAsManyThreadsAsThereAreCores) {
  const int cores = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  const Ceilings& most = CeilingsOf(1000);
  EXPECT_EQ(most.threads, std::min(1000, cores));
  EXPECT_EQ(&most, &CeilingsOf(std::min(1000, cores))) << "measured once";
  EXPECT_EQ(CeilingsOf(1).threads, 1);
  EXPECT_GT(most.gflops, 0);
}

}  // namespace
}  // namespace ingot
