// SPDX-License-Identifier: MIT
//
// What holds training back, in words, each with the figures that were measured for it.
//
//   std::cout << explain(model, train, {.fit = {.batch_size = 32, .callbacks = callbacks}}).str();
//
// It watches an epoch of fit, with these callbacks and this data set, and tries a few steps otherwise: at larger
// batches, on all cores, on inputs brought to mean 0 and variance 1, at a tenth of the learning rate. The model is
// afterwards what it was before, weights, optimizer and all; what callbacks did (files that they wrote) is done.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "ingot/data/dataset.h"
#include "ingot/train/model.h"
#include "ingot/train/profile.h"

namespace ingot {

struct Finding {
  std::string name;  // of those in docs/profile.md
  std::string text;
  std::vector<std::pair<std::string, double>> figures;

  double operator[](const std::string& figure) const;  // Error if there is none of that name
};

struct ExplainOptions {
  FitOptions fit{};     // of which one epoch is watched
  double seconds = 30;  // most of an epoch that is watched; longer ones are judged by their beginning
  double trials = 1;    // seconds for what is tried of each kind, about
};

struct Explanation {
  std::vector<Finding> findings;  // none: nothing holds it back
  std::string watched;            // what was looked at, with the figures
  Profile profile;

  bool has(const std::string& name) const;
  const Finding& operator[](const std::string& name) const;  // Error if it is not among them
  std::string str() const;
  std::string json() const;
};

Explanation explain(Model& model, const Dataset& data, const ExplainOptions& options = {});
inline Explanation explain(Model& model, const Array& x, const Array& y, const ExplainOptions& options = {}) {
  return explain(model, Dataset{{x}, {y}, {}}, options);
}

}  // namespace ingot
