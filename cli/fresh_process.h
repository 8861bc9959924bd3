// SPDX-License-Identifier: MIT
//
// A measurement in a process of its own, as if ingot had just been started: what one run warmed up (memory, plans,
// threads) is not there for the next.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>

namespace ingot {

// What f returns, in a child of this process; what it throws is an Error here. REQUIRES: no thread was started yet.
nlohmann::json InFreshProcess(const std::function<nlohmann::json()>& f);

// The whole of a file in the system's memory of files, or nothing of it, as far as the system may.
void BringIntoPageCache(const std::string& path);
void DropFromPageCache(const std::string& path);

// Takes memory, four times the size of a file where so much is free for this process, and gives it back. A virtual
// machine may leave memory that nobody uses to its host, and then waits seconds for each gigabyte it takes again, which
// is no cost of loading.
void WarmMemoryFor(const std::string& path);

}  // namespace ingot
