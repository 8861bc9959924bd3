// SPDX-License-Identifier: MIT
#include "ingot/io/atomic_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <vector>

#include "ingot/core/error.h"

namespace ingot {
namespace {

namespace fs = std::filesystem;

constexpr useconds_t kWait = 2000;  // microseconds
constexpr int kMostWaits = 30000;
// As soon as this much has come, the disk is told to begin: else it idles until all is written, and Commit waits for
// it.
constexpr uint64_t kWriteOut = uint64_t{8} << 20;
constexpr size_t kDirectUnit = 4096, kDirectFrom = size_t{1} << 20;

std::string FolderOf(const std::string& path) {
  const fs::path parent = fs::path(path).parent_path();
  return parent.empty() ? "." : parent.string();
}

}  // namespace

void MakeFolderOf(const std::string& path) {
  std::error_code error;
  fs::create_directories(FolderOf(path), error);
  if (error) Fail(path, ": its folder cannot be made: ", error.message());
}

// The name of the temporary is fixed, so that what a killed writer left behind is taken over by the next save, and it
// is locked while it is written: of two savers of one file the second waits. A lock ends with its process.
AtomicFile::AtomicFile(const std::string& target, uint64_t about)
    : target_(target), watched_("writing", target, about) {
  if (target.empty()) Fail("a file cannot be saved: its path is empty; name a file");
  std::error_code error;
  if (fs::is_directory(target, error)) Fail(target, ": cannot be saved to: it is a folder");
  // A link is followed, so that the file it names is replaced and not the link.
  if (fs::is_symlink(target, error)) {
    target_ = fs::weakly_canonical(target, error).string();
    if (error || target_.empty()) Fail(target, ": cannot be saved to: the link leads nowhere");
  }
  struct stat old;
  const bool exists = stat(target_.c_str(), &old) == 0;
  if (exists && !S_ISREG(old.st_mode)) Fail(target, ": cannot be saved to: it is a device or a pipe, not a file");
  temporary_ = target_ + ".part";
  const auto failed = [&](const char* what) {
    const std::string why = std::strerror(errno);
    if (fd_ >= 0) close(fd_);
    Fail(target_, ": ", what, " '", temporary_, "' failed: ", why);
  };
  for (;;) {
    fd_ = open(temporary_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
    if (fd_ < 0) failed("writing");
    for (int tries = 0; flock(fd_, LOCK_EX | LOCK_NB) != 0; ++tries) {
      if (errno != EINTR && errno != EWOULDBLOCK) failed("locking");
      if (tries == kMostWaits) failed("locking (another process has been saving to it for a minute)");
      usleep(kWait);
    }
    struct stat mine, there;
    if (fstat(fd_, &mine) != 0) failed("looking at");
    if (!S_ISREG(mine.st_mode)) errno = EINVAL, failed("writing (it is not a file)");
    if (stat(temporary_.c_str(), &there) == 0 && there.st_ino == mine.st_ino && there.st_dev == mine.st_dev) break;
    close(fd_);  // the saver before this one has renamed what was opened here
  }
  if (ftruncate(fd_, 0) != 0) failed("emptying");
  if (exists && fchmod(fd_, old.st_mode & 07777) != 0) {
    // Keeping the mode bits is a courtesy; on file systems without them there is nothing to keep.
  }
}

AtomicFile::~AtomicFile() {
  if (fd_ < 0) return;
  unlink(temporary_.c_str());  // before the lock ends
  close(fd_);
}

bool AtomicFile::SetDirect(bool on) {
  const int flags = fcntl(fd_, F_GETFL);
  if (flags < 0 || fcntl(fd_, F_SETFL, on ? flags | O_DIRECT : flags & ~O_DIRECT) != 0) return false;
  direct_ = on;
  return true;
}

// Through the page cache each byte is copied once more, into pages that must be found for it.
void AtomicFile::Write(const void* data, size_t bytes) {
  const char* p = static_cast<const char*>(data);
  const size_t whole = bytes / kDirectUnit * kDirectUnit;
  const bool fits = size_ % kDirectUnit == 0 && reinterpret_cast<uintptr_t>(p) % kDirectUnit == 0;
  if (may_be_direct_ && fits && whole >= kDirectFrom && (may_be_direct_ = SetDirect(true))) {
    WriteAll(p, whole);
    p += whole, bytes -= whole;
    if (direct_) SetDirect(false);
  }
  WriteAll(p, bytes);
}

void AtomicFile::WriteAll(const char* p, size_t bytes) {
  while (bytes) {
    const ssize_t n = write(fd_, p, std::min<size_t>(bytes, kWriteOut));
    if (n < 0 && errno == EINTR) continue;
    // A file system that takes the flag and not the write, or a write that ended within a page.
    if (direct_ && ((n < 0 && errno == EINVAL) || (n > 0 && n % static_cast<ssize_t>(kDirectUnit)))) {
      const int error = errno;
      may_be_direct_ = false;
      if (SetDirect(false) && n < 0) continue;
      errno = error;
    }
    if (n <= 0)
      Fail(temporary_, ": writing stopped after ", size_, " bytes: ", n ? std::strerror(errno) : "nothing was taken",
           "; '", target_, "' is as it was");
    p += n;
    bytes -= static_cast<size_t>(n);
    size_ += static_cast<uint64_t>(n);
    watched_.Add(static_cast<uint64_t>(n));
    if (!direct_ && size_ - begun_ >= kWriteOut) {
      // Nothing is waited for or promised here, and no error is lost: fsync says it.
      sync_file_range(fd_, static_cast<off_t>(begun_), static_cast<off_t>(size_ - begun_), SYNC_FILE_RANGE_WRITE);
      begun_ = size_;
    }
  }
}

void AtomicFile::PadTo(uint64_t offset) {
  static constexpr char kZeros[4096] = {};
  while (size_ < offset) Write(kZeros, static_cast<size_t>(std::min<uint64_t>(sizeof kZeros, offset - size_)));
}

void AtomicFile::Commit() {
  const auto failed = [&](const char* what) {
    const std::string why = std::strerror(errno);
    Fail(target_, ": ", what, " failed: ", why, "; it is as it was");
  };
  if (fsync(fd_) != 0) failed("syncing");
  if (rename(temporary_.c_str(), target_.c_str()) != 0) failed("renaming");
  close(fd_);
  fd_ = -1;
  const int folder = open(FolderOf(target_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return;  // the file is there; only a power cut now could bring the old one back
  const bool synced =
      fsync(folder) == 0 || errno == EINVAL || errno == ENOTSUP;  // some file systems have no such thing
  const std::string why = std::strerror(errno);
  close(folder);
  if (!synced)
    Fail(target_, ": is written, but syncing its folder failed: ", why, "; after a power cut the old file may be back");
}

}  // namespace ingot
