// SPDX-License-Identifier: MIT
#include "ingot/layers/reshaping.h"

#include <algorithm>
#include <numeric>

#include "ingot/layers/layers.h"

namespace ingot {
namespace {

// One tensor of any type in, one of that type out.
struct MovingLayer : UnaryLayer {
  using UnaryLayer::build;
  using UnaryLayer::call;
  TensorSpecs build(const TensorSpecs& in) override { return {{build(only(in)), in[0].dtype}}; }
  Values call(Graph& g, const Values& in) override { return {call(g, in[0])}; }
};

struct FlattenLayer : MovingLayer {
  FlattenOptions o;

  FlattenLayer() = default;
  explicit FlattenLayer(FlattenOptions options) : o(std::move(options)) {}
  using MovingLayer::build;
  using MovingLayer::call;
  std::string class_name() const override { return "Flatten"; }

  void fields(Fields& f) override {
    if (!f.reading() || f.has("data_format")) f("data_format", o.data_format);
    f.seen("data_format");
  }
  Shape build(const Shape& in) override {
    if (o.data_format != "channels_last" && o.data_format != "channels_first")
      fail("data_format is '", o.data_format, "', channels_last or channels_first was expected");
    if (in.rank() < 1) fail("takes inputs with a batch, ", in, " came");
    const Shape rest = in.from(1);
    return {in[0], rest.known() ? rest.count() : kNone};
  }
  Value call(Graph& g, Value x) override {
    const Shape in = g.shape(x);
    if (o.data_format == "channels_first" && in.rank() > 2) {
      std::vector<int> axes(static_cast<size_t>(in.rank()));
      std::iota(axes.begin(), axes.end(), 0);
      std::rotate(axes.begin() + 1, axes.begin() + 2, axes.end());
      x = g.Transpose(x, axes);
    }
    return g.Reshape(x, {in[0], in.from(1).count()});
  }
};

struct ReshapeLayer : MovingLayer {
  std::vector<int64_t> target;

  ReshapeLayer() = default;
  explicit ReshapeLayer(std::vector<int64_t> target_shape) : target(std::move(target_shape)) {}
  using MovingLayer::build;
  using MovingLayer::call;
  std::string class_name() const override { return "Reshape"; }

  void fields(Fields& f) override { f("target_shape", target); }

  Shape build(const Shape& in) override {
    if (in.rank() < 1) fail("takes inputs with a batch, ", in, " came");
    Shape out;
    int64_t open = -1, product = 1;
    for (size_t i = 0; i < target.size(); ++i) {
      out.push_back(target[i]);
      if (target[i] == -1 && open >= 0)
        fail("target_shape ", out, "... has more than one -1; give all extents but one");
      if (target[i] < -1) fail("target_shape has the extent ", target[i], "; positive ones and one -1 were expected");
      if (target[i] == -1)
        open = static_cast<int64_t>(i);
      else if (__builtin_mul_overflow(product, target[i], &product))
        fail("target_shape ", out, " has more elements than can be counted");
    }
    const Shape rest = in.from(1);
    if (rest.known()) {
      const int64_t count = rest.count();
      if (open >= 0 ? product == 0 || count % product != 0 : count != product)
        fail("the input ", in, " has ", count, " elements a sample, which do not fit into target_shape ",
             out.batched(in[0]));
      if (open >= 0) out[static_cast<int>(open)] = count / product;
    }
    return out.batched(in[0]);
  }
  Value call(Graph& g, Value x) override { return g.Reshape(x, build(g.shape(x))); }
};

struct PermuteLayer : MovingLayer {
  std::vector<int64_t> dims;

  PermuteLayer() = default;
  explicit PermuteLayer(std::vector<int64_t> d) : dims(std::move(d)) {}
  using MovingLayer::build;
  using MovingLayer::call;
  std::string class_name() const override { return "Permute"; }

  void fields(Fields& f) override { f("dims", dims); }

  Shape build(const Shape& in) override {
    std::vector<int64_t> sorted = dims;
    std::sort(sorted.begin(), sorted.end());
    for (size_t i = 0; i < sorted.size(); ++i)
      if (sorted[i] != static_cast<int64_t>(i) + 1)
        fail("dims must be the numbers 1 to ", dims.size(), " in some order; the batch is not among them");
    if (in.rank() != static_cast<int>(dims.size()) + 1)
      fail("dims names ", dims.size(), " axes behind the batch, the input ", in, " has ", std::max(0, in.rank() - 1));
    Shape out = in;
    for (size_t i = 0; i < dims.size(); ++i) out[static_cast<int>(i) + 1] = in[static_cast<int>(dims[i])];
    return out;
  }
  Value call(Graph& g, Value x) override {
    std::vector<int> axes = {0};
    for (const int64_t dim : dims) axes.push_back(static_cast<int>(dim));
    return std::is_sorted(axes.begin(), axes.end()) ? x : g.Transpose(x, axes);
  }
};

struct RepeatVectorLayer : UnaryLayer {
  int64_t n = 1;

  RepeatVectorLayer() = default;
  explicit RepeatVectorLayer(int64_t times) : n(times) {}
  using UnaryLayer::build;
  using UnaryLayer::call;
  std::string class_name() const override { return "RepeatVector"; }

  void fields(Fields& f) override { f("n", n); }
  Shape build(const Shape& in) override {
    if (n <= 0) fail("n is ", n, ", a positive number was expected");
    if (in.rank() != 2) fail("takes inputs of 2 axes (batch, features), ", in, " came");
    return {in[0], n, in[1]};
  }
  Value call(Graph& g, Value x) override {
    const Shape in = g.shape(x);
    return g.Broadcast(g.Reshape(x, {in[0], 1, in[1]}), {in[0], n, in[1]});
  }
};

struct SameLayer : MovingLayer {
  using MovingLayer::build;
  using MovingLayer::call;
  std::string class_name() const override { return "Identity"; }
  Shape build(const Shape& in) override { return in; }
  Value call(Graph&, Value x) override { return x; }
};

template <class Def>
std::shared_ptr<LayerDef> Make() {
  return std::make_shared<Def>();
}

}  // namespace

Layer Flatten(const FlattenOptions& o) { return MakeLayer<FlattenLayer>(o.name, o); }
Layer Reshape(const std::vector<int64_t>& target_shape, const NameOptions& o) {
  return MakeLayer<ReshapeLayer>(o.name, target_shape);
}
Layer Permute(const std::vector<int64_t>& dims, const NameOptions& o) { return MakeLayer<PermuteLayer>(o.name, dims); }
Layer RepeatVector(int64_t n, const NameOptions& o) { return MakeLayer<RepeatVectorLayer>(o.name, n); }
Layer IdentityLayer(const NameOptions& o) { return MakeLayer<SameLayer>(o.name); }

const LayerClass kFlattenClass = {"Flatten", Make<FlattenLayer>};
const LayerClass kReshapeClass = {"Reshape", Make<ReshapeLayer>};
const LayerClass kPermuteClass = {"Permute", Make<PermuteLayer>};
const LayerClass kRepeatVectorClass = {"RepeatVector", Make<RepeatVectorLayer>};
const LayerClass kIdentityClass = {"Identity", Make<SameLayer>};

}  // namespace ingot
