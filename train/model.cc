// SPDX-License-Identifier: MIT
#include "ingot/train/model.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "ingot/core/plural.h"
#include "ingot/train/check.h"
#include "ingot/train/feed.h"
#include "ingot/train/trainer.h"

namespace ingot {
namespace {

// Which model of this process this is: models without a seed of their own differ, and a program that makes the same
// models in the same order has the same numbers each time it runs.
std::atomic<uint64_t> next_seed{0x9E3779B97F4A7C15};

Array Zeroed(const Variable& v) { return Array(v.shape, v.dtype); }

}  // namespace

void set_random_seed(uint64_t seed) { next_seed.store(seed); }

double Logs::operator[](std::string_view name) const {
  for (const auto& [key, value] : *this)
    if (key == name) return value;
  std::string names;
  for (const auto& [key, value] : *this) names += " " + key;
  Fail("logs have no '", name, "'; there are:", names);
}

bool Logs::contains(const std::string& name) const {
  return std::any_of(begin(), end(), [&](const auto& item) { return item.first == name; });
}

const std::vector<double>& History::operator[](const std::string& name) const {
  for (const auto& [key, values] : history)
    if (key == name) return values;
  std::string names;
  for (const auto& [key, values] : history) names += " " + key;
  Fail("history has no '", name, "'; there are:", names);
}

Model::Model(std::shared_ptr<Network> network, const ModelOptions& options) : state_(std::make_shared<ModelState>()) {
  if (network->name.empty()) network->name = SnakeCase(network->class_name());
  state_->network = std::move(network);
  state_->seed = options.seed ? *options.seed : next_seed.fetch_add(1);
  if (options.initialize) state_->Place();
}

Model::Model(const Tensors& inputs, const Tensors& outputs, const ModelOptions& options)
    : Model(std::make_shared<Network>(inputs, outputs, options.name), options) {}

Model Sequential(std::vector<Layer> layers, const ModelOptions& options) {
  return Model(std::make_shared<Network>(std::move(layers), options.name), options);
}

ModelState& Model::state() const {
  if (!state_) Fail("an empty Model was used; make one with Sequential({...}) or Model(inputs, outputs)");
  return *state_;
}

const std::string& Model::name() const { return state().network->name; }
Network& Model::network() const { return *state().network; }
std::shared_ptr<Network> Model::network_ptr() const { return state().network; }
const std::vector<Layer>& Model::layers() const { return state().network->layers(); }
const Tensors& Model::inputs() const { return state().network->input_tensors(); }
const Tensors& Model::outputs() const { return state().network->output_tensors(); }
uint64_t Model::seed() const { return state().seed; }
int64_t Model::iterations() const { return state().iterations; }
double Model::learning_rate() const {
  state().RequireCompiled("learning_rate");
  return state().LearningRate();
}
void Model::set_learning_rate(double rate) {
  state().RequireCompiled("set_learning_rate");
  const float kept = static_cast<float>(rate);  // a float32, as in Keras
  if (!std::isfinite(kept) || kept < 0)
    Fail("set_learning_rate: ", rate, " came, a number was expected that is not negative and that a float holds");
  const OptimizerDef& def = state().optimizer().def();
  if (def.learning_rate.schedule())
    Fail("set_learning_rate: the rate of ", def.class_name(), " follows the schedule ",
         def.learning_rate.schedule()->class_name(), "; compile with a number to set it");
  state().learning_rate = static_cast<double>(kept);
}
bool Model::stop_training() const { return state().stop_training; }
void Model::set_stop_training(bool value) { state().stop_training = value; }
bool Model::compiled() const { return state().compiled; }
const CompileOptions& Model::compile_options() const { return state().options; }
std::vector<VariablePtr> Model::variables() const { return Layer(*this).variables(); }
int64_t Model::count_params() const { return Layer(*this).count_params(); }

Layer Model::get_layer(const std::string& layer_name) const {
  std::string names;
  for (const Layer& layer : layers()) {
    if (layer.name() == layer_name) return layer;
    names += " " + layer.name();
  }
  Fail("model '", name(), "' has no layer '", layer_name, "'; there are:", names);
}

Layer Model::get_layer(int index) const {
  const int n = static_cast<int>(layers().size());
  if (index < -n || index >= n) Fail("model '", name(), "' has ", n, " layers, layer ", index, " was asked for");
  return layers()[static_cast<size_t>(index < 0 ? index + n : index)];
}

void Model::set_trainable(bool value) const {
  state().network->set_trainable(value);
  state().session.Clear();
}

Arrays Model::get_weights() const {
  state().EnsurePlaced();
  return GetValues(variables(), Text("model '", name(), "'"));
}

Arrays Model::get_optimizer_state() const {
  ModelState& s = state();
  s.FillSlots();
  Arrays arrays;
  if (!s.compiled || !s.slots.size()) return arrays;
  const std::vector<char> trained = s.TrainedVariables();
  for (size_t slot = 0; slot < SlotsOf(s.optimizer().def()).size(); ++slot)
    for (size_t i = 0; i < s.layout.variables().size(); ++i)
      if (trained[i])
        arrays.push_back(Array::View(s.layout.variables()[i]->shape, DType::kFloat32,
                                     s.slots.data() + slot * s.layout.slot_stride() + s.layout.offset(i))
                             .copy());
  return arrays;
}

void Model::set_weights(const Arrays& weights) {
  const std::string owner = Text("model '", name(), "'");
  CheckValues(variables(), weights, owner);
  state().EnsurePlaced(/*draw=*/false);
  state().LeaveFile();
  SetValues(variables(), weights, owner);
}

void Model::compile(const CompileOptions& options) {
  ModelState& s = state();
  const auto check = [&](const std::vector<Metric>& metrics) {
    for (size_t i = 0; i < metrics.size(); ++i)
      if (!metrics[i]) Fail("compile: metric ", i, " of those given is empty");
  };
  check(options.metrics), check(options.weighted_metrics);
  for (const auto* each : {&options.output_metrics, &options.output_weighted_metrics})
    for (const std::vector<Metric>& metrics : *each) check(metrics);
  if (s.placed) CheckCompile(options, *s.network);  // before anything is changed
  s.options = options;
  s.compiled = true;
  s.why_not_compiled.clear();
  s.iterations = 0;
  s.learning_rate.reset();
  s.slots = Block();
  s.pending.clear();
  s.slots_ready = false;
  s.position.reset();
  s.metrics.clear();
  s.session.Clear();
  for (Block& block : s.session.state_) block = Block();
  for (std::vector<MetricCell>& cells : s.session.metrics_) cells.clear();
  if (s.placed) s.ResolveLosses();
}

void Model::reset_metrics() {
  ResetMetrics(state(), Mode::kTrain);
  ResetMetrics(state(), Mode::kTest);
}

void CheckData(ModelState& s, const Samples& data, bool targets, const char* where) {
  data.Check(where);
  const Array& weight = data.sample_weight;
  if (!weight.empty() && weight.size() != data.rows())
    Fail(where, ": sample_weight has the shape ", weight.shape(), "; one number for each of ", data.rows(),
         " rows was expected");
  TensorSpecs x;
  for (const Array& a : data.x) x.push_back({a.shape(), a.dtype()});
  s.EnsureBuilt(x);
  const size_t inputs = s.network->inputs().size();
  if (data.x.size() != inputs)
    Fail(where, ": model '", s.network->name, "' takes ", Counted(inputs, "input"), ", ", data.x.size(), " came");
  for (size_t i = 0; i < inputs; ++i) s.network->check_values(static_cast<int>(i), data.x[i]);
  if (!targets) return;
  s.RequireCompiled(where);
  if (data.y.size() != s.losses.size())
    Fail(where, ": model '", s.network->name, "' has ", Counted(s.losses.size(), "output"), ", ",
         Counted(data.y.size(), "target"), " came");
}

void CheckLabels(ModelState& s, const Samples& data) {
  const TensorSpecs& out = s.network->outputs();
  for (size_t i = 0; i < data.y.size(); ++i)
    s.losses[i].resolve(out[i], {data.y[i].shape(), data.y[i].dtype()}).def().check_labels(data.y[i], out[i]);
}

Logs Model::train_on_batch(const Arrays& x, const Arrays& y, const Array& sample_weight) {
  const Dataset data{x, y, sample_weight};
  CheckData(state(), data, true, "train_on_batch");
  CheckLabels(state(), data);
  ResetMetrics(state(), Mode::kTrain);
  RunStep(state(), state().session, Mode::kTrain, data, {nullptr, 0, data.rows()});
  Logs logs;
  ReadLogs(state(), Mode::kTrain, logs);
  return logs;
}

Logs Model::test_on_batch(const Arrays& x, const Arrays& y, const Array& sample_weight) {
  const Dataset data{x, y, sample_weight};
  CheckData(state(), data, true, "test_on_batch");
  CheckLabels(state(), data);
  ResetMetrics(state(), Mode::kTest);
  RunStep(state(), state().session, Mode::kTest, data, {nullptr, 0, data.rows()});
  Logs logs;
  ReadLogs(state(), Mode::kTest, logs);
  return logs;
}

Logs Model::evaluate(const Dataset& data, int batch_size) {
  ModelState& s = state();
  if (batch_size <= 0) Fail("evaluate: batch_size is ", batch_size, ", a positive number was expected");
  if (data.staged()) {
    Feed feed(s, data, batch_size, true, "evaluate");
    if (feed.per_pass() == kForever) Fail("evaluate: the data never ends; use take");
    bool begun = false;
    for (int64_t i = 0; i != feed.per_pass() && feed.Go(0, i, feed.per_pass()); ++i) {
      if (!begun) ResetMetrics(s, Mode::kTest);
      begun = true;
      RunStep(s, s.session, Mode::kTest, feed.data(), feed.rows());
    }
    if (!begun) Fail("evaluate: the data set gives no batch: ", data.str());
  } else {
    CheckData(s, data, true, "evaluate");
    CheckLabels(s, data);
    ResetMetrics(s, Mode::kTest);
    for (int64_t first = 0; first < data.rows(); first += batch_size)
      RunStep(s, s.session, Mode::kTest, data, {nullptr, first, std::min<int64_t>(data.rows(), first + batch_size)});
  }
  Logs logs;
  ReadLogs(s, Mode::kTest, logs);
  return logs;
}

namespace {

// Runs batches of x and copies what comes out behind what came before.
Arrays PredictRows(ModelState& s, Session& session, const Arrays& x, int64_t batch_size, const char* where) {
  const Dataset data{x, {}, {}};
  CheckData(s, data, false, where);
  Arrays out;
  for (int64_t first = 0; first < data.rows(); first += batch_size) {
    const Rows rows{nullptr, first, std::min(data.rows(), first + batch_size)};
    RunStep(s, session, Mode::kPredict, data, rows);
    const Program& p = session.Find(s, Mode::kPredict, data, rows.last - rows.first, false);
    for (size_t i = 0; i < p.out.size(); ++i) {
      const Operand o = p.plan->operand(p.out[i]);
      if (first == 0)
        out.push_back(Array(o.shape.with(0, o.shape[0] / (rows.last - rows.first) * data.rows()), o.dtype));
      std::memcpy(static_cast<std::byte*>(out[i].data()) +
                      static_cast<size_t>(first * (o.shape[0] / (rows.last - rows.first))) * out[i].row_bytes(),
                  o.data, o.bytes());
    }
  }
  return out;
}

}  // namespace

Arrays Model::predict(const Arrays& x, int batch_size) {
  if (batch_size <= 0) Fail("predict: batch_size is ", batch_size, ", a positive number was expected");
  return PredictRows(state(), state().session, x, batch_size, "predict");
}

Arrays Model::predict(const Dataset& data, int batch_size) {
  if (!data.staged()) return predict(data.x, batch_size);
  if (batch_size <= 0) Fail("predict: batch_size is ", batch_size, ", a positive number was expected");
  ModelState& s = state();
  Feed feed(s, data, batch_size, false, "predict");
  if (feed.per_pass() == kForever) Fail("predict: the data never ends; use take");
  std::vector<Arrays> parts;
  for (int64_t i = 0; i != feed.per_pass() && feed.Go(0, i, feed.per_pass()); ++i) {
    const Samples inputs{feed.data().x, {}, {}};
    RunStep(s, s.session, Mode::kPredict, inputs, feed.rows());
    const Program& p = s.session.Find(s, Mode::kPredict, inputs, feed.count(), false);
    Arrays& out = parts.emplace_back();
    for (const Value v : p.out) {
      const Operand o = p.plan->operand(v);
      out.push_back(Array::View(o.shape, o.dtype, o.data).copy());
    }
  }
  if (parts.empty()) Fail("predict: the data set gives no batch: ", data.str());
  Arrays whole;
  for (size_t k = 0; k < parts[0].size(); ++k) {
    int64_t rows = 0;
    for (const Arrays& part : parts) {
      if (!(part[k].shape().from(1) == parts[0][k].shape().from(1)))
        Fail("predict: output ", k, " is ", parts[0][k].shape(), " for the first batch and ", part[k].shape(),
             " for another; give batches of one shape");
      rows += part[k].rows();
    }
    Array& all = whole.emplace_back(parts[0][k].shape().with(0, rows), parts[0][k].dtype());
    auto* to = static_cast<std::byte*>(all.data());
    for (const Arrays& part : parts) {
      if (part[k].bytes()) std::memcpy(to, part[k].data(), part[k].bytes());
      to += part[k].bytes();
    }
  }
  return whole;
}

Array Model::predict(const Array& x, int batch_size) {
  Arrays out = predict(Arrays{x}, batch_size);
  if (out.size() != 1)
    Fail("predict: model '", name(), "' has ", out.size(), " outputs; give x as a list to get them all");
  return out[0];
}

Arrays Model::predict_on_batch(const Arrays& x) {
  const int64_t rows = x.empty() ? 1 : std::max<int64_t>(1, x[0].rows());
  return PredictRows(state(), state().session, x, rows, "predict_on_batch");
}

Gradients Model::gradients(const Arrays& x, const Arrays& y, const Array& sample_weight) {
  ModelState& s = state();
  const Dataset data{x, y, sample_weight};
  CheckData(s, data, true, "gradients");
  CheckLabels(s, data);
  Gradients result;
  result.loss = RunStep(s, s.session, Mode::kGradients, data, {nullptr, 0, data.rows()});
  result.weights = s.ReadGradients();
  return result;
}

Arrays ModelState::ReadGradients() const {
  const std::vector<char> trained = TrainedVariables();
  Arrays out;
  for (size_t i = 0; i < layout.variables().size(); ++i) {
    const Variable& v = *layout.variables()[i];
    out.push_back(Zeroed(v));
    if (trained[i]) std::memcpy(out.back().data(), gradient.data() + layout.offset(i), v.bytes());
  }
  return out;
}

Model::Vjp Model::vjp(const Arrays& x, const Arrays& cotangents) {
  ModelState& s = state();
  const Dataset data{x, cotangents, {}};
  CheckData(s, data, false, "vjp");
  if (s.gradient.size()) std::memset(s.gradient.data(), 0, s.gradient.size());
  RunStep(s, s.session, Mode::kVjp, data, {nullptr, 0, data.rows()});
  const Program& p = s.session.Find(s, Mode::kVjp, data, data.rows(), false);
  Vjp result;
  const auto read = [&](Value v, const Shape& shape) {
    if (!v) return Array(shape);
    const Operand o = p.plan->operand(v);
    return Array::View(o.shape, o.dtype, o.data).copy();
  };
  for (const Value v : p.out) result.outputs.push_back(read(v, {}));
  for (size_t i = 0; i < p.x_in.size(); ++i) result.inputs.push_back(read(p.input_grads[i], p.x[i].shape));
  result.weights = s.ReadGradients();
  return result;
}

void Model::apply_gradients(const Arrays& gradients) {
  ModelState& s = state();
  s.RequireCompiled("apply_gradients");
  const auto& variables = s.layout.variables();
  if (gradients.size() != variables.size())
    Fail("apply_gradients: model '", name(), "' has ", variables.size(), " weights, ", gradients.size(),
         " gradients came");
  for (size_t i = 0; i < variables.size(); ++i) {
    if (!(gradients[i].shape() == variables[i]->shape))
      Fail("apply_gradients: gradient ", i, " has the shape ", gradients[i].shape(), ", the weight ",
           variables[i]->shape);
    if (gradients[i].dtype() != variables[i]->dtype)
      Fail("apply_gradients: gradient ", i, " holds ", Name(gradients[i].dtype()), ", the weight ",
           Name(variables[i]->dtype));
  }
  s.EnsureTrainingArenas();
  // The update divides by the loss scale, by which a step of fit has multiplied; these are of the loss itself.
  const auto scale = static_cast<float>(s.optimizer().def().common.loss_scale_factor.value_or(1));
  for (size_t i = 0; i < variables.size(); ++i) {
    if (!variables[i]->trainable) continue;
    float* to = reinterpret_cast<float*>(s.gradient.data() + s.layout.offset(i));
    for (const float g : gradients[i].floats()) *to++ = g * scale;
  }
  RunStep(s, s.session, Mode::kApply, Dataset{}, {nullptr, 0, 0});
}

namespace {

// A target that the loss takes: values like the output's, or a label for each.
Array ExampleTarget(const Loss& loss, const Shape& pred) {
  try {
    loss.def().target({pred}, {pred});
    return Array(pred);
  } catch (const Error&) {
    return Array(pred.part(0, pred.rank() - 1), DType::kInt32);
  }
}

}  // namespace

Dataset ExampleBatch(const ModelState& s, int64_t rows, bool targets, const char* where) {
  Dataset data;
  for (const TensorSpec& spec : s.network->inputs()) {
    const Shape shape = spec.shape.with(0, rows);
    if (!shape.known())
      Fail(where, ": input ", spec.shape, " has extents that only data can tell; fit or predict first");
    data.x.push_back(Array(shape, spec.dtype));
  }
  for (size_t i = 0; targets && i < s.losses.size(); ++i)
    data.y.push_back(ExampleTarget(s.losses[i], s.network->outputs()[i].shape.with(0, rows)));
  return data;
}

std::string Model::plan(int batch_size, bool training) {
  ModelState& s = state();
  if (!s.placed) Fail("plan: model '", name(), "' does not know its input shape yet; begin with Input({...})");
  if (batch_size <= 0) Fail("plan: batch_size is ", batch_size, ", a positive number was expected");
  if (training && !s.compiled)
    Fail("plan: model '", name(), "' is not compiled; ask for the plan of predicting, or call compile first");
  const Dataset data = ExampleBatch(s, batch_size, training, "plan");
  // To look is not to decide: what the losses and metrics mean is left to the first real targets.
  const auto losses = s.losses;
  const auto metrics = s.metrics;
  const std::string text =
      s.session.Find(s, training ? Mode::kTrain : Mode::kPredict, data, batch_size, false).plan->Describe();
  if (training && metrics.size() != s.metrics.size()) s.session.Clear();
  s.losses = losses;
  s.metrics = metrics;
  return text;
}

struct Predictor::Impl {
  std::shared_ptr<ModelState> model;
  Session session;
};

Predictor::Predictor(std::shared_ptr<ModelState> model) : impl_(std::make_unique<Impl>()) {
  impl_->model = std::move(model);
}
Predictor::~Predictor() = default;
Predictor::Predictor(Predictor&&) noexcept = default;
Arrays Predictor::predict_on_batch(const Arrays& x) {
  if (!impl_) Fail("a Predictor was used that had been moved from; make another with model.predictor()");
  const int64_t rows = x.empty() ? 1 : std::max<int64_t>(1, x[0].rows());
  return PredictRows(*impl_->model, impl_->session, x, rows, "predict_on_batch");
}
Predictor Model::predictor() const {
  state().EnsurePlaced();
  if (!state().placed)
    Fail("predictor: model '", name(), "' has no weights yet; begin with Input({...}), or fit or predict first");
  return Predictor(state_);
}

}  // namespace ingot
