// SPDX-License-Identifier: MIT
//
// Files by the reference implementation and our own, and headers that lie. What the fixtures hold is said in
// tests/formats/make_arrays.py: they count.
#include "ingot/io/safetensors.h"

#include <gtest/gtest.h>

#include <cstring>

#include "ingot/core/error.h"
#include "ingot/io/mapped_file.h"
#include "ingot/tests/hostile.h"

namespace ingot {
namespace {

using testing::Refusal;

Bytes AsBytes(const std::string& text) { return std::as_bytes(std::span(text)); }
std::string AsText(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

std::shared_ptr<const MappedFile> Fixture(const std::string& name) {
  return MappedFile::Open(std::string(INGOT_GOLDEN_DIR) + "/../formats/safetensors/" + name);
}

void ReadAny(Bytes file) { ReadSafetensors(file, nullptr, "x"); }

std::string Made(const std::string& header, const std::string& data = "") {
  const uint64_t length = header.size();
  std::string file(8, '\0');
  std::memcpy(file.data(), &length, 8);
  return file + header + data;
}

void ExpectRefused(const std::string& file, const std::string& why) {
  const std::string refusal = Refusal(ReadAny, AsBytes(file));
  EXPECT_TRUE(refusal.starts_with("x") && refusal.find(why) != std::string::npos) << refusal << "\nwanted: " << why;
}

std::string Written(const Safetensors& file) {
  std::string text;
  WriteSafetensors(file, [&](const void* data, size_t n) { text.append(static_cast<const char*>(data), n); });
  return text;
}

StoredTensor Tensor(const std::string& name, StoredType type, const Shape& shape, const std::string& bytes) {
  const auto memory = std::make_shared<std::string>(bytes);
  return {name, type, shape, AsBytes(*memory), memory};
}

TEST(Safetensors, EveryTypeByTheReference) {
  const auto mapped = Fixture("all.safetensors");
  const Safetensors file = ReadSafetensors(mapped->bytes(), mapped, "all");
  EXPECT_EQ(file.metadata, (std::map<std::string, std::string>{{"format", "np"}, {"quote", "a \"b\"\n"}}));
  EXPECT_EQ(file.tensors.size(), 16u);
  for (const StoredTensor& tensor : file.tensors) {
    const std::string type = Name(tensor.type);
    const bool special = tensor.name == "scalar" || tensor.name == "empty" || tensor.name == "größe/日本";
    EXPECT_EQ(type, special ? "float32" : tensor.name);
    EXPECT_EQ(tensor.shape, tensor.name == "scalar"  ? Shape{}
                            : tensor.name == "empty" ? Shape({0, 3})
                            : special                ? Shape{2}
                                                     : Shape({3, 5}));
    std::vector<float> values(static_cast<size_t>(tensor.shape.count()));
    Convert(tensor, 0, tensor.shape.count(), DType::kFloat32, values.data());
    for (size_t i = 0; i < values.size(); ++i) {
      const auto n = static_cast<float>(i);
      const float want = type == "bool"          ? i % 3 == 0
                         : type.starts_with('u') ? n
                         : type.starts_with('i') ? n - 4
                                                 : n / 4 - 2;
      EXPECT_EQ(values[i], want) << tensor.name << " " << i;
    }
  }
  EXPECT_TRUE(ReadSafetensors(Fixture("none.safetensors")->bytes(), nullptr, "none").tensors.empty());
}

TEST(Safetensors, WrittenIsRead) {
  Safetensors file;
  file.metadata = {{"format", "pt"}, {"größe", "\"\n\\"}};
  file.tensors = {
      Tensor("a/\"b\"", StoredType::kUint8, {3}, "123"), Tensor("größe", StoredType::kFloat32, {2, 1}, "12345678"),
      Tensor("scalar", StoredType::kFloat64, {}, "abcdefgh"), Tensor("none", StoredType::kInt64, {0, 7}, "")};
  const std::string text = Written(file);
  EXPECT_EQ((text.size() - 19) % 64, 0u);
  const Safetensors read = ReadSafetensors(AsBytes(text), nullptr, "written");
  EXPECT_EQ(read.metadata, file.metadata);
  // Wider types come first.
  const size_t order[] = {2, 3, 1, 0};
  ASSERT_EQ(read.tensors.size(), 4u);
  for (size_t i = 0; i < 4; ++i) {
    const StoredTensor& want = file.tensors[order[i]];
    EXPECT_EQ(read.tensors[i].name, want.name);
    EXPECT_EQ(read.tensors[i].type, want.type);
    EXPECT_EQ(read.tensors[i].shape, want.shape);
    EXPECT_EQ(AsText(read.tensors[i].bytes), AsText(want.bytes));
  }
  EXPECT_TRUE(ReadSafetensors(AsBytes(Written({})), nullptr, "written").tensors.empty());
}

TEST(Safetensors, WriterRefuses) {
  const StoredTensor a = Tensor("a", StoredType::kUint8, {1}, "1");
  EXPECT_THROW(Written({{}, {a, a}}), Error);
  EXPECT_THROW(Written({{}, {Tensor("__metadata__", StoredType::kUint8, {1}, "1")}}), Error);
  EXPECT_THROW(Written({{}, {Tensor("\xff", StoredType::kUint8, {1}, "1")}}), Error);
  EXPECT_THROW(Written({{{"a", "\xc3"}}, {a}}), Error);
}

// One tensor of 4 bytes, "a", whose entry is this.
std::string Entry(const std::string& entry) { return Made("{\"a\":" + entry + "}", "1234"); }

TEST(Safetensors, HeadersThatLie) {
  const std::string fine = R"({"dtype":"F32","shape":[1],"data_offsets":[0,4]})";
  EXPECT_EQ(Refusal(ReadAny, AsBytes(Entry(fine))), "");
  EXPECT_EQ(Refusal(ReadAny, AsBytes(Made("{\"a\":" + fine + "}   \n", "1234"))), "");
  ExpectRefused("", "is no safetensors file: it has 0 bytes");
  ExpectRefused(std::string(8, '\xff'), "a header of 18446744073709551615 bytes is announced, 0 follow");
  ExpectRefused(std::string("\3\0\0\0\0\0\0\0{}", 10), "a header of 3 bytes is announced, 2 follow");
  ExpectRefused(Made(" {}"), "its header does not begin with '{'");
  ExpectRefused(Made("[]"), "its header does not begin with '{'");
  ExpectRefused(Made(""), "its header does not begin with '{'");
  ExpectRefused(Made("{"), "the header is not JSON at byte");
  ExpectRefused(Made("{} {}"), "the header is not JSON at byte");
  ExpectRefused(Made("{\"\xff\":1}"), "the header is not JSON at byte");
  ExpectRefused(Made("{}", "x"), "the tensors end at 0, the data has 1 bytes");
  ExpectRefused(Made("{\"a\":" + fine + ",\"a\":" + fine + "}", "1234"), "two tensors are named 'a'");
  for (const char* twice : {"\"dtype\":\"F32\"", "\"shape\":[1]", "\"data_offsets\":[0,4]"})
    ExpectRefused(Entry("{" + std::string(twice) + "," + fine.substr(1)), "is there twice");
  ExpectRefused(Entry("{}"), "tensor 'a': lacks dtype, shape or data_offsets");
  ExpectRefused(Entry(R"({"dtype":"F32","shape":[1]})"), "lacks");
  ExpectRefused(Entry("{\"x\":1," + fine.substr(1)), "its key 'x' is unknown");
  for (const char* wrong : {"1", "null", "true", "\"x\"", "[1]", "1.5", "-1"})
    ExpectRefused(Entry(wrong), "has no place");
  for (const char* wrong : {"{}", "1", "null", "[[1]]", "[\"1\"]", "[-1]", "[1.0]", "[{}]", "\"1\"", "true"})
    ExpectRefused(Entry(R"({"dtype":"F32","shape":)" + std::string(wrong) + R"(,"data_offsets":[0,4]})"),
                  "has no place");
  for (const char* wrong : {"1", "[]", "{}", "null"})
    ExpectRefused(Entry(R"({"dtype":)" + std::string(wrong) + R"(,"shape":[1],"data_offsets":[0,4]})"), "has no place");
  const auto with = [](const std::string& dtype, const std::string& shape, const std::string& offsets) {
    return Entry("{\"dtype\":\"" + dtype + "\",\"shape\":[" + shape + "],\"data_offsets\":[" + offsets + "]}");
  };
  ExpectRefused(with("F8_E4M3", "4", "0,4"), "tensor 'a': its dtype 'F8_E4M3' is not read");
  ExpectRefused(with("F32", "2", "0,4"), "shape (2,) of float32 takes 8 bytes, only 4 are there");
  ExpectRefused(with("U8", "3", "0,4"), "has 4 bytes, shape (3,) of uint8 takes 3");
  ExpectRefused(with("U8", "3", "1,4"), "begins at 1, the tensor before it ends at 0");
  ExpectRefused(with("U8", "3", "0,3"), "the tensors end at 3, the data has 4 bytes");
  ExpectRefused(with("U8", "5", "0,5"), "lies at 0 to 5 of 4 bytes");
  ExpectRefused(with("U8", "0", "4,0"), "lies at 4 to 0 of 4 bytes");
  ExpectRefused(with("U8", "4", "0"), "has 1 data_offsets");
  ExpectRefused(with("U8", "4", "0,4,4"), "has 3 data_offsets");
  ExpectRefused(with("U8", "1,1,1,1,1,1,1,1,4", "0,4"), "has 9 axes");
  ExpectRefused(with("U8", "18446744073709551615", "0,4"), "has an extent of 18446744073709551615");
  ExpectRefused(with("U8", "4294967296,4294967296", "0,4"), "more bytes than can be counted");
  ExpectRefused(with("U8", "99999999999999999999", "0,4"), "has no place");
}

TEST(Safetensors, TensorsThatOverlapOrLeaveHoles) {
  const auto two = [](const char* a, const char* b) {
    return Made(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":)" + std::string(a) +
                    R"(},"b":{"dtype":"U8","shape":[2],"data_offsets":)" + b + "}}",
                "1234");
  };
  EXPECT_EQ(Refusal(ReadAny, AsBytes(two("[0,2]", "[2,4]"))), "");
  const std::string swapped = two("[2,4]", "[0,2]");
  EXPECT_EQ(ReadSafetensors(AsBytes(swapped), nullptr, "x").tensors[0].name, "b");
  ExpectRefused(two("[0,2]", "[1,3]"), "tensor 'b': begins at 1, the tensor before it ends at 2");
  ExpectRefused(two("[0,2]", "[0,2]"), "tensor 'b': begins at 0, the tensor before it ends at 2");
  ExpectRefused(two("[0,1]", "[2,4]"), "tensor 'a': shape (2,)");
}

TEST(Safetensors, MetadataIsText) {
  const auto with = [](const std::string& metadata) { return Made("{\"__metadata__\":" + metadata + "}"); };
  EXPECT_EQ(Refusal(ReadAny, AsBytes(with(R"({"a":"b"})"))), "");
  for (const char* wrong : {"1", "\"a\"", "[1]", "null", R"({"a":1})", R"({"a":{}})", R"({"a":[]})", R"({"shape":[1]})",
                            R"({"data_offsets":[0,4]})", R"({"a":true})", R"({"a":null})"})
    ExpectRefused(with(wrong), "tensor '__metadata__'");
  ExpectRefused(with(R"({"a":"b","a":"c"})"), "'a' is there twice");
  ExpectRefused(Made(R"({"__metadata__":{},"__metadata__":{}})"), "two tensors are named");
  ExpectRefused(Made("{" + std::string(100'000, '{')), "the header is not JSON");
  std::string deep = "{\"__metadata__\":{\"a\":";
  for (int i = 0; i < 10'000; ++i) deep += "{\"a\":";
  ExpectRefused(Made(deep), "there is an object, which has no place");
}

TEST(Safetensors, DamagedAnywhere) {
  EXPECT_GT(testing::Mangle(Fixture("small.safetensors")->bytes(), ReadAny), 0);
  testing::Mangle(
      AsBytes(Written({{{"k", "v"}},
                       {Tensor("ä", StoredType::kFloat32, {2}, "12345678"), Tensor("b", StoredType::kBool, {0}, ""),
                        Tensor("c", StoredType::kBool, {}, "1")}})),
      ReadAny);
}

}  // namespace
}  // namespace ingot
