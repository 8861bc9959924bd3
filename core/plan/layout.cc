// SPDX-License-Identifier: MIT
#include "ingot/core/plan/layout.h"

#include <cstring>
#include <set>
#include <utility>

#include "ingot/core/error.h"

namespace ingot {

std::vector<std::string> UniqueNames(const std::vector<std::string>& names) {
  std::set<std::string> taken(names.begin(), names.end());
  std::set<std::string> given;
  std::vector<std::string> unique;
  for (const std::string& name : names) {
    std::string next = name;
    for (int n = 1; given.contains(next) || (next != name && taken.contains(next)); ++n)
      next = name + "_" + std::to_string(n);
    given.insert(next);
    unique.push_back(next);
  }
  return unique;
}

std::vector<std::string> Layout::names() const {
  std::vector<std::string> names;
  for (const VariablePtr& v : variables_) names.push_back(v->layer + "/" + v->name);
  return UniqueNames(names);
}

Layout::Layout(std::vector<VariablePtr> variables) : variables_(std::move(variables)), offsets_(variables_.size()) {
  for (const bool trainable : {true, false}) {
    for (size_t i = 0; i < variables_.size(); ++i) {
      const Variable& v = *variables_[i];
      if (v.trainable != trainable) continue;
      offsets_[i] = bytes_;
      if (__builtin_add_overflow(bytes_, AlignUp(v.bytes()), &bytes_))
        Fail("the weights do not fit into an address space");
    }
    if (trainable) trainable_bytes_ = bytes_;
  }
  for (size_t i = 0; i < variables_.size(); ++i) index_.emplace(variables_[i].get(), static_cast<int>(i));
  INGOT_CHECK(index_.size() == variables_.size());
}

int Layout::IndexOf(const Variable* variable) const {
  const auto found = index_.find(variable);
  return found == index_.end() ? -1 : found->second;
}

void Layout::Place(const std::string& model) {
  if (variables_.empty()) return;
  auto arena = std::make_shared<Block>(bytes_, "weights of model '" + model + "'");
  std::vector<Copy> copies;
  for (size_t i = 0; i < variables_.size(); ++i)
    if (variables_[i]->arena)
      copies.push_back({arena->data() + offsets_[i], variables_[i]->data(), variables_[i]->bytes()});
  CopyAll(copies);
  for (size_t i = 0; i < variables_.size(); ++i) {
    Variable& v = *variables_[i];
    v.arena = arena;
    v.offset = offsets_[i];
  }
}

bool Layout::Contiguous() const {
  for (size_t i = 0; i < variables_.size(); ++i)
    if (variables_[i]->arena != variables_[0]->arena || variables_[i]->offset != offsets_[i]) return false;
  return true;
}

}  // namespace ingot
