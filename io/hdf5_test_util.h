// SPDX-License-Identifier: MIT
//
// What the tests of HDF5 share: fixtures by h5py (tests/formats/hdf5/make.py), files by ingot in memory, and the
// comparison of trees.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "ingot/core/error.h"
#include "ingot/io/hdf5.h"

namespace ingot::testing {

using File = std::vector<std::byte>;
using Texts = std::vector<std::string>;

inline File Load(const std::string& name) {
  const std::string path = std::string(INGOT_GOLDEN_DIR) + "/../formats/hdf5/" + name;
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in) << path;
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  const auto* data = reinterpret_cast<const std::byte*>(text.data());
  return File(data, data + text.size());
}

// By ingot alone.
inline Hdf5Node Read(const File& file, const std::string& where = "f.h5") {
  return ReadHdf5(file, nullptr, where, /*may_use_library=*/false);
}

inline File Written(const Hdf5Node& root, size_t alignment = 64) {
  File file;
  const auto sink = [&](const void* data, size_t bytes) {
    const auto* p = static_cast<const std::byte*>(data);
    file.insert(file.end(), p, p + bytes);
  };
  WriteHdf5(root, sink, alignment);
  return file;
}

inline std::string ErrorOf(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

inline void ExpectHas(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), text.npos) << "'" << part << "' is not in: " << text;
}

template <class T>
std::vector<T> Values(const StoredTensor& tensor) {
  EXPECT_EQ(tensor.bytes.size() % sizeof(T), 0u);
  std::vector<T> values(tensor.bytes.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
  return values;
}

template <class T>
StoredTensor Tensor(StoredType type, const Shape& shape, const std::vector<T>& values) {
  const auto owner = std::make_shared<std::vector<T>>(values);
  return {"", type, shape, std::as_bytes(std::span<const T>(*owner)), owner};
}

inline StoredTensor Floats(const std::vector<float>& values) {
  return Tensor<float>(StoredType::kFloat32, {static_cast<int64_t>(values.size())}, values);
}

inline void ExpectEqual(const StoredTensor& a, const StoredTensor& b, const std::string& what) {
  EXPECT_EQ(Name(a.type), std::string(Name(b.type))) << what;
  EXPECT_EQ(a.shape, b.shape) << what;
  EXPECT_TRUE(std::equal(a.bytes.begin(), a.bytes.end(), b.bytes.begin(), b.bytes.end())) << what;
}

inline void ExpectEqual(const Hdf5Node& a, const Hdf5Node& b, const std::string& path = "") {
  EXPECT_EQ(a.name, b.name);
  ASSERT_EQ(a.tensor.has_value(), b.tensor.has_value()) << path;
  if (a.tensor) ExpectEqual(*a.tensor, *b.tensor, path);
  ASSERT_EQ(a.attributes.size(), b.attributes.size()) << path;
  for (const auto& [name, value] : a.attributes) {
    ASSERT_TRUE(b.attributes.contains(name)) << path << " @" << name;
    const Hdf5Attribute& other = b.attributes.at(name);
    ASSERT_EQ(value.index(), other.index()) << path << " @" << name;
    if (const auto* tensor = std::get_if<StoredTensor>(&value)) {
      ExpectEqual(*tensor, std::get<StoredTensor>(other), path + " @" + name);
    } else if (const auto* text = std::get_if<std::string>(&value)) {
      EXPECT_EQ(*text, std::get<std::string>(other)) << path << " @" << name;
    } else {
      EXPECT_EQ(std::get<Texts>(value), std::get<Texts>(other)) << path << " @" << name;
    }
  }
  ASSERT_EQ(a.children.size(), b.children.size()) << path;
  for (size_t i = 0; i < a.children.size(); ++i)
    ExpectEqual(a.children[i], b.children[i], path + "/" + a.children[i].name);
}

inline const StoredTensor& At(const Hdf5Node& root, const std::string& path) {
  const Hdf5Node* node = root.find(path);
  if (!node || !node->tensor) Fail("no dataset ", path);
  EXPECT_EQ(node->tensor->name, path);
  return *node->tensor;
}

inline const StoredTensor& Number(const Hdf5Node& node, const std::string& attribute) {
  return std::get<StoredTensor>(node.attributes.at(attribute));
}

}  // namespace ingot::testing
