// SPDX-License-Identifier: MIT
//
// The one exception of the library. A message says where, what came, what was expected and what to do:
//   Fail("conv2d_3: input has ", 3, " channels, the kernel expects ", 4, "; was the model built for another shape?");
// User's mistakes and bad files throw it when a model is built, compiled, loaded or fed; never inside a step.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace ingot {

class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The parts, written one after the other.
template <class... Parts>
std::string Text(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

template <class... Parts>
[[noreturn]] void Fail(const Parts&... parts) {
  throw Error(Text(parts...));
}

// A mistake of ours, not of the user: never used to check input.
#define INGOT_CHECK(condition)                                                                             \
  do {                                                                                                     \
    if (!(condition)) ::ingot::Fail("ingot has a bug: " #condition " fails at ", __FILE__, ":", __LINE__); \
  } while (false)

}  // namespace ingot
