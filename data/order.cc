// SPDX-License-Identifier: MIT
//
// Stages that change which elements come, and when, and leave what is in them alone: shuffle, take, skip, shard,
// repeat, zip. Over views they are arithmetic on indices; over streams they do the same by reading on.
#include <algorithm>
#include <map>
#include <mutex>
#include <numeric>
#include <utility>

#include "ingot/core/error.h"
#include "ingot/core/random.h"
#include "ingot/data/stage.h"

namespace ingot {
namespace {

// Element i is the element of another view at first + i * stride, or at order[i].
class IndexView : public View {
 public:
  IndexView(ViewPtr up, int64_t size, int64_t first, int64_t stride)
      : up_(std::move(up)), size_(size), first_(first), stride_(stride) {}
  IndexView(ViewPtr up, std::vector<int64_t> order)
      : up_(std::move(up)), size_(static_cast<int64_t>(order.size())), order_(std::move(order)) {}
  int64_t size() const override { return size_; }
  void At(int64_t i, Sample& s) const override { up_->At(Index(i), s); }
  const Samples* arrays() const override { return up_->arrays(); }
  int64_t row(int64_t i) const override { return up_->row(Index(i)); }
  const Samples* batch_arrays() const override { return up_->batch_arrays(); }
  void batch_rows(int64_t i, std::vector<int64_t>& rows) const override { up_->batch_rows(Index(i), rows); }

 private:
  int64_t Index(int64_t i) const { return order_.empty() ? first_ + i * stride_ : order_[static_cast<size_t>(i)]; }
  ViewPtr up_;
  int64_t size_, first_ = 0, stride_ = 1;
  std::vector<int64_t> order_;
};

// ---- Shuffle, as tf.data means it: a buffer of the next elements, of which any may come; then the next fills its
// place. A buffer as large as the data makes every order as likely as any other.

Random RandomOf(uint64_t seed, int64_t pass) {
  // The passes of a repetition inside a pass are numbered beyond 32 bits.
  const auto p = static_cast<uint64_t>(pass);
  return Random({seed, 0xda7a0000u ^ static_cast<uint32_t>(p >> 32), static_cast<uint32_t>(p)});
}

class ShuffleSequence : public Sequence {
 public:
  ShuffleSequence(SequencePtr up, size_t buffer, Random random) : up_(std::move(up)), random_(random), most_(buffer) {}
  bool Next(Sample& s) override {
    while (!ended_ && buffer_.size() < most_) Fill();
    if (buffer_.empty()) return false;
    Sample& chosen = buffer_[random_.Below(buffer_.size())];
    std::swap(s, chosen);
    // What comes is read into the place at once: the stream over the indices does so.
    if (!ended_ && up_->Next(chosen)) return true;
    ended_ = true;
    std::swap(chosen, buffer_.back());
    buffer_.pop_back();
    return true;
  }

 private:
  void Fill() {
    Sample next;
    if (up_->Next(next))
      buffer_.push_back(std::move(next));
    else
      ended_ = true;
  }
  SequencePtr up_;
  Random random_;
  size_t most_;
  std::vector<Sample> buffer_;
  bool ended_ = false;
};

class Shuffle : public Over {
 public:
  Shuffle(StagePtr up, int64_t buffer, uint64_t seed) : Over(std::move(up)), buffer_(buffer), seed_(seed) {
    if (buffer <= 0) Fail("shuffle: the buffer is ", buffer, ", a positive number of elements was expected");
  }
  // An order is a list of all elements: of more than these only the buffer is kept.
  bool indexed() const override { return up_->indexed() && up_->size() <= kMostOrdered; }
  ViewPtr Look(int64_t pass) const override {
    const int64_t n = size();
    Random random = RandomOf(seed_, pass);
    std::vector<int64_t> order, buffer(static_cast<size_t>(std::min(n, buffer_)));
    order.reserve(static_cast<size_t>(n));
    std::iota(buffer.begin(), buffer.end(), int64_t{0});
    for (auto next = static_cast<int64_t>(buffer.size()); !buffer.empty();) {
      int64_t& chosen = buffer[random.Below(buffer.size())];
      order.push_back(chosen);
      if (next < n) {
        chosen = next++;
      } else {
        chosen = buffer.back();
        buffer.pop_back();
      }
    }
    return std::make_shared<IndexView>(up_->Look(pass), std::move(order));
  }
  std::string str() const override { return Text(up_->str(), ", shuffle(", buffer_, ", ", seed_, ")"); }

 private:
  static constexpr int64_t kMostOrdered = 1 << 28;
  SequencePtr OpenInOrder(int64_t pass, int64_t first) const override {
    auto stream =
        std::make_unique<ShuffleSequence>(up_->Open(pass), static_cast<size_t>(buffer_), RandomOf(seed_, pass));
    Drop(*stream, first);
    return stream;
  }
  int64_t buffer_;
  uint64_t seed_;
};

// ---- Take, skip, shard.

class StrideSequence : public Sequence {
 public:
  StrideSequence(SequencePtr up, int64_t count, int64_t stride) : up_(std::move(up)), left_(count), stride_(stride) {}
  bool Next(Sample& s) override {
    if (left_ == 0 || (begun_ && !Drop(*up_, stride_ - 1)) || !up_->Next(s)) {
      left_ = 0;
      return false;
    }
    begun_ = true;
    if (left_ != kForever) --left_;
    return true;
  }

 private:
  SequencePtr up_;
  int64_t left_, stride_;
  bool begun_ = false;
};

class Stride : public Over {
 public:
  Stride(StagePtr up, int64_t first, int64_t count, int64_t stride)
      : Over(std::move(up)), first_(first), count_(count), stride_(stride) {}
  int64_t size() const override {
    const int64_t all = up_->size();
    if (all == kUnknown || all == kForever) return count_ == kForever || all == kUnknown ? all : count_;
    const int64_t left = std::max<int64_t>(0, all - first_);
    return std::min(count_, left / stride_ + (left % stride_ != 0));
  }
  bool indexed() const override { return up_->indexed(); }
  ViewPtr Look(int64_t pass) const override {
    return std::make_shared<IndexView>(up_->Look(pass), size(), first_, stride_);
  }
  std::string str() const override {
    return Text(up_->str(), ", elements from ", first_, count_ == kForever ? "" : Text(", ", count_, " of them"),
                stride_ == 1 ? "" : Text(", each ", stride_, "th"));
  }

 private:
  SequencePtr OpenInOrder(int64_t pass, int64_t first) const override {
    const int64_t skipped = std::min(first, count_);
    if (skipped > (kForever - first_) / stride_) return std::make_unique<StrideSequence>(up_->Open(pass), 0, 1);
    return std::make_unique<StrideSequence>(up_->Open(pass, first_ + skipped * stride_),
                                            count_ == kForever ? kForever : count_ - skipped, stride_);
  }
  int64_t first_, count_, stride_;
};

// ---- Repeat.

class RepeatView : public View {
 public:
  RepeatView(StagePtr up, int64_t size, int64_t pass)
      : up_(std::move(up)), size_(size), each_(up_->size()), pass_(pass) {}
  int64_t size() const override { return size_; }
  void At(int64_t i, Sample& s) const override { Of(i / each_)->At(i % each_, s); }
  const Samples* arrays() const override { return Of(0)->arrays(); }
  int64_t row(int64_t i) const override { return Of(i / each_)->row(i % each_); }
  const Samples* batch_arrays() const override { return Of(0)->batch_arrays(); }
  void batch_rows(int64_t i, std::vector<int64_t>& rows) const override { Of(i / each_)->batch_rows(i % each_, rows); }

 private:
  // Threads may be at work in several repetitions; those before them are no longer needed.
  static constexpr size_t kHeld = 4;
  ViewPtr Of(int64_t repetition) const {
    const std::lock_guard lock(mutex_);
    ViewPtr& view = views_[repetition];
    if (view) return view;
    view = up_->Look(pass_ + repetition);
    const ViewPtr result = view;
    while (views_.size() > kHeld) views_.erase(views_.begin()->first == repetition ? --views_.end() : views_.begin());
    return result;
  }
  StagePtr up_;
  int64_t size_, each_, pass_;
  mutable std::mutex mutex_;
  mutable std::map<int64_t, ViewPtr> views_;
};

class RepeatSequence : public Sequence {
 public:
  RepeatSequence(StagePtr up, int64_t times, int64_t pass) : up_(std::move(up)), times_(times), pass_(pass) {}
  bool Next(Sample& s) override {
    for (; done_ < times_; ++done_, stream_ = nullptr) {
      const bool fresh = !stream_;
      if (fresh) stream_ = up_->Open(pass_ + done_);
      if (stream_->Next(s)) return true;
      if (fresh) break;  // a pass without elements would repeat for ever
    }
    times_ = 0;
    return false;
  }

 private:
  StagePtr up_;
  int64_t times_, pass_, done_ = 0;
  SequencePtr stream_;
};

class Repeat : public Over {
 public:
  Repeat(StagePtr up, int64_t times) : Over(std::move(up)), times_(times) {}
  int64_t size() const override {
    const int64_t each = up_->size();
    if (each == 0 || times_ == 0) return 0;
    if (times_ == kForever || each == kForever) return kForever;
    if (each == kUnknown) return kUnknown;
    if (each > (kForever - 1) / times_) return kForever;
    return each * times_;
  }
  ViewPtr Look(int64_t pass) const override { return std::make_shared<RepeatView>(up_, size(), First(pass)); }
  std::string str() const override {
    return Text(up_->str(), ", repeat(", times_ == kForever ? "" : std::to_string(times_), ")");
  }

 private:
  // The numbers of the passes over what is repeated: no two the same.
  int64_t First(int64_t pass) const {
    return times_ == kForever ? pass << 32
                              : static_cast<int64_t>(static_cast<uint64_t>(pass) * static_cast<uint64_t>(times_));
  }
  SequencePtr OpenInOrder(int64_t pass, int64_t first) const override {
    auto stream = std::make_unique<RepeatSequence>(up_, times_, First(pass));
    Drop(*stream, first);
    return stream;
  }
  int64_t times_;
};

// ---- Zip: the arrays of the one, then those of the other.

void Append(Sample& s, Sample& other, const std::string& where) {
  for (Array& a : other.x) s.x.push_back(std::move(a));
  for (Array& a : other.y) s.y.push_back(std::move(a));
  if (other.sample_weight.empty()) return;
  if (!s.sample_weight.empty()) Fail(where, ": both have weights of their samples; one may");
  s.sample_weight = std::move(other.sample_weight);
}

class ZipView : public View {
 public:
  ZipView(ViewPtr a, ViewPtr b) : a_(std::move(a)), b_(std::move(b)) {}
  int64_t size() const override { return std::min(a_->size(), b_->size()); }
  void At(int64_t i, Sample& s) const override {
    a_->At(i, s);
    Sample other;
    b_->At(i, other);
    Append(s, other, "zip");
  }

 private:
  ViewPtr a_, b_;
};

class ZipSequence : public Sequence {
 public:
  ZipSequence(SequencePtr a, SequencePtr b) : a_(std::move(a)), b_(std::move(b)) {}
  bool Next(Sample& s) override {
    if (ended_ || !a_->Next(s) || !b_->Next(other_)) {
      ended_ = true;
      return false;
    }
    Append(s, other_, "zip");
    return true;
  }

 private:
  SequencePtr a_, b_;
  Sample other_;
  bool ended_ = false;
};

class Zip : public Stage {
 public:
  Zip(StagePtr a, StagePtr b) : a_(std::move(a)), b_(std::move(b)) {
    if (a_->batched() != b_->batched()) Fail("zip: one gives batches, the other single elements; zip before batch");
  }
  int64_t size() const override {
    const int64_t a = a_->size(), b = b_->size();
    return a == kUnknown || b == kUnknown ? kUnknown : std::min(a, b);
  }
  bool indexed() const override { return a_->indexed() && b_->indexed(); }
  bool batched() const override { return a_->batched(); }
  // Views are read by one crew; of two streams each has its own.
  int threads() const override {
    return indexed() ? std::max(a_->threads(), b_->threads()) : a_->threads() + b_->threads();
  }
  bool maps() const override { return a_->maps() || b_->maps(); }
  int64_t ahead() const override { return std::max(a_->ahead(), b_->ahead()); }
  ViewPtr Look(int64_t pass) const override { return std::make_shared<ZipView>(a_->Look(pass), b_->Look(pass)); }
  std::string str() const override { return Text("zip(", a_->str(), "; ", b_->str(), ")"); }

 private:
  SequencePtr OpenInOrder(int64_t pass, int64_t first) const override {
    return std::make_unique<ZipSequence>(a_->Open(pass, first), b_->Open(pass, first));
  }
  StagePtr a_, b_;
};

}  // namespace

StagePtr Shuffled(StagePtr up, int64_t buffer, uint64_t seed) {
  return std::make_shared<Shuffle>(std::move(up), buffer, seed);
}
StagePtr Strided(StagePtr up, int64_t first, int64_t count, int64_t stride) {
  return std::make_shared<Stride>(std::move(up), first, count, stride);
}
StagePtr Repeated(StagePtr up, int64_t times) { return std::make_shared<Repeat>(std::move(up), times); }
StagePtr Zipped(StagePtr a, StagePtr b) { return std::make_shared<Zip>(std::move(a), std::move(b)); }

}  // namespace ingot
