// SPDX-License-Identifier: MIT
//
// The formulas of kernels/formulas.h and their slopes, each written once. Compiled once for each SIMD target, where F
// is a vector (cpu/vector-inl.h), or once for a GPU, where it is a float. F has + - * /, comparisons that give a mask,
// F(float), and Select, Max, Min, Abs, Exp, Log, Log1p, Expm1, Tanh and Sqrt, found by the type of their arguments (so
// for plain floats they must be declared before this is included). Of NaN and a number, Max and Min give NaN if it is
// the first.
//
//   Value(x, p)  the formula; p are its parameters, as said at its name
//   Slope(x, p)  its derivative at x; where kFromOutput, in terms of y = Value(x, p) instead
//
// Nothing overflows that need not, NaN gives NaN, and slopes at kinks are those of Keras with JAX. Longer than other
// files, being a list.
#if defined(INGOT_KERNELS_FORMULAS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef INGOT_KERNELS_FORMULAS_INL_H_
#undef INGOT_KERNELS_FORMULAS_INL_H_
#else
#define INGOT_KERNELS_FORMULAS_INL_H_
#endif

#include "ingot/kernels/formulas.h"

#ifdef __CUDACC__
#define INGOT_FORMULA __device__ __forceinline__
namespace ingot::cuda::formulas {
#else
#include "hwy/highway.h"
#undef INGOT_FORMULA
#define INGOT_FORMULA HWY_INLINE
HWY_BEFORE_NAMESPACE();
namespace ingot::cpu {
namespace HWY_NAMESPACE {
namespace {
namespace formulas {
#endif

// 1 / (1 + e^-x), from e^-|x| so that nothing overflows.
template <class F>
INGOT_FORMULA F Logistic(F x) {
  const F e = Exp(F(0.0f) - Abs(x));
  return Select(x < F(0.0f), e, F(1.0f)) / (F(1.0f) + e);
}

// log(1 + e^x)
template <class F>
INGOT_FORMULA F LogOnePlusExp(F x) {
  return Max(x, F(0.0f)) + Log1p(Exp(F(0.0f) - Abs(x)));
}

// How much of the normal distribution lies below x. The tail beyond a = |x| is e^(-a^2 / 2) t P(t), t = 1 / (1 + 0.3
// a), P fitted for a relative error below 5e-9 as far as a float can hold the result.
template <class F>
INGOT_FORMULA F NormalBelow(F x) {
  const F a = Min(Abs(x), F(20.0f)), t = F(1.0f) / (F(1.0f) + F(0.3f) * a);
  F q = F(-0.0206129483f);
  q = q * t + F(0.112376428f);
  q = q * t - F(0.228069048f);
  q = q * t + F(0.191583749f);
  q = q * t - F(0.079249054f);
  q = q * t + F(0.0960587514f);
  q = q * t + F(0.0784252607f);
  q = q * t + F(0.110227392f);
  q = q * t + F(0.119572833f);
  q = q * t + F(0.119686635f);
  const F tail = Exp(F(-0.5f) * a * a) * (q * t);
  return Select(x < F(0.0f), tail, F(1.0f) - tail);
}

// `inside` between low and high, 0 at and beyond them; NaN where x is.
template <class F>
INGOT_FORMULA F Between(F x, float low, float high, F inside) {
  return Select(x <= F(low), F(0.0f), Select(x >= F(high), F(0.0f), inside + x * F(0.0f)));
}

struct AffineFormula {  // p0 x + p1
  static constexpr bool kFromOutput = false;
  template <class F>
  INGOT_FORMULA static F Value(F x, const float* p) {
    return F(p[0]) * x + F(p[1]);
  }
  template <class F>
  INGOT_FORMULA static F Slope(F, const float* p) {
    return F(p[0]);
  }
};
struct AbsFormula {
  static constexpr bool kFromOutput = false;
  template <class F>
  INGOT_FORMULA static F Value(F x, const float*) {
    return Abs(x);
  }
  template <class F>
  INGOT_FORMULA static F Slope(F x, const float*) {  // 1 at 0, as JAX has it
    return Select(x < F(0.0f), F(-1.0f), Select(x >= F(0.0f), F(1.0f), x));
  }
};
struct SquareFormula {
  static constexpr bool kFromOutput = false;
  template <class F>
  INGOT_FORMULA static F Value(F x, const float*) {
    return x * x;
  }
  template <class F>
  INGOT_FORMULA static F Slope(F x, const float*) {
    return x + x;
  }
};
struct SqrtFormula {
  static constexpr bool kFromOutput = true;
  template <class F>
  INGOT_FORMULA static F Value(F x, const float*) {
    return Sqrt(x);
  }
  template <class F>
  INGOT_FORMULA static F Slope(F y, const float*) {
    return F(0.5f) / y;
  }
};
struct RsqrtFormula {  // y' = -y^3 / 2
  static constexpr bool kFromOutput = true;
  template <class F>
  INGOT_FORMULA static F Value(F x, const float*) {
    return F(1.0f) / Sqrt(x);
  }
  template <class F>
  INGOT_FORMULA static F Slope(F y, const float*) {
    return F(-0.5f) * y * y * y;
  }
};
struct ExpFormula {
  static constexpr bool kFromOutput = true;
  template <class F>
  INGOT_FORMULA static F Value(F x, const float*) {
    return Exp(x);
  }
  template <class F>
  INGOT_FORMULA static F Slope(F y, const float*) {
    return y;
  }
};
struct LogFormula {
  static constexpr bool kFromOutput = false;
  template <class F>
  INGOT_FORMULA static F Value(F x, const float*) {
    return Log(x);
  }
  template <class F>
  INGOT_FORMULA static F Slope(F x, const float*) {
    return F(1.0f) / x;
  }
};
// negative slope, maximum (none if negative), threshold. The slope is 0 at the threshold; at the maximum it is half,
// but for relu6, and from the output only if that tells the two apart (GradFromOutput).
struct ReluFormula {
  static constexpr bool kFromOutput = false;
  template <class F>
  INGOT_FORMULA static F Value(F x, const float* p) {
    const F below = p[0] == 0 ? F(0.0f) : F(p[0]) * (x - F(p[2]));
    const F kept = Select(x <= F(p[2]), below, x);
    return p[1] < 0 ? kept : Select(x > F(p[1]), F(p[1]), kept);
  }
  template <class F>
  INGOT_FORMULA static F Slope(F x, const float* p) {
    const F at_threshold = F(p[1] < 0 && p[2] == 0 && p[0] != 0 ? 1.0f : 0.0f);  // Keras takes leaky ReLU's path
    const F kept = Select(x < F(p[2]), F(p[0]), Select(x == F(p[2]), at_threshold, F(1.0f)));
    if (p[1] < 0) return kept;
    const F at_maximum = F(p[1] == 6 && p[2] == 0 ? 0.0f : 0.5f);
    return Select(x > F(p[1]), F(0.0f), Select(x == F(p[1]), at_maximum, kept));
  }
};
struct LeakyReluFormula {  // slope below 0
  static constexpr bool kFromOutput = false;
  template <class F>
  INGOT_FORMULA static F Value(F x, const float* p) {
    return Select(x < F(0.0f), F(p[0]) * x, x);
  }
  template <class F>
  INGOT_FORMULA static F Slope(F x, const float* p) {
    return Select(x < F(0.0f), F(p[0]), F(1.0f));
  }
};
struct EluFormula {  // alpha
  static constexpr bool kFromOutput = false;
  template <class F>
  INGOT_FORMULA static F Value(F x, const float* p) {
    return Select(x > F(0.0f), x, F(p[0]) * Expm1(Min(x, F(0.0f))));
  }
  template <class F>
  INGOT_FORMULA static F Slope(F x, const float* p) {
    return Select(x > F(0.0f), F(1.0f), F(p[0]) * Exp(Min(x, F(0.0f))));
  }
};
struct CeluFormula {  // alpha
  static constexpr bool kFromOutput = false;
  template <class F>
  INGOT_FORMULA static F Value(F x, const float* p) {
    return Max(x, F(0.0f)) + F(p[0]) * Expm1(Min(x, F(0.0f)) / F(p[0]));
  }
  template <class F>
  INGOT_FORMULA static F Slope(F x, const float* p) {
    return Select(x > F(0.0f), F(1.0f), Exp(Min(x, F(0.0f)) / F(p[0])));
  }
};
struct SeluFormula {
  static constexpr bool kFromOutput = false;
  template <class F>
  INGOT_FORMULA static F Value(F x, const float*) {
    return F(1.0507009873554805f) * Select(x > F(0.0f), x, F(1.6732632423543772f) * Expm1(Min(x, F(0.0f))));
  }
  template <class F>
  INGOT_FORMULA static F Slope(F x, const float*) {
    return F(1.0507009873554805f) * Select(x > F(0.0f), F(1.0f), F(1.6732632423543772f) * Exp(Min(x, F(0.0f))));
  }
};
struct SoftplusFormula {
  static constexpr bool kFromOutput = false;
  template <class F>
  INGOT_FORMULA static F Value(F x, const float*) {
    return LogOnePlusExp(x);
  }
  template <class F>
  INGOT_FORMULA static F Slope(F x, const float*) {
    return Logistic(x);
  }
};
struct SoftsignFormula {
  static constexpr bool kFromOutput = false;
  template <class F>
  INGOT_FORMULA static F Value(F x, const float*) {
    return x / (F(1.0f) + Abs(x));
  }
  template <class F>
  INGOT_FORMULA static F Slope(F x, const float*) {
    const F d = F(1.0f) + Abs(x);
    return F(1.0f) / (d * d);
  }
};
struct SigmoidFormula {
  static constexpr bool kFromOutput = true;
  template <class F>
  INGOT_FORMULA static F Value(F x, const float*) {
    return Logistic(x);
  }
  template <class F>
  INGOT_FORMULA static F Slope(F y, const float*) {
    return y * (F(1.0f) - y);
  }
};
struct HardSigmoidFormula {  // relu6(x + 3) / 6
  static constexpr bool kFromOutput = false;
  template <class F>
  INGOT_FORMULA static F Value(F x, const float*) {
    return Min(Max(x + F(3.0f), F(0.0f)), F(6.0f)) / F(6.0f);
  }
  template <class F>
  INGOT_FORMULA static F Slope(F x, const float*) {
    return Between(x, -3, 3, F(1 / 6.0f));
  }
};
struct SiluFormula {
  static constexpr bool kFromOutput = false;
  template <class F>
  INGOT_FORMULA static F Value(F x, const float*) {
    return x * Logistic(x);
  }
  template <class F>
  INGOT_FORMULA static F Slope(F x, const float*) {
    const F s = Logistic(x);
    return s * (F(1.0f) + x * (F(1.0f) - s));
  }
};
struct HardSiluFormula {
  static constexpr bool kFromOutput = false;
  template <class F>
  INGOT_FORMULA static F Value(F x, const float*) {
    return x * (Min(Max(x + F(3.0f), F(0.0f)), F(6.0f)) / F(6.0f));
  }
  template <class F>
  INGOT_FORMULA static F Slope(F x, const float*) {
    const F gate = Min(Max(x + F(3.0f), F(0.0f)), F(6.0f)) / F(6.0f);
    return gate + x * Between(x, -3, 3, F(1 / 6.0f));
  }
};
struct GeluFormula {  // x times the normal distribution function
  static constexpr bool kFromOutput = false;
  template <class F>
  INGOT_FORMULA static F Value(F x, const float*) {
    return x * NormalBelow(x);
  }
  template <class F>
  INGOT_FORMULA static F Slope(F x, const float*) {
    const F c = Max(Min(x, F(20.0f)), F(-20.0f));  // beyond, the density is 0
    return NormalBelow(x) + c * (F(0.3989422804014327f) * Exp(F(-0.5f) * c * c));
  }
};
// x (1 + tanh u) / 2 with u = sqrt(2 / pi) (x + 0.044715 x^3); (1 + tanh u) / 2 is the logistic function of 2 u, which
// does not cancel.
struct GeluTanhFormula {
  static constexpr bool kFromOutput = false;
  template <class F>
  INGOT_FORMULA static F Value(F x, const float*) {
    return x * Logistic(F(1.5957691216057308f) * (x + F(0.044715f) * x * x * x));
  }
  template <class F>
  INGOT_FORMULA static F Slope(F x, const float*) {
    const F c = Max(Min(x, F(20.0f)), F(-20.0f));  // beyond, the slope is 0 or 1
    const F s = Logistic(F(1.5957691216057308f) * (c + F(0.044715f) * c * c * c));
    return s + c * s * (F(1.0f) - s) * (F(1.5957691216057308f) * (F(1.0f) + F(3 * 0.044715f) * c * c));
  }
};
struct TanhFormula {
  static constexpr bool kFromOutput = true;
  template <class F>
  INGOT_FORMULA static F Value(F x, const float*) {
    return Tanh(x);
  }
  template <class F>
  INGOT_FORMULA static F Slope(F y, const float*) {
    return F(1.0f) - y * y;
  }
};
struct TanhShrinkFormula {
  static constexpr bool kFromOutput = false;
  template <class F>
  INGOT_FORMULA static F Value(F x, const float*) {
    return x - Tanh(x);
  }
  template <class F>
  INGOT_FORMULA static F Slope(F x, const float*) {
    const F t = Tanh(x);
    return t * t;
  }
};
struct HardTanhFormula {
  static constexpr bool kFromOutput = false;
  template <class F>
  INGOT_FORMULA static F Value(F x, const float*) {
    return Min(Max(x, F(-1.0f)), F(1.0f));
  }
  template <class F>
  INGOT_FORMULA static F Slope(F x, const float*) {
    return Select(Abs(x) <= F(1.0f), F(1.0f), F(0.0f));
  }
};
struct HardShrinkFormula {  // threshold
  static constexpr bool kFromOutput = false;
  template <class F>
  INGOT_FORMULA static F Value(F x, const float* p) {
    return Select(Abs(x) <= F(p[0]), F(0.0f), x);
  }
  template <class F>
  INGOT_FORMULA static F Slope(F x, const float* p) {
    return Select(Abs(x) <= F(p[0]), F(0.0f), F(1.0f));
  }
};
struct SoftShrinkFormula {  // threshold
  static constexpr bool kFromOutput = false;
  template <class F>
  INGOT_FORMULA static F Value(F x, const float* p) {
    return Select(x > F(p[0]), x - F(p[0]), Select(x < F(-p[0]), x + F(p[0]), x * F(0.0f)));
  }
  template <class F>
  INGOT_FORMULA static F Slope(F x, const float* p) {
    return Select(Abs(x) > F(p[0]), F(1.0f), F(0.0f));
  }
};
// b; (x + sqrt(x^2 + b)) / 2, which cancels where x is negative: so it does in Keras, whose numbers these are. Where
// x^2 overflows, the root is |x|.
struct SquareplusFormula {
  static constexpr bool kFromOutput = false;
  template <class F>
  INGOT_FORMULA static F Root(F x, const float* p) {
    return Select(Abs(x) > F(1e18f), Abs(x), Sqrt(x * x + F(p[0])));
  }
  template <class F>
  INGOT_FORMULA static F Value(F x, const float* p) {
    return Root(x, p) * F(0.5f) + x * F(0.5f);
  }
  template <class F>
  INGOT_FORMULA static F Slope(F x, const float* p) {
    return F(0.5f) * (F(1.0f) + x / Root(x, p));
  }
};
struct LogSigmoidFormula {
  static constexpr bool kFromOutput = false;
  template <class F>
  INGOT_FORMULA static F Value(F x, const float*) {
    return F(0.0f) - LogOnePlusExp(F(0.0f) - x);
  }
  template <class F>
  INGOT_FORMULA static F Slope(F x, const float*) {
    return Logistic(F(0.0f) - x);
  }
};
struct SparsePlusFormula {
  static constexpr bool kFromOutput = false;
  template <class F>
  INGOT_FORMULA static F Value(F x, const float*) {
    return Select(x <= F(-1.0f), F(0.0f), Select(x >= F(1.0f), x, F(0.25f) * (x + F(1.0f)) * (x + F(1.0f))));
  }
  template <class F>
  INGOT_FORMULA static F Slope(F x, const float*) {
    return Select(x <= F(-1.0f), F(0.0f), Select(x >= F(1.0f), F(1.0f), F(0.5f) * (x + F(1.0f))));
  }
};
struct SparseSigmoidFormula {
  static constexpr bool kFromOutput = false;
  template <class F>
  INGOT_FORMULA static F Value(F x, const float*) {
    return Min(Max(F(0.5f) * (x + F(1.0f)), F(0.0f)), F(1.0f));
  }
  template <class F>
  INGOT_FORMULA static F Slope(F x, const float*) {
    return Select(Abs(x) == F(1.0f), F(0.25f), Select(Abs(x) < F(1.0f), F(0.5f), F(0.0f)));
  }
};
struct ThresholdFormula {  // threshold, value below it
  static constexpr bool kFromOutput = false;
  template <class F>
  INGOT_FORMULA static F Value(F x, const float* p) {
    return Select(x <= F(p[0]), F(p[1]), x);
  }
  template <class F>
  INGOT_FORMULA static F Slope(F x, const float* p) {
    return Select(x > F(p[0]), F(1.0f), F(0.0f));
  }
};
// x tanh(log(1 + e^x)) = x n / (n + 2) with n = e^x (e^x + 2). From x = 20 on it is x.
struct MishFormula {
  static constexpr bool kFromOutput = false;
  template <class F>
  INGOT_FORMULA static F Value(F x, const float*) {
    const F e = Exp(Min(x, F(20.0f))), n = e * (e + F(2.0f));
    return x * (n / (n + F(2.0f)));
  }
  template <class F>
  INGOT_FORMULA static F Slope(F x, const float*) {
    const F e = Exp(Min(x, F(20.0f))), n = e * (e + F(2.0f));
    const F t = n / (n + F(2.0f)), below_1 = F(2.0f) / (n + F(2.0f));
    return t + x * (below_1 * (F(1.0f) + t)) * Logistic(x);
  }
};

#ifdef __CUDACC__
}  // namespace ingot::cuda::formulas
#else
}  // namespace formulas
// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace ingot::cpu
HWY_AFTER_NAMESPACE();
#endif

#endif  // per-target include guard
