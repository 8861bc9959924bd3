// SPDX-License-Identifier: MIT
#include "ingot/io/load_report.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "ingot/core/error.h"
#include "ingot/core/memory.h"

namespace ingot {
namespace {

constexpr const char* kModes[] = {"map", "share", "read"};

// Bytes that the disk gave for this process; 0 where the system does not say.
uint64_t DiskBytes() {
  std::ifstream in("/proc/self/io");
  std::string key;
  uint64_t value = 0;
  while (in >> key >> value)
    if (key == "read_bytes:") return value;
  return 0;
}

}  // namespace

const char* Name(LoadMode mode) { return kModes[static_cast<size_t>(mode)]; }

LoadMode LoadModeNamed(const std::string& name) {
  for (size_t i = 0; i < std::size(kModes); ++i)
    if (name == kModes[i]) return static_cast<LoadMode>(i);
  Fail("there is no way to load called '", name, "'; there are map, share and read");
}

double LoadReport::ms() const {
  double sum = 0;
  for (const Phase& phase : phases) sum += phase.ms;
  return sum;
}

std::string LoadReport::str() const {
  std::string text;
  char line[160];
  std::snprintf(line, sizeof line, "%-22s %10s %11s %9s %7s %11s %12s %12s\n", "phase", "ms", "bytes", "minor", "major",
                "from disk", "resident", "private");
  text += line;
  const auto row = [&](const char* name, const Phase& p, bool memory) {
    std::snprintf(line, sizeof line, "%-22s %10.3f %11s %9lld %7lld %11s", name, p.ms, HumanBytes(p.bytes).c_str(),
                  static_cast<long long>(p.minor_faults), static_cast<long long>(p.major_faults),
                  HumanBytes(p.disk_bytes).c_str());
    text += line;
    if (memory) {
      std::snprintf(line, sizeof line, " %9.1f MB %9.1f MB", p.resident_mb, p.private_mb);
      text += line;
    }
    text += "\n";
  };
  Phase all;
  for (const Phase& p : phases) {
    row(p.name.c_str(), p, true);
    all.ms += p.ms, all.bytes += p.bytes, all.minor_faults += p.minor_faults, all.major_faults += p.major_faults;
    all.disk_bytes += p.disk_bytes;
  }
  row("together", all, false);
  return text;
}

std::string LoadReport::json() const {
  nlohmann::json list = nlohmann::json::array();
  for (const Phase& p : phases)
    list.push_back({{"phase", p.name},
                    {"ms", p.ms},
                    {"bytes", p.bytes},
                    {"minor_faults", p.minor_faults},
                    {"major_faults", p.major_faults},
                    {"disk_bytes", p.disk_bytes},
                    {"resident_mb", p.resident_mb},
                    {"private_mb", p.private_mb}});
  return nlohmann::json{{"ms", ms()}, {"phases", list}}.dump();
}

PhaseTimer::PhaseTimer(LoadReport* report, const char* name) : report_(report), name_(name) {
  if (!report_) return;
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  minor_faults_ = usage.ru_minflt, major_faults_ = usage.ru_majflt;
  disk_bytes_ = DiskBytes();
  begin_ = std::chrono::steady_clock::now();
}

PhaseTimer::~PhaseTimer() {
  if (!report_) return;
  const double ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin_).count();
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  auto found =
      std::find_if(report_->phases.begin(), report_->phases.end(), [&](const auto& p) { return p.name == name_; });
  if (found == report_->phases.end()) {
    report_->phases.push_back({});
    found = report_->phases.end() - 1;
    found->name = name_;
  }
  found->ms += ms;
  found->bytes += bytes_;
  found->minor_faults += usage.ru_minflt - minor_faults_;
  found->major_faults += usage.ru_majflt - major_faults_;
  found->disk_bytes += DiskBytes() - disk_bytes_;
  const ProcessMemory memory = MemoryOfProcess();
  found->resident_mb = static_cast<double>(memory.resident) / 1048576;
  found->private_mb = static_cast<double>(memory.resident - memory.shared) / 1048576;
}

}  // namespace ingot
