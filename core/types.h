// SPDX-License-Identifier: MIT
//
// Element types and shapes. A shape lists at most kMaxRank extents and owns no memory. kNone stands for an
// extent known only when data comes (Keras's None): in descriptions it may stand anywhere, in a plan nowhere.
// Letters used throughout: N batch, H height, W width, C channels in, K channels out.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <ostream>
#include <span>
#include <string>

namespace ingot {

enum class DType : uint8_t { kFloat32, kInt32, kUint8 };

size_t SizeOf(DType dtype);
const char* Name(DType dtype);  // as NumPy spells it
DType DTypeNamed(const std::string& name);

inline constexpr int64_t kNone = -1;
inline constexpr int kMaxRank = 8;

class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<int64_t> dims) : Shape(std::span<const int64_t>(dims.begin(), dims.size())) {}
  explicit Shape(std::span<const int64_t> dims);

  int rank() const { return rank_; }
  int64_t operator[](int i) const { return dims_[static_cast<size_t>(i < 0 ? i + rank_ : i)]; }
  int64_t& operator[](int i) { return dims_[static_cast<size_t>(i < 0 ? i + rank_ : i)]; }
  const int64_t* begin() const { return dims_.data(); }
  const int64_t* end() const { return dims_.data() + rank_; }
  int64_t back() const { return (*this)[-1]; }

  bool known() const;     // no extent is None
  int64_t count() const;  // elements; 1 for rank 0. REQUIRES: known()
  void push_back(int64_t dim);
  Shape from(int first) const { return part(first, rank_); }
  Shape part(int first, int last) const;    // extents first .. last - 1
  Shape with(int axis, int64_t dim) const;  // the same but for one extent
  Shape batched(int64_t n) const;           // (n, *this)
  bool accepts(const Shape& other) const;   // equal, None standing for any extent
  bool operator==(const Shape& other) const;

  std::string str() const;  // "(None, 28, 28, 1)", as Python writes it

 private:
  std::array<int64_t, kMaxRank> dims_{};
  int rank_ = 0;
};

std::ostream& operator<<(std::ostream& out, const Shape& shape);

// What can be known of a tensor before there is data.
struct TensorSpec {
  Shape shape;
  DType dtype = DType::kFloat32;
};

}  // namespace ingot
