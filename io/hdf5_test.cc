// SPDX-License-Identifier: MIT
//
// Files by h5py are read for what is in them; files by ingot give back what was written, by both readers.
#include "ingot/io/hdf5.h"

#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "ingot/core/crc32c.h"
#include "ingot/io/hdf5_test_util.h"

namespace ingot {
namespace {

using testing::At;
using testing::ErrorOf;
using testing::ExpectEqual;
using testing::ExpectHas;
using testing::File;
using testing::Floats;
using testing::Load;
using testing::Number;
using testing::Read;
using testing::Tensor;
using testing::Texts;
using testing::Values;
using testing::Written;

// ---- What h5py writes.

constexpr StoredType kTypes[] = {StoredType::kFloat16, StoredType::kFloat32, StoredType::kFloat64, StoredType::kInt8,
                                 StoredType::kInt16,   StoredType::kInt32,   StoredType::kInt64,   StoredType::kUint8,
                                 StoredType::kUint16,  StoredType::kUint32,  StoredType::kUint64,  StoredType::kBool};

template <class T>
void ExpectCountedUp(const StoredTensor& tensor) {
  EXPECT_EQ(Values<T>(tensor), (std::vector<T>{0, 1, 2, 3, 4, 5}));
}

// What make.py's fill_in writes.
void ExpectFilledIn(const Hdf5Node& root) {
  for (size_t i = 0; i < std::size(kTypes); ++i) {
    const StoredTensor& tensor = At(root, "types/" + std::to_string(i));
    EXPECT_EQ(tensor.type, kTypes[i]);
    EXPECT_EQ(tensor.shape, Shape({2, 3}));
  }
  EXPECT_EQ(Values<uint16_t>(At(root, "types/0")), (std::vector<uint16_t>{0, 0x3c00, 0x4000, 0x4200, 0x4400, 0x4500}));
  ExpectCountedUp<float>(At(root, "types/1"));
  ExpectCountedUp<double>(At(root, "types/2"));
  ExpectCountedUp<int8_t>(At(root, "types/3"));
  ExpectCountedUp<int16_t>(At(root, "types/4"));
  ExpectCountedUp<int32_t>(At(root, "types/5"));
  ExpectCountedUp<int64_t>(At(root, "types/6"));
  ExpectCountedUp<uint8_t>(At(root, "types/7"));
  ExpectCountedUp<uint16_t>(At(root, "types/8"));
  ExpectCountedUp<uint32_t>(At(root, "types/9"));
  ExpectCountedUp<uint64_t>(At(root, "types/10"));
  EXPECT_EQ(Values<uint8_t>(At(root, "types/11")), (std::vector<uint8_t>{0, 1, 0, 1, 0, 1}));
  const StoredTensor& kernel = At(root, "layers/dense/kernel");
  EXPECT_EQ(kernel.shape, Shape({4, 3}));
  EXPECT_EQ(Values<float>(kernel)[11], 11);
  ASSERT_TRUE(root.find("layers/dense")->text("name"));
  EXPECT_EQ(*root.find("layers/dense")->text("name"), "dense");
}

TEST(Hdf5, ReadsWhatH5pyWritesByDefault) {
  const File file = Load("plain.h5");
  const Hdf5Node root = Read(file);
  ExpectFilledIn(root);
  EXPECT_EQ(root.name, "");
  ASSERT_TRUE(root.find("empty"));
  EXPECT_TRUE(root.find("empty")->children.empty());
  EXPECT_EQ(root.find("layers/conv"), nullptr);
  EXPECT_EQ(root.find("layers/dense/kernel/x"), nullptr);

  EXPECT_EQ(At(root, "größe").shape, Shape{});
  EXPECT_EQ(Values<float>(At(root, "größe")), (std::vector<float>{3}));
  EXPECT_EQ(At(root, "bfloat16").type, StoredType::kBfloat16);
  EXPECT_EQ(Values<uint16_t>(At(root, "bfloat16")), (std::vector<uint16_t>{0x3f80, 0x4000}));
  EXPECT_EQ(Values<float>(At(root, "never/float32")), (std::vector<float>{0, 0, 0, 0}));
  EXPECT_EQ(Values<int32_t>(At(root, "never/filled")), (std::vector<int32_t>{7, 7, 7}));
  EXPECT_EQ(At(root, "none/rows").shape, Shape({0, 3}));
  EXPECT_EQ(At(root, "none/null").shape, Shape({0}));
  EXPECT_EQ(Values<int32_t>(At(root, "in_header")), (std::vector<int32_t>{0, 1, 2}));
  EXPECT_EQ(At(root, "linked").bytes.data(), At(root, "layers/dense/kernel").bytes.data());
  const Bytes kernel = At(root, "layers/dense/kernel").bytes;  // in place
  EXPECT_TRUE(kernel.data() > file.data() && kernel.data() + kernel.size() <= file.data() + file.size());

  const Hdf5Node& layers = *root.find("layers");
  EXPECT_EQ(*layers.text("text"), "grün");
  EXPECT_EQ(*layers.text("bytes"), "abc");
  EXPECT_EQ(*layers.text("no text"), "");
  EXPECT_EQ(*layers.text("ключ"), "UTF-8");
  EXPECT_EQ(layers.text("list"), nullptr);
  EXPECT_EQ(layers.text("absent"), nullptr);
  EXPECT_EQ(*layers.texts("list"), (Texts{"a", "", "bcd", "é"}));
  EXPECT_EQ(*layers.texts("texts"), (Texts{"x", "", "größer"}));
  EXPECT_EQ(*layers.texts("no list"), Texts{});
  EXPECT_EQ(*layers.texts("null text"), Texts{});
  EXPECT_EQ(layers.texts("text"), nullptr);
  EXPECT_EQ(layers.texts("matrix"), nullptr);
  EXPECT_EQ(layers.texts("absent"), nullptr);
  EXPECT_EQ(Number(layers, "null").shape, Shape({0}));
  EXPECT_EQ(Number(layers, "bool").type, StoredType::kBool);
  EXPECT_EQ(Values<uint8_t>(Number(layers, "bool")), (std::vector<uint8_t>{1}));
  EXPECT_EQ(Values<int64_t>(Number(layers, "int")), (std::vector<int64_t>{5}));
  EXPECT_EQ(Values<float>(Number(layers, "float")), (std::vector<float>{0.5}));
  EXPECT_EQ(Number(layers, "matrix").shape, Shape({2, 3}));
  ExpectCountedUp<double>(Number(layers, "matrix"));
}

TEST(Hdf5, ReadsLongTexts) {
  const Hdf5Node root = Read(Load("text.h5"));
  const std::string* config = root.text("model_config");
  ASSERT_TRUE(config);
  ASSERT_EQ(config->size(), 8 * 8200u);
  EXPECT_EQ(config->substr(8 * 8199), "0008199 ");
  const Texts* names = root.texts("layer_names");
  ASSERT_TRUE(names);
  ASSERT_EQ(names->size(), 100u);
  EXPECT_EQ(names->front(), "layer_0");
  EXPECT_EQ(names->back(), "layer_99");
  EXPECT_EQ(*root.find("g1")->text("name"), "text 1");
}

TEST(Hdf5, ReadsWideGroups) {
  const File file = Load("wide.h5");
  const Hdf5Node root = Read(file);
  const Hdf5Node& group = *root.find("g");
  ASSERT_EQ(group.children.size(), 500u);
  for (int i = 0; i < 500; ++i) {
    const std::string digits = std::to_string(i);
    const StoredTensor& tensor = At(root, "g/m" + std::string(3 - digits.size(), '0') + digits);
    EXPECT_EQ(Values<int32_t>(tensor), (std::vector<int32_t>{i % 5}));
  }
}

TEST(Hdf5, ReadsSmallGroupsOfNewerFiles) {
  const File file = Load("compact.h5");
  const Hdf5Node root = Read(file);
  EXPECT_EQ(Values<float>(At(root, "layers/dense/kernel"))[11], 11);
  EXPECT_EQ(At(root, "layers/dense/flag").type, StoredType::kBool);
  EXPECT_EQ(Values<int32_t>(At(root, "layers/dense/filled")), (std::vector<int32_t>{7, 7, 7}));
  EXPECT_EQ(*root.find("layers/dense")->text("name"), "dense");
  EXPECT_EQ(*root.find("layers/dense")->texts("names"), (Texts{"a", "bc"}));
  EXPECT_EQ(Values<int64_t>(At(root, "order/a")), (std::vector<int64_t>{2}));  // linked after z, and sorted
  EXPECT_EQ(Values<int64_t>(At(root, "order/z")), (std::vector<int64_t>{1}));
}

TEST(Hdf5, ReadsGroupsAndAttributesInHeaps) {
  const File file = Load("dense.h5");
  const Hdf5Node root = Read(file);
  ExpectFilledIn(root);
  EXPECT_EQ(root.attributes.size(), 20u);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(*root.text("a" + std::to_string(i)), "text " + std::to_string(i));
  ASSERT_EQ(root.find("g")->children.size(), 100u);
  for (int i = 0; i < 100; ++i) {
    const std::string digits = std::to_string(i);
    const StoredTensor& tensor = At(root, "g/m" + std::string(3 - digits.size(), '0') + digits);
    EXPECT_EQ(tensor.bytes.data(), At(root, "types/" + std::to_string(i % 12)).bytes.data());
  }
}

TEST(Hdf5, LeavesTheRestToTheLibrary) {
  const File chunked = Load("chunked.h5");
  const std::string refused = ErrorOf([&] { Read(chunked, "c.h5"); });
  ExpectHas(refused, "c.h5: /big: a dataset of big-endian numbers needs libhdf5, which is off here");
  if (!HasHdf5Library()) {
    const std::string advice = "ingot was built without; build it where libhdf5-dev is installed";
    ExpectHas(ErrorOf([&] { ReadHdf5(chunked, nullptr, "c.h5"); }), advice);
    ExpectHas(ErrorOf([&] { ReadHdf5WithLibrary(chunked, "c.h5"); }), advice);
    GTEST_SKIP() << "built without libhdf5";
  }
  const Hdf5Node root = ReadHdf5(chunked, nullptr, "c.h5");
  const std::vector<float> gzip = Values<float>(At(root, "gzip"));
  ASSERT_EQ(gzip.size(), 250u);
  for (size_t i = 0; i < gzip.size(); ++i) EXPECT_EQ(gzip[i], static_cast<float>(i));
  EXPECT_EQ(Values<double>(At(root, "check"))[9], 9);
  ExpectCountedUp<float>(At(root, "big"));
  ExpectCountedUp<int16_t>(At(root, "big_int"));
  EXPECT_EQ(Values<int32_t>(At(root, "never")), std::vector<int32_t>(5, 3));
  EXPECT_EQ(Values<double>(At(root, "committed")), (std::vector<double>{0, 1, 2, 3}));
  EXPECT_EQ(*root.text("name"), "chunked");
  EXPECT_EQ(*root.texts("list"), (Texts{"a", "bc"}));
  EXPECT_EQ(*root.texts("texts"), (Texts{"x", "yz"}));
  EXPECT_EQ(Number(root, "null").shape, Shape({0}));
  ExpectEqual(root, ReadHdf5WithLibrary(chunked, "c.h5"));
}

TEST(Hdf5, LeavesAttributesToTheLibraryWithTheWholeFile) {
  if (!HasHdf5Library()) GTEST_SKIP() << "built without libhdf5";
  const File file = Load("big_attribute.h5");
  const Hdf5Node root = ReadHdf5(file, nullptr, "b.h5");
  EXPECT_EQ(Values<int32_t>(Number(root, "big")), (std::vector<int32_t>{1, 2}));
  EXPECT_EQ(Values<float>(At(root, "d")), (std::vector<float>{0, 1, 2}));
}

TEST(Hdf5, BothReadersAgree) {
  if (!HasHdf5Library()) GTEST_SKIP() << "built without libhdf5";
  for (const char* name : {"plain.h5", "text.h5", "wide.h5", "small.h5", "compact_small.h5", "dense.h5"}) {
    const File file = Load(name);
    ExpectEqual(Read(file), ReadHdf5WithLibrary(file, name));
  }
}

TEST(Hdf5, LibraryIsEnteredByOneThreadAtATime) {
  if (!HasHdf5Library()) GTEST_SKIP() << "built without libhdf5";
  const File file = Load("chunked.h5");
  std::vector<std::thread> threads;
  std::vector<Hdf5Node> trees(4);
  for (Hdf5Node& tree : trees)
    threads.emplace_back([&] {
      for (int i = 0; i < 5; ++i) tree = ReadHdf5(file, nullptr, "c.h5");
    });
  for (std::thread& thread : threads) thread.join();
  for (const Hdf5Node& tree : trees) ExpectEqual(tree, trees[0]);
}

TEST(Hdf5, RefusesByName) {
  const struct {
    const char *file, *place, *cause;
  } cases[] = {
      {"soft.h5", "/", "soft link 'b'"},           {"external.h5", "/", "external link 'b'"},
      {"outside.h5", "/a", "lies in other files"}, {"virtual.h5", "/a", "a virtual dataset"},
      {"texts.h5", "/a", "a dataset of texts"},    {"compound.h5", "/a", "a compound of 8 bytes"},
  };
  for (const auto& c : cases) {
    const File file = Load(c.file);
    const std::string start = std::string(c.file) + ": " + c.place + ": ";
    const std::string own = ErrorOf([&] { Read(file, c.file); });
    ExpectHas(own, start);
    ExpectHas(own, c.cause);
    if (!HasHdf5Library()) continue;
    const std::string library = ErrorOf([&] { ReadHdf5WithLibrary(file, c.file); });
    ExpectHas(library, start);
    ExpectHas(library, c.cause);
  }
}

// ---- What ingot writes.

Hdf5Node Everything() {
  Hdf5Node root;
  root.attributes["model_config"] = std::string(200000, 'x') + "ende";
  root.attributes["none"] = std::string();
  root.attributes["ключ"] = "größe";
  root.attributes["names"] = Texts{"a", "", "größe", std::string(1000, 'n')};
  root.attributes["one"] = Texts{""};
  root.attributes["empty"] = Tensor<double>(StoredType::kFloat64, {0}, {});
  root.attributes["epoch"] = Tensor<int64_t>(StoredType::kInt64, {}, {7});
  root.attributes["matrix"] = Tensor<float>(StoredType::kFloat32, {2, 3}, {1, 2, 3, 4, 5, 6});
  root.attributes["on"] = Tensor<uint8_t>(StoredType::kBool, {}, {1});
  std::mt19937 random(1);
  for (const int n : {0, 1, 7, 8, 9, 255, 256, 257, 600}) {
    Hdf5Node& group = root.child("groups/" + std::to_string(n));
    for (int i = 0; i < n; ++i) {
      Hdf5Node& member = group.child(std::to_string(random()) + "_" + std::to_string(i));
      member.attributes["name"] = "member " + std::to_string(i);
      if (i % 3 == 0) member.tensor = Floats(std::vector<float>(static_cast<size_t>(i % 40), static_cast<float>(i)));
    }
  }
  for (size_t i = 0; i < std::size(kTypes); ++i) {
    const Shape shape{3, 5};
    const std::vector<uint8_t> bytes(15 * SizeOf(kTypes[i]), kTypes[i] == StoredType::kBool);
    root.child("types/" + std::to_string(i)).tensor = Tensor(kTypes[i], shape, bytes);
  }
  root.child("bf").tensor = Tensor<uint16_t>(StoredType::kBfloat16, {2}, {0x3f80, 0x4000});
  root.child("bf").attributes["dtype"] = "bfloat16";
  root.child("scalar").tensor = Tensor<int32_t>(StoredType::kInt32, {}, {-5});
  root.child("no rows").tensor = Tensor<float>(StoredType::kFloat32, {0, 3}, {});
  root.child("eight").tensor = Tensor<uint8_t>(StoredType::kUint8, {1, 1, 1, 2, 1, 1, 1, 1}, {1, 2});
  root.child("größe/λ").tensor = Floats({1});
  root.child("a/b/c/d/e/f");
  return root;
}

void ExpectAligned(const Hdf5Node& node, const File& file, size_t alignment) {
  if (node.tensor && !node.tensor->bytes.empty()) {
    EXPECT_EQ(static_cast<size_t>(node.tensor->bytes.data() - file.data()) % alignment, 0u) << node.tensor->name;
  }
  for (const Hdf5Node& child : node.children) ExpectAligned(child, file, alignment);
}

TEST(Hdf5, RoundTrips) {
  const Hdf5Node tree = Everything();
  for (const size_t alignment : {1, 64, 100, 4096}) {
    const File file = Written(tree, alignment);
    const Hdf5Node again = Read(file);
    ExpectEqual(tree, again);
    ExpectAligned(again, file, alignment);
    if (HasHdf5Library()) ExpectEqual(tree, ReadHdf5WithLibrary(file, "f.h5"));
    EXPECT_EQ(Written(again, alignment), file);
  }
}

TEST(Hdf5, ReadsAnImageThatBeginsAnywhere) {
  const Hdf5Node tree = Everything();
  File file = Written(tree);
  file.insert(file.begin(), 3, std::byte{1});
  file.insert(file.end(), 100, std::byte{1});
  ExpectEqual(tree, ReadHdf5(Bytes(file).subspan(3), nullptr, "f.h5"));
}

TEST(Hdf5, WritesWhatH5pyWroteOnceMore) {
  for (const char* name : {"plain.h5", "text.h5", "wide.h5"}) {
    const File file = Load(name);
    Hdf5Node tree = Read(file);
    if (Hdf5Node* layers = name == std::string("plain.h5") ? &tree.child("layers") : nullptr)
      layers->attributes.erase("null text");  // an empty list of texts is written as NumPy writes empty lists
    ExpectEqual(tree, Read(Written(tree)));
  }
}

TEST(Hdf5, WritesManyTextsAndMembers) {
  Hdf5Node tree;
  for (int i = 0; i < 9000; ++i) {  // three levels of B-tree
    Hdf5Node member;
    member.name = std::to_string(100000 + i);
    member.attributes["i"] = std::string(static_cast<size_t>(i % 300), 'i');
    tree.children.push_back(member);
  }
  const File file = Written(tree);
  ExpectEqual(tree, Read(file));
  if (HasHdf5Library()) ExpectEqual(tree, ReadHdf5WithLibrary(file, "f.h5"));
}

TEST(Hdf5, WritesTheSameBytesEachTime) {
  const File file = Written(Everything());
  EXPECT_EQ(file, Written(Everything()));
  EXPECT_EQ(Crc32c(file.data(), file.size(), 0), 2893404u) << "the files written have changed: is that meant?";
}

TEST(Hdf5, RefusesToWriteWhatWouldBeLost) {
  const auto error = [](const auto& change) {
    Hdf5Node root;
    change(root.child("a/b"));
    return ErrorOf([&] { Written(root); });
  };
  ExpectHas(error([](Hdf5Node& b) { b.attributes["names"] = Texts(70, std::string(1000, 'x')); }),
            "/a/b: attribute 'names': 70 texts of up to 1000 bytes do not fit into the 64 KB");
  ExpectHas(error([](Hdf5Node& b) { b.attributes["n"] = Floats(std::vector<float>(16384)); }),
            "attribute 'n' of 65536");
  ExpectHas(error([](Hdf5Node& b) { b.attributes["n"] = std::string("a\0b", 3); }), "a text with a NUL");
  ExpectHas(error([](Hdf5Node& b) { b.attributes["n"] = Texts{std::string("a\0", 2)}; }), "a text with a NUL");
  ExpectHas(error([](Hdf5Node& b) { b.attributes[""] = "x"; }), "cannot be the name of an attribute");
  ExpectHas(error([](Hdf5Node& b) { b.attributes[std::string(65530, 'x')] = "x"; }), "HDF5 allows 65528");
  ExpectHas(error([](Hdf5Node& b) { b.children.resize(2), b.children[0].name = b.children[1].name = "c"; }),
            "there are two members 'c'");
  ExpectHas(error([](Hdf5Node& b) { b.children.emplace_back().name = "c/d"; }), "'c/d' cannot be the name");
  ExpectHas(error([](Hdf5Node& b) { b.children.emplace_back(); }), "'' cannot be the name");
  ExpectHas(error([](Hdf5Node& b) { b.tensor = Floats({1}), b.child("c"); }), "a dataset cannot have members");
  ExpectHas(error([](Hdf5Node& b) { b.tensor = Floats({1}), b.tensor->shape = {2}; }),
            "takes 8 bytes, but there are 4");
  Hdf5Node root;
  root.tensor = Floats({1});
  ExpectHas(ErrorOf([&] { Written(root); }), "must be a group");
  std::string deep = "a";
  for (int i = 0; i < 130; ++i) deep += "/a";
  ExpectHas(error([&](Hdf5Node& b) { b.child(deep); }), "deep");
}

}  // namespace
}  // namespace ingot
