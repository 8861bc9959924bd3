// SPDX-License-Identifier: MIT
//
// Stored tensors into memory: converted if need be, on all threads, cut into tiles so that one large tensor does not
// hold up the others.
#pragma once

#include <vector>

#include "ingot/io/stored.h"

namespace ingot {

struct Fill {
  StoredTensor from;
  DType to = DType::kFloat32;
  std::byte* dst = nullptr;  // room for all of it
};

void FillAll(const std::vector<Fill>& fills);

}  // namespace ingot
