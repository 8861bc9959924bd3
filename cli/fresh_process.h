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

// Lets go of what the system keeps of a file in memory, as far as it may.
void DropFromPageCache(const std::string& path);

}  // namespace ingot
