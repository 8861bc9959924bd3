// SPDX-License-Identifier: MIT
//
// Stages that change what is in the elements: map and batch; and prefetch, which has them made before they are wanted.
#include <algorithm>
#include <cstring>
#include <functional>
#include <utility>

#include "ingot/core/error.h"
#include "ingot/data/ahead.h"
#include "ingot/data/stage.h"

namespace ingot {
namespace {

// ---- Map.

void Call(const MapFn& fn, Sample& s) {
  const bool batched = s.batched();
  const auto fail = [&](const char* what) {
    Fail("map: ", batched ? "batch " : "element ", s.index, " of epoch ", s.epoch, ": ", what);
  };
  try {
    fn(s);
  } catch (const std::exception& e) {
    fail(e.what());
  } catch (...) {
    fail("the function threw what is no std::exception");
  }
  s.ForEach([&](const char* what, size_t i, const Array& a) {
    if (a.empty()) fail(Text(what, "[", i, "] was left an empty array; give it a shape, or take it out").c_str());
  });
}

class MapView : public View {
 public:
  MapView(ViewPtr up, std::shared_ptr<const MapFn> fn) : up_(std::move(up)), fn_(std::move(fn)) {}
  int64_t size() const override { return up_->size(); }
  void At(int64_t i, Sample& s) const override {
    up_->At(i, s);
    Call(*fn_, s);
  }

 private:
  ViewPtr up_;
  std::shared_ptr<const MapFn> fn_;
};

class MapSequence : public Sequence {
 public:
  MapSequence(SequencePtr up, std::shared_ptr<const MapFn> fn) : up_(std::move(up)), fn_(std::move(fn)) {}
  bool Next(Sample& s) override {
    if (!up_->Next(s)) return false;
    Call(*fn_, s);
    return true;
  }

 private:
  SequencePtr up_;
  std::shared_ptr<const MapFn> fn_;
};

class Map : public Over {
 public:
  Map(StagePtr up, MapFn fn, int threads)
      : Over(std::move(up)), fn_(std::make_shared<const MapFn>(std::move(fn))), threads_(threads) {
    if (!*fn_) Fail("map: the function is empty");
    if (threads < 0 || threads > kMostThreads)
      Fail("map: threads is ", threads, ", 0 (none of its own) to ", kMostThreads, " was expected");
  }
  int threads() const override { return std::max(threads_, up_->threads()); }
  bool maps() const override { return true; }
  ViewPtr Look(int64_t pass) const override { return std::make_shared<MapView>(up_->Look(pass), fn_); }
  std::string str() const override { return up_->str() + ", map"; }

 private:
  static constexpr int kMostThreads = 1024;

  SequencePtr OpenInOrder(int64_t pass, int64_t first) const override {
    SequencePtr up = up_->Open(pass, first);
    if (!threads_) return std::make_unique<MapSequence>(std::move(up), fn_);
    return std::make_unique<Ahead>(
        [from = std::shared_ptr<Sequence>(std::move(up))](int64_t, Sample& s) { return from->Next(s); },
        [fn = fn_](int64_t, Sample& s) { Call(*fn, s); }, threads_, threads_);
  }
  std::shared_ptr<const MapFn> fn_;
  int threads_;
};

// ---- Batch.

// Makes a batch of elements as they come. The first one tells what arrays it takes; the others may be written where
// they are to lie: `in_place` is for views, which read into the sample they are given; streams hand others on.
class Stack {
 public:
  Stack(Sample& batch, int64_t rows, bool in_place) : batch_(batch), rows_(rows), in_place_(in_place) {
    batch_.clear();
  }

  Sample& element() {
    element_.place = in_place_ && count_ ? Sample::Place{&batch_, count_} : Sample::Place{};
    return element_;
  }
  void Add() {
    if (element_.batched()) Fail("batch: element ", element_.index, " is a batch already");
    if (count_ == 0) Begin();
    if (!batch_.HasAsMany(element_))
      Fail("batch: element ", element_.index, " has ", element_.x.size(), " inputs, ", element_.y.size(),
           " targets and ", element_.sample_weight.empty() ? "no" : "a", " weight, those before it in the batch ",
           batch_.x.size(), ", ", batch_.y.size(), " and ", batch_.sample_weight.empty() ? "none" : "one",
           "; all must have the same");
    batch_.ForEachPair(element_,
                       [&](const char* what, size_t k, const Array& to, Array& from) { Check(what, k, to, from); });
    const bool in_place = in_place_;
    batch_.ForEachPair(element_, [&](const char*, size_t, Array& to, const Array& from) {
      if (from.data() == RowOf(to) || !from.bytes()) return;
      if (in_place && !batch_.alone_with(to)) Leave(to);
      std::memcpy(RowOf(to), from.data(), from.bytes());
    });
    batch_.indices.push_back(element_.index);
    ++count_;
  }
  // All that are missing, where elements are rows of arrays as they lie: copied at once as far as they lie together.
  void AddRows(const Samples& arrays, const std::vector<int64_t>& rows) {
    const auto first = static_cast<size_t>(count_);
    batch_.ForEachPair(arrays, [&](const char*, size_t, Array& to, const Array& from) {
      const size_t bytes = to.row_bytes();
      auto* out = static_cast<std::byte*>(to.data());
      for (size_t k = first, end; bytes && k < rows.size(); k = end) {
        for (end = k + 1; end < rows.size() && rows[end] == rows[end - 1] + 1;) ++end;
        std::memcpy(out + k * bytes, static_cast<const std::byte*>(from.data()) + static_cast<size_t>(rows[k]) * bytes,
                    (end - k) * bytes);
      }
    });
    batch_.indices.insert(batch_.indices.end(), rows.begin() + count_, rows.end());
    count_ = static_cast<int64_t>(rows.size());
  }
  int64_t count() const { return count_; }
  // A batch of fewer rows than it was begun for.
  void Cut() {
    if (count_ < rows_) static_cast<Samples&>(batch_) = batch_.slice(0, count_);
  }

 private:
  void Begin() {
    batch_.epoch = element_.epoch;
    static_cast<Samples&>(batch_) = element_.Each([&](const Array& a) {
      if (a.shape().rank() >= kMaxRank) Fail("batch: an element of shape ", a.shape(), " has too many axes to batch");
      return batch_.make(a.shape().batched(rows_), a.dtype());
    });
  }
  // A function has kept what was read into the batch, and put another in its place: the memory is its own from now on.
  void Leave(Array& to) {
    Array other = batch_.make(to.shape(), to.dtype());
    std::memcpy(other.data(), to.data(), static_cast<size_t>(count_) * to.row_bytes());
    to = std::move(other);
    in_place_ = false;  // so that it happens but once
  }
  std::byte* RowOf(const Array& to) const {
    return static_cast<std::byte*>(const_cast<void*>(to.data())) + static_cast<size_t>(count_) * to.row_bytes();
  }
  // A function may have exchanged the arrays, or cut parts of them: what lies in the batch, and not where it belongs,
  // is taken out before anything is written there.
  void Check(const char* what, size_t k, const Array& to, Array& from) const {
    if (from.dtype() != to.dtype() || !(from.shape() == to.shape().from(1)))
      Fail("batch: element ", element_.index, " has ", what, "[", k, "] of ", Name(from.dtype()), " ", from.shape(),
           ", those before it in the batch have ", Name(to.dtype()), " ", to.shape().from(1),
           "; all must have the same type and shape");
    if (!in_place_ || from.data() == RowOf(to)) return;
    bool inside = false;
    batch_.ForEach([&](const char*, size_t, const Array& a) {
      const auto* at = static_cast<const std::byte*>(from.data());
      const auto* begin = static_cast<const std::byte*>(a.data());
      inside |= !std::less<>()(at, begin) && std::less<>()(at, begin + a.bytes());
    });
    if (inside) from = from.copy();
  }

  Sample& batch_;
  Sample element_;
  int64_t rows_, count_ = 0;
  bool in_place_;
};

class BatchView : public View {
 public:
  BatchView(ViewPtr up, int64_t size, int64_t rows)
      : up_(std::move(up)), arrays_(up_->arrays()), size_(size), rows_(rows) {}
  int64_t size() const override { return size_; }
  void At(int64_t i, Sample& batch) const override {
    const int64_t first = i * rows_, n = std::min(rows_, up_->size() - first);
    Stack stack(batch, n, true);
    for (int64_t k = 0; k < (arrays_ ? 1 : n); ++k) {
      up_->At(first + k, stack.element());
      stack.Add();
    }
    if (arrays_) {
      std::vector<int64_t> rows;
      batch_rows(i, rows);
      stack.AddRows(*arrays_, rows);
    }
    batch.index = i;
  }
  const Samples* batch_arrays() const override { return arrays_; }
  void batch_rows(int64_t i, std::vector<int64_t>& rows) const override {
    rows.clear();
    const int64_t first = i * rows_, last = first + std::min(rows_, up_->size() - first);
    for (int64_t k = first; k < last; ++k) rows.push_back(up_->row(k));
  }

 private:
  ViewPtr up_;
  const Samples* arrays_;  // asked for once: behind repeat it takes a look at the first repetition
  int64_t size_, rows_;
};

class BatchSequence : public Sequence {
 public:
  BatchSequence(SequencePtr up, int64_t rows, bool drop, int64_t first)
      : up_(std::move(up)), rows_(rows), drop_(drop), index_(first) {}
  bool Next(Sample& batch) override {
    if (ended_) return false;
    Stack stack(batch, rows_, false);
    while (stack.count() < rows_ && !ended_) {
      if (up_->Next(stack.element()))
        stack.Add();
      else
        ended_ = true;
    }
    if (stack.count() == 0 || (stack.count() < rows_ && drop_)) return false;
    stack.Cut();
    batch.index = index_++;
    return true;
  }

 private:
  SequencePtr up_;
  int64_t rows_;
  bool drop_;
  int64_t index_;
  bool ended_ = false;
};

class Batch : public Over {
 public:
  Batch(StagePtr up, int64_t rows, bool drop) : Over(std::move(up)), rows_(rows), drop_(drop) {
    if (rows <= 0) Fail("batch: ", rows, " rows were asked for, a positive number was expected");
    if (up_->batched()) Fail("batch: the data set gives batches already");
    // Of what ends, a batch is never larger than all of it.
    if (rows > kMost && (up_->size() == kForever || up_->size() == kUnknown))
      Fail("batch: ", rows, " rows of data that may never end were asked for, at most ", kMost,
           " was expected; use take before it");
  }
  int64_t size() const override {
    const int64_t all = up_->size();
    if (all == kUnknown || all == kForever) return all;
    return all / rows_ + (!drop_ && all % rows_ != 0);
  }
  bool batched() const override { return true; }
  int64_t ahead() const override { return up_->ahead() / rows_ + (up_->ahead() % rows_ != 0); }
  ViewPtr Look(int64_t pass) const override { return std::make_shared<BatchView>(up_->Look(pass), size(), rows_); }
  std::string str() const override { return Text(up_->str(), ", batch(", rows_, drop_ ? ", whole ones)" : ")"); }

 private:
  static constexpr int64_t kMost = int64_t{1} << 40;
  SequencePtr OpenInOrder(int64_t pass, int64_t first) const override {
    const int64_t at = first > kForever / rows_ ? kForever : first * rows_;
    return std::make_unique<BatchSequence>(up_->Open(pass, at), rows_, drop_, first);
  }
  int64_t rows_;
  bool drop_;
};

// ---- Prefetch. Over views it only says how far ahead to read: those who read there do it.

class Prefetch : public Over {
 public:
  Prefetch(StagePtr up, int64_t elements) : Over(std::move(up)), elements_(elements) {
    if (elements <= 0 || elements > kMost)
      Fail("prefetch: ", elements, " elements were asked for, 1 to ", kMost, " was expected");
  }
  int threads() const override { return std::max(1, up_->threads()); }
  int64_t ahead() const override { return std::max(elements_, up_->ahead()); }
  ViewPtr Look(int64_t pass) const override { return up_->Look(pass); }
  std::string str() const override { return up_->str(); }  // it changes nothing of what comes

 private:
  static constexpr int64_t kMost = 1 << 20;
  SequencePtr OpenInOrder(int64_t pass, int64_t first) const override {
    std::shared_ptr<Sequence> up = up_->Open(pass, first);
    return std::make_unique<Ahead>([up](int64_t, Sample& s) { return up->Next(s); }, [](int64_t, Sample&) {}, 1,
                                   elements_);
  }
  int64_t elements_;
};

}  // namespace

StagePtr Mapped(StagePtr up, MapFn fn, int threads) {
  return std::make_shared<Map>(std::move(up), std::move(fn), threads);
}
StagePtr Batched(StagePtr up, int64_t rows, bool drop_remainder) {
  return std::make_shared<Batch>(std::move(up), rows, drop_remainder);
}
StagePtr Prefetched(StagePtr up, int64_t elements) { return std::make_shared<Prefetch>(std::move(up), elements); }

}  // namespace ingot
