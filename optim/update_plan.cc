// SPDX-License-Identifier: MIT
#include "ingot/optim/update_plan.h"

#include <algorithm>

#include "ingot/core/memory.h"

namespace ingot {
namespace {

constexpr size_t kMostSlots = 16;  // of one's own optimizer

struct Range {
  int first_variable;
  size_t offset;
  int64_t floats;
  bool decay;
};

bool Decays(const OptimizerDef& def, const Variable& v) {
  return def.common.weight_decay &&
         std::none_of(def.no_decay.begin(), def.no_decay.end(),
                      [&](const std::string& part) { return v.name.find(part) != std::string::npos; });
}

// A run ends where arenas do, or where weight decay begins or ends. Padding is part of it.
std::vector<Range> Neighbours(const Layout& layout, const OptimizerDef& def, const std::vector<size_t>& variables) {
  std::vector<Range> ranges;
  const Variable* last = nullptr;
  for (const size_t i : variables) {
    const Variable& v = *layout.variables()[i];
    const int64_t floats = static_cast<int64_t>(AlignUp(v.bytes()) / sizeof(float));
    const bool decay = Decays(def, v);
    const bool follows =
        last && last->arena == v.arena && last->offset + AlignUp(last->bytes()) == v.offset &&
        ranges.back().decay == decay &&
        ranges.back().offset + static_cast<size_t>(ranges.back().floats) * sizeof(float) == layout.offset(i);
    if (follows)
      ranges.back().floats += floats;
    else
      ranges.push_back({static_cast<int>(i), layout.offset(i), floats, decay});
    last = &v;
  }
  return ranges;
}

// One's own update of one variable.
template <bool kDecay>
void RunCustom(const Call& call, const void* self) {
  const auto& def = *static_cast<const OptimizerDef*>(self);
  const size_t n = static_cast<size_t>(call.in[0].count());
  const std::span<float> w(call.in[0].f(), n), g(call.in[1].f(), n);
  const float* h = call.run->hyper;
  if (h[kHyperScale] != 1)
    for (float& x : g) x /= h[kHyperScale];
  if (kDecay)
    for (float& x : w) x -= x * h[1];
  float* slots[kMostSlots] = {};
  for (size_t s = 2; s < call.in.size(); ++s) slots[s - 2] = call.in[s].f();
  def.update(w, g, {slots, call.in.size() - 2}, h[0],
             static_cast<int64_t>(call.run->step) / def.accumulation_steps() + 1);
}

class Emitter {
 public:
  Emitter(Graph& g, const OptimizerDef& def, const std::vector<size_t>& variables)
      : g_(g),
        def_(def),
        variables_(variables),
        ranges_(Neighbours(g.layout(), def, variables)),
        own_(static_cast<int>(def.slots().size())) {
    for (const Range& r : ranges_) gradients_.push_back(g.GradientRange(r.offset, r.floats));
    scale_ = def.common.loss_scale_factor.value_or(1);
  }

  // The first or the last of the steps whose gradients make one update.
  void Accumulate(UpdateFormula formula) {
    const int slot = own_ + (def_.common.use_ema ? 1 : 0);
    for (size_t k = 0; k < ranges_.size(); ++k) {
      const Value sum = g_.SlotRange(slot, ranges_[k].offset, ranges_[k].floats);
      Update(formula, {gradients_[k], gradients_[k], sum}, {static_cast<float>(def_.accumulation_steps())},
             static_cast<float>(scale_));
    }
    scale_ = 1;
  }

  // Gradients are divided by the loss scale only in the update: limits are multiplied by it instead.
  void Clip() {
    const CommonOptions& common = def_.common;
    const auto clip = [&](Kernel kernel, const Values& gradients, double limit) {
      g_.EmitInto(kernel, gradients, gradients, ClipAttrs{static_cast<float>(limit * scale_)});
    };
    if (common.clipvalue)
      for (const Value v : gradients_) clip(Kernel::kClipByValue, {v}, *common.clipvalue);
    if (common.clipnorm)
      for (const size_t i : variables_) clip(Kernel::kClipByNorm, {Gradient(i)}, *common.clipnorm);
    if (common.global_clipnorm && !gradients_.empty())
      clip(Kernel::kClipByGlobalNorm, gradients_, *common.global_clipnorm);
  }

  void ByFormula() {
    for (size_t k = 0; k < ranges_.size(); ++k) {
      const Range& r = ranges_[k];
      UpdateAttrs attrs = def_.attrs();
      attrs.decay = r.decay;
      attrs.scale = static_cast<float>(scale_);
      Emit(Kernel::kUpdate, WithSlots(g_.WeightRange(r.first_variable, r.floats), gradients_[k], r.offset, r.floats),
           attrs);
    }
  }

  void ByFunction() {
    if (static_cast<size_t>(own_) > kMostSlots)
      Fail("optimizer ", def_.class_name(), ": has ", own_, " slots, at most ", kMostSlots, " were expected");
    for (const size_t i : variables_) {
      const Variable& v = *g_.layout().variables()[i];
      const Values values = WithSlots(g_.WeightRange(static_cast<int>(i), v.shape.count()), Gradient(i),
                                      g_.layout().offset(i), v.shape.count());
      g_.EmitInto(Kernel::kCustom, values, values,
                  CustomAttrs{Decays(def_, v) ? RunCustom<true> : RunCustom<false>, &def_});
    }
  }

  void Average() {
    if (!def_.common.use_ema) return;
    for (size_t k = 0; k < ranges_.size(); ++k) {
      const Range& r = ranges_[k];
      Update(UpdateFormula::kAverage,
             {g_.WeightRange(r.first_variable, r.floats), gradients_[k], g_.SlotRange(own_, r.offset, r.floats)}, {},
             1);
    }
  }

 private:
  Value Gradient(size_t i) {
    return g_.GradientRange(g_.layout().offset(i), g_.layout().variables()[i]->shape.count());
  }

  Values WithSlots(Value w, Value gradient, size_t offset, int64_t floats) {
    Values values = {w, gradient};
    for (int s = 0; s < own_; ++s) values.push_back(g_.SlotRange(s, offset, floats));
    return values;
  }

  // values: w, g, slots
  void Emit(Kernel kernel, const Values& values, const Attrs& attrs) {
    Values out = values;
    out.erase(out.begin() + 1);
    g_.EmitInto(kernel, values, out, attrs);
  }
  void Update(UpdateFormula formula, const Values& values, std::initializer_list<float> p, float scale) {
    UpdateAttrs attrs{static_cast<uint16_t>(formula), {}, false, scale};
    std::copy(p.begin(), p.end(), attrs.p);
    Emit(Kernel::kUpdate, values, attrs);
  }

  Graph& g_;
  const OptimizerDef& def_;
  const std::vector<size_t>& variables_;
  std::vector<Range> ranges_;
  Values gradients_;  // by range
  int own_;           // slots; then that of the averages, then that of accumulated gradients
  double scale_ = 1;  // what gradients are still to be divided by
};

}  // namespace

void EmitUpdate(Graph& g, const OptimizerDef& def, const std::vector<size_t>& variables) {
  Emitter e(g, def, variables);
  if (def.accumulation_steps() > 1) e.Accumulate(UpdateFormula::kTakeMean);
  e.Clip();
  if (def.custom())
    e.ByFunction();
  else
    e.ByFormula();
  e.Average();
}

void EmitAccumulate(Graph& g, const OptimizerDef& def, const std::vector<size_t>& variables) {
  Emitter e(g, def, variables);
  e.Accumulate(UpdateFormula::kAccumulate);
  e.Average();
}

}  // namespace ingot
