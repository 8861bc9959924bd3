// SPDX-License-Identifier: MIT
//
// From figures to sentences: when each of the findings of explain() is one, and how it is said. They are functions of
// the figures alone.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ingot/train/explain.h"

namespace ingot {

// The training thread waits for batches, or makes them itself.
struct DataFigures {
  double epoch = 0, wait = 0, steps = 0;  // seconds: all, waiting for data, in steps
  int threads = 0;                        // of the data set; 0: who trains makes the batches
  double made = 0;                        // seconds that those threads were at work, all together
  bool maps = false;                      // whether there is a map to give threads to
  int cores = 1;
};
std::optional<Finding> WaitsForData(const DataFigures& f);

// Steps at larger batches.
struct BatchFigures {
  int64_t rows = 0;                               // of an epoch
  std::vector<std::pair<int64_t, double>> timed;  // batch and ms of a step; that of the fit first
  double flops = 0, peak_gflops = 0;              // of a step at that of the fit
};
std::optional<Finding> BatchTooSmall(const BatchFigures& f);

// The same step on all cores.
struct CoreFigures {
  int threads = 1, cores = 1;
  double ms = 0, ms_all = 0;
};
std::optional<Finding> CoresIdle(const CoreFigures& f);

// A callback, on the thread that trains.
struct CallbackFigures {
  std::string name, hook;  // the dearest of its hooks
  double epoch = 0, seconds = 0;
  double hook_seconds = 0;  // of that hook
  int64_t calls = 0;        // likewise
  double histograms = 0;    // seconds of it
  bool saves = false;       // a file, in the foreground
};
std::optional<Finding> CallbackCosts(const CallbackFigures& f);

struct ValidationFigures {
  double epoch = 0, seconds = 0;
};
std::optional<Finding> ValidationCosts(const ValidationFigures& f);

// What inputs are like, and what became of the loss when some of them were trained on as they are, and normalized.
struct FeatureFigures {
  std::string input;           // "x[0]"
  double least = 0, most = 0;  // deviation of a feature, those that never change left out
  int64_t least_at = 0, most_at = 0;
  double magnitude = 0;  // root of the mean square
  int64_t steps = 0;     // of the trial
  double loss = 0, loss_normalized = 0;
};
bool ScaleIsOdd(const FeatureFigures& f);  // whether the trial is worth it
std::optional<Finding> NotNormalized(const FeatureFigures& f);

struct ConstantFigures {
  std::string input;
  int64_t constant = 0, features = 0, rows = 0;
};
std::optional<Finding> ConstantFeatures(const ConstantFigures& f);

struct FiniteFigures {
  std::string array;
  int64_t bad = 0, first_row = 0, rows = 0;
};
std::optional<Finding> NotFinite(const FiniteFigures& f);

struct LabelFigures {
  int64_t label = 0, rows = 0, classes_seen = 0;
};
std::optional<Finding> OneClass(const LabelFigures& f);

// The loss in the first and the last quarter of the epoch, and where a trial ends at this rate and at a tenth of it.
struct RateFigures {
  double rate = 0, first = 0, last = 0;
  int64_t steps = 0;  // of the trial
  double loss = 0, loss_tenth = 0;
};
bool LossRises(const RateFigures& f);  // whether the trial is worth it
std::optional<Finding> RateTooHigh(const RateFigures& f);

// Weights that are trained, and an optimizer that has not begun.
struct OptimizerFigures {
  std::string optimizer;
  int64_t iterations = 0, slots = 0;
  double loss = 0, loss_drawn = 0, loss_after = 0;  // as it is, with weights drawn anew, behind the epoch
};
std::optional<Finding> OptimizerStateMissing(const OptimizerFigures& f);

}  // namespace ingot
