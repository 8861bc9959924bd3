// SPDX-License-Identifier: MIT
//
// Where the time of a step goes, by the steps of its plan. The whole is timed without looking inside, then again with a
// clock behind each step; nothing is added to plans that are not profiled.
#pragma once

#include <string>
#include <vector>

#include "ingot/data/dataset.h"
#include "ingot/train/model.h"

namespace ingot {

struct ProfileOptions {
  bool training = true;  // a step of training, which changes the weights; else a prediction
  double seconds = 1;    // to spend, about
};

struct Profile {
  struct Step {
    std::string phase, layer, kernel, shapes;
    double ms = 0;  // median
    double flops = 0, bytes = 0;
  };
  std::vector<Step> steps;
  double ms_median = 0, ms_min = 0;  // of the whole
  double flops = 0, bytes = 0;

  std::string str(double peak_gflops = 0) const;  // a table, the dearest first
};

// All of `data` is one batch.
Profile profile(Model& model, const Dataset& data, const ProfileOptions& options = {});

}  // namespace ingot
