// SPDX-License-Identifier: MIT
#include "ingot/io/text_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "ingot/core/error.h"

namespace ingot {

std::string ReadTextFile(const std::string& path, const std::string& expected, size_t most) {
  // Opening a pipe does not wait for whoever writes into it.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) Fail(path, ": cannot be opened: ", std::strerror(errno), "; ", expected, " was expected");
  struct Closed {
    int fd;
    ~Closed() { close(fd); }
  } const closed{fd};
  struct stat status;
  if (fstat(fd, &status) != 0) Fail(path, ": cannot be read: ", std::strerror(errno));
  if (!S_ISREG(status.st_mode))
    Fail(path, ": is a folder, a device or a pipe, not a regular file; ", expected, " was expected");
  std::string text;
  char buffer[1 << 16];
  for (ssize_t n = 1; n != 0;) {
    n = read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) Fail(path, ": cannot be read behind its first ", text.size(), " bytes: ", std::strerror(errno));
    text.append(buffer, static_cast<size_t>(n));
    if (text.size() > most) Fail(path, ": is larger than ", most >> 20, " MiB; ", expected, " was expected");
  }
  return text;
}

}  // namespace ingot
