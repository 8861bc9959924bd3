// SPDX-License-Identifier: MIT
#include "ingot/core/array.h"

#include <cstring>
#include <utility>

#include "ingot/core/error.h"
#include "ingot/core/memory.h"

namespace ingot {
namespace {

template <class T>
std::shared_ptr<std::vector<T>> Adopt(const Shape& shape, std::vector<T> values) {
  if (static_cast<int64_t>(values.size()) != shape.count())
    Fail("array of shape ", shape, " takes ", shape.count(), " values, ", values.size(), " came");
  if (values.empty()) values.reserve(1);  // so that its elements lie somewhere
  return std::make_shared<std::vector<T>>(std::move(values));
}

}  // namespace

size_t ArrayBytes(const Shape& shape, DType dtype) {
  size_t bytes = 0;
  return __builtin_mul_overflow(static_cast<size_t>(shape.count()), SizeOf(dtype), &bytes) ? SIZE_MAX : bytes;
}

Array::Array(const Shape& shape, DType dtype) : shape_(shape), dtype_(dtype) {
  auto block = std::make_shared<Block>(std::max<size_t>(1, ArrayBytes(shape, dtype)), "array of shape " + shape.str());
  data_ = block->data();
  owner_ = std::move(block);
}

Array::Array(const Shape& shape, std::vector<float> values) : shape_(shape), dtype_(DType::kFloat32) {
  auto held = Adopt(shape, std::move(values));
  data_ = held->data();
  owner_ = std::move(held);
}

Array::Array(const Shape& shape, std::vector<int32_t> values) : shape_(shape), dtype_(DType::kInt32) {
  auto held = Adopt(shape, std::move(values));
  data_ = held->data();
  owner_ = std::move(held);
}

Array::Array(const Shape& shape, std::vector<uint8_t> values) : shape_(shape), dtype_(DType::kUint8) {
  auto held = Adopt(shape, std::move(values));
  data_ = held->data();
  owner_ = std::move(held);
}

Array Array::View(const Shape& shape, DType dtype, const void* data, std::shared_ptr<const void> owner) {
  static const std::byte nowhere{};
  if (!data && shape.count() != 0) Fail("array of shape ", shape, ": its elements are said to lie at a null pointer");
  Array array;
  array.shape_ = shape;
  array.dtype_ = dtype;
  array.data_ = const_cast<void*>(data ? data : &nowhere);
  array.owner_ = std::move(owner);
  return array;
}

void Array::Expect(DType dtype) const {
  if (dtype != dtype_) Fail("array holds ", Name(dtype_), ", ", Name(dtype), " was asked for");
}

std::span<const float> Array::floats() const& {
  if (dtype_ != DType::kFloat32) Fail("array holds ", Name(dtype_), ", float32 was asked for");
  return {static_cast<const float*>(data_), static_cast<size_t>(size())};
}

std::span<float> Array::floats() & {
  if (dtype_ != DType::kFloat32) Fail("array holds ", Name(dtype_), ", float32 was asked for");
  return {static_cast<float*>(data_), static_cast<size_t>(size())};
}

bool Array::operator==(const Array& other) const {
  return shape_ == other.shape_ && dtype_ == other.dtype_ && empty() == other.empty() &&
         (bytes() == 0 || std::memcmp(data_, other.data_, bytes()) == 0);
}

Array Array::copy() const {
  if (empty()) return *this;
  Array array(shape_, dtype_);
  if (bytes()) std::memcpy(array.data_, data_, bytes());
  return array;
}

Array Array::reshape(const Shape& shape) const {
  if (shape.count() != size()) Fail("array of shape ", shape_, " cannot be seen as ", shape);
  Array array = *this;
  array.shape_ = shape;
  return array;
}

Array Array::slice(int64_t first, int64_t last) const {
  if (first < 0 || last < first || last > rows())
    Fail("rows ", first, " to ", last, " of an array of ", rows(), " rows");
  Array array = *this;
  array.shape_[0] = last - first;
  array.data_ = static_cast<std::byte*>(data_) + static_cast<size_t>(first) * row_bytes();
  return array;
}

}  // namespace ingot
