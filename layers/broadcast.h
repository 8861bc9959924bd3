// SPDX-License-Identifier: MIT
//
// The shape of what an elementwise function of several tensors gives, as far as it is known before data comes.
#pragma once

#include <string>

#include "ingot/layers/layer.h"

namespace ingot {

// The shape with axes of 1 put behind the batch.
Shape OfRank(const Shape& shape, int rank);

// "(None, 3), (None, 4)": for messages.
std::string ShapesOf(const TensorSpecs& in);

// Behind the batch extents of 1 broadcast; tensors of fewer axes are taken OfRank. Error, beginning with `where`, for
// shapes that do not fit together. REQUIRES: `in` is not empty.
Shape BroadcastShape(const TensorSpecs& in, const std::string& where);

}  // namespace ingot
