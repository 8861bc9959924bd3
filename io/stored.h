// SPDX-License-Identifier: MIT
//
// A tensor as a file holds it: its name there, type, shape, and its bytes in place, whatever the format. Readers give
// these; what is made of them (copied into an arena, used where they lie) is decided elsewhere.
//
// Invariants, which every reader establishes before it gives one out: bytes.size() is the product of the extents times
// the size of the type, and the bytes lie inside what `owner` keeps alive. They may lie at any alignment.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "ingot/core/types.h"

namespace ingot {

using Bytes = std::span<const std::byte>;

// Where a writer's bytes go, one piece after the other.
using Sink = std::function<void(const void* data, size_t bytes)>;

// Little-endian all of them.
enum class StoredType : uint8_t {
  kFloat16,
  kBfloat16,
  kFloat32,
  kFloat64,
  kInt8,
  kInt16,
  kInt32,
  kInt64,
  kUint8,
  kUint16,
  kUint32,
  kUint64,
  kBool
};

size_t SizeOf(StoredType type);
StoredType StoredAs(DType type);
const char* Name(StoredType type);  // as NumPy spells it; "bfloat16"

struct StoredTensor {
  std::string name;
  StoredType type = StoredType::kFloat32;
  Shape shape;
  Bytes bytes;
  std::shared_ptr<const void> owner;
};

// count * SizeOf(type), or an Error naming `where` if an extent is negative or the product beyond `limit`.
size_t CheckedBytes(const Shape& shape, StoredType type, size_t limit, const std::string& where);

// Elements first .. first + n - 1 of the tensor as the type of ours, converted if need be: floats of any width to
// float32 (float64 rounds if it is within float32, the others are exact), whole numbers to all three, bools as 0 and 1.
// A number that does not fit, or that float32 would round, is an Error that names it; so are floats where whole numbers
// are wanted. After an Error, dst holds anything. Runs on the caller's thread: cut the range to use more.
// REQUIRES: 0 <= first, first + n <= shape.count()
void Convert(const StoredTensor& from, int64_t first, int64_t n, DType to, void* dst);

inline uint64_t BytesOf(const std::vector<StoredTensor>& tensors) {
  uint64_t bytes = 0;
  for (const StoredTensor& t : tensors) bytes += t.bytes.size();
  return bytes;
}

}  // namespace ingot
