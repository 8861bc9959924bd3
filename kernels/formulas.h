// SPDX-License-Identifier: MIT
//
// The list of elementwise formulas, which kernels/formulas-inl.h writes down, each with its slope, over a number type
// F: a vector of any SIMD target, or one float on a GPU.
//
// To add a formula: a line in the list and its struct in formulas-inl.h.
#pragma once

#include <cstdint>

namespace ingot {

// clang-format off
#define INGOT_FORMULAS(X)                                                                                             \
  X(Affine)                                                                                                           \
  X(Abs) X(Square) X(Sqrt) X(Rsqrt) X(Exp) X(Log) X(Relu) X(LeakyRelu) X(Elu) X(Celu) X(Selu) X(Softplus) X(Softsign) \
      X(Sigmoid) X(HardSigmoid) X(Silu) X(HardSilu) X(Gelu) X(GeluTanh) X(Tanh) X(TanhShrink) X(HardTanh)             \
          X(HardShrink) X(SoftShrink) X(Squareplus) X(LogSigmoid) X(SparsePlus) X(SparseSigmoid) X(Threshold) X(Mish)
// clang-format on

enum class Formula : uint16_t {
#define X(name) k##name,
  INGOT_FORMULAS(X)
#undef X
};

// Whether a formula's slope is taken from its output y = Value(x, p). That of ReLU and relu6 can be taken from either,
// y > 0 where x > 0, and then x need not be kept.
constexpr bool GradFromOutput(Formula formula, const float* p) {
  switch (formula) {
    case Formula::kSqrt:
    case Formula::kRsqrt:
    case Formula::kExp:
    case Formula::kSigmoid:
    case Formula::kTanh:
      return true;
    case Formula::kRelu:
      return p[0] == 0 && p[2] == 0 && (p[1] < 0 || p[1] == 6);
    default:
      return false;
  }
}

}  // namespace ingot
