// SPDX-License-Identifier: MIT
//
// L1(0.01), L2(1e-3), L1L2({.l1 = ..., .l2 = ...}), or Keras's names "l1", "l2", "l1_l2": a penalty on weights or
// activations, l1 * sum |w| + l2 * sum w^2.
#pragma once

#include <string>

#include "ingot/core/fields.h"
#include "ingot/core/plan/variable.h"

namespace ingot {

struct Regularizer : Penalty {
  std::string class_name;  // "" is none

  Regularizer() = default;
  Regularizer(const char* name);                        // NOLINT: a name is a regularizer
  Regularizer(std::string name, float l1_, float l2_);  // Error for what Keras refuses: negative, infinite or NaN
};

struct L1L2Options {
  float l1 = 0, l2 = 0;
};
inline Regularizer L1(float l1 = 0.01f) { return {"L1", l1, 0}; }
inline Regularizer L2(float l2 = 0.01f) { return {"L2", 0, l2}; }
inline Regularizer L1L2(const L1L2Options& o) { return {"L1L2", o.l1, o.l2}; }

void Describe(Fields& f, const char* key, Regularizer& r);
// The check itself; `where` begins the message.
void CheckPenalty(const std::string& where, const Penalty& penalty);

}  // namespace ingot
