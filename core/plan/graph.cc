// SPDX-License-Identifier: MIT
//
// The book-keeping of a graph: values, operations, and how gradients meet. The formulas are in graph_ops.cc and
// graph_linear.cc.
#include "ingot/core/plan/graph.h"

#include <algorithm>

#include "ingot/core/error.h"

namespace ingot {

Value Graph::New(const TensorSpec& spec, Space space) {
  ValueInfo info;
  info.shape = spec.shape;
  info.dtype = spec.dtype;
  info.space = space;
  info.root = static_cast<int32_t>(values_.size());
  values_.push_back(info);
  return {info.root};
}

Value Graph::Input(const TensorSpec& spec, bool needs_grad) {
  const Value v = New(spec);
  info(v).keep = true;
  info(v).needs_grad = needs_grad;
  return v;
}

Value Graph::Weight(const VariablePtr& variable, bool trained) {
  const int index = layout_.IndexOf(variable.get());
  INGOT_CHECK(index >= 0);
  if (weights_.empty()) weights_.resize(layout_.variables().size());
  Value& v = weights_[static_cast<size_t>(index)];
  if (!v) {
    v = New({variable->shape, variable->dtype}, Space::kWeight);
    info(v).variable = index;
  }
  if (trained && training_) info(v).needs_grad = true;
  return v;
}

Value Graph::Constant(const Shape& shape, std::span<const float> values) {
  INGOT_CHECK(shape.count() == static_cast<int64_t>(values.size()));
  const Value v = New({shape}, Space::kConstant);
  info(v).offset = constants_.size() * sizeof(float);
  constants_.insert(constants_.end(), values.begin(), values.end());
  constants_.resize((constants_.size() + 15) / 16 * 16);  // each begins at 64 bytes
  return v;
}

Value Graph::State(int64_t floats) {
  const Value v = New({{floats}}, Space::kState);
  info(v).offset = state_bytes_;
  state_bytes_ += AlignUp(static_cast<size_t>(floats) * sizeof(float));
  return v;
}

Value Graph::StatePart(Value state, int64_t first, const Shape& shape) {
  INGOT_CHECK(info(state).space == Space::kState && first + shape.count() <= info(state).shape.count());
  const Value v = New({shape}, Space::kState);
  info(v).offset = info(state).offset + static_cast<size_t>(first) * sizeof(float);
  return v;
}

Value Graph::WeightRange(int first_variable, int64_t floats) {
  const Value v = New({{floats}}, Space::kWeight);
  info(v).variable = first_variable;
  return v;
}

Value Graph::GradientRange(size_t offset, int64_t floats) {
  const Value v = New({{floats}}, Space::kGradient);
  info(v).offset = offset;
  return v;
}

Value Graph::SlotRange(int slot, size_t offset, int64_t floats) {
  const Value v = New({{floats}}, Space::kSlot);
  info(v).offset = static_cast<size_t>(slot) * layout_.slot_stride() + offset;
  return v;
}

Value Graph::Reshape(Value x, const Shape& shape) {
  INGOT_CHECK(shape.count() == info(x).shape.count());
  if (shape == info(x).shape) return x;
  ValueInfo view = info(x);
  view.shape = shape;
  view.needs_grad = false;
  const Value y{static_cast<int32_t>(values_.size())};
  values_.push_back(view);
  const Value of[] = {x};
  OnBackward(y, of, [x](Graph& g, Value dy) { g.AddGrad(x, g.Reshape(dy, g.shape(x))); });
  return y;
}

void Graph::EmitInto(Kernel kernel, std::span<const Value> in, std::span<const Value> out, const Attrs& attrs,
                     bool in_place) {
  Op op{kernel, phase_, in_place, layer_, {in.begin(), in.end()}, {out.begin(), out.end()}, attrs};
  ops_.push_back(std::move(op));
}

Value Graph::Emit(Kernel kernel, std::span<const Value> in, const TensorSpec& out, const Attrs& attrs, bool in_place) {
  const Value y = New(out);
  EmitInto(kernel, in, std::span<const Value>(&y, 1), attrs, in_place);
  return y;
}

Value Graph::Custom(std::span<const Value> in, const TensorSpec& out, const CustomAttrs& attrs, BackwardFn backward) {
  const Value y = Emit(Kernel::kCustom, in, out, attrs);
  if (backward) OnBackward(y, in, std::move(backward));
  return y;
}

Value Graph::MadeBy(Value v, Kernel kernel, Attrs* attrs) const {
  for (size_t i = ops_.size(); i-- > 0;) {
    const Op& op = ops_[i];
    if (op.out.empty() || op.out[0] != v) continue;
    if (op.kernel != kernel) return {};
    if (attrs) *attrs = op.attrs;
    return op.in[0];
  }
  return {};
}

Value Graph::Unpadded(Value v, int32_t& top, int32_t& left) const {
  Attrs attrs;
  const Value x = MadeBy(v, Kernel::kCopyBox, &attrs);
  if (!x || shape(v).rank() != 4 || !(shape(v).with(1, shape(x)[1]).with(2, shape(x)[2]) == shape(x))) return {};
  const auto& box = attrs.as<BoxAttrs>();
  for (int i = 0; i < 4; ++i)
    if (box.from[i] != 0 || box.extent[i] != shape(x)[i]) return {};
  // MadeBy finds the last that wrote to v; what it kept must be zeros, and of nobody else.
  int writers = 0, zeros = 0;
  for (const Op& op : ops_) {
    if (op.out.empty() || op.out[0] != v) continue;
    ++writers;
    zeros += op.kernel == Kernel::kFill && op.attrs.as<FillAttrs>().value == 0;
  }
  if (writers != 2 || zeros != 1) return {};
  top = box.to[1], left = box.to[2];
  return x;
}

void Graph::BeginLayer(const std::string& name) {
  layer_ = static_cast<int32_t>(layers_.size());
  layers_.push_back(name);
}

void Graph::OnBackward(Value y, std::span<const Value> of, BackwardFn fn) {
  if (phase_ != Phase::kForward) return;  // nobody asks for the gradient of a gradient
  if (std::none_of(of.begin(), of.end(), [&](Value v) { return Needs(v); })) return;
  info(y).needs_grad = true;
  rules_.push_back({y, layer_, std::move(fn)});
}

void Graph::AddGrad(Value v, Value dv) {
  if (!Needs(v)) return;
  INGOT_CHECK(info(dv).shape == info(v).shape);
  if (grads_.size() < values_.size()) grads_.resize(values_.size());
  Value& sum = grads_[static_cast<size_t>(v.id)];
  if (!sum) {
    sum = dv;
    return;
  }
  const Value both[] = {sum, dv};
  const Value added = Emit(Kernel::kBinary, both, {info(v).shape}, BinaryAttrs{BinaryOp::kAdd, 0}, true);
  grads_.resize(std::max(grads_.size(), values_.size()));
  grads_[static_cast<size_t>(v.id)] = added;
}

Value Graph::GradOf(Value v) const {
  const size_t i = static_cast<size_t>(v.id);
  return i < grads_.size() ? grads_[i] : Value{};
}

void Graph::Backward() {
  phase_ = Phase::kBackward;
  // Every use of y was written after y, so by the time its rule is reached its gradient is complete.
  for (size_t i = rules_.size(); i-- > 0;) {
    const Value dy = GradOf(rules_[i].y);
    if (!dy) continue;
    layer_ = rules_[i].layer;
    const BackwardFn fn = std::move(rules_[i].fn);
    fn(*this, dy);
  }
  PlaceWeightGradients();
}

// The value that is the whole gradient of a weight takes its place in the gradients' arena; a value that cannot
// (it serves twice, or is a view of something larger or fixed) is copied there.
void Graph::PlaceWeightGradients() {
  for (size_t i = 0; i < weights_.size(); ++i) {
    const Value w = weights_[i];
    if (!Needs(w)) continue;
    const Value grad = GradOf(w);
    const size_t offset = layout_.offset(i);
    if (!grad) {  // nothing depends on it now, though it did in another plan perhaps
      const Value zero = GradientRange(offset, info(w).shape.count());
      EmitInto(Kernel::kFill, {}, std::span<const Value>(&zero, 1), FillAttrs{0});
      continue;
    }
    const Value root = Root(grad);
    if (info(root).space == Space::kActivation && !info(root).keep &&
        info(root).shape.count() == info(w).shape.count()) {
      info(root).space = Space::kGradient;
      info(root).offset = offset;
      continue;
    }
    const Value place = GradientRange(offset, info(w).shape.count());
    EmitInto(Kernel::kCopy, std::span<const Value>(&grad, 1), std::span<const Value>(&place, 1));
  }
}

}  // namespace ingot
