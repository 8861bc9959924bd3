// SPDX-License-Identifier: MIT
#include "ingot/layers/regularizers.h"

#include <cmath>
#include <utility>

#include "ingot/core/error.h"

namespace ingot {
namespace {

// The class a name stands for, with its default strength.
Regularizer Named(const std::string& name) {
  if (name.empty()) return {};
  if (name == "L1" || name == "l1") return L1();
  if (name == "L2" || name == "l2") return L2();
  if (name == "L1L2" || name == "l1_l2") return {"L1L2", 0, 0};
  Fail("regularizer '", name, "' is not known; there are L1, L2 and L1L2");
}

}  // namespace

Regularizer::Regularizer(const char* name) : Regularizer(Named(name)) {}

Regularizer::Regularizer(std::string name, float l1_, float l2_) : Penalty{l1_, l2_}, class_name(std::move(name)) {
  CheckPenalty("regularizer " + class_name, *this);
}

void CheckPenalty(const std::string& where, const Penalty& penalty) {
  for (const auto& [what, value] : {std::pair{"l1", penalty.l1}, {"l2", penalty.l2}})
    if (!(value >= 0 && std::isfinite(value)))
      Fail(where, ": ", what, " is ", value, ", a finite number of 0 or more was expected");
}

void Describe(Fields& f, const char* key, Regularizer& r) {
  f.object(key, r.class_name, "keras.regularizers", [&](Fields& child) {
    if (f.reading()) r = Named(r.class_name);
    if (r.class_name != "L2") child("l1", r.l1);
    if (r.class_name != "L1") child("l2", r.l2);
    if (f.reading()) CheckPenalty(child.where(), r);
  });
  if (r.class_name.empty()) r = {};
}

}  // namespace ingot
