// SPDX-License-Identifier: MIT
//
// A block of host memory, aligned for every kernel (256 bytes) and zeroed. Large blocks come from the system by
// mmap, with huge pages asked for; small ones from the allocator, which reuses pages that are already there.
// A request beyond the memory of this machine is an Error that says both sizes, not a kill later on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace ingot {

inline constexpr size_t kAlignment = 256;  // bytes; of each tensor in an arena too

inline constexpr size_t kPage = 4096;

inline size_t AlignUp(size_t bytes) { return (bytes + kAlignment - 1) & ~(kAlignment - 1); }

enum class Pages : uint8_t {
  kOwn,
  kMapped,    // of a file: brought in when touched, copied one by one when written to
  kReadOnly,  // of a file, and may not be written to
};

class Block {
 public:
  Block() = default;
  // `purpose` stands in the error where memory is short: "weights of 'model'".
  Block(size_t bytes, const std::string& purpose);
  // Memory of another, which `owner` keeps alive.
  static Block View(std::byte* data, size_t bytes, std::shared_ptr<const void> owner, Pages pages);
  ~Block();
  Block(Block&& other) noexcept;
  Block& operator=(Block&& other) noexcept;

  std::byte* data() const { return data_; }
  size_t size() const { return size_; }
  Pages pages() const { return pages_; }

 private:
  std::byte* data_ = nullptr;
  size_t size_ = 0;
  void* heap_ = nullptr;  // what the allocator gave; null where the block has pages of its own
  std::shared_ptr<const void> owner_;
  Pages pages_ = Pages::kOwn;
};

struct Copy {
  void* to;
  const void* from;
  size_t bytes;
};
// All of them, on all threads.
void CopyAll(const std::vector<Copy>& copies);

// What this process holds of memory, in bytes; zeros where the system does not say.
struct ProcessMemory {
  uint64_t resident = 0;
  uint64_t shared = 0;  // of that, pages of files, which count with all who map them
};
ProcessMemory MemoryOfProcess();

std::string HumanBytes(uint64_t bytes);  // "1.5 GiB"

}  // namespace ingot
