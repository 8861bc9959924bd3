// SPDX-License-Identifier: MIT
//
// Array: data of the user, as it goes in and comes out: a type, a shape, elements in C order. Copying an Array
// shares its elements (copy() makes others). It may own them or stand for memory of somebody else.
#pragma once

#include <initializer_list>
#include <memory>
#include <span>
#include <type_traits>
#include <vector>

#include "ingot/core/types.h"

namespace ingot {

class Array {
 public:
  Array() = default;                                                  // none: empty(), of shape (0)
  explicit Array(const Shape& shape, DType dtype = DType::kFloat32);  // zeros
  Array(const Shape& shape, std::vector<float> values);
  Array(const Shape& shape, std::initializer_list<float> values) : Array(shape, std::vector<float>(values)) {}
  Array(const Shape& shape, std::initializer_list<int32_t> values) : Array(shape, std::vector<int32_t>(values)) {}
  Array(const Shape& shape, std::vector<int32_t> values);
  Array(const Shape& shape, std::vector<uint8_t> values);
  // Elements of somebody else, who keeps them until the last copy of this Array is gone.
  static Array View(const Shape& shape, DType dtype, const void* data, std::shared_ptr<const void> owner = nullptr);

  bool empty() const { return !data_; }  // not given at all; an array of no elements is not
  const Shape& shape() const { return shape_; }
  DType dtype() const { return dtype_; }
  int64_t size() const { return shape_.count(); }
  size_t bytes() const { return static_cast<size_t>(size()) * SizeOf(dtype_); }
  int64_t rows() const { return shape_.rank() ? shape_[0] : 0; }  // extent of the first axis
  size_t row_bytes() const { return SizeOf(dtype_) * static_cast<size_t>(shape_.from(1).count()); }

  const void* data() const { return data_; }
  void* data() { return data_; }
  // What they give lasts as long as this Array, so an Array that nobody keeps has none:
  // for (float v : model.predict(x).floats()) would read memory that is gone.
  template <class T>
  std::span<const T> as() const& {
    Expect(DTypeOf<T>());
    return {static_cast<const T*>(data_), static_cast<size_t>(size())};
  }
  template <class T>
  std::span<T> as() & {
    Expect(DTypeOf<T>());
    return {static_cast<T*>(data_), static_cast<size_t>(size())};
  }
  template <class T>
  std::span<const T> as() const&& = delete;
  std::span<const float> floats() const&;  // Error unless float32
  std::span<float> floats() &;
  std::span<const float> floats() const&& = delete;

  bool operator==(const Array& other) const;  // shape, type and every bit

  Array copy() const;
  Array reshape(const Shape& shape) const;         // shares the elements
  Array slice(int64_t first, int64_t last) const;  // rows first .. last - 1; shares the elements

 private:
  template <class T>
  static constexpr DType DTypeOf() {
    using Element = std::remove_cv_t<T>;
    static_assert(std::is_same_v<Element, float> || std::is_same_v<Element, int32_t> ||
                  std::is_same_v<Element, uint8_t>);
    return std::is_same_v<Element, float>     ? DType::kFloat32
           : std::is_same_v<Element, int32_t> ? DType::kInt32
                                              : DType::kUint8;
  }
  void Expect(DType dtype) const;  // Error unless it holds that

  std::shared_ptr<const void> owner_;
  void* data_ = nullptr;  // null in a default Array alone
  Shape shape_{0};
  DType dtype_ = DType::kFloat32;
};

using Arrays = std::vector<Array>;

// What an array takes, in bytes; more than size_t holds is its greatest number, which no machine has.
size_t ArrayBytes(const Shape& shape, DType dtype);

}  // namespace ingot
