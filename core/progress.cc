// SPDX-License-Identifier: MIT
#include "ingot/core/progress.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <mutex>
#include <utility>

#include "ingot/core/error.h"
#include "ingot/core/memory.h"

namespace ingot {
namespace {

constexpr int64_t kFirstMs = 500, kEachMs = 100;

// Never destroyed: a save in the background may end after everything else of the process.
struct Listener {
  std::recursive_mutex mutex;  // a listener may put another in its place, or load and save
  std::shared_ptr<const std::function<void(const Progress&)>> tell;
  bool telling = false;
  std::atomic<bool> there{false};
};
Listener& TheListener() {
  static Listener& listener = *new Listener;
  return listener;
}

}  // namespace

void on_progress(std::function<void(const Progress&)> listener) {
  Listener& the = TheListener();
  const std::lock_guard lock(the.mutex);
  the.there = static_cast<bool>(listener);
  the.tell = listener ? std::make_shared<const std::function<void(const Progress&)>>(std::move(listener)) : nullptr;
}

Watched::Watched(const char* doing, const std::string& path, uint64_t total)
    : doing_(doing), path_(path), total_(total), watched_(TheListener().there), next_ms_(kFirstMs) {
  if (watched_) begin_ = Clock::now();
}

Watched::~Watched() {
  if (watched_ && next_ms_.load() != kFirstMs) Tell(done_.load(), true);
}

void Watched::Tell(uint64_t done, bool ended) {
  const double seconds = std::chrono::duration<double>(Clock::now() - begin_).count();
  const auto now = static_cast<int64_t>(1e3 * seconds);
  int64_t due = next_ms_.load();
  if (!ended && (now < due || !next_ms_.compare_exchange_strong(due, now + kEachMs))) return;
  Listener& the = TheListener();
  std::unique_lock lock(the.mutex, std::defer_lock);
  if (ended)
    lock.lock();
  else if (!lock.try_lock())
    return;                              // a listener that takes its time does not hold up those who work
  if (!the.tell || the.telling) return;  // what a listener does itself is not told to it
  const auto tell = the.tell;
  the.telling = true;
  try {
    (*tell)({path_.empty() ? doing_ : Text(doing_, " '", path_, "'"), total_ ? std::min(done, total_) : done, total_,
             seconds, ended});
  } catch (...) {  // to look must not end what is looked at
  }
  the.telling = false;
}

std::string ProgressBar(uint64_t done, uint64_t total) {
  constexpr uint64_t kWidth = 20;
  const auto filled = static_cast<uint64_t>(
      static_cast<double>(done) / static_cast<double>(std::max<uint64_t>(1, total)) * static_cast<double>(kWidth));
  std::string bar;
  for (uint64_t i = 0; i < kWidth; ++i) bar += i < filled ? "━" : "╌";
  return bar;
}

void ShowProgress(const Progress& p) {
  // \033[K clears what a longer line has left.
  if (p.ended) {
    std::fputs("\r\033[K", stderr);
  } else {
    const double rate = p.seconds > 0 ? static_cast<double>(p.done) / p.seconds : 0;
    std::string text = p.what;
    if (p.total) text += " " + ProgressBar(p.done, p.total);
    text += " " + HumanBytes(p.done) + (p.total ? " of " + HumanBytes(p.total) : "");
    if (rate >= 1) text += ", " + HumanBytes(static_cast<uint64_t>(rate)) + "/s";
    if (p.total && rate >= 1)
      text += Text(", ", std::lround(std::ceil(static_cast<double>(p.total - p.done) / rate)), "s left");
    std::fprintf(stderr, "\r%s\033[K", text.c_str());
  }
  std::fflush(stderr);
}

}  // namespace ingot
