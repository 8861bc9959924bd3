// SPDX-License-Identifier: MIT
//
// What explain() looks at of the data: some of the rows, and how their features lie.
#pragma once

#include <cstdint>
#include <vector>

#include "ingot/data/dataset.h"

namespace ingot {

// Some of the rows, from all over the arrays; of stages, those that come first within so many seconds.
struct Some {
  Samples rows;
  int64_t apart = 1;  // row i of them is i * apart of the data
};
Some SomeOf(const Dataset& data, int64_t batch_size, double seconds);

double ValueAt(const Array& a, int64_t i);

// Mean and deviation by feature: by column of rows of numbers, by channel of what has more axes.
struct Moments {
  std::vector<double> mean, deviation;
  double magnitude = 0;  // root of the mean square of all
};
Moments MomentsOf(const Array& a);
Array Normalized(const Array& a, const Moments& m);

}  // namespace ingot
