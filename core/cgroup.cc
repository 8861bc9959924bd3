// SPDX-License-Identifier: MIT
#include "ingot/core/cgroup.h"

#include <algorithm>
#include <fstream>
#include <limits>

namespace ingot {

uint64_t RoomInCgroup(const std::string& process, const std::string& root) {
  constexpr uint64_t kNoLimit = std::numeric_limits<uint64_t>::max();
  uint64_t room = kNoLimit;
  const auto number = [](const std::string& path, uint64_t& value) { return bool(std::ifstream(path) >> value); };
  std::ifstream groups(process);
  for (std::string line; std::getline(groups, line);) {  // number:controllers:path
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == line.npos) continue;
    std::string controllers = ",";
    controllers.append(line, first + 1, second - first - 1).append(",");
    const bool v1 = controllers.find(",memory,") != controllers.npos;
    if (!v1 && controllers != ",,") continue;
    const std::string tree = v1 ? root + "/memory" : root;
    // Within a container the path may be the host's, of which only the root is seen.
    for (std::string group = line.substr(second + 1);; group.resize(group.rfind('/'))) {
      if (group == "/") group.clear();
      uint64_t limit = 0, used = 0;
      if (number(tree + group + (v1 ? "/memory.limit_in_bytes" : "/memory.max"), limit) &&
          number(tree + group + (v1 ? "/memory.usage_in_bytes" : "/memory.current"), used))
        room = std::min(room, limit > used ? limit - used : 0);
      if (group.rfind('/') == group.npos) break;
    }
  }
  return room;
}

}  // namespace ingot
