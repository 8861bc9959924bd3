// SPDX-License-Identifier: MIT
//
// Conversion is one loop per pair of types, without branches, so that the compiler makes vectors of it. A loop that can
// fail only gathers whether it did; the element to blame is looked for afterwards, on the way to the Error.
#include "ingot/io/stored.h"

#include <bit>
#include <cmath>
#include <concepts>
#include <cstring>
#include <limits>
#include <utility>

#include "ingot/core/error.h"

namespace ingot {

static_assert(std::endian::native == std::endian::little, "files are read in place, and they are little-endian");

size_t SizeOf(StoredType type) {
  switch (type) {
    case StoredType::kInt8:
    case StoredType::kUint8:
    case StoredType::kBool:
      return 1;
    case StoredType::kFloat16:
    case StoredType::kBfloat16:
    case StoredType::kInt16:
    case StoredType::kUint16:
      return 2;
    case StoredType::kFloat32:
    case StoredType::kInt32:
    case StoredType::kUint32:
      return 4;
    case StoredType::kFloat64:
    case StoredType::kInt64:
    case StoredType::kUint64:
      return 8;
  }
  Fail("ingot has a bug: stored type ", static_cast<int>(type), " is none");
}

StoredType StoredAs(DType type) {
  switch (type) {
    case DType::kInt32:
      return StoredType::kInt32;
    case DType::kUint8:
      return StoredType::kUint8;
    default:
      return StoredType::kFloat32;
  }
}

const char* Name(StoredType type) {
  switch (type) {
    case StoredType::kFloat16:
      return "float16";
    case StoredType::kBfloat16:
      return "bfloat16";
    case StoredType::kFloat32:
      return "float32";
    case StoredType::kFloat64:
      return "float64";
    case StoredType::kInt8:
      return "int8";
    case StoredType::kInt16:
      return "int16";
    case StoredType::kInt32:
      return "int32";
    case StoredType::kInt64:
      return "int64";
    case StoredType::kUint8:
      return "uint8";
    case StoredType::kUint16:
      return "uint16";
    case StoredType::kUint32:
      return "uint32";
    case StoredType::kUint64:
      return "uint64";
    case StoredType::kBool:
      return "bool";
  }
  return "?";
}

// Refuses what Shape::count() would refuse too, so that whoever has a StoredTensor may count it.
size_t CheckedBytes(const Shape& shape, StoredType type, size_t limit, const std::string& where) {
  size_t bytes = SizeOf(type);
  for (const int64_t dim : shape) {
    if (dim < 0) Fail(where, ": shape ", shape, " has a negative extent");
    if (__builtin_mul_overflow(bytes, static_cast<size_t>(dim), &bytes))
      Fail(where, ": shape ", shape, " of ", Name(type), " has more bytes than can be counted");
  }
  if (bytes > limit)
    Fail(where, ": shape ", shape, " of ", Name(type), " takes ", bytes, " bytes, only ", limit, " are there");
  return bytes;
}

namespace {

// Types of which C++ has no own: the bits, and what they stand for.
struct Half {
  uint16_t bits;
};
struct Brain {
  uint16_t bits;
};
struct Truth {
  uint8_t bits;
};

template <class T>
T Load(const std::byte* p) {
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

// A half is (-1)^s 2^(e-15) 1.m, for e = 0 (-1)^s 2^-24 m, and for e = 31 infinity or NaN. A float's exponent is biased
// by 127 and its mantissa 13 bits longer: shift, and add 112 to e. m of a subnormal is converted as a whole number,
// which is right even where subnormal floats are flushed to zero.
inline float ToFloat(Half h) {
  const uint32_t magnitude = h.bits & 0x7fffu;
  const uint32_t shifted = magnitude << 13;
  const uint32_t normal = shifted + (112u << 23);
  const uint32_t special = shifted | 0x7f800000u;
  const uint32_t subnormal = std::bit_cast<uint32_t>(static_cast<float>(static_cast<int32_t>(magnitude)) * 0x1p-24f);
  const uint32_t small = 0u - (magnitude < 0x0400u), large = 0u - (magnitude >= 0x7c00u);  // masks: g++ keeps branches
  const uint32_t sign = static_cast<uint32_t>(h.bits & 0x8000u) << 16;
  return std::bit_cast<float>((subnormal & small) | (special & large) | (normal & ~(small | large)) | sign);
}
inline float ToFloat(Brain b) { return std::bit_cast<float>(static_cast<uint32_t>(b.bits) << 16); }
inline float ToFloat(float f) { return f; }
inline float ToFloat(double d) { return static_cast<float>(d); }

template <class S>
constexpr bool kIsFloating = std::same_as<S, Half> || std::same_as<S, Brain> || std::floating_point<S>;

template <std::integral S>
uint64_t Magnitude(S value) {
  const auto bits = static_cast<uint64_t>(value);
  return value < S{0} ? 0 - bits : bits;
}

// float32 has 24 bits of mantissa: exact for any number that is 24 bits long after its trailing zeros.
template <std::integral S>
bool IsExactInFloat(S value) {
  const uint64_t magnitude = Magnitude(value);
  return magnitude == 0 || magnitude >> std::countr_zero(magnitude) < uint64_t{1} << 24;
}

// A number that would become infinite. Infinities and NaN stay what they are.
bool IsBeyondFloat(double d) {
  return std::fabs(d) <= std::numeric_limits<double>::max() &&
         std::fabs(static_cast<float>(d)) > std::numeric_limits<float>::max();
}

[[noreturn]] void RefuseNumber(const StoredTensor& from, int64_t index, const std::string& value, DType to) {
  Fail("'", from.name, "': element ", index, " of ", from.shape.count(), " is the ", Name(from.type), " ", value,
       ", which ", Name(to), " cannot hold");
}

template <class S>
void ToFloats(const StoredTensor& from, int64_t first, int64_t n, float* dst) {
  const std::byte* src = from.bytes.data() + static_cast<size_t>(first) * sizeof(S);
  if constexpr (kIsFloating<S>) {
    bool bad = false;
    for (int64_t i = 0; i < n; ++i) {
      const S value = Load<S>(src + i * static_cast<int64_t>(sizeof(S)));
      dst[i] = ToFloat(value);
      if constexpr (std::same_as<S, double>) bad |= IsBeyondFloat(value);
    }
    if constexpr (std::same_as<S, double>) {
      for (int64_t i = 0; bad && i < n; ++i) {
        const double value = Load<double>(src + i * static_cast<int64_t>(sizeof(double)));
        if (IsBeyondFloat(value)) RefuseNumber(from, first + i, Text(value), DType::kFloat32);
      }
    }
  } else if constexpr (std::same_as<S, Truth>) {
    for (int64_t i = 0; i < n; ++i) dst[i] = src[i] != std::byte{0} ? 1.0f : 0.0f;
  } else {
    bool suspect = false;
    for (int64_t i = 0; i < n; ++i) {
      const S value = Load<S>(src + i * static_cast<int64_t>(sizeof(S)));
      if constexpr (sizeof(S) >= 4) suspect |= Magnitude(value) > uint64_t{1} << 24;
      dst[i] = static_cast<float>(value);
    }
    for (int64_t i = 0; suspect && i < n; ++i) {
      const S value = Load<S>(src + i * static_cast<int64_t>(sizeof(S)));
      if (!IsExactInFloat(value)) RefuseNumber(from, first + i, std::to_string(value), DType::kFloat32);
    }
  }
}

template <class S, class D>
void ToWhole(const StoredTensor& from, int64_t first, int64_t n, DType to, D* dst) {
  const std::byte* src = from.bytes.data() + static_cast<size_t>(first) * sizeof(S);
  if constexpr (kIsFloating<S>) {
    Fail("'", from.name, "': is ", Name(from.type), ", whole numbers are expected, to be held as ", Name(to),
         "; convert it before it is saved");
  } else if constexpr (std::same_as<S, Truth>) {
    for (int64_t i = 0; i < n; ++i) dst[i] = src[i] != std::byte{0};
  } else {
    bool bad = false;
    for (int64_t i = 0; i < n; ++i) {
      const S value = Load<S>(src + i * static_cast<int64_t>(sizeof(S)));
      bad |= !std::in_range<D>(value);
      dst[i] = static_cast<D>(value);
    }
    for (int64_t i = 0; bad && i < n; ++i) {
      const S value = Load<S>(src + i * static_cast<int64_t>(sizeof(S)));
      if (!std::in_range<D>(value)) RefuseNumber(from, first + i, std::to_string(value), to);
    }
  }
}

template <class S>
void ConvertFrom(const StoredTensor& from, int64_t first, int64_t n, DType to, void* dst) {
  switch (to) {
    case DType::kFloat32:
      return ToFloats<S>(from, first, n, static_cast<float*>(dst));
    case DType::kInt32:
      return ToWhole<S>(from, first, n, to, static_cast<int32_t*>(dst));
    case DType::kUint8:
      return ToWhole<S>(from, first, n, to, static_cast<uint8_t*>(dst));
  }
}

bool IsSame(StoredType stored, DType ours) {
  return (stored == StoredType::kFloat32 && ours == DType::kFloat32) ||
         (stored == StoredType::kInt32 && ours == DType::kInt32) ||
         (stored == StoredType::kUint8 && ours == DType::kUint8);
}

}  // namespace

void Convert(const StoredTensor& from, int64_t first, int64_t n, DType to, void* dst) {
  if (n == 0) return;  // nothing may be at a null pointer
  if (IsSame(from.type, to)) {
    const size_t size = SizeOf(from.type);
    std::memcpy(dst, from.bytes.data() + static_cast<size_t>(first) * size, static_cast<size_t>(n) * size);
    return;
  }
  switch (from.type) {
    case StoredType::kFloat16:
      return ConvertFrom<Half>(from, first, n, to, dst);
    case StoredType::kBfloat16:
      return ConvertFrom<Brain>(from, first, n, to, dst);
    case StoredType::kFloat32:
      return ConvertFrom<float>(from, first, n, to, dst);
    case StoredType::kFloat64:
      return ConvertFrom<double>(from, first, n, to, dst);
    case StoredType::kInt8:
      return ConvertFrom<int8_t>(from, first, n, to, dst);
    case StoredType::kInt16:
      return ConvertFrom<int16_t>(from, first, n, to, dst);
    case StoredType::kInt32:
      return ConvertFrom<int32_t>(from, first, n, to, dst);
    case StoredType::kInt64:
      return ConvertFrom<int64_t>(from, first, n, to, dst);
    case StoredType::kUint8:
      return ConvertFrom<uint8_t>(from, first, n, to, dst);
    case StoredType::kUint16:
      return ConvertFrom<uint16_t>(from, first, n, to, dst);
    case StoredType::kUint32:
      return ConvertFrom<uint32_t>(from, first, n, to, dst);
    case StoredType::kUint64:
      return ConvertFrom<uint64_t>(from, first, n, to, dst);
    case StoredType::kBool:
      return ConvertFrom<Truth>(from, first, n, to, dst);
  }
}

}  // namespace ingot
