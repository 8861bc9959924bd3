// SPDX-License-Identifier: MIT
//
// Conversion against arithmetic done the slow way: every half, every bfloat16, numbers around each limit.
#include "ingot/io/stored.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "ingot/core/error.h"

namespace ingot {
namespace {

constexpr StoredType kTypes[] = {
    StoredType::kFloat16, StoredType::kBfloat16, StoredType::kFloat32, StoredType::kFloat64, StoredType::kInt8,
    StoredType::kInt16,   StoredType::kInt32,    StoredType::kInt64,   StoredType::kUint8,   StoredType::kUint16,
    StoredType::kUint32,  StoredType::kUint64,   StoredType::kBool};

// The values as a tensor, at an odd address.
template <class T>
StoredTensor Stored(StoredType type, const std::vector<T>& values) {
  const auto memory = std::make_shared<std::vector<std::byte>>(values.size() * sizeof(T) + 1);
  if (!values.empty()) std::memcpy(memory->data() + 1, values.data(), values.size() * sizeof(T));
  StoredTensor tensor{"t", type, Shape{static_cast<int64_t>(values.size())}, Bytes(*memory).subspan(1), memory};
  EXPECT_EQ(SizeOf(type), sizeof(T));
  return tensor;
}

template <class D>
constexpr DType kDType = std::is_same_v<D, float> ? DType::kFloat32
                                                  : (std::is_same_v<D, int32_t> ? DType::kInt32 : DType::kUint8);

template <class D>
std::vector<D> Converted(const StoredTensor& tensor, int64_t first = 0, int64_t n = -1) {
  if (n < 0) n = tensor.shape.count() - first;
  std::vector<D> dst(static_cast<size_t>(n));
  Convert(tensor, first, n, kDType<D>, dst.data());
  return dst;
}

template <class D>
std::string Refused(const StoredTensor& tensor, int64_t first = 0) {
  try {
    Converted<D>(tensor, first);
    return "";
  } catch (const Error& e) {
    return e.what();
  }
}

std::vector<uint16_t> All16() {
  std::vector<uint16_t> all(65536);
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<uint16_t>(i);
  return all;
}

uint32_t Bits(float f) { return std::bit_cast<uint32_t>(f); }

TEST(Stored, NamesAndSizesOfEachType) {
  for (const StoredType type : kTypes) {
    const std::string name = Name(type);
    const std::string digits = name.substr(std::min(name.size(), name.find_first_of("123456789")));
    EXPECT_EQ(SizeOf(type), type == StoredType::kBool ? 1 : std::stoul(digits) / 8) << name;
  }
}

TEST(Stored, EveryHalf) {
  const std::vector<float> got = Converted<float>(Stored(StoredType::kFloat16, All16()));
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const uint32_t exponent = bits >> 10 & 31, mantissa = bits & 1023;
    if (exponent == 31 && mantissa) {
      // A NaN keeps its sign and its payload.
      EXPECT_EQ(Bits(got[bits]), (bits & 0x8000u) << 16 | 0x7f800000u | mantissa << 13);
      continue;
    }
    double want = exponent == 31 ? INFINITY
                  : exponent     ? std::ldexp(1024.0 + mantissa, static_cast<int>(exponent) - 25)
                                 : std::ldexp(static_cast<double>(mantissa), -24);
    if (bits & 0x8000) want = -want;
    EXPECT_EQ(Bits(got[bits]), Bits(static_cast<float>(want))) << bits;
  }
}

TEST(Stored, EveryBfloat16) {
  const std::vector<float> got = Converted<float>(Stored(StoredType::kBfloat16, All16()));
  for (uint32_t bits = 0; bits < 65536; ++bits) EXPECT_EQ(Bits(got[bits]), bits << 16);
}

TEST(Stored, DoublesRound) {
  const std::vector<double> values = {0.1, -1e-50, 3.4028235e38, -INFINITY, 1 + 0x1p-24, 1 + 0x1p-24 + 0x1p-40};
  EXPECT_EQ(Converted<float>(Stored(StoredType::kFloat64, values)),
            (std::vector<float>{0.1f, -0.0f, 3.4028235e38f, -INFINITY, 1.0f, 1 + 0x1p-23f}));
  EXPECT_TRUE(std::isnan(Converted<float>(Stored<double>(StoredType::kFloat64, {NAN}))[0]));
  // What would become infinite is refused, as whole numbers that do not fit are.
  for (const double beyond : {1e300, -1e300, 3.4028236e38})
    EXPECT_THROW(Converted<float>(Stored<double>(StoredType::kFloat64, {1, INFINITY, beyond})), Error) << beyond;
}

TEST(Stored, SameTypeIsCopied) {
  EXPECT_EQ(Converted<float>(Stored<float>(StoredType::kFloat32, {1.5f, -2})), (std::vector<float>{1.5f, -2}));
  EXPECT_EQ(Converted<int32_t>(Stored<int32_t>(StoredType::kInt32, {-7, 9})), (std::vector<int32_t>{-7, 9}));
  EXPECT_EQ(Converted<uint8_t>(Stored<uint8_t>(StoredType::kUint8, {0, 255})), (std::vector<uint8_t>{0, 255}));
  const uint32_t nan = 0x7fa12345;  // a signalling one
  EXPECT_EQ(Bits(Converted<float>(Stored<uint32_t>(StoredType::kFloat32, {nan}))[0]), nan);
}

// T's numbers near its limits, and near those of what they are converted to.
template <class T, class D>
void CheckWhole(StoredType type) {
  std::vector<T> candidates;
  for (const int64_t middle : {int64_t{0}, int64_t{127}, int64_t{255}, int64_t{1} << 24, int64_t{1} << 25,
                               int64_t{1} << 31, int64_t{1} << 32, int64_t{1} << 62}) {
    for (int64_t i = -3; i <= 3; ++i) {
      if (std::in_range<T>(middle + i)) candidates.push_back(static_cast<T>(middle + i));
      if (std::in_range<T>(-middle + i)) candidates.push_back(static_cast<T>(-middle + i));
    }
  }
  candidates.push_back(std::numeric_limits<T>::max());
  candidates.push_back(std::numeric_limits<T>::min());
  for (const T value : candidates) {
    // In the middle of others, so that vectors are tried too.
    std::vector<T> values(67, T{1});
    values[41] = value;
    const StoredTensor tensor = Stored(type, values);
    bool fits;
    if constexpr (std::is_same_v<D, float>) {
      const long double wide = static_cast<long double>(static_cast<float>(value));
      fits = wide == static_cast<long double>(value);
    } else {
      fits = std::in_range<D>(value);
    }
    const std::string refusal = Refused<D>(tensor);
    EXPECT_EQ(refusal.empty(), fits) << Name(type) << " " << +value << " to " << Name(kDType<D>);
    if (fits) {
      EXPECT_EQ(Converted<D>(tensor)[41], static_cast<D>(value));
    } else {
      EXPECT_NE(refusal.find(Text("element 41 of 67 is the ", Name(type), " ", +value)), std::string::npos) << refusal;
      EXPECT_EQ(Refused<D>(tensor, 40), refusal);
      EXPECT_EQ(Converted<D>(tensor, 0, 41).size(), 41u);
    }
  }
}

template <class T>
void CheckWhole(StoredType type) {
  CheckWhole<T, float>(type);
  CheckWhole<T, int32_t>(type);
  CheckWhole<T, uint8_t>(type);
}

TEST(Stored, WholeNumbersAreExactOrRefused) {
  CheckWhole<int8_t>(StoredType::kInt8);
  CheckWhole<int16_t>(StoredType::kInt16);
  CheckWhole<int32_t>(StoredType::kInt32);
  CheckWhole<int64_t>(StoredType::kInt64);
  CheckWhole<uint8_t>(StoredType::kUint8);
  CheckWhole<uint16_t>(StoredType::kUint16);
  CheckWhole<uint32_t>(StoredType::kUint32);
  CheckWhole<uint64_t>(StoredType::kUint64);
}

TEST(Stored, BoolsAreZeroAndOne) {
  const StoredTensor tensor = Stored<uint8_t>(StoredType::kBool, {0, 1, 2, 255});
  EXPECT_EQ(Converted<float>(tensor), (std::vector<float>{0, 1, 1, 1}));
  EXPECT_EQ(Converted<int32_t>(tensor), (std::vector<int32_t>{0, 1, 1, 1}));
  EXPECT_EQ(Converted<uint8_t>(tensor), (std::vector<uint8_t>{0, 1, 1, 1}));
}

TEST(Stored, FloatsAreNoWholeNumbers) {
  const std::string refusal = Refused<int32_t>(Stored<float>(StoredType::kFloat32, {1}));
  EXPECT_NE(refusal.find("'t': is float32, whole numbers are expected"), std::string::npos) << refusal;
  EXPECT_NE(Refused<uint8_t>(Stored<uint16_t>(StoredType::kFloat16, {1})), "");
}

TEST(Stored, PartsAndNothing) {
  const StoredTensor tensor = Stored<int16_t>(StoredType::kInt16, {0, 1, 2, 3, 4, 5});
  EXPECT_EQ(Converted<float>(tensor, 2, 3), (std::vector<float>{2, 3, 4}));
  EXPECT_EQ(Converted<float>(tensor, 6, 0), std::vector<float>{});
  for (const StoredType type : kTypes) {
    const StoredTensor empty{"e", type, Shape{0, 3}, {}, nullptr};
    Convert(empty, 0, 0, DType::kFloat32, nullptr);
  }
}

TEST(Stored, BytesAreCountedWithoutOverflow) {
  constexpr size_t kAll = std::numeric_limits<size_t>::max();
  EXPECT_EQ(CheckedBytes({}, StoredType::kFloat64, 8, "f"), 8u);
  EXPECT_EQ(CheckedBytes({3, 5}, StoredType::kFloat16, 30, "f"), 30u);
  EXPECT_EQ(CheckedBytes({0, int64_t{1} << 62}, StoredType::kInt64, 0, "f"), 0u);
  EXPECT_THROW(CheckedBytes({3, 5}, StoredType::kFloat16, 29, "f"), Error);
  EXPECT_THROW(CheckedBytes({3, -1}, StoredType::kInt8, kAll, "f"), Error);
  EXPECT_THROW(CheckedBytes({int64_t{1} << 32, int64_t{1} << 32}, StoredType::kInt8, kAll, "f"), Error);
  EXPECT_THROW(CheckedBytes({int64_t{1} << 62, 0}, StoredType::kInt64, kAll, "f"), Error);
  try {
    CheckedBytes({1000, 1000}, StoredType::kFloat32, 17, "a.npy");
    FAIL();
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "a.npy: shape (1000, 1000) of float32 takes 4000000 bytes, only 17 are there");
  }
}

}  // namespace
}  // namespace ingot
