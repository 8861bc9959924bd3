// SPDX-License-Identifier: MIT
//
// A block of host memory, aligned for every kernel (256 bytes) and zeroed. Large blocks come from the system by
// mmap, with huge pages asked for; small ones from the allocator, which reuses pages that are already there.
// A request beyond the memory of this machine is an Error that says both sizes, not a kill later on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace ingot {

inline constexpr size_t kAlignment = 256;  // bytes; of each tensor in an arena too

inline constexpr size_t kPage = 4096;

inline size_t AlignUp(size_t bytes) { return (bytes + kAlignment - 1) & ~(kAlignment - 1); }

class Block {
 public:
  Block() = default;
  // `purpose` stands in the error where memory is short: "weights of 'model'".
  Block(size_t bytes, const std::string& purpose);
  // `bytes` of an open file from `offset` (a multiple of the page) on, copy-on-write: reading takes the file's pages,
  // writing changes this block alone. `path` stands in errors.
  static Block Map(int fd, uint64_t offset, size_t bytes, const std::string& path);
  ~Block();
  Block(Block&& other) noexcept;
  Block& operator=(Block&& other) noexcept;

  std::byte* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  std::byte* data_ = nullptr;
  size_t size_ = 0;
  void* heap_ = nullptr;  // what the allocator gave; null where the block has pages of its own
};

std::string HumanBytes(uint64_t bytes);  // "1.5 GiB"

}  // namespace ingot
