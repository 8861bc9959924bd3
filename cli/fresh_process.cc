// SPDX-License-Identifier: MIT
#include "ingot/cli/fresh_process.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <vector>

#include "ingot/core/cgroup.h"
#include "ingot/core/error.h"
#include "ingot/core/memory.h"

namespace ingot {
namespace {

void WriteAll(int fd, const std::string& text) {
  for (size_t at = 0; at < text.size();) {
    const ssize_t n = write(fd, text.data() + at, text.size() - at);
    if (n > 0)
      at += static_cast<size_t>(n);
    else if (errno != EINTR)
      return;  // nobody listens
  }
}

std::string ReadToEnd(int fd) {
  std::string text;
  char buffer[4096];
  for (;;) {
    const ssize_t n = read(fd, buffer, sizeof buffer);
    if (n > 0)
      text.append(buffer, static_cast<size_t>(n));
    else if (n == 0 || errno != EINTR)
      return text;
  }
}

}  // namespace

nlohmann::json InFreshProcess(const std::function<nlohmann::json()>& f) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) Fail("a pipe to a child process cannot be made: ", std::strerror(errno));
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child < 0) Fail("a child process cannot be started: ", std::strerror(errno));
  if (child == 0) {
    close(ends[0]);
    nlohmann::json answer;
    try {
      answer["result"] = f();
    } catch (const std::exception& e) {
      answer["error"] = e.what();
    }
    WriteAll(ends[1], answer.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
    std::fflush(nullptr);
    _exit(0);
  }
  close(ends[1]);
  const std::string text = ReadToEnd(ends[0]);
  close(ends[0]);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  const auto answer = nlohmann::json::parse(text, nullptr, false);
  if (answer.is_discarded() || !answer.is_object())
    Fail("a child process ended ", WIFSIGNALED(status) ? "by signal " : "with status ",
         WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), " and said nothing");
  if (answer.contains("error")) Fail(answer["error"].get<std::string>());
  return answer["result"];
}

void BringIntoPageCache(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) Fail(path, ": cannot be opened: ", std::strerror(errno));
  std::vector<char> piece(size_t{1} << 20);
  ssize_t n = 1;
  while (n > 0 || (n < 0 && errno == EINTR)) n = read(fd, piece.data(), piece.size());
  const int failed = n < 0 ? errno : 0;
  close(fd);
  if (failed) Fail(path, ": cannot be read: ", std::strerror(failed));
}

void DropFromPageCache(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) Fail(path, ": cannot be opened: ", std::strerror(errno));
  fdatasync(fd);  // what is not written yet stays
  const int failed = posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  close(fd);
  if (failed) Fail(path, ": cannot be dropped from memory: ", std::strerror(failed));
}

void WarmMemoryFor(const std::string& path) {
  std::ifstream in("/proc/meminfo");
  std::string word;
  uint64_t free_kb = 0;
  while (in >> word && word != "MemFree:") {
  }
  in >> free_kb;
  std::error_code none;  // whoever loads it says what is wrong with it
  const uint64_t size = std::filesystem::file_size(path, none);
  if (none) return;
  const uint64_t room = std::min(free_kb * 1000, RoomInCgroup());
  const Block memory(std::min<uint64_t>(room / 10 * 9, 4 * size), "warming of memory");
  for (size_t at = 0; at < memory.size(); at += kPage) memory.data()[at] = std::byte{1};
}

}  // namespace ingot
