// SPDX-License-Identifier: MIT
//
// Data sets of numbers that can be told from one another, read back as numbers; and the threads of this process.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <thread>
#include <vector>

#include "ingot/core/error.h"
#include "ingot/data/dataset.h"

namespace ingot::testing {

// Elements 0 .. n - 1: x is the number, y ten times that.
inline Dataset Numbers(int64_t n) {
  Array x({n}, DType::kInt32), y({n}, DType::kInt32);
  for (int64_t i = 0; i < n; ++i) {
    x.as<int32_t>()[static_cast<size_t>(i)] = static_cast<int32_t>(i);
    y.as<int32_t>()[static_cast<size_t>(i)] = static_cast<int32_t>(10 * i);
  }
  return Dataset::from_arrays(x, y);
}

// The same from a generator.
inline Dataset Generated(int64_t n) {
  return Dataset::from_generator([n] {
    return [n, i = int32_t{0}](Sample& s) mutable {
      if (i == n) return false;
      s.x.push_back(Array({}, {i}));
      s.y.push_back(Array({}, {10 * i}));
      ++i;
      return true;
    };
  });
}

using Lists = std::vector<std::vector<int32_t>>;

inline std::vector<int32_t> ListOf(const Array& a) { return {a.as<int32_t>().begin(), a.as<int32_t>().end()}; }

// What a pass gives: x[0] of each element, or of each batch. At most `most` of them.
inline Lists Read(const Dataset& data, int64_t epoch = 0, size_t most = 100000) {
  Lists lists;
  auto reader = data.read(epoch);
  Sample s;
  while (lists.size() < most && reader.next(s)) {
    lists.push_back(ListOf(s.x.at(0)));
    if (s.y.empty()) continue;
    std::vector<int32_t> y = ListOf(s.y[0]);
    for (size_t i = 0; i < y.size(); ++i) EXPECT_EQ(y[i], 10 * lists.back()[i]) << "x and y come from different rows";
  }
  return lists;
}

inline std::vector<int32_t> Flat(const Lists& lists) {
  std::vector<int32_t> all;
  for (const auto& list : lists) all.insert(all.end(), list.begin(), list.end());
  return all;
}

inline int ThreadsNow() {
  int n = 0;
  for ([[maybe_unused]] const auto& task : std::filesystem::directory_iterator("/proc/self/task")) ++n;
  return n;
}
// A thread that was joined may be listed a moment longer.
inline void ExpectThreads(int expected) {
  for (int i = 0; i < 1000 && ThreadsNow() != expected; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  EXPECT_EQ(ThreadsNow(), expected);
}

template <class F>
std::string ErrorOf(const F& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  ADD_FAILURE() << "no Error came";
  return "";
}

}  // namespace ingot::testing
