// SPDX-License-Identifier: MIT
//
// Metrics that are a mean (accuracies, losses, functions of the user's), whose state is {total, count}, and the F and
// R2 scores. Those that count true and false positives by thresholds are in metric_confusion.cc.
#include "ingot/train/metrics.h"

#include <cmath>

#include "ingot/kernels/formulas.h"
#include "ingot/layers/activations.h"
#include "ingot/layers/layer.h"
#include "ingot/train/metric_def.h"

namespace ingot {
namespace {

double MeanOf(std::span<const double> state) { return state[1] == 0 ? 0 : state[0] / state[1]; }

struct MeanMetric : MetricDef {
  std::vector<double> result(std::span<const double> state) const override { return {MeanOf(state)}; }

  void AddValues(Graph& g, Value values, Value weight, Value state) const {
    MetricAttrs attrs;
    attrs.formula = MetricFormula::kMean;
    EmitMetric(g, {values}, weight, state, attrs);
  }
};

// truth and pred of the same shape, compared element by element.
struct MatchMetric : MeanMetric {
  const char* of;
  bool binary;
  BinaryAccuracyOptions o;
  MatchMetric(const char* class_name_, bool binary_) : of(class_name_), binary(binary_) {}

  std::string class_name() const override { return of; }
  void fields(Fields& f) override {
    if (binary) f("threshold", o.threshold);
  }
  TensorSpec target(const TensorSpec& pred, const TensorSpec& truth) const override {
    const SameRankShapes shapes = SameRank(truth.shape, pred.shape);
    if (!Fits(shapes.truth, shapes.pred))
      fail("targets have shape ", truth.shape, ", the output has shape ", pred.shape, "; the same was expected");
    return truth;
  }
  void update(Graph& g, Value truth, Value pred, Value weight, Value state) const override {
    const SameRankShapes shapes = SameRank(g.shape(truth), g.shape(pred));
    MetricAttrs attrs;
    attrs.formula = binary ? MetricFormula::kBinary : MetricFormula::kEqual;
    attrs.p[0] = o.threshold;
    EmitMetric(g, {g.Reshape(g.Cast(truth), shapes.truth), g.Reshape(pred, shapes.pred)}, weight, state, attrs);
  }
};

// One class for each row.
struct ClassMetric : MeanMetric {
  const char* of;
  MetricFormula formula;
  bool sparse;
  TopKOptions o;
  ClassMetric(const char* class_name_, MetricFormula formula_)
      : of(class_name_),
        formula(formula_),
        sparse(formula == MetricFormula::kSparse || formula == MetricFormula::kSparseTopK) {}

  bool top_k() const { return formula == MetricFormula::kTopK || formula == MetricFormula::kSparseTopK; }
  std::string class_name() const override { return of; }
  void fields(Fields& f) override {
    if (top_k()) f("k", o.k);
  }
  TensorSpec target(const TensorSpec& pred, const TensorSpec& truth) const override {
    const bool labels = LooksLikeLabels(pred, truth), same = Fits(pred.shape, truth.shape);
    if (sparse ? labels || (same && pred.shape.back() == 1) : same) return truth;
    fail("targets have shape ", truth.shape, ", the output has shape ", pred.shape, "; ",
         sparse ? "one integer label for each row was expected" : "one number for each class was expected",
         sparse && same      ? " (for one-hot targets use categorical_accuracy)"
         : !sparse && labels ? " (for integer labels use sparse_categorical_accuracy)"
                             : "");
  }
  void update(Graph& g, Value truth, Value pred, Value weight, Value state) const override {
    MetricAttrs attrs;
    attrs.formula = formula;
    attrs.k = o.k;
    EmitMetric(g, {sparse ? truth : g.Cast(truth), pred}, weight, state, attrs);
  }
};

// The mean of a loss over samples.
struct LossMetric : MeanMetric {
  Loss loss;
  explicit LossMetric(const Loss& l) : loss(l) { name = l.name(); }

  bool cosine() const { return loss.def().class_name() == "CosineSimilarity"; }
  std::string class_name() const override {
    const std::string of = loss.def().class_name();
    return of == "LogCosh" ? "LogCoshError" : of;
  }
  void fields(Fields& f) override {
    const_cast<LossDef&>(loss.def()).fields(f);  // the def of this metric alone: AllMetrics makes it anew
    if (f.reading()) return;
    // What Keras writes of the axis differs between the loss and the metric.
    if (class_name() == "BinaryCrossentropy") EraseField(f, "axis");
    if (int axis = -1; class_name() == "SparseCategoricalCrossentropy") f("axis", axis);
  }
  TensorSpec target(const TensorSpec& pred, const TensorSpec& truth) const override {
    return loss.def().target(pred, truth);
  }
  void update(Graph& g, Value truth, Value pred, Value weight, Value state) const override {
    Value values = loss.def().call(g, truth, pred);
    if (cosine()) values = Apply(g, Formula::kAffine, values, -1);
    // As in Keras, labels that are ignored count (as 0) unless there are weights.
    if (const Value mask = weight ? loss.def().mask(g, truth) : Value{}) {
      const Shape& shape = g.shape(values);
      Shape lead = g.shape(weight);
      while (lead.rank() > 1 && lead.rank() > shape.rank() && lead.back() == 1) lead = lead.part(0, lead.rank() - 1);
      while (lead.rank() < shape.rank()) lead.push_back(1);
      weight = g.Multiply(g.Reshape(weight, lead), g.Reshape(mask, shape));
    }
    AddValues(g, values, weight, state);
  }
};

struct RootMeanSquaredErrorMetric : LossMetric {
  RootMeanSquaredErrorMetric() : LossMetric(MeanSquaredError()) { name = "root_mean_squared_error"; }
  std::string class_name() const override { return "RootMeanSquaredError"; }
  std::vector<double> result(std::span<const double> state) const override { return {std::sqrt(MeanOf(state))}; }
};

// 1 - (sum of squared errors) / (sum of squared distances from the mean), for each column.
struct R2Metric : MetricDef {
  R2Options o;
  std::string class_name() const override { return "R2Score"; }
  void fields(Fields& f) override {
    f("class_aggregation", o.class_aggregation);
    f("num_regressors", o.num_regressors);
    if (f.reading()) Check();
  }
  void Check() const {
    if (o.class_aggregation && *o.class_aggregation != "uniform_average" &&
        *o.class_aggregation != "variance_weighted_average")
      fail("class_aggregation is '", *o.class_aggregation,
           "'; none, 'uniform_average' or 'variance_weighted_average' was expected");
    if (o.num_regressors < 0) fail("num_regressors is ", o.num_regressors, ", at least 0 was expected");
  }
  TensorSpec target(const TensorSpec& pred, const TensorSpec& truth) const override {
    const SameRankShapes shapes = SameRank(truth.shape, pred.shape);
    if (shapes.pred.rank() != 2 || !Fits(shapes.truth, shapes.pred))
      fail("targets have shape ", truth.shape, ", the output has shape ", pred.shape,
           "; both (batch, values) were expected");
    return truth;
  }
  int64_t state_doubles(const TensorSpec& pred) const override {
    return 4 * (pred.shape.rank() > 1 ? pred.shape.back() : 1) + 1;
  }
  void update(Graph& g, Value truth, Value pred, Value weight, Value state) const override {
    const SameRankShapes shapes = SameRank(g.shape(truth), g.shape(pred));
    MetricAttrs attrs;
    attrs.formula = MetricFormula::kR2;
    EmitMetric(g, {g.Reshape(g.Cast(truth), shapes.truth), g.Reshape(pred, shapes.pred)}, weight, state, attrs);
  }
  std::vector<double> result(std::span<const double> state) const override {
    const size_t n = state.size() / 4;
    std::vector<double> scores;
    double sum = 0, weighted = 0, weights = 0;
    for (size_t i = 0; i < n; ++i) {
      const double total = state[n + i] - state[i] * (state[i] / state[3 * n + i]);
      const double raw = 1 - state[2 * n + i] / total, score = std::isinf(raw) ? 0 : raw;
      scores.push_back(score);
      sum += score;
      weighted += total * score;
      weights += total;
    }
    if (o.class_aggregation)
      scores = {*o.class_aggregation == "uniform_average" ? sum / static_cast<double>(n) : weighted / weights};
    const double samples = state[4 * n], regressors = o.num_regressors;
    if (regressors > 0 && regressors < samples - 1)
      for (double& score : scores) score = 1 - (1 - score) * (samples - 1) / (samples - regressors - 1);
    return scores;
  }
};

// The state is {tp, fp, fn, positives} (4, n).
struct FBetaMetric : MetricDef {
  const char* of;
  FBetaOptions o;
  explicit FBetaMetric(const char* class_name_) : of(class_name_) {}

  std::string class_name() const override { return of; }
  void fields(Fields& f) override {
    f("average", o.average);
    if (class_name() == "FBetaScore") f("beta", o.beta);
    f("threshold", o.threshold);
    if (f.reading()) Prepare();
  }
  void Prepare() {
    if (o.average && *o.average != "micro" && *o.average != "macro" && *o.average != "weighted")
      fail("average is '", *o.average, "'; none, 'micro', 'macro' or 'weighted' was expected");
    if (!(o.beta > 0)) fail("beta is ", o.beta, ", more than 0 was expected");
    if (o.threshold && !(*o.threshold > 0 && *o.threshold <= 1))
      fail("threshold is ", *o.threshold, ", which is not within 0 and 1");
  }
  TensorSpec target(const TensorSpec& pred, const TensorSpec& truth) const override {
    if (pred.shape.rank() != 2 || !Fits(pred.shape, truth.shape))
      fail("targets have shape ", truth.shape, ", the output has shape ", pred.shape,
           "; both (batch, classes) were expected",
           LooksLikeLabels(pred, truth) ? " (make integer labels one-hot)" : "");
    return truth;
  }
  int64_t state_doubles(const TensorSpec& pred) const override { return 4 * pred.shape.back(); }
  void update(Graph& g, Value truth, Value pred, Value weight, Value state) const override {
    MetricAttrs attrs;
    attrs.formula = MetricFormula::kFBeta;
    attrs.p[0] = o.threshold.value_or(-1);
    EmitMetric(g, {g.Cast(truth), pred}, weight, state, attrs);
  }
  double Score(double tp, double fp, double fn) const {
    constexpr double kEpsilon = 1e-7;
    const double precision = tp / (tp + fp + kEpsilon), recall = tp / (tp + fn + kEpsilon);
    const double b2 = static_cast<double>(o.beta) * static_cast<double>(o.beta);
    return precision * recall / (b2 * precision + recall + kEpsilon) * (1 + b2);
  }
  std::vector<double> result(std::span<const double> state) const override {
    const size_t n = state.size() / 4;
    std::vector<double> scores;
    double all[4] = {};
    for (size_t i = 0; i < n; ++i) {
      scores.push_back(Score(state[i], state[n + i], state[2 * n + i]));
      for (size_t k = 0; k < 4; ++k) all[k] += state[k * n + i];
    }
    if (!o.average) return scores;
    if (*o.average == "micro") return {Score(all[0], all[1], all[2])};
    double sum = 0;
    for (size_t i = 0; i < n; ++i)
      sum +=
          *o.average == "macro" ? scores[i] / static_cast<double>(n) : scores[i] * state[3 * n + i] / (all[3] + 1e-7);
    return {sum};
  }
};

struct FunctionMetric : MeanMetric {
  Metric::Function values;
  std::string class_name() const override { return "function"; }
  void update(Graph& g, Value truth, Value pred, Value weight, Value state) const override {
    const SameRankShapes shapes = SameRank(g.shape(truth), g.shape(pred));
    AddValues(g, values(g, g.Reshape(g.Cast(truth), shapes.truth), g.Reshape(pred, shapes.pred)), weight, state);
  }
};

Metric Classes(const char* of, MetricFormula formula, const TopKOptions& o) {
  auto def = std::make_shared<ClassMetric>(of, formula);
  def->o = o;
  return NamedMetric(def, o.name);
}

}  // namespace

void EmitMetric(Graph& g, Values in, Value weight, Value state, MetricAttrs attrs) {
  attrs.weighted = static_cast<bool>(weight);
  if (weight) in.push_back(weight);
  g.EmitInto(Kernel::kMetricUpdate, in, std::span<const Value>(&state, 1), attrs);
}

Metric NamedMetric(std::shared_ptr<MetricDef> def, const std::string& name) {
  for (const MetricClass& c : AllMetrics())
    if (def->class_name() == c.class_name) def->name = c.name;
  if (!name.empty()) def->name = name;
  return Metric(std::move(def));
}

void HostMetric::update(Graph& g, Value truth, Value pred, Value weight, Value state) const {
  Values in{g.Cast(truth), pred};
  if (weight) in.push_back(weight);
  const auto run = [](const Call& call, const void* self) {
    const auto floats = [](const Operand& x) { return std::span<const float>(x.f(), static_cast<size_t>(x.count())); };
    Batch batch{floats(call.in[0]), floats(call.in[1]), {}, call.in[0].shape, call.in[1].shape};
    if (call.in.size() > 2) batch.weight = floats(call.in[2]);
    static_cast<const HostMetric*>(self)->update(
        batch, {static_cast<double*>(call.out[0].data), static_cast<size_t>(call.out[0].count() / 2)});
  };
  g.EmitInto(Kernel::kCustom, in, std::span<const Value>(&state, 1), CustomAttrs{run, this});
}

Metric::Metric(const Loss& loss) {
  if (!loss) Fail("metric: made of a loss that is none");
  def_ = std::make_shared<LossMetric>(loss);
}

Metric::Metric(std::string name, Function values) : given_(name) {
  auto def = std::make_shared<FunctionMetric>();
  def->name = std::move(name);
  def->values = std::move(values);
  def_ = std::move(def);
}

Metric Accuracy(const MetricOptions& o) {
  return NamedMetric(std::make_shared<MatchMetric>("Accuracy", false), o.name);
}
Metric BinaryAccuracy(const BinaryAccuracyOptions& o) {
  auto def = std::make_shared<MatchMetric>("BinaryAccuracy", true);
  def->o = o;
  return NamedMetric(def, o.name);
}
Metric CategoricalAccuracy(const MetricOptions& o) {
  return Classes("CategoricalAccuracy", MetricFormula::kCategorical, {.name = o.name});
}
Metric SparseCategoricalAccuracy(const MetricOptions& o) {
  return Classes("SparseCategoricalAccuracy", MetricFormula::kSparse, {.name = o.name});
}
Metric TopKCategoricalAccuracy(const TopKOptions& o) {
  return Classes("TopKCategoricalAccuracy", MetricFormula::kTopK, o);
}
Metric SparseTopKCategoricalAccuracy(const TopKOptions& o) {
  return Classes("SparseTopKCategoricalAccuracy", MetricFormula::kSparseTopK, o);
}
Metric RootMeanSquaredError(const MetricOptions& o) {
  return NamedMetric(std::make_shared<RootMeanSquaredErrorMetric>(), o.name);
}
Metric R2Score(const R2Options& o) {
  auto def = std::make_shared<R2Metric>();
  def->o = o;
  def->Check();
  return NamedMetric(def, o.name);
}
static Metric FBeta(const char* of, const FBetaOptions& o) {
  auto def = std::make_shared<FBetaMetric>(of);
  def->o = o;
  def->Prepare();
  return NamedMetric(def, o.name);
}
Metric FBetaScore(const FBetaOptions& o) { return FBeta("FBetaScore", o); }
Metric F1Score(const F1Options& o) {
  return FBeta("F1Score", {.average = o.average, .threshold = o.threshold, .name = o.name});
}
Metric LogCoshError(const MetricOptions& o) { return NamedMetric(std::make_shared<LossMetric>(LogCosh()), o.name); }

Metric::Metric(std::shared_ptr<MetricDef> def) : def_(std::move(def)) {
  if (def_ && def_->name.empty()) def_->name = SnakeCase(def_->class_name());
}

}  // namespace ingot
