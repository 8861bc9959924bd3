// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>

namespace ingot {

// How much more a process may take before the limit of its cgroup, or of one around it, ends it (a container has one);
// no end of it where there is none. The files tell: of the process, and of the system's cgroups (v2, or v1).
uint64_t RoomInCgroup(const std::string& process = "/proc/self/cgroup", const std::string& root = "/sys/fs/cgroup");

}  // namespace ingot
