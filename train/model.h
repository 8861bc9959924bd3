// SPDX-License-Identifier: MIT
//
// Model: a network with its weights in one arena, and everything Keras does with one: compile, fit, evaluate,
// predict. A handle: copies share the model.
//
// Plans are made when first needed for a batch size, kept, and bounded in number. A second fit goes on where the
// first stopped, optimizer and all.
//
// Threads: models that share no layer are independent. One model is used by one thread at a time; to predict from
// many threads over the same weights give each its own predictor().
#pragma once

#include <concepts>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ingot/data/dataset.h"
#include "ingot/io/load_report.h"
#include "ingot/layers/layer.h"
#include "ingot/layers/network.h"
#include "ingot/optim/optimizer.h"
#include "ingot/train/callbacks.h"
#include "ingot/train/losses.h"
#include "ingot/train/metrics.h"

namespace ingot {

struct Profile;

// One for all outputs, or one for each.
struct Losses : std::vector<Loss> {
  Losses() = default;
  Losses(const char* name) : vector{Loss(name)} {}                // NOLINT: "mse"
  Losses(const Loss& loss) : vector{loss} {}                      // NOLINT: Huber()
  Losses(std::initializer_list<Loss> losses) : vector(losses) {}  // NOLINT: {"mse", Huber()}
};

struct CompileOptions {
  Optimizer optimizer = "rmsprop";
  Losses loss{};
  std::vector<float> loss_weights{};
  std::vector<Metric> metrics{};                      // of every output
  std::vector<std::vector<Metric>> output_metrics{};  // or of each output its own
  std::vector<Metric> weighted_metrics{};             // likewise
  std::vector<std::vector<Metric>> output_weighted_metrics{};
};

struct ModelOptions {
  std::string name{};
  std::optional<uint64_t> seed{};  // of initial weights, dropout and shuffling
  bool initialize = true;          // else weights are not drawn before they are needed: for load_weights
};

// What came out, by name and in order: {"loss", ...}, {"accuracy", ...}.
struct Logs : std::vector<std::pair<std::string, double>> {
  using vector::vector;
  using vector::operator[];
  double operator[](std::string_view name) const;  // Error if there is none of that name
  bool contains(const std::string& name) const;
};

struct History {
  std::vector<int> epoch;
  std::vector<std::pair<std::string, std::vector<double>>> history;  // as Keras's History.history
  const std::vector<double>& operator[](const std::string& name) const;
  std::vector<double> batch_loss;  // the running mean behind each batch, as Keras's callbacks see it
  bool interrupted = false;        // see FitOptions::stop_on_interrupt
};

struct FitOptions {
  int batch_size = 32;
  int epochs = 1;
  int verbose = 0;  // 0 silent, 1 a bar, 2 one line an epoch
  Callbacks callbacks{};
  double validation_split = 0;
  Dataset validation_data{};
  bool shuffle = true;  // where the data has no stages
  std::map<int, float> class_weight{};
  int initial_epoch = 0;
  // 0: all of the data once; else epochs follow one another through the data, again and again.
  int steps_per_epoch = 0;
  int validation_batch_size = 0;
  bool find_nan = false;  // check every step; a NaN is an Error that names the layer
  // The first Ctrl-C (SIGINT) ends the fit behind its step, with weights, history and on_train_end as if it were over;
  // a second does what it did before. Only while this fit runs.
  bool stop_on_interrupt = false;
  // Goes on from where a fit stood when one of its callbacks saved the model to the .ingot file that this one was
  // loaded from: in the middle of the epoch, with the state of the callbacks (Callback::state), and with the history so
  // far. Error where the model has no such position, or where data, batch_size, steps or shuffle differ; epochs may.
  // Without it a loaded model begins a new fit. (BackupAndRestore does all of this by itself.)
  bool resume = false;
  // What this fit spends its time on comes to be there (train/profile.h).
  Profile* profile = nullptr;
};

struct Gradients {
  double loss = 0;
  Arrays weights;  // in get_weights order; zeros where a weight is not trained
};

struct SaveOptions {
  // Returns as soon as weights and optimizer state are copied; a thread of its own writes the file. It takes memory for
  // the copy, which is kept for the next save. The next save of this model, or wait_for_save(), waits until the file is
  // written, and throws if that failed; the end of the model or of the process waits too, and says it on stderr.
  // Until then the file is the old one, also for load_model in this process.
  bool background = false;
  bool self_test = false;  // .ingot: notes what the model computes now, for `ingot verify --run` to repeat
};

struct WeightOptions {
  LoadMode mode = LoadMode::kRead;
  // .safetensors and .npz: the names and layouts are PyTorch's. Kernels are turned (OIHW, out x in), by the kind of the
  // layer, and weights are copied whatever the mode. Modules are found by the names of the layers; if none has such a
  // name, they are taken in order. io/pytorch.h says all of it. What no file tells: epsilon and padding are the
  // model's, and a Dense behind the Flatten of feature maps has its rows in another order in PyTorch, which shows in
  // wrong predictions only.
  bool pytorch = false;
  // As in Keras: weights that the file does not have, or has in another shape, and what the file has beyond the model,
  // are left as they are; all others are loaded (copied, whatever the mode). It is how a model gets a new head. The
  // optimizer's state is left alone. Names decide, but for .keras and .weights.h5, which hold no names: there it is the
  // position among the layers of a class, as in Keras. An Error if nothing matches.
  bool skip_mismatch = false;
};

struct ModelState;

class Predictor;

class Model {
 public:
  Model() = default;
  Model(const Tensors& inputs, const Tensors& outputs, const ModelOptions& options = {});
  explicit Model(std::shared_ptr<Network> network, const ModelOptions& options = {});
  // Of one input, one output, or both: Model(x, y).
  template <std::derived_from<Tensor> In, std::derived_from<Tensor> Out>
  Model(const In& input, const Out& output, const ModelOptions& options = {})
      : Model(Tensors{input}, Tensors{output}, options) {}
  template <std::derived_from<Tensor> In>
  Model(const In& input, const Tensors& outputs, const ModelOptions& options = {})
      : Model(Tensors{input}, outputs, options) {}
  template <std::derived_from<Tensor> Out>
  Model(const Tensors& inputs, const Out& output, const ModelOptions& options = {})
      : Model(inputs, Tensors{output}, options) {}

  // As a layer of another model.
  operator Layer() const { return Layer(network_ptr()); }
  Tensor operator()(const Tensor& x) const { return Layer(*this)(x); }
  Tensor operator()(const Tensors& x) const { return Layer(*this)(x); }

  // The description.
  const std::string& name() const;
  Network& network() const;
  std::shared_ptr<Network> network_ptr() const;
  const std::vector<Layer>& layers() const;
  Layer get_layer(const std::string& name) const;
  Layer get_layer(int index) const;
  const Tensors& inputs() const;
  const Tensors& outputs() const;
  std::string summary() const;   // Keras's table
  int64_t count_params() const;  // Error before the model knows its input
  void set_trainable(bool value) const;

  // Weights, in Keras's order.
  Arrays get_weights() const;
  void set_weights(const Arrays& weights);
  std::vector<VariablePtr> variables() const;
  // The slots of the optimizer (momenta and the like), each for all trained weights; empty before the first step.
  Arrays get_optimizer_state() const;

  // Training.
  void compile(const CompileOptions& options = {});
  bool compiled() const;
  const CompileOptions& compile_options() const;
  History fit(const Dataset& data, const FitOptions& options = {});
  History fit(const Array& x, const Array& y, const FitOptions& options = {}) {
    return fit(Dataset{{x}, {y}, {}}, options);
  }
  Logs evaluate(const Dataset& data, int batch_size = 32);
  Logs evaluate(const Array& x, const Array& y, int batch_size = 32) {
    return evaluate(Dataset{{x}, {y}, {}}, batch_size);
  }
  Array predict(const Array& x, int batch_size = 32);
  Arrays predict(const Arrays& x, int batch_size = 32);
  Arrays predict(const Dataset& data, int batch_size = 32);  // its targets, if there are any, are left alone
  // What comes back is of this batch alone, as in Keras 3.15.
  Logs train_on_batch(const Arrays& x, const Arrays& y, const Array& sample_weight = {});
  Logs test_on_batch(const Arrays& x, const Arrays& y, const Array& sample_weight = {});
  Arrays predict_on_batch(const Arrays& x);
  void reset_metrics();

  // For training loops of one's own.
  Gradients gradients(const Arrays& x, const Arrays& y, const Array& sample_weight = {});
  void apply_gradients(const Arrays& gradients);
  // Outputs in training mode or not, and how sum(outputs * cotangents) changes with weights and inputs.
  struct Vjp {
    Arrays outputs, weights, inputs;
  };
  Vjp vjp(const Arrays& x, const Arrays& cotangents);

  // All of it to a file, atomically: at every instant the file is the old one or the new one. Format by extension.
  // From a callback to .ingot the position of the fit comes along: see FitOptions::resume.
  void save(const std::string& path, const SaveOptions& options = {});
  void wait_for_save();  // until a save in the background is done; Error if it failed
  // Weights, and the optimizer's state where model and file have it. What is missing, left over or of another shape
  // is an Error that lists it, and the model is as it was. Weights are copied, or else stay in the file (kMap, kShare)
  // where it holds them as they are used. What comes back is what WeightOptions::skip_mismatch has skipped, a weight
  // and why in each text; nothing without it.
  std::vector<std::string> load_weights(const std::string& path, const WeightOptions& options = {});

  int64_t iterations() const;  // updates done
  // Of the next step. To set it is an Error where a schedule says it.
  double learning_rate() const;
  void set_learning_rate(double rate);
  uint64_t seed() const;
  // Set by callbacks: fit ends behind this batch. Of the model, so of every copy of this handle.
  bool stop_training() const;
  void set_stop_training(bool value);

  // The steps for a batch of that size, as a table.
  std::string plan(int batch_size = 32, bool training = true);
  Predictor predictor() const;

  ModelState& state() const;

 private:
  std::shared_ptr<ModelState> state_;
};

Model Sequential(std::vector<Layer> layers, const ModelOptions& options = {});
// The same description, weights drawn anew, not compiled. Layers of one's own are made by what custom_objects has.
Model clone_model(const Model& model, const ModelOptions& options = {}, const CustomObjects& custom_objects = {});

struct LoadOptions {
  CustomObjects custom_objects{};
  bool compile = true;  // optimizer, losses and metrics too, where the file has them
  LoadMode mode = LoadMode::kMap;
  LoadReport* report = nullptr;  // what each phase of loading costs
};
Model load_model(const std::string& path, const LoadOptions& options = {});

struct FirstUse {
  int batch_size = 32;
  LoadMode mode = LoadMode::kMap;
  bool touch = true, predict = true, train = true;  // a page of each weight, a prediction, a step of training
};
// Loads the model and uses it for the first time, on zeros: what each phase costs. Steps of training are left out where
// the file holds no compile configuration.
LoadReport measure_load(const std::string& path, const FirstUse& use = {});

// Predicts over the weights of a model, with activations of its own. Do not train the model while predictors run.
class Predictor {
 public:
  explicit Predictor(std::shared_ptr<ModelState> model);
  ~Predictor();
  Predictor(Predictor&&) noexcept;
  Arrays predict_on_batch(const Arrays& x);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// From here on models without a seed of their own draw theirs from this one, in the order in which they are made.
void set_random_seed(uint64_t seed);

}  // namespace ingot
