// SPDX-License-Identifier: MIT
//
// A file that replaces another whole or not at all: written beside it under another name, synced, renamed over it, and
// the folder synced. At every instant the target is the old file or the new one. Without Commit nothing changes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "ingot/io/stored.h"

namespace ingot {

void MakeFolderOf(const std::string& path);  // and those it lies in; nothing where it is there

class AtomicFile {
 public:
  explicit AtomicFile(const std::string& target);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void Write(const void* data, size_t bytes);  // all of it; Error says how far it came and why
  Sink sink() {
    return [this](const void* data, size_t bytes) { Write(data, bytes); };
  }
  void PadTo(uint64_t offset);  // zeros
  uint64_t size() const { return size_; }
  void Commit();

 private:
  std::string target_, temporary_;
  int fd_ = -1;
  uint64_t size_ = 0, begun_ = 0;  // written; and as far as the disk was told
};

}  // namespace ingot
