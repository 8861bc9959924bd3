// SPDX-License-Identifier: MIT
#include "ingot/core/plan/plan.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "ingot/core/plan/passes.h"

namespace ingot {

Plan::Plan(Graph& graph, const Backend& backend) {
  DropUnused(graph);
  FuseBlocks(graph);
  FuseEpilogues(graph);
  size_t kept_bytes = KeepWhatWeightsMake(graph);
  const Placement placement = PlaceActivations(graph);
  state_bytes_ = graph.state_bytes();
  layers_ = graph.layers();
  constants_ = Block(graph.constants().size() * sizeof(float), "constants of a plan");
  if (!graph.constants().empty())
    std::memcpy(constants_.data(), graph.constants().data(), graph.constants().size() * sizeof(float));

  for (const ValueInfo& v : graph.values()) {
    const ValueInfo& root = graph.values()[static_cast<size_t>(v.root)];
    const size_t offset =
        root.space == Space::kActivation ? placement.offset[static_cast<size_t>(v.root)] : root.offset;
    where_.push_back({root.space, root.variable, offset});
    operand_of_.push_back({nullptr, v.shape, v.dtype});
  }

  size_t count = 0;
  for (const Op& op : graph.ops()) count += op.in.size() + op.out.size();
  operands_.reserve(count);
  attrs_.reserve(graph.ops().size());
  steps_.reserve(graph.ops().size());
  for (const Op& op : graph.ops()) {
    Step step;
    step.kernel = op.kernel;
    step.phase = op.phase;
    step.layer = op.layer;
    step.fn = backend.Resolve(op.kernel);
    attrs_.push_back(op.attrs);
    step.call.attrs = &attrs_.back();
    const Operand* first = operands_.data() + operands_.size();
    for (const Values* values : {&op.in, &op.out}) {
      for (const Value v : *values) {
        operands_.push_back(operand_of_[static_cast<size_t>(v.id)]);
        operand_value_.push_back(v.id);
      }
    }
    step.call.in = {first, op.in.size()};
    step.call.out = {first + op.in.size(), op.out.size()};
    step.of_weights = IsOfWeights(graph, op);
    writes_weights_ |= graph.training() || WritesWeights(graph, op);
    step.cost = CostOf(op.kernel, step.call);
    if (const size_t bytes = MayKeep(graph, op) ? backend.KeptBytes(op.kernel, step.call) : 0) {
      step.kept = kept_bytes;
      step.call.kept_bytes = bytes;
      kept_bytes += AlignUp(bytes);
    }
    workspace_bytes_ = std::max(workspace_bytes_, backend.WorkspaceBytes(op.kernel, step.call));
    steps_.push_back(step);
  }
  activation_bytes_ = placement.bytes + AlignUp(workspace_bytes_);
  kept_ = Block(kept_bytes, "packed weights of a plan");
  for (Step& step : steps_)
    if (step.call.kept_bytes) step.call.kept = kept_.data() + step.kept;
}

void Plan::Bind(const Layout& layout, const Arenas& arenas) {
  const auto& variables = layout.variables();
  bool same = arenas == bound_ && bound_weights_.size() == variables.size();
  for (size_t i = 0; same && i < variables.size(); ++i)
    same = bound_weights_[i] == reinterpret_cast<const std::byte*>(variables[i]->data());
  if (same && (arenas.activation || steps_.empty())) return;

  for (size_t i = 0; i < where_.size(); ++i) {
    const Where& w = where_[i];
    std::byte* base = nullptr;
    switch (w.space) {
      case Space::kActivation:
        base = arenas.activation;
        break;
      case Space::kWeight:
        base = variables[static_cast<size_t>(w.variable)]->arena->data() +
               variables[static_cast<size_t>(w.variable)]->offset;
        break;
      case Space::kGradient:
        base = arenas.gradient;
        break;
      case Space::kSlot:
        base = arenas.slot;
        break;
      case Space::kState:
        base = arenas.state;
        break;
      case Space::kConstant:
        base = constants_.data();
        break;
      case Space::kKept:
        base = kept_.data();
        break;
    }
    operand_of_[i].data = base ? base + w.offset : nullptr;
  }
  for (size_t i = 0; i < operands_.size(); ++i)
    operands_[i].data = operand_of_[static_cast<size_t>(operand_value_[i])].data;
  for (Step& step : steps_)
    step.call.workspace =
        workspace_bytes_ ? arenas.activation + activation_bytes_ - AlignUp(workspace_bytes_) : nullptr;
  bound_ = arenas;
  kept_version_ = 0;
  bound_weights_.clear();
  for (const VariablePtr& v : variables) bound_weights_.push_back(reinterpret_cast<const std::byte*>(v->data()));
}

void Plan::Execute(const Run& run, const std::function<void(const Step&)>& after) const {
  ForEach(run, [&](const Step& step, const Call& call) {
    step.fn(call);
    after(step);
  });
}

const std::string& Plan::layer(const Step& step) const {
  static const std::string none;
  return step.layer < 0 ? none : layers_[static_cast<size_t>(step.layer)];
}

std::string Shapes(const Step& step) {
  std::string text;
  for (size_t k = 0; k < step.call.in.size(); ++k) text += (k ? " x " : "") + step.call.in[k].shape.str();
  text += step.call.in.empty() ? "-> " : " -> ";
  for (size_t k = 0; k < step.call.out.size(); ++k) text += (k ? ", " : "") + step.call.out[k].shape.str();
  return text;
}

std::string Fused(const Step& step) {
  std::string text = Name(step.kernel);
  if (step.kernel == Kernel::kBatchNorm || step.kernel == Kernel::kBatchNormGrad) {
    const auto& norm = step.call.as<BatchNormAttrs>();
    if (norm.residual) text += " + add";
    if (norm.relu) text += norm.limit > 0 ? " + relu6" : " + relu";
    if (norm.pool) text += " + pool";
    if (norm.from_relu) text += norm.from_limit > 0 ? " + relu6 before" : " + relu before";
    if (norm.sums) text += " + bias";
  }
  if (step.kernel == Kernel::kFoldNorm && step.call.in.size() > 4) text += " + bias";
  const EpilogueAttrs* e = EpilogueOf(step.kernel, *step.call.attrs);
  if (e == nullptr) return text;
  if (e->scaled)
    text += " + batchnorm";
  else if (step.call.in.size() > (e->residual ? 3 : 2))
    text += " + bias";
  if (e->residual && !e->residual_last) text += " + add";
  if (e->activated()) {
    text += e->slope == 0 ? " + relu" : e->slope == 1 ? " + minimum" : " + leaky relu";
    if (e->limit < std::numeric_limits<float>::infinity()) {
      char limit[32];
      std::snprintf(limit, sizeof limit, "%g", static_cast<double>(e->limit));
      text += limit;
    }
  }
  if (e->residual && e->residual_last) text += " + add";
  return text;
}

std::string Plan::Describe() const {
  static const char* const phases[] = {"forward", "backward", "update"};
  std::string text;
  char line[256];
  std::snprintf(line, sizeof line, "%4s  %-8s  %-24s  %-22s  %10s  %10s  %s\n", "step", "phase", "layer", "kernel",
                "MFLOP", "KiB", "shapes");
  text += line;
  Cost total;
  for (size_t i = 0; i < steps_.size(); ++i) {
    const Step& s = steps_[i];
    std::snprintf(line, sizeof line, "%4zu  %-8s  %-24s  %-22s  %10.3f  %10.1f  ", i, phases[static_cast<int>(s.phase)],
                  layer(s).substr(0, 24).c_str(), Fused(s).c_str(), s.cost.flops / 1e6, s.cost.bytes / 1024);
    text += line + Shapes(s) + "\n";
    total.flops += s.cost.flops;
    total.bytes += s.cost.bytes;
  }
  std::snprintf(line, sizeof line, "%zu steps, %.3f MFLOP, %s moved, %s of activations and workspace\n", steps_.size(),
                total.flops / 1e6, HumanBytes(static_cast<uint64_t>(total.bytes)).c_str(),
                HumanBytes(activation_bytes_).c_str());
  return text + line;
}

}  // namespace ingot
