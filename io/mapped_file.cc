// SPDX-License-Identifier: MIT
#include "ingot/io/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "ingot/core/error.h"
#include "ingot/core/progress.h"
#include "ingot/core/threads.h"

namespace ingot {
namespace {

// All of the file, cut into pieces that threads take as they are free.
void ReadAll(int fd, const Block& into, size_t size, const std::string& path) {
  constexpr size_t kPiece = size_t{1} << 20;
  std::atomic<int> failed{0};  // errno; -1: the file ended
  Watched task("reading", path, size);
  ThreadPool::Default().For(static_cast<int64_t>((size + kPiece - 1) / kPiece), [&](int64_t piece) {
    size_t at = static_cast<size_t>(piece) * kPiece;
    const size_t end = std::min(size, at + kPiece);
    while (at < end && failed.load(std::memory_order_relaxed) == 0) {
      const ssize_t got = pread(fd, into.data() + at, end - at, static_cast<off_t>(at));
      if (got > 0)
        at += static_cast<size_t>(got);
      else if (got == 0)
        failed = -1;
      else if (errno != EINTR)
        failed = errno;
    }
    task.Add(at - static_cast<size_t>(piece) * kPiece);
  });
  if (failed == -1) Fail(path, ": became shorter while it was read");
  if (failed) Fail(path, ": cannot be read: ", std::strerror(failed));
}

}  // namespace

std::shared_ptr<const MappedFile> MappedFile::Open(const std::string& path, LoadMode mode, LoadReport* report) {
  if (path.empty()) Fail("the path of a file to read is empty; its name was expected");
  if (path.find('\0') != std::string::npos)
    Fail("'", path.c_str(), "', the path of a file to read, goes on behind a NUL byte, which no path may hold");
  const std::shared_ptr<MappedFile> file(new MappedFile);
  file->path_ = path;
  file->mode_ = mode;
  struct stat& status = file->status_;
  {
    const PhaseTimer phase(report, "open");
    // Without O_NONBLOCK, opening a pipe waits for somebody to write into it.
    file->fd_ = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file->fd_ < 0) Fail(path, ": cannot be opened: ", std::strerror(errno));
    if (fstat(file->fd_, &status) != 0) Fail(path, ": its size cannot be asked for: ", std::strerror(errno));
    if (S_ISDIR(status.st_mode)) Fail(path, ": is a folder, a file was expected");
    if (!S_ISREG(status.st_mode)) Fail(path, ": is not a regular file, so it cannot be mapped; copy it into one");
  }
  const auto size = static_cast<size_t>(status.st_size);
  PhaseTimer phase(report, mode == LoadMode::kRead ? "read" : "map");
  phase.AddBytes(size);
  if (size == 0) return file;  // mmap refuses to map nothing
  if (mode == LoadMode::kRead) {
    file->read_ = Block(size, "bytes of " + path);
    ReadAll(file->fd_, file->read_, size, path);
    file->bytes_ = Bytes(file->read_.data(), size);
    return file;
  }
  const int may = mode == LoadMode::kShare ? PROT_READ : PROT_READ | PROT_WRITE;
  void* at = mmap(nullptr, size, may, MAP_PRIVATE | MAP_NORESERVE, file->fd_, 0);
  if (at == MAP_FAILED) Fail(path, ": its ", size, " bytes cannot be mapped: ", std::strerror(errno));
  file->bytes_ = Bytes(static_cast<const std::byte*>(at), size);
  return file;
}

MappedFile::~MappedFile() {
  if (!bytes_.empty() && mode_ != LoadMode::kRead) munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
  if (fd_ >= 0) close(fd_);
}

void MappedFile::CheckUnchanged() const {
  struct stat now;
  if (mode_ == LoadMode::kRead || fstat(fd_, &now) != 0) return;
  if (now.st_size != status_.st_size)
    Fail(path_, ": had ", status_.st_size, " bytes when it was mapped and has ", now.st_size,
         " now; load it again, and replace such files by renaming, or load with LoadMode::kRead");
  if (now.st_mtim.tv_sec != status_.st_mtim.tv_sec || now.st_mtim.tv_nsec != status_.st_mtim.tv_nsec)
    Fail(path_, ": was written to while it was mapped; load it again, and replace such files by renaming, or load ",
         "with LoadMode::kRead");
}

Block BlockOf(const std::shared_ptr<const MappedFile>& file, Bytes part) {
  static constexpr Pages kPages[] = {Pages::kMapped, Pages::kReadOnly, Pages::kOwn};  // by mode
  return Block::View(const_cast<std::byte*>(part.data()), part.size(), file, kPages[static_cast<size_t>(file->mode())]);
}

}  // namespace ingot
