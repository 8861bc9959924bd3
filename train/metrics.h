// SPDX-License-Identifier: MIT
//
// Metrics, by Keras's names ("accuracy", "AUC"), with options (AUC({.curve = "PR"})), any loss as a metric
// (Metric(Huber())), or of one's own:
//   Metric bias("bias", [](Graph& g, Value truth, Value pred) {  // the mean of these values is the metric
//     return g.Reduce(ReduceOp::kMean, g.Subtract(pred, truth), std::array{1}, false);
//   });
// or a class derived from HostMetric, which sees each batch as plain numbers.
//
// A metric adds each batch to its state, an array of doubles, within the plan; the host turns the state into the
// result. State that is all zero is the beginning.
//
// Threads: a Metric never changes; handles share it. Plans refer to it: it must outlive them.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ingot/train/losses.h"

namespace ingot {

class MetricDef {
 public:
  using Factory = std::function<std::shared_ptr<MetricDef>()>;  // in CustomObjects
  virtual ~MetricDef() = default;

  virtual std::string class_name() const = 0;
  virtual void fields(Fields&) {}  // options, beyond the name

  // Error unless such targets can be compared with such outputs. What comes back is how they are fed to update().
  virtual TensorSpec target(const TensorSpec& /*pred*/, const TensorSpec& truth) const { return truth; }
  virtual int64_t state_doubles(const TensorSpec& /*pred*/) const { return 2; }
  // Adds a batch to `state`, a value of Graph::State(2 * state_doubles). Weight may be absent.
  virtual void update(Graph& g, Value truth, Value pred, Value weight, Value state) const = 0;
  // One value, but for metrics with several thresholds or classes.
  virtual std::vector<double> result(std::span<const double> state) const = 0;

  std::string name;

 protected:
  template <class... Parts>
  [[noreturn]] void fail(const Parts&... parts) const {
    Fail("metric ", name.empty() ? class_name() : name, ": ", parts...);
  }
};

// A metric that is a function on the host: override these, state_doubles() and result().
class HostMetric : public MetricDef {
 public:
  struct Batch {
    std::span<const float> truth, pred, weight;  // weight may be empty
    Shape truth_shape, pred_shape;
  };
  virtual void update(const Batch& batch, std::span<double> state) const = 0;  // must not throw
  void update(Graph& g, Value truth, Value pred, Value weight, Value state) const final;
};

class Metric {
 public:
  using Function = std::function<Value(Graph&, Value truth, Value pred)>;

  Metric() = default;
  Metric(const char* name);         // NOLINT: a name is a metric. Error if there is none of that name
  Metric(const std::string& name);  // NOLINT
  Metric(const Loss& loss);         // NOLINT: its mean. CosineSimilarity is 1, not -1, for equal directions
  Metric(std::string name, Function values);
  explicit Metric(
      std::shared_ptr<MetricDef> def);  // without a name of its own it has that of the class, as Keras says it

  explicit operator bool() const { return def_ != nullptr; }
  const MetricDef& def() const { return *def_; }
  const std::string& name() const { return def_->name; }

  // "accuracy", "acc", "crossentropy" and "ce" stand for the binary, categorical or sparse one, as the shapes tell.
  Metric resolve(const TensorSpec& pred, const TensorSpec& truth) const;

 private:
  friend Json ToConfig(const Metric& metric);
  friend Metric MetricFromConfig(const Json& config, const CustomObjects* custom);

  std::shared_ptr<MetricDef> def_;
  std::string given_;  // the name it was asked for by, if it was: what is saved
};

template <class Def, class... Args>
Metric MakeMetric(Args&&... args) {
  return Metric(std::make_shared<Def>(std::forward<Args>(args)...));
}

// As Keras writes them. Reading, names are looked up in `custom` (MetricFactory, Metric) first.
using MetricFactory = MetricDef::Factory;
Json ToConfig(const Metric& metric);
Metric MetricFromConfig(const Json& config, const CustomObjects* custom = nullptr);

struct MetricOptions {
  std::string name{};
};
Metric Accuracy(const MetricOptions& options = {});  // truth == pred
Metric CategoricalAccuracy(const MetricOptions& options = {});
Metric SparseCategoricalAccuracy(const MetricOptions& options = {});
Metric RootMeanSquaredError(const MetricOptions& options = {});
Metric LogCoshError(const MetricOptions& options = {});

struct BinaryAccuracyOptions {
  float threshold = 0.5f;
  std::string name{};
};
Metric BinaryAccuracy(const BinaryAccuracyOptions& options = {});

struct TopKOptions {
  int k = 5;
  std::string name{};
};
Metric TopKCategoricalAccuracy(const TopKOptions& options = {});
Metric SparseTopKCategoricalAccuracy(const TopKOptions& options = {});

struct ThresholdOptions {
  std::vector<float> thresholds{};
  std::string name{};
};  // none: 0.5
Metric TruePositives(const ThresholdOptions& options = {});
Metric FalsePositives(const ThresholdOptions& options = {});
Metric TrueNegatives(const ThresholdOptions& options = {});
Metric FalseNegatives(const ThresholdOptions& options = {});

struct PrecisionOptions {
  std::vector<float> thresholds{};  // none: 0.5, or none at all with top_k
  std::optional<int> top_k{}, class_id{};
  std::string name{};
};
Metric Precision(const PrecisionOptions& options = {});
Metric Recall(const PrecisionOptions& options = {});

struct AtOptions {
  int num_thresholds = 200;
  std::optional<int> class_id{};
  std::string name{};
};
Metric SensitivityAtSpecificity(float specificity, const AtOptions& options = {});
Metric SpecificityAtSensitivity(float sensitivity, const AtOptions& options = {});
Metric PrecisionAtRecall(float recall, const AtOptions& options = {});
Metric RecallAtPrecision(float precision, const AtOptions& options = {});

struct AUCOptions {
  int num_thresholds = 200;
  std::string curve = "ROC";                       // or "PR", "PRGAIN"
  std::string summation_method = "interpolation";  // or "minoring", "majoring"
  std::vector<float> thresholds{};                 // instead of num_thresholds; 0 and 1 are added
  bool multi_label = false;
  std::optional<int> num_labels{};
  std::vector<float> label_weights{};
  bool from_logits = false;
  std::string name{};
};
Metric AUC(const AUCOptions& options = {});

struct FBetaOptions {
  std::optional<std::string> average{};  // none: one value for each class; "micro", "macro", "weighted"
  float beta = 1;
  std::optional<float> threshold{};  // none: the largest of each row
  std::string name{};
};
Metric FBetaScore(const FBetaOptions& options = {});
struct F1Options {
  std::optional<std::string> average{};
  std::optional<float> threshold{};
  std::string name{};
};
Metric F1Score(const F1Options& options = {});

struct R2Options {
  std::optional<std::string> class_aggregation = "uniform_average";  // or "variance_weighted_average"; none: all values
  int num_regressors = 0;                                            // more than 0: the adjusted score
  std::string name{};
};
Metric R2Score(const R2Options& options = {});

// The list of all metrics: Keras's class, its name in snake case, and what an instance is called. The tests walk it.
// clang-format off
#define INGOT_METRIC_CLASSES(X)                                                                              \
  X(Accuracy, "accuracy", "accuracy")                                                                        \
  X(BinaryAccuracy, "binary_accuracy", "binary_accuracy")                                                    \
  X(CategoricalAccuracy, "categorical_accuracy", "categorical_accuracy")                                     \
  X(SparseCategoricalAccuracy, "sparse_categorical_accuracy", "sparse_categorical_accuracy")                 \
  X(TopKCategoricalAccuracy, "top_k_categorical_accuracy", "top_k_categorical_accuracy")                     \
  X(SparseTopKCategoricalAccuracy, "sparse_top_k_categorical_accuracy", "sparse_top_k_categorical_accuracy") \
  X(AUC, "auc", "auc")                                                                                       \
  X(Precision, "precision", "precision")                                                                     \
  X(Recall, "recall", "recall")                                                                              \
  X(TruePositives, "true_positives", "true_positives")                                                       \
  X(FalsePositives, "false_positives", "false_positives")                                                    \
  X(TrueNegatives, "true_negatives", "true_negatives")                                                       \
  X(FalseNegatives, "false_negatives", "false_negatives")                                                    \
  X(SensitivityAtSpecificity, "sensitivity_at_specificity", "sensitivity_at_specificity")                    \
  X(SpecificityAtSensitivity, "specificity_at_sensitivity", "specificity_at_sensitivity")                    \
  X(PrecisionAtRecall, "precision_at_recall", "precision_at_recall")                                         \
  X(RecallAtPrecision, "recall_at_precision", "recall_at_precision")                                         \
  X(F1Score, "f1_score", "f1_score")                                                                         \
  X(FBetaScore, "f_beta_score", "fbeta_score")                                                               \
  X(R2Score, "r2_score", "r2_score")                                                                         \
  X(RootMeanSquaredError, "root_mean_squared_error", "root_mean_squared_error")                              \
  X(MeanSquaredError, "mean_squared_error", "mean_squared_error")                                            \
  X(MeanAbsoluteError, "mean_absolute_error", "mean_absolute_error")                                         \
  X(MeanAbsolutePercentageError, "mean_absolute_percentage_error", "mean_absolute_percentage_error")         \
  X(MeanSquaredLogarithmicError, "mean_squared_logarithmic_error", "mean_squared_logarithmic_error")         \
  X(LogCoshError, "log_cosh_error", "logcosh")                                                               \
  X(CosineSimilarity, "cosine_similarity", "cosine_similarity")                                              \
  X(KLDivergence, "kl_divergence", "kl_divergence")                                                          \
  X(Poisson, "poisson", "poisson")                                                                           \
  X(Hinge, "hinge", "hinge")                                                                                 \
  X(SquaredHinge, "squared_hinge", "squared_hinge")                                                          \
  X(CategoricalHinge, "categorical_hinge", "categorical_hinge")                                              \
  X(BinaryCrossentropy, "binary_crossentropy", "binary_crossentropy")                                        \
  X(CategoricalCrossentropy, "categorical_crossentropy", "categorical_crossentropy")                         \
  X(SparseCategoricalCrossentropy, "sparse_categorical_crossentropy", "sparse_categorical_crossentropy")
// clang-format on

struct MetricClass {
  const char *class_name, *alias, *name;
  Metric (*make)();  // with Keras's defaults, or to be read into
};
std::span<const MetricClass> AllMetrics();

}  // namespace ingot
