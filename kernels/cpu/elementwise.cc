// SPDX-License-Identifier: MIT
//
// Kernels over elements one by one: the formulas, sums and products with broadcasting, random masks.
//
// Threads: work is cut into tiles by shape alone.
#include <algorithm>
#include <cmath>

#include "ingot/core/random.h"
#include "ingot/kernels/cpu/cpu.h"
#include "ingot/kernels/cpu/scalar.h"
#include "ingot/kernels/cpu/tiles.h"
#include "ingot/kernels/formulas.h"

namespace ingot::cpu {
namespace {

template <class Formula>
void Apply(const Call& call) {
  const float *x = call.in[0].f(), *p = call.as<UnaryAttrs>().p;
  float* y = call.out[0].f();
  ForTiles(call, call.out[0].count(), 1, [&](int64_t, int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) y[i] = Formula::Value(Scalar(x[i]), p).v;
  });
}

template <class Formula>
void ApplyGrad(const Call& call) {
  const float *xy = call.in[0].f(), *dy = call.in[1].f(), *p = call.as<UnaryAttrs>().p;
  float* dx = call.out[0].f();
  ForTiles(call, call.out[0].count(), 1, [&](int64_t, int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) dx[i] = dy[i] * Formula::Slope(Scalar(xy[i]), p).v;
  });
}

constexpr KernelFn kApply[] = {
#define X(name) &Apply<formulas::name##Formula>,
    INGOT_FORMULAS(X)
#undef X
};
constexpr KernelFn kApplyGrad[] = {
#define X(name) &ApplyGrad<formulas::name##Formula>,
    INGOT_FORMULAS(X)
#undef X
};

// Steps through an operand that is broadcast to `out`: how far to go for each axis of out.
struct Strides {
  int64_t step[kMaxRank] = {};
  Strides(const Shape& shape, const Shape& out) {
    int64_t stride = 1;
    for (int i = 1; i <= shape.rank(); ++i) {
      const int64_t dim = shape[-i];
      step[out.rank() - i] = dim == 1 ? 0 : stride;
      stride *= dim;
    }
  }
};

// f(first element of out, offset in a, offset in b, step in a, step in b, n) for each row along the last axis.
template <class F>
void ForRows(const Call& call, const Shape& a, const Shape& b, const Shape& out, const F& f) {
  const int64_t width = out.rank() ? out.back() : 1;
  const int64_t rows = width ? out.count() / width : 0;
  const Strides sa(a, out), sb(b, out);
  const int last = out.rank() - 1;
  ForTiles(call, rows, width, [&](int64_t, int64_t from, int64_t to) {
    for (int64_t row = from; row < to; ++row) {
      int64_t rest = row, at_a = 0, at_b = 0;
      for (int i = last - 1; i >= 0; --i) {
        const int64_t index = rest % out[i];
        rest /= out[i];
        at_a += index * sa.step[i];
        at_b += index * sb.step[i];
      }
      f(row * width, at_a, at_b, last >= 0 ? sa.step[last] : 0, last >= 0 ? sb.step[last] : 0, width);
    }
  });
}

template <class F>
void Combine(const Call& call, const F& f) {
  const Operand &a = call.in[0], &b = call.in[1], &y = call.out[0];
  const float *pa = a.f(), *pb = b.f();
  float* py = y.f();
  if (a.shape == b.shape) {
    ForTiles(call, y.count(), 1, [&](int64_t, int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) py[i] = f(pa[i], pb[i]);
    });
    return;
  }
  ForRows(call, a.shape, b.shape, y.shape, [&](int64_t at, int64_t oa, int64_t ob, int64_t sa, int64_t sb, int64_t n) {
    if (sa == 1 && sb == 1)
      for (int64_t i = 0; i < n; ++i) py[at + i] = f(pa[oa + i], pb[ob + i]);
    else
      for (int64_t i = 0; i < n; ++i) py[at + i] = f(pa[oa + i * sa], pb[ob + i * sb]);
  });
}

// NaN wins.
float Larger(float a, float b) { return a > b || a != a ? a : b; }
float Smaller(float a, float b) { return a < b || a != a ? a : b; }

// The random word of element i of a mask: one of the four of its block.
struct Draws {
  Stream stream;
  uint64_t block = UINT64_MAX;
  Words words{};
  uint32_t At(int64_t i) {
    const uint64_t b = static_cast<uint64_t>(i) / 4;
    if (b != block) words = Philox(stream, b), block = b;
    return words[static_cast<size_t>(i % 4)];
  }
};

}  // namespace

void Unary(const Call& call) { kApply[call.as<UnaryAttrs>().formula](call); }
void UnaryGrad(const Call& call) { kApplyGrad[call.as<UnaryAttrs>().formula](call); }

void Binary(const Call& call) {
  switch (call.as<BinaryAttrs>().op) {
    case BinaryOp::kAdd:
      return Combine(call, [](float a, float b) { return a + b; });
    case BinaryOp::kSubtract:
      return Combine(call, [](float a, float b) { return a - b; });
    case BinaryOp::kMultiply:
      return Combine(call, [](float a, float b) { return a * b; });
    case BinaryOp::kDivide:
      return Combine(call, [](float a, float b) { return a / b; });
    case BinaryOp::kMaximum:
      return Combine(call, Larger);
    case BinaryOp::kMinimum:
      return Combine(call, Smaller);
  }
}

// d(a / b) = da / b - a db / b^2. Of equal operands of a maximum or minimum each has half of the gradient.
void BinaryGrad(const Call& call) {
  const auto& attrs = call.as<BinaryAttrs>();
  const Operand &a = call.in[0], &b = call.in[1], &y = call.out[0];
  const float *pa = a.f(), *pb = b.f(), *dy = call.in[2].f();
  float* d = y.f();
  const auto each = [&](const auto& f) {
    ForRows(call, a.shape, b.shape, y.shape,
            [&](int64_t at, int64_t oa, int64_t ob, int64_t sa, int64_t sb, int64_t n) {
              for (int64_t i = 0; i < n; ++i) d[at + i] = dy[at + i] * f(pa[oa + i * sa], pb[ob + i * sb]);
            });
  };
  const bool of_b = attrs.side == 1;
  switch (attrs.op) {
    case BinaryOp::kAdd:
      return each([](float, float) { return 1.0f; });
    case BinaryOp::kSubtract:
      return each([=](float, float) { return of_b ? -1.0f : 1.0f; });
    case BinaryOp::kMultiply:
      return each([=](float u, float v) { return of_b ? u : v; });
    case BinaryOp::kDivide:
      return each([=](float u, float v) { return of_b ? -u / (v * v) : 1 / v; });
    case BinaryOp::kMaximum:
      return each([=](float u, float v) { return u == v ? 0.5f : (u > v) != of_b ? 1.0f : 0.0f; });
    case BinaryOp::kMinimum:
      return each([=](float u, float v) { return u == v ? 0.5f : (u < v) != of_b ? 1.0f : 0.0f; });
  }
}

// The mask may be constant along some axes: then an element's position in the mask leaves those out.
void Dropout(const Call& call) {
  const auto& attrs = call.as<DropoutAttrs>();
  const Operand &x = call.in[0], &y = call.out[0];
  const float *from = x.f(), scale = 1 / (1 - attrs.rate), rate = attrs.rate;
  float* to = y.f();
  const Shape& shape = y.shape;
  const Stream stream{call.run->seed, attrs.use, call.run->step};
  Shape mask = shape;
  bool whole = true;
  for (int i = 0; i < shape.rank(); ++i)
    if (!(attrs.keep >> i & 1) && shape[i] != 1) mask[i] = 1, whole = false;
  if (whole) {
    ForTiles(call, y.count(), 1, [&](int64_t, int64_t first, int64_t last) {
      Draws draws{stream};
      for (int64_t i = first; i < last; ++i) to[i] = Uniform(draws.At(i)) >= rate ? from[i] * scale : 0;
    });
    return;
  }
  ForRows(call, mask, mask, shape, [&](int64_t at, int64_t om, int64_t, int64_t sm, int64_t, int64_t n) {
    Draws draws{stream};
    for (int64_t i = 0; i < n; ++i) to[at + i] = Uniform(draws.At(om + i * sm)) >= rate ? from[at + i] * scale : 0;
  });
}

// Element i takes words 2i and 2i + 1 through Box and Muller's transform.
void GaussianNoise(const Call& call) {
  const auto& attrs = call.as<DropoutAttrs>();
  const float* x = call.in[0].f();
  float* y = call.out[0].f();
  const Stream stream{call.run->seed, attrs.use, call.run->step};
  ForTiles(call, call.out[0].count(), 1, [&](int64_t, int64_t first, int64_t last) {
    Draws draws{stream};
    for (int64_t i = first; i < last; ++i) {
      const double u = (static_cast<double>(draws.At(2 * i)) + 0.5) * 0x1p-32,
                   v = static_cast<double>(draws.At(2 * i + 1)) * 0x1p-32;
      y[i] = x[i] + attrs.rate * static_cast<float>(std::sqrt(-2 * std::log(u)) * std::cos(6.283185307179586 * v));
    }
  });
}

void Custom(const Call& call) {
  const auto& attrs = call.as<CustomAttrs>();
  attrs.fn(call, attrs.self);
}

}  // namespace ingot::cpu
