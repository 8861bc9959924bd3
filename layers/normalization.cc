// SPDX-License-Identifier: MIT
#include "ingot/layers/normalization.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "ingot/layers/activations.h"
#include "ingot/layers/layers.h"

namespace ingot {
namespace {

// The axis counted from the front, or an Error.
int AxisOf(const LayerDef& layer, int64_t axis, const Shape& shape) {
  if (axis < -shape.rank() || axis >= shape.rank()) Fail(layer.label(), ": axis ", axis, " is not one of the input's, ", shape);
  return static_cast<int>(axis < 0 ? axis + shape.rank() : axis);
}

// The order of axes that moves those listed to the end, and the order that moves them back.
struct Order {
  std::vector<int> there, back;
  Order(int rank, const std::vector<int>& last) : back(static_cast<size_t>(rank)) {
    for (int i = 0; i < rank; ++i)
      if (std::find(last.begin(), last.end(), i) == last.end()) there.push_back(i);
    there.insert(there.end(), last.begin(), last.end());
    for (size_t i = 0; i < there.size(); ++i) back[static_cast<size_t>(there[i])] = static_cast<int>(i);
  }
  bool identity() const { return std::is_sorted(there.begin(), there.end()); }
};

// gamma and beta, where there are any.
struct Affine {
  VariablePtr gamma, beta;
  // y = x gamma + beta, the weights seen in the shape that broadcasts.
  Value Apply(Graph& g, Value x, Value gamma_value, Value beta_value, const Shape& shape) const {
    if (gamma) x = g.Multiply(x, g.Reshape(gamma_value, shape));
    if (beta) x = g.Add(x, g.Reshape(beta_value, shape));
    return x;
  }
};

template <class Options>
void AffineFields(Fields& f, Options& o) {
  f("beta_initializer", o.beta_initializer);
  f("gamma_initializer", o.gamma_initializer);
}
template <class Options>
void AffineRegularizers(Fields& f, Options& o) {
  f("beta_regularizer", o.beta_regularizer);
  f("gamma_regularizer", o.gamma_regularizer);
  f.null("beta_constraint");
  f.null("gamma_constraint");
}

struct BatchNormalizationLayer : UnaryLayer {
  BatchNormalizationOptions o;
  VariablePtr gamma, beta, moving_mean, moving_variance;

  BatchNormalizationLayer() = default;
  explicit BatchNormalizationLayer(BatchNormalizationOptions options) : o(std::move(options)) {}
  std::string class_name() const override { return "BatchNormalization"; }

  void fields(Fields& f) override {
    std::vector<int64_t> axis = {o.axis};
    if (f.reading()) {
      f("axis", axis);  // Keras 2 wrote a list of one
      if (axis.size() != 1) f.fail("axis", "one axis");
      o.axis = static_cast<int>(axis[0]);
    } else {
      f("axis", o.axis);
    }
    f("momentum", o.momentum), f("epsilon", o.epsilon), f("center", o.center), f("scale", o.scale);
    AffineFields(f, o);
    f("moving_mean_initializer", o.moving_mean_initializer);
    f("moving_variance_initializer", o.moving_variance_initializer);
    AffineRegularizers(f, o);
    bool synchronized = false, renorm = false;
    f("synchronized", synchronized), f("renorm", renorm);
    if (renorm) f.fail("renorm", "false: ingot does not support batch renormalization");
    f.ignore("renorm_clipping"), f.ignore("renorm_momentum");
    if (!f.reading()) f.null("renorm_clipping"), f("renorm_momentum", renorm_momentum);
  }
  float renorm_momentum = 0.99f;

  Shape build(const Shape& in) override {
    if (in.rank() < 2) fail("takes inputs of at least 2 axes, ", in, " came");
    const int axis = AxisOf(*this, o.axis, in);
    if (in[axis] == kNone) fail("axis ", o.axis, " of the input ", in, " must be known");
    const Shape channels{in[axis]};
    if (!moving_mean) {
      if (o.scale) gamma = add_weight("gamma", channels, o.gamma_initializer, o.gamma_regularizer);
      if (o.center) beta = add_weight("beta", channels, o.beta_initializer, o.beta_regularizer);
      moving_mean = add_weight("moving_mean", channels, o.moving_mean_initializer, {}, false);
      moving_variance = add_weight("moving_variance", channels, o.moving_variance_initializer, {}, false);
    }
    if (!(moving_mean->shape == channels)) fail("the input has ", in[axis], " channels (", in, "), the weights are for ", moving_mean->shape[0]);
    return in;
  }

  Value call(Graph& g, Value x) override {
    const int rank = g.shape(x).rank();
    const Order order(rank, {AxisOf(*this, o.axis, g.shape(x))});
    const Shape channels = moving_mean->shape;
    const std::vector<float> ones(static_cast<size_t>(channels[0]), 1), zeros(ones.size(), 0);
    const Graph::BatchNormWeights w{gamma ? weight(g, gamma) : g.Constant(channels, ones), beta ? weight(g, beta) : g.Constant(channels, zeros),
                                    weight(g, moving_mean), weight(g, moving_variance)};
    const NormAttrs attrs{o.epsilon, o.momentum};
    const bool of_batch = g.training() && trainable;
    if (order.identity()) return g.BatchNorm(x, w, attrs, of_batch);
    return g.Transpose(g.BatchNorm(g.Transpose(x, order.there), w, attrs, of_batch), order.back);
  }
};

struct LayerNormalizationLayer : UnaryLayer {
  LayerNormalizationOptions o;
  bool rms_scaling = false;
  Affine affine;

  LayerNormalizationLayer() = default;
  explicit LayerNormalizationLayer(LayerNormalizationOptions options) : o(std::move(options)) {}
  std::string class_name() const override { return "LayerNormalization"; }

  void fields(Fields& f) override {
    if (!f.reading() && o.axis.size() == 1)
      f("axis", o.axis[0]);
    else
      f("axis", o.axis);
    f("epsilon", o.epsilon), f("center", o.center), f("scale", o.scale), f("rms_scaling", rms_scaling);
    AffineFields(f, o);
    AffineRegularizers(f, o);
  }

  std::vector<int> Axes(const Shape& in) const {
    std::vector<int> axes;
    for (const int64_t a : o.axis) axes.push_back(AxisOf(*this, a, in));
    std::sort(axes.begin(), axes.end());
    return axes;
  }

  Shape build(const Shape& in) override {
    Shape shape;
    for (const int axis : Axes(in)) shape.push_back(in[axis]);
    if (!affine.gamma && !affine.beta) {
      if (o.scale || rms_scaling) affine.gamma = add_weight("gamma", shape, o.gamma_initializer, o.gamma_regularizer);
      if (o.center && !rms_scaling) affine.beta = add_weight("beta", shape, o.beta_initializer, o.beta_regularizer);
    }
    for (const VariablePtr& v : variables)
      if (!(v->shape == shape)) fail("the normalized axes of the input ", in, " are ", shape, ", the weights are for ", v->shape);
    return in;
  }

  Value call(Graph& g, Value x) override {
    const Shape in = g.shape(x);
    const std::vector<int> axes = Axes(in);
    const Order order(in.rank(), axes);
    const Value last = order.identity() ? x : g.Transpose(x, order.there);
    const Shape moved = g.shape(last);
    const int kept = in.rank() - static_cast<int>(axes.size());
    const int64_t n = moved.from(kept).count();
    Value y;
    if (rms_scaling) {
      // Keras divides by the deviation and keeps the mean: x / sqrt(variance + epsilon).
      const Value rows = g.Reshape(last, {moved.part(0, kept).count(), n});
      const int columns[] = {1};
      const Value mean = g.Reduce(ReduceOp::kMean, rows, columns, true), d = g.Subtract(rows, mean);
      const Value variance = g.Reduce(ReduceOp::kMean, g.Multiply(d, d), columns, true);
      y = g.Multiply(rows, ingot::Apply(g, Formula::kRsqrt, ingot::Apply(g, Formula::kAffine, variance, 1, o.epsilon)));
    } else {
      y = g.Normalize(g.Reshape(last, {moved.part(0, kept).count(), n}), o.epsilon);
    }
    y = affine.Apply(g, y, affine.gamma ? weight(g, affine.gamma) : Value{}, affine.beta ? weight(g, affine.beta) : Value{}, {n});
    y = g.Reshape(y, moved);
    return order.identity() ? y : g.Transpose(y, order.back);
  }
};

struct GroupNormalizationLayer : UnaryLayer {
  GroupNormalizationOptions o;
  Affine affine;

  GroupNormalizationLayer() = default;
  explicit GroupNormalizationLayer(GroupNormalizationOptions options) : o(std::move(options)) {}
  std::string class_name() const override { return "GroupNormalization"; }

  void fields(Fields& f) override {
    f("groups", o.groups), f("axis", o.axis), f("epsilon", o.epsilon), f("center", o.center), f("scale", o.scale);
    AffineFields(f, o);
    AffineRegularizers(f, o);
  }

  Shape build(const Shape& in) override {
    const int axis = AxisOf(*this, o.axis, in);
    if (axis == 0) fail("axis ", o.axis, " is the batch; the axis of the channels was expected");
    if (in[axis] == kNone) fail("axis ", o.axis, " of the input ", in, " must be known");
    if (o.groups == -1) o.groups = in[axis];
    if (o.groups < 1 || in[axis] % o.groups) fail("groups is ", o.groups, ", which does not divide the ", in[axis], " channels of ", in);
    const Shape shape{in[axis]};
    if (!affine.gamma && !affine.beta) {
      if (o.scale) affine.gamma = add_weight("gamma", shape, o.gamma_initializer, o.gamma_regularizer);
      if (o.center) affine.beta = add_weight("beta", shape, o.beta_initializer, o.beta_regularizer);
    }
    for (const VariablePtr& v : variables)
      if (!(v->shape == shape)) fail("the input has ", in[axis], " channels (", in, "), the weights are for ", v->shape[0]);
    return in;
  }

  // Channels are moved behind the batch, (N, C, rest), where each group is a row of (N * groups, C / groups * rest).
  Value call(Graph& g, Value x) override {
    const Shape in = g.shape(x);
    const int rank = in.rank(), axis = AxisOf(*this, o.axis, in);
    std::vector<int> there = {0, axis}, back(static_cast<size_t>(rank));
    for (int i = 1; i < rank; ++i)
      if (i != axis) there.push_back(i);
    for (int i = 0; i < rank; ++i) back[static_cast<size_t>(there[static_cast<size_t>(i)])] = i;
    const bool moves = !std::is_sorted(there.begin(), there.end());
    const Value front = moves ? g.Transpose(x, there) : x;
    const Shape moved = g.shape(front);
    const int64_t rows = in[0] * o.groups;
    Value y = g.Reshape(g.Normalize(g.Reshape(front, {rows, rows ? in.count() / rows : 0}), o.epsilon), moved);
    if (moves) y = g.Transpose(y, back);
    Shape broadcast;
    for (int i = 0; i < rank; ++i) broadcast.push_back(i == axis ? in[i] : 1);
    return affine.Apply(g, y, affine.gamma ? weight(g, affine.gamma) : Value{}, affine.beta ? weight(g, affine.beta) : Value{}, broadcast);
  }
};

struct NormalizationLayer : UnaryLayer {
  NormalizationOptions o;
  bool all = false;  // axis None: one mean for everything
  VariablePtr mean, variance, count;

  NormalizationLayer() = default;
  explicit NormalizationLayer(NormalizationOptions options) : o(std::move(options)) {}
  std::string class_name() const override { return "Normalization"; }

  void fields(Fields& f) override {
    if (f.reading()) {
      all = !f.has("axis");
      if (all) o.axis.clear(), f.ignore("axis");
      else f("axis", o.axis);
    } else if (all || o.axis.empty()) {
      f.null("axis");
    } else {
      f("axis", o.axis);
    }
    f("invert", o.invert);
    if (f.reading() || !o.mean.empty()) {
      f("mean", o.mean), f("variance", o.variance);
    } else {
      f.null("mean"), f.null("variance");
    }
  }

  // The axes that keep their own mean are as they are, all others 1.
  Shape Broadcast(const Shape& in) const {
    Shape shape = in;
    for (int i = 0; i < in.rank(); ++i) shape[i] = 1;
    for (const int64_t a : o.axis) {
      const int axis = AxisOf(*this, a, in);
      if (in[axis] == kNone) fail("axis ", a, " of the input ", in, " must be known");
      shape[axis] = in[axis];
    }
    return shape;
  }

  Shape build(const Shape& in) override {
    const Shape broadcast = Broadcast(in);
    if (o.mean.empty() && !mean) {
      Shape shape;
      std::vector<int> axes;
      for (const int64_t a : o.axis) axes.push_back(AxisOf(*this, a, in));
      std::sort(axes.begin(), axes.end());
      for (const int axis : axes) shape.push_back(in[axis]);
      mean = add_weight("mean", shape, "zeros", {}, false);
      variance = add_weight("variance", shape, "ones", {}, false);
      count = add_weight("count", {}, "zeros", {}, false);
      count->dtype = DType::kInt32;
      count->initialize = [](float* v, const Stream&) { *v = 0; };
    }
    if (!o.mean.empty()) {
      const int64_t n = broadcast.count();
      if (o.mean.size() != o.variance.size()) fail("mean has ", o.mean.size(), " values, variance has ", o.variance.size());
      if (o.mean.size() != 1 && static_cast<int64_t>(o.mean.size()) != n) {
        if (n % static_cast<int64_t>(o.mean.size())) fail("mean has ", o.mean.size(), " values, ", n, " were expected for the input ", in);
      }
    }
    return in;
  }

  Value call(Graph& g, Value x) override {
    const Shape broadcast = Broadcast(g.shape(x));
    const auto constant = [&](const std::vector<float>& values) {
      std::vector<float> full(static_cast<size_t>(broadcast.count()));
      for (size_t i = 0; i < full.size(); ++i) full[i] = values[i % values.size()];
      return g.Constant(broadcast, full);
    };
    const Value m = mean ? g.Reshape(g.Weight(mean), broadcast) : constant(o.mean);
    const Value v = variance ? g.Reshape(g.Weight(variance), broadcast) : constant(o.variance);
    // max(sqrt(variance), epsilon), as Keras.
    const Value floor[] = {ingot::Apply(g, Formula::kSqrt, v), g.Scalar(1e-7f)};
    const Value deviation = g.Binary(BinaryOp::kMaximum, floor[0], floor[1]);
    return o.invert ? g.Add(m, g.Multiply(x, deviation)) : g.Divide(g.Subtract(x, m), deviation);
  }
};

struct RescalingLayer : UnaryLayer {
  std::vector<float> scale = {1};
  RescalingOptions o;

  RescalingLayer() = default;
  RescalingLayer(std::vector<float> s, RescalingOptions options) : scale(std::move(s)), o(std::move(options)) {}
  std::string class_name() const override { return "Rescaling"; }
  void fields(Fields& f) override {
    for (const auto& [key, values] : {std::pair{"scale", &scale}, {"offset", &o.offset}}) {
      if (!f.reading() && values->size() == 1)
        f(key, (*values)[0]);
      else if (f.reading() && f.has(key) && f.raw(key).is_number())
        *values = {0}, f(key, (*values)[0]);
      else
        f(key, *values);
    }
  }
  Shape build(const Shape& in) override {
    for (const auto* values : {&scale, &o.offset})
      if (values->empty() || (values->size() != 1 && static_cast<int64_t>(values->size()) != in.back()))
        fail("scale and offset take one value or one for each of the ", in.back(), " features; ", values->size(), " came");
    return in;
  }
  Value call(Graph& g, Value x) override {
    if (scale.size() == 1 && o.offset.size() == 1) return ingot::Apply(g, Formula::kAffine, x, scale[0], o.offset[0]);
    const auto constant = [&](const std::vector<float>& v) { return g.Constant({static_cast<int64_t>(v.size())}, v); };
    return g.Add(g.Multiply(x, constant(scale)), constant(o.offset));
  }
};

}  // namespace

Layer BatchNormalization(const BatchNormalizationOptions& o) { return MakeLayer<BatchNormalizationLayer>(o.name, o); }
Layer LayerNormalization(const LayerNormalizationOptions& o) { return MakeLayer<LayerNormalizationLayer>(o.name, o); }
Layer GroupNormalization(const GroupNormalizationOptions& o) { return MakeLayer<GroupNormalizationLayer>(o.name, o); }
Layer Normalization(const NormalizationOptions& o) { return MakeLayer<NormalizationLayer>(o.name, o); }
Layer Rescaling(const std::vector<float>& scale, const RescalingOptions& o) { return MakeLayer<RescalingLayer>(o.name, scale, o); }

// One pass (Welford): the mean moves by each value's share, the squares by how far the value lies from both means.
void Adapt(const Layer& layer, const Array& data) {
  auto* def = dynamic_cast<NormalizationLayer*>(&layer.def());
  if (!def) Fail("Adapt: layer '", layer.def().label(), "' is not a Normalization");
  if (!def->mean || !def->mean->arena) Fail("Adapt: layer '", def->label(), "' has no weights yet; put it into a model first");
  const Shape broadcast = def->Broadcast(data.shape());
  if (broadcast.count() != def->mean->shape.count()) Fail("Adapt: data of shape ", data.shape(), " does not fit the weights, ", def->mean->shape);
  const size_t n = static_cast<size_t>(broadcast.count());
  std::vector<double> mean(n, 0), squares(n, 0);
  std::vector<int64_t> seen(n, 0);
  const auto values = data.floats();
  for (size_t i = 0; i < values.size(); ++i) {
    size_t rest = i, at = 0, step = 1;
    for (int a = data.shape().rank() - 1; a >= 0; --a) {
      const size_t extent = static_cast<size_t>(data.shape()[a]);
      if (broadcast[a] != 1) at += rest % extent * step, step *= extent;
      rest /= extent;
    }
    const double x = static_cast<double>(values[i]), before = x - mean[at];
    mean[at] += before / static_cast<double>(++seen[at]);
    squares[at] += before * (x - mean[at]);
  }
  for (size_t i = 0; i < n; ++i) {
    def->mean->data()[i] = static_cast<float>(mean[i]);
    def->variance->data()[i] = static_cast<float>(squares[i] / static_cast<double>(std::max<int64_t>(1, seen[i])));
  }
}

const LayerClass kBatchNormalizationClass = {"BatchNormalization", [] { return std::shared_ptr<LayerDef>(new BatchNormalizationLayer); }};
const LayerClass kLayerNormalizationClass = {"LayerNormalization", [] { return std::shared_ptr<LayerDef>(new LayerNormalizationLayer); }};
const LayerClass kGroupNormalizationClass = {"GroupNormalization", [] { return std::shared_ptr<LayerDef>(new GroupNormalizationLayer); }};
const LayerClass kNormalizationClass = {"Normalization", [] { return std::shared_ptr<LayerDef>(new NormalizationLayer); }};
const LayerClass kRescalingClass = {"Rescaling", [] { return std::shared_ptr<LayerDef>(new RescalingLayer); }};

}  // namespace ingot
