// SPDX-License-Identifier: MIT
#include "ingot/train/monitor.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "ingot/train/fit_position.h"
#include "ingot/train/trainer.h"

namespace ingot {
namespace {

// Metrics that Keras gives the direction "up".
constexpr std::array<std::string_view, 25> kUp = {"Accuracy",
                                                  "BinaryAccuracy",
                                                  "CategoricalAccuracy",
                                                  "SparseCategoricalAccuracy",
                                                  "TopKCategoricalAccuracy",
                                                  "SparseTopKCategoricalAccuracy",
                                                  "AUC",
                                                  "Precision",
                                                  "Recall",
                                                  "SensitivityAtSpecificity",
                                                  "SpecificityAtSensitivity",
                                                  "PrecisionAtRecall",
                                                  "RecallAtPrecision",
                                                  "FBetaScore",
                                                  "F1Score",
                                                  "IoU",
                                                  "MeanIoU",
                                                  "BinaryIoU",
                                                  "OneHotIoU",
                                                  "OneHotMeanIoU",
                                                  "R2Score",
                                                  "CosineSimilarity",
                                                  "PearsonCorrelation",
                                                  "ConcordanceCorrelation",
                                                  "Dice"};
// And those of the model's metrics that count, and so have none.
constexpr std::array<std::string_view, 6> kNone = {"TruePositives",  "TrueNegatives", "FalsePositives",
                                                   "FalseNegatives", "Mean",          "Sum"};

template <size_t n>
bool In(const std::array<std::string_view, n>& list, const std::string& name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

int Direction(const Model& model, std::string name, const char* who) {
  if (name.starts_with("val_")) name.erase(0, 4);
  if (name.ends_with("loss")) return -1;
  for (const auto& metric : model.state().metrics) {
    if (metric.name != name) continue;
    const std::string kind = metric.metric.def().class_name();
    if (In(kUp, kind)) return 1;
    if (!In(kNone, kind)) return -1;
  }
  for (const char* up : {"accuracy", "acc", "auc", "precision", "recall"})  // of metrics of one's own
    if (name.ends_with(up)) return 1;
  Fail(who, ": whether '", name, "' should become more or less is not known; set mode to \"max\" or \"min\"");
}

}  // namespace

Monitor::Monitor(const char* who, const std::string& name, const std::string& mode, double min_delta)
    : who_(who),
      name_(name),
      min_delta_(std::fabs(min_delta)),
      sign_(mode == "max"   ? 1
            : mode == "min" ? -1
                            : 0) {
  if (mode != "auto" && mode != "min" && mode != "max")
    Fail(who, ": mode is '", mode, "', auto, min or max was expected");
}

double Monitor::Value(const Model& model, const Logs& logs, const std::string& when) {
  if (!logs.contains(name_)) {
    std::string names;
    for (const auto& [name, value] : logs) names += " " + name;
    Fail(who_, ": there is no '", name_, "' to monitor in ", when,
         "; give validation data, or set monitor to one of:", names);
  }
  if (sign_ == 0) sign_ = Direction(model, name_, who_);
  return logs[name_];
}

bool Monitor::Improves(double value, double on) const { return sign_ * (value - on) > min_delta_; }

void StateOf(Fields& f, const char* key, std::optional<double>& value) {
  double v = value.value_or(0);
  if (f.reading()) {
    if (!f.has(key)) return f.seen(key), value.reset();
    AnyNumber(f, key, v);
    value = v;
  } else if (value) {
    AnyNumber(f, key, v);
  } else {
    f.null(key);
  }
}

}  // namespace ingot
