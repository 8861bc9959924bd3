// SPDX-License-Identifier: MIT
//
// Elementwise losses, the reduction of losses to one number, and penalties on weights, with their gradients. Formulas
// are in kernels/losses-inl.h. Elementwise losses are compiled once for each SIMD target; where a row has one element,
// vectors run over rows. A row's loss is summed in floats over blocks of 4096 and in double across blocks; sums over a
// batch are double throughout.
#include <cmath>

#include "ingot/kernels/cpu/cpu.h"
#include "ingot/kernels/cpu/targets.h"  // before Highway
#include "ingot/kernels/cpu/tiles.h"
#include "ingot/kernels/losses.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ingot/kernels/cpu/loss.cc"
#include "hwy/foreach_target.h"
#include "ingot/kernels/cpu/vector-inl.h"
#include "ingot/kernels/losses-inl.h"

#ifndef INGOT_KERNELS_CPU_LOSS_ONCE  // shared by the targets
#define INGOT_KERNELS_CPU_LOSS_ONCE
namespace ingot::cpu {
namespace {

struct Rows {
  int64_t rows, n;
};

Rows RowsOf(const Operand& x) {
  const int64_t n = x.shape.rank() ? x.shape.back() : 1;
  return {n ? x.count() / n : 0, n};
}

// Of two classes named 0 and 1 the hinge losses make -1 and 1, as Keras does, if the whole batch holds no other.
bool AllZeroOrOne(const Operand& truth) {
  const float* t = truth.f();
  for (int64_t i = 0, n = truth.count(); i < n; ++i)
    if (t[i] != 0 && t[i] != 1) return false;
  return true;
}

struct Labels {  // t as the formula wants it
  float scale = 1, shift = 0;
};

Labels LabelsOf(const LossAttrs& attrs, const Operand& truth) {
  return attrs.zero_is_minus && AllZeroOrOne(truth) ? Labels{2, -1} : Labels{};
}

}  // namespace
}  // namespace ingot::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace ingot::cpu {
namespace HWY_NAMESPACE {
namespace {

template <class Formula>
double RowSum(const float* truth, const float* pred, int64_t n, Labels label, const float* p) {
  constexpr int64_t kBlock = 4096;
  const Num scale(label.scale), shift(label.shift);
  double sum = 0;
  for (int64_t at = 0; at < n; at += kBlock)
    sum += static_cast<double>(Sum(
        std::min(kBlock, n - at), [&](Num t, Num q) HWY_ATTR { return Formula::Value(t * scale + shift, q, p); },
        truth + at, pred + at));
  return sum;
}

template <class Formula>
void LossOf(const Call& call) {
  const auto& attrs = call.as<LossAttrs>();
  const auto [rows, n] = RowsOf(call.in[1]);
  const float *truth = call.in[0].f(), *pred = call.in[1].f();  // (rows, n)
  float* loss = call.out[0].f();                                // (rows)
  const Labels label = LabelsOf(attrs, call.in[0]);
  const double over = attrs.sum ? 1.0 : 1.0 / static_cast<double>(n);
  ForTiles(call, rows, n, [&, n = n](int64_t, int64_t first, int64_t last) HWY_ATTR {
    if (n == 1) {
      const Num scale(label.scale), shift(label.shift);
      return Map(
          last - first, loss + first,
          [&](Num t, Num q) HWY_ATTR { return Formula::Value(t * scale + shift, q, attrs.p); }, truth + first,
          pred + first);
    }
    for (int64_t r = first; r < last; ++r)
      loss[r] = static_cast<float>(over * RowSum<Formula>(truth + r * n, pred + r * n, n, label, attrs.p));
  });
}

template <class Formula>
void LossGradOf(const Call& call) {
  const auto& attrs = call.as<LossAttrs>();
  const auto [rows, n] = RowsOf(call.in[1]);
  const float *truth = call.in[0].f(), *pred = call.in[1].f();  // (rows, n)
  const float* dloss = call.in[2].f();                          // (rows)
  float* dpred = call.out[0].f();                               // (rows, n)
  const Labels label = LabelsOf(attrs, call.in[0]);
  const Num scale(label.scale), shift(label.shift), over(attrs.sum ? 1.0f : 1.0f / static_cast<float>(n));
  const auto slope = [&](Num d, Num t, Num q)
                         HWY_ATTR { return d * over * Formula::Slope(t * scale + shift, q, attrs.p); };
  ForTiles(call, rows, n, [&, n = n](int64_t, int64_t first, int64_t last) HWY_ATTR {
    if (n == 1) return Map(last - first, dpred + first, slope, dloss + first, truth + first, pred + first);
    for (int64_t r = first; r < last; ++r) {
      const Num d(dloss[r]);
      Map(
          n, dpred + r * n, [&](Num t, Num q) HWY_ATTR { return slope(d, t, q); }, truth + r * n, pred + r * n);
    }
  });
}

constexpr KernelFn kLosses[] = {
#define X(name) LossOf<losses::name>,
    INGOT_LOSSES(X)
#undef X
};
constexpr KernelFn kLossGrads[] = {
#define X(name) LossGradOf<losses::name>,
    INGOT_LOSSES(X)
#undef X
};

void RunElementLoss(const Call& call) { kLosses[call.as<LossAttrs>().formula](call); }
void RunElementLossGrad(const Call& call) { kLossGrads[call.as<LossAttrs>().formula](call); }

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace ingot::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ingot::cpu {
HWY_EXPORT(RunElementLoss);
HWY_EXPORT(RunElementLossGrad);

namespace {

// The inputs of a reduction behind the first: weights and mask, each repeated over so many consecutive losses.
struct Factor {
  const float* values = nullptr;
  int64_t count = 0, repeat = 1;
  float operator[](int64_t i) const { return values ? values[i / repeat] : 1.0f; }
};

struct Factors {
  Factor weight, mask;

  Factors(const Call& call, int64_t n) {
    const bool masked = call.as<ReductionAttrs>().masked;
    const auto factor = [&](const Operand& x) {
      return Factor{x.f(), x.count(), std::max<int64_t>(1, n / std::max<int64_t>(1, x.count()))};
    };
    if (masked) mask = factor(call.in.back());
    if (call.in.size() == (masked ? 3 : 2)) weight = factor(call.in[1]);
  }
  float operator[](int64_t i) const { return weight[i] * mask[i]; }
};

// {sum of loss * factors, sum of weights over their own elements, number of losses that count}
std::array<double, 3> ReductionSums(const Call& call, const float* loss, const Factors& factors, int64_t n) {
  const int64_t repeat = factors.mask.values ? 1 : factors.weight.repeat;
  return SumTiles<3>(call, n, [&](int64_t first, int64_t last) {
    std::array<double, 3> s{};
    for (int64_t i = first; i < last; ++i) {
      const float mask = factors.mask[i], weight = factors.weight[i];
      if (loss) s[0] += static_cast<double>(loss[i] * (weight * mask));
      if (i % repeat == 0) s[1] += static_cast<double>(weight * mask);
      s[2] += static_cast<double>(mask);
    }
    return s;
  });
}

// What the sum is multiplied by: scale / divisor.
double ReductionScale(const ReductionAttrs& attrs, const Factors& factors, const std::array<double, 3>& sums) {
  double divisor = 1;
  if (attrs.reduction != Reduction::kSum) divisor = sums[2];
  if (attrs.reduction == Reduction::kMeanWithSampleWeight && (factors.weight.values || factors.mask.values))
    divisor = sums[1];
  return divisor == 0 ? 0 : static_cast<double>(attrs.scale) / divisor;
}

}  // namespace

void ElementLoss(const Call& call) {
  ChosenTargets();
  HWY_DYNAMIC_DISPATCH(RunElementLoss)(call);
}
void ElementLossGrad(const Call& call) {
  ChosenTargets();
  HWY_DYNAMIC_DISPATCH(RunElementLossGrad)(call);
}

size_t LossReduceWorkspace(const Call& call) { return SumWorkspace<3>(call.in[0].count()); }
void LossReduce(const Call& call) {
  const int64_t n = call.in[0].count();
  const Factors factors(call, n);
  const auto sums = ReductionSums(call, call.in[0].f(), factors, n);
  call.out[0].f()[0] = static_cast<float>(sums[0] * ReductionScale(call.as<ReductionAttrs>(), factors, sums));
}

size_t LossReduceGradWorkspace(const Call& call) { return SumWorkspace<3>(call.out[0].count()); }
void LossReduceGrad(const Call& call) {
  const auto& attrs = call.as<ReductionAttrs>();
  const int64_t n = call.out[0].count();
  const Factors factors(call, n);
  const bool constant = !factors.mask.values && attrs.reduction != Reduction::kMeanWithSampleWeight;
  const std::array<double, 3> sums =
      constant ? std::array<double, 3>{0, 0, static_cast<double>(n)} : ReductionSums(call, nullptr, factors, n);
  const float d = static_cast<float>(static_cast<double>(call.in[0].f()[0]) * ReductionScale(attrs, factors, sums));
  float* dloss = call.out[0].f();
  ForTiles(call, n, 1, [&](int64_t, int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) dloss[i] = d * factors[i];
  });
}

size_t PenaltyWorkspace(const Call& call) { return SumWorkspace<1>(call.in[0].count()); }
void Penalty(const Call& call) {
  const auto& attrs = call.as<PenaltyAttrs>();
  const float* w = call.in[0].f();
  const double l1 = static_cast<double>(attrs.l1), l2 = static_cast<double>(attrs.l2);
  const auto sum = SumTiles<1>(call, call.in[0].count(), [&](int64_t first, int64_t last) {
    double absolute[4] = {}, square[4] = {};
    for (int64_t i = first; i < last; ++i) {
      const double v = static_cast<double>(w[i]);
      absolute[i & 3] += std::fabs(v);
      square[i & 3] += v * v;
    }
    return std::array<double, 1>{l1 * ((absolute[0] + absolute[1]) + (absolute[2] + absolute[3])) +
                                 l2 * ((square[0] + square[1]) + (square[2] + square[3]))};
  });
  call.out[0].f()[0] = static_cast<float>(static_cast<double>(attrs.scale) * sum[0]);
}

void PenaltyGrad(const Call& call) {
  const auto& attrs = call.as<PenaltyAttrs>();
  const float *w = call.in[0].f(), *g = call.in[1].f();
  float* out = call.out[0].f();
  const float d = attrs.scale * (call.in.size() > 2 ? call.in[2].f()[0] : 1.0f);
  const float l1 = d * attrs.l1, l2 = 2 * d * attrs.l2;
  ForTiles(call, call.in[0].count(), 1, [&](int64_t, int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const float sign = w[i] > 0 ? 1.0f : w[i] < 0 ? -1.0f : 0.0f;
      out[i] = g[i] + (l1 * sign + l2 * w[i]);
    }
  });
}

}  // namespace ingot::cpu
#endif  // HWY_ONCE
