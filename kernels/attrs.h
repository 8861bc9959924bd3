// SPDX-License-Identifier: MIT
//
// The attributes of kernels: plain values, fixed when a plan is made. Attrs holds any of them, without allocating.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <new>
#include <type_traits>

namespace ingot {

struct Call;

class Attrs {
 public:
  static constexpr size_t kBytes = 136;

  Attrs() = default;
  template <class A>
  requires(!std::is_same_v<A, Attrs>) Attrs(const A& a) {  // NOLINT: any attributes are Attrs
    static_assert(std::is_trivially_copyable_v<A> && sizeof(A) <= kBytes && alignof(A) <= 8);
    std::memcpy(bytes_, &a, sizeof a);
  }
  template <class A>
  const A& as() const {
    return *std::launder(reinterpret_cast<const A*>(bytes_));
  }
  template <class A>
  A& as() {
    return *std::launder(reinterpret_cast<A*>(bytes_));
  }

 private:
  alignas(8) std::byte bytes_[kBytes]{};
};

struct FillAttrs {
  float value;
};

// Copies a box of `extent` from `from` in x to `to` in y. All have the rank of x.
struct BoxAttrs {
  int32_t rank;
  int32_t extent[8], from[8], to[8];
};

struct PermuteAttrs {
  int8_t axes[8];
};  // axis i of y is axis axes[i] of x

// kernels/formulas.h lists the formulas; p are the parameters of the one named, in its order.
struct UnaryAttrs {
  uint16_t formula;
  float p[3];
};
enum class BinaryOp : uint8_t { kAdd, kSubtract, kMultiply, kDivide, kMaximum, kMinimum };
struct BinaryAttrs {
  BinaryOp op;
  uint8_t side;
};  // side: BinaryGrad gives the gradient of a (0) or b (1)
enum class ReduceOp : uint8_t { kSum, kMean, kMax };
struct ReduceAttrs {
  ReduceOp op;
  uint8_t axes;
};  // bit i set: axis i is reduced (and 1 long in y, or absent)
struct AxisAttrs {
  int32_t axis;
};

// What a product or convolution does to each sum before it writes it, k being the output channel:
//   y = act(sum * scale[k] + shift[k] + residual)        act(v) = min(v < 0 ? slope * v : v, limit)
// The third input is scale and shift (2, K) if `scaled`; else the bias (K), if there is one.
struct EpilogueAttrs {
  bool scaled = false;
  bool residual = false;       // the last input, of y's shape
  bool residual_last = false;  // it is added behind act, not before
  float slope = 1;
  float limit = std::numeric_limits<float>::infinity();

  bool activated() const { return slope != 1 || limit < std::numeric_limits<float>::infinity(); }
};

struct GemmAttrs {
  bool trans_a, trans_b;
  EpilogueAttrs epilogue;
};  // c (m, n) = a (m, k) b (k, n)

struct ConvAttrs {  // x (N, H, W, C), w (KH, KW, C / groups, K), y (N, OH, OW, K)
  int32_t stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1, groups = 1, pad_top = 0, pad_left = 0;
  EpilogueAttrs epilogue{};
};

struct PoolAttrs {
  int32_t pool_h, pool_w, stride_h, stride_w, pad_top, pad_left;
};

struct NormAttrs {
  float epsilon, momentum;
  float rest = 1 - momentum;  // exact where momentum was a double, as Keras has it
};

// Batch-norm of the batch, and what joined it (core/plan/fuse_blocks.cc). Behind it, in this order: a residual is
// added, relu takes what lies outside 0 .. limit, the largest of each window is kept (windows side by side, no
// padding).
struct BatchNormAttrs {
  NormAttrs norm;
  bool residual = false, relu = false, pool = false;
  float limit = std::numeric_limits<float>::quiet_NaN();  // NaN, which nothing is above: none
  PoolAttrs window{};
  // Of the gradient alone. `from_relu`: x came out of a relu of that limit, and dx is the gradient of what went in.
  // `sums`: dx is summed down its columns too, for a bias in front.
  bool from_relu = false, sums = false;
  float from_limit = std::numeric_limits<float>::quiet_NaN();
};

// `use` names this use of randomness within the model. The mask has the extents `keep` of x where bit i is set,
// and 1 where it is not (Keras's noise_shape). `seeded`: numbers follow from `seed` instead of the model's.
struct DropoutAttrs {
  float rate;
  uint32_t use;
  uint8_t keep;
  bool seeded = false;
  uint64_t seed = 0;
};

struct ResampleAttrs {
  int32_t taps_h, taps_w;
};  // how many input rows (columns) make one of the output

// kernels/losses.h lists the formulas. The loss of a row is the mean over n, or the sum. zero_is_minus: if every
// truth is 0 or 1, 0 stands for -1 (Keras's hinge losses).
struct LossAttrs {
  uint16_t formula = 0;
  float p[4] = {};
  bool sum = false, zero_is_minus = false;
};

// Truth: a class for each row (sparse), or n numbers which `smoothing` moves towards 1 / n. Rows whose class is
// ignore_class have loss 0; any other class outside 0 .. n - 1 gives NaN. Pred: logits, or probabilities, which are
// divided by their sum.
struct CrossentropyAttrs {
  bool sparse = false, from_logits = false;
  float smoothing = 0;
  int32_t ignore_class = 0;
  bool has_ignore = false;
};

// scale * sum of loss * weight * mask, divided by: the number of losses (kSumOverBatchSize, kMean; with a mask, of
// those it lets through), 1 (kSum), or the sum of weight * mask as they came (kMeanWithSampleWeight; the number
// where there are none). A division by 0 gives 0. A weight (or mask) of fewer elements than the loss is that of so
// many consecutive losses: (N) for losses (N, T). `masked`: the last input is a mask.
enum class Reduction : uint8_t { kSumOverBatchSize, kSum, kMean, kMeanWithSampleWeight };
struct ReductionAttrs {
  Reduction reduction = Reduction::kSumOverBatchSize;
  float scale = 1;
  bool masked = false;
};

struct PenaltyAttrs {
  float l1 = 0, l2 = 0, scale = 1;
};  // scale * (l1 * sum |w| + l2 * sum w^2)

// What a metric adds to its state, which is an array of doubles (the operand says float32, twice as many).
enum class MetricFormula : uint16_t {
  kMean,         // values [, weight] -> {total, count}, as keras.metrics.Mean: a sample is a row of the first axis
  kEqual,        // truth, pred (...) [, weight] -> {total, count} of truth == pred
  kBinary,       // the same of truth == (pred > p[0])
  kCategorical,  // truth, pred (..., n) [, weight] -> {total, count} of argmax truth == argmax pred
  kSparse,       // truth (...), pred (..., n) [, weight] -> {total, count} of truth == argmax pred
  kTopK,         // truth, pred (..., n): of fewer than k predictions above that at argmax truth
  kSparseTopK,
  kConfusion,  // truth, pred, thresholds (T) [, label weights (n)] [, weight] -> {tp, fp, tn, fn} (4, T, labels)
  kFBeta,      // truth, pred (N, n) [, weight] -> {tp, fp, fn, positives} (4, n); p[0]: threshold, or < 0: argmax
  kR2,         // truth, pred (N, n) [, weight] -> {sum w t, sum w t^2, sum w (t - p)^2, sum w} (4, n), number of t
};
struct MetricAttrs {
  MetricFormula formula = MetricFormula::kMean;
  bool weighted = false;        // the last input is a weight; of fewer elements than there are values, it is repeated
  bool even = false;            // kConfusion: thresholds are i / (T - 1), but that the ends may lie just outside [0, 1]
  bool multi_label = false;     // kConfusion: a state for each of the n columns
  bool label_weighted = false;  // kConfusion: the fourth input weighs columns
  int32_t k = 0;                // kConfusion: only the k largest predictions of a row count; 0: all
  int32_t column = -1;          // kConfusion: only this column; -1: all
  float p[2] = {};
};

struct ClipAttrs {
  float limit;
};

// kernels/updates.h lists the formulas. What changes from step to step (learning rate, bias correction) is in
// Run::hyper; p is what does not.
struct UpdateAttrs {
  uint16_t formula;
  float p[6];
  bool decay;
  float scale = 1;
};  // gradients are divided by scale first

// A function of the user's, and what it was registered with.
struct CustomAttrs {
  void (*fn)(const Call& call, const void* self);
  const void* self;
};

}  // namespace ingot
