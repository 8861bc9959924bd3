// SPDX-License-Identifier: MIT
//
// What the options of several layers are made of.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "ingot/core/fields.h"
#include "ingot/core/plan/graph.h"

namespace ingot {

// Of layers that have no options but a name.
struct NameOptions {
  std::string name{};
};

// One axis or several, counted as Keras counts them: 1, -1 or {1, 2}.
struct Axes : std::vector<int64_t> {
  bool list = false;  // written as a list, even if of one

  Axes() : list(true) {}
  Axes(int64_t axis) : vector{axis} {}  // NOLINT: an axis is a list of one
  Axes(std::initializer_list<int64_t> axes) : vector(axes), list(true) {}

  // Counted from the front, ascending. Error, beginning with `where`, unless each is one of the shape's, once.
  std::vector<int> In(const Shape& shape, const std::string& where) const;
};
void Describe(Fields& f, const char* key, Axes& axes);

// A number, or an array of them: 0.5, {1, 2, 3}.
struct Numbers {
  std::vector<double> values;
  Shape shape;  // rank 0: a single number

  Numbers() = default;                      // none
  Numbers(double value) : values{value} {}  // NOLINT: a number is one
  Numbers(std::initializer_list<double> list) : Numbers(std::vector<double>(list)) {}
  Numbers(std::vector<double> list) : values(std::move(list)), shape{static_cast<int64_t>(values.size())} {}  // NOLINT

  bool none() const { return values.empty(); }
  std::vector<float> floats() const { return {values.begin(), values.end()}; }
};
void Describe(Fields& f, const char* key, Numbers& numbers);

// A tensor seen as a matrix: the axes named are merged into the columns, all others into the rows.
class AsRows {
 public:
  AsRows(const Shape& in, const std::vector<int>& columns);
  int64_t columns() const { return columns_; }
  Value There(Graph& g, Value x) const;    // (rows, columns)
  Value Back(Graph& g, Value rows) const;  // the shape it was
 private:
  Shape in_, moved_;
  std::vector<int> there_, back_;
  bool moves_ = false;
  int64_t rows_ = 1, columns_ = 1;
};

}  // namespace ingot
