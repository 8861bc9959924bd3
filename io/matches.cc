// SPDX-License-Identifier: MIT
#include "ingot/io/matches.h"

#include <algorithm>

#include "ingot/core/error.h"

namespace ingot {
namespace {

std::string Listed(const char* title, const std::vector<std::string>& names) {
  constexpr size_t kMost = 20;
  if (names.empty()) return "";
  std::string text = Text("\n  ", names.size(), " ", title, ":");
  for (size_t i = 0; i < std::min(kMost, names.size()); ++i) text += "\n    " + names[i];
  if (names.size() > kMost) text += Text("\n    and ", names.size() - kMost, " more");
  return text;
}

}  // namespace

void Matches::Add(const std::string& wanted, const Shape& shape, DType dtype, std::byte* dst,
                  const StoredTensor* found) {
  if (!found) {
    missing_.push_back(wanted + " " + shape.str());
  } else if (!(found->shape == shape)) {
    differ_.push_back(Text(wanted, ": the model has ", shape, ", the file ", found->shape, " (", found->name, ")"));
  } else {
    matched_.push_back(wanted);
    fills_.push_back({*found, dtype, dst});
  }
}

void Matches::Finish(const std::string& where) const {
  if (!ok())
    Fail(where, ": what it holds is not what the model has", Listed("missing from the file", missing_),
         Listed("of another shape", differ_), Listed("left over in the file", left_over_),
         Listed("that match", matched_));
  FillAll(fills_);
}

}  // namespace ingot
