// SPDX-License-Identifier: MIT
//
// A file that replaces another whole or not at all: written beside it under another name, synced, renamed over it, and
// the folder synced. At every instant the target is the old file or the new one. Without Commit nothing changes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "ingot/core/progress.h"
#include "ingot/io/stored.h"

namespace ingot {

void MakeFolderOf(const std::string& path);  // and those it lies in; nothing where it is there

class AtomicFile {
 public:
  // `about` how many bytes it will have, for whoever watches; 0 is not known.
  explicit AtomicFile(const std::string& target, uint64_t about = 0);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  // All of it; Error says how far it came and why. What is large and lies at whole pages, in memory and in the file,
  // goes to the disk as it lies; all else by way of the page cache.
  void Write(const void* data, size_t bytes);
  Sink sink() {
    return [this](const void* data, size_t bytes) { Write(data, bytes); };
  }
  void PadTo(uint64_t offset);  // zeros
  uint64_t size() const { return size_; }
  void Commit();

 private:
  void WriteAll(const char* data, size_t bytes);
  bool SetDirect(bool on);  // whether the system does that

  std::string target_, temporary_;
  bool may_be_direct_ = true, direct_ = false;
  int fd_ = -1;
  uint64_t size_ = 0, begun_ = 0;  // written; and as far as the disk was told
  Watched watched_;
};

}  // namespace ingot
