// SPDX-License-Identifier: MIT
//
// What stands behind a Model: its arenas, and the plans made for it. A plan belongs to a mode and to the shapes of
// what is fed. Between plans of one model the arenas are shared: only one of them runs at a time.
//
//   weights     in the arena of the layout, found through the variables
//   gradients   |  laid out as the trainable weights; made with the first training plan
//   slots       |  one after the other
//   state       losses and metrics of each mode: the same cells in every plan of that mode, so that the last,
//               smaller batch adds to the same sums
//   activations as large as the largest plan needs
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "ingot/core/plan/plan.h"
#include "ingot/data/dataset.h"
#include "ingot/io/fill.h"
#include "ingot/io/mapped_file.h"
#include "ingot/train/background_save.h"
#include "ingot/train/model.h"

namespace ingot {

enum class Mode : uint8_t { kTrain, kTest, kPredict, kGradients, kVjp, kApply };

// Where in the state of a mode a metric adds up.
struct MetricCell {
  size_t offset;  // bytes
  int64_t doubles;
};

// One plan, and which of its values are fed and read.
struct Program {
  Mode mode;
  bool weighted = false, accumulates = false;
  TensorSpecs x, y;  // as they came; the key
  std::unique_ptr<Plan> plan;
  Values x_in, y_in, out, input_grads;
  Value weight;
  // State: the losses (floats), then the metrics (doubles).
  Value losses;
  int terms = 0;
  std::vector<MetricCell> metrics;
  uint64_t used = 0;  // when, for dropping the least recently used
  uint64_t made = 0;  // when: no other program of its session has that number
};

// Arenas and plans for one user of the weights.
class Session {
 public:
  // The program for the first n rows' worth of such data, made if there is none.
  Program& Find(ModelState& model, Mode mode, const Samples& data, int64_t n, bool weighted, bool accumulates = false);
  void Bind(ModelState& model, Program& program);
  void Clear() { programs_.clear(); }

  std::vector<std::unique_ptr<Program>> programs_;
  Block activation_;
  Block state_[6];                      // by mode
  std::vector<MetricCell> metrics_[6];  // by mode, in state_: they outlive the plans that add to them
  uint64_t clock_ = 0;
  std::vector<const std::byte*> placed_;  // where the weights lay when the plans were made
  uint64_t trainable_changes_ = 0;        // and what was frozen then
};

// The losses of all rows since the last reset, each weighed by how many rows it is the mean of.
struct LossSums {
  double total = 0, rows = 0;
  std::vector<double> outputs;
  double mean() const { return total / std::max(1.0, rows); }
};

struct FitRun;

struct ModelState {
  std::shared_ptr<Network> network;
  Layout layout;
  uint64_t seed = 0;
  bool placed = false;  // the weights exist

  bool compiled = false;
  std::string why_not_compiled;  // of a model from a file that has half of what it takes
  CompileOptions options;
  std::vector<Loss> losses;  // by output
  std::vector<float> loss_weights;
  struct NamedMetric {
    std::string name;
    int output;
    Metric metric;
    bool weighted;
  };
  std::vector<NamedMetric> metrics;

  ThreadPool* pool = nullptr;  // none: the process's
  Block gradient, slots;
  bool slots_ready = false;                 // for this optimizer
  std::vector<Fill> pending;                // what the slots are still to be filled with, from the file
  std::shared_ptr<const MappedFile> image;  // the file that weights or slots lie in; null once they have left it
  int64_t iterations = 0;
  bool stop_training = false;
  std::vector<float> hyper;
  std::optional<double> learning_rate;  // set since compile(), in place of the optimizer's own

  Session session;
  LossSums sums[2];  // of Mode::kTrain and kTest: to evaluate within an epoch is not to disturb it
  std::vector<std::string> output_loss_names;  // empty where there is one output

  const FitRun* run = nullptr;               // the fit that is under way
  std::shared_ptr<const FitState> position;  // of the fit that saved the file these weights are from
  BackgroundSave background;

  void Place(bool draw = true);  // gives the weights their arena and first values, or zeros
  void EnsureBuilt(const TensorSpecs& x);
  void EnsurePlaced(bool draw = true);  // what initialize = false put off; nothing where the input is not known yet
  void RequireCompiled(const char* where) const;  // Error unless it is
  void ResolveLosses();                           // one for each output, once the outputs are known
  void ResolveMetrics(const TensorSpecs& y);      // "accuracy" depends on the targets
  void EnsureTrainingArenas();
  // Weights and slots into memory of the model's own, for what changes them. Error if the file is shared.
  void LeaveFile();
  void Adopt(std::shared_ptr<const MappedFile> file);  // the one that readers left the weights in; null: nowhere
  void FillSlots();                                    // with what is pending
  void CheckFile() const;                              // Error if the file that weights lie in was changed
  void TakeAverages();                                 // the weights become what use_ema averaged
  size_t ArenaBytes() const;                           // of weights, gradients, slots, activations and states
  const Optimizer& optimizer() const { return options.optimizer; }
  double LearningRate() const {
    return learning_rate ? *learning_rate : optimizer().def().learning_rate_at(iterations);
  }
  LossSums& SumsOf(Mode mode) { return sums[mode == Mode::kTrain ? 0 : 1]; }
  Arrays ReadGradients() const;                // in get_weights order; zeros where not trained
  std::vector<char> TrainedVariables() const;  // by index in the layout
};

// Zeros of the shapes that the model takes, and targets that its losses take.
Dataset ExampleBatch(const ModelState& model, int64_t rows, bool targets, const char* where);

// A row range of a data set, fed to a program: rows first .. last - 1, or those listed.
struct Rows {
  const int64_t* order;
  int64_t first, last;
};

// Called when the batch is fed (with null), then behind each step of the plan.
using Watch = std::function<void(const Program&, const Step*)>;

// One step over a batch. The loss is the mean over the batch, penalties included.
double RunStep(ModelState& model, Session& session, Mode mode, const Samples& data, const Rows& rows,
               const std::map<int, float>* class_weight = nullptr, const Watch& watch = {});
// A watch that throws an Error naming the layer where the first value appears that is not finite.
Watch FindNan(const ModelState& model);
void ResetMetrics(ModelState& model, Mode mode);
// What the metrics say now: the running means since the last reset.
void ReadLogs(ModelState& model, Mode mode, Logs& logs);

}  // namespace ingot
