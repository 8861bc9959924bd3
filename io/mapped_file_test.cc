// SPDX-License-Identifier: MIT
//
// What can be mapped, and what is refused: without waiting, even for a pipe that nobody writes to.
#include "ingot/io/mapped_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "ingot/core/error.h"

namespace ingot {
namespace {

namespace fs = std::filesystem;

class MappedFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string folder = (fs::temp_directory_path() / "mapped_file_test.XXXXXX").string();
    ASSERT_NE(mkdtemp(folder.data()), nullptr);
    folder_ = folder;
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string Path(const std::string& name) const { return (folder_ / name).string(); }
  std::string Write(const std::string& name, const std::string& text) const {
    std::ofstream(Path(name), std::ios::binary) << text;
    return Path(name);
  }
  static std::string Refusal(const std::string& path) {
    try {
      MappedFile::Open(path);
      return "";
    } catch (const Error& e) {
      return e.what();
    }
  }

  fs::path folder_;
};

TEST_F(MappedFileTest, BytesOfAFile) {
  const std::string path = Write("a", "some text");
  const auto file = MappedFile::Open(path);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size()), "some text");
  EXPECT_EQ(file->path(), path);
  EXPECT_GE(file->fd(), 0);
}

TEST_F(MappedFileTest, OutlivesItsName) {
  const std::string path = Write("a", "old");
  const auto file = MappedFile::Open(path);
  fs::rename(Write("b", "new"), path);
  EXPECT_EQ(file->bytes()[0], std::byte{'o'});
}

TEST_F(MappedFileTest, EmptyFile) { EXPECT_TRUE(MappedFile::Open(Write("empty", ""))->bytes().empty()); }

TEST_F(MappedFileTest, Refusals) {
  EXPECT_EQ(Refusal(Path("none")), Path("none") + ": cannot be opened: No such file or directory");
  EXPECT_EQ(Refusal(folder_.string()), folder_.string() + ": is a folder, a file was expected");
  ASSERT_EQ(mkfifo(Path("pipe").c_str(), 0600), 0);
  EXPECT_NE(Refusal(Path("pipe")).find("is not a regular file"), std::string::npos);
  EXPECT_NE(Refusal("/dev/null").find("is not a regular file"), std::string::npos);
  if (geteuid() != 0) {  // root may read anything
    fs::permissions(Write("closed", "x"), fs::perms::none);
    EXPECT_EQ(Refusal(Path("closed")), Path("closed") + ": cannot be opened: Permission denied");
  }
}

}  // namespace
}  // namespace ingot
