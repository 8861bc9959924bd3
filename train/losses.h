// SPDX-License-Identifier: MIT
//
// Losses, by Keras's names ("mse", "SparseCategoricalCrossentropy"), with options (Huber({.delta = 0.5})), or of one's
// own:
//   Loss cubic("cubic", [](Graph& g, Value truth, Value pred) {  // truth and pred (N, ...) -> losses of samples (N)
//     const Value d = g.Subtract(pred, truth);
//     return g.Reduce(ReduceOp::kMean, g.Multiply(g.Multiply(d, d), d), std::array{1}, false);
//   });
// or a class derived from LossDef, which has options of its own and is saved with them.
//
// Probabilities that come straight out of a softmax or sigmoid are never computed with: cross-entropy goes on from
// the logits, so large logits give the true loss and gradient where Keras's clipping gives 16.1 and 0.
//
// Threads: a Loss never changes; handles share it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "ingot/core/array.h"
#include "ingot/core/custom.h"
#include "ingot/core/error.h"
#include "ingot/core/fields.h"
#include "ingot/core/plan/graph.h"

namespace ingot {

class LossDef {
 public:
  using Factory = std::function<std::shared_ptr<LossDef>()>;  // in CustomObjects
  virtual ~LossDef() = default;

  virtual std::string class_name() const = 0;
  virtual void fields(Fields&) {}  // options, beyond name and reduction

  // The losses of the samples: of pred (N, ..., n) usually (N, ...).
  virtual Value call(Graph& g, Value truth, Value pred) const = 0;
  // 1 where a loss counts and 0 where not, in the shape of the losses; absent: all count.
  virtual Value mask(Graph&, Value /*truth*/) const { return {}; }

  // Error unless this loss can compare such targets with such outputs (None standing where it is not known yet).
  // What comes back is how targets are fed to call().
  virtual TensorSpec target(const TensorSpec& pred, const TensorSpec& truth) const;
  // Error if targets hold what has no loss: a label out of range.
  virtual void check_labels(const Array& /*truth*/, const TensorSpec& /*pred*/) const {}

  std::string name;                               // in Logs and messages
  std::string reduction = "sum_over_batch_size";  // or "sum", "mean", "mean_with_sample_weight", "none"

 protected:
  template <class... Parts>
  [[noreturn]] void fail(const Parts&... parts) const {
    Fail("loss ", name.empty() ? class_name() : name, ": ", parts...);
  }
};

class Loss {
 public:
  using Function = std::function<Value(Graph&, Value truth, Value pred)>;

  Loss() = default;               // none
  Loss(const char* name);         // NOLINT: a name is a loss. Error if there is none of that name
  Loss(const std::string& name);  // NOLINT
  Loss(std::string name, Function fn, const std::string& reduction = "sum_over_batch_size");
  explicit Loss(std::shared_ptr<LossDef> def);  // Error for an option that is NaN or infinite

  explicit operator bool() const { return def_ != nullptr; }
  const LossDef& def() const { return *def_; }
  const std::string& name() const { return def_->name; }

  // "crossentropy" stands for the binary, categorical or sparse one, as the shapes tell. All others are themselves.
  Loss resolve(const TensorSpec& pred, const TensorSpec& truth) const;

 private:
  friend Json ToConfig(const Loss& loss);
  friend Loss LossFromConfig(const Json& config, const CustomObjects* custom);

  std::shared_ptr<LossDef> def_;
  std::string given_;  // the name it was asked for by, if it was: what is saved
};

// One's own loss, from a class derived from LossDef.
template <class Def, class... Args>
Loss MakeLoss(Args&&... args) {
  return Loss(std::make_shared<Def>(std::forward<Args>(args)...));
}

// As Keras writes them: a string, or {"module", "class_name", "config", "registered_name"}; null is none. Reading,
// names are looked up in `custom` (LossFactory, Loss) first.
using LossFactory = LossDef::Factory;
Json ToConfig(const Loss& loss);
Loss LossFromConfig(const Json& config, const CustomObjects* custom = nullptr);

// Writes what is optimized: the losses of the samples, times `weight` (absent, (N), or of the losses' leading axes),
// reduced, times `scale`, into a scalar of the state, which it gives back. Truth is fed as target() says.
Value AddLoss(Graph& g, const LossDef& loss, Value truth, Value pred, Value weight, float scale, Value into);

struct LossOptions {
  std::string reduction = "sum_over_batch_size";
  std::string name{};
};
Loss MeanSquaredError(const LossOptions& options = {});
Loss MeanAbsoluteError(const LossOptions& options = {});
Loss MeanAbsolutePercentageError(const LossOptions& options = {});
Loss MeanSquaredLogarithmicError(const LossOptions& options = {});
Loss LogCosh(const LossOptions& options = {});
Loss KLDivergence(const LossOptions& options = {});
Loss Poisson(const LossOptions& options = {});
Loss Hinge(const LossOptions& options = {});
Loss SquaredHinge(const LossOptions& options = {});
Loss CategoricalHinge(const LossOptions& options = {});

struct HuberOptions {
  float delta = 1;
  std::string reduction = "sum_over_batch_size";
  std::string name{};
};
Loss Huber(const HuberOptions& options = {});

struct CosineSimilarityOptions {
  int axis = -1;
  std::string reduction = "sum_over_batch_size";
  std::string name{};
};
Loss CosineSimilarity(const CosineSimilarityOptions& options = {});

struct CrossentropyOptions {
  bool from_logits = false;
  float label_smoothing = 0;
  int axis = -1;
  std::string reduction = "sum_over_batch_size";
  std::string name{};
};
Loss BinaryCrossentropy(const CrossentropyOptions& options = {});
Loss CategoricalCrossentropy(const CrossentropyOptions& options = {});

struct SparseCategoricalCrossentropyOptions {
  bool from_logits = false;
  std::optional<int> ignore_class{};
  int axis = -1;
  std::string reduction = "sum_over_batch_size";
  std::string name{};
};
Loss SparseCategoricalCrossentropy(const SparseCategoricalCrossentropyOptions& options = {});

struct BinaryFocalCrossentropyOptions {
  bool apply_class_balancing = false;
  float alpha = 0.25f;
  float gamma = 2;
  bool from_logits = false;
  float label_smoothing = 0;
  int axis = -1;
  std::string reduction = "sum_over_batch_size";
  std::string name{};
};
Loss BinaryFocalCrossentropy(const BinaryFocalCrossentropyOptions& options = {});

struct CategoricalFocalCrossentropyOptions {
  float alpha = 0.25f;
  float gamma = 2;
  bool from_logits = false;
  float label_smoothing = 0;
  int axis = -1;
  std::string reduction = "sum_over_batch_size";
  std::string name{};
};
Loss CategoricalFocalCrossentropy(const CategoricalFocalCrossentropyOptions& options = {});

// The list of all losses: Keras's class, its function, and what an instance is called. The tests walk it.
// clang-format off
#define INGOT_LOSS_CLASSES(X)                                                                            \
  X(MeanSquaredError, "mean_squared_error", "mean_squared_error")                                        \
  X(MeanAbsoluteError, "mean_absolute_error", "mean_absolute_error")                                     \
  X(MeanAbsolutePercentageError, "mean_absolute_percentage_error", "mean_absolute_percentage_error")     \
  X(MeanSquaredLogarithmicError, "mean_squared_logarithmic_error", "mean_squared_logarithmic_error")     \
  X(LogCosh, "log_cosh", "log_cosh")                                                                     \
  X(KLDivergence, "kl_divergence", "kl_divergence")                                                      \
  X(Poisson, "poisson", "poisson")                                                                       \
  X(Hinge, "hinge", "hinge")                                                                             \
  X(SquaredHinge, "squared_hinge", "squared_hinge")                                                      \
  X(CategoricalHinge, "categorical_hinge", "categorical_hinge")                                          \
  X(Huber, "huber", "huber_loss")                                                                        \
  X(CosineSimilarity, "cosine_similarity", "cosine_similarity")                                          \
  X(BinaryCrossentropy, "binary_crossentropy", "binary_crossentropy")                                    \
  X(CategoricalCrossentropy, "categorical_crossentropy", "categorical_crossentropy")                     \
  X(SparseCategoricalCrossentropy, "sparse_categorical_crossentropy", "sparse_categorical_crossentropy") \
  X(BinaryFocalCrossentropy, "binary_focal_crossentropy", "binary_focal_crossentropy")                   \
  X(CategoricalFocalCrossentropy, "categorical_focal_crossentropy", "categorical_focal_crossentropy")
// clang-format on

struct LossClass {
  const char *class_name, *function, *name;
  Loss (*make)();  // with Keras's defaults
};
std::span<const LossClass> AllLosses();

// As Keras matches the ranks of targets and outputs: a last axis of 1 that only one has is added or dropped.
// Both gain one where they are vectors.
struct SameRankShapes {
  Shape truth, pred;
};
SameRankShapes SameRank(const Shape& truth, const Shape& pred);
// Whether two shapes are equal as far as they are known.
bool Fits(const Shape& a, const Shape& b);
// Whether targets have the shape of one label for each row of an output over classes.
bool LooksLikeLabels(const TensorSpec& pred, const TensorSpec& truth);
// What went into the softmax (of that axis) or the sigmoid that made pred; absent if it was made otherwise.
Value SoftmaxLogits(const Graph& g, Value pred, int axis);
Value SigmoidLogits(const Graph& g, Value pred);

}  // namespace ingot
