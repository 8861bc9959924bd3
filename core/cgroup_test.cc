// SPDX-License-Identifier: MIT
#include "ingot/core/cgroup.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <limits>

#include "ingot/tests/folder.h"

namespace ingot {
namespace {

class Cgroup : public testing::InFolder {
 protected:
  void Put(const std::string& name, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(path(name)).parent_path());
    std::ofstream(path(name)) << text << "\n";
  }
  uint64_t Room() { return RoomInCgroup(path("self"), path("sys")); }
  static constexpr uint64_t kNoLimit = std::numeric_limits<uint64_t>::max();
};

TEST_F(Cgroup, V2TheLeastOfItsAncestors) {
  EXPECT_EQ(Room(), kNoLimit) << "nothing is said";
  Put("self", "0::/a/b");
  EXPECT_EQ(Room(), kNoLimit);
  Put("sys/a/b/memory.max", "max"), Put("sys/a/b/memory.current", "500");
  EXPECT_EQ(Room(), kNoLimit);
  Put("sys/a/memory.max", "3000"), Put("sys/a/memory.current", "1000");
  EXPECT_EQ(Room(), 2000u);
  Put("sys/a/b/memory.max", "700");
  EXPECT_EQ(Room(), 200u);
  Put("sys/a/b/memory.max", "400");
  EXPECT_EQ(Room(), 0u);
}

TEST_F(Cgroup, V2AtTheRootOfAContainer) {
  Put("self", "0::/");
  Put("sys/memory.max", "3000"), Put("sys/memory.current", "1000");
  EXPECT_EQ(Room(), 2000u);
}

TEST_F(Cgroup, V1UnderTheHostsNameOrItsOwn) {
  Put("self", "7:cpu,cpuacct:/docker/x\n5:memory:/docker/x\n1:name=systemd:/docker/x");
  Put("sys/memory/memory.limit_in_bytes", "9000"), Put("sys/memory/memory.usage_in_bytes", "1000");
  EXPECT_EQ(Room(), 8000u);
  Put("sys/memory/docker/x/memory.limit_in_bytes", "2000"), Put("sys/memory/docker/x/memory.usage_in_bytes", "1500");
  EXPECT_EQ(Room(), 500u);
}

}  // namespace
}  // namespace ingot
