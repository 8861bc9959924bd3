// SPDX-License-Identifier: MIT
//
// Damaged and hostile files either load or are refused with an Error: cut and changed everywhere, and by hand where
// it hurts. By ingot's reader alone: what libhdf5 does with such files is not ours.
#include <gtest/gtest.h>

#include <random>

#include "ingot/io/hdf5_test_util.h"

namespace ingot {
namespace {

using testing::ErrorOf;
using testing::ExpectHas;
using testing::File;
using testing::Floats;
using testing::Load;
using testing::Read;
using testing::Texts;
using testing::Written;

// It loads, or throws an Error; anything else is a failure of the test program.
std::string Outcome(Bytes file) {
  return ErrorOf([&] {
    const Hdf5Node root = ReadHdf5(file, nullptr, "f.h5", /*may_use_library=*/false);
    size_t sum = 0;  // all that was given out can be touched
    const std::function<void(const Hdf5Node&)> touch = [&](const Hdf5Node& node) {
      if (node.tensor)
        for (const std::byte b : node.tensor->bytes) sum += static_cast<size_t>(b);
      for (const Hdf5Node& child : node.children) touch(child);
    };
    touch(root);
    EXPECT_LE(sum, 255 * 40 * file.size());
  });
}

Hdf5Node Small() {
  Hdf5Node root;
  root.attributes["name"] = "text";
  root.attributes["list"] = Texts{"a", "bc"};
  root.child("g/d").tensor = Floats({1, 2, 3});
  root.child("g/e").tensor = Floats({1, 2, 3});
  return root;
}

TEST(Hdf5Damage, DamagedFilesLoadOrAreRefused) {
  for (const File& whole : {Load("small.h5"), Load("compact_small.h5"), Written(Small())}) {
    EXPECT_EQ(Outcome(whole), "no error");
    for (size_t n = 0; n < whole.size(); ++n) {
      const File cut(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(n));  // its own allocation, for sanitizers
      ExpectHas(Outcome(cut), "f.h5: ");
    }
    File file = whole;
    for (size_t i = 0; i < file.size(); ++i) {
      for (const int mask : {1, 2, 4, 8, 16, 32, 64, 128, 255}) {
        file[i] = whole[i] ^ static_cast<std::byte>(mask);
        Outcome(file);
      }
      file[i] = whole[i];
    }
  }
}

TEST(Hdf5Damage, RandomDamageLoadsOrIsRefused) {
  std::mt19937 random(7);
  for (const char* name : {"plain.h5", "text.h5", "chunked.h5", "dense.h5", "compact.h5"}) {
    const File whole = Load(name);
    for (int round = 0; round < 500; ++round) {
      File file = whole;
      for (uint32_t n = 1 + static_cast<uint32_t>(random() % 20); n; --n)
        file[random() % file.size()] = static_cast<std::byte>(random());
      Outcome(file);
    }
  }
}

template <class T>
T Get(const File& file, size_t at) {
  T value;
  std::memcpy(&value, file.data() + at, sizeof value);
  return value;
}

template <class T>
void Set(File& file, size_t at, T value) {
  std::memcpy(file.data() + at, &value, sizeof value);
}

std::vector<size_t> Find(const File& file, std::string_view text) {
  std::vector<size_t> places;
  const std::string_view all(reinterpret_cast<const char*>(file.data()), file.size());
  for (size_t at = all.find(text); at != all.npos; at = all.find(text, at + 1)) places.push_back(at);
  return places;
}

TEST(Hdf5Damage, RefusesGroupsThatContainThemselves) {
  File file = Written(Small());
  const uint64_t root = Get<uint64_t>(file, 64);
  const size_t node = Find(file, "SNOD").back();  // the root's, whose only member is g
  Set(file, node + 16, root);
  ExpectHas(Outcome(file), "/g/g/g/");
  ExpectHas(Outcome(file), "a group contains itself");
}

// Each of 30 groups has two names for the next: 2^30 groups in a few kilobytes.
TEST(Hdf5Damage, RefusesGroupsLinkedOverAndOver) {
  Hdf5Node tree;
  std::string path;
  for (int i = 0; i < 30; ++i) {
    tree.child(path + "a");
    tree.child(path + "b");
    path += "a/";
  }
  File file = Written(tree);
  for (const size_t node : Find(file, "SNOD"))
    std::memcpy(file.data() + node + 56, file.data() + node + 16, 32);  // b's address becomes a's
  ExpectHas(Outcome(file), "links the same objects over and over");
}

TEST(Hdf5Damage, RefusesTreesOfTheWrongLevel) {
  File file = Written(Small());
  const size_t node = Find(file, "TREE").front();
  Set<uint8_t>(file, node + 5, 200);
  Set<uint64_t>(file, node + 32, node);  // its child is itself
  ExpectHas(Outcome(file), "is of level 200, not 199");
}

TEST(Hdf5Damage, RefusesHeadersThatContinueInThemselves) {
  File file = Written(Small());
  const uint64_t root = Get<uint64_t>(file, 64);
  Set<uint16_t>(file, root + 2, 65535);  // messages
  Set<uint16_t>(file, root + 16, 0x10);  // a continuation, of 16 bytes as the symbol table was
  Set<uint64_t>(file, root + 24, root + 16);
  Set<uint64_t>(file, root + 32, 24);
  ExpectHas(Outcome(file), "f.h5: /: ");
}

TEST(Hdf5Damage, RefusesDatasetsThatOverlap) {
  File file = Written(Small());
  const std::vector<size_t> layouts = Find(file, std::string_view("\x08\0\x18\0\0\0\0\0\3\1", 10));
  ASSERT_EQ(layouts.size(), 2u);
  const uint64_t first = Get<uint64_t>(file, layouts[0] + 10);
  for (const uint64_t offset : {0, 4, 11}) {
    Set(file, layouts[1] + 10, first + offset);
    const std::string error = Outcome(file);
    ExpectHas(error, "overlaps that of /g/");
    ExpectHas(error, std::to_string(first));
  }
  Set(file, layouts[1] + 10, first + 12);
  EXPECT_EQ(Outcome(file), "no error");
}

TEST(Hdf5Damage, RefusesSizesThatTheFileCannotHold) {
  const File whole = Written(Small());
  const size_t space = Find(whole, std::string_view("\1\0\x10\0\0\0\0\0\1\1", 10)).front() + 16;
  for (const uint64_t extent : {uint64_t{4}, uint64_t{1} << 40, uint64_t{1} << 62, ~uint64_t{0}}) {
    File file = whole;
    Set(file, space, extent);
    ExpectHas(Outcome(file), "f.h5: /g/d: ");
  }
  // Without storage, zeros would be made: as many as the file's size allows.
  File file = whole;
  Set(file, space, uint64_t{1} << 36);
  Set(file, Find(file, std::string_view("\x08\0\x18\0\0\0\0\0\3\1", 10)).front() + 10, ~uint64_t{0});
  ExpectHas(Outcome(file), "times the file's size");
}

TEST(Hdf5Damage, RefusesWhatIsNoHdf5) {
  ExpectHas(ErrorOf([] { Read({}, "x.h5"); }), "x.h5: not an HDF5 file");
  ExpectHas(ErrorOf([] { Read(File(1000), "x.h5"); }), "x.h5: not an HDF5 file");
  if (HasHdf5Library()) ExpectHas(ErrorOf([] { ReadHdf5WithLibrary(File(1000), "x.h5"); }), "x.h5: /: libhdf5 cannot");
}

}  // namespace
}  // namespace ingot
