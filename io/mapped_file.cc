// SPDX-License-Identifier: MIT
#include "ingot/io/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "ingot/core/error.h"

namespace ingot {

std::shared_ptr<const MappedFile> MappedFile::Open(const std::string& path) {
  const std::shared_ptr<MappedFile> file(new MappedFile);
  file->path_ = path;
  // Without O_NONBLOCK, opening a pipe waits for somebody to write into it.
  file->fd_ = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file->fd_ < 0) Fail(path, ": cannot be opened: ", std::strerror(errno));
  struct stat status;
  if (fstat(file->fd_, &status) != 0) Fail(path, ": its size cannot be asked for: ", std::strerror(errno));
  if (S_ISDIR(status.st_mode)) Fail(path, ": is a folder, a file was expected");
  if (!S_ISREG(status.st_mode)) Fail(path, ": is not a regular file, so it cannot be mapped; copy it into one");
  const auto size = static_cast<size_t>(status.st_size);
  if (size == 0) return file;  // mmap refuses to map nothing
  void* at = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file->fd_, 0);
  if (at == MAP_FAILED) Fail(path, ": its ", size, " bytes cannot be mapped: ", std::strerror(errno));
  file->bytes_ = Bytes(static_cast<const std::byte*>(at), size);
  return file;
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
  if (fd_ >= 0) close(fd_);
}

}  // namespace ingot
