// SPDX-License-Identifier: MIT
//
// What layers that slide a window over an image (N, H, W, C) share: its sizes, how far it is padded, how many places
// it takes. A sequence (N, W, C) is an image of one row, so layers in one dimension are those in two with H = 1.
//
// Along an axis, a window of n elements that lie d apart spans s = (n - 1) d + 1 of them. Moved by `stride` over
// `in` elements it takes
//   valid          floor((in - s) / stride) + 1 places, without padding
//   same, causal   ceil(in / stride) places, which needs max((places - 1) stride + s - in, 0) elements of padding:
//                  half of it before (less if odd), the rest after; causal: s - 1 before (and what it takes after).
#pragma once

#include <cstdint>
#include <string>

#include "ingot/core/fields.h"
#include "ingot/layers/layer.h"

namespace ingot {

// Two numbers, along height and width: {3, 5}, or 3 for both.
struct Size2 {
  int64_t h, w;

  constexpr Size2(int64_t both) : h(both), w(both) {}  // NOLINT: a number is a size
  constexpr Size2(int64_t height, int64_t width) : h(height), w(width) {}
  bool none() const { return h == kNone; }  // Keras's None, where an option may be that
  bool operator==(const Size2&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Size2& size);  // "(3, 5)"

// Written as a list of `rank` numbers. In one dimension h is 1.
void DescribeSize(Fields& f, const char* key, Size2& size, int rank);
// Only channels_last is taken: the memory of an image is (N, H, W, C) throughout.
void DescribeDataFormat(Fields& f);
// Keras takes it in any case and keeps it in lower case.
void DescribePadding(Fields& f, std::string& padding);
// Keras 2 wrote "groups" where Keras 3 has none.
void DescribeNoGroups(Fields& f);

struct Window {
  Size2 size = 1, strides = 1, dilation = 1;
  std::string padding = "valid";

  Size2 span() const { return {(size.h - 1) * dilation.h + 1, (size.w - 1) * dilation.w + 1}; }
};

class WindowLayer : public UnaryLayer {
 public:
  using UnaryLayer::build;
  using UnaryLayer::call;

 protected:
  explicit WindowLayer(int rank) : rank_(rank) {}

  // (N, W, C) as (N, 1, W, C); Error if there are not rank + 2 axes. Image() of a value is a view.
  Shape Image(const Shape& in) const;
  Value Image(Graph& g, Value x) const { return g.Reshape(x, Image(g.shape(x))); }
  // The way back.
  Shape FromImage(const Shape& image) const;
  Value FromImage(Graph& g, Value y) const { return g.Reshape(y, FromImage(g.shape(y))); }

  // Makes the sizes of a user's window those of this rank: in one dimension only the width counts.
  void Flatten(Window& window) const;
  // Errors for sizes that are not positive, and paddings there are not; puts the padding in lower case.
  void Check(Window& window, const char* size_name, bool causal) const;
  void CheckPositive(const char* what, const Size2& size) const;

  // Where a window goes on an image, None for what is not known yet; Error if it finds no place.
  struct Places {
    int64_t h, w;
    int32_t pad_top, pad_left;
  };
  Places Slide(const Shape& image, const Window& window) const;

  const int rank_;  // 1 or 2
};

}  // namespace ingot
