// SPDX-License-Identifier: MIT
//
// A test with a folder of its own, which goes when it ends.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <string>

namespace ingot::testing {

class InFolder : public ::testing::Test {
 protected:
  InFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "ingot-test-XXXXXX").string();
    if (mkdtemp(name.data())) folder_ = name;
  }
  ~InFolder() override { std::filesystem::remove_all(folder_); }
  void SetUp() override { ASSERT_FALSE(folder_.empty()) << "a folder for temporary files cannot be made"; }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  std::filesystem::path folder_;
};

}  // namespace ingot::testing
