// SPDX-License-Identifier: MIT
//
// Sums, products, quotients, maxima and minima of two operands that broadcast, and the gradients that are not such an
// operation themselves. Compiled once for each SIMD target.
//
// Rows along the last axis (joined with its neighbours where operands lie alike) are equal-sized arrays, or an array
// and a number. A short row vector against many rows is first repeated, so that loops are long.
//
// Threads: tiles by shape alone.
#include <algorithm>

#include "ingot/kernels/cpu/cpu.h"
#include "ingot/kernels/cpu/strides.h"
#include "ingot/kernels/cpu/targets.h"  // before Highway
#include "ingot/kernels/cpu/tiles.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ingot/kernels/cpu/binary.cc"
#include "hwy/foreach_target.h"
#include "ingot/kernels/cpu/vector-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ingot::cpu {
namespace HWY_NAMESPACE {
namespace {

constexpr int64_t kShort = 64;      // rows below are repeated ...
constexpr int64_t kPattern = 1024;  // ... to fill so many elements

// y[i] = f(a[i * step_a], b[i * step_b], dy[i]), steps being 0 or 1.
template <class Fn>
HWY_INLINE void Row(const Fn& f, int64_t n, float* y, const float* a, int64_t step_a, const float* b, int64_t step_b,
                    const float* dy) {
  if (step_a == 1 && step_b == 1) {
    Map(
        n, y, [&](Num u, Num v, Num d) HWY_ATTR { return f(u, v, d); }, a, b, dy);
  } else if (step_a == 1) {
    const Num v(*b);
    Map(
        n, y, [&](Num u, Num d) HWY_ATTR { return f(u, v, d); }, a, dy);
  } else if (step_b == 1) {
    const Num u(*a);
    Map(
        n, y, [&](Num v, Num d) HWY_ATTR { return f(u, v, d); }, b, dy);
  } else {
    const Num u(*a), v(*b);
    Map(
        n, y, [&](Num d) HWY_ATTR { return f(u, v, d); }, dy);
  }
}

using Steps = Walk<2>;

Steps StepsOf(const Call& call) {
  const Shape& out = call.out[0].shape;
  const BroadcastSteps a(call.in[0].shape, out), b(call.in[1].shape, out);
  const int64_t* const both[] = {a.step, b.step};
  return Steps(out, both);
}

// Many short rows: along the last but one axis one operand advances by rows, the other stays where it is (`side`).
int ShortSide(const Steps& w) {
  if (w.rank < 2 || w.width() >= kShort || w.extent[w.rank - 2] < 4) return -1;
  for (int side = 0; side < 2; ++side) {
    const int64_t *moves = w.step[1 - side], *stays = w.step[side];
    if (moves[w.rank - 1] == 1 && moves[w.rank - 2] == w.width() && stays[w.rank - 1] == 1 && stays[w.rank - 2] == 0)
      return side;
  }
  return -1;
}

// dy: read along with y's elements; y itself where there is none, so that a formula of two stays one of three.
template <class Fn>
void Combine(const Call& call, const float* dy, const Fn& f) {
  const Steps walk = StepsOf(call);
  const float *a = call.in[0].f(), *b = call.in[1].f();
  float* y = call.out[0].f();
  if (call.out[0].count() == 0) return;
  const int64_t n = walk.width();
  const int side = ShortSide(walk);
  if (side >= 0) {
    const int64_t many = walk.extent[walk.rank - 2], repeat = std::min(many, kPattern / n),
                  blocks = Tiles(many, repeat);
    // A block is `repeat` rows; its operands begin where those of its first row do.
    ForTiles(call, walk.rows() / many * blocks, repeat * n, [&](int64_t, int64_t first, int64_t last) HWY_ATTR {
      alignas(64) float pattern[kPattern];
      int64_t held = -1;  // which row of the short operand the pattern repeats
      for (int64_t i = first; i < last; ++i) {
        const int64_t row = i / blocks * many + i % blocks * repeat,
                      rows = std::min(repeat, many - i % blocks * repeat);
        const Steps::Rows at(walk, row);
        if (held != at.at[side]) {
          held = at.at[side];
          for (int64_t r = 0; r < repeat; ++r) std::copy_n((side == 0 ? a : b) + held, n, pattern + r * n);
        }
        Row(f, rows * n, y + row * n, side == 0 ? pattern : a + at.at[0], 1, side == 1 ? pattern : b + at.at[1], 1,
            dy + row * n);
      }
    });
    return;
  }
  if (walk.rank == 1) {
    const int64_t step_a = walk.step[0][0], step_b = walk.step[1][0];
    ForTiles(call, n, 1, [&](int64_t, int64_t first, int64_t last) HWY_ATTR {
      Row(f, last - first, y + first, a + first * step_a, step_a, b + first * step_b, step_b, dy + first);
    });
    return;
  }
  const int64_t step_a = walk.step[0][walk.rank - 1], step_b = walk.step[1][walk.rank - 1];
  ForTiles(call, walk.rows(), n, [&](int64_t, int64_t first, int64_t last) HWY_ATTR {
    Steps::Rows at(walk, first);
    for (int64_t row = first; row < last; ++row, at.Next())
      Row(f, n, y + row * n, a + at.at[0], step_a, b + at.at[1], step_b, dy + row * n);
  });
}

void RunBinary(const Call& call) {
  const float* y = call.out[0].f();
  switch (call.as<BinaryAttrs>().op) {
    case BinaryOp::kAdd:
      return Combine(call, y, [](Num a, Num b, Num) HWY_ATTR { return a + b; });
    case BinaryOp::kSubtract:
      return Combine(call, y, [](Num a, Num b, Num) HWY_ATTR { return a - b; });
    case BinaryOp::kMultiply:
      return Combine(call, y, [](Num a, Num b, Num) HWY_ATTR { return a * b; });
    case BinaryOp::kDivide:
      return Combine(call, y, [](Num a, Num b, Num) HWY_ATTR { return a / b; });
    case BinaryOp::kMaximum:  // NaN wins
      return Combine(call, y, [](Num a, Num b, Num) HWY_ATTR { return Select(b == b, Max(a, b), b); });
    case BinaryOp::kMinimum:
      return Combine(call, y, [](Num a, Num b, Num) HWY_ATTR { return Select(b == b, Min(a, b), b); });
  }
}

// d(a / b) = da / b - a db / b^2. Of equal operands of a maximum or minimum each has half of the gradient.
void RunBinaryGrad(const Call& call) {
  const auto& attrs = call.as<BinaryAttrs>();
  const float* dy = call.in[2].f();
  const bool of_b = attrs.side == 1;
  switch (attrs.op) {
    case BinaryOp::kAdd:
      return Combine(call, dy, [](Num, Num, Num d) HWY_ATTR { return d; });
    case BinaryOp::kSubtract:
      if (of_b) return Combine(call, dy, [](Num, Num, Num d) HWY_ATTR { return Num(0.0f) - d; });
      return Combine(call, dy, [](Num, Num, Num d) HWY_ATTR { return d; });
    case BinaryOp::kMultiply:
      if (of_b) return Combine(call, dy, [](Num a, Num, Num d) HWY_ATTR { return d * a; });
      return Combine(call, dy, [](Num, Num b, Num d) HWY_ATTR { return d * b; });
    case BinaryOp::kDivide:
      if (of_b) return Combine(call, dy, [](Num a, Num b, Num d) HWY_ATTR { return Num(0.0f) - d * (a / b) / b; });
      return Combine(call, dy, [](Num, Num b, Num d) HWY_ATTR { return d / b; });
    case BinaryOp::kMaximum:
    case BinaryOp::kMinimum: {
      const bool larger = (attrs.op == BinaryOp::kMaximum) != of_b;  // whether a must be larger than b to have it all
      const Num above(larger ? 1.0f : 0.0f), below(larger ? 0.0f : 1.0f);
      return Combine(call, dy, [&](Num a, Num b, Num d) HWY_ATTR {
        return d * Select(a > b, above, Select(a < b, below, Num(0.5f)));
      });
    }
  }
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace ingot::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ingot::cpu {
HWY_EXPORT(RunBinary);
HWY_EXPORT(RunBinaryGrad);

void Binary(const Call& call) {
  ChosenTargets();
  HWY_DYNAMIC_DISPATCH(RunBinary)(call);
}

void BinaryGrad(const Call& call) {
  ChosenTargets();
  HWY_DYNAMIC_DISPATCH(RunBinaryGrad)(call);
}

}  // namespace ingot::cpu
#endif  // HWY_ONCE
