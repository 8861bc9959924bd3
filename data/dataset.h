// SPDX-License-Identifier: MIT
//
// What a model is trained on: inputs, targets and, if given, a weight for each sample. All have as many rows.
#pragma once

#include <string>
#include <vector>

#include "ingot/core/array.h"

namespace ingot {

using Arrays = std::vector<Array>;

struct Dataset {
  Arrays x, y;
  Array sample_weight;  // empty: all count the same

  static Dataset from_arrays(Arrays x, Arrays y, Array sample_weight = {}) {
    return {std::move(x), std::move(y), std::move(sample_weight)};
  }
  static Dataset from_arrays(Array x, Array y) { return {{std::move(x)}, {std::move(y)}, {}}; }

  int64_t rows() const { return x.empty() ? 0 : x[0].rows(); }
  bool empty() const { return rows() == 0; }
  Dataset slice(int64_t first, int64_t last) const;
  void Check(const std::string& where) const;  // Error unless all have as many rows
};

}  // namespace ingot
