// SPDX-License-Identifier: MIT
//
// Where each variable of a model lies in an arena: trainable ones first, so that gradients and optimizer slots,
// which share this layout, end where they end. Each begins at a multiple of kAlignment bytes.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "ingot/core/plan/variable.h"

namespace ingot {

// Each name once: one that comes again goes on as name_1, name_2, ...
std::vector<std::string> UniqueNames(const std::vector<std::string>& names);

class Layout {
 public:
  Layout() = default;
  explicit Layout(std::vector<VariablePtr> variables);  // in Keras's order; each once

  const std::vector<VariablePtr>& variables() const { return variables_; }
  size_t offset(size_t variable) const { return offsets_[variable]; }  // bytes
  size_t bytes() const { return bytes_; }
  size_t trainable_bytes() const { return trainable_bytes_; }
  // Optimizer slots lie this far apart: whole pages, so that each can be mapped from a file.
  size_t slot_stride() const { return (trainable_bytes_ + kPage - 1) / kPage * kPage; }
  int IndexOf(const Variable* variable) const;  // -1 if it is not of this model

  std::vector<std::string> names() const;  // "dense/kernel", each once

  // Moves every variable into one new arena of this layout, with the values it has; those without get zeros.
  void Place(const std::string& model);

  // Whether the variables lie in one arena as laid out here (not so after another model took some of them).
  bool Contiguous() const;

 private:
  std::vector<VariablePtr> variables_;
  std::vector<size_t> offsets_;
  std::unordered_map<const Variable*, int> index_;
  size_t bytes_ = 0, trainable_bytes_ = 0;
};

}  // namespace ingot
