// SPDX-License-Identifier: MIT
//
// How often this program has allocated through new. The operators are replaced in a file of their own, where no
// compiler sees both sides of a pair.
#pragma once

#include <cstdint>

namespace ingot::testing {

int64_t Allocations();
bool AllocationsAreCounted();  // not so under a sanitizer

}  // namespace ingot::testing
