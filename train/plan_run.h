// SPDX-License-Identifier: MIT
//
// For the tests of losses and metrics: a plan without weights, run on arrays.
#pragma once

#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "ingot/core/array.h"
#include "ingot/core/memory.h"
#include "ingot/core/plan/plan.h"

namespace ingot {

struct PlanRun {
  Layout layout;
  Graph graph{layout, true};
  std::vector<std::pair<Value, Array>> fed;

  Value Feed(const Array& x, bool needs_grad = false) { return Feed(x, {x.shape(), x.dtype()}, needs_grad); }
  Value Feed(const Array& x, const TensorSpec& spec, bool needs_grad = false) {
    fed.emplace_back(graph.Input(spec, needs_grad), x);
    return fed.back().first;
  }

  // REQUIRES: the graph is complete.
  void Finish() {
    plan = std::make_unique<Plan>(graph, CpuBackend());
    activation = Block(plan->activation_bytes() + 1, "a test");
    state = Block(plan->state_bytes() + 1, "a test");
    plan->Bind(layout, {activation.data(), nullptr, nullptr, state.data()});
  }
  void Execute(ThreadPool* pool = nullptr) {
    for (const auto& [value, x] : fed) std::memcpy(plan->operand(value).data, x.data(), x.bytes());
    Run run;
    run.pool = pool ? pool : &ThreadPool::Default();
    plan->Execute(run);
  }
  std::vector<float> Read(Value v) const {
    const Operand x = plan->operand(v);
    return {x.f(), x.f() + x.count()};
  }
  std::span<const double> ReadState(Value v) const {
    const Operand x = plan->operand(v);
    return {static_cast<const double*>(x.data), static_cast<size_t>(x.count() / 2)};
  }

  std::unique_ptr<Plan> plan;
  Block activation, state;
};

}  // namespace ingot
