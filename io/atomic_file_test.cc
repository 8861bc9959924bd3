// SPDX-License-Identifier: MIT
//
// A target is the old file or the new one, whole, whatever happens to the writer.
#include "ingot/io/atomic_file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>
#include <vector>

#include "ingot/core/error.h"
#include "ingot/core/memory.h"
#include "ingot/tests/folder.h"

namespace ingot {
namespace {

namespace fs = std::filesystem;

class AtomicFileTest : public testing::InFolder {
 protected:
  std::string path() const { return testing::InFolder::path("file"); }
  std::string Read() const {
    std::ifstream in(path(), std::ios::binary);
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
  }
  size_t Entries() const {
    return static_cast<size_t>(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }
  // `bytes` of one letter, in small pieces.
  static void Save(const std::string& to, char letter, size_t bytes) {
    AtomicFile file(to);
    const std::string piece(1000, letter);
    for (size_t i = 0; i < bytes; i += piece.size()) file.Write(piece.data(), piece.size());
    file.Commit();
  }
  bool Whole() const {
    const std::string text = Read();
    return text.size() == 200000 && text.find_first_not_of(text[0]) == std::string::npos;
  }
};

TEST_F(AtomicFileTest, WithoutCommitNothingChanges) {
  Save(path(), 'a', 1000);
  {
    AtomicFile file(path());
    file.Write("b", 1);
  }
  EXPECT_EQ(Read(), std::string(1000, 'a'));
  EXPECT_EQ(Entries(), 1u) << "the temporary is gone";
}

TEST_F(AtomicFileTest, AWriterKilledAtAnyMomentLeavesTheOldFileOrTheNewOne) {
  Save(path(), 'a', 200000);
  for (int round = 0; round < 200; ++round) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      for (char letter = 'b';; letter = letter == 'z' ? 'b' : static_cast<char>(letter + 1))
        Save(path(), letter, 200000);
    }
    usleep(static_cast<useconds_t>(500 + 37 * round));
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    ASSERT_TRUE(Whole()) << "after round " << round << " it has " << Read().size() << " bytes";
  }
  Save(path(), 'a', 200000);
  EXPECT_EQ(Entries(), 1u) << "the next save takes over what a killed one left";
}

// What is large goes straight to the disk where it lies at whole pages; the file must not tell.
TEST_F(AtomicFileTest, LargePiecesAtAnyPlaceAreWrittenWhole) {
  const Block block(size_t{5} << 20, "a test");
  for (size_t i = 0; i < block.size(); ++i) block.data()[i] = static_cast<std::byte>(i * 2654435761u >> 13);
  const auto* data = reinterpret_cast<const char*>(block.data());
  const size_t large = size_t{3} << 20;
  std::string want;
  {
    AtomicFile file(path());
    const auto add = [&](size_t from, size_t bytes) {
      file.Write(data + from, bytes);
      want.append(data + from, bytes);
    };
    add(0, large);            // whole pages
    add(4096, large + 5);     // and an end
    add(0, large);            // behind a place within a page
    add(0, 4096 - 5);         // up to a page again
    add(8192, large + 2048);  // straight, and half a page
    add(7, 2048);             // up to a page
    add(64, large);           // from memory within a page
    add(0, 1 << 20);
    file.Commit();
  }
  EXPECT_TRUE(Read() == want);
}

TEST_F(AtomicFileTest, TwoSaversOfOneFileTakeTurns) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([this, t] {
      for (int i = 0; i < 5; ++i) Save(path(), static_cast<char>('a' + t), 200000);
    });
  for (std::thread& t : threads) t.join();
  EXPECT_TRUE(Whole());
  EXPECT_EQ(Entries(), 1u);
}

TEST_F(AtomicFileTest, AFileThatMayNotGrowIsAnErrorAndTheOldOneStays) {
  Save(path(), 'a', 1000);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit = {50000, 50000};
    setrlimit(RLIMIT_FSIZE, &limit);
    try {
      Save(path(), 'b', 200000);
      _exit(1);
    } catch (const Error& e) {
      _exit(std::string(e.what()).find("File too large") == std::string::npos ? 2 : 0);
    }
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(Read(), std::string(1000, 'a'));
  EXPECT_EQ(Entries(), 1u);
}

TEST_F(AtomicFileTest, FoldersAndMissingFoldersAreNamed) {
  EXPECT_THROW(Save(folder_.string(), 'a', 1000), Error);
  EXPECT_THROW(Save((folder_ / "none" / "file").string(), 'a', 1000), Error);
}

TEST_F(AtomicFileTest, AnEmptyPathIsNamedAsThat) {
  try {
    AtomicFile file("");
    ADD_FAILURE() << "no error";
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "a file cannot be saved: its path is empty; name a file");
  }
}

TEST_F(AtomicFileTest, DevicesAndPipesAreNotReplaced) {
  ASSERT_EQ(mkfifo(path().c_str(), 0600), 0);
  const fs::path link = folder_ / "link";
  fs::create_symlink(path(), link);
  EXPECT_THROW(Save(path(), 'a', 1000), Error);
  EXPECT_THROW(Save(link.string(), 'a', 1000), Error);
  EXPECT_TRUE(fs::is_fifo(path()));
}

TEST_F(AtomicFileTest, ALinkIsFollowedAndModeBitsAreKept) {
  Save(path(), 'a', 1000);
  chmod(path().c_str(), 0640);
  const fs::path link = folder_ / "link";
  fs::create_symlink(path(), link);
  Save(link.string(), 'b', 1000);
  EXPECT_TRUE(fs::is_symlink(link));
  EXPECT_EQ(Read(), std::string(1000, 'b'));
  struct stat info;
  ASSERT_EQ(stat(path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0640u);
}

}  // namespace
}  // namespace ingot
