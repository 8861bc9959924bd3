// SPDX-License-Identifier: MIT
//
// Arrays by NumPy and our own, headers of every spelling, and damaged ones. What the fixtures hold is said in
// tests/formats/make_arrays.py: they count.
#include "ingot/io/npy.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "ingot/core/error.h"
#include "ingot/io/mapped_file.h"
#include "ingot/io/zip.h"
#include "ingot/tests/hostile.h"

namespace ingot {
namespace {

using testing::Refusal;

Bytes AsBytes(const std::string& text) { return std::as_bytes(std::span(text)); }
std::string AsText(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

std::string Path(const std::string& name) { return std::string(INGOT_GOLDEN_DIR) + "/../formats/npy/" + name; }
std::string Fixture(const std::string& name) { return AsText(MappedFile::Open(Path(name))->bytes()); }

StoredTensor Read(const std::string& name) {
  const auto file = MappedFile::Open(Path(name));
  return ReadNpy(file->bytes(), file, name);
}

void ReadAny(Bytes file) { ReadNpy(file, nullptr, "x.npy"); }
void ReadArchive(Bytes file) { ReadNpz(file, nullptr, "x.npz"); }

// A file of the version whose header is this, padding and all.
std::string Made(const std::string& header, const std::string& data, int version = 1) {
  std::string file = "\x93NUMPY";
  file += {static_cast<char>(version), '\0'};
  for (int i = 0; i < (version == 1 ? 2 : 4); ++i) file += static_cast<char>(header.size() >> (8 * i) & 0xff);
  return file + header + data;
}

void ExpectRefused(const std::string& file, const std::string& why) {
  const std::string refusal = Refusal(ReadAny, AsBytes(file));
  EXPECT_TRUE(refusal.starts_with("x.npy: ") && refusal.find(why) != std::string::npos)
      << refusal << "\nwanted: " << why;
}

std::vector<float> Floats(const StoredTensor& tensor) {
  std::vector<float> values(static_cast<size_t>(tensor.shape.count()));
  Convert(tensor, 0, tensor.shape.count(), DType::kFloat32, values.data());
  return values;
}

void ExpectCounted(const StoredTensor& tensor) {
  const std::string name = Name(tensor.type);
  const std::vector<float> values = Floats(tensor);
  for (size_t i = 0; i < values.size(); ++i) {
    const auto n = static_cast<float>(i);
    const float want = name == "bool"          ? i % 3 == 0
                       : name.starts_with('u') ? n
                       : name.starts_with('i') ? n - 4
                                               : n / 4 - 2;
    EXPECT_EQ(values[i], want) << name << " " << i;
  }
}

const char* const kTypes[] = {"float16", "float32", "float64", "int8",   "int16",  "int32",
                              "int64",   "uint8",   "uint16",  "uint32", "uint64", "bool"};

TEST(Npy, EveryTypeByNumPy) {
  for (const char* type : kTypes) {
    const StoredTensor tensor = Read(std::string(type) + ".npy");
    EXPECT_STREQ(Name(tensor.type), type);
    EXPECT_EQ(tensor.shape, (Shape{3, 5}));
    ExpectCounted(tensor);
  }
}

TEST(Npy, EveryShapeAndVersionByNumPy) {
  const std::pair<const char*, Shape> cases[] = {
      {"scalar.npy", {}},       {"vector.npy", {7}},      {"empty.npy", {0, 3}},    {"column_fortran.npy", {4, 1}},
      {"version1.npy", {2, 3}}, {"version2.npy", {2, 3}}, {"version3.npy", {2, 3}},
  };
  for (const auto& [name, shape] : cases) {
    const StoredTensor tensor = Read(name);
    EXPECT_EQ(tensor.shape, shape) << name;
    ExpectCounted(tensor);
  }
}

TEST(Npy, RefusedByName) {
  const std::pair<const char*, const char*> cases[] = {
      {"fortran", "its shape (3, 5) is in Fortran's order; save it as numpy.ascontiguousarray(array)"},
      {"big_endian", "its type '>f4' is big-endian; save it as array.astype('<f4')"},
      {"bfloat16", "not of what kind, which is how NumPy saves bfloat16"},
      {"complex", "its type '<c8' is not read"},
      {"struct", "a plain type ('<f4'), not a struct"},
      {"object", "holds Python objects"},
      {"text", "its type '<U2' is not read"},
  };
  for (const auto& [name, why] : cases) ExpectRefused(Fixture(std::string("refused_") + name + ".npy"), why);
}

TEST(Npy, HeadersOfEverySpelling) {
  for (const char* header : {"{'descr': '<i2', 'fortran_order': False, 'shape': (2,), }",
                             "{'shape':(2,),'fortran_order':False,'descr':'<i2'}",
                             "{\"descr\": \"<i2\", \"fortran_order\": True, \"shape\": (2L,)}",
                             "{'descr': '<i2', 'fortran_order': False, 'shape': (2, ), }   \n"}) {
    for (const int version : {1, 2, 3}) {
      const std::string file = Made(header, "abcd", version);
      const StoredTensor tensor = ReadNpy(AsBytes(file), nullptr, "x.npy");
      EXPECT_EQ(tensor.type, StoredType::kInt16);
      EXPECT_EQ(tensor.shape, Shape{2});
    }
  }
}

TEST(Npy, HeadersRefused) {
  const std::string data(8, 'x');
  const auto with = [&](const std::string& shape) {
    return Made("{'descr': '<f4', 'fortran_order': False, 'shape': " + shape + "}", data);
  };
  EXPECT_EQ(Refusal(ReadAny, AsBytes(with("(2,)"))), "");
  ExpectRefused(with("(1,)"), "8 bytes of data, shape (1,) of float32 takes 4");
  ExpectRefused(with("(3,)"), "shape (3,) of float32 takes 12 bytes, only 8 are there");
  ExpectRefused(with("(2)"), "',' in the tuple was expected");
  ExpectRefused(with("(2 1)"), "',' in the tuple was expected");
  ExpectRefused(with("2"), "'(' was expected");
  ExpectRefused(with("(-2,)"), "an extent from 0");
  ExpectRefused(with("(9223372036854775808,)"), "an extent from 0");
  ExpectRefused(with("(2.0,)"), "',' in the tuple was expected");
  ExpectRefused(with("(4611686018427387904, 4611686018427387904)"), "more bytes than can be counted");
  ExpectRefused(with("(1,1,1,1,1,1,1,1,2)"), "has more than 8 axes");
  ExpectRefused(with("(2,), 'x': 1"), "the header's key 'x' is unknown");
  ExpectRefused(with("(2,), 'shape': (2,)"), "the header's key 'shape' is unknown or there twice");
  ExpectRefused(with("(2,)} {"), "nothing more was expected");
  ExpectRefused(with("(2,"), "an extent from 0");
  ExpectRefused(Made("{}", data), "the header lacks descr");
  ExpectRefused(Made("", data), "'{' was expected, not ''");
  ExpectRefused(Made("{'descr': '<f4", data), "a string that ends");
  ExpectRefused(Made("{'descr': '\\x3cf4', ", data), "a string without escapes");
  ExpectRefused(Made("{'descr': '<f4', 'fortran_order': 0}", data), "True or False");
  ExpectRefused(Made("{", data, 4), "is of version 4.0");
  ExpectRefused("PK\3\4", "is not an .npy file");
  ExpectRefused(std::string("\x93NUMPY\1\0\xff", 9), "was cut short");
  ExpectRefused(std::string("\x93NUMPY\2\0\xff\xff\xff\xff", 12), "a header of 4294967295 bytes at offset 12");
}

StoredTensor Tensor(const std::string& name, StoredType type, const Shape& shape, const std::string& bytes) {
  const auto memory = std::make_shared<std::string>(bytes);
  return {name, type, shape, AsBytes(*memory), memory};
}

TEST(Npy, WrittenIsRead) {
  for (int type = 0; type <= static_cast<int>(StoredType::kBool); ++type) {
    for (const Shape& shape : {Shape{}, Shape{3}, Shape{0, 2}, Shape{2, 3, 1, 2, 1, 2, 1, 2}}) {
      const auto stored = static_cast<StoredType>(type);
      const std::string bytes(SizeOf(stored) * static_cast<size_t>(shape.count()), '\1');
      std::string file;
      WriteNpy(Tensor("", stored, shape, bytes),
               [&](const void* data, size_t n) { file.append(static_cast<const char*>(data), n); });
      EXPECT_EQ((file.size() - bytes.size()) % 64, 0u);
      const StoredTensor tensor = ReadNpy(AsBytes(file), nullptr, "written");
      EXPECT_EQ(tensor.type, stored);
      EXPECT_EQ(tensor.shape, shape);
      EXPECT_EQ(AsText(tensor.bytes), bytes);
    }
  }
}

TEST(Npz, StoredAndDeflatedByNumPy) {
  for (const char* name : {"stored.npz", "deflated.npz"}) {
    const auto file = MappedFile::Open(Path(name));
    const std::vector<StoredTensor> tensors = ReadNpz(file->bytes(), file, name);
    ASSERT_EQ(tensors.size(), 3u);
    EXPECT_EQ(tensors[0].name, "dense/kernel");
    EXPECT_EQ(tensors[1].name, "bias");
    EXPECT_EQ(tensors[2].name, "größe");
    EXPECT_EQ(tensors[2].type, StoredType::kInt64);
    for (const StoredTensor& tensor : tensors) ExpectCounted(tensor);
  }
}

TEST(Npz, WrittenIsReadInPlaceAndAligned) {
  std::vector<StoredTensor> tensors = {Tensor("a/b", StoredType::kFloat32, {2}, "12345678"),
                                       Tensor("größe", StoredType::kBfloat16, {0, 3}, ""),
                                       Tensor("last", StoredType::kUint8, {}, "x")};
  std::string file;
  const Sink sink = [&](const void* data, size_t n) { file.append(static_cast<const char*>(data), n); };
  WriteNpz(tensors, sink);
  const std::vector<StoredTensor> read = ReadNpz(AsBytes(file), nullptr, "written");
  ASSERT_EQ(read.size(), tensors.size());
  for (size_t i = 0; i < read.size(); ++i) {
    EXPECT_EQ(read[i].name, tensors[i].name);
    EXPECT_EQ(read[i].type, tensors[i].type);
    EXPECT_EQ(read[i].shape, tensors[i].shape);
    EXPECT_EQ(AsText(read[i].bytes), AsText(tensors[i].bytes));
    EXPECT_EQ((reinterpret_cast<const char*>(read[i].bytes.data()) - file.data()) % 64, 0);
  }
  tensors.push_back(tensors[0]);
  EXPECT_THROW(WriteNpz(tensors, sink), Error);
}

TEST(Npz, RefusesOtherMembers) {
  std::string file;
  ZipWriter zip([&](const void* data, size_t n) { file.append(static_cast<const char*>(data), n); });
  zip.Add("readme.txt", [](const Sink& sink) { sink("hello", 5); });
  zip.Finish();
  EXPECT_EQ(Refusal(ReadArchive, AsBytes(file)),
            "x.npz, member 'readme.txt': is not an array; an .npz archive holds .npy files only");
}

TEST(Npy, DamagedAnywhere) {
  testing::Mangle(AsBytes(Fixture("version1.npy")), ReadAny);
  testing::Mangle(AsBytes(Fixture("version3.npy")), ReadAny);
  // Every bit of an archive counts but those that NumPy and we pass over (dates, versions, attributes).
  const std::string archive = Fixture("deflated.npz");
  EXPECT_GT(testing::Mangle(AsBytes(archive), ReadArchive), static_cast<int64_t>(4 * archive.size()));
}

}  // namespace
}  // namespace ingot
