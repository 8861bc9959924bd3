// SPDX-License-Identifier: MIT
//
// One float as the number type F of the formulas (kernels/losses.h): what a vector does for a SIMD target, this does
// for plain loops. A mask is a bool.
#pragma once

#include <cmath>

namespace ingot::cpu {

struct Scalar {
  float v;
  Scalar() = default;
  explicit Scalar(float value) : v(value) {}
};

inline Scalar operator+(Scalar a, Scalar b) { return Scalar(a.v + b.v); }
inline Scalar operator-(Scalar a, Scalar b) { return Scalar(a.v - b.v); }
inline Scalar operator*(Scalar a, Scalar b) { return Scalar(a.v * b.v); }
inline Scalar operator/(Scalar a, Scalar b) { return Scalar(a.v / b.v); }
inline bool operator<(Scalar a, Scalar b) { return a.v < b.v; }
inline bool operator<=(Scalar a, Scalar b) { return a.v <= b.v; }
inline bool operator>(Scalar a, Scalar b) { return a.v > b.v; }
inline bool operator==(Scalar a, Scalar b) { return a.v == b.v; }

inline Scalar Select(bool mask, Scalar yes, Scalar no) { return mask ? yes : no; }
// Of NaN and a number, NaN: a loss must not hide one.
inline Scalar Max(Scalar a, Scalar b) { return a.v < b.v ? b : a; }
inline Scalar Min(Scalar a, Scalar b) { return b.v < a.v ? b : a; }
inline Scalar Abs(Scalar a) { return Scalar(std::fabs(a.v)); }
inline Scalar Exp(Scalar a) { return Scalar(std::exp(a.v)); }
inline Scalar Log(Scalar a) { return Scalar(std::log(a.v)); }
inline Scalar Log1p(Scalar a) { return Scalar(std::log1p(a.v)); }
inline Scalar Expm1(Scalar a) { return Scalar(std::expm1(a.v)); }
inline Scalar Sqrt(Scalar a) { return Scalar(std::sqrt(a.v)); }
inline bool operator>=(Scalar a, Scalar b) { return a.v >= b.v; }
inline Scalar Tanh(Scalar a) { return Scalar(std::tanh(a.v)); }

}  // namespace ingot::cpu
