// SPDX-License-Identifier: MIT
#include "ingot/train/trainer.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "ingot/io/keras_names.h"
#include "ingot/optim/slots.h"
#include "ingot/train/check.h"

namespace ingot {
namespace {

void CopyRow(void* dst, const void* src, size_t elements, DType to, DType from) {
  if (to == from) {
    std::memcpy(dst, src, elements * SizeOf(to));
    return;
  }
  const auto convert = [&](auto* d, const auto* s) {
    for (size_t i = 0; i < elements; ++i) d[i] = static_cast<std::remove_reference_t<decltype(*d)>>(s[i]);
  };
  const auto from_any = [&](auto* d) {
    if (from == DType::kFloat32) convert(d, static_cast<const float*>(src));
    if (from == DType::kInt32) convert(d, static_cast<const int32_t*>(src));
    if (from == DType::kUint8) convert(d, static_cast<const uint8_t*>(src));
  };
  if (to == DType::kFloat32) from_any(static_cast<float*>(dst));
  if (to == DType::kInt32) from_any(static_cast<int32_t*>(dst));
  if (to == DType::kUint8) from_any(static_cast<uint8_t*>(dst));
}

// Puts rows of an array where a plan reads them.
void Feed(const Operand& to, const Array& from, const Rows& rows) {
  const int64_t n = rows.last - rows.first;
  const size_t elements = static_cast<size_t>(from.shape().from(1).count());
  INGOT_CHECK(static_cast<int64_t>(elements) * n == to.count());
  const auto* src = static_cast<const std::byte*>(from.data());
  auto* dst = static_cast<std::byte*>(to.data);
  const size_t step_in = elements * SizeOf(from.dtype()), step_out = elements * SizeOf(to.dtype);
  if (!rows.order) {
    CopyRow(dst, src + static_cast<size_t>(rows.first) * step_in, elements * static_cast<size_t>(n), to.dtype,
            from.dtype());
    return;
  }
  for (int64_t i = 0; i < n; ++i)
    CopyRow(dst + static_cast<size_t>(i) * step_out, src + static_cast<size_t>(rows.order[rows.first + i]) * step_in,
            elements, to.dtype, from.dtype());
}

// The class of a row of targets: the number itself, rounded as NumPy rounds, or the place of the largest entry.
int ClassOf(const Operand& y, int64_t row, int64_t rows) {
  const int64_t width = y.count() / std::max<int64_t>(1, rows);
  const auto of = [&](const auto* values) {
    values += row * width;
    if (width != 1) return static_cast<int>(std::max_element(values, values + width) - values);
    const double label = std::nearbyint(static_cast<double>(*values));
    return std::fabs(label) < 1e9 ? static_cast<int>(label) : -1;  // of no class
  };
  if (y.dtype == DType::kInt32) return of(y.i());
  if (y.dtype == DType::kUint8) return of(static_cast<const uint8_t*>(y.data));
  return of(y.f());
}

void FeedWeights(const Operand& to, const Program& p, const Samples& data, const Rows& rows,
                 const std::map<int, float>* class_weight) {
  const int64_t n = rows.last - rows.first;
  if (data.sample_weight.empty())
    std::fill_n(to.f(), n, 1.0f);
  else
    Feed(to, data.sample_weight, rows);
  if (!class_weight || class_weight->empty()) return;
  const Operand y = p.plan->operand(p.y_in[0]);
  for (int64_t i = 0; i < n; ++i) {
    const auto found = class_weight->find(ClassOf(y, i, n));
    if (found != class_weight->end()) to.f()[i] *= found->second;
  }
}

bool Finite(const float* values, int64_t count) {
  return std::all_of(values, values + count, [](float v) { return std::isfinite(v); });
}
bool Finite(const Operand& o) { return o.dtype != DType::kFloat32 || Finite(o.f(), o.count()); }

// What a step starts from: the batch and the weights.
void CheckStart(const ModelState& model, const Program& p) {
  const auto bad = [&](const char* what, const std::string& which) {
    Fail("model '", model.network->name, "', step ", model.iterations, ": ", what, " ", which,
         " holds a value that is not finite before the step begins");
  };
  for (size_t i = 0; i < p.x_in.size(); ++i)
    if (!Finite(p.plan->operand(p.x_in[i]))) bad("input", std::to_string(i) + " of this batch");
  for (size_t i = 0; i < p.y_in.size(); ++i)
    if (!Finite(p.plan->operand(p.y_in[i]))) bad("target", std::to_string(i) + " of this batch");
  if (p.weight && !Finite(p.plan->operand(p.weight))) bad("the weight of", "a sample of this batch");
  for (const VariablePtr& v : model.layout.variables())
    if (v->dtype == DType::kFloat32 && !Finite(v->data(), v->shape.count())) bad("weight", v->layer + "/" + v->name);
}

[[noreturn]] void ReportNan(const ModelState& model, const Plan& plan, const Step& step) {
  const char* phase = step.phase == Phase::kForward    ? "forward"
                      : step.phase == Phase::kBackward ? "backward"
                                                       : "update";
  Fail("model '", model.network->name, "', step ", model.iterations,
       ": the first value that is not finite appears in layer '", plan.layer(step), "' (", phase, ", kernel ",
       Name(step.kernel),
       "); its inputs were finite. Try a smaller learning rate, clipnorm, or look at the data of this batch");
}

}  // namespace

Watch FindNan(const ModelState& model) {
  return [&model](const Program& p, const Step* step) {
    if (!step) return CheckStart(model, p);
    for (const Operand& out : step->call.out)
      if (!Finite(out)) ReportNan(model, *p.plan, *step);
  };
}

double RunStep(ModelState& model, Session& session, Mode mode, const Samples& data, const Rows& rows,
               const std::map<int, float>* class_weight, const Watch& watch) {
  const int64_t n = rows.last - rows.first;
  const bool weighted = !data.sample_weight.empty() || (class_weight && !class_weight->empty());
  const bool updates = mode == Mode::kTrain || mode == Mode::kApply;
  Program& p =
      session.Find(model, mode, data, n, weighted, updates && !model.optimizer().def().apply_due(model.iterations));
  session.Bind(model, p);
  for (size_t i = 0; i < p.x_in.size(); ++i) Feed(p.plan->operand(p.x_in[i]), data.x[i], rows);
  for (size_t i = 0; i < p.y_in.size(); ++i) Feed(p.plan->operand(p.y_in[i]), data.y[i], rows);
  if (weighted && p.weight) FeedWeights(p.plan->operand(p.weight), p, data, rows, class_weight);

  Run run;
  run.pool = model.pool ? model.pool : &ThreadPool::Default();
  run.seed = model.seed;
  run.step = static_cast<uint32_t>(model.iterations);
  if (updates) {
    model.optimizer().def().Prepare(model.iterations, model.LearningRate(), model.hyper.data());
    run.hyper = model.hyper.data();
  }
  if (watch) {
    watch(p, nullptr);
    p.plan->Execute(run, [&](const Step& step) { watch(p, &step); });
  } else {
    p.plan->Execute(run);
  }
  if (updates && model.optimizer().def().overwrite_due(++model.iterations)) model.TakeAverages();
  if (!p.losses) return 0;

  const float* terms = p.plan->operand(p.losses).f();
  double loss = 0;
  const bool counts = mode == Mode::kTrain || mode == Mode::kTest;  // others leave the running means alone
  for (int i = 0; i < p.terms; ++i) {
    const size_t k = static_cast<size_t>(i);
    const bool output = k < model.losses.size();
    loss += static_cast<double>(terms[i]) * static_cast<double>(output ? model.loss_weights[k] : 1);
    if (output && counts) model.SumsOf(mode).outputs[k] += static_cast<double>(terms[i]) * static_cast<double>(n);
  }
  if (counts) {
    model.SumsOf(mode).total += loss * static_cast<double>(n);
    model.SumsOf(mode).rows += static_cast<double>(n);
  }
  return loss;
}

void ResetMetrics(ModelState& model, Mode mode) {
  Block& state = model.session.state_[static_cast<size_t>(mode)];
  if (state.size()) std::memset(state.data(), 0, state.size());
  LossSums& sums = model.SumsOf(mode);
  sums.total = sums.rows = 0;
  std::fill(sums.outputs.begin(), sums.outputs.end(), 0.0);
}

void ReadLogs(ModelState& model, Mode mode, Logs& logs) {
  size_t at = 0;
  const auto put = [&](const std::string& name, double value) {
    if (at == logs.size())
      logs.emplace_back(name, value);
    else if (logs[at].first != name)
      logs[at] = {name, value};
    else
      logs[at].second = value;
    ++at;
  };
  const LossSums& sums = model.SumsOf(mode);
  put("loss", sums.mean());
  const std::vector<std::string>& names = model.output_loss_names;
  for (size_t i = 0; i < names.size(); ++i) put(names[i], sums.outputs[i] / std::max(1.0, sums.rows));
  const std::byte* state = model.session.state_[static_cast<size_t>(mode)].data();
  const std::vector<MetricCell>& cells = model.session.metrics_[static_cast<size_t>(mode)];
  for (size_t i = 0; i < std::min(cells.size(), model.metrics.size()); ++i) {
    const std::span<const double> doubles(reinterpret_cast<const double*>(state + cells[i].offset),
                                          static_cast<size_t>(cells[i].doubles));
    const std::vector<double> values = model.metrics[i].metric.def().result(doubles);
    for (size_t k = 0; k < values.size(); ++k)
      put(values.size() == 1 ? model.metrics[i].name : model.metrics[i].name + "[" + std::to_string(k) + "]",
          values[k]);
  }
  logs.resize(at);
}

void ModelState::Place(bool draw) {
  if (!network->has_calls()) return;
  std::vector<VariablePtr> variables = Layer(network).variables();
  const bool fresh = std::any_of(variables.begin(), variables.end(), [](const VariablePtr& v) { return !v->arena; });
  std::vector<size_t> unset;
  for (size_t i = 0; i < variables.size(); ++i)
    if (!variables[i]->arena) unset.push_back(i);
  layout = Layout(std::move(variables));
  if (fresh) layout.Place(network->name);
  for (const size_t i : unset) {
    Variable& v = *layout.variables()[i];
    if (draw && v.initialize)
      v.initialize(v.writable(), {seed, static_cast<uint32_t>(i), UINT32_MAX});  // a step that no training reaches
  }
  session.Clear();
  placed = true;
}

void ModelState::EnsureBuilt(const TensorSpecs& x) {
  if (placed) return;
  if (!network->has_calls()) {
    TensorSpecs any = x;
    for (TensorSpec& spec : any) {
      spec.shape = spec.shape.with(0, kNone);
      spec.dtype = spec.dtype == DType::kUint8 ? DType::kFloat32 : spec.dtype;
    }
    network->build(any);
  }
  EnsurePlaced();
}

void ModelState::EnsurePlaced(bool draw) {
  if (placed || !network->has_calls()) return;
  if (compiled) CheckCompile(options, *network);
  Place(draw);
  if (compiled) ResolveLosses();
}

void ModelState::RequireCompiled(const char* where) const {
  if (compiled) return;
  Fail(where, ": model '", network->name, "' is not compiled; call compile first",
       why_not_compiled.empty() ? "" : " (" + why_not_compiled + ")");
}

std::vector<char> ModelState::TrainedVariables() const {
  std::vector<char> trained(layout.variables().size(), 0);
  for (const size_t i : ingot::TrainedVariables(*network, layout)) trained[i] = 1;
  return trained;
}

size_t ModelState::ArenaBytes() const {
  size_t bytes = gradient.size() + slots.size() + session.activation_.size();
  for (const Block& state : session.state_) bytes += state.size();
  for (const VariablePtr& v : layout.variables()) bytes += v->bytes();
  return bytes;
}

void ModelState::TakeAverages() {
  const std::vector<SlotSpec> specs = SlotsOf(optimizer().def());
  const std::vector<char> trained = TrainedVariables();
  for (size_t s = 0; s < specs.size(); ++s) {
    if (specs[s].name != "average") continue;
    for (size_t i = 0; i < trained.size(); ++i) {
      const Variable& v = *layout.variables()[i];
      if (trained[i]) std::memcpy(v.writable(), slots.data() + s * layout.slot_stride() + layout.offset(i), v.bytes());
    }
  }
}

void ModelState::Adopt(std::shared_ptr<const MappedFile> file) {
  if (!placed) {
    Place();
    if (compiled) ResolveLosses();
  }
  if (file) image = std::move(file);
}

void ModelState::CheckFile() const {
  if (image) image->CheckUnchanged();
}

void ModelState::FillSlots() {
  if (pending.empty()) return;
  CheckFile();
  FillAll(pending);
  pending.clear();
}

void ModelState::LeaveFile() {
  // Weights may lie in a file also if another model was loaded from it and this one has its layers.
  bool away = false;
  for (const VariablePtr& v : layout.variables()) {
    if (!v->arena) continue;
    if (v->arena->pages() == Pages::kReadOnly)
      Fail("model '", network->name, "': weight ", v->layer, "/", v->name, " is shared with all who loaded its file ",
           "so, and cannot be changed; load it with LoadMode::kMap");
    away |= v->arena->pages() == Pages::kMapped;
  }
  if (!image && !away) return;
  CheckFile();
  FillSlots();
  // What was read lies in memory, and only needs to move if it lies in many places.
  if (away || !layout.Contiguous()) layout.Place(network->name);
  if (slots.pages() != Pages::kOwn) {
    Block own(slots.size(), "optimizer state of model '" + network->name + "'");
    CopyAll({{own.data(), slots.data(), slots.size()}});
    slots = std::move(own);
  }
  image = nullptr;
}

void ModelState::EnsureTrainingArenas() {
  LeaveFile();
  const size_t bytes = layout.trainable_bytes();
  if (gradient.size() < bytes) gradient = Block(bytes, "gradients of model '" + network->name + "'");
  const OptimizerDef& def = optimizer().def();
  if (slots_ready) return;
  slots_ready = true;
  if (bytes && !slots.size()) slots = NewSlots(def, layout, network->name);  // else loaded from a file
}

}  // namespace ingot
