// SPDX-License-Identifier: MIT
#include "ingot/core/memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "ingot/core/error.h"

namespace ingot {
namespace {

// From this size on a block has pages of its own. Below, faulting fresh pages in would cost more than it saves.
constexpr size_t kMapFrom = size_t{4} << 20;

size_t PhysicalMemory() {
  return static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(sysconf(_SC_PAGESIZE));
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
    mapped_ = true;
  } else {
    data_ = static_cast<std::byte*>(std::aligned_alloc(kAlignment, size));
    if (!data_) too_big();
    std::memset(data_, 0, size);
  }
  size_ = size;
}

Block Block::Map(int fd, uint64_t offset, size_t bytes, const std::string& path) {
  Block block;
  if (bytes == 0) return block;
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, static_cast<off_t>(offset));
  if (p == MAP_FAILED)
    Fail(path, ": ", HumanBytes(bytes), " at offset ", offset, " cannot be mapped: ", std::strerror(errno));
  block.data_ = static_cast<std::byte*>(p);
  block.size_ = bytes;
  block.mapped_ = true;
  return block;
}

Block::~Block() {
  if (mapped_)
    munmap(data_, size_);
  else
    std::free(data_);
}

Block::Block(Block&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      mapped_(std::exchange(other.mapped_, false)) {}

Block& Block::operator=(Block&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(mapped_, other.mapped_);
  return *this;
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
