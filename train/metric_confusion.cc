// SPDX-License-Identifier: MIT
//
// Metrics that count true and false positives and negatives. The state is {tp, fp, tn, fn} (4, T, L) for T thresholds
// and L labels (L = 1 but for AUC with multi_label). A division by 0 gives 0, as in Keras.
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "ingot/layers/activations.h"
#include "ingot/train/metric_def.h"

namespace ingot {
namespace {

double Ratio(double a, double b) { return b == 0 ? 0 : a / b; }

// keras.src.metrics.metrics_utils.is_evenly_distributed_thresholds: at least 3, equal to i / (T - 1) within tolerance.
bool Even(const std::vector<float>& thresholds) {
  const size_t n = thresholds.size();
  if (n < 3) return false;
  for (size_t i = 0; i < n; ++i) {
    const double want = static_cast<double>(i) / static_cast<double>(n - 1);
    if (std::fabs(static_cast<double>(thresholds[i]) - want) > 1e-7 + 1e-5 * want) return false;
  }
  return true;
}

std::vector<float> Evenly(int n) {
  std::vector<float> thresholds;
  for (int i = 0; i < n; ++i) thresholds.push_back(static_cast<float>(static_cast<double>(i) / (n - 1)));
  return thresholds;
}

// Each as its shortest decimal, as Fields writes a float.
void WriteNumbers(Fields& f, const char* key, std::span<const float> values) {
  Json list = Json::array();
  for (float value : values) {
    Json one;
    Fields writer = Fields::Writer(one);
    writer(key, value);
    list.push_back(one[key]);
  }
  f.raw_out()[key] = list;
}

// A list, or what Keras makes of a tensor: {"class_name": "__tensor__", "config": {"value": [...]}}.
void ReadTensor(Fields& f, const char* key, std::vector<float>& values) {
  const Json& raw = f.raw(key);
  if (!raw.is_object() || !raw.contains("config") || !raw["config"].is_object()) return f(key, values);
  Fields tensor = Fields::Reader(raw["config"], f.where() + ", " + key);
  tensor("value", values);
}

struct Counts {
  std::span<const double> state;
  size_t thresholds, labels;
  double at(size_t kind, size_t k, size_t label) const { return state[(kind * thresholds + k) * labels + label]; }
  double tp(size_t k, size_t l = 0) const { return at(0, k, l); }
  double fp(size_t k, size_t l = 0) const { return at(1, k, l); }
  double tn(size_t k, size_t l = 0) const { return at(2, k, l); }
  double fn(size_t k, size_t l = 0) const { return at(3, k, l); }
};

struct ConfusionMetric : MetricDef {
  std::vector<float> thresholds;
  bool even = false;
  MetricAttrs attrs;
  bool from_logits = false;
  std::vector<float> label_weights;

  TensorSpec target(const TensorSpec& pred, const TensorSpec& truth) const override {
    const SameRankShapes shapes = SameRank(truth.shape, pred.shape);
    if (!Fits(shapes.truth, shapes.pred))
      fail("targets have shape ", truth.shape, ", the output has shape ", pred.shape, "; the same was expected",
           LooksLikeLabels(pred, truth) ? " (make integer labels one-hot)" : "");
    const int64_t n = shapes.pred.back();
    if (attrs.column >= 0 && n != kNone && attrs.column >= n)
      fail("class_id is ", attrs.column, ", the output has ", n, " classes");
    if (attrs.multi_label && pred.shape.rank() != 2)
      fail("multi_label wants an output of shape (batch, labels), ", pred.shape, " came");
    if (!label_weights.empty() && n != kNone && static_cast<int64_t>(label_weights.size()) != n)
      fail("there are ", label_weights.size(), " label_weights for an output of shape ", pred.shape);
    return truth;
  }
  int64_t labels(const TensorSpec& pred) const { return attrs.multi_label ? pred.shape.back() : 1; }
  int64_t state_doubles(const TensorSpec& pred) const override {
    return 4 * static_cast<int64_t>(thresholds.size()) * labels(pred);
  }
  void update(Graph& g, Value truth, Value pred, Value weight, Value state) const override {
    const SameRankShapes shapes = SameRank(g.shape(truth), g.shape(pred));
    Value p = g.Reshape(pred, shapes.pred);
    if (from_logits) p = Apply(g, Formula::kSigmoid, p);
    MetricAttrs a = attrs;
    a.formula = MetricFormula::kConfusion;
    a.even = even;
    Values in{g.Reshape(g.Cast(truth), shapes.truth), p,
              g.Constant({static_cast<int64_t>(thresholds.size())}, thresholds)};
    if (!attrs.multi_label && !label_weights.empty()) {
      a.label_weighted = true;
      in.push_back(g.Constant({static_cast<int64_t>(label_weights.size())}, label_weights));
    }
    EmitMetric(g, in, weight, state, a);
  }
  Counts counts(std::span<const double> state) const {
    return {state, thresholds.size(), state.size() / (4 * thresholds.size())};
  }
  void CheckThresholds() const {
    for (const float t : thresholds)
      if (!(t >= 0 && t <= 1)) fail("threshold ", t, " is not within 0 and 1");
  }
};

// Precision, Recall and the four counts: thresholds given by the user.
struct ThresholdMetric : ConfusionMetric {
  using Result = double (*)(const Counts&, size_t k);
  const char* of;
  Result result_of;
  bool with_top_k;
  PrecisionOptions o;
  bool as_list = false;

  ThresholdMetric(const char* class_name_, Result result_, bool with_top_k_)
      : of(class_name_), result_of(result_), with_top_k(with_top_k_) {}
  std::string class_name() const override { return of; }
  void fields(Fields& f) override {
    if (f.reading()) {
      as_list = f.has("thresholds") && f.raw("thresholds").is_array();
      f.seen("thresholds");
      if (f.has("thresholds")) f("thresholds", o.thresholds);
    } else if (o.thresholds.empty()) {
      f.null("thresholds");
    } else if (o.thresholds.size() == 1 && !as_list) {
      f("thresholds", o.thresholds[0]);
    } else {
      WriteNumbers(f, "thresholds", o.thresholds);
    }
    if (with_top_k) {
      f("top_k", o.top_k);
      f("class_id", o.class_id);
    }
    if (f.reading()) Prepare();
  }
  void Prepare() {
    thresholds = o.thresholds;
    CheckThresholds();
    if (thresholds.empty()) thresholds = {o.top_k ? -1e10f : 0.5f};
    even = Even(thresholds);
    if (o.top_k && *o.top_k < 1) fail("top_k is ", *o.top_k, ", at least 1 was expected");
    if (o.class_id && *o.class_id < 0) fail("class_id is ", *o.class_id, ", at least 0 was expected");
    attrs.k = o.top_k.value_or(0);
    attrs.column = o.class_id.value_or(-1);
  }
  std::vector<double> result(std::span<const double> state) const override {
    const Counts c = counts(state);
    std::vector<double> values;
    for (size_t k = 0; k < thresholds.size(); ++k) values.push_back(result_of(c, k));
    return values;
  }
};

// The largest of one rate where another is at least so large.
struct AtMetric : ConfusionMetric {
  using Rate = double (*)(const Counts&, size_t k);
  const char *of, *key;
  Rate constrained, wanted;
  float least;
  AtOptions o;

  AtMetric(const char* class_name_, const char* key_, Rate constrained_, Rate wanted_, float least_,
           const AtOptions& options)
      : of(class_name_), key(key_), constrained(constrained_), wanted(wanted_), least(least_), o(options) {}
  std::string class_name() const override { return of; }
  void fields(Fields& f) override {
    f("class_id", o.class_id);
    f("num_thresholds", o.num_thresholds);
    f(key, least);
    if (f.reading()) Prepare();
  }
  void Prepare() {
    if (o.num_thresholds < 1) fail("num_thresholds is ", o.num_thresholds, ", at least 1 was expected");
    if (!(least >= 0 && least <= 1)) fail(key, " is ", least, ", which is not within 0 and 1");
    thresholds = o.num_thresholds == 1 ? std::vector<float>{0.5f} : Evenly(o.num_thresholds);
    even = o.num_thresholds > 1;
    attrs.column = o.class_id.value_or(-1);
  }
  std::vector<double> result(std::span<const double> state) const override {
    const Counts c = counts(state);
    double best = 0;
    for (size_t k = 0; k < thresholds.size(); ++k)
      if (static_cast<float>(constrained(c, k)) >= least) best = std::max(best, wanted(c, k));
    return {best};
  }
};

double PrecisionAt(const Counts& c, size_t k) { return Ratio(c.tp(k), c.tp(k) + c.fp(k)); }
double RecallAt(const Counts& c, size_t k) { return Ratio(c.tp(k), c.tp(k) + c.fn(k)); }
double SpecificityAt(const Counts& c, size_t k) { return Ratio(c.tn(k), c.tn(k) + c.fp(k)); }

struct AUCMetric : ConfusionMetric {
  AUCOptions o;

  std::string class_name() const override { return "AUC"; }
  void fields(Fields& f) override {
    if (f.reading() || o.thresholds.empty()) {
      f("num_thresholds", o.num_thresholds);
    } else {
      int n = static_cast<int>(thresholds.size());
      f("num_thresholds", n);
    }
    f("curve", o.curve);
    f("summation_method", o.summation_method);
    f("multi_label", o.multi_label);
    f("num_labels", o.num_labels);
    if (f.reading()) {
      f.seen("label_weights");
      if (f.has("label_weights")) ReadTensor(f, "label_weights", o.label_weights);
    } else if (o.label_weights.empty()) {
      f.null("label_weights");
    } else {
      f.raw_out()["label_weights"] = {{"class_name", "__tensor__"},
                                      {"config", {{"value", o.label_weights}, {"dtype", "float32"}}}};
    }
    f("from_logits", o.from_logits);
    if (f.reading()) {
      if (f.has("thresholds")) f("thresholds", o.thresholds);
      Prepare();
    } else if (!o.thresholds.empty()) {
      WriteNumbers(f, "thresholds", o.thresholds);
    }
  }
  void Prepare() {
    std::transform(o.curve.begin(), o.curve.end(), o.curve.begin(),
                   [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
    if (o.curve != "ROC" && o.curve != "PR" && o.curve != "PRGAIN")
      fail("curve is '", o.curve, "'; 'ROC', 'PR' or 'PRGAIN' was expected");
    if (!o.summation_method.empty() && o.summation_method[0] >= 'A' && o.summation_method[0] <= 'Z')
      o.summation_method[0] = static_cast<char>(o.summation_method[0] + 32);
    if (o.summation_method != "interpolation" && o.summation_method != "minoring" && o.summation_method != "majoring")
      fail("summation_method is '", o.summation_method, "'; 'interpolation', 'minoring' or 'majoring' was expected");
    if (o.num_labels && !o.multi_label) fail("num_labels is for multi_label only");
    if (o.thresholds.empty()) {
      if (o.num_thresholds < 2) fail("num_thresholds is ", o.num_thresholds, ", at least 2 was expected");
      thresholds = Evenly(o.num_thresholds);
      even = true;
    } else {
      thresholds = o.thresholds;
      CheckThresholds();
      std::sort(thresholds.begin(), thresholds.end());
      thresholds.insert(thresholds.begin(), 0.0f);
      thresholds.push_back(1.0f);
      even = Even(thresholds);
    }
    thresholds.front() = -1e-7f;  // so that every prediction is above the first and none above the last
    thresholds.back() = 1.0f + 1e-7f;
    attrs.multi_label = o.multi_label;
    from_logits = o.from_logits;
    label_weights = o.label_weights;
  }

  // The point of the curve at threshold k.
  struct Point {
    double x, y;
  };
  Point At(const Counts& c, size_t k, size_t l) const {
    const double tp = c.tp(k, l), fp = c.fp(k, l), tn = c.tn(k, l), fn = c.fn(k, l);
    const double recall = Ratio(tp, tp + fn);
    if (o.curve == "ROC") return {Ratio(fp, fp + tn), recall};
    if (o.curve == "PR") return {recall, Ratio(tp, tp + fp)};
    if (tp == 0) return {0, 1};
    const double scale = Ratio(tp + fn, tn + fp);
    return {std::max(0.0, 1 - scale * fn / tp), 1 - scale * fp / tp};
  }
  double Area(const Counts& c, size_t l) const {
    double area = 0;
    for (size_t k = 0; k + 1 < thresholds.size(); ++k) {
      const Point a = At(c, k, l), b = At(c, k + 1, l);
      const double height = o.summation_method == "interpolation" ? (a.y + b.y) / 2
                            : o.summation_method == "minoring"    ? std::min(a.y, b.y)
                                                                  : std::max(a.y, b.y);
      area += (a.x - b.x) * height;
    }
    return area;
  }
  // Precision and recall, interpolated as Davis and Goadrich (2006) do: between two thresholds true positives grow
  // linearly with positives, tp = intercept + slope p, so the area is the integral of tp / p over d tp.
  double InterpolatedPR(const Counts& c, size_t l) const {
    double area = 0;
    for (size_t k = 0; k + 1 < thresholds.size(); ++k) {
      const double p0 = c.tp(k, l) + c.fp(k, l), p1 = c.tp(k + 1, l) + c.fp(k + 1, l);
      const double dtp = c.tp(k, l) - c.tp(k + 1, l), slope = Ratio(dtp, std::max(p0 - p1, 0.0));
      const double intercept = c.tp(k + 1, l) - slope * p1;
      const double ratio = p0 > 0 && p1 > 0 ? p0 / p1 : 1;
      area += Ratio(slope * (dtp + intercept * std::log(ratio)), std::max(c.tp(k + 1, l) + c.fn(k + 1, l), 0.0));
    }
    return area;
  }
  std::vector<double> result(std::span<const double> state) const override {
    const Counts c = counts(state);
    const bool pr = o.curve == "PR" && o.summation_method == "interpolation";
    double sum = 0, weights = 0;
    for (size_t l = 0; l < c.labels; ++l) {
      const double w = o.multi_label && !label_weights.empty() ? static_cast<double>(label_weights[l]) : 1;
      sum += w * (pr ? InterpolatedPR(c, l) : Area(c, l));
      weights += w;
    }
    return {Ratio(sum, weights)};
  }
};

template <class Def, class Options>
Metric Ready(std::shared_ptr<Def> def, const Options& o) {
  def->o = o;
  def->name = o.name;
  def->Prepare();
  return NamedMetric(def, o.name);
}

Metric Count(const char* of, ThresholdMetric::Result result, const ThresholdOptions& o) {
  return Ready(std::make_shared<ThresholdMetric>(of, result, false),
               PrecisionOptions{.thresholds = o.thresholds, .name = o.name});
}
Metric At(const char* of, const char* key, AtMetric::Rate constrained, AtMetric::Rate wanted, float least,
          const AtOptions& o) {
  return Ready(std::make_shared<AtMetric>(of, key, constrained, wanted, least, o), o);
}

}  // namespace

Metric TruePositives(const ThresholdOptions& o) {
  return Count(
      "TruePositives", [](const Counts& c, size_t k) { return c.tp(k); }, o);
}
Metric FalsePositives(const ThresholdOptions& o) {
  return Count(
      "FalsePositives", [](const Counts& c, size_t k) { return c.fp(k); }, o);
}
Metric TrueNegatives(const ThresholdOptions& o) {
  return Count(
      "TrueNegatives", [](const Counts& c, size_t k) { return c.tn(k); }, o);
}
Metric FalseNegatives(const ThresholdOptions& o) {
  return Count(
      "FalseNegatives", [](const Counts& c, size_t k) { return c.fn(k); }, o);
}
Metric Precision(const PrecisionOptions& o) {
  return Ready(std::make_shared<ThresholdMetric>("Precision", PrecisionAt, true), o);
}
Metric Recall(const PrecisionOptions& o) {
  return Ready(std::make_shared<ThresholdMetric>("Recall", RecallAt, true), o);
}
Metric SensitivityAtSpecificity(float specificity, const AtOptions& o) {
  return At("SensitivityAtSpecificity", "specificity", SpecificityAt, RecallAt, specificity, o);
}
Metric SpecificityAtSensitivity(float sensitivity, const AtOptions& o) {
  return At("SpecificityAtSensitivity", "sensitivity", RecallAt, SpecificityAt, sensitivity, o);
}
Metric PrecisionAtRecall(float recall, const AtOptions& o) {
  return At("PrecisionAtRecall", "recall", RecallAt, PrecisionAt, recall, o);
}
Metric RecallAtPrecision(float precision, const AtOptions& o) {
  return At("RecallAtPrecision", "precision", PrecisionAt, RecallAt, precision, o);
}
Metric AUC(const AUCOptions& o) { return Ready(std::make_shared<AUCMetric>(), o); }

}  // namespace ingot
