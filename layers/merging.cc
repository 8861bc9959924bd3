// SPDX-License-Identifier: MIT
#include "ingot/layers/merging.h"

#include <algorithm>

#include "ingot/layers/activations.h"
#include "ingot/layers/layers.h"

namespace ingot {
namespace {

enum class Merge { kAdd, kSubtract, kMultiply, kAverage, kMaximum, kMinimum };
constexpr const char* kNames[] = {"Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"};

struct MergeLayer : LayerDef {
  Merge merge;
  explicit MergeLayer(Merge m) : merge(m) {}
  std::string class_name() const override { return kNames[static_cast<int>(merge)]; }

  // With axes of 1 behind the batch, so that all have the same rank.
  static Shape Expanded(const Shape& shape, int rank) {
    Shape out{shape[0]};
    for (int i = shape.rank(); i < rank; ++i) out.push_back(1);
    for (int i = 1; i < shape.rank(); ++i) out.push_back(shape[i]);
    return out;
  }

  TensorSpecs build(const TensorSpecs& in) override {
    if (in.size() < 2) fail("takes at least 2 inputs as a list, ", in.size(), " came");
    if (merge == Merge::kSubtract && in.size() != 2) fail("takes 2 inputs, ", in.size(), " came");
    int rank = 0;
    for (const TensorSpec& spec : in) {
      if (spec.shape.rank() == 0) fail("takes inputs with a batch, a scalar came");
      rank = std::max(rank, spec.shape.rank());
    }
    Shape out = Expanded(in[0].shape, rank);
    for (const TensorSpec& spec : in) {
      const Shape shape = Expanded(spec.shape, rank);
      for (int i = 0; i < rank; ++i) {
        if (shape[i] == out[i] || shape[i] == 1) continue;
        if (out[i] == 1)
          out[i] = shape[i];
        else if (out[i] == kNone)
          out[i] = shape[i];
        else if (shape[i] != kNone)
          fail("inputs ", in[0].shape, " and ", spec.shape, " do not broadcast to one shape");
      }
    }
    return {{out}};
  }

  Values call(Graph& g, const Values& in) override {
    int rank = 0;
    for (const Value v : in) rank = std::max(rank, g.shape(v).rank());
    const auto operand = [&](size_t i) {
      const Value v = g.Cast(in[i]);
      return g.Reshape(v, Expanded(g.shape(v), rank));
    };
    Value y = operand(0);
    for (size_t i = 1; i < in.size(); ++i) {
      const Value v = operand(i);
      switch (merge) {
        case Merge::kAdd:
        case Merge::kAverage: y = g.Add(y, v); break;
        case Merge::kSubtract: y = g.Subtract(y, v); break;
        case Merge::kMultiply: y = g.Multiply(y, v); break;
        case Merge::kMaximum: y = g.Binary(BinaryOp::kMaximum, y, v); break;
        case Merge::kMinimum: y = g.Binary(BinaryOp::kMinimum, y, v); break;
      }
    }
    if (merge == Merge::kAverage) y = Apply(g, Formula::kAffine, y, 1 / static_cast<float>(in.size()));
    return {y};
  }
};

struct ConcatenateLayer : LayerDef {
  int64_t axis = -1;
  ConcatenateLayer() = default;
  explicit ConcatenateLayer(int64_t a) : axis(a) {}
  std::string class_name() const override { return "Concatenate"; }
  void fields(Fields& f) override { f("axis", axis); }

  int AxisOf(const Shape& shape) const {
    if (axis < -shape.rank() || axis >= shape.rank()) fail("axis ", axis, " is not one of the input's, ", shape);
    return static_cast<int>(axis < 0 ? axis + shape.rank() : axis);
  }

  TensorSpecs build(const TensorSpecs& in) override {
    if (in.empty()) fail("takes a list of inputs, none came");
    Shape out = in[0].shape;
    const int at = AxisOf(out);
    for (size_t i = 1; i < in.size(); ++i) {
      const Shape& shape = in[i].shape;
      if (!out.with(at, 1).accepts(shape.rank() == out.rank() ? shape.with(at, 1) : shape))
        fail("inputs ", in[0].shape, " and ", shape, " differ in more than axis ", axis);
      for (int k = 0; k < out.rank(); ++k)
        if (k == at)
          out[k] = out[k] == kNone || shape[k] == kNone ? kNone : out[k] + shape[k];
        else if (out[k] == kNone)
          out[k] = shape[k];
    }
    return {{out}};
  }

  Values call(Graph& g, const Values& in) override {
    Values parts;
    for (const Value v : in) parts.push_back(g.Cast(v));
    if (parts.size() == 1) return parts;
    return {g.Concat(parts, AxisOf(g.shape(parts[0])))};
  }
};

template <Merge merge>
std::shared_ptr<LayerDef> Make() { return std::make_shared<MergeLayer>(merge); }

}  // namespace

Layer Add(const NameOptions& o) { return MakeLayer<MergeLayer>(o.name, Merge::kAdd); }
Layer Subtract(const NameOptions& o) { return MakeLayer<MergeLayer>(o.name, Merge::kSubtract); }
Layer Multiply(const NameOptions& o) { return MakeLayer<MergeLayer>(o.name, Merge::kMultiply); }
Layer Average(const NameOptions& o) { return MakeLayer<MergeLayer>(o.name, Merge::kAverage); }
Layer Maximum(const NameOptions& o) { return MakeLayer<MergeLayer>(o.name, Merge::kMaximum); }
Layer Minimum(const NameOptions& o) { return MakeLayer<MergeLayer>(o.name, Merge::kMinimum); }
Layer Concatenate(const ConcatenateOptions& o) { return MakeLayer<ConcatenateLayer>(o.name, o.axis); }

const LayerClass kAddClass = {"Add", &Make<Merge::kAdd>};
const LayerClass kSubtractClass = {"Subtract", &Make<Merge::kSubtract>};
const LayerClass kMultiplyClass = {"Multiply", &Make<Merge::kMultiply>};
const LayerClass kAverageClass = {"Average", &Make<Merge::kAverage>};
const LayerClass kMaximumClass = {"Maximum", &Make<Merge::kMaximum>};
const LayerClass kMinimumClass = {"Minimum", &Make<Merge::kMinimum>};
const LayerClass kConcatenateClass = {"Concatenate", [] { return std::shared_ptr<LayerDef>(new ConcatenateLayer); }};

}  // namespace ingot
