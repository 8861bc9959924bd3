// SPDX-License-Identifier: MIT
//
// What the options of several layers are made of.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

namespace ingot {

// Of layers that have no options but a name.
struct NameOptions {
  std::string name{};
};

// One axis or several, counted as Keras counts them: 1, -1 or {1, 2}.
struct Axes : std::vector<int64_t> {
  Axes() = default;
  Axes(int64_t axis) : vector{axis} {}                             // NOLINT: an axis is a list of one
  Axes(std::initializer_list<int64_t> axes) : vector(axes) {}
};

}  // namespace ingot
