// SPDX-License-Identifier: MIT
//
// Every elementwise formula and its slope, written once over a number type F: a vector of any SIMD target, or one
// float on a GPU. F has + - * /, comparisons that give a mask, F(float), and Select, Max, Min, Abs, Exp, Log, Log1p,
// Expm1, Tanh, Erf and Sqrt, found by the type of their arguments.
//
//   Value(x, p)  the formula; p are its parameters, as said behind its name
//   Slope(x, p)  its derivative at x; where kFromOutput, in terms of y = Value(x, p) instead
//
// To add a formula: a line in the list and its struct.
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

namespace formulas {

// 1 / (1 + e^-x), from e^-|x| so that nothing overflows.
template <class F>
F Logistic(F x) {
  const F e = Exp(F(0.0f) - Abs(x));
  return Select(x < F(0.0f), e, F(1.0f)) / (F(1.0f) + e);
}

// log(1 + e^x)
template <class F>
F LogOnePlusExp(F x) {
  return Max(x, F(0.0f)) + Log1p(Exp(F(0.0f) - Abs(x)));
}

// `inside` between low and high, 0 at and beyond them; NaN where x is.
template <class F>
F Between(F x, float low, float high, F inside) {
  return Select(x <= F(low), F(0.0f), Select(x >= F(high), F(0.0f), inside + x * F(0.0f)));
}

struct AffineFormula {  // p0 x + p1
  static constexpr bool kFromOutput = false;
  template <class F>
  static F Value(F x, [[maybe_unused]] const float* p) {
    return F(p[0]) * x + F(p[1]);
  }
  template <class F>
  static F Slope([[maybe_unused]] F x, [[maybe_unused]] const float* p) {
    return F(p[0]);
  }
};
struct AbsFormula {
  static constexpr bool kFromOutput = false;
  template <class F>
  static F Value(F x, [[maybe_unused]] const float* p) {
    return Abs(x);
  }
  template <class F>
  static F Slope([[maybe_unused]] F x, [[maybe_unused]] const float* p) {
    return Select(x < F(0.0f), F(-1.0f), Select(x > F(0.0f), F(1.0f), x));
  }
};
struct SquareFormula {
  static constexpr bool kFromOutput = false;
  template <class F>
  static F Value(F x, [[maybe_unused]] const float* p) {
    return x * x;
  }
  template <class F>
  static F Slope([[maybe_unused]] F x, [[maybe_unused]] const float* p) {
    return x + x;
  }
};
struct SqrtFormula {
  static constexpr bool kFromOutput = true;
  template <class F>
  static F Value(F x, [[maybe_unused]] const float* p) {
    return Sqrt(x);
  }
  template <class F>
  static F Slope([[maybe_unused]] F y, [[maybe_unused]] const float* p) {
    return F(0.5f) / y;
  }
};
struct RsqrtFormula {  // y' = -y^3 / 2
  static constexpr bool kFromOutput = true;
  template <class F>
  static F Value(F x, [[maybe_unused]] const float* p) {
    return F(1.0f) / Sqrt(x);
  }
  template <class F>
  static F Slope([[maybe_unused]] F y, [[maybe_unused]] const float* p) {
    return F(-0.5f) * y * y * y;
  }
};
struct ExpFormula {
  static constexpr bool kFromOutput = true;
  template <class F>
  static F Value(F x, [[maybe_unused]] const float* p) {
    return Exp(x);
  }
  template <class F>
  static F Slope([[maybe_unused]] F y, [[maybe_unused]] const float* p) {
    return y;
  }
};
struct LogFormula {
  static constexpr bool kFromOutput = false;
  template <class F>
  static F Value(F x, [[maybe_unused]] const float* p) {
    return Log(x);
  }
  template <class F>
  static F Slope([[maybe_unused]] F x, [[maybe_unused]] const float* p) {
    return F(1.0f) / x;
  }
};
struct ReluFormula {  // negative slope, maximum (none if negative), threshold
  static constexpr bool kFromOutput = false;
  template <class F>
  static F Value(F x, [[maybe_unused]] const float* p) {
    const F kept = Select(x < F(p[2]), F(p[0]) * (x - F(p[2])), x);
    return p[1] < 0 ? kept : Select(x >= F(p[1]), F(p[1]), kept);
  }
  template <class F>
  static F Slope([[maybe_unused]] F x, [[maybe_unused]] const float* p) {
    if (p[2] == 0) {  // Keras takes the slope of plain and leaky ReLU at 0 to be the lower one
      const F kept = Select(x > F(0.0f), F(1.0f), F(p[0]));
      return p[1] < 0 ? kept : Select(x >= F(p[1]), F(0.0f), kept);
    }
    const F kept = Select(x > F(p[2]), F(1.0f), F(p[0]));
    return p[1] < 0 ? kept : Select(x >= F(p[1]), F(0.0f), kept);
  }
};
struct LeakyReluFormula {  // slope below 0
  static constexpr bool kFromOutput = false;
  template <class F>
  static F Value(F x, const float* p) {
    return Select(x < F(0.0f), F(p[0]) * x, x);
  }
  template <class F>
  static F Slope(F x, const float* p) {
    return Select(x < F(0.0f), F(p[0]), F(1.0f));
  }
};
struct EluFormula {  // alpha
  static constexpr bool kFromOutput = false;
  template <class F>
  static F Value(F x, [[maybe_unused]] const float* p) {
    return Select(x > F(0.0f), x, F(p[0]) * Expm1(Min(x, F(0.0f))));
  }
  template <class F>
  static F Slope([[maybe_unused]] F x, [[maybe_unused]] const float* p) {
    return Select(x > F(0.0f), F(1.0f), F(p[0]) * Exp(Min(x, F(0.0f))));
  }
};
struct CeluFormula {  // alpha
  static constexpr bool kFromOutput = false;
  template <class F>
  static F Value(F x, [[maybe_unused]] const float* p) {
    return Max(x, F(0.0f)) + F(p[0]) * Expm1(Min(x, F(0.0f)) / F(p[0]));
  }
  template <class F>
  static F Slope([[maybe_unused]] F x, [[maybe_unused]] const float* p) {
    return Select(x > F(0.0f), F(1.0f), Exp(Min(x, F(0.0f)) / F(p[0])));
  }
};
struct SeluFormula {
  static constexpr bool kFromOutput = false;
  template <class F>
  static F Value(F x, [[maybe_unused]] const float* p) {
    return F(1.0507009873554805f) * Select(x > F(0.0f), x, F(1.6732632423543772f) * Expm1(Min(x, F(0.0f))));
  }
  template <class F>
  static F Slope([[maybe_unused]] F x, [[maybe_unused]] const float* p) {
    return F(1.0507009873554805f) * Select(x > F(0.0f), F(1.0f), F(1.6732632423543772f) * Exp(Min(x, F(0.0f))));
  }
};
struct SoftplusFormula {
  static constexpr bool kFromOutput = false;
  template <class F>
  static F Value(F x, [[maybe_unused]] const float* p) {
    return LogOnePlusExp(x);
  }
  template <class F>
  static F Slope([[maybe_unused]] F x, [[maybe_unused]] const float* p) {
    return Logistic(x);
  }
};
struct SoftsignFormula {
  static constexpr bool kFromOutput = false;
  template <class F>
  static F Value(F x, [[maybe_unused]] const float* p) {
    return x / (F(1.0f) + Abs(x));
  }
  template <class F>
  static F Slope([[maybe_unused]] F x, [[maybe_unused]] const float* p) {
    const F d = F(1.0f) + Abs(x);
    return F(1.0f) / (d * d);
  }
};
struct SigmoidFormula {
  static constexpr bool kFromOutput = true;
  template <class F>
  static F Value(F x, [[maybe_unused]] const float* p) {
    return Logistic(x);
  }
  template <class F>
  static F Slope([[maybe_unused]] F y, [[maybe_unused]] const float* p) {
    return y * (F(1.0f) - y);
  }
};
struct HardSigmoidFormula {  // relu6(x + 3) / 6
  static constexpr bool kFromOutput = false;
  template <class F>
  static F Value(F x, [[maybe_unused]] const float* p) {
    return Min(Max(x + F(3.0f), F(0.0f)), F(6.0f)) / F(6.0f);
  }
  template <class F>
  static F Slope([[maybe_unused]] F x, [[maybe_unused]] const float* p) {
    return Between(x, -3, 3, F(1 / 6.0f));
  }
};
struct SiluFormula {
  static constexpr bool kFromOutput = false;
  template <class F>
  static F Value(F x, [[maybe_unused]] const float* p) {
    return x * Logistic(x);
  }
  template <class F>
  static F Slope([[maybe_unused]] F x, [[maybe_unused]] const float* p) {
    const F s = Logistic(x);
    return s * (F(1.0f) + x * (F(1.0f) - s));
  }
};
struct HardSiluFormula {
  static constexpr bool kFromOutput = false;
  template <class F>
  static F Value(F x, [[maybe_unused]] const float* p) {
    return x * (Min(Max(x + F(3.0f), F(0.0f)), F(6.0f)) / F(6.0f));
  }
  template <class F>
  static F Slope([[maybe_unused]] F x, [[maybe_unused]] const float* p) {
    const F gate = Min(Max(x + F(3.0f), F(0.0f)), F(6.0f)) / F(6.0f);
    return gate + x * Between(x, -3, 3, F(1 / 6.0f));
  }
};
struct GeluFormula {  // x times the normal distribution function
  static constexpr bool kFromOutput = false;
  template <class F>
  static F Value(F x, [[maybe_unused]] const float* p) {
    return F(0.5f) * x * (F(1.0f) + Erf(x * F(0.70710678118654752f)));
  }
  template <class F>
  static F Slope([[maybe_unused]] F x, [[maybe_unused]] const float* p) {
    const F density = F(0.3989422804014327f) * Exp(F(-0.5f) * x * x);
    return F(0.5f) * (F(1.0f) + Erf(x * F(0.70710678118654752f))) + x * density;
  }
};
struct GeluTanhFormula {
  static constexpr bool kFromOutput = false;
  template <class F>
  static F Value(F x, [[maybe_unused]] const float* p) {
    const F inner = F(0.7978845608028654f) * (x + F(0.044715f) * x * x * x);
    return F(0.5f) * x * (F(1.0f) + Tanh(inner));
  }
  template <class F>
  static F Slope([[maybe_unused]] F x, [[maybe_unused]] const float* p) {
    const F t = Tanh(F(0.7978845608028654f) * (x + F(0.044715f) * x * x * x));
    const F inner = F(0.7978845608028654f) * (F(1.0f) + F(3 * 0.044715f) * x * x);
    return F(0.5f) * (F(1.0f) + t) + F(0.5f) * x * (F(1.0f) - t * t) * inner;
  }
};
struct TanhFormula {
  static constexpr bool kFromOutput = true;
  template <class F>
  static F Value(F x, [[maybe_unused]] const float* p) {
    return Tanh(x);
  }
  template <class F>
  static F Slope([[maybe_unused]] F y, [[maybe_unused]] const float* p) {
    return F(1.0f) - y * y;
  }
};
struct TanhShrinkFormula {
  static constexpr bool kFromOutput = false;
  template <class F>
  static F Value(F x, [[maybe_unused]] const float* p) {
    return x - Tanh(x);
  }
  template <class F>
  static F Slope([[maybe_unused]] F x, [[maybe_unused]] const float* p) {
    const F t = Tanh(x);
    return t * t;
  }
};
struct HardTanhFormula {
  static constexpr bool kFromOutput = false;
  template <class F>
  static F Value(F x, [[maybe_unused]] const float* p) {
    return Min(Max(x, F(-1.0f)), F(1.0f));
  }
  template <class F>
  static F Slope([[maybe_unused]] F x, [[maybe_unused]] const float* p) {
    return Select(Abs(x) <= F(1.0f), F(1.0f), F(0.0f));  // Keras: 1 at both ends
  }
};
struct HardShrinkFormula {  // threshold
  static constexpr bool kFromOutput = false;
  template <class F>
  static F Value(F x, [[maybe_unused]] const float* p) {
    return Select(Abs(x) <= F(p[0]), F(0.0f), x);
  }
  template <class F>
  static F Slope([[maybe_unused]] F x, [[maybe_unused]] const float* p) {
    return Select(Abs(x) <= F(p[0]), F(0.0f), F(1.0f));
  }
};
struct SoftShrinkFormula {  // threshold
  static constexpr bool kFromOutput = false;
  template <class F>
  static F Value(F x, [[maybe_unused]] const float* p) {
    return Select(x > F(p[0]), x - F(p[0]), Select(x < F(-p[0]), x + F(p[0]), x * F(0.0f)));
  }
  template <class F>
  static F Slope([[maybe_unused]] F x, [[maybe_unused]] const float* p) {
    return Select(Abs(x) > F(p[0]), F(1.0f), F(0.0f));
  }
};
struct SquareplusFormula {  // b
  static constexpr bool kFromOutput = false;
  template <class F>
  static F Value(F x, [[maybe_unused]] const float* p) {
    return F(0.5f) * (x + Sqrt(x * x + F(p[0])));
  }
  template <class F>
  static F Slope([[maybe_unused]] F x, [[maybe_unused]] const float* p) {
    return F(0.5f) * (F(1.0f) + x / Sqrt(x * x + F(p[0])));
  }
};
struct LogSigmoidFormula {
  static constexpr bool kFromOutput = false;
  template <class F>
  static F Value(F x, [[maybe_unused]] const float* p) {
    return F(0.0f) - LogOnePlusExp(F(0.0f) - x);
  }
  template <class F>
  static F Slope([[maybe_unused]] F x, [[maybe_unused]] const float* p) {
    return Logistic(F(0.0f) - x);
  }
};
struct SparsePlusFormula {
  static constexpr bool kFromOutput = false;
  template <class F>
  static F Value(F x, [[maybe_unused]] const float* p) {
    return Select(x <= F(-1.0f), F(0.0f), Select(x >= F(1.0f), x, F(0.25f) * (x + F(1.0f)) * (x + F(1.0f))));
  }
  template <class F>
  static F Slope([[maybe_unused]] F x, [[maybe_unused]] const float* p) {
    return Select(x <= F(-1.0f), F(0.0f), Select(x >= F(1.0f), F(1.0f), F(0.5f) * (x + F(1.0f))));
  }
};
struct SparseSigmoidFormula {
  static constexpr bool kFromOutput = false;
  template <class F>
  static F Value(F x, [[maybe_unused]] const float* p) {
    return Min(Max(F(0.5f) * (x + F(1.0f)), F(0.0f)), F(1.0f));
  }
  template <class F>
  static F Slope([[maybe_unused]] F x, [[maybe_unused]] const float* p) {
    // Keras: half the slope at both ends, where a maximum (minimum) has two equal operands.
    return Select(Abs(x) < F(1.0f), F(0.5f), Select(Abs(x) == F(1.0f), F(0.25f), F(0.0f)));
  }
};
struct ThresholdFormula {  // threshold, value below it
  static constexpr bool kFromOutput = false;
  template <class F>
  static F Value(F x, [[maybe_unused]] const float* p) {
    return Select(x > F(p[0]), x, F(p[1]));
  }
  template <class F>
  static F Slope([[maybe_unused]] F x, [[maybe_unused]] const float* p) {
    return Select(x > F(p[0]), F(1.0f), F(0.0f));
  }
};
struct MishFormula {
  static constexpr bool kFromOutput = false;
  template <class F>
  static F Value(F x, [[maybe_unused]] const float* p) {
    return x * Tanh(LogOnePlusExp(x));
  }
  template <class F>
  static F Slope([[maybe_unused]] F x, [[maybe_unused]] const float* p) {
    const F t = Tanh(LogOnePlusExp(x));
    return t + x * (F(1.0f) - t * t) * Logistic(x);
  }
};

}  // namespace formulas

// Whether a formula's slope is taken from its output. ReLU's can be taken from either: y > 0 where x > 0.
// clang-format off
constexpr bool GradFromOutput(Formula formula, const float* p) {
  switch (formula) {
    case Formula::kRelu:
      return p[0] == 0 && p[2] == 0;
#define X(name)          \
  case Formula::k##name: \
    return formulas::name##Formula::kFromOutput;
      X(Affine)
      X(Abs) X(Square) X(Sqrt) X(Rsqrt) X(Exp) X(Log) X(LeakyRelu) X(Elu) X(Celu) X(Selu) X(Softplus) X(Softsign)
          X(Sigmoid) X(HardSigmoid) X(Silu) X(HardSilu) X(Gelu) X(GeluTanh) X(Tanh) X(TanhShrink) X(HardTanh)
              X(HardShrink) X(SoftShrink) X(Squareplus) X(LogSigmoid) X(SparsePlus) X(SparseSigmoid) X(Threshold)
                  X(Mish)
#undef X
  }
  return false;
}
// clang-format on

}  // namespace ingot
