// SPDX-License-Identifier: MIT
#include "ingot/data/dataset.h"

#include "ingot/core/error.h"

namespace ingot {

Dataset Dataset::slice(int64_t first, int64_t last) const {
  Dataset part;
  for (const Array& a : x) part.x.push_back(a.slice(first, last));
  for (const Array& a : y) part.y.push_back(a.slice(first, last));
  if (!sample_weight.empty()) part.sample_weight = sample_weight.slice(first, last);
  return part;
}

void Dataset::Check(const std::string& where) const {
  if (x.empty()) Fail(where, ": there is no input x");
  const auto check = [&](const Array& a, const char* what, size_t i) {
    if (a.empty() || a.shape().rank() == 0) Fail(where, ": ", what, "[", i, "] is empty");
    if (a.rows() != rows())
      Fail(where, ": x[0] has ", rows(), " rows, ", what, "[", i, "] has ", a.rows(), "; they must be as many");
  };
  for (size_t i = 0; i < x.size(); ++i) check(x[i], "x", i);
  for (size_t i = 0; i < y.size(); ++i) check(y[i], "y", i);
  if (!sample_weight.empty()) check(sample_weight, "sample_weight", 0);
  if (rows() == 0) Fail(where, ": there are no rows; at least one is needed");
}

}  // namespace ingot
