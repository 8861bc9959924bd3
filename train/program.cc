// SPDX-License-Identifier: MIT
//
// How a plan of a model is written: forward through the network, losses and metrics, backward, update.
#include <algorithm>
#include <cstring>

#include "ingot/core/plural.h"
#include "ingot/optim/update_plan.h"
#include "ingot/train/trainer.h"

namespace ingot {
namespace {

constexpr size_t kMaxPrograms = 16;

bool Same(const TensorSpecs& specs, const Arrays& arrays, int64_t rows) {
  return std::equal(specs.begin(), specs.end(), arrays.begin(), arrays.end(), [&](const TensorSpec& s, const Array& a) {
    return s.dtype == a.dtype() && s.shape == a.shape().with(0, rows);
  });
}

TensorSpecs SpecsOf(const Arrays& arrays, int64_t rows) {
  TensorSpecs specs;
  for (const Array& a : arrays) specs.push_back({a.shape().with(0, rows), a.dtype()});
  return specs;
}

class Writer {
 public:
  Writer(ModelState& model, Program& program, bool training) : model_(model), p_(program), g_(model.layout, training) {}

  void Write() {
    if (p_.mode == Mode::kApply) {
      const auto& variables = model_.layout.variables();
      const std::vector<char> trained = model_.TrainedVariables();
      for (size_t i = 0; i < variables.size(); ++i) g_.Weight(variables[i], trained[i]);
      Update();
      p_.plan = std::make_unique<Plan>(g_, CpuBackend());
      return;
    }
    Forward();
    if (p_.mode == Mode::kPredict) {
      for (const Value v : p_.out) g_.Keep(v);
    } else if (p_.mode == Mode::kVjp) {
      Cotangents();
    } else {
      Loss();
      if (p_.mode == Mode::kTrain) Update();
    }
    p_.plan = std::make_unique<Plan>(g_, CpuBackend());
  }

 private:
  bool gradients() const { return p_.mode == Mode::kTrain || p_.mode == Mode::kGradients || p_.mode == Mode::kVjp; }

  void Forward() {
    const TensorSpecs& declared = model_.network->inputs();
    if (p_.x.size() != declared.size())
      Fail("model '", model_.network->name, "' takes ", Counted(declared.size(), "input"), ", ", p_.x.size(), " came");
    TensorSpecs specs = p_.x;
    for (size_t i = 0; i < specs.size(); ++i) {
      // Keras adds an axis to rows of single numbers.
      if (specs[i].shape.rank() + 1 == declared[i].shape.rank() && declared[i].shape.back() == 1)
        specs[i].shape.push_back(1);
      specs[i].dtype = declared[i].dtype;
    }
    const TensorSpecs out = model_.network->build(specs);
    for (const TensorSpec& spec : specs)
      p_.x_in.push_back(g_.Input(spec, p_.mode == Mode::kVjp && spec.dtype == DType::kFloat32));
    p_.out = model_.network->call(g_, p_.x_in);
    for (size_t i = 0; i < out.size(); ++i) INGOT_CHECK(g_.shape(p_.out[i]) == out[i].shape);
  }

  void Cotangents() {
    if (p_.y.size() != p_.out.size())
      Fail("vjp: model '", model_.network->name, "' has ", Counted(p_.out.size(), "output"), ", ",
           Counted(p_.y.size(), "cotangent"), " came");
    for (size_t i = 0; i < p_.out.size(); ++i) {
      const Value v = p_.out[i];
      if (!(p_.y[i].shape == g_.shape(v)))
        Fail("vjp: cotangent ", i, " has the shape ", p_.y[i].shape, ", the output ", g_.shape(v));
      g_.Keep(v);
      const Value cotangent = g_.Input({g_.shape(v)});
      p_.y_in.push_back(cotangent);
      if (g_.Needs(v)) g_.SeedGrad(v, cotangent);
    }
    g_.Backward();
    for (const Value x : p_.x_in) {
      const Value grad = g_.GradOf(x);
      if (grad) g_.Keep(grad);
      p_.input_grads.push_back(grad);
    }
  }

  void Loss() {
    const size_t outputs = p_.out.size();
    if (p_.y.size() != outputs)
      Fail("model '", model_.network->name, "' has ", Counted(outputs, "output"), ", ", Counted(p_.y.size(), "target"),
           " came");
    const int64_t n = p_.x[0].shape[0];
    if (p_.weighted) p_.weight = g_.Input({Shape{n}});
    for (size_t i = 0; i < outputs; ++i)
      p_.y_in.push_back(g_.Input(model_.losses[i].def().target({g_.shape(p_.out[i])}, p_.y[i])));

    // The update divides by it again; it is for those who look at gradients between.
    const float scale =
        p_.mode == Mode::kTrain ? static_cast<float>(model_.optimizer().def().common.loss_scale_factor.value_or(1)) : 1;
    g_.BeginLayer("loss");
    const auto& penalized = g_.penalized();
    std::vector<size_t> penalized_weights;
    const std::vector<char> trained = model_.TrainedVariables();
    const auto& variables = model_.layout.variables();
    for (size_t i = 0; i < variables.size(); ++i)
      if (trained[i] && variables[i]->penalty.any()) penalized_weights.push_back(i);
    p_.terms = static_cast<int>(outputs + penalized.size() + penalized_weights.size());
    p_.losses = g_.State(p_.terms);
    int term = 0;
    for (size_t i = 0; i < outputs; ++i) {
      const Value total =
          AddLoss(g_, model_.losses[i].def(), p_.y_in[i], p_.out[i], p_.weight, 1, g_.StatePart(p_.losses, term++, {}));
      if (g_.Needs(total)) g_.SeedGrad(total, g_.Scalar(model_.loss_weights[i] * scale));
    }
    for (const auto& [value, penalty] : penalized) {
      const PenaltyAttrs attrs{penalty.l1, penalty.l2, 1 / static_cast<float>(n)};
      const Value total = g_.PenaltyOf(value, attrs, g_.StatePart(p_.losses, term++, {}));
      if (g_.Needs(total)) g_.SeedGrad(total, g_.Scalar(scale));
    }
    for (const size_t i : penalized_weights) {
      const Value w = g_.Weight(variables[i]), into = g_.StatePart(p_.losses, term++, {});
      const Penalty& penalty = variables[i]->penalty;
      g_.EmitInto(Kernel::kPenalty, std::span(&w, 1), std::span(&into, 1), PenaltyAttrs{penalty.l1, penalty.l2, 1});
    }
    Metrics();
    if (!gradients()) return;
    g_.Backward();
    for (const size_t i : penalized_weights) {
      const Value w = g_.Weight(variables[i]);
      if (!g_.Needs(w)) continue;
      const Value grad = g_.GradientRange(model_.layout.offset(i), variables[i]->shape.count());
      const Value flat = g_.Reshape(w, {variables[i]->shape.count()});
      const Value in[] = {flat, grad};
      g_.EmitInto(Kernel::kPenaltyGrad, in, std::span(&grad, 1),
                  PenaltyAttrs{variables[i]->penalty.l1, variables[i]->penalty.l2, scale});
    }
  }

  // The target of output i as a metric wants to see it.
  Value TargetFor(const MetricDef& metric, size_t i) {
    const TensorSpec want = metric.target({g_.shape(p_.out[i])}, {g_.shape(p_.y_in[i]), g_.info(p_.y_in[i]).dtype});
    const Value seen = want.dtype == DType::kFloat32 ? g_.Cast(p_.y_in[i]) : p_.y_in[i];
    return g_.Reshape(seen, want.shape);
  }

  void Metrics() {
    if (p_.mode == Mode::kGradients) return;
    g_.BeginLayer("metrics");
    for (const auto& m : model_.metrics) {
      const size_t i = static_cast<size_t>(m.output);
      const TensorSpec pred{g_.shape(p_.out[i])};
      const int64_t doubles = m.metric.def().state_doubles(pred);
      const Value state = g_.State(2 * doubles);
      m.metric.def().update(g_, TargetFor(m.metric.def(), i), p_.out[i], m.weighted ? p_.weight : Value{}, state);
      p_.metrics.push_back({g_.info(state).offset, doubles});
    }
  }

  // Neighbouring variables are updated in one pass where they lie side by side in every arena.
  void Update() {
    g_.BeginPhase(Phase::kUpdate);
    g_.BeginLayer("optimizer");
    const Layout& layout = model_.layout;
    const auto& variables = layout.variables();
    const std::vector<char> trained = model_.TrainedVariables();
    std::vector<size_t> order;
    for (size_t i = 0; i < variables.size(); ++i)
      if (trained[i] && g_.Needs(g_.Weight(variables[i]))) order.push_back(i);
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return layout.offset(a) < layout.offset(b); });
    if (p_.accumulates)
      EmitAccumulate(g_, model_.optimizer().def(), order);
    else
      EmitUpdate(g_, model_.optimizer().def(), order);
  }

  ModelState& model_;
  Program& p_;
  Graph g_;
};

}  // namespace

Program& Session::Find(ModelState& model, Mode mode, const Samples& data, int64_t n, bool weighted, bool accumulates) {
  if (mode == Mode::kTest || mode == Mode::kPredict)
    model.CheckFile();
  else
    model.LeaveFile();
  // Weights that moved (another model took the layer in) may no longer be neighbours: plans are made anew.
  const auto& variables = model.layout.variables();
  bool same = placed_.size() == variables.size();
  for (size_t i = 0; same && i < variables.size(); ++i)
    same = placed_[i] == reinterpret_cast<const std::byte*>(variables[i]->data());
  if (const uint64_t changes = LayerDef::trainable_changes.load(); changes != trainable_changes_) {
    trainable_changes_ = changes;
    same = false;
  }
  if (!same) {
    programs_.clear();
    placed_.clear();
    for (const VariablePtr& v : variables) placed_.push_back(reinterpret_cast<const std::byte*>(v->data()));
  }
  for (const auto& p : programs_)
    if (p->mode == mode && p->weighted == weighted && p->accumulates == accumulates && Same(p->x, data.x, n) &&
        Same(p->y, data.y, n)) {
      p->used = ++clock_;
      return *p;
    }
  auto program = std::make_unique<Program>();
  program->mode = mode;
  program->weighted = weighted;
  program->accumulates = accumulates;
  program->x = SpecsOf(data.x, n);
  program->y = SpecsOf(data.y, n);
  program->used = program->made = ++clock_;
  // What "accuracy" means follows from the first targets that fit, not from those that did not.
  const auto losses = model.losses;
  const auto metrics = model.metrics;
  try {
    if (mode == Mode::kTrain || mode == Mode::kTest) model.ResolveMetrics(program->y);
    Writer(model, *program, mode != Mode::kTest && mode != Mode::kPredict).Write();
  } catch (...) {
    model.losses = losses;
    model.metrics = metrics;
    throw;
  }
  if (programs_.size() >= kMaxPrograms)
    programs_.erase(std::min_element(programs_.begin(), programs_.end(),
                                     [](const auto& a, const auto& b) { return a->used < b->used; }));
  programs_.push_back(std::move(program));
  return *programs_.back();
}

void Session::Bind(ModelState& model, Program& program) {
  if (activation_.size() < program.plan->activation_bytes())
    activation_ = Block(program.plan->activation_bytes(),
                        "activations of model '" + model.network->name + "' at this batch size");
  if (program.mode != Mode::kTest && program.mode != Mode::kPredict) model.EnsureTrainingArenas();
  Block& state = state_[static_cast<size_t>(program.mode)];
  if (state.size() < program.plan->state_bytes()) state = Block(program.plan->state_bytes(), "losses and metrics");
  metrics_[static_cast<size_t>(program.mode)] = program.metrics;
  program.plan->Bind(model.layout, {activation_.data(), model.gradient.data(), model.slots.data(), state.data()});
}

}  // namespace ingot
