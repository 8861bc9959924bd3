// SPDX-License-Identifier: MIT
#include "ingot/layers/merging.h"

#include <algorithm>

#include "ingot/layers/activations.h"
#include "ingot/layers/layers.h"

namespace ingot {
namespace {

std::string Shapes(const TensorSpecs& in) {
  std::string text;
  for (const TensorSpec& spec : in) text += (text.empty() ? "" : ", ") + spec.shape.str();
  return text;
}

// The shape with axes of 1 put behind the batch.
Shape OfRank(const Shape& shape, int rank) {
  Shape out{shape[0]};
  for (int i = shape.rank(); i < rank; ++i) out.push_back(1);
  for (const int64_t dim : shape.from(1)) out.push_back(dim);
  return out;
}

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
    if (merge == Merge::kSubtract && in.size() != 2) fail("takes 2 inputs, ", in.size(), " came: ", Shapes(in));
    int rank = 0;
    for (const TensorSpec& spec : in) {
      if (spec.shape.rank() == 0) fail("takes inputs with a batch, these came: ", Shapes(in));
      rank = std::max(rank, spec.shape.rank());
    }
    Shape out = OfRank(in[0].shape, rank);
    for (const TensorSpec& spec : in) {
      const Shape shape = OfRank(spec.shape, rank);
      for (int i = 0; i < rank; ++i) {
        int64_t &a = out[i], b = shape[i];
        if (a == b || (b == 1 && i > 0)) continue;
        if (a == kNone && i > 0) continue;  // it may be 1 or b: known when data comes
        if ((a == 1 && i > 0) || a == kNone)
          a = b;
        else if (b == kNone)
          a = i > 0 ? kNone : a;
        else
          fail("the inputs do not fit together along axis ", i, i ? "" : ", the batch", ": ", Shapes(in));
      }
    }
    return {{out}};
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
        fail("the inputs must be alike but for axis ", axis, ", these came: ", Shapes(in));
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
