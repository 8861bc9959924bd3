// SPDX-License-Identifier: MIT
//
// Where streams begin: arrays, elements made one by one, generators. And how a stage is read in order.
#include <algorithm>
#include <cstring>
#include <utility>

#include "ingot/core/error.h"
#include "ingot/data/ahead.h"
#include "ingot/data/stage.h"

namespace ingot {
namespace {

class ViewSequence : public Sequence {
 public:
  ViewSequence(ViewPtr view, int64_t first) : view_(std::move(view)), next_(first) {}
  bool Next(Sample& s) override {
    if (next_ >= view_->size()) return false;
    view_->At(next_, s);
    ++next_;
    return true;
  }

 private:
  ViewPtr view_;
  int64_t next_;
};

class RowsView : public View {
 public:
  RowsView(std::shared_ptr<const Samples> arrays, int64_t rows, int64_t pass)
      : arrays_(std::move(arrays)), rows_(rows), pass_(pass) {}
  int64_t size() const override { return rows_; }
  const Samples* arrays() const override { return arrays_.get(); }

  void At(int64_t i, Sample& s) const override {
    s.clear();
    s.index = i;
    s.epoch = pass_;
    const auto row = [&](const Array& from, const Array* in_batch) {
      Array to = s.make_in(in_batch, from.shape().from(1), from.dtype());
      const size_t bytes = from.row_bytes();
      if (bytes)
        std::memcpy(to.data(), static_cast<const std::byte*>(from.data()) + static_cast<size_t>(i) * bytes, bytes);
      return to;
    };
    const Samples* batch = s.place.batch;
    for (size_t k = 0; k < arrays_->x.size(); ++k)
      s.x.push_back(row(arrays_->x[k], batch && k < batch->x.size() ? &batch->x[k] : nullptr));
    for (size_t k = 0; k < arrays_->y.size(); ++k)
      s.y.push_back(row(arrays_->y[k], batch && k < batch->y.size() ? &batch->y[k] : nullptr));
    if (const Array& w = arrays_->sample_weight; !w.empty())
      s.sample_weight = row(w, batch && !batch->sample_weight.empty() ? &batch->sample_weight : nullptr);
  }

 private:
  std::shared_ptr<const Samples> arrays_;
  int64_t rows_, pass_;
};

class Rows : public Stage {
 public:
  explicit Rows(Samples arrays) {
    // Targets alone may be zipped with inputs.
    arrays.ForEach([&](const char* what, size_t i, const Array& a) {
      Samples::CheckRows("dataset", what, i, a);
      if (rows_ != kUnknown && a.rows() != rows_)
        Fail("dataset: there are arrays of ", rows_, " rows, ", what, "[", i, "] has ", a.rows(),
             "; they must be as many");
      rows_ = a.rows();
    });
    if (rows_ == kUnknown) Fail("dataset: there are no arrays; give an input x");
    arrays_ = std::make_shared<const Samples>(std::move(arrays));
  }
  int64_t size() const override { return rows_; }
  bool indexed() const override { return true; }
  ViewPtr Look(int64_t pass) const override { return std::make_shared<RowsView>(arrays_, rows_, pass); }
  std::string str() const override { return arrays_->Fingerprint(); }

 private:
  SequencePtr OpenInOrder(int64_t, int64_t) const override { return nullptr; }
  std::shared_ptr<const Samples> arrays_;
  int64_t rows_ = kUnknown;
};

class ElementsOf : public Stage, public std::enable_shared_from_this<ElementsOf> {
 public:
  ElementsOf(int64_t n, std::function<void(int64_t, Sample&)> read, std::string name)
      : size_(n), read_(std::move(read)), name_(std::move(name)) {}
  int64_t size() const override { return size_; }
  bool indexed() const override { return true; }
  ViewPtr Look(int64_t pass) const override;
  std::string str() const override { return Text(name_, ", ", size_, " elements"); }

 private:
  friend class ElementsView;
  SequencePtr OpenInOrder(int64_t, int64_t) const override { return nullptr; }
  int64_t size_;
  std::function<void(int64_t, Sample&)> read_;
  std::string name_;
};

class ElementsView : public View {
 public:
  ElementsView(std::shared_ptr<const ElementsOf> of, int64_t pass) : of_(std::move(of)), pass_(pass) {}
  int64_t size() const override { return of_->size(); }
  void At(int64_t i, Sample& s) const override {
    s.clear();
    s.index = i;
    s.epoch = pass_;
    of_->read_(i, s);
  }

 private:
  std::shared_ptr<const ElementsOf> of_;
  int64_t pass_;
};
ViewPtr ElementsOf::Look(int64_t pass) const { return std::make_shared<ElementsView>(shared_from_this(), pass); }

class GeneratorSequence : public Sequence {
 public:
  GeneratorSequence(Generator next, int64_t pass) : next_(std::move(next)), pass_(pass) {}
  bool Next(Sample& s) override {
    if (ended_) return false;
    s.clear();
    s.index = index_;
    s.epoch = pass_;
    try {
      ended_ = !next_(s);
    } catch (const std::exception& e) {
      ended_ = true;
      Fail("from_generator: element ", index_, ": ", e.what());
    } catch (...) {
      ended_ = true;
      Fail("from_generator: element ", index_, ": the function threw what is no std::exception");
    }
    if (ended_) return false;
    if (s.x.empty() && s.y.empty())
      Fail("from_generator: element ", index_, " has no arrays; set x and y, or return false at the end");
    // What the generator has kept is not changed by what comes after it.
    for (Array& a : s.x) Own(s, a);
    for (Array& a : s.y) Own(s, a);
    if (!s.sample_weight.empty()) Own(s, s.sample_weight);
    ++index_;
    return true;
  }

 private:
  void Own(Sample& s, Array& a) const {
    if (a.empty()) Fail("from_generator: element ", index_, " has an empty array");
    if (s.owns(a)) return;
    Array copy = s.make(a.shape(), a.dtype());
    if (a.bytes()) std::memcpy(copy.data(), a.data(), a.bytes());
    a = std::move(copy);
  }

  Generator next_;
  int64_t pass_, index_ = 0;
  bool ended_ = false;
};

class GeneratorStage : public Stage {
 public:
  explicit GeneratorStage(std::function<Generator()> begin) : begin_(std::move(begin)) {
    if (!begin_) Fail("from_generator: the function is empty");
  }
  int64_t size() const override { return kUnknown; }
  bool indexed() const override { return false; }
  ViewPtr Look(int64_t) const override { return nullptr; }
  std::string str() const override { return "generator"; }

 private:
  SequencePtr OpenInOrder(int64_t pass, int64_t first) const override {
    Generator next = Begin();
    if (!next) Fail("from_generator: the function gave an empty generator");
    auto stream = std::make_unique<GeneratorSequence>(std::move(next), pass);
    Drop(*stream, first);
    return stream;
  }
  Generator Begin() const {
    try {
      return begin_();
    } catch (const std::exception& e) {
      Fail("from_generator: the beginning of a pass: ", e.what());
    } catch (...) {
      Fail("from_generator: the beginning of a pass: the function threw what is no std::exception");
    }
  }
  std::function<Generator()> begin_;
};

}  // namespace

SequencePtr Stage::Open(int64_t pass, int64_t first) const {
  if (!indexed()) return OpenInOrder(pass, first);
  ViewPtr view = Look(pass);
  if (threads() == 0) return std::make_unique<ViewSequence>(std::move(view), first);
  return std::make_unique<Ahead>([left = view->size() - first](int64_t n, Sample&) { return n < left; },
                                 [view, first](int64_t n, Sample& s) { view->At(first + n, s); }, threads(), ahead());
}

bool Drop(Sequence& stream, int64_t n) {
  for (Sample s; n > 0; --n)
    if (!stream.Next(s)) return false;
  return true;
}

StagePtr RowsOf(Samples arrays) { return std::make_shared<Rows>(std::move(arrays)); }
StagePtr Elements(int64_t n, std::function<void(int64_t, Sample&)> read, std::string name) {
  return std::make_shared<ElementsOf>(n, std::move(read), std::move(name));
}
StagePtr GeneratorOf(std::function<Generator()> begin) { return std::make_shared<GeneratorStage>(std::move(begin)); }

}  // namespace ingot
