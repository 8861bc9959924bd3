// SPDX-License-Identifier: MIT
//
// What each loss computes. Most are one formula of kernels/losses.h; the others are made of Graph operations.
#include "ingot/train/losses.h"

#include <array>
#include <cmath>
#include <cstring>

#include "ingot/kernels/formulas.h"
#include "ingot/kernels/losses.h"
#include "ingot/layers/activations.h"

namespace ingot {
namespace {

int Positive(int axis, int rank) { return axis < 0 ? axis + rank : axis; }

Shape Without(const Shape& shape, int axis) {
  Shape rest;
  for (int i = 0; i < shape.rank(); ++i)
    if (i != Positive(axis, shape.rank())) rest.push_back(shape[i]);
  return rest;
}

// The axis becomes the last.
Value AxisLast(Graph& g, Value x, int axis) {
  const int rank = g.shape(x).rank();
  if (axis < -rank || axis >= rank) Fail("loss: axis ", axis, " is none of an output of shape ", g.shape(x));
  if (Positive(axis, rank) == rank - 1) return x;
  std::vector<int> order;
  for (int i = 0; i < rank; ++i)
    if (i != Positive(axis, rank)) order.push_back(i);
  order.push_back(Positive(axis, rank));
  return g.Transpose(x, order);
}

struct Pair {
  Value truth, pred;
};
Pair Matched(Graph& g, Value truth, Value pred, int axis = -1) {
  const SameRankShapes shapes = SameRank(g.shape(truth), g.shape(pred));
  return {AxisLast(g, g.Reshape(g.Cast(truth), shapes.truth), axis), AxisLast(g, g.Reshape(pred, shapes.pred), axis)};
}

LossAttrs Element(LossFormula formula, std::array<float, 4> p = {}) {
  LossAttrs attrs;
  attrs.formula = static_cast<uint16_t>(formula);
  for (size_t i = 0; i < p.size(); ++i) attrs.p[i] = p[i];
  return attrs;
}

// Losses without options: their formula says all.
struct PlainLoss : LossDef {
  const char* of;
  LossAttrs attrs;
  PlainLoss(const char* class_name_, LossFormula formula, bool sum = false, bool zero_is_minus = false)
      : of(class_name_), attrs(Element(formula)) {
    attrs.sum = sum;
    attrs.zero_is_minus = zero_is_minus;
  }
  std::string class_name() const override { return of; }
  Value call(Graph& g, Value truth, Value pred) const override {
    const Pair pair = Matched(g, truth, pred);
    return g.ElementLoss(pair.truth, pair.pred, attrs);
  }
};

struct HuberLoss : LossDef {
  HuberOptions o;
  std::string class_name() const override { return "Huber"; }
  // Keras never writes delta, and reads it: written where it is not the default, nothing is lost.
  void fields(Fields& f) override {
    if (f.reading() || o.delta != 1) f("delta", o.delta);
  }
  Value call(Graph& g, Value truth, Value pred) const override {
    const Pair pair = Matched(g, truth, pred);
    return g.ElementLoss(pair.truth, pair.pred, Element(LossFormula::kHuberError, {o.delta}));
  }
};

struct CosineLoss : LossDef {
  CosineSimilarityOptions o;
  std::string class_name() const override { return "CosineSimilarity"; }
  void fields(Fields& f) override {
    if (f.reading() || o.axis != -1) f("axis", o.axis);
  }
  TensorSpec target(const TensorSpec& pred, const TensorSpec& truth) const override {
    const int rank = SameRank(truth.shape, pred.shape).pred.rank();
    if (o.axis < -rank || o.axis >= rank) fail("axis ", o.axis, " is none of an output of shape ", pred.shape);
    return LossDef::target(pred, truth);
  }
  // -(t . p) / (|t| |p|), neither length below 1e-7
  Value call(Graph& g, Value truth, Value pred) const override {
    const auto [t, p] = Matched(g, truth, pred);
    const int axis[] = {Positive(o.axis, g.shape(p).rank())};
    const Value least = g.Scalar(1e-14f);
    const auto dot = [&](Value a, Value b) { return g.Reduce(ReduceOp::kSum, g.Multiply(a, b), axis, false); };
    const auto inverse_length = [&](Value x) {
      return Apply(g, Formula::kRsqrt, g.Binary(BinaryOp::kMaximum, dot(x, x), least));
    };
    const Value similarity = g.Multiply(dot(t, p), g.Multiply(inverse_length(t), inverse_length(p)));
    return Apply(g, Formula::kAffine, similarity, -1);
  }
};

struct CategoricalHingeLoss : LossDef {
  std::string class_name() const override { return "CategoricalHinge"; }
  // max(0, 1 + max((1 - t) p) - t . p)
  Value call(Graph& g, Value truth, Value pred) const override {
    const auto [t, p] = Matched(g, truth, pred);
    const int axis[] = {g.shape(p).rank() - 1};
    const Value pos = g.Reduce(ReduceOp::kSum, g.Multiply(t, p), axis, false);
    const Value neg = g.Reduce(ReduceOp::kMax, g.Multiply(Apply(g, Formula::kAffine, t, -1, 1), p), axis, false);
    return Apply(g, Formula::kRelu, Apply(g, Formula::kAffine, g.Subtract(neg, pos), 1, 1), 0, -1);
  }
};

struct BinaryCrossentropyLoss : LossDef {
  CrossentropyOptions o;
  std::string class_name() const override { return "BinaryCrossentropy"; }
  void fields(Fields& f) override {
    f("from_logits", o.from_logits);
    f("label_smoothing", o.label_smoothing);
    f("axis", o.axis);
  }
  Value call(Graph& g, Value truth, Value pred) const override {
    const Value logits = o.from_logits ? pred : SigmoidLogits(g, pred);
    const Pair pair = Matched(g, truth, logits ? logits : pred, o.axis);
    const auto formula = logits ? LossFormula::kBinaryCrossentropyLogits : LossFormula::kBinaryCrossentropy;
    return g.ElementLoss(pair.truth, pair.pred, Element(formula, {o.label_smoothing}));
  }
};

struct BinaryFocalLoss : LossDef {
  BinaryFocalCrossentropyOptions o;
  std::string class_name() const override { return "BinaryFocalCrossentropy"; }
  void fields(Fields& f) override {
    f("from_logits", o.from_logits);
    f("label_smoothing", o.label_smoothing);
    f("axis", o.axis);
    f("apply_class_balancing", o.apply_class_balancing);
    f("alpha", o.alpha);
    f("gamma", o.gamma);
  }
  Value call(Graph& g, Value truth, Value pred) const override {
    const Pair pair = Matched(g, truth, pred, o.axis);
    const auto formula = o.from_logits ? LossFormula::kBinaryFocalLogits : LossFormula::kBinaryFocal;
    return g.ElementLoss(
        pair.truth, pair.pred,
        Element(formula, {o.gamma, o.alpha, o.apply_class_balancing ? 1.0f : 0.0f, o.label_smoothing}));
  }
};

// Losses over classes, with targets of the shape of the output.
struct CategoricalLoss : LossDef {
  TensorSpec target(const TensorSpec& pred, const TensorSpec& truth) const override {
    if (!Fits(pred.shape, truth.shape) && LooksLikeLabels(pred, truth))
      fail("targets have shape ", truth.shape, ", which looks like integer labels; the output of shape ", pred.shape,
           " is compared with one number for each class: use sparse_categorical_crossentropy, or make the targets "
           "one-hot");
    return LossDef::target(pred, truth);
  }
};

struct CategoricalCrossentropyLoss : CategoricalLoss {
  CrossentropyOptions o;
  std::string class_name() const override { return "CategoricalCrossentropy"; }
  void fields(Fields& f) override {
    f("from_logits", o.from_logits);
    f("label_smoothing", o.label_smoothing);
    f("axis", o.axis);
  }
  Value call(Graph& g, Value truth, Value pred) const override {
    CrossentropyAttrs attrs;
    attrs.smoothing = o.label_smoothing;
    const Value logits = o.from_logits ? pred : SoftmaxLogits(g, pred, o.axis);
    attrs.from_logits = static_cast<bool>(logits);
    const Pair pair = Matched(g, truth, logits ? logits : pred, o.axis);
    return g.Crossentropy(pair.truth, pair.pred, attrs);
  }
};

struct CategoricalFocalLoss : CategoricalLoss {
  CategoricalFocalCrossentropyOptions o;
  std::string class_name() const override { return "CategoricalFocalCrossentropy"; }
  void fields(Fields& f) override {
    f("from_logits", o.from_logits);
    f("label_smoothing", o.label_smoothing);
    f("axis", o.axis);
    f("alpha", o.alpha);
    f("gamma", o.gamma);
  }
  Value call(Graph& g, Value truth, Value pred) const override {
    const auto [t, x] = Matched(g, truth, pred, o.axis);
    const int last = g.shape(x).rank() - 1;
    const int axis[] = {last};
    Value p = x;
    if (o.from_logits)
      p = g.Softmax(x, last);
    else if (!SoftmaxLogits(g, pred, o.axis))  // a softmax sums to 1 already
      p = g.Divide(x, g.Reduce(ReduceOp::kSum, x, axis, true));
    LossAttrs attrs = Element(LossFormula::kCategoricalFocal,
                              {o.gamma, o.alpha, o.label_smoothing, static_cast<float>(g.shape(x).back())});
    attrs.sum = true;
    return g.ElementLoss(t, p, attrs);
  }
};

struct SparseCategoricalLoss : LossDef {
  SparseCategoricalCrossentropyOptions o;
  std::string class_name() const override { return "SparseCategoricalCrossentropy"; }
  void fields(Fields& f) override {
    f("from_logits", o.from_logits);
    f("ignore_class", o.ignore_class);
    if (f.reading() || o.axis != -1) f("axis", o.axis);
  }
  Value call(Graph& g, Value truth, Value pred) const override {
    CrossentropyAttrs attrs;
    attrs.sparse = true;
    attrs.has_ignore = o.ignore_class.has_value();
    attrs.ignore_class = o.ignore_class.value_or(0);
    const Value logits = o.from_logits ? pred : SoftmaxLogits(g, pred, o.axis);
    attrs.from_logits = static_cast<bool>(logits);
    return g.Crossentropy(truth, AxisLast(g, logits ? logits : pred, o.axis), attrs);
  }
  Value mask(Graph& g, Value truth) const override {
    if (!o.ignore_class) return {};
    const Value labels = g.Reshape(g.Cast(truth), {g.shape(truth).count(), 1});
    return g.ElementLoss(labels, labels, Element(LossFormula::kDiffers, {static_cast<float>(*o.ignore_class)}));
  }
  TensorSpec target(const TensorSpec& pred, const TensorSpec& truth) const override {
    const int rank = pred.shape.rank();
    if (rank < 2 || o.axis >= rank || o.axis < -rank || pred.shape[o.axis] == 1)
      fail("the output has shape ", pred.shape, "; one value for each of at least 2 classes was expected on axis ",
           o.axis, rank >= 2 ? " (for one output between 0 and 1 use binary_crossentropy)" : "");
    const Shape rows = Without(pred.shape, o.axis);
    Shape column = rows;
    column.push_back(1);
    if (Fits(truth.shape, rows) || Fits(truth.shape, column)) return truth;
    if (Fits(truth.shape, pred.shape))
      fail("targets have shape ", truth.shape,
           ", as the output; one integer label for each row was expected, of shape ", rows,
           ": for one-hot targets use categorical_crossentropy");
    fail("targets have shape ", truth.shape, ", the output has shape ", pred.shape, "; integer labels of shape ", rows,
         " were expected");
  }
  void check_labels(const Array& truth, const TensorSpec& pred) const override {
    const int64_t classes = pred.shape[o.axis];
    if (classes == kNone || truth.empty()) return;
    const auto check = [&](int64_t i, double label) {
      if (o.ignore_class && label == *o.ignore_class) return;
      if (label >= 0 && label < static_cast<double>(classes) && label == std::floor(label)) return;
      fail("label ", label, " at position ", i, " of targets of shape ", truth.shape(), "; whole numbers from 0 to ",
           classes - 1, " were expected, as the output has ", classes, " classes");
    };
    const auto each = [&](auto values) {
      for (size_t i = 0; i < values.size(); ++i) check(static_cast<int64_t>(i), static_cast<double>(values[i]));
    };
    if (truth.dtype() == DType::kInt32)
      each(truth.as<int32_t>());
    else if (truth.dtype() == DType::kUint8)
      each(truth.as<uint8_t>());
    else
      each(truth.as<float>());
  }
};

Loss Finish(const std::shared_ptr<LossDef>& def, const std::string& name, const std::string& reduction) {
  for (const LossClass& c : AllLosses())
    if (def->class_name() == c.class_name) def->name = c.name;
  if (!name.empty()) def->name = name;
  def->reduction = reduction;
  return Loss(def);
}

template <class Def, class Options>
Loss Make(const Options& options) {
  auto def = std::make_shared<Def>();
  def->o = options;
  return Finish(def, options.name, options.reduction);
}

Loss Plain(const LossOptions& o, const char* class_name, LossFormula formula, bool sum = false,
           bool zero_is_minus = false) {
  return Finish(std::make_shared<PlainLoss>(class_name, formula, sum, zero_is_minus), o.name, o.reduction);
}

}  // namespace

bool Fits(const Shape& a, const Shape& b) {
  if (a.rank() != b.rank()) return false;
  for (int i = 0; i < a.rank(); ++i)
    if (a[i] != b[i] && a[i] != kNone && b[i] != kNone) return false;
  return true;
}

bool LooksLikeLabels(const TensorSpec& pred, const TensorSpec& truth) {
  const int rank = pred.shape.rank();
  if (rank < 2 || pred.shape.back() == 1) return false;
  const Shape rows = pred.shape.part(0, rank - 1);
  Shape column = rows;
  column.push_back(1);
  return Fits(truth.shape, rows) || Fits(truth.shape, column);
}

SameRankShapes SameRank(const Shape& truth, const Shape& pred) {
  SameRankShapes s{truth, pred};
  const auto align = [](Shape& more, Shape& fewer) {
    if (more.rank() != fewer.rank() + 1 || more.back() != 1) return;
    if (fewer.rank() == 1)
      fewer.push_back(1);
    else
      more = more.part(0, more.rank() - 1);
  };
  align(s.truth, s.pred);
  align(s.pred, s.truth);
  if (s.truth.rank() == 1 && s.pred.rank() == 1) {
    s.truth.push_back(1);
    s.pred.push_back(1);
  }
  return s;
}

Value SoftmaxLogits(const Graph& g, Value pred, int axis) {
  Attrs attrs;
  const Value x = g.MadeBy(pred, Kernel::kSoftmax, &attrs);
  const int rank = g.shape(pred).rank();
  return x && Positive(attrs.as<AxisAttrs>().axis, rank) == Positive(axis, rank) ? x : Value{};
}

Value SigmoidLogits(const Graph& g, Value pred) {
  Attrs attrs;
  const Value x = g.MadeBy(pred, Kernel::kUnary, &attrs);
  return x && attrs.as<UnaryAttrs>().formula == static_cast<uint16_t>(Formula::kSigmoid) ? x : Value{};
}

TensorSpec LossDef::target(const TensorSpec& pred, const TensorSpec& truth) const {
  const SameRankShapes shapes = SameRank(truth.shape, pred.shape);
  if (!Fits(shapes.truth, shapes.pred))
    fail("targets have shape ", truth.shape, ", the output has shape ", pred.shape, "; the same was expected",
         LooksLikeLabels(pred, truth) ? " (for integer labels use sparse_categorical_crossentropy)" : "");
  // Fed with as many axes as the output has: (N) against (N, 1) would broadcast to (N, N).
  Shape shape = truth.shape;
  if (shape.rank() < pred.shape.rank())
    shape.push_back(1);
  else
    shape = shape.part(0, pred.shape.rank());
  return {shape, truth.dtype};
}

Value AddLoss(Graph& g, const LossDef& loss, Value truth, Value pred, Value weight, float scale, Value into) {
  ReductionAttrs attrs;
  attrs.scale = scale;
  if (loss.reduction == "sum")
    attrs.reduction = Reduction::kSum;
  else if (loss.reduction == "mean")
    attrs.reduction = Reduction::kMean;
  else if (loss.reduction == "mean_with_sample_weight")
    attrs.reduction = Reduction::kMeanWithSampleWeight;
  else if (loss.reduction != "sum_over_batch_size")
    Fail("loss ", loss.name, ": reduction '", loss.reduction,
         "' leaves one loss for each sample; to train, choose "
         "'sum_over_batch_size', 'sum', 'mean' or 'mean_with_sample_weight'");
  const Value losses = loss.call(g, truth, pred);
  const Shape& shape = g.shape(losses);
  if (weight && (g.shape(weight).count() == 0 || shape.count() % g.shape(weight).count() != 0))
    Fail("loss ", loss.name, ": sample weights of shape ", g.shape(weight), " do not fit losses of shape ", shape);
  return g.LossReduce(losses, weight, attrs, into, loss.mask(g, truth));
}

Loss MeanSquaredError(const LossOptions& o) { return Plain(o, "MeanSquaredError", LossFormula::kSquaredError); }
Loss MeanAbsoluteError(const LossOptions& o) { return Plain(o, "MeanAbsoluteError", LossFormula::kAbsoluteError); }
Loss MeanAbsolutePercentageError(const LossOptions& o) {
  return Plain(o, "MeanAbsolutePercentageError", LossFormula::kAbsolutePercentageError);
}
Loss MeanSquaredLogarithmicError(const LossOptions& o) {
  return Plain(o, "MeanSquaredLogarithmicError", LossFormula::kSquaredLogarithmicError);
}
Loss LogCosh(const LossOptions& o) { return Plain(o, "LogCosh", LossFormula::kLogCosh); }
Loss KLDivergence(const LossOptions& o) { return Plain(o, "KLDivergence", LossFormula::kKLDivergence, true); }
Loss Poisson(const LossOptions& o) { return Plain(o, "Poisson", LossFormula::kPoisson); }
Loss Hinge(const LossOptions& o) { return Plain(o, "Hinge", LossFormula::kHinge, false, true); }
Loss SquaredHinge(const LossOptions& o) { return Plain(o, "SquaredHinge", LossFormula::kSquaredHinge, false, true); }
Loss CategoricalHinge(const LossOptions& o) {
  return Finish(std::make_shared<CategoricalHingeLoss>(), o.name, o.reduction);
}
Loss Huber(const HuberOptions& o) { return Make<HuberLoss>(o); }
Loss CosineSimilarity(const CosineSimilarityOptions& o) { return Make<CosineLoss>(o); }
Loss BinaryCrossentropy(const CrossentropyOptions& o) { return Make<BinaryCrossentropyLoss>(o); }
Loss CategoricalCrossentropy(const CrossentropyOptions& o) { return Make<CategoricalCrossentropyLoss>(o); }
Loss SparseCategoricalCrossentropy(const SparseCategoricalCrossentropyOptions& o) {
  return Make<SparseCategoricalLoss>(o);
}
Loss BinaryFocalCrossentropy(const BinaryFocalCrossentropyOptions& o) { return Make<BinaryFocalLoss>(o); }
Loss CategoricalFocalCrossentropy(const CategoricalFocalCrossentropyOptions& o) {
  return Make<CategoricalFocalLoss>(o);
}

}  // namespace ingot
