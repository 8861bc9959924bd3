// SPDX-License-Identifier: MIT
//
// What a model computes, noted in its own .ingot file, so that whoever has the file can see whether it computes the
// same there: on another machine, by another build, years later. Inputs and targets are drawn from counter-based random
// numbers and not stored; outputs and the norm of the gradient are. The record: docs/ingot-format.md.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "ingot/train/model.h"

namespace ingot {

// Leaves the model as it was.
std::shared_ptr<Json> NoteSelfTest(const Model& model);

struct SelfTestResult {
  int64_t values = 0;     // compared
  bool gradient = false;  // compared too
  bool identical = true;  // every bit
  double largest = 0;     // difference, relative to the largest magnitude of the same output
};
// Loads the model and repeats the test. Error if the file has none, or if what comes out differs by more than
// `tolerance`.
SelfTestResult RunSelfTest(const std::string& path, const LoadOptions& options = {}, double tolerance = 1e-4);

}  // namespace ingot
