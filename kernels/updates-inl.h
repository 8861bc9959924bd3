// SPDX-License-Identifier: MIT
//
// The formulas of kernels/updates.h, each written once. Compiled once for each SIMD target, where F is a vector, or
// once for a GPU, where it is a float. F has + - * /, F(float), < and >, and Sqrt, Abs, Max, Select.
//
// They follow Keras operation by operation, so that float32 rounds alike. The padding between tensors passes through
// them too: with w = g = 0 each stays finite.
#if defined(INGOT_KERNELS_UPDATES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef INGOT_KERNELS_UPDATES_INL_H_
#undef INGOT_KERNELS_UPDATES_INL_H_
#else
#define INGOT_KERNELS_UPDATES_INL_H_
#endif

#include "ingot/kernels/updates.h"

#ifdef __CUDACC__
#define INGOT_UPDATE __device__ __forceinline__
namespace ingot::cuda::updates {
#else
#include "hwy/highway.h"
#undef INGOT_UPDATE
#define INGOT_UPDATE HWY_INLINE
HWY_BEFORE_NAMESPACE();
namespace ingot::cpu {
namespace HWY_NAMESPACE {
namespace updates {
#endif

template <class F>
INGOT_UPDATE void Sgd(F& w, F g, F*, const float*, const float* h) {
  w = w - g * F(h[0]);
}

template <class F>
INGOT_UPDATE void Momentum(F& w, F g, F* s, const float* p, const float* h) {  // p: momentum
  s[0] = s[0] * F(p[0]) - g * F(h[0]);
  w = w + s[0];
}

template <class F>
INGOT_UPDATE void Nesterov(F& w, F g, F* s, const float* p, const float* h) {
  s[0] = s[0] * F(p[0]) - g * F(h[0]);
  w = w + (s[0] * F(p[0]) - g * F(h[0]));
}

template <class F>
INGOT_UPDATE void Adam(F& w, F g, F* s, const float* p,
                       const float* h) {  // p: 1 - beta_1, 1 - beta_2, epsilon; h[2]: corrected rate
  s[0] = s[0] + (g - s[0]) * F(p[0]);
  s[1] = s[1] + (g * g - s[1]) * F(p[1]);
  w = w - s[0] * F(h[2]) / (Sqrt(s[1]) + F(p[2]));
}

template <class F>
INGOT_UPDATE void Amsgrad(F& w, F g, F* s, const float* p, const float* h) {
  s[0] = s[0] + (g - s[0]) * F(p[0]);
  s[1] = s[1] + (g * g - s[1]) * F(p[1]);
  s[2] = Max(s[2], s[1]);
  w = w - s[0] * F(h[2]) / (Sqrt(s[2]) + F(p[2]));
}

// h: u_(t+1) / (1 - product of u to t+1), (1 - u_t) / (1 - product of u to t), 1 / (1 - beta_2^t)
template <class F>
INGOT_UPDATE void Nadam(F& w, F g, F* s, const float* p, const float* h) {
  s[0] = s[0] + (g - s[0]) * F(p[0]);
  s[1] = s[1] + (g * g - s[1]) * F(p[1]);
  const F m = F(h[2]) * s[0] + F(h[3]) * g;
  w = w - m * F(h[0]) / (Sqrt(s[1] * F(h[4])) + F(p[2]));
}

template <class F>
INGOT_UPDATE void Adamax(F& w, F g, F* s, const float* p,
                         const float* h) {  // p: 1 - beta_1, beta_2, epsilon; h[2]: lr / (1 - beta_1^t)
  s[0] = s[0] + (g - s[0]) * F(p[0]);
  s[1] = Max(F(p[1]) * s[1], Abs(g));
  w = w - F(h[2]) * s[0] / (s[1] + F(p[2]));
}

// p: rho, 1 - rho, epsilon, momentum. Slots: velocity, momentum if there is any, average gradient if centered.
template <class F>
INGOT_UPDATE F RmsStep(F g, F velocity, F mean, const float* p, const float* h) {
  return F(h[0]) * g / Sqrt(velocity - mean * mean + F(p[2]));
}
template <class F>
INGOT_UPDATE void Rmsprop(F& w, F g, F* s, const float* p, const float* h) {
  s[0] = F(p[0]) * s[0] + F(p[1]) * g * g;
  w = w - RmsStep(g, s[0], F(0.0f), p, h);
}
template <class F>
INGOT_UPDATE void RmspropMomentum(F& w, F g, F* s, const float* p, const float* h) {
  s[0] = F(p[0]) * s[0] + F(p[1]) * g * g;
  s[1] = F(p[3]) * s[1] + RmsStep(g, s[0], F(0.0f), p, h);
  w = w - s[1];
}
template <class F>
INGOT_UPDATE void RmspropCentered(F& w, F g, F* s, const float* p, const float* h) {
  s[0] = F(p[0]) * s[0] + F(p[1]) * g * g;
  s[1] = F(p[0]) * s[1] + F(p[1]) * g;
  w = w - RmsStep(g, s[0], s[1], p, h);
}
template <class F>
INGOT_UPDATE void RmspropCenteredMomentum(F& w, F g, F* s, const float* p, const float* h) {
  s[0] = F(p[0]) * s[0] + F(p[1]) * g * g;
  s[2] = F(p[0]) * s[2] + F(p[1]) * g;
  s[1] = F(p[3]) * s[1] + RmsStep(g, s[0], s[2], p, h);
  w = w - s[1];
}

template <class F>
INGOT_UPDATE void Adagrad(F& w, F g, F* s, const float* p, const float* h) {  // p: epsilon
  s[0] = s[0] + g * g;
  w = w - F(h[0]) * g / Sqrt(s[0] + F(p[0]));
}

template <class F>
INGOT_UPDATE void Adadelta(F& w, F g, F* s, const float* p, const float* h) {  // p: rho, 1 - rho, epsilon
  s[0] = F(p[0]) * s[0] + F(p[1]) * g * g;
  const F delta = Sqrt(s[1] + F(p[2])) * g / Sqrt(s[0] + F(p[2]));
  s[1] = F(p[0]) * s[1] + F(p[1]) * delta * delta;
  w = w - F(h[0]) * delta;
}

template <class F>
INGOT_UPDATE void Lion(F& w, F g, F* s, const float* p, const float* h) {  // p: beta_1, 1 - beta_1, beta_2, 1 - beta_2
  const F to = s[0] * F(p[0]) + g * F(p[1]);
  const F sign = Select(to > F(0.0f), F(1.0f), Select(to < F(0.0f), F(-1.0f), to));
  w = w - F(h[0]) * sign;
  s[0] = s[0] * F(p[2]) + g * F(p[3]);
}

template <class F>
INGOT_UPDATE void Average(F& w, F, F* s, const float*, const float* h) {  // the moving average of w
  s[0] = F(h[kHyperAverage]) * s[0] + F(1.0f - h[kHyperAverage]) * w;
}

// Of gradients: w and g are both the gradient, the slot is their sum so far.
template <class F>
INGOT_UPDATE void Accumulate(F&, F g, F* s, const float*, const float*) {
  s[0] = s[0] + g;
}
template <class F>
INGOT_UPDATE void TakeMean(F& w, F g, F* s, const float* p, const float*) {  // p: of how many
  w = (g + s[0]) / F(p[0]);
  s[0] = F(0.0f);
}

#ifdef __CUDACC__
}  // namespace ingot::cuda::updates
#else
}  // namespace updates
// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace ingot::cpu
HWY_AFTER_NAMESPACE();
#endif

#endif  // INGOT_KERNELS_UPDATES_INL_H_
