// SPDX-License-Identifier: MIT
//
// Cross-entropy of rows of n classes, from logits or from probabilities, with classes as integers or as n numbers:
//
//   logits         loss = sum_i t_i (log sum_j e^(x_j - m) - (x_i - m)), m the largest; slope = p_i sum_j t_j - t_i
//   probabilities  q = p / sum p, c = q clipped to [1e-7, 1 - 1e-7], loss = -sum_i t_i log c_i;
//                  with g_i = -t_i / q_i (0 where clipped), slope = (g_i - sum_j g_j q_j) / sum p
//
// The last is what Keras computes with JAX. From logits the second output, if asked for, holds the softmax, which is
// the gradient's second input; from probabilities the gradient's second input is the prediction itself.
// A class out of range gives NaN (and touches nothing outside the row): the host has looked for those before.
// Each row has one owner and a fixed order of sums; vectors run over classes. Compiled once for each SIMD target.
#include <cmath>
#include <limits>

#include "ingot/kernels/cpu/cpu.h"
#include "ingot/kernels/cpu/targets.h"  // before Highway
#include "ingot/kernels/cpu/tiles.h"
#include "ingot/kernels/losses.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ingot/kernels/cpu/crossentropy.cc"
#include "hwy/foreach_target.h"
#include "ingot/kernels/cpu/vector-inl.h"

#ifndef INGOT_KERNELS_CPU_CROSSENTROPY_ONCE  // shared by the targets
#define INGOT_KERNELS_CPU_CROSSENTROPY_ONCE
namespace ingot::cpu {
namespace {

constexpr int64_t kIgnored = -1, kInvalid = -2;

struct Truth {
  const CrossentropyAttrs& attrs;
  const Operand& operand;
  int64_t n;
  float on, off;  // what smoothing makes of t: t * on + off

  Truth(const Call& call, int64_t classes)
      : attrs(call.as<CrossentropyAttrs>()),
        operand(call.in[0]),
        n(classes),
        on(1 - attrs.smoothing),
        off(attrs.smoothing / static_cast<float>(classes)) {}

  // Sparse: the class of a row, or kIgnored, or kInvalid.
  int64_t Class(int64_t row) const {
    int64_t label = kInvalid;
    if (operand.dtype == DType::kInt32) {
      label = operand.i()[row];
    } else if (operand.dtype == DType::kUint8) {
      label = operand.u()[row];
    } else {
      const float value = operand.f()[row];
      if (!(std::fabs(value) < 1e9f)) return kInvalid;
      label = static_cast<int64_t>(value);
    }
    if (attrs.has_ignore && label == attrs.ignore_class) return kIgnored;
    return label >= 0 && label < n ? label : kInvalid;
  }
  const float* Row(int64_t row) const { return operand.f() + row * n; }
};

}  // namespace
}  // namespace ingot::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace ingot::cpu {
namespace HWY_NAMESPACE {
namespace {

// t as smoothing makes it.
struct Smooth {
  Num on, off;
  HWY_INLINE explicit Smooth(const Truth& truth) : on(truth.on), off(truth.off) {}
  HWY_INLINE Num operator()(Num t) const { return t * on + off; }
};

HWY_INLINE float Log(float x) { return hn::GetLane(Log(Num(x)).v); }

// The largest of n numbers; any NaN among them may be lost, it comes back with the exponentials.
HWY_INLINE float Largest(const float* x, int64_t n) {
  Num most(-std::numeric_limits<float>::infinity());
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) most = Max(most, Load(x + i));
  if (i < n) {
    const auto there = hn::FirstN(D(), static_cast<size_t>(n - i));
    most = Max(most, Num(hn::IfThenElse(there, LoadSome(x + i, n - i).v, most.v)));
  }
  return MaxOfLanes(most);
}

HWY_INLINE float FromLogits(const Truth& truth, int64_t row, int64_t label, const float* x, int64_t n, float* p) {
  const float largest = Largest(x, n);
  const Num most(largest);
  const float sum = Sum(
      n, [&](Num v) HWY_ATTR { return Exp(v - most); }, x);
  if (p != nullptr) {  // computed again: a few classes are not read back at once after a masked store
    const Num scale(1 / sum);
    Map(
        n, p, [&](Num v) HWY_ATTR { return Exp(v - most) * scale; }, x);
  }
  const float log_sum = Log(sum);
  if (truth.attrs.sparse) return log_sum - (x[label] - largest);
  const Smooth smooth(truth);
  return Sum(
      n, [&](Num t, Num v) HWY_ATTR { return smooth(t) * (Num(log_sum) - (v - most)); }, truth.Row(row), x);
}

HWY_INLINE Num MinusLog(Num q) { return Num(0.0f) - Log(Max(Min(q, Num(losses::kBelowOne)), Num(losses::kEpsilon))); }

HWY_INLINE float FromProbabilities(const Truth& truth, int64_t row, int64_t label, const float* p, int64_t n) {
  const float sum = Sum(
      n, [](Num v) HWY_ATTR { return v; }, p);
  if (truth.attrs.sparse) return hn::GetLane(MinusLog(Num(p[label] / sum)).v);
  const Smooth smooth(truth);
  return Sum(
      n, [&](Num t, Num v) HWY_ATTR { return smooth(t) * MinusLog(v / Num(sum)); }, truth.Row(row), p);
}

HWY_INLINE void GradOfLogits(const Truth& truth, int64_t row, int64_t label, const float* p, float dloss, int64_t n,
                             float* dx) {
  const Num d(dloss);
  if (truth.attrs.sparse) {
    const float own = (p[label] - 1) * dloss;
    Map(
        n, dx, [&](Num v) HWY_ATTR { return v * d; }, p);
    dx[label] = own;
    return;
  }
  const Smooth smooth(truth);
  const Num total(Sum(
      n, [&](Num t) HWY_ATTR { return smooth(t); }, truth.Row(row)));
  Map(
      n, dx, [&](Num t, Num v) HWY_ATTR { return (v * total - smooth(t)) * d; }, truth.Row(row), p);
}

// What is summed and shared out; t is 0 or above.
HWY_INLINE Num Slope(Num t, Num q) {
  const Num zero(0.0f);
  const Num slope = Select(t == zero, zero, (zero - t) / q);
  return Select(q < Num(losses::kEpsilon), zero, Select(q > Num(losses::kBelowOne), zero, slope));
}

HWY_INLINE void GradOfProbabilities(const Truth& truth, int64_t row, int64_t label, const float* p, float dloss,
                                    int64_t n, float* dp) {
  const Num d(dloss), sum(Sum(
                          n, [](Num v) HWY_ATTR { return v; }, p));
  if (truth.attrs.sparse) {
    const Num q = Num(p[label]) / sum, slope = Slope(Num(1.0f), q), others = (Num(0.0f) - slope * q) / sum * d;
    Map(
        n, dp, [&](Num) HWY_ATTR { return others; }, p);
    dp[label] = hn::GetLane(((slope - slope * q) / sum * d).v);
    return;
  }
  const Smooth smooth(truth);
  const Num inner(Sum(
      n, [&](Num t, Num v) HWY_ATTR { return Slope(smooth(t), v / sum) * (v / sum); }, truth.Row(row), p));
  Map(
      n, dp, [&](Num t, Num v) HWY_ATTR { return (Slope(smooth(t), v / sum) - inner) / sum * d; }, truth.Row(row), p);
}

void RunCrossentropy(const Call& call) {
  const int64_t n = call.in[1].shape.back(), rows = n ? call.in[1].count() / n : 0;
  const Truth truth(call, n);
  const float* pred = call.in[1].f();                                                     // (rows, n)
  float* loss = call.out[0].f();                                                          // (rows)
  float* p = call.out.size() > 1 && truth.attrs.from_logits ? call.out[1].f() : nullptr;  // (rows, n)
  ForTiles(call, rows, 4 * n, [&](int64_t, int64_t first, int64_t last) HWY_ATTR {
    for (int64_t r = first; r < last; ++r) {
      const int64_t label = truth.attrs.sparse ? truth.Class(r) : 0;
      if (label < 0) {
        const float value = label == kIgnored ? 0.0f : std::numeric_limits<float>::quiet_NaN();
        loss[r] = value;
        if (p) std::fill_n(p + r * n, n, value);
      } else if (truth.attrs.from_logits) {
        loss[r] = FromLogits(truth, r, label, pred + r * n, n, p ? p + r * n : nullptr);
      } else {
        loss[r] = FromProbabilities(truth, r, label, pred + r * n, n);
      }
    }
  });
}

void RunCrossentropyGrad(const Call& call) {
  const int64_t n = call.in[1].shape.back(), rows = n ? call.in[1].count() / n : 0;
  const Truth truth(call, n);
  const float *p = call.in[1].f(), *dloss = call.in[2].f();  // (rows, n), (rows)
  float* dpred = call.out[0].f();                            // (rows, n)
  ForTiles(call, rows, 4 * n, [&](int64_t, int64_t first, int64_t last) HWY_ATTR {
    for (int64_t r = first; r < last; ++r) {
      const int64_t label = truth.attrs.sparse ? truth.Class(r) : 0;
      if (label < 0)
        std::fill_n(dpred + r * n, n, label == kIgnored ? 0.0f : std::numeric_limits<float>::quiet_NaN());
      else
        truth.attrs.from_logits ? GradOfLogits(truth, r, label, p + r * n, dloss[r], n, dpred + r * n)
                                : GradOfProbabilities(truth, r, label, p + r * n, dloss[r], n, dpred + r * n);
    }
  });
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace ingot::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ingot::cpu {
HWY_EXPORT(RunCrossentropy);
HWY_EXPORT(RunCrossentropyGrad);

void Crossentropy(const Call& call) {
  ChosenTargets();
  HWY_DYNAMIC_DISPATCH(RunCrossentropy)(call);
}
void CrossentropyGrad(const Call& call) {
  ChosenTargets();
  HWY_DYNAMIC_DISPATCH(RunCrossentropyGrad)(call);
}

}  // namespace ingot::cpu
#endif  // HWY_ONCE
