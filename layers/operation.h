// SPDX-License-Identifier: MIT
//
// Operations of keras.ops where they stand in a model between layers: x + y, 3 * x. Keras does not count them among the
// layers: they have neither weights nor `trainable`, and files give them no place. Numbers that an operation takes are
// written with its call, which is its only one.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "ingot/layers/layer.h"

namespace ingot {

// An elementwise function of two operands: tensors of as many axes, or a tensor and a number.
class Operation : public LayerDef {
 public:
  // By Keras's name of the class, as "TrueDivide"; nullptr if ingot has no such operation.
  static std::shared_ptr<Operation> Named(std::string_view class_name);

  std::array<std::optional<double>, 2> numbers;  // the operands that are numbers; the others are tensors

  std::string class_name() const override { return class_name_; }
  TensorSpecs build(const TensorSpecs& in) override;
  Values call(Graph& g, const Values& in) override;

 private:
  Operation(const char* class_name, BinaryOp op) : class_name_(class_name), op_(op) {}

  const char* class_name_;
  BinaryOp op_;
};

}  // namespace ingot
