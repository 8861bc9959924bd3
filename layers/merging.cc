// SPDX-License-Identifier: MIT
#include "ingot/layers/merging.h"

#include <algorithm>

#include "ingot/layers/activations.h"
#include "ingot/layers/broadcast.h"
#include "ingot/layers/layers.h"

namespace ingot {
namespace {

enum class Merge { kAdd, kSubtract, kMultiply, kAverage, kMaximum, kMinimum };
struct MergeKind {
  const char* class_name;
  BinaryOp op;
};
constexpr MergeKind kKinds[] = {
    // in the order of Merge
    {"Add", BinaryOp::kAdd},     {"Subtract", BinaryOp::kSubtract}, {"Multiply", BinaryOp::kMultiply},
    {"Average", BinaryOp::kAdd}, {"Maximum", BinaryOp::kMaximum},   {"Minimum", BinaryOp::kMinimum},
};
static_assert(std::size(kKinds) == static_cast<size_t>(Merge::kMinimum) + 1);

struct MergeLayer : LayerDef {
  Merge merge;

  explicit MergeLayer(Merge m) : merge(m) {}
  const MergeKind& kind() const { return kKinds[static_cast<size_t>(merge)]; }
  std::string class_name() const override { return kind().class_name; }

  TensorSpecs build(const TensorSpecs& in) override {
    if (in.empty()) fail("takes a list of inputs, none came");
    if (merge == Merge::kSubtract && in.size() != 2) fail("takes 2 inputs, ", in.size(), " came: ", ShapesOf(in));
    return {{BroadcastShape(in, label())}};
  }

  Values call(Graph& g, const Values& in) override {
    int rank = 0;
    for (const Value v : in) rank = std::max(rank, g.shape(v).rank());
    Value y;
    for (const Value v : in) {
      const Value x = g.Reshape(g.Cast(v), OfRank(g.shape(v), rank));
      y = y ? g.Binary(kind().op, y, x) : x;
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

  int AxisOf(const Shape& shape) const { return Axes(axis).In(shape, label())[0]; }

  TensorSpecs build(const TensorSpecs& in) override {
    if (in.empty()) fail("takes a list of inputs, none came");
    Shape out = in[0].shape;
    const int at = AxisOf(out);
    if (at == 0) fail("axis ", axis, " is the batch; one behind it was expected");
    out[at] = 0;
    for (const TensorSpec& spec : in) {
      const Shape& shape = spec.shape;
      if (shape.rank() != out.rank() || !out.with(at, 1).accepts(shape.with(at, 1)))
        fail("the inputs must be alike but for axis ", axis, ", these came: ", ShapesOf(in));
      for (int i = 0; i < out.rank(); ++i) {
        if (i == at)
          out[i] = out[i] == kNone || shape[i] == kNone ? kNone : out[i] + shape[i];
        else if (out[i] == kNone)
          out[i] = shape[i];
      }
    }
    return {{out}};
  }

  Values call(Graph& g, const Values& in) override {
    Values parts;
    for (const Value v : in) parts.push_back(g.Cast(v));
    return parts.size() == 1 ? parts : Values{g.Concat(parts, AxisOf(g.shape(parts[0])))};
  }
};

template <Merge merge>
std::shared_ptr<LayerDef> Make() {
  return std::make_shared<MergeLayer>(merge);
}

}  // namespace

Layer Add(const NameOptions& o) { return MakeLayer<MergeLayer>(o.name, Merge::kAdd); }
Layer Subtract(const NameOptions& o) { return MakeLayer<MergeLayer>(o.name, Merge::kSubtract); }
Layer Multiply(const NameOptions& o) { return MakeLayer<MergeLayer>(o.name, Merge::kMultiply); }
Layer Average(const NameOptions& o) { return MakeLayer<MergeLayer>(o.name, Merge::kAverage); }
Layer Maximum(const NameOptions& o) { return MakeLayer<MergeLayer>(o.name, Merge::kMaximum); }
Layer Minimum(const NameOptions& o) { return MakeLayer<MergeLayer>(o.name, Merge::kMinimum); }
Layer Concatenate(const ConcatenateOptions& o) { return MakeLayer<ConcatenateLayer>(o.name, o.axis); }

const LayerClass kAddClass = {"Add", Make<Merge::kAdd>};
const LayerClass kSubtractClass = {"Subtract", Make<Merge::kSubtract>};
const LayerClass kMultiplyClass = {"Multiply", Make<Merge::kMultiply>};
const LayerClass kAverageClass = {"Average", Make<Merge::kAverage>};
const LayerClass kMaximumClass = {"Maximum", Make<Merge::kMaximum>};
const LayerClass kMinimumClass = {"Minimum", Make<Merge::kMinimum>};
const LayerClass kConcatenateClass = {"Concatenate", [] { return std::shared_ptr<LayerDef>(new ConcatenateLayer); }};

}  // namespace ingot
