// SPDX-License-Identifier: MIT
//
// Archives by Python's zipfile, by ZipWriter, and damaged ones; the CRC against zlib's.
#include "ingot/io/zip.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "ingot/core/error.h"
#include "ingot/io/mapped_file.h"
#include "ingot/io/zip_format.h"
#include "ingot/tests/hostile.h"

namespace ingot {
namespace {

using testing::Refusal;

Bytes AsBytes(const std::string& text) { return std::as_bytes(std::span(text)); }
std::string AsText(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

std::string Fixture(const std::string& name) {
  return AsText(MappedFile::Open(std::string(INGOT_GOLDEN_DIR) + "/../formats/zip/" + name)->bytes());
}

std::string Content(const ZipReader& zip, const std::string& name) {
  const ZipReader::Member* member = zip.find(name);
  if (!member) return "(not there)";
  std::shared_ptr<const void> owner;
  return AsText(zip.Read(*member, owner));
}

// Everything there is to read in an archive.
void ReadAll(Bytes archive) {
  const ZipReader zip(archive, nullptr, "x.zip");
  for (const ZipReader::Member& member : zip.members()) {
    std::shared_ptr<const void> owner;
    zip.Read(member, owner);
  }
}
std::string Refused(const std::string& archive) { return Refusal(ReadAll, AsBytes(archive)); }

void ExpectRefused(const std::string& archive, const std::string& why) {
  const std::string refusal = Refused(archive);
  EXPECT_TRUE(refusal.starts_with("x.zip") && refusal.find(why) != std::string::npos) << refusal << "\nwanted: " << why;
}

// The archive with `value` written over what is `offset` bytes after the `nth` place where `signature` stands.
template <class T>
std::string Patched(std::string archive, uint32_t signature, size_t offset, T value, int nth = 0) {
  const std::string text(reinterpret_cast<const char*>(&signature), sizeof signature);
  size_t at = archive.find(text);
  for (; nth > 0; --nth) at = archive.find(text, at + 1);
  std::memcpy(archive.data() + at + offset, &value, sizeof value);
  return archive;
}

struct NamedData {
  std::string name, data;
};
std::string Written(const std::vector<NamedData>& members, size_t alignment = 64) {
  std::string archive;
  ZipWriter zip([&](const void* data, size_t bytes) { archive.append(static_cast<const char*>(data), bytes); });
  for (const NamedData& member : members) {
    const auto write = [&](const Sink& sink) {
      sink(member.data.data(), member.data.size() / 2);
      sink(member.data.data() + member.data.size() / 2, member.data.size() - member.data.size() / 2);
    };
    zip.Add(member.name, write, alignment);
  }
  zip.Finish();
  return archive;
}

TEST(Crc32, IsZlibs) {
  std::vector<uint8_t> data(5000);
  uint32_t state = 1;
  for (uint8_t& byte : data) byte = static_cast<uint8_t>((state = state * 1664525u + 1013904223u) >> 24);
  for (size_t n = 0; n < 600; ++n) {
    for (const size_t offset : {size_t{0}, size_t{1}, size_t{15}}) {
      const uint8_t* p = data.data() + offset;
      EXPECT_EQ(Crc32(p, n), crc32_z(0, p, n)) << n << " bytes";
      EXPECT_EQ(Crc32(p, n, state), crc32_z(state, p, n)) << n << " bytes";
    }
  }
  // In pieces as at once.
  EXPECT_EQ(Crc32(data.data() + 1234, 3766, Crc32(data.data(), 1234)), Crc32(data.data(), 5000));
  EXPECT_EQ(Crc32("123456789", 9), 0xcbf43926u);
}

TEST(Zip, PythonsStoredAndDeflated) {
  std::string text;
  for (int i = 0; i < 200; ++i) text += "line " + std::to_string(i) + " of a text that deflates\n";
  for (const char* name : {"stored.zip", "deflated.zip"}) {
    const std::string archive = Fixture(name);
    const ZipReader zip(AsBytes(archive), nullptr, name);
    EXPECT_EQ(zip.members().size(), 5u);
    EXPECT_EQ(Content(zip, "config.json"), "{}");
    EXPECT_EQ(Content(zip, "größe.txt"), "abc");
    EXPECT_EQ(Content(zip, "empty"), "");
    EXPECT_EQ(Content(zip, "folder/"), "");
    EXPECT_EQ(Content(zip, "text"), text);
    EXPECT_EQ(zip.find("folder"), nullptr);
    EXPECT_EQ(zip.find("zzz"), nullptr);
  }
}

TEST(Zip, StoredMembersLieInPlace) {
  const auto archive = std::make_shared<std::string>(Fixture("stored.zip"));
  const ZipReader zip(AsBytes(*archive), archive, "stored.zip");
  std::shared_ptr<const void> owner;
  const Bytes bytes = zip.Read(*zip.find("text"), owner);
  EXPECT_EQ(owner, archive);
  EXPECT_EQ(reinterpret_cast<const char*>(bytes.data()), archive->data() + archive->find("line 0 "));
}

TEST(Zip, OtherFormsByPython) {
  EXPECT_TRUE(ZipReader(AsBytes(Fixture("none.zip")), nullptr, "").members().empty());
  for (const char* name : {"comment.zip", "zip64.zip", "streamed.zip"}) {
    const std::string archive = Fixture(name);
    EXPECT_EQ(Content(ZipReader(AsBytes(archive), nullptr, name), "a"), "abc") << name;
  }
  ExpectRefused(Fixture("refused_bzip2.zip"), "member 'a': is compressed by method 12");
}

TEST(Zip, WrittenIsReadAndAligned) {
  const std::vector<NamedData> members = {
      {"a", "abc"}, {"größe/日本", std::string(1000, 'x')}, {"empty", ""}, {"folder/b", "b"}};
  for (const size_t alignment : {1, 2, 4, 64, 4096, 32768}) {
    for (size_t shift = 0; shift < 66; ++shift) {
      std::vector<NamedData> all = members;
      all.insert(all.begin(), {"first", std::string(shift, '.')});
      const std::string archive = Written(all, alignment);
      const ZipReader zip(AsBytes(archive), nullptr, "written");
      ASSERT_EQ(zip.members().size(), all.size());
      for (size_t i = 0; i < all.size(); ++i) {
        const ZipReader::Member& member = zip.members()[i];
        EXPECT_EQ(member.name, all[i].name);
        EXPECT_EQ(Content(zip, member.name), all[i].data);
        EXPECT_EQ((reinterpret_cast<const char*>(member.stored.data()) - archive.data()) % alignment, 0u);
      }
      if (alignment > 64) break;
    }
  }
  EXPECT_EQ(Written(members), Written(members));
  EXPECT_EQ(Written({}), Fixture("none.zip"));
}

TEST(Zip, WriterRefuses) {
  EXPECT_THROW(Written({{"a", "1"}, {"a", "2"}}), Error);
  EXPECT_THROW(Written({{"", "1"}}), Error);
  EXPECT_THROW(Written({{std::string(65536, 'a'), "1"}}), Error);
  ZipWriter zip([](const void*, size_t) {});
  int pass = 0;
  const auto changing = [&](const Sink& sink) { sink("ab", static_cast<size_t>(++pass)); };
  EXPECT_THROW(zip.Add("a", changing), Error);
}

TEST(Zip, ManyMembers) {
  for (const size_t n : {65534, 65535, 65536}) {
    std::vector<NamedData> members;
    for (size_t i = 0; i < n; ++i) members.push_back({"m" + std::to_string(i), ""});
    const std::string archive = Written(members, 1);
    EXPECT_EQ(ZipReader(AsBytes(archive), nullptr, "many").members().size(), n);
    EXPECT_EQ(archive.find("PK\6\6") != std::string::npos, n >= 65535);
  }
}

// Members beyond 4 GiB, in a file of which only the headers take space.
TEST(Zip, LargeMembers) {
  constexpr uint64_t kLarge = (uint64_t{1} << 32) + 5;
  std::string path = (std::filesystem::temp_directory_path() / "zip_test.XXXXXX").string();
  const int fd = mkstemp(path.data());
  ASSERT_GE(fd, 0);
  off_t at = 0;
  const std::vector<char> zeros(size_t{1} << 20);
  ZipWriter zip([&](const void* data, size_t bytes) {
    if (data != zeros.data()) {
      ASSERT_EQ(pwrite(fd, data, bytes, at), static_cast<ssize_t>(bytes));
    }
    at += static_cast<off_t>(bytes);
  });
  zip.Add("large", [&](const Sink& sink) {
    for (uint64_t left = kLarge; left;) {
      const size_t n = std::min<uint64_t>(left, zeros.size());
      sink(zeros.data(), n);
      left -= n;
    }
  });
  zip.Add("behind", [](const Sink& sink) { sink("abc", 3); });
  zip.Finish();
  close(fd);
  {
    const auto file = MappedFile::Open(path);
    EXPECT_EQ(file->bytes().size(), static_cast<size_t>(at));
    const ZipReader reader(file->bytes(), file, path);
    EXPECT_EQ(Content(reader, "behind"), "abc");
    const ZipReader::Member* large = reader.find("large");
    ASSERT_NE(large, nullptr);
    EXPECT_EQ(large->size, kLarge);
    EXPECT_EQ(large->stored.size(), kLarge);
    EXPECT_EQ(large->crc, 0xb1c2a1a3u);  // zlib's for so many zeros
  }
  std::filesystem::remove(path);
}

// Places in a directory entry and in the local header. "small.zip": a, b.
constexpr size_t kFlags = 8, kMethod = 10, kCrc = 16, kStoredSize = 20, kSize = 24, kOffset = 42;
constexpr size_t kLocalName = 30, kEntryName = 46;

TEST(Zip, ForgedNumbers) {
  const std::string small = Fixture("small.zip");
  EXPECT_EQ(Refused(small), "");
  ExpectRefused(Patched<uint16_t>(small, zip::kEntry, kFlags, 1), "member 'a': is encrypted");
  ExpectRefused(Patched<uint16_t>(small, zip::kEntry, kMethod, 0), "'a': its local header at offset 0 differs");
  ExpectRefused(Patched<uint32_t>(small, zip::kEntry, kCrc, 0), "differs from the directory");
  ExpectRefused(Patched<uint32_t>(small, zip::kEntry, kStoredSize, 0x7fffffff), "differs from the directory");
  ExpectRefused(Patched<uint32_t>(small, zip::kEntry, kOffset, 7), "at offset 7 there is no local header");
  ExpectRefused(Patched<uint32_t>(small, zip::kEntry, kOffset, 0xfffffff0), "leaves the archive");
  ExpectRefused(Patched<char>(small, zip::kLocal, kLocalName, 'q'), "its local header at offset 0 names it 'q'");
  ExpectRefused(Patched<char>(small, zip::kEntry, kEntryName, '\0'), "no name, or one with a zero byte");
  // Both headers: more bytes than there are, then a size that deflate cannot reach, then one beyond the limit.
  const auto both = [&](size_t place, uint32_t value) {
    return Patched(Patched(small, zip::kEntry, place, value, 1), zip::kLocal, place - 2, value, 1);
  };
  ExpectRefused(both(kStoredSize, 1000), "member 'b': its data of 1000 bytes at offset");
  ExpectRefused(both(kSize, 100'000), "bytes cannot inflate to 100000");
  ExpectRefused(both(kSize, 39), "its deflated data is damaged");
  ExpectRefused(both(kSize, 41), "its deflated data is damaged");
  ExpectRefused(both(kCrc, 0), "member 'b': is damaged: its CRC is");
  // The end record: members, bytes of the directory, its offset, disks.
  ExpectRefused(Patched<uint16_t>(Patched<uint16_t>(small, zip::kEnd, 8, 3), zip::kEnd, 10, 3), "cannot list");
  ExpectRefused(Patched<uint16_t>(Patched<uint16_t>(small, zip::kEnd, 8, 1), zip::kEnd, 10, 1), "goes on after its 1");
  ExpectRefused(Patched<uint16_t>(small, zip::kEnd, 8, 1), "one part of an archive in several");
  ExpectRefused(Patched<uint32_t>(small, zip::kEnd, 12, 0xfffffffe), "the directory of 4294967294 bytes");
}

TEST(Zip, DuplicatesAndOverlaps) {
  const std::string pair = Written({{"a", "1"}, {"b", "2"}});
  std::string twice = pair;
  std::replace(twice.begin(), twice.end(), 'b', 'a');
  ExpectRefused(twice, "two members are named 'a'");
  ExpectRefused(Patched<uint32_t>(pair, zip::kEntry, kOffset, 0, 1), "names it 'a'");
  // A whole local header inside the data of another member.
  const std::string inner = Written({{"b", "2"}}, 1);
  const std::string outer = Written({{"a", inner.substr(0, 32)}, {"b", "2"}}, 1);
  EXPECT_EQ(Refused(outer), "");
  ExpectRefused(Patched<uint32_t>(outer, zip::kEntry, kOffset, 31, 1), "members 'a' and 'b' overlap at offset 31");
}

// Many members that deflate well: each within bounds, all together not.
TEST(Zip, BombIsRefusedBeforeItInflates) {
  std::string archive, directory;
  constexpr uint32_t kStoredBytes = 260'000, kBytes = 268'000'000;
  const auto put = [](std::string& to, auto value) { to.append(reinterpret_cast<const char*>(&value), sizeof value); };
  for (int i = 0; i < 5; ++i) {
    const auto offset = static_cast<uint32_t>(archive.size());
    const auto describe = [&](std::string& to) {
      put(to, uint64_t{8} << 32 | 20), put(to, uint16_t{0}), put(to, uint32_t{0});
      put(to, kStoredBytes), put(to, kBytes), put(to, uint16_t{1});
    };
    put(archive, zip::kLocal), describe(archive), put(archive, uint16_t{0});
    archive += static_cast<char>('a' + i) + std::string(kStoredBytes, '\0');
    put(directory, zip::kEntry), put(directory, uint16_t{20}), describe(directory), put(directory, uint64_t{0});
    put(directory, uint32_t{0}), put(directory, offset), directory += static_cast<char>('a' + i);
  }
  const auto begin = static_cast<uint32_t>(archive.size());
  archive += directory;
  put(archive, zip::kEnd), put(archive, uint32_t{0}), put(archive, uint32_t{5 << 16 | 5});
  put(archive, static_cast<uint32_t>(directory.size())), put(archive, begin), put(archive, uint16_t{0});
  ExpectRefused(archive, "member 'e': would inflate to 268000000 bytes");
}

TEST(Zip, DamagedAnywhere) {
  for (const char* name : {"small.zip", "zip64.zip", "comment.zip"}) {
    const std::string archive = Fixture(name);
    EXPECT_GT(testing::Mangle(AsBytes(archive), ReadAll), 0) << name;
  }
  const std::string written = Written({{"a", "abc"}, {"größe", std::string(70, 'x')}}, 64);
  testing::Mangle(AsBytes(written), ReadAll);
  EXPECT_NE(Refused(""), "");
  EXPECT_NE(Refused(std::string(100'000, 'P')), "");
}

}  // namespace
}  // namespace ingot
