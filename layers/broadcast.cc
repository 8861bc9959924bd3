// SPDX-License-Identifier: MIT
#include "ingot/layers/broadcast.h"

#include <algorithm>

namespace ingot {

Shape OfRank(const Shape& shape, int rank) {
  Shape out{shape[0]};
  for (int i = shape.rank(); i < rank; ++i) out.push_back(1);
  for (const int64_t dim : shape.from(1)) out.push_back(dim);
  return out;
}

std::string ShapesOf(const TensorSpecs& in) {
  std::string text;
  for (const TensorSpec& spec : in) text += (text.empty() ? "" : ", ") + spec.shape.str();
  return text;
}

Shape BroadcastShape(const TensorSpecs& in, const std::string& where) {
  int rank = 0;
  for (const TensorSpec& spec : in) {
    if (spec.shape.rank() == 0) Fail(where, ": takes inputs with a batch, these came: ", ShapesOf(in));
    rank = std::max(rank, spec.shape.rank());
  }
  Shape out = OfRank(in[0].shape, rank);
  for (const TensorSpec& spec : in) {
    const Shape shape = OfRank(spec.shape, rank);
    for (int i = 0; i < rank; ++i) {
      int64_t &a = out[i], b = shape[i];
      if (a == b || (b == 1 && i > 0)) continue;
      if (a == kNone && i > 0) continue;  // it may be 1 or b: known when data comes
      if ((a == 1 && i > 0) || a == kNone)
        a = b;
      else if (b == kNone)
        a = i > 0 ? kNone : a;
      else
        Fail(where, ": the inputs do not fit together along axis ", i, i ? "" : ", the batch", ": ", ShapesOf(in));
    }
  }
  return out;
}

}  // namespace ingot
