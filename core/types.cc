// SPDX-License-Identifier: MIT
#include "ingot/core/types.h"

#include <algorithm>

#include "ingot/core/error.h"

namespace ingot {

size_t SizeOf(DType dtype) { return dtype == DType::kUint8 ? 1 : 4; }

const char* Name(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
      return "float32";
    case DType::kInt32:
      return "int32";
    case DType::kUint8:
      return "uint8";
  }
  return "?";
}

DType DTypeNamed(const std::string& name) {
  if (name == "float32") return DType::kFloat32;
  if (name == "uint8") return DType::kUint8;
  if (name == "int32" || name == "int64" || name == "bool") return DType::kInt32;
  Fail("dtype '", name, "' is not supported; ingot computes in float32 and takes int32 and uint8 inputs");
}

Shape::Shape(std::span<const int64_t> dims) {
  for (const int64_t dim : dims) push_back(dim);
}

bool Shape::known() const {
  return std::all_of(begin(), end(), [](int64_t dim) { return dim >= 0; });
}

int64_t Shape::count() const {
  int64_t n = 1;
  for (const int64_t dim : *this)
    if (dim < 0 || __builtin_mul_overflow(n, dim, &n)) Fail("shape ", str(), " has no countable number of elements");
  return n;
}

void Shape::push_back(int64_t dim) {
  if (rank_ == kMaxRank) Fail("a shape has at most ", kMaxRank, " axes; this one begins ", str());
  dims_[static_cast<size_t>(rank_++)] = dim;
}

Shape Shape::part(int first, int last) const {
  return Shape(std::span<const int64_t>(begin() + first, begin() + std::max(first, last)));
}

Shape Shape::with(int axis, int64_t dim) const {
  Shape shape = *this;
  shape[axis] = dim;
  return shape;
}

Shape Shape::batched(int64_t n) const {
  Shape shape{n};
  for (const int64_t dim : *this) shape.push_back(dim);
  return shape;
}

bool Shape::accepts(const Shape& other) const {
  return rank_ == other.rank_ && std::equal(begin(), end(), other.begin(),
                                            [](int64_t a, int64_t b) { return a == kNone || b == kNone || a == b; });
}

bool Shape::operator==(const Shape& other) const { return std::equal(begin(), end(), other.begin(), other.end()); }

std::string Shape::str() const {
  std::string text = "(";
  for (int i = 0; i < rank_; ++i) {
    if (i) text += ", ";
    text += (*this)[i] == kNone ? "None" : std::to_string((*this)[i]);
  }
  return text + (rank_ == 1 ? ",)" : ")");
}

std::ostream& operator<<(std::ostream& out, const Shape& shape) { return out << shape.str(); }

}  // namespace ingot
