// SPDX-License-Identifier: MIT
#include "ingot/optim/update_plan.h"

namespace ingot {
namespace {

struct Range { int first_variable; size_t offset; int64_t floats; };

std::vector<Range> Neighbours(const Layout& layout, const std::vector<size_t>& variables) {
  std::vector<Range> ranges;
  const Variable* last = nullptr;
  for (const size_t i : variables) {
    const Variable& v = *layout.variables()[i];
    const int64_t floats = static_cast<int64_t>(AlignUp(v.bytes()) / sizeof(float));
    const bool follows = last && last->arena == v.arena && last->offset + AlignUp(last->bytes()) == v.offset &&
                         ranges.back().offset + static_cast<size_t>(ranges.back().floats) * sizeof(float) == layout.offset(i);
    if (follows)
      ranges.back().floats += floats;
    else
      ranges.push_back({static_cast<int>(i), layout.offset(i), floats});
    last = &v;
  }
  return ranges;
}

void RunCustom(const Call& call, const void* self) {
  const auto& def = *static_cast<const OptimizerDef*>(self);
  const size_t n = static_cast<size_t>(call.in[0].count());
  float* slots[8] = {};
  for (size_t s = 2; s < call.in.size(); ++s) slots[s - 2] = call.in[s].f();
  def.update({call.in[0].f(), n}, {call.in[1].f(), n}, {slots, call.in.size() - 2}, call.run->hyper[0], call.run->step + 1);
}

}  // namespace

void EmitUpdate(Graph& g, const OptimizerDef& def, const std::vector<size_t>& variables) {
  const Layout& layout = g.layout();
  const std::vector<Range> ranges = Neighbours(layout, variables);
  const CommonOptions& common = def.common;
  const auto clip = [&](Kernel kernel, const Values& gradients, double limit) {
    g.EmitInto(kernel, gradients, gradients, ClipAttrs{static_cast<float>(limit)});
  };
  Values gradients;
  for (const Range& r : ranges) gradients.push_back(g.GradientRange(r.offset, r.floats));
  if (common.clipvalue)
    for (const Value v : gradients) clip(Kernel::kClipByValue, {v}, *common.clipvalue);
  if (common.clipnorm)
    for (const size_t i : variables) clip(Kernel::kClipByNorm, {g.GradientRange(layout.offset(i), layout.variables()[i]->shape.count())}, *common.clipnorm);
  if (common.global_clipnorm && !gradients.empty()) clip(Kernel::kClipByGlobalNorm, gradients, *common.global_clipnorm);

  const size_t slots = def.slots().size();
  for (size_t k = 0; k < ranges.size(); ++k) {
    const Range& r = ranges[k];
    const Value w = g.WeightRange(r.first_variable, r.floats);
    Values in{w, gradients[k]}, out{w};
    for (size_t s = 0; s < slots; ++s) {
      in.push_back(g.SlotRange(static_cast<int>(s), r.offset, r.floats));
      out.push_back(in.back());
    }
    UpdateAttrs attrs = def.attrs();
    attrs.decay = common.weight_decay.has_value();
    if (def.custom())
      g.EmitInto(Kernel::kCustom, in, out, CustomAttrs{RunCustom, &def});
    else
      g.EmitInto(Kernel::kUpdate, in, out, attrs);
    if (common.use_ema) {
      const Value average = g.SlotRange(static_cast<int>(slots), r.offset, r.floats);
      const Value ema_in[] = {w, gradients[k], average}, ema_out[] = {average};
      const float momentum = static_cast<float>(common.ema_momentum);
      g.EmitInto(Kernel::kUpdate, ema_in, ema_out, UpdateAttrs{static_cast<uint16_t>(UpdateFormula::kAverage), {momentum, 1 - momentum}, false});
    }
  }
}

}  // namespace ingot
