// SPDX-License-Identifier: MIT
//
// Activations by Keras's names ("relu", "gelu", ...; "" or "linear" is none), or made of Graph operations:
//   Activation twice("twice", [](Graph& g, Value x) { return g.Add(x, x); });
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "ingot/core/fields.h"
#include "ingot/core/plan/graph.h"
#include "ingot/kernels/formulas.h"

namespace ingot {

class Activation {
 public:
  using Function = std::function<Value(Graph&, Value)>;

  Activation(const char* name = "linear") : name_(name) {}  // NOLINT: a name is an activation
  Activation(std::string name) : name_(std::move(name)) {}  // NOLINT
  Activation(std::string name, Function custom) : name_(std::move(name)), custom_(std::move(custom)) {}

  const std::string& name() const { return name_; }
  void Check(const std::string& where) const;  // Error if no activation has this name
  // What comes out for an input of that shape: the same, but that glu halves the last axis. Error if it cannot.
  Shape Out(const Shape& in, const std::string& where) const;
  Value operator()(Graph& g, Value x) const;

 private:
  std::string name_;
  Function custom_;
};

std::vector<std::string> ActivationNames();

// One formula of kernels/formulas.h with its parameters.
Value Apply(Graph& g, Formula formula, Value x, float p0 = 0, float p1 = 0, float p2 = 0);
Value Sparsemax(Graph& g, Value x);  // along the last axis
Value Glu(Graph& g, Value x);        // the first half of the last axis, gated by the second

void Describe(Fields& f, const char* key, Activation& activation);

}  // namespace ingot
