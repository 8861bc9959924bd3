// SPDX-License-Identifier: MIT
#include "ingot/layers/operation.h"

#include <algorithm>

#include "ingot/layers/broadcast.h"

namespace ingot {
namespace {

struct Kind {
  const char* class_name;
  BinaryOp op;
};
constexpr Kind kKinds[] = {
    {"Add", BinaryOp::kAdd},         {"Subtract", BinaryOp::kSubtract}, {"Multiply", BinaryOp::kMultiply},
    {"Divide", BinaryOp::kDivide},   {"TrueDivide", BinaryOp::kDivide},  // x / y is the second
    {"Maximum", BinaryOp::kMaximum}, {"Minimum", BinaryOp::kMinimum},
};

}  // namespace

std::shared_ptr<Operation> Operation::Named(std::string_view class_name) {
  for (const Kind& kind : kKinds)
    if (class_name == kind.class_name) return std::shared_ptr<Operation>(new Operation(kind.class_name, kind.op));
  return nullptr;
}

TensorSpecs Operation::build(const TensorSpecs& in) {
  const auto tensors = static_cast<size_t>(std::count(numbers.begin(), numbers.end(), std::nullopt));
  if (tensors == 0) fail("two numbers and no tensor came");
  if (in.size() != tensors) fail("takes ", tensors, " tensors, ", in.size(), " came");
  for (const TensorSpec& spec : in) {
    // Keras's arithmetic on whole numbers rounds and overflows otherwise.
    if (spec.dtype != DType::kFloat32) fail("takes tensors of float32, ", Name(spec.dtype), " came");
    // Axes are matched from the last: of other ranks, one tensor's batch would meet something else.
    if (spec.shape.rank() != in[0].shape.rank()) fail("takes tensors of as many axes, these came: ", ShapesOf(in));
  }
  return {{BroadcastShape(in, label())}};
}

Values Operation::call(Graph& g, const Values& in) {
  size_t next = 0;
  const auto operand = [&](const std::optional<double>& number) {
    return number ? g.Scalar(static_cast<float>(*number)) : in[next++];
  };
  const Value a = operand(numbers[0]), b = operand(numbers[1]);
  return {g.Binary(op_, a, b)};
}

}  // namespace ingot
