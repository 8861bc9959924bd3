// SPDX-License-Identifier: MIT
//
// Every elementwise loss of kernels/losses.h and its slope, written once over a number type F. Compiled once for each
// SIMD target, where F is a vector (cpu/vector-inl.h), or once for a GPU, where it is a float. F has + - * /,
// comparisons that give a mask, F(float), and Select, Max, Min, Abs, Exp, Log, Log1p and Tanh, found by the type of
// their arguments.
//
//   Value(t, p, a)   the loss of one element, t true and p predicted; a are the parameters, in the order said
//   Slope(t, p, a)   its derivative by p
//
// Numbers are Keras's: probabilities are kept within [1e-7, 1 - 1e-7], and where that cuts, the slope is 0.
#if defined(INGOT_KERNELS_LOSSES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef INGOT_KERNELS_LOSSES_INL_H_
#undef INGOT_KERNELS_LOSSES_INL_H_
#else
#define INGOT_KERNELS_LOSSES_INL_H_
#endif

#include "ingot/kernels/losses.h"

#ifdef __CUDACC__
#define INGOT_LOSS __device__ __forceinline__
namespace ingot::cuda::losses {
#else
#include "hwy/highway.h"
#undef INGOT_LOSS
#define INGOT_LOSS HWY_INLINE
HWY_BEFORE_NAMESPACE();
namespace ingot::cpu {
namespace HWY_NAMESPACE {
namespace {
namespace losses {
#endif
using ingot::losses::kBelowOne;
using ingot::losses::kEpsilon;
using ingot::losses::kLog2;

// x clipped to [low, high], and `slope` where that changes nothing (half of it at the ends, as JAX has it).
template <class F>
INGOT_LOSS F Clip(F x, float low, float high) {
  return Min(Max(x, F(low)), F(high));
}
template <class F>
INGOT_LOSS F Inside(F x, float low, float high, F slope) {
  const F at_end = Select(x == F(low), F(0.5f), Select(x == F(high), F(0.5f), F(1.0f)));
  return Select(x < F(low), F(0.0f), Select(x > F(high), F(0.0f), at_end * slope));
}

// x^a for x >= 0.
template <class F>
INGOT_LOSS F Power(F x, float a) {
  if (a == 0) return F(1.0f);
  if (a == 1) return x;
  if (a == 2) return x * x;
  return Select(x > F(0.0f), Exp(F(a) * Log(Max(x, F(1e-37f)))), F(0.0f));
}

// log(1 + e^x) without overflow.
template <class F>
INGOT_LOSS F Softplus(F x) {
  return Max(x, F(0.0f)) + Log1p(Exp(F(0.0f) - Abs(x)));
}
template <class F>
INGOT_LOSS F Sigmoid(F x) {
  return F(1.0f) / (F(1.0f) + Exp(F(0.0f) - x));
}

// Label smoothing of two classes: t (1 - s) + s / 2.
template <class F>
INGOT_LOSS F Smooth(F t, float s) {
  return t * F(1.0f - s) + F(0.5f * s);
}

struct SquaredError {
  template <class F>
  INGOT_LOSS static F Value(F t, F p, const float*) {
    const F d = p - t;
    return d * d;
  }
  template <class F>
  INGOT_LOSS static F Slope(F t, F p, const float*) {
    return F(2.0f) * (p - t);
  }
};

struct AbsoluteError {
  template <class F>
  INGOT_LOSS static F Value(F t, F p, const float*) {
    return Abs(p - t);
  }
  template <class F>
  INGOT_LOSS static F Slope(F t, F p, const float*) {
    return Select(p > t, F(1.0f), Select(p < t, F(-1.0f), F(0.0f)));
  }
};

// 100 |t - p| / max(|t|, epsilon)
struct AbsolutePercentageError {
  template <class F>
  INGOT_LOSS static F Value(F t, F p, const float*) {
    return F(100.0f) * Abs((t - p) / Max(Abs(t), F(kEpsilon)));
  }
  template <class F>
  INGOT_LOSS static F Slope(F t, F p, const float* a) {
    return F(100.0f) * AbsoluteError::Slope(t, p, a) / Max(Abs(t), F(kEpsilon));
  }
};

// (log(1 + max(p, epsilon)) - log(1 + max(t, epsilon)))^2
struct SquaredLogarithmicError {
  template <class F>
  INGOT_LOSS static F Difference(F t, F p) {
    return Log(Max(p, F(kEpsilon)) + F(1.0f)) - Log(Max(t, F(kEpsilon)) + F(1.0f));
  }
  template <class F>
  INGOT_LOSS static F Value(F t, F p, const float*) {
    const F d = Difference(t, p);
    return d * d;
  }
  template <class F>
  INGOT_LOSS static F Slope(F t, F p, const float*) {
    const F slope = F(2.0f) * Difference(t, p) / (Max(p, F(kEpsilon)) + F(1.0f));
    return Select(p < F(kEpsilon), F(0.0f), slope);
  }
};

// a: delta. d^2 / 2 within delta, a line of the same slope beyond.
struct HuberError {
  template <class F>
  INGOT_LOSS static F Value(F t, F p, const float* a) {
    const F d = p - t, size = Abs(d), delta = F(a[0]);
    return Select(size <= delta, F(0.5f) * d * d, delta * size - F(0.5f) * delta * delta);
  }
  template <class F>
  INGOT_LOSS static F Slope(F t, F p, const float* a) {
    return Clip(p - t, -a[0], a[0]);
  }
};

// log cosh d = |d| + log(1 + e^(-2 |d|)) - log 2
struct LogCosh {
  template <class F>
  INGOT_LOSS static F Value(F t, F p, const float*) {
    const F size = Abs(p - t);
    return size + Log1p(Exp(F(-2.0f) * size)) - F(kLog2);
  }
  template <class F>
  INGOT_LOSS static F Slope(F t, F p, const float*) {
    return Tanh(p - t);
  }
};

// t log(t / p), both within [epsilon, 1]
struct KLDivergence {
  template <class F>
  INGOT_LOSS static F Value(F t, F p, const float*) {
    const F q = Clip(t, kEpsilon, 1.0f);
    return q * Log(q / Clip(p, kEpsilon, 1.0f));
  }
  template <class F>
  INGOT_LOSS static F Slope(F t, F p, const float*) {
    return Inside(p, kEpsilon, 1.0f, F(0.0f) - Clip(t, kEpsilon, 1.0f) / Clip(p, kEpsilon, 1.0f));
  }
};

// p - t log(p + epsilon)
struct Poisson {
  template <class F>
  INGOT_LOSS static F Value(F t, F p, const float*) {
    return p - t * Log(p + F(kEpsilon));
  }
  template <class F>
  INGOT_LOSS static F Slope(F t, F p, const float*) {
    return F(1.0f) - t / (p + F(kEpsilon));
  }
};

// max(1 - t p, 0), t being -1 or 1
struct Hinge {
  template <class F>
  INGOT_LOSS static F Value(F t, F p, const float*) {
    return Max(F(1.0f) - t * p, F(0.0f));
  }
  template <class F>
  INGOT_LOSS static F Slope(F t, F p, const float*) {
    const F m = t * p;  // at the kink half the slope, as JAX has it
    return Select(m < F(1.0f), F(0.0f) - t, Select(m == F(1.0f), F(-0.5f) * t, F(0.0f)));
  }
};

struct SquaredHinge {
  template <class F>
  INGOT_LOSS static F Value(F t, F p, const float* a) {
    const F h = Hinge::Value(t, p, a);
    return h * h;
  }
  template <class F>
  INGOT_LOSS static F Slope(F t, F p, const float* a) {
    return F(-2.0f) * t * Hinge::Value(t, p, a);
  }
};

// a: label smoothing. -(t log p + (1 - t) log(1 - p))
struct BinaryCrossentropy {
  template <class F>
  INGOT_LOSS static F Value(F t, F p, const float* a) {
    const F q = Clip(p, kEpsilon, kBelowOne), s = Smooth(t, a[0]);
    return F(0.0f) - (s * Log(q) + (F(1.0f) - s) * Log(F(1.0f) - q));
  }
  template <class F>
  INGOT_LOSS static F Slope(F t, F p, const float* a) {
    const F q = Clip(p, kEpsilon, kBelowOne), s = Smooth(t, a[0]);
    return Inside(p, kEpsilon, kBelowOne, (F(1.0f) - s) / (F(1.0f) - q) - s / q);
  }
};

// a: label smoothing. With p = sigmoid(x), -log p = softplus(-x) and -log(1 - p) = softplus(x) = softplus(-x) + x, so
// the loss is softplus(x) - t x, whose slope is p - t.
struct BinaryCrossentropyLogits {
  template <class F>
  INGOT_LOSS static F Value(F t, F x, const float* a) {
    return (Max(x, F(0.0f)) - Smooth(t, a[0]) * x) + Log1p(Exp(F(0.0f) - Abs(x)));
  }
  template <class F>
  INGOT_LOSS static F Slope(F t, F x, const float* a) {
    return Sigmoid(x) - Smooth(t, a[0]);
  }
};

// a: gamma, alpha, whether to weigh the classes by alpha and 1 - alpha, label smoothing.
// The cross-entropy times (1 - p_t)^gamma, where p_t = t p + (1 - t)(1 - p).
struct BinaryFocal {
  template <class F>
  INGOT_LOSS static F Weight(F t, const float* a) {
    return a[2] != 0 ? t * F(a[1]) + (F(1.0f) - t) * F(1.0f - a[1]) : F(1.0f);
  }
  template <class F>
  INGOT_LOSS static F Miss(F t, F p) {  // 1 - p_t, which rounding may take below 0
    return Max(F(1.0f) - (t * p + (F(1.0f) - t) * (F(1.0f) - p)), F(0.0f));
  }
  template <class F>
  INGOT_LOSS static F Value(F t, F p, const float* a) {
    const F s = Smooth(t, a[3]);
    const float plain[] = {0};
    return Weight(s, a) * (Power(Miss(s, p), a[0]) * BinaryCrossentropy::Value(s, p, plain));
  }
  // d/dp (1 - p_t)^gamma = gamma (1 - p_t)^(gamma - 1) (1 - 2 t)
  template <class F>
  INGOT_LOSS static F Slope(F t, F p, const float* a) {
    const F s = Smooth(t, a[3]), miss = Miss(s, p);
    const float plain[] = {0};
    const F of_factor =
        F(a[0]) * Power(miss, a[0] - 1) * (F(1.0f) - F(2.0f) * s) * BinaryCrossentropy::Value(s, p, plain);
    return Weight(s, a) * (of_factor + Power(miss, a[0]) * BinaryCrossentropy::Slope(s, p, plain));
  }
};

// The same of p = sigmoid(x), which Keras clips here too: dp/dx = p (1 - p).
struct BinaryFocalLogits {
  template <class F>
  INGOT_LOSS static F Value(F t, F x, const float* a) {
    return BinaryFocal::Value(t, Sigmoid(x), a);
  }
  template <class F>
  INGOT_LOSS static F Slope(F t, F x, const float* a) {
    const F p = Sigmoid(x);
    return BinaryFocal::Slope(t, p, a) * (p * (F(1.0f) - p));
  }
};

// a: gamma, alpha, label smoothing, number of classes. -alpha (1 - p)^gamma t log p; the row is summed.
struct CategoricalFocal {
  template <class F>
  INGOT_LOSS static F Truth(F t, const float* a) {
    return t * F(1.0f - a[2]) + F(a[2] / a[3]);
  }
  template <class F>
  INGOT_LOSS static F Value(F t, F p, const float* a) {
    const F q = Clip(p, kEpsilon, kBelowOne);
    return F(-a[1]) * Power(F(1.0f) - q, a[0]) * Truth(t, a) * Log(q);
  }
  template <class F>
  INGOT_LOSS static F Slope(F t, F p, const float* a) {
    const F q = Clip(p, kEpsilon, kBelowOne), miss = F(1.0f) - q;
    const F d = F(a[0]) * Power(miss, a[0] - 1) * Log(q) - Power(miss, a[0]) / q;
    return Inside(p, kEpsilon, kBelowOne, F(a[1]) * Truth(t, a) * d);
  }
};

// a: a number. 1 where t is another, 0 where it is that: the mask of labels that count.
struct Differs {
  template <class F>
  INGOT_LOSS static F Value(F t, F, const float* a) {
    return Select(t == F(a[0]), F(0.0f), F(1.0f));
  }
  template <class F>
  INGOT_LOSS static F Slope(F, F, const float*) {
    return F(0.0f);
  }
};

#ifdef __CUDACC__
}  // namespace ingot::cuda::losses
#else
}  // namespace losses
// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace ingot::cpu
HWY_AFTER_NAMESPACE();
#endif

#endif  // per-target include guard
