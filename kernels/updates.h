// SPDX-License-Identifier: MIT
//
// The list of updates: how an optimizer moves one element. Their formulas are written once, in kernels/updates-inl.h,
// over a number type F: a vector of any SIMD target, or one float on a GPU.
//
//   Step(w, g, s, p, h)  moves weight w by gradient g; s are its slots, in the order of the optimizer's names
//     p  what does not change from step to step (UpdateAttrs::p), as said in the comment of each
//     h  what does (Run::hyper): h[0] the learning rate; h[1] what decoupled weight decay takes, times the rate;
//        from h[2] on as said; h[kHyperAverage] the momentum of the weights' moving average
//
// To add an update: a line in the list and its function in updates-inl.h.
#pragma once

#include <cstdint>

namespace ingot {

// clang-format off
#define INGOT_UPDATES(X)                                                                                              \
  X(Sgd, 0)                                                                                                           \
  X(Momentum, 1) X(Nesterov, 1) X(Adam, 2) X(Amsgrad, 3) X(Nadam, 2) X(Adamax, 2) X(Rmsprop, 1) X(RmspropMomentum, 2) \
      X(RmspropCentered, 2) X(RmspropCenteredMomentum, 3) X(Adagrad, 1) X(Adadelta, 2) X(Lion, 1) X(Average, 1)       \
          X(Accumulate, 1) X(TakeMean, 1)
// clang-format on

enum class UpdateFormula : uint16_t {
#define X(name, slots) k##name,
  INGOT_UPDATES(X)
#undef X
};

inline constexpr int kHyperFloats = 8;  // read by every update
inline constexpr int kHyperAverage = 7;

}  // namespace ingot
