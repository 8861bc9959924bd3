// SPDX-License-Identifier: MIT
//
// Samples: rows of data as they lie in memory, or in a mapped file. Sample: one of them on its way through the stages
// of a Dataset, or a batch of them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ingot/core/array.h"
#include "ingot/core/memory.h"

namespace ingot {

// Inputs, targets and, if given, a weight for each row. All have as many rows.
struct Samples {
  Arrays x, y;
  Array sample_weight;  // empty: all count the same

  int64_t rows() const { return x.empty() ? 0 : x[0].rows(); }
  bool empty() const { return rows() == 0; }
  Samples slice(int64_t first, int64_t last) const;
  void Check(const std::string& where) const;  // Error unless all have as many rows
  // Error unless an array has rows. `what` and i are what ForEach gives.
  static void CheckRows(const std::string& where, const char* what, size_t i, const Array& a);

  // f(what, i, array) for each of the arrays there is: "x", 0 ...
  template <class F>
  void ForEach(const F& f) const {
    for (size_t i = 0; i < x.size(); ++i) f("x", i, x[i]);
    for (size_t i = 0; i < y.size(); ++i) f("y", i, y[i]);
    if (!sample_weight.empty()) f("sample_weight", size_t{0}, sample_weight);
  }
  // f(array) of each, arranged as these are.
  template <class F>
  Samples Each(const F& f) const {
    Samples to;
    for (const Array& a : x) to.x.push_back(f(a));
    for (const Array& a : y) to.y.push_back(f(a));
    if (!sample_weight.empty()) to.sample_weight = f(sample_weight);
    return to;
  }
  bool HasAsMany(const Samples& o) const {
    return x.size() == o.x.size() && y.size() == o.y.size() && sample_weight.empty() == o.sample_weight.empty();
  }
  // f(what, i, array, the other's array). REQUIRES: HasAsMany(other)
  template <class Other, class F>
  void ForEachPair(Other& other, const F& f) {
    for (size_t i = 0; i < x.size(); ++i) f("x", i, x[i], other.x[i]);
    for (size_t i = 0; i < y.size(); ++i) f("y", i, y[i], other.y[i]);
    if (!sample_weight.empty()) f("sample_weight", size_t{0}, sample_weight, other.sample_weight);
  }
  // Enough to tell others: types, shapes, and a checksum of some rows.
  std::string Fingerprint() const;
};

// What a function given to Dataset::map changes. The arrays that come to the first function are the sample's own: they
// may be written to, replaced by others of any shape and type, and kept. A function that puts arrays of others there
// has the next one in mind: those here write only into what the sample owns.
struct Sample : Samples {
  int64_t index = 0;             // the row in the source, whatever the order now; of a batch, its place in the epoch
  int64_t epoch = 0;             // which pass through the data; docs/data.md says how repeat numbers them
  std::vector<int64_t> indices;  // of a batch: the index of each of its rows

  // One sample has no axis of rows: a row of (1000, 28, 28) is (28, 28), and a label (). A batch has it.
  bool batched() const { return !indices.empty(); }
  // An array for a result, its elements undefined: the memory of an earlier sample that nobody holds any more.
  Array make(const Shape& shape, DType dtype = DType::kFloat32);
  // Whether an array's elements are such memory, which others cannot have meant to keep as it is.
  bool owns(const Array& a) const;
  // And whether nobody else holds it, neither another array of the sample nor someone who kept it: then it may be
  // written over.
  bool alone_with(const Array& a) const;
  void clear();  // but for that memory

  // For sources: an element on its way into a batch may be written there at once. Array `like` of the batch, at this
  // row, if the element fits there, else as make.
  struct Place {
    const Sample* batch = nullptr;
    int64_t row = 0;
  };
  Place place{};
  Array make_in(const Array* like, const Shape& shape, DType dtype);

 private:
  struct Memory {
    std::shared_ptr<Block> block;
    size_t bytes;
  };
  std::vector<Memory> made_;
};

}  // namespace ingot
