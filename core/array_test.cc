// SPDX-License-Identifier: MIT
//
// Arrays that are none, that hold nothing, and that no machine holds.
#include "ingot/core/array.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "ingot/core/error.h"

namespace ingot {
namespace {

std::string ErrorOf(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(Array, ADefaultOneIsNoneAndSafe) {
  Array none;
  EXPECT_TRUE(none.empty());
  EXPECT_EQ(none.size(), 0);
  EXPECT_EQ(none.rows(), 0);
  EXPECT_EQ(none.bytes(), 0u);
  EXPECT_TRUE(none.floats().empty());
  EXPECT_TRUE(none.copy().empty());
  EXPECT_TRUE(none.slice(0, 0).empty());
  EXPECT_TRUE(none.reshape({0, 3}).empty());
  EXPECT_NE(ErrorOf([&] { none.reshape({}); }), "");
  EXPECT_NE(ErrorOf([&] { none.slice(0, 1); }), "");
  EXPECT_EQ(none, Array());
  EXPECT_FALSE(none == Array({}, {0.f}));
  EXPECT_FALSE(none == Array(Shape{0})) << "one that was given is another";
}

TEST(Array, OneOfNoElementsIsGiven) {
  for (const Array& a :
       {Array(Shape{0, 3}), Array({0, 3}, std::vector<float>()), Array::View({0, 3}, DType::kFloat32, nullptr)}) {
    EXPECT_FALSE(a.empty());
    EXPECT_FALSE(a.copy().empty());
    EXPECT_EQ(a.copy(), Array({0, 3}));
    EXPECT_EQ(a.size(), 0);
  }
  EXPECT_NE(ErrorOf([] { Array::View({2}, DType::kFloat32, nullptr); }).find("(2,): its elements"), std::string::npos);
}

TEST(Array, WhatNoMachineHoldsIsAnError) {
  for (const int64_t n : {int64_t{1} << 56, int64_t{1} << 61, int64_t{1} << 62, int64_t{1} << 62 | 1})
    EXPECT_NE(ErrorOf([&] { Array(Shape{n}); }).find("not enough memory for the array of shape"), std::string::npos)
        << n;
  EXPECT_EQ(ArrayBytes({int64_t{1} << 62}, DType::kUint8), size_t{1} << 62);
  EXPECT_EQ(ArrayBytes({int64_t{1} << 62}, DType::kFloat32), SIZE_MAX);
}

}  // namespace
}  // namespace ingot
