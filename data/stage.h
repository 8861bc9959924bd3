// SPDX-License-Identifier: MIT
//
// What stands behind a Dataset: a chain of stages, each over the one before it.
//
// Most sources can be read at any place, and then a pass through the data is a View: element i of pass p, whatever was
// read before. Shuffle, take, skip and shard are maps of indices, a batch is some elements, a map calls its function.
// So order is a matter of numbers, a place in the middle is found at no cost, and threads may read ahead as they like:
// Ahead (ahead.h) puts what they did in order again. What can only be read from its beginning (a generator, and all
// that follows it) is a Sequence.
//
// Threads: stages and views are not changed once made, and any thread may use them. A stream belongs to one at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "ingot/data/samples.h"

namespace ingot {

inline constexpr int64_t kUnknown = -1, kForever = std::numeric_limits<int64_t>::max();

class View {
 public:
  virtual ~View() = default;
  virtual int64_t size() const = 0;
  // REQUIRES: 0 <= i < size()
  virtual void At(int64_t i, Sample& s) const = 0;
  // Where elements are rows of arrays as they lie: those, and which row.
  virtual const Samples* arrays() const { return nullptr; }
  virtual int64_t row(int64_t i) const { return i; }
  // Where they are batches of such rows: the arrays, and the rows of batch i.
  virtual const Samples* batch_arrays() const { return nullptr; }
  virtual void batch_rows(int64_t /*i*/, std::vector<int64_t>& /*rows*/) const {}
};
using ViewPtr = std::shared_ptr<const View>;

class Sequence {
 public:
  virtual ~Sequence() = default;
  virtual bool Next(Sample& s) = 0;  // false at the end, and from then on
};
using SequencePtr = std::unique_ptr<Sequence>;

class Stage {
 public:
  virtual ~Stage() = default;
  virtual int64_t size() const = 0;  // elements of a pass, kForever, or kUnknown
  virtual bool indexed() const = 0;  // whether there are views; then size() is known
  virtual bool batched() const { return false; }
  virtual int threads() const { return 0; }      // that read ahead; 0: whoever asks reads
  virtual bool maps() const { return false; }    // whether there is a map to give threads to
  virtual int64_t ahead() const { return 0; }    // elements that may be ready before they are asked for
  virtual ViewPtr Look(int64_t pass) const = 0;  // REQUIRES: indexed()
  // From element `first` on. Of a view, if there is one.
  SequencePtr Open(int64_t pass, int64_t first = 0) const;
  virtual std::string str() const = 0;

 protected:
  virtual SequencePtr OpenInOrder(int64_t pass, int64_t first) const = 0;  // REQUIRES: !indexed()
};
using StagePtr = std::shared_ptr<const Stage>;

using MapFn = std::function<void(Sample&)>;
using Generator = std::function<bool(Sample&)>;

// Sources.
StagePtr RowsOf(Samples arrays);
StagePtr GeneratorOf(std::function<Generator()> begin);
// Elements that `read` makes, of any number from 0 to n - 1; any thread may call it.
StagePtr Elements(int64_t n, std::function<void(int64_t i, Sample& s)> read, std::string name);

// Stages.
StagePtr Shuffled(StagePtr up, int64_t buffer, uint64_t seed);
StagePtr Strided(StagePtr up, int64_t first, int64_t count, int64_t stride);  // kForever: all of them
StagePtr Repeated(StagePtr up, int64_t times);                                // kForever: without end
StagePtr Zipped(StagePtr a, StagePtr b);
StagePtr Mapped(StagePtr up, MapFn fn, int threads);
StagePtr Batched(StagePtr up, int64_t rows, bool drop_remainder);
StagePtr Prefetched(StagePtr up, int64_t elements);
// All elements of the first pass, computed when the first is asked for, from then on rows of arrays: in memory, or in
// a file that is mapped, and that later programs find there.
StagePtr Cached(StagePtr up, std::string path);

// Reads and drops n elements; false if the stream ended before.
bool Drop(Sequence& stream, int64_t n);

// What most stages are: over one other, of its kind, size and threads.
class Over : public Stage {
 public:
  explicit Over(StagePtr up) : up_(std::move(up)) {}
  int64_t size() const override { return up_->size(); }
  bool indexed() const override { return up_->indexed(); }
  bool batched() const override { return up_->batched(); }
  int threads() const override { return up_->threads(); }
  bool maps() const override { return up_->maps(); }
  int64_t ahead() const override { return up_->ahead(); }

 protected:
  StagePtr up_;
};

}  // namespace ingot
