// SPDX-License-Identifier: MIT
#include "ingot/data/ahead.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "ingot/core/trace.h"

namespace ingot {

Ahead::Ahead(Claim claim, Make make, int threads, int64_t elements) : claim_(std::move(claim)), make_(std::move(make)) {
  ring_.resize(static_cast<size_t>(std::max<int64_t>(threads, elements)));
  try {
    for (int i = 0; i < threads; ++i)
      threads_.emplace_back([this, i] {
        Trace::NameThread("data", i + 1);
        Work();
      });
  } catch (...) {
    if (threads_.empty()) throw;  // else those there are do it
  }
}

Ahead::~Ahead() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  space_.notify_all();
  for (std::thread& t : threads_) t.join();
}

void Ahead::Work() {
  for (;;) {
    std::unique_lock claiming(claiming_);
    std::unique_lock lock(mutex_);
    space_.wait(lock, [&] { return stop_ || last_ || claimed_ - taken_ < static_cast<int64_t>(ring_.size()); });
    if (stop_ || last_) return;
    const int64_t number = claimed_++;
    Place& place = at(number);
    lock.unlock();

    std::optional<TraceSpan> span(std::in_place, kMakeSpan, number);
    std::exception_ptr error;
    bool end = false;
    try {
      end = !claim_(number, place.sample);
    } catch (...) {
      error = std::current_exception();
    }
    if (end || error) {
      lock.lock();
      last_ = true;
      lock.unlock();
    }
    claiming.unlock();
    if (!end && !error) {
      try {
        make_(number, place.sample);
      } catch (...) {
        error = std::current_exception();
      }
    }
    span.reset();
    lock.lock();
    place.end = end;
    place.error = std::move(error);
    if (place.error) last_ = true;
    place.ready = true;
    if (number == taken_) ready_.notify_one();
  }
}

bool Ahead::Next(Sample& s) {
  std::unique_lock lock(mutex_);
  Place& place = at(taken_);
  if (!place.ready) {
    const TraceSpan span(kWaitSpan, taken_);
    ready_.wait(lock, [&] { return place.ready; });
  }
  if (place.end) return false;
  if (place.error) {
    // What was ready stays so: asked again, the stream throws again.
    std::rethrow_exception(place.error);
  }
  std::swap(s, place.sample);
  place.ready = false;
  ++taken_;
  lock.unlock();
  space_.notify_one();
  return true;
}

}  // namespace ingot
