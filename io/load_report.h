// SPDX-License-Identifier: MIT
//
// Ways to load a file, and what each phase of loading costs: where the milliseconds and the memory go.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace ingot {

enum class LoadMode : uint8_t {
  // Copy-on-write: weights are the file's pages, brought in when touched; loading costs the same for any size. Before
  // they are trained they move into memory of their own, on all threads and by large pages, which costs as much as
  // reading them (copying page after page as they are written would cost ten times that).
  kMap,
  // Read-only: as kMap, but what would change weights is an Error. Any number of processes use one copy in memory.
  kShare,
  // Eager: all of the file is read now, on all threads. For files that may be cut or overwritten while they are used,
  // on network file systems, or where the first prediction must not wait.
  kRead,
};
const char* Name(LoadMode mode);                  // "map", "share", "read"
LoadMode LoadModeNamed(const std::string& name);  // Error that lists them

struct LoadReport {
  struct Phase {
    std::string name;
    double ms = 0;
    uint64_t bytes = 0;        // that it mapped, read or copied
    int64_t minor_faults = 0;  // pages that were in memory and had to be entered
    int64_t major_faults = 0;  // pages that had to be waited for
    uint64_t disk_bytes = 0;   // read from the disk for it: what a warm page cache saves
    double resident_mb = 0;    // behind it, of this process; a file's pages count with all who map them
    double private_mb = 0;     // behind it, in no file
  };
  std::vector<Phase> phases;

  double ms() const;         // all of them
  std::string str() const;   // a table
  std::string json() const;  // one line
};

// What happens while it lives is a phase of the report, or part of one that has that name. Nothing if there is none.
class PhaseTimer {
 public:
  PhaseTimer(LoadReport* report, const char* name);
  ~PhaseTimer();
  PhaseTimer(const PhaseTimer&) = delete;
  PhaseTimer& operator=(const PhaseTimer&) = delete;
  void AddBytes(uint64_t bytes) { bytes_ += bytes; }

 private:
  LoadReport* report_;
  const char* name_;
  uint64_t bytes_ = 0, disk_bytes_ = 0;
  int64_t minor_faults_ = 0, major_faults_ = 0;
  std::chrono::steady_clock::time_point begin_;
};

}  // namespace ingot
