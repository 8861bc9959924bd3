// SPDX-License-Identifier: MIT
//
// A plan is a flat list of steps: a function pointer, its operands, its layer, its arithmetic and its bytes. Making
// one fuses operations, drops those nobody needs, and places every intermediate value in one arena by its first and
// last use. Running one walks the list: no allocation, no locks, no choice left to make.
//
// Threads: a plan is run by one thread at a time (its kernels use the pool). Plans of one model may run at the same
// time in different threads if each has its own arenas and none of them trains.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ingot/core/plan/graph.h"

namespace ingot {

struct Step {
  KernelFn fn = nullptr;
  Call call;
  Kernel kernel{};
  Phase phase{};
  int32_t layer = -1;
  Cost cost;
  bool of_weights = false;  // and of nothing else: runs again when they change
  size_t kept = 0;          // where what the kernel keeps lies, if it does
};

std::string Fused(const Step& step);   // what runs as one kernel: "Conv2D + batchnorm + add + relu"
std::string Shapes(const Step& step);  // "(32, 784) x (784, 64) -> (32, 64)"

// Where the arenas of a plan lie. Weights are found through their variables.
struct Arenas {
  std::byte* activation = nullptr;
  std::byte* gradient = nullptr;
  std::byte* slot = nullptr;
  std::byte* state = nullptr;
  bool operator==(const Arenas&) const = default;
};

class Plan {
 public:
  Plan(Graph& graph, const Backend& backend);  // takes what it needs out of the graph
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;

  size_t activation_bytes() const { return activation_bytes_; }
  size_t state_bytes() const { return state_bytes_; }
  size_t workspace_bytes() const { return workspace_bytes_; }
  size_t kept_bytes() const { return kept_.size(); }  // of what is made of weights once, for predictions

  // Points every step at the arenas; cheap when nothing moved since the last time.
  void Bind(const Layout& layout, const Arenas& arenas);

  // REQUIRES: bound.
  void Execute(const Run& run) const {
    ForEach(run, [](const Step& step, const Call& call) { step.fn(call); });
  }
  // The same, calling `after` behind each step: for the profiler and the search for NaN.
  void Execute(const Run& run, const std::function<void(const Step&)>& after) const;

  Operand operand(Value v) const { return operand_of_[static_cast<size_t>(v.id)]; }  // REQUIRES: bound
  const std::vector<Step>& steps() const { return steps_; }
  const std::string& layer(const Step& step) const;
  std::string Describe() const;  // a table: phase, layer, kernel, shapes, FLOPs, bytes

 private:
  // f(step, call) for each that must run: what was made of the weights alone holds until they change.
  template <class F>
  void ForEach(const Run& run, const F& f) const {
    if (writes_weights_) WeightsVersion::Change();
    const uint64_t version = WeightsVersion::Now();
    const bool fresh = kept_version_ == version;
    for (const Step& step : steps_) {
      if (step.of_weights && fresh) continue;
      Call call = step.call;
      call.run = &run;
      call.fresh = fresh && call.kept != nullptr;
      f(step, call);
    }
    kept_version_ = version;
  }

  struct Where {
    Space space;
    int32_t variable;
    size_t offset;
  };

  std::vector<Step> steps_;
  std::vector<Operand> operands_;       // of all steps, one after the other
  std::vector<int32_t> operand_value_;  // the value each one is
  std::vector<Operand> operand_of_;     // by value
  std::vector<Where> where_;            // by value
  std::vector<Attrs> attrs_;            // by step
  std::vector<std::string> layers_;
  Block constants_, kept_;
  bool writes_weights_ = false;
  mutable uint64_t kept_version_ = 0;  // of the weights that kept_ was made of; 0: it was not
  size_t activation_bytes_ = 0, workspace_bytes_ = 0, state_bytes_ = 0;
  Arenas bound_;
  std::vector<const std::byte*> bound_weights_;
};

}  // namespace ingot
