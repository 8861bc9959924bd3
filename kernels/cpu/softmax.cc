// SPDX-License-Identifier: MIT
//
// Softmax and its logarithm along an axis, with their gradients:
//
//   y = e^(x - m) / sum e^(x - m), m the largest x       dx = y (dy - sum(y dy))
//   y = x - m - log sum e^(x - m)                        dx = dy - e^y sum(dy)
//
// Along the last axis a row is walked in vectors. Along another, as many neighbouring columns as a vector has lanes
// are walked together. Both are the same code over a `Line`. Compiled once for each SIMD target.
//
// Threads: each line has one owner; tiles by shape alone.
#include <algorithm>
#include <cmath>
#include <limits>

#include "ingot/kernels/cpu/cpu.h"
#include "ingot/kernels/cpu/targets.h"  // before Highway
#include "ingot/kernels/cpu/tiles.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ingot/kernels/cpu/softmax.cc"
#include "hwy/foreach_target.h"
#include "ingot/kernels/cpu/vector-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ingot::cpu {
namespace HWY_NAMESPACE {
namespace {

constexpr float kLowest = -std::numeric_limits<float>::infinity();

// n numbers side by side. What a sum or maximum gives stands in all lanes.
struct RowLine {
  int64_t at, n;
  template <class Fn>
  HWY_INLINE void Each(const Fn& f) const {  // f(first, number of lanes): always fewer at the end
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) f(at + i, kLanes);
    if (i < n) f(at + i, n - i);
  }
  HWY_INLINE Num Get(const float* x, int64_t i, int64_t lanes) const {
    return lanes == kLanes ? Load(x + i) : LoadSome(x + i, lanes);
  }
  HWY_INLINE void Set(Num v, float* y, int64_t i, int64_t lanes) const {
    if (lanes == kLanes) {
      Store(v, y + i);
    } else {
      StoreSome(v, y + i, lanes);
    }
  }
  static HWY_INLINE Num Only(Num v, Num other, int64_t lanes) {  // `other` in the lanes that hold nothing
    return lanes == kLanes ? v : Num(hn::IfThenElse(hn::FirstN(D(), static_cast<size_t>(lanes)), v.v, other.v));
  }
  static HWY_INLINE Num Total(Num v) { return Num(hn::SumOfLanes(D(), v.v)); }
  static HWY_INLINE Num Most(Num v) { return Num(hn::MaxOfLanes(D(), v.v)); }
};

// `lanes` columns of n numbers, `stride` apart; each lane has its own sum.
struct ColumnLine {
  int64_t at, n, stride, lanes;
  template <class Fn>
  HWY_INLINE void Each(const Fn& f) const {
    for (int64_t i = 0; i < n; ++i) f(at + i * stride, lanes);
  }
  HWY_INLINE Num Get(const float* x, int64_t i, int64_t count) const {
    return count == kLanes ? Load(x + i) : LoadSome(x + i, count);
  }
  HWY_INLINE void Set(Num v, float* y, int64_t i, int64_t count) const {
    if (count == kLanes) {
      Store(v, y + i);
    } else {
      StoreSome(v, y + i, count);
    }
  }
  static HWY_INLINE Num Only(Num v, Num, int64_t) { return v; }
  static HWY_INLINE Num Total(Num v) { return v; }
  static HWY_INLINE Num Most(Num v) { return v; }
};

template <class Line, class Fn>
HWY_INLINE Num SumOf(const Line& line, const Fn& f) {
  LongSum sum;
  line.Each([&](int64_t i, int64_t lanes) HWY_ATTR { sum.Add(Line::Only(f(i, lanes), Num(0.0f), lanes)); });
  return Line::Total(sum.Lanes());
}

template <class Line>
HWY_INLINE Num MostOf(const Line& line, const float* x) {
  Num most(kLowest);
  line.Each([&](int64_t i, int64_t lanes)
                HWY_ATTR { most = Max(most, Line::Only(line.Get(x, i, lanes), Num(kLowest), lanes)); });
  return Line::Most(most);
}

template <class Line>
HWY_INLINE void SoftmaxLine(const Line& line, const float* x, float* y) {
  const Num most = MostOf(line, x);
  const Num sum = SumOf(line, [&](int64_t i, int64_t lanes) HWY_ATTR {
    const Num e = Exp(line.Get(x, i, lanes) - most);
    line.Set(e, y, i, lanes);
    return e;
  });
  const Num scale = Num(1.0f) / sum;
  line.Each([&](int64_t i, int64_t lanes) HWY_ATTR { line.Set(line.Get(y, i, lanes) * scale, y, i, lanes); });
}

template <class Line>
HWY_INLINE void LogSoftmaxLine(const Line& line, const float* x, float* y) {
  const Num most = MostOf(line, x);
  const Num sum = SumOf(line, [&](int64_t i, int64_t lanes) HWY_ATTR { return Exp(line.Get(x, i, lanes) - most); });
  const Num log_sum = Log(sum);
  line.Each([&](int64_t i, int64_t lanes) HWY_ATTR { line.Set(line.Get(x, i, lanes) - most - log_sum, y, i, lanes); });
}

template <class Line>
HWY_INLINE void SoftmaxGradLine(const Line& line, const float* y, const float* dy, float* dx) {
  const Num sum = SumOf(line, [&](int64_t i, int64_t n) HWY_ATTR { return line.Get(y, i, n) * line.Get(dy, i, n); });
  line.Each([&](int64_t i, int64_t n) HWY_ATTR { line.Set(line.Get(y, i, n) * (line.Get(dy, i, n) - sum), dx, i, n); });
}

template <class Line>
HWY_INLINE void LogSoftmaxGradLine(const Line& line, const float* y, const float* dy, float* dx) {
  const Num sum = SumOf(line, [&](int64_t i, int64_t n) HWY_ATTR { return line.Get(dy, i, n); });
  line.Each([&](int64_t i, int64_t n)
                HWY_ATTR { line.Set(line.Get(dy, i, n) - Exp(line.Get(y, i, n)) * sum, dx, i, n); });
}

template <class Fn>
HWY_INLINE void ForLines(const Call& call, const Fn& f) {
  const Shape& shape = call.out[0].shape;
  const int axis = call.as<AxisAttrs>().axis < 0 ? call.as<AxisAttrs>().axis + shape.rank() : call.as<AxisAttrs>().axis;
  const int64_t n = shape[axis], inner = shape.from(axis + 1).count(), outer = shape.part(0, axis).count();
  if (n * inner * outer == 0) return;
  if (inner == 1) {
    ForTiles(call, outer, n, [&](int64_t, int64_t first, int64_t last) HWY_ATTR {
      for (int64_t i = first; i < last; ++i) f(RowLine{i * n, n});
    });
    return;
  }
  const int64_t vectors = Tiles(inner, kLanes);
  ForTiles(call, outer * vectors, n * std::min(kLanes, inner), [&](int64_t, int64_t first, int64_t last) HWY_ATTR {
    for (int64_t i = first; i < last; ++i) {
      const int64_t column = i % vectors * kLanes;
      f(ColumnLine{i / vectors * n * inner + column, n, inner, std::min(kLanes, inner - column)});
    }
  });
}

void RunSoftmax(const Call& call) {
  const float* x = call.in[0].f();
  float* y = call.out[0].f();
  ForLines(call, [&](const auto& line) HWY_ATTR { SoftmaxLine(line, x, y); });
}
void RunLogSoftmax(const Call& call) {
  const float* x = call.in[0].f();
  float* y = call.out[0].f();
  ForLines(call, [&](const auto& line) HWY_ATTR { LogSoftmaxLine(line, x, y); });
}
void RunSoftmaxGrad(const Call& call) {
  const float *y = call.in[0].f(), *dy = call.in[1].f();
  float* dx = call.out[0].f();
  ForLines(call, [&](const auto& line) HWY_ATTR { SoftmaxGradLine(line, y, dy, dx); });
}
void RunLogSoftmaxGrad(const Call& call) {
  const float *y = call.in[0].f(), *dy = call.in[1].f();
  float* dx = call.out[0].f();
  ForLines(call, [&](const auto& line) HWY_ATTR { LogSoftmaxGradLine(line, y, dy, dx); });
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace ingot::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ingot::cpu {
HWY_EXPORT(RunSoftmax);
HWY_EXPORT(RunSoftmaxGrad);
HWY_EXPORT(RunLogSoftmax);
HWY_EXPORT(RunLogSoftmaxGrad);

void Softmax(const Call& call) {
  ChosenTargets();
  HWY_DYNAMIC_DISPATCH(RunSoftmax)(call);
}
void SoftmaxGrad(const Call& call) {
  ChosenTargets();
  HWY_DYNAMIC_DISPATCH(RunSoftmaxGrad)(call);
}
void LogSoftmax(const Call& call) {
  ChosenTargets();
  HWY_DYNAMIC_DISPATCH(RunLogSoftmax)(call);
}
void LogSoftmaxGrad(const Call& call) {
  ChosenTargets();
  HWY_DYNAMIC_DISPATCH(RunLogSoftmaxGrad)(call);
}

}  // namespace ingot::cpu
#endif  // HWY_ONCE
