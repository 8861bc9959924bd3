// SPDX-License-Identifier: MIT
#include "ingot/layers/options.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "ingot/core/error.h"

namespace ingot {
namespace {

// Lists within lists, all of one length at each depth.
bool ReadNested(const Json& json, int depth, Numbers& into) {
  if (json.is_number()) {
    into.values.push_back(json.get<double>());
    return depth == into.shape.rank();
  }
  if (!json.is_array() || depth >= kMaxRank) return false;
  const int64_t n = static_cast<int64_t>(json.size());
  if (depth == into.shape.rank() && into.values.empty()) into.shape.push_back(n);
  if (depth >= into.shape.rank() || into.shape[depth] != n) return false;
  return std::all_of(json.begin(), json.end(), [&](const Json& item) { return ReadNested(item, depth + 1, into); });
}

Json WriteNested(const Numbers& numbers, int depth, size_t& next) {
  if (depth == numbers.shape.rank()) return numbers.values[next++];
  Json list = Json::array();
  for (int64_t i = 0; i < numbers.shape[depth]; ++i) list.push_back(WriteNested(numbers, depth + 1, next));
  return list;
}

}  // namespace

std::vector<int> Axes::In(const Shape& shape, const std::string& where) const {
  std::vector<int> axes;
  for (const int64_t axis : *this) {
    if (axis < -shape.rank() || axis >= shape.rank())
      Fail(where, ": axis ", axis, " is not one of the input's, ", shape);
    axes.push_back(static_cast<int>(axis < 0 ? axis + shape.rank() : axis));
  }
  std::sort(axes.begin(), axes.end());
  if (std::adjacent_find(axes.begin(), axes.end()) != axes.end())
    Fail(where, ": axis names one axis of the input ", shape, " twice");
  return axes;
}

void Describe(Fields& f, const char* key, Axes& axes) {
  std::vector<int64_t>& values = axes;
  if (!f.reading()) return axes.list || axes.size() != 1 ? f(key, values) : f(key, values[0]);
  f.seen(key);
  if (!f.has(key)) return;
  axes.list = f.raw(key).is_array();
  f(key, values);
}

void Describe(Fields& f, const char* key, Numbers& numbers) {
  if (!f.reading()) {
    size_t next = 0;
    if (numbers.none()) return f.null(key);
    f.raw_out()[key] = WriteNested(numbers, 0, next);
    return;
  }
  f.seen(key);
  if (!f.has(key)) return;
  Numbers read;
  if (!ReadNested(f.raw(key), 0, read) || read.none()) f.fail(key, "a number or an array of numbers");
  numbers = std::move(read);
}

AsRows::AsRows(const Shape& in, const std::vector<int>& columns) : in_(in), back_(static_cast<size_t>(in.rank())) {
  for (int i = 0; i < in.rank(); ++i)
    if (std::find(columns.begin(), columns.end(), i) == columns.end()) there_.push_back(i), rows_ *= in[i];
  for (const int i : columns) there_.push_back(i), columns_ *= in[i];
  for (size_t i = 0; i < there_.size(); ++i) back_[static_cast<size_t>(there_[i])] = static_cast<int>(i);
  for (const int i : there_) moved_.push_back(in[i]);
  moves_ = !std::is_sorted(there_.begin(), there_.end());
}

Value AsRows::There(Graph& g, Value x) const {
  return g.Reshape(moves_ ? g.Transpose(x, there_) : x, {rows_, columns_});
}

Value AsRows::Back(Graph& g, Value rows) const {
  const Value x = g.Reshape(rows, moved_);
  return moves_ ? g.Transpose(x, back_) : x;
}

}  // namespace ingot
