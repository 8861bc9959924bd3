// SPDX-License-Identifier: MIT
//
// Every optimizer's update of one element, written once over a number type F: a vector of any SIMD target, or one
// float on a GPU.
//
//   Step(w, g, s, p, h)  moves weight w by gradient g; s are its slots, in the order of the optimizer's names
//     p  what does not change from step to step (UpdateAttrs::p), as said in the comment of each
//     h  what does (Run::hyper): h[0] the learning rate; h[1] what decoupled weight decay takes, times the rate;
//        from h[2] on as said
//
// To add an update: a line in the list and its struct.
#pragma once

#include <cstdint>

namespace ingot {

#define INGOT_UPDATES(X) \
  X(Sgd, 0) X(Momentum, 1) X(Nesterov, 1) X(Adam, 2) X(Amsgrad, 3) X(Nadam, 2) X(Adamax, 2) X(Rmsprop, 1)  \
  X(RmspropMomentum, 2) X(RmspropCentered, 2) X(RmspropCenteredMomentum, 3) X(Adagrad, 1) X(Adadelta, 2) X(Lion, 1) \
  X(Average, 1) X(Accumulate, 1)

enum class UpdateFormula : uint16_t {
#define X(name, slots) k##name,
  INGOT_UPDATES(X)
#undef X
};

namespace updates {

template <class F>
void Sgd(F& w, F g, F*, const float*, const float* h) {
  w = w - g * F(h[0]);
}

template <class F>
void Momentum(F& w, F g, F* s, const float* p, const float* h) {  // p: momentum
  s[0] = s[0] * F(p[0]) - g * F(h[0]);
  w = w + s[0];
}

template <class F>
void Nesterov(F& w, F g, F* s, const float* p, const float* h) {
  s[0] = s[0] * F(p[0]) - g * F(h[0]);
  w = w + (s[0] * F(p[0]) - g * F(h[0]));
}

template <class F>
void Adam(F& w, F g, F* s, const float* p, const float* h) {  // p: 1 - beta_1, 1 - beta_2, epsilon; h[2]: corrected rate
  s[0] = s[0] + (g - s[0]) * F(p[0]);
  s[1] = s[1] + (g * g - s[1]) * F(p[1]);
  w = w - s[0] * F(h[2]) / (Sqrt(s[1]) + F(p[2]));
}

template <class F>
void Amsgrad(F& w, F g, F* s, const float* p, const float* h) {
  s[0] = s[0] + (g - s[0]) * F(p[0]);
  s[1] = s[1] + (g * g - s[1]) * F(p[1]);
  s[2] = Max(s[2], s[1]);
  w = w - s[0] * F(h[2]) / (Sqrt(s[2]) + F(p[2]));
}

// h: u_(t+1) / (1 - product of u to t+1), (1 - u_t) / (1 - product of u to t), 1 / (1 - beta_2^t)
template <class F>
void Nadam(F& w, F g, F* s, const float* p, const float* h) {
  s[0] = s[0] + (g - s[0]) * F(p[0]);
  s[1] = s[1] + (g * g - s[1]) * F(p[1]);
  const F m = F(h[2]) * s[0] + F(h[3]) * g;
  w = w - m * F(h[0]) / (Sqrt(s[1] * F(h[4])) + F(p[2]));
}

template <class F>
void Adamax(F& w, F g, F* s, const float* p, const float* h) {  // p: 1 - beta_1, beta_2, epsilon; h[2]: lr / (1 - beta_1^t)
  s[0] = s[0] + (g - s[0]) * F(p[0]);
  s[1] = Max(F(p[1]) * s[1], Abs(g));
  w = w - F(h[2]) * s[0] / (s[1] + F(p[2]));
}

// p: rho, 1 - rho, epsilon, momentum. Slots: velocity, momentum if there is any, average gradient if centered.
template <class F>
F RmsStep(F g, F velocity, F mean, const float* p, const float* h) {
  return F(h[0]) * g / Sqrt(velocity - mean * mean + F(p[2]));
}
template <class F>
void Rmsprop(F& w, F g, F* s, const float* p, const float* h) {
  s[0] = F(p[0]) * s[0] + F(p[1]) * g * g;
  w = w - RmsStep(g, s[0], F(0.0f), p, h);
}
template <class F>
void RmspropMomentum(F& w, F g, F* s, const float* p, const float* h) {
  s[0] = F(p[0]) * s[0] + F(p[1]) * g * g;
  s[1] = F(p[3]) * s[1] + RmsStep(g, s[0], F(0.0f), p, h);
  w = w - s[1];
}
template <class F>
void RmspropCentered(F& w, F g, F* s, const float* p, const float* h) {
  s[0] = F(p[0]) * s[0] + F(p[1]) * g * g;
  s[1] = F(p[0]) * s[1] + F(p[1]) * g;
  w = w - RmsStep(g, s[0], s[1], p, h);
}
template <class F>
void RmspropCenteredMomentum(F& w, F g, F* s, const float* p, const float* h) {
  s[0] = F(p[0]) * s[0] + F(p[1]) * g * g;
  s[2] = F(p[0]) * s[2] + F(p[1]) * g;
  s[1] = F(p[3]) * s[1] + RmsStep(g, s[0], s[2], p, h);
  w = w - s[1];
}

template <class F>
void Adagrad(F& w, F g, F* s, const float* p, const float* h) {  // p: epsilon
  s[0] = s[0] + g * g;
  w = w - F(h[0]) * g / Sqrt(s[0] + F(p[0]));
}

template <class F>
void Adadelta(F& w, F g, F* s, const float* p, const float* h) {  // p: rho, 1 - rho, epsilon
  s[0] = F(p[0]) * s[0] + F(p[1]) * g * g;
  const F delta = Sqrt(s[1] + F(p[2])) * g / Sqrt(s[0] + F(p[2]));
  s[1] = F(p[0]) * s[1] + F(p[1]) * delta * delta;
  w = w - F(h[0]) * delta;
}

template <class F>
void Lion(F& w, F g, F* s, const float* p, const float* h) {  // p: beta_1, 1 - beta_1, beta_2, 1 - beta_2
  const F to = s[0] * F(p[0]) + g * F(p[1]);
  const F sign = Select(to > F(0.0f), F(1.0f), Select(to < F(0.0f), F(-1.0f), to));
  w = w - F(h[0]) * sign;
  s[0] = s[0] * F(p[2]) + g * F(p[3]);
}

template <class F>
void Average(F& w, F, F* s, const float* p, const float*) {  // p: momentum, 1 - momentum: the moving average of w
  s[0] = s[0] * F(p[0]) + w * F(p[1]);
}

template <class F>
void Accumulate(F&, F g, F* s, const float*, const float*) {
  s[0] = s[0] + g;
}

}  // namespace updates
}  // namespace ingot
