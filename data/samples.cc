// SPDX-License-Identifier: MIT
#include "ingot/data/samples.h"

#include <algorithm>
#include <functional>

#include "ingot/core/crc32c.h"
#include "ingot/core/error.h"

namespace ingot {
namespace {

constexpr int64_t kSampledRows = 64;
constexpr size_t kMostMade = 8;  // arrays that a sample keeps

bool Within(const Array& a, const void* data, size_t bytes) {
  const auto *at = static_cast<const std::byte*>(a.data()), *begin = static_cast<const std::byte*>(data);
  return !std::less<>()(at, begin) && std::less<>()(at, begin + bytes);
}

}  // namespace

Samples Samples::slice(int64_t first, int64_t last) const {
  return Each([&](const Array& a) { return a.slice(first, last); });
}

void Samples::CheckRows(const std::string& where, const char* what, size_t i, const Array& a) {
  if (a.empty()) Fail(where, ": ", what, "[", i, "] is empty");
  if (a.shape().rank() == 0)
    Fail(where, ": ", what, "[", i, "] is of rank 0, a single number; its first axis should be that of the rows");
}

void Samples::Check(const std::string& where) const {
  if (x.empty()) Fail(where, ": there is no input x");
  ForEach([&](const char* what, size_t i, const Array& a) {
    CheckRows(where, what, i, a);
    if (a.rows() != rows())
      Fail(where, ": x[0] has ", rows(), " rows, ", what, "[", i, "] has ", a.rows(), "; they must be as many");
  });
  if (rows() == 0) Fail(where, ": there are no rows; at least one is needed");
}

std::string Samples::Fingerprint() const {
  std::string text;
  uint32_t crc = 0;
  ForEach([&](const char* what, size_t, const Array& a) {
    text += Text(text.empty() ? "" : ", ", what, " ", Name(a.dtype()), " ", a.shape());
    const int64_t sampled = std::min(kSampledRows, a.rows());
    for (int64_t i = 0; i < sampled; ++i) {
      const auto row = static_cast<size_t>(i * (a.rows() - 1) / std::max<int64_t>(1, sampled - 1));
      crc = Crc32c(static_cast<const std::byte*>(a.data()) + row * a.row_bytes(), a.row_bytes(), crc);
    }
  });
  return Text(text, ", checksum ", crc);
}

Array Sample::make(const Shape& shape, DType dtype) {
  const size_t bytes = ArrayBytes(shape, dtype);
  const auto as_array = [&](const std::shared_ptr<Block>& block) {
    return Array::View(shape, dtype, block->data(), block);
  };
  const auto free = [](const Memory& m) { return m.block.use_count() == 1; };
  for (const Memory& m : made_)
    if (free(m) && m.bytes == bytes) return as_array(m.block);
  if (made_.size() == kMostMade) {
    const auto unused = std::find_if(made_.begin(), made_.end(), free);
    made_.erase(unused == made_.end() ? made_.begin() : unused);
  }
  made_.push_back({std::make_shared<Block>(std::max<size_t>(1, bytes), Text("array of shape ", shape)), bytes});
  return as_array(made_.back().block);
}

Array Sample::make_in(const Array* like, const Shape& shape, DType dtype) {
  if (!like || like->dtype() != dtype || !(like->shape().from(1) == shape)) return make(shape, dtype);
  return like->slice(place.row, place.row + 1).reshape(shape);
}

bool Sample::owns(const Array& a) const {
  bool own = false;
  for (const Memory& m : made_) own |= Within(a, m.block->data(), m.bytes);
  if (place.batch)
    place.batch->ForEach([&](const char*, size_t, const Array& b) { own |= Within(a, b.data(), b.bytes()); });
  return own;
}

bool Sample::alone_with(const Array& a) const {
  const auto held = [&](const Sample& s) -> long {
    for (const Memory& m : s.made_)
      if (Within(a, m.block->data(), m.bytes)) return m.block.use_count();
    return 0;
  };
  // By the list of memory and the array; in a batch, by the array there too.
  return held(*this) == 2 || (place.batch && held(*place.batch) == 3);
}

void Sample::clear() {
  x.clear();
  y.clear();
  sample_weight = Array();
  indices.clear();
}

}  // namespace ingot
