// SPDX-License-Identifier: MIT
//
// Data sets of files of arrays, idx and CIFAR: what they hold, and what is said of files that are damaged.
#include <gtest/gtest.h>

#include <fstream>

#include "ingot/data/data_test_util.h"
#include "ingot/io/atomic_file.h"
#include "ingot/io/hdf5.h"
#include "ingot/io/npy.h"
#include "ingot/tests/folder.h"

namespace ingot {
namespace {

using testing::ErrorOf;

std::string Format(const std::string& name) { return std::string(INGOT_GOLDEN_DIR) + "/../formats/" + name; }

class Readers : public testing::InFolder {
 protected:
  std::string Write(const std::string& name, const std::string& text) const {
    std::ofstream(path(name), std::ios::binary) << text;
    return path(name);
  }
  void WriteArray(const std::string& name, const Array& a) const {
    AtomicFile file(path(name));
    WriteNpy({"", StoredAs(a.dtype()), a.shape(), Bytes(static_cast<const std::byte*>(a.data()), a.bytes()), nullptr},
             file.sink());
    file.Commit();
  }
};

// ---- Arrays.

TEST_F(Readers, NpyIsMapped) {
  Array x({100, 3}), y({100}, DType::kInt32);
  for (size_t i = 0; i < 300; ++i) x.floats()[i] = static_cast<float>(i);
  WriteArray("x.npy", x);
  WriteArray("y.npy", y);
  Dataset data = Dataset::from_npy(path("x.npy"), path("y.npy"));
  EXPECT_EQ(data.x[0], x);
  EXPECT_EQ(data.y[0], y);
  // What is written to it stays in this process.
  data.x[0].floats()[0] = 7;
  EXPECT_EQ(Dataset::from_npy(path("x.npy"), path("y.npy")).x[0], x);
  std::ifstream maps("/proc/self/maps");
  const std::string all{std::istreambuf_iterator<char>(maps), {}};
  EXPECT_NE(all.find("x.npy"), std::string::npos) << "it was copied";
  // float64 is converted.
  const Dataset wide = Dataset::from_npy({Format("npy/float64.npy")}, {});
  EXPECT_EQ(wide.x[0].dtype(), DType::kFloat32);
  EXPECT_EQ(wide.x[0].floats()[1], -1.75f);
  WriteArray("short.npy", Array({99}));
  EXPECT_NE(ErrorOf([&] { Dataset::from_npy(path("x.npy"), path("short.npy")); }).find("99"), std::string::npos);
  EXPECT_NE(ErrorOf([&] { Dataset::from_npy(Format("npy/scalar.npy"), path("y.npy")); }), "");
  EXPECT_NE(ErrorOf([&] { Dataset::from_npy(Format("npy/refused_object.npy"), path("y.npy")); }), "");
}

TEST_F(Readers, NpzByName) {
  const Dataset data = Dataset::from_npz(Format("npy/deflated.npz"), {"dense/kernel"}, {});
  EXPECT_EQ(data.x[0].shape(), (Shape{3, 5}));
  EXPECT_EQ(data.x[0].floats()[2], -1.5f);
  EXPECT_NE(ErrorOf([&] {
              Dataset::from_npz(Format("npy/stored.npz"), {"kernel"}, {});
            }).find("has no array 'kernel'; there are: dense/kernel bias"),
            std::string::npos);
}

TEST_F(Readers, Hdf5ByPath) {
  Array x({4, 2}, {1.f, 2.f, 3.f, 4.f, 5.f, 6.f, 7.f, 8.f}), y({4}, {0, 1, 0, 1});
  Hdf5Node root;
  for (const auto& [name, a] : {std::pair("train/x", &x), std::pair("train/y", &y)})
    root.child(name).tensor = {name, StoredAs(a->dtype()), a->shape(),
                               Bytes(static_cast<const std::byte*>(a->data()), a->bytes()), nullptr};
  AtomicFile file(path("d.h5"));
  WriteHdf5(root, file.sink());
  file.Commit();
  const Dataset data = Dataset::from_hdf5(path("d.h5"), {"train/x"}, {"train/y"});
  EXPECT_EQ(data.x[0], x);
  EXPECT_EQ(data.y[0], y);
  EXPECT_NE(ErrorOf([&] {
              Dataset::from_hdf5(path("d.h5"), {"train"}, {});
            }).find("has no dataset 'train'; there are: train/x train/y"),
            std::string::npos);
}

// ---- idx, CIFAR.

std::string BigEndian(uint32_t v) {
  return {static_cast<char>(v >> 24), static_cast<char>(v >> 16), static_cast<char>(v >> 8), static_cast<char>(v)};
}
std::string Idx(const std::vector<uint32_t>& shape, const std::string& data) {
  std::string file{'\0', '\0', '\x08', static_cast<char>(shape.size())};
  for (const uint32_t n : shape) file += BigEndian(n);
  return file + data;
}

TEST_F(Readers, IdxAndCifar) {
  const std::string images = Write("i", Idx({2, 1, 3}, "abcdef")), labels = Write("l", Idx({2}, {'\x03', '\xff'}));
  const Dataset data = Dataset::from_idx(images, labels);
  EXPECT_EQ(data.x[0].shape(), (Shape{2, 1, 3, 1}));
  EXPECT_EQ(data.x[0].as<uint8_t>()[4], 'e');
  EXPECT_EQ(data.y[0], Array({2}, {3, 255}));
  for (const std::string& wrong :
       {std::string(), std::string("\0\0\x08", 3), Idx({2, 1, 3}, "abcde"), Idx({2, 1, 3}, "abcdefg"),
        Idx({2, 3}, "abcdef"), Idx({0xffffffff, 0xffffffff, 0xffffffff}, "abcdef"),
        Idx({0x80000000, 0x80000000, 4}, ""), Idx({0, 28, 28}, ""), "\x01" + Idx({2, 1, 3}, "abcdef").substr(1)})
    EXPECT_NE(ErrorOf([&] { Dataset::from_idx(Write("w", wrong), labels); }).find("w: "), std::string::npos);
  EXPECT_NE(ErrorOf([&] { Dataset::from_idx(images, Write("three", Idx({3}, "abc"))); }).find("3 labels"),
            std::string::npos);

  std::string records;
  for (int r = 0; r < 2; ++r) {
    records += static_cast<char>(r + 4);
    for (int plane = 0; plane < 3; ++plane)
      for (int p = 0; p < 1024; ++p) records += static_cast<char>(r * 100 + plane * 10 + p % 7);
  }
  const Dataset cifar = Dataset::from_cifar({Write("c1", records), Write("c2", records)});
  EXPECT_EQ(cifar.x[0].shape(), (Shape{4, 32, 32, 3}));
  EXPECT_EQ(cifar.y[0], Array({4}, {4, 5, 4, 5}));
  EXPECT_EQ(cifar.x[0].as<uint8_t>()[(3 * 1024 + 5) * 3 + 2], 100 + 20 + 5);
  EXPECT_NE(ErrorOf([&] {
              Dataset::from_cifar({path("c1"), Write("c3", records + "x")});
            }).find("c3"),
            std::string::npos);
  records[3073] = 10;
  EXPECT_NE(ErrorOf([&] {
              Dataset::from_cifar({path("c1"), Write("c4", records)});
            }).find("c4: record 1 has the label 10"),
            std::string::npos);
  EXPECT_NE(ErrorOf([&] { Dataset::from_cifar({}); }), "");
}

}  // namespace
}  // namespace ingot
