// SPDX-License-Identifier: MIT
#include "ingot/core/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <mutex>
#include <utility>

#include "ingot/core/error.h"
#include "ingot/core/memory.h"
#include "ingot/core/printable.h"

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

// Of UTF-8; each is taken to be as wide as a column.
bool Begins(char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }
size_t Characters(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), Begins));
}
size_t PlaceOf(const std::string& text, size_t character) {
  size_t at = 0;
  for (size_t seen = 0; at < text.size(); ++at)
    if (Begins(text[at]) && seen++ == character) break;
  return at;
}

// In at most so many characters: the middle goes, since a path ends with what tells it from others.
std::string Shortened(const std::string& text, size_t most) {
  const size_t all = Characters(text);
  if (all <= most) return text;
  if (most == 0) return "";
  const size_t head = (most - 1) / 3, tail = most - 1 - head;
  return text.substr(0, PlaceOf(text, head)) + "…" + text.substr(PlaceOf(text, all - tail));
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

std::string ProgressLine(const Progress& p, size_t columns) {
  const double rate = p.seconds > 0 ? static_cast<double>(p.done) / p.seconds : 0;
  std::string figures = " " + HumanBytes(p.done) + (p.total ? " of " + HumanBytes(p.total) : "");
  if (rate >= 1) figures += ", " + HumanBytes(static_cast<uint64_t>(rate)) + "/s";
  if (p.total && rate >= 1)
    figures += Text(", ", std::lround(std::ceil(static_cast<double>(p.total - p.done) / rate)), "s left");
  const std::string bar = p.total ? " " + ProgressBar(p.done, p.total) : "", what = Printable(p.what);
  if (columns == 0) return what + bar + figures;
  // A character in the last column would begin the next line on some terminals.
  const size_t most = columns - 1, taken = Characters(bar + figures);
  constexpr size_t kLeastWhat = 16;
  if (taken + std::min(kLeastWhat, Characters(what)) <= most) return Shortened(what, most - taken) + bar + figures;
  return Shortened(Shortened(what, kLeastWhat) + figures, most);
}

void ShowProgress(const Progress& p) {
  // \033[K clears what a longer line has left.
  if (p.ended) {
    std::fputs("\r\033[K", stderr);
  } else {
    winsize size{};
    const bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0;
    std::fprintf(stderr, "\r%s\033[K", ProgressLine(p, known ? size.ws_col : 0).c_str());
  }
  std::fflush(stderr);
}

}  // namespace ingot
