// SPDX-License-Identifier: MIT
//
// MetricUpdate: what a batch adds to the state of a metric. The state is an array of doubles that outlives the run
// (its operand says float32, twice as many); the host turns it into a result (train/metrics.h). kernels/attrs.h says
// for each formula what comes in and how the state is laid out.
//
// Samples are what keras.metrics.Mean takes them for: the rows of the first axis. Values of one sample count as
// their mean, and a weight as the mean of those of its values; so with `inner` values in a sample
//   total += sum of value * weight / inner,   count += sum of weight / inner.
//
// Sums of matches go over fixed tiles in a fixed order; histograms are filled by one thread.
#include <cmath>

#include "ingot/kernels/cpu/cpu.h"
#include "ingot/kernels/cpu/tiles.h"

namespace ingot::cpu {
namespace {

double* StateOf(const Call& call) { return static_cast<double*>(call.out[0].data); }

// The weight of value i: each weight serves so many consecutive values.
struct Weights {
  const float* w = nullptr;
  int64_t repeat = 1;
  Weights(const Call& call, int64_t values) {
    if (!call.as<MetricAttrs>().weighted) return;
    w = call.in.back().f();
    repeat = std::max<int64_t>(1, values / std::max<int64_t>(1, call.in.back().count()));
  }
  float operator[](int64_t i) const { return w ? w[i / repeat] : 1.0f; }
};

int64_t ArgMax(const float* x, int64_t n) {
  int64_t best = 0;
  for (int64_t i = 1; i < n; ++i)
    if (x[i] > x[best]) best = i;
  return best;
}

int64_t LabelAt(const Operand& truth, int64_t row) {
  if (truth.dtype == DType::kInt32) return truth.i()[row];
  if (truth.dtype == DType::kUint8) return truth.u()[row];
  const float value = truth.f()[row];
  return std::fabs(value) < 1e9f ? static_cast<int64_t>(value) : -1;
}

bool InTopK(const float* x, int64_t n, int64_t label, int64_t k) {
  if (label < 0 || label >= n) return false;
  int64_t above = 0;
  for (int64_t i = 0; i < n; ++i) above += x[i] > x[label];
  return above < k && !std::isnan(x[label]);
}

// {total, count} over n values, `value(i)` each; of them `samples` samples.
template <class F>
void AddMean(const Call& call, int64_t n, int64_t samples, const F& value) {
  const Weights weights(call, n);
  const auto sums = SumTiles<2>(call, n, [&](int64_t first, int64_t last) {
    std::array<double, 2> s{};
    for (int64_t i = first; i < last; ++i) {
      const float w = weights[i];
      s[0] += static_cast<double>(value(i) * w);
      s[1] += static_cast<double>(w);
    }
    return s;
  });
  const double inner = samples > 0 ? static_cast<double>(n) / static_cast<double>(samples) : 1;
  double* state = StateOf(call);
  if (inner == 0) return;
  state[0] += sums[0] / inner;
  state[1] += sums[1] / inner;
}

int64_t Samples(const Operand& x) { return x.shape.rank() ? x.shape[0] : 1; }

void Match(const Call& call) {
  const auto& attrs = call.as<MetricAttrs>();
  const Operand &truth = call.in[0], &pred = call.in[1];
  const float *t = truth.f(), *p = pred.f();
  const int64_t n = pred.count();
  if (attrs.formula == MetricFormula::kEqual)
    return AddMean(call, n, Samples(pred), [&](int64_t i) { return t[i] == p[i] ? 1.0f : 0.0f; });
  const float threshold = attrs.p[0];
  AddMean(call, n, Samples(pred), [&](int64_t i) { return t[i] == (p[i] > threshold ? 1.0f : 0.0f) ? 1.0f : 0.0f; });
}

void MatchRows(const Call& call) {
  const auto& attrs = call.as<MetricAttrs>();
  const Operand &truth = call.in[0], &pred = call.in[1];
  const int64_t n = pred.shape.back(), rows = n ? pred.count() / n : 0, k = attrs.k;
  const float *t = truth.f(), *p = pred.f();
  const int64_t samples = pred.shape.rank() > 1 ? Samples(pred) : 1;
  switch (attrs.formula) {
    case MetricFormula::kCategorical:
      return AddMean(call, rows, samples,
                     [&](int64_t r) { return ArgMax(t + r * n, n) == ArgMax(p + r * n, n) ? 1.0f : 0.0f; });
    case MetricFormula::kSparse:
      return AddMean(call, rows, samples,
                     [&](int64_t r) { return LabelAt(truth, r) == ArgMax(p + r * n, n) ? 1.0f : 0.0f; });
    case MetricFormula::kTopK:
      return AddMean(call, rows, samples,
                     [&](int64_t r) { return InTopK(p + r * n, n, ArgMax(t + r * n, n), k) ? 1.0f : 0.0f; });
    default:
      return AddMean(call, rows, samples,
                     [&](int64_t r) { return InTopK(p + r * n, n, LabelAt(truth, r), k) ? 1.0f : 0.0f; });
  }
}

// The k-th largest of a row, of equal ones the first being larger: what is not below it is among the k largest.
struct TopK {
  int64_t at = -1;
  const float* x;
  TopK(const float* row, int64_t n, int64_t k) : x(row) {
    for (int64_t found = 0; found < std::min(k, n); ++found) {
      int64_t best = -1;
      for (int64_t i = 0; i < n; ++i)
        if ((at < 0 || Above(at, i)) && (best < 0 || Above(i, best))) best = i;
      if (best < 0) break;  // NaN
      at = best;
    }
  }
  bool Above(int64_t a, int64_t b) const { return x[a] > x[b] || (x[a] == x[b] && a < b); }
  bool Holds(int64_t i) const { return at < 0 || i == at || Above(i, at); }
};

// state (4, T, L): true positives, false positives, true negatives, false negatives by threshold and label. With even
// thresholds values are counted by bucket first: that value > threshold[k] is that k <= bucket (-1: none).
class Confusion {
 public:
  Confusion(const Call& call, int64_t labels)
      : state_(StateOf(call)),
        buckets_(static_cast<double*>(call.workspace)),
        threshold_(call.in[2].f()),
        count_(call.in[2].count()),
        labels_(labels),
        even_(call.as<MetricAttrs>().even),
        ends_outside_(threshold_[0] < 0 || threshold_[count_ - 1] > 1) {
    if (even_) std::fill_n(buckets_, 2 * (count_ + 1) * labels_, 0.0);
  }

  void Add(int64_t label, bool truth, float value, double weight) {
    if (even_) {
      buckets_[(truth * (count_ + 1) + Bucket(value) + 1) * labels_ + label] += weight;
      return;
    }
    for (int64_t k = 0; k < count_; ++k) At(value > threshold_[k] ? !truth : 2 + truth, k, label) += weight;
  }

  void Finish() {
    if (!even_) return;
    for (const bool truth : {false, true}) {
      for (int64_t label = 0; label < labels_; ++label) {
        const double* bucket = buckets_ + truth * (count_ + 1) * labels_ + label;
        double above = 0, below = 0;
        for (int64_t k = 0; k < count_; ++k) {
          below += bucket[k * labels_];  // those of bucket k - 1
          At(2 + truth, k, label) += below;
          const int64_t down = count_ - 1 - k;
          above += bucket[(down + 1) * labels_];
          At(!truth, down, label) += above;
        }
      }
    }
  }

 private:
  double& At(int kind, int64_t k, int64_t label) { return state_[(kind * count_ + k) * labels_ + label]; }

  int64_t Bucket(float value) const {  // rounded as Keras does
    const float clipped = value > 0 ? std::min(value, 1.0f) : 0.0f;
    const int64_t bucket = static_cast<int64_t>(std::ceil(clipped * static_cast<float>(count_ - 1))) - 1;
    return ends_outside_ ? std::max<int64_t>(0, bucket) : bucket;
  }

  double *state_, *buckets_;  // (2, T + 1, L)
  const float* threshold_;
  int64_t count_, labels_;
  bool even_, ends_outside_;
};

void UpdateConfusion(const Call& call) {
  constexpr float kNever = -1e10f;  // Keras's NEG_INF: what is not among the k largest
  const auto& attrs = call.as<MetricAttrs>();
  const Operand& pred = call.in[1];
  const int64_t n = pred.shape.rank() > 1 ? pred.shape.back() : 1, rows = n ? pred.count() / n : 0;
  const float *t = call.in[0].f(), *p = pred.f();
  const float* label_weight = attrs.label_weighted ? call.in[3].f() : nullptr;
  const Weights weights(call, pred.count());
  Confusion out(call, attrs.multi_label ? n : 1);
  for (int64_t r = 0; r < rows; ++r) {
    const TopK top(p + r * n, attrs.k > 0 ? n : 0, attrs.k);
    for (int64_t i = 0; i < n; ++i) {
      if (attrs.column >= 0 && i != attrs.column) continue;
      const float weight = weights[r * n + i] * (label_weight ? label_weight[i] : 1.0f);
      const float value = top.Holds(i) ? p[r * n + i] : kNever;
      out.Add(attrs.multi_label ? i : 0, t[r * n + i] != 0, value, static_cast<double>(weight));
    }
  }
  out.Finish();
}

// state (4, n): true positives, false positives, false negatives, weight of positives.
void UpdateFBeta(const Call& call) {
  const auto& attrs = call.as<MetricAttrs>();
  const Operand& pred = call.in[1];
  const int64_t n = pred.shape.back(), rows = n ? pred.count() / n : 0;
  const float *t = call.in[0].f(), *p = pred.f();
  const Weights weights(call, pred.count());
  double* state = StateOf(call);
  for (int64_t r = 0; r < rows; ++r) {
    const float most = attrs.p[0] < 0 ? p[r * n + ArgMax(p + r * n, n)] : 0;
    for (int64_t i = 0; i < n; ++i) {
      const float value = p[r * n + i];
      const bool positive = attrs.p[0] < 0 ? value >= most && std::fabs(value) > 1e-9f : value > attrs.p[0];
      const double truth = static_cast<double>(t[r * n + i]), w = static_cast<double>(weights[r * n + i]);
      if (positive) {
        state[i] += w * truth;
        state[n + i] += w * (1 - truth);
      } else {
        state[2 * n + i] += w * truth;
      }
      state[3 * n + i] += w * truth;
    }
  }
}

// state (4, n) and the number of values.
void UpdateR2(const Call& call) {
  const Operand& pred = call.in[1];
  const int64_t n = pred.shape.back(), count = pred.count();
  const float *truth = call.in[0].f(), *p = pred.f();
  const Weights weights(call, count);
  double* state = StateOf(call);
  for (int64_t i = 0; i < count; ++i) {
    const double t = static_cast<double>(truth[i]), d = t - static_cast<double>(p[i]),
                 w = static_cast<double>(weights[i]);
    double* column = state + i % n;
    column[0] += w * t;
    column[n] += w * t * t;
    column[2 * n] += w * d * d;
    column[3 * n] += w;
  }
  state[4 * n] += static_cast<double>(count);
}

}  // namespace

size_t MetricUpdateWorkspace(const Call& call) {
  const auto& attrs = call.as<MetricAttrs>();
  if (attrs.formula != MetricFormula::kConfusion) return SumWorkspace<2>(call.in[0].count());
  const int64_t labels = attrs.multi_label ? call.in[1].shape.back() : 1;
  return static_cast<size_t>(2 * (call.in[2].count() + 1) * labels) * sizeof(double);
}

void MetricUpdate(const Call& call) {
  switch (call.as<MetricAttrs>().formula) {
    case MetricFormula::kMean: {
      const float* value = call.in[0].f();
      return AddMean(call, call.in[0].count(), Samples(call.in[0]), [&](int64_t i) { return value[i]; });
    }
    case MetricFormula::kEqual:
    case MetricFormula::kBinary:
      return Match(call);
    case MetricFormula::kConfusion:
      return UpdateConfusion(call);
    case MetricFormula::kFBeta:
      return UpdateFBeta(call);
    case MetricFormula::kR2:
      return UpdateR2(call);
    default:
      return MatchRows(call);
  }
}

}  // namespace ingot::cpu
