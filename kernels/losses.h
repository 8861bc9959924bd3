// SPDX-License-Identifier: MIT
//
// The list of elementwise losses. To add one: a line in the list, and its struct in losses-inl.h.
#pragma once

#include <cstdint>

namespace ingot {

// clang-format off
#define INGOT_LOSSES(X)                                                                                              \
  X(SquaredError)                                                                                                    \
  X(AbsoluteError)                                                                                                   \
  X(AbsolutePercentageError) X(SquaredLogarithmicError) X(HuberError) X(LogCosh) X(KLDivergence) X(Poisson) X(Hinge) \
      X(SquaredHinge) X(BinaryCrossentropy) X(BinaryCrossentropyLogits) X(BinaryFocal) X(BinaryFocalLogits)          \
          X(CategoricalFocal) X(Differs)
// clang-format on

enum class LossFormula : uint16_t {
#define X(name) k##name,
  INGOT_LOSSES(X)
#undef X
};

namespace losses {

inline constexpr float kEpsilon = 1e-7f;  // keras.config.epsilon()
inline constexpr float kBelowOne = 1.0f - 1e-7f;
inline constexpr float kLog2 = 0.693147180559945f;

}  // namespace losses
}  // namespace ingot
