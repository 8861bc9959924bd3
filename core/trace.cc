// SPDX-License-Identifier: MIT
#include "ingot/core/trace.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <exception>
#include <limits>
#include <memory>
#include <mutex>
#include <new>
#include <utility>

namespace ingot {
namespace {

// Each chunk is as long as all before it, and the first: a thread of a few events takes no more than they need.
constexpr size_t kFirstChunk = 64, kChunks = 13;
static_assert(kFirstChunk << (kChunks - 1) >= static_cast<size_t>(Trace::kMostEvents));
struct Place {
  size_t chunk, at;
};
Place PlaceOf(size_t event) {
  const size_t chunk = static_cast<size_t>(std::bit_width(event / kFirstChunk + 1)) - 1;
  return {chunk, event - kFirstChunk * ((size_t{1} << chunk) - 1)};
}

// Odd while a trace is taken. A lane that was last written for another one has nothing for this one.
std::atomic<uint64_t> generation{0};

// Written by one thread. What lies before `size` is not changed until the next trace, so it may be read meanwhile.
struct Lane {
  std::string name;
  std::array<std::unique_ptr<TraceEvent[]>, kChunks> chunks;
  std::atomic<size_t> size{0};
  std::atomic<int64_t> dropped{0};
  std::atomic<uint64_t> of{0};

  void Add(const TraceEvent& event, uint64_t now) {
    if (of.load(std::memory_order_relaxed) != now) {
      size.store(0, std::memory_order_relaxed);
      dropped.store(0, std::memory_order_relaxed);
      of.store(now, std::memory_order_release);
    }
    const size_t at = size.load(std::memory_order_relaxed);
    const Place place = PlaceOf(at);
    auto& chunk = chunks[place.chunk];
    // Spans end in destructors and in the pool: where there is no memory, an event is dropped.
    if (!chunk && at < static_cast<size_t>(Trace::kMostEvents))
      chunk.reset(new (std::nothrow) TraceEvent[kFirstChunk << place.chunk]);
    if (!chunk || at >= static_cast<size_t>(Trace::kMostEvents)) {
      dropped.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    chunk[place.at] = event;
    size.store(at + 1, std::memory_order_release);
  }
};

struct Lanes {
  std::mutex mutex;
  std::vector<std::shared_ptr<Lane>> all;
  int64_t begin = 0;
  // Never destroyed: threads may end behind everything else of the process.
  static Lanes& The() {
    static Lanes& lanes = *new Lanes;
    return lanes;
  }
};

thread_local std::string name_of_thread;
thread_local std::shared_ptr<Lane> lane_of_thread;

// The lane of a thread that ended is needed until the trace is read.
void DropEnded(Lanes& lanes) {
  std::erase_if(lanes.all, [](const std::shared_ptr<Lane>& lane) { return lane.use_count() == 1; });
}

Lane& LaneOfThread() {
  if (lane_of_thread) return *lane_of_thread;
  auto lane = std::make_shared<Lane>();
  lane->name = name_of_thread.empty() ? "a thread" : name_of_thread;
  Lanes& lanes = Lanes::The();
  const std::lock_guard lock(lanes.mutex);
  lanes.all.push_back(lane);
  lane_of_thread = std::move(lane);
  return *lane_of_thread;
}

// A thread that ends and one that begins later with its name are one line of the picture.
void Join(std::vector<TracedThread>& threads, TracedThread&& thread) {
  for (TracedThread& other : threads) {
    if (other.name != thread.name) continue;
    int64_t end = 0;
    for (const TraceEvent& e : other.events) end = std::max(end, e.end);
    if (!other.events.empty() && !thread.events.empty() && end > thread.events[0].begin) continue;
    other.events.insert(other.events.end(), thread.events.begin(), thread.events.end());
    other.dropped += thread.dropped;
    return;
  }
  threads.push_back(std::move(thread));
}

}  // namespace

std::atomic<int> Trace::level_{0};

void Trace::NameThread(const char* name, int number) {
  name_of_thread = name;
  if (number >= 0) name_of_thread += " " + std::to_string(number);
  if (!lane_of_thread) return;
  const std::lock_guard lock(Lanes::The().mutex);
  lane_of_thread->name = name_of_thread;
}

void Trace::Add(const char* name, int64_t number, int64_t begin, int64_t end) {
  const uint64_t now = generation.load(std::memory_order_acquire);
  if (now % 2 == 0) return;
  try {
    LaneOfThread().Add({name, number, begin, end}, now);
  } catch (const std::exception&) {  // no memory for a lane: this thread is not in the trace
  }
}

bool Trace::Begin(const char* name_of_this_thread) {
  Lanes& lanes = Lanes::The();
  if (name_of_thread.empty() && generation.load() % 2 == 0) NameThread(name_of_this_thread);
  LaneOfThread();
  const std::lock_guard lock(lanes.mutex);
  if (generation.load() % 2 == 1) return false;
  DropEnded(lanes);
  lanes.begin = Now();
  generation.fetch_add(1);
  level_.store(1);
  return true;
}

void Trace::Cancel() noexcept {
  level_.store(0);
  if (generation.load() % 2 == 1) generation.fetch_add(1);
}

std::vector<TracedThread> Trace::End() {
  Lanes& lanes = Lanes::The();
  const std::lock_guard lock(lanes.mutex);
  level_.store(0);
  const uint64_t now = generation.load();
  std::vector<TracedThread> read;
  std::ptrdiff_t own = 0;  // 1: this thread stands first
  for (const auto& lane : lanes.all) {
    if (lane->of.load(std::memory_order_acquire) != now) continue;
    TracedThread thread{lane->name, {}, lane->dropped.load()};
    const size_t size = lane->size.load(std::memory_order_acquire);
    for (size_t i = 0; i < size; ++i) {
      const Place place = PlaceOf(i);
      TraceEvent event = lane->chunks[place.chunk][place.at];
      event.begin = std::max(event.begin, lanes.begin);
      if (event.end >= event.begin) thread.events.push_back(event);
    }
    std::stable_sort(thread.events.begin(), thread.events.end(), [](const TraceEvent& a, const TraceEvent& b) {
      return a.begin != b.begin ? a.begin < b.begin : a.end > b.end;
    });
    if (thread.events.empty() && !thread.dropped) continue;
    own += lane == lane_of_thread;
    read.insert(lane == lane_of_thread ? read.begin() : read.end(), std::move(thread));
  }
  generation.fetch_add(1);
  DropEnded(lanes);
  const auto first = [](const TracedThread& thread) {
    return thread.events.empty() ? std::numeric_limits<int64_t>::max() : thread.events[0].begin;
  };
  std::stable_sort(read.begin() + own, read.end(),
                   [&](const TracedThread& a, const TracedThread& b) { return first(a) < first(b); });
  std::vector<TracedThread> threads;
  for (TracedThread& thread : read) Join(threads, std::move(thread));
  return threads;
}

}  // namespace ingot
