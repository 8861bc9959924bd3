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
#include "ingot/tests/folder.h"

namespace ingot {
namespace {

namespace fs = std::filesystem;

class MappedFileTest : public testing::InFolder {
 protected:
  std::string Write(const std::string& name, const std::string& text) const {
    std::ofstream(path(name), std::ios::binary) << text;
    return path(name);
  }
  static std::string Refusal(const std::string& path) {
    try {
      MappedFile::Open(path);
      return "";
    } catch (const Error& e) {
      return e.what();
    }
  }
};

TEST_F(MappedFileTest, BytesOfAFile) {
  const std::string path = Write("a", "some text");
  const auto file = MappedFile::Open(path);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size()), "some text");
  EXPECT_EQ(file->path(), path);
}

TEST_F(MappedFileTest, OutlivesItsName) {
  const std::string path = Write("a", "old");
  const auto file = MappedFile::Open(path);
  fs::rename(Write("b", "new"), path);
  EXPECT_EQ(file->bytes()[0], std::byte{'o'});
}

TEST_F(MappedFileTest, EmptyFile) { EXPECT_TRUE(MappedFile::Open(Write("empty", ""))->bytes().empty()); }

TEST_F(MappedFileTest, ReadIsWhatIsMapped) {
  std::string text;
  for (int i = 0; text.size() < 5'000'000; ++i) text += std::to_string(i);
  const std::string path = Write("a", text);
  const auto file = MappedFile::Open(path, LoadMode::kRead);
  EXPECT_EQ(std::string_view(reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size()), text);
}

TEST_F(MappedFileTest, SaysWhetherTheFileChanged) {
  const std::string path = Write("a", "some text");
  const auto file = MappedFile::Open(path);
  const auto read = MappedFile::Open(path, LoadMode::kRead);
  file->CheckUnchanged();
  fs::rename(Write("b", "new"), path);  // as a save does: the pages of the old file stay
  file->CheckUnchanged();
  const std::string other = Write("c", "some text");
  const auto cut = MappedFile::Open(other);
  fs::resize_file(other, 4);
  try {
    cut->CheckUnchanged();
    FAIL() << "a file that was cut is not noticed";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("had 9 bytes when it was mapped and has 4 now"), std::string::npos);
  }
  read->CheckUnchanged();
}

TEST_F(MappedFileTest, Refusals) {
  EXPECT_EQ(Refusal(path("none")), path("none") + ": cannot be opened: No such file or directory");
  EXPECT_EQ(Refusal(folder_.string()), folder_.string() + ": is a folder, a file was expected");
  ASSERT_EQ(mkfifo(path("pipe").c_str(), 0600), 0);
  EXPECT_NE(Refusal(path("pipe")).find("is not a regular file"), std::string::npos);
  EXPECT_NE(Refusal("/dev/null").find("is not a regular file"), std::string::npos);
  if (geteuid() != 0) {  // root may read anything
    fs::permissions(Write("closed", "x"), fs::perms::none);
    EXPECT_EQ(Refusal(path("closed")), path("closed") + ": cannot be opened: Permission denied");
  }
}

}  // namespace
}  // namespace ingot
