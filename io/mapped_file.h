// SPDX-License-Identifier: MIT
//
// A whole file as bytes, which readers of every format look at, and which a model's weights may lie in.
//
// Mapped, nothing is read until it is touched. If another process cuts the file meanwhile, touching what is gone
// raises SIGBUS, and what it writes into the file shows: replace files by renaming (as every save here does), never by
// writing into them. What is used later is checked against that by CheckUnchanged. LoadMode::kRead is free of it.
#pragma once

#include <sys/stat.h>

#include <memory>
#include <string>

#include "ingot/core/memory.h"
#include "ingot/io/load_report.h"
#include "ingot/io/stored.h"

namespace ingot {

class MappedFile {
 public:
  // Error if it cannot be opened or is not a regular file.
  static std::shared_ptr<const MappedFile> Open(const std::string& path, LoadMode mode = LoadMode::kShare,
                                                LoadReport* report = nullptr);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::string& path() const { return path_; }
  Bytes bytes() const { return bytes_; }
  int fd() const { return fd_; }  // open as long as this is
  LoadMode mode() const { return mode_; }
  // Error if the file was written to, cut or appended to since it was opened, as far as its size and time tell.
  void CheckUnchanged() const;

 private:
  MappedFile() = default;
  std::string path_;
  LoadMode mode_ = LoadMode::kShare;
  Bytes bytes_;
  int fd_ = -1;
  struct stat status_ {};
  Block read_;  // the bytes, where they were read
};

// A part of the file as the memory of a model: written to, it changes alone, unless the file is shared.
Block BlockOf(const std::shared_ptr<const MappedFile>& file, Bytes part);

}  // namespace ingot
