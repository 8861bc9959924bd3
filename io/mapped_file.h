// SPDX-License-Identifier: MIT
//
// A whole file, mapped read-only: readers of every format look at it as bytes. Nothing is read until it is touched.
//
// If another process cuts the file while it is mapped, touching what is gone raises SIGBUS: replace files by renaming
// (as every save here does), never by writing into them.
#pragma once

#include <memory>
#include <string>

#include "ingot/io/stored.h"

namespace ingot {

class MappedFile {
 public:
  // Error if it cannot be opened or is not a regular file.
  static std::shared_ptr<const MappedFile> Open(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::string& path() const { return path_; }
  Bytes bytes() const { return bytes_; }
  int fd() const { return fd_; }  // open as long as this is: for mapping parts of it otherwise, for reading, for advice

 private:
  MappedFile() = default;
  std::string path_;
  Bytes bytes_;
  int fd_ = -1;
};

}  // namespace ingot
