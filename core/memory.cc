// SPDX-License-Identifier: MIT
#include "ingot/core/memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <mutex>
#include <utility>
#include <vector>

#include "ingot/core/error.h"
#include "ingot/core/threads.h"

namespace ingot {
namespace {

// From this size on a block has pages of its own. Below, faulting fresh pages in would cost more than it saves.
constexpr size_t kMapFrom = size_t{4} << 20;

size_t PhysicalMemory() {
  return static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

#if defined(__has_feature)
#define INGOT_HAS_FEATURE(x) __has_feature(x)
#else
#define INGOT_HAS_FEATURE(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || INGOT_HAS_FEATURE(address_sanitizer)  // GCC's way to say it, and clang's
constexpr size_t kMaxSpare = 0;                                            // so that a use after the end is seen
#else
constexpr size_t kMaxSpare = size_t{16} << 20;
#endif

// Small blocks that ended, kept for the next of the same size: a program that makes models in a loop would else give
// the same pages back and fault them in again, each time. At most kMaxSpare bytes; the oldest make room. Threads: any.
class Spares {
 public:
  void* Take(size_t size) {
    const std::lock_guard lock(mutex_);
    const auto found = std::find_if(blocks_.begin(), blocks_.end(), [&](const Spare& s) { return s.size == size; });
    if (found == blocks_.end()) return nullptr;
    void* heap = found->heap;
    blocks_.erase(found);
    bytes_ -= size;
    return heap;
  }
  void Give(void* heap, size_t size) {
    const std::lock_guard lock(mutex_);
    blocks_.push_back({heap, size});
    for (bytes_ += size; bytes_ > kMaxSpare || blocks_.size() > kMaxCount; blocks_.erase(blocks_.begin())) {
      std::free(blocks_.front().heap);
      bytes_ -= blocks_.front().size;
    }
  }

 private:
  static constexpr size_t kMaxCount = 64;
  struct Spare {
    void* heap;
    size_t size;
  };
  std::mutex mutex_;
  std::vector<Spare> blocks_;  // the oldest first
  size_t bytes_ = 0;
};

// Never destroyed: models may end after everything else of the process.
Spares& TheSpares() {
  static Spares& spares = *new Spares;
  return spares;
}

}  // namespace

Block::Block(size_t bytes, const std::string& purpose) {
  if (bytes == 0) return;
  const size_t size = AlignUp(bytes);
  const auto too_big = [&] {
    Fail("not enough memory for the ", purpose, ": ", HumanBytes(bytes), " asked, this machine has ",
         HumanBytes(PhysicalMemory()), "; use a smaller model or batch");
  };
  if (size < bytes || size > PhysicalMemory()) too_big();
  if (size >= kMapFrom) {
    void* p = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) too_big();
    madvise(p, size, MADV_HUGEPAGE);
    data_ = static_cast<std::byte*>(p);
  } else {
    heap_ = TheSpares().Take(size);
    const bool used = heap_ != nullptr;
    // Aligned here and not by aligned_alloc, which (in glibc before 2.39) does not take back what it gave before.
    if (!used) heap_ = std::calloc(1, size + kAlignment);
    if (!heap_) too_big();
    data_ = reinterpret_cast<std::byte*>(AlignUp(reinterpret_cast<uintptr_t>(heap_)));
    if (used) std::memset(data_, 0, size);
  }
  size_ = size;
}

Block Block::View(std::byte* data, size_t bytes, std::shared_ptr<const void> owner, Pages pages) {
  Block block;
  if (bytes == 0) return block;
  block.data_ = data;
  block.size_ = bytes;
  block.owner_ = std::move(owner);
  block.pages_ = pages;
  return block;
}

Block::~Block() {
  if (heap_)
    TheSpares().Give(heap_, size_);
  else if (data_ && !owner_)
    munmap(data_, size_);
}

Block::Block(Block&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      heap_(std::exchange(other.heap_, nullptr)),
      owner_(std::move(other.owner_)),
      pages_(std::exchange(other.pages_, Pages::kOwn)) {}

Block& Block::operator=(Block&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(heap_, other.heap_);
  std::swap(owner_, other.owner_);
  std::swap(pages_, other.pages_);
  return *this;
}

void CopyAll(const std::vector<Copy>& copies) {
  constexpr size_t kTile = size_t{1} << 20;
  struct Tile {
    std::byte* to;
    const std::byte* from;
    size_t bytes;
  };
  std::vector<Tile> tiles;
  for (const Copy& copy : copies)
    for (size_t at = 0; at < copy.bytes; at += kTile)
      tiles.push_back({static_cast<std::byte*>(copy.to) + at, static_cast<const std::byte*>(copy.from) + at,
                       std::min(kTile, copy.bytes - at)});
  ThreadPool::Default().For(static_cast<int64_t>(tiles.size()), [&](int64_t i) {
    const Tile& tile = tiles[static_cast<size_t>(i)];
    std::memcpy(tile.to, tile.from, tile.bytes);
  });
}

ProcessMemory MemoryOfProcess() {
  std::ifstream in("/proc/self/statm");
  uint64_t total = 0, resident = 0, shared = 0;
  in >> total >> resident >> shared;
  const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  return {resident * page, shared * page};
}

std::string HumanBytes(uint64_t bytes) {
  const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < sizeof units / sizeof *units) value /= 1024, ++unit;
  char text[32];
  std::snprintf(text, sizeof text, unit ? "%.2f %s" : "%.0f %s", value, units[unit]);
  return text;
}

}  // namespace ingot
