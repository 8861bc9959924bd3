// SPDX-License-Identifier: MIT
#include "ingot/train/feed.h"

#include <algorithm>
#include <limits>

#include "ingot/core/error.h"
#include "ingot/data/ahead.h"
#include "ingot/train/check.h"

namespace ingot {
namespace {

// Pages of a file that are not in memory yet: to look at a byte of each brings it there.
void Touch(const Samples& arrays, const std::vector<int64_t>& rows) {
  constexpr size_t kPage = 4096;
  arrays.ForEach([&](const char*, size_t, const Array& a) {
    for (const int64_t row : rows) {
      const auto* begin = static_cast<const volatile std::byte*>(a.data()) + static_cast<size_t>(row) * a.row_bytes();
      for (size_t at = 0; at < a.row_bytes(); at += kPage) static_cast<void>(begin[at]);
    }
  });
}

// The rows of batches from `first` on; threads bring them in, and leave them where they are.
SequencePtr RowsAhead(const ViewPtr& view, int64_t first, int64_t batches, const Stage& stage) {
  const int64_t n = std::min(batches, view->size() - first);
  return std::make_unique<Ahead>([n](int64_t i, Sample&) { return i < n; },
                                 [view, first](int64_t i, Sample& s) {
                                   view->batch_rows(first + i, s.indices);
                                   Touch(*view->batch_arrays(), s.indices);
                                 },
                                 stage.threads(), stage.ahead());
}

}  // namespace

Feed::Feed(ModelState& model, const Dataset& data, int64_t batch_size, bool targets, std::string where)
    : model_(model), targets_(targets), where_(std::move(where)), stage_(data.stage()) {
  if (!stage_->batched()) stage_ = Batched(stage_, batch_size, false);
  per_pass_ = stage_->size();
  constexpr int64_t kMostBatches = std::numeric_limits<int32_t>::max();
  if (per_pass_ > kMostBatches) per_pass_ = kForever;  // nobody comes to its end
  if (per_pass_ == 0) Fail(where_, ": the data set gives no batch: ", stage_->str());
  // So one epoch is read ahead while the one before it ends.
  if (sized()) stage_ = Repeated(stage_, kForever);
}

bool Feed::Go(int64_t pass, int64_t place, int64_t most) {
  if (pass == pass_ && place == place_) return true;
  const auto in_all = [&](int64_t p, int64_t i) { return sized() ? p * per_pass_ + i : i; };
  const int64_t first = in_all(pass, place), of = sized() ? 0 : pass;
  const bool next = pass_ >= 0 && (sized() || pass == pass_) && first == in_all(pass_, place_) + 1;
  if (!next) {
    sequence_ = nullptr;  // its threads first, which look at the view
    view_ = indexed() ? stage_->Look(of) : nullptr;
    arrays_ = view_ ? view_->batch_arrays() : nullptr;
    if (!arrays_)
      sequence_ = indexed() ? Strided(stage_, first, most, 1)->Open(of) : stage_->Open(of, first);
    else if (stage_->threads())
      sequence_ = RowsAhead(view_, first, most, *stage_);
  }
  if (sequence_ ? !sequence_->Next(batch_) : first >= view_->size()) return false;
  if (arrays_ && sequence_)
    rows_.swap(batch_.indices);
  else if (arrays_)
    view_->batch_rows(first, rows_);
  pass_ = pass;
  place_ = place;
  Check();
  return true;
}

void Feed::Check() {
  if (arrays_ && checked_) return;
  const std::string where =
      arrays_ ? where_ : Text(where_, ", batch ", place_, " of pass ", pass_, " through the data");
  CheckData(model_, data(), targets_, where.c_str());
  try {
    if (targets_) CheckLabels(model_, data());
  } catch (const Error& e) {
    Fail(where, ": ", e.what());
  }
  checked_ = true;
}

}  // namespace ingot
