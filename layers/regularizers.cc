// SPDX-License-Identifier: MIT
#include "ingot/layers/regularizers.h"

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

void Describe(Fields& f, const char* key, Regularizer& r) {
  f.object(key, r.class_name, "keras.regularizers", [&](Fields& child) {
    if (f.reading()) r = Named(r.class_name);
    if (r.class_name != "L2") child("l1", r.l1);
    if (r.class_name != "L1") child("l2", r.l2);
  });
  if (r.class_name.empty()) r = {};
}

}  // namespace ingot
