// SPDX-License-Identifier: MIT
#include "ingot/core/trace.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <mutex>
#include <utility>

namespace ingot {
namespace {

constexpr size_t kChunk = 4096, kChunks = Trace::kMostEvents / kChunk;

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
    if (at == kChunk * kChunks) {
      dropped.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    auto& chunk = chunks[at / kChunk];
    if (!chunk) chunk = std::make_unique<TraceEvent[]>(kChunk);
    chunk[at % kChunk] = event;
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
}

void Trace::Add(const char* name, int64_t number, int64_t begin, int64_t end) {
  const uint64_t now = generation.load(std::memory_order_acquire);
  if (now % 2 == 1) LaneOfThread().Add({name, number, begin, end}, now);
}

bool Trace::Begin(const char* name_of_this_thread) {
  if (name_of_thread.empty()) name_of_thread = name_of_this_thread;
  LaneOfThread();
  Lanes& lanes = Lanes::The();
  const std::lock_guard lock(lanes.mutex);
  if (generation.load() % 2 == 1) return false;
  std::erase_if(lanes.all, [](const std::shared_ptr<Lane>& lane) { return lane.use_count() == 1; });  // it ended
  lanes.begin = Now();
  generation.fetch_add(1);
  level_.store(1);
  return true;
}

std::vector<TracedThread> Trace::End() {
  Lanes& lanes = Lanes::The();
  const std::lock_guard lock(lanes.mutex);
  level_.store(0);
  const uint64_t now = generation.load();
  std::vector<TracedThread> read;
  for (const auto& lane : lanes.all) {
    if (lane->of.load(std::memory_order_acquire) != now) continue;
    TracedThread thread{lane->name, {}, lane->dropped.load()};
    const size_t size = lane->size.load(std::memory_order_acquire);
    for (size_t i = 0; i < size; ++i) {
      TraceEvent event = lane->chunks[i / kChunk][i % kChunk];
      event.begin = std::max(event.begin, lanes.begin);
      if (event.end >= event.begin) thread.events.push_back(event);
    }
    std::stable_sort(thread.events.begin(), thread.events.end(), [](const TraceEvent& a, const TraceEvent& b) {
      return a.begin != b.begin ? a.begin < b.begin : a.end > b.end;
    });
    read.insert(lane == lane_of_thread ? read.begin() : read.end(), std::move(thread));
  }
  generation.fetch_add(1);
  std::stable_sort(read.begin() + (read.empty() ? 0 : 1), read.end(), [](const TracedThread& a, const TracedThread& b) {
    return !a.events.empty() && !b.events.empty() && a.events[0].begin < b.events[0].begin;
  });
  std::vector<TracedThread> threads;
  for (TracedThread& thread : read) Join(threads, std::move(thread));
  return threads;
}

}  // namespace ingot
