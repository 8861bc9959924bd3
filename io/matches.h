// SPDX-License-Identifier: MIT
//
// What a model wants and what a file holds, brought together: every weight and slot must be found, with its shape, and
// nothing may be left over. Otherwise an Error lists what matched and what did not.
#pragma once

#include <string>
#include <vector>

#include "ingot/io/fill.h"

namespace ingot {

class Matches {
 public:
  // `found` may be null: the file has none. A shape differs: both are kept for the Error.
  void Add(const std::string& wanted, const Shape& shape, DType dtype, std::byte* dst, const StoredTensor* found);
  void LeftOver(const std::string& name, const Shape& shape) { left_over_.push_back(name + " " + shape.str()); }
  bool ok() const { return missing_.empty() && differ_.empty() && left_over_.empty(); }
  // Copies if all fits; else an Error, and nothing was changed.
  void Finish(const std::string& where) const;

 private:
  std::vector<Fill> fills_;
  std::vector<std::string> matched_, missing_, differ_, left_over_;
};

}  // namespace ingot
