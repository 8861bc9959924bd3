// SPDX-License-Identifier: MIT
//
// Threads that prepare elements of a stream before they are asked for, and hand them out in order.
//
// Each takes the next number and makes the element into a place of its own in a ring; there are as many places as
// elements may be ahead. The number alone decides what is made, so the stream is the same for any number of threads.
// An exception is thrown where its element was to come, and ends the stream. The end of the object waits for what its
// threads are just making, and leaves none of them.
#pragma once

#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "ingot/data/stage.h"

namespace ingot {

// In traces: an element is made; in it, one that other threads make is waited for.
inline constexpr const char *kMakeSpan = "make", *kWaitSpan = "wait";

class Ahead : public Sequence {
 public:
  // `claim` is called by one thread at a time, with 0, 1, 2 ...; false: there are no more. `make` by all.
  using Claim = std::function<bool(int64_t number, Sample& s)>;
  using Make = std::function<void(int64_t number, Sample& s)>;
  Ahead(Claim claim, Make make, int threads, int64_t elements);
  ~Ahead() override;
  Ahead(const Ahead&) = delete;
  Ahead& operator=(const Ahead&) = delete;

  bool Next(Sample& s) override;

 private:
  struct Place {
    Sample sample;
    bool ready = false, end = false;
    std::exception_ptr error;
  };
  void Work();
  Place& at(int64_t number) { return ring_[static_cast<size_t>(number) % ring_.size()]; }

  const Claim claim_;
  const Make make_;
  std::vector<Place> ring_;
  std::mutex claiming_;  // taken before mutex_
  std::mutex mutex_;     // of what follows
  std::condition_variable space_, ready_;
  int64_t claimed_ = 0, taken_ = 0;
  bool last_ = false;  // nobody claims any more
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace ingot
