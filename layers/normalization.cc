// SPDX-License-Identifier: MIT
#include "ingot/layers/normalization.h"

#include <algorithm>
#include <cmath>

#include "ingot/layers/activations.h"
#include "ingot/layers/layers.h"

namespace ingot {
namespace {

// What the layers with gamma and beta share. Options are theirs.
template <class Options>
struct ScaledLayer : UnaryLayer {
  Options o;
  VariablePtr gamma, beta;

  explicit ScaledLayer(Options options) : o(std::move(options)) {}

  void center_and_scale(Fields& f) {
    f("center", o.center);
    f("scale", o.scale);
  }
  void initializers(Fields& f) {
    f("beta_initializer", o.beta_initializer);
    f("gamma_initializer", o.gamma_initializer);
  }
  void regularizers(Fields& f) {
    f("beta_regularizer", o.beta_regularizer);
    f("gamma_regularizer", o.gamma_regularizer);
    f.null("beta_constraint");
    f.null("gamma_constraint");
  }

  // Keras takes any number as epsilon, and so does ingot: with a negative one both give NaN where the variance is
  // small.
  void check_epsilon() const { check_number("epsilon", static_cast<double>(o.epsilon)); }
  int axis_of(const Shape& in) const { return Axes(o.axis).In(in, label())[0]; }
  // The extent of the one axis of channels, which must be known and not the batch.
  int64_t channels_of(const Shape& in) const {
    const int axis = axis_of(in);
    if (axis == 0) fail("axis ", o.axis, " of the input ", in, " is the batch; the axis of the channels was expected");
    if (in[axis] == kNone) fail("axis ", o.axis, " of the input ", in, " must be known");
    return in[axis];
  }

  void add_gamma(const Shape& shape) {
    if (!gamma) gamma = add_weight("gamma", shape, o.gamma_initializer, o.gamma_regularizer);
  }
  void add_beta(const Shape& shape) {
    if (!beta) beta = add_weight("beta", shape, o.beta_initializer, o.beta_regularizer);
  }
  void check_weights(const Shape& in, const Shape& shape) const {
    for (const VariablePtr& v : variables)
      if (!(v->shape == shape))
        fail("the input ", in, " takes a ", v->name, " of the shape ", shape, ", ", v->shape, " was made for another");
  }
  // x gamma + beta, both seen in `shape`.
  Value scaled(Graph& g, Value x, const Shape& shape) const {
    if (gamma) x = g.Multiply(x, g.Reshape(weight(g, gamma), shape));
    if (beta) x = g.Add(x, g.Reshape(weight(g, beta), shape));
    return x;
  }
};

struct BatchNormalizationLayer : ScaledLayer<BatchNormalizationOptions> {
  VariablePtr moving_mean, moving_variance;
  double renorm_momentum = 0.99;

  explicit BatchNormalizationLayer(BatchNormalizationOptions options = {}) : ScaledLayer(std::move(options)) {}
  std::string class_name() const override { return "BatchNormalization"; }

  void fields(Fields& f) override {
    Axes axis = o.axis;
    f("axis", axis);
    if (axis.size() != 1) f.fail("axis", "one axis");  // Keras 2 wrote a list of one
    o.axis = axis[0];
    f("momentum", o.momentum);
    f("epsilon", o.epsilon);
    center_and_scale(f);
    initializers(f);
    f("moving_mean_initializer", o.moving_mean_initializer);
    f("moving_variance_initializer", o.moving_variance_initializer);
    regularizers(f);
    bool synchronized = false, renorm = false;
    f("synchronized", synchronized);
    if (synchronized) f.fail("synchronized", "false");
    f("renorm", renorm);
    if (renorm) f.fail("renorm", "false");
    f.null("renorm_clipping");
    f("renorm_momentum", renorm_momentum);  // without meaning where renorm is false
  }

  Shape build(const Shape& in) override {
    if (in.rank() < 2) fail("takes inputs of at least 2 axes (batch, channels), ", in, " came");
    check_epsilon();
    check_number("momentum", o.momentum);
    const Shape shape{channels_of(in)};
    if (o.scale) add_gamma(shape);
    if (o.center) add_beta(shape);
    if (!moving_mean) {
      moving_mean = add_weight("moving_mean", shape, o.moving_mean_initializer, {}, false);
      moving_variance = add_weight("moving_variance", shape, o.moving_variance_initializer, {}, false);
    }
    check_weights(in, shape);
    return in;
  }

  Value call(Graph& g, Value x) override {
    const Shape in = g.shape(x), shape = moving_mean->shape;
    const auto all = [&](float value) {
      return g.Constant(shape, std::vector<float>(static_cast<size_t>(shape[0]), value));
    };
    const Graph::BatchNormWeights w{gamma ? weight(g, gamma) : all(1), beta ? weight(g, beta) : all(0),
                                    weight(g, moving_mean), weight(g, moving_variance)};
    const NormAttrs attrs{o.epsilon, static_cast<float>(o.momentum), static_cast<float>(1 - o.momentum)};
    const bool of_batch = g.training() && trainable;
    const int axis = axis_of(in);
    if (axis == in.rank() - 1) return g.BatchNorm(x, w, attrs, of_batch);
    const AsRows view(in, {axis});
    return view.Back(g, g.BatchNorm(view.There(g, x), w, attrs, of_batch));
  }
};

struct LayerNormalizationLayer : ScaledLayer<LayerNormalizationOptions> {
  explicit LayerNormalizationLayer(LayerNormalizationOptions options = {}) : ScaledLayer(std::move(options)) {}
  std::string class_name() const override { return "LayerNormalization"; }

  void fields(Fields& f) override {
    f("axis", o.axis);
    f("epsilon", o.epsilon);
    center_and_scale(f);
    f("rms_scaling", o.rms_scaling);
    initializers(f);
    regularizers(f);
  }

  Shape build(const Shape& in) override {
    if (o.axis.empty()) fail("axis is empty, at least one was expected");
    o.axis.In(in, label());
    check_epsilon();
    // Keras sorts the axes as they were given, -1 before 1, and so are the extents of its weights.
    std::vector<int64_t> sorted = o.axis;
    std::sort(sorted.begin(), sorted.end());
    Shape shape;
    for (const int64_t axis : sorted) shape.push_back(in[static_cast<int>(axis)]);
    if (o.scale || o.rms_scaling) add_gamma(shape);
    if (o.center && !o.rms_scaling) add_beta(shape);
    check_weights(in, shape);
    return in;
  }

  Value call(Graph& g, Value x) override {
    const AsRows view(g.shape(x), o.axis.In(g.shape(x), label()));
    const Value rows = view.There(g, x);
    const Value y = o.rms_scaling ? by_deviation(g, rows) : g.Normalize(rows, o.epsilon);
    return view.Back(g, scaled(g, y, {view.columns()}));
  }

  // x / sqrt(variance + epsilon)
  Value by_deviation(Graph& g, Value x) const {
    const int columns[] = {1};
    const Value centred = g.Subtract(x, g.Reduce(ReduceOp::kMean, x, columns, true));
    const Value variance = g.Reduce(ReduceOp::kMean, g.Multiply(centred, centred), columns, true);
    return g.Multiply(x, Apply(g, Formula::kRsqrt, Apply(g, Formula::kAffine, variance, 1, o.epsilon)));
  }
};

struct GroupNormalizationLayer : ScaledLayer<GroupNormalizationOptions> {
  explicit GroupNormalizationLayer(GroupNormalizationOptions options = {}) : ScaledLayer(std::move(options)) {}
  std::string class_name() const override { return "GroupNormalization"; }

  void fields(Fields& f) override {
    f("groups", o.groups);
    f("axis", o.axis);
    f("epsilon", o.epsilon);
    center_and_scale(f);
    initializers(f);
    regularizers(f);
  }

  Shape build(const Shape& in) override {
    const int64_t channels = channels_of(in);
    if (o.groups != -1 && (o.groups < 1 || channels % o.groups))
      fail("groups is ", o.groups, ", a divisor of the ", channels, " channels of ", in, " was expected, or -1");
    check_epsilon();
    if (o.scale) add_gamma({channels});
    if (o.center) add_beta({channels});
    check_weights(in, {channels});
    return in;
  }

  // (N, before, G, C / G, after) with each sample's groups in rows: (N G, before C / G after).
  Value call(Graph& g, Value x) override {
    const Shape in = g.shape(x);
    const int axis = axis_of(in);
    const int64_t groups = o.groups == -1 ? in[axis] : o.groups;
    const Shape split{in[0], in.part(1, axis).count(), groups, in[axis] / groups, in.from(axis + 1).count()};
    const AsRows view(split, {1, 3, 4});
    const Value y = view.Back(g, g.Normalize(view.There(g, g.Reshape(x, split)), o.epsilon));
    Shape channels = in;
    for (int i = 0; i < in.rank(); ++i) channels[i] = i == axis ? in[axis] : 1;
    return scaled(g, g.Reshape(y, in), channels);
  }
};

// Keras's floor for the deviation, keras.config.epsilon().
constexpr float kEpsilon = 1e-7f;

struct NormalizationLayer : UnaryLayer {
  NormalizationOptions o;
  VariablePtr mean, variance, count;

  explicit NormalizationLayer(NormalizationOptions options = {}) : o(std::move(options)) {}
  std::string class_name() const override { return "Normalization"; }

  void fields(Fields& f) override {
    f("axis", o.axis);
    f("invert", o.invert);
    f("mean", o.mean);
    f("variance", o.variance);
  }

  // The axes with a mean of their own as they are, all others 1.
  Shape kept(const Shape& in) const {
    Shape shape = in;
    const std::vector<int> axes = o.axis.In(in, label());
    for (int i = 0; i < in.rank(); ++i) {
      const bool own = std::find(axes.begin(), axes.end(), i) != axes.end();
      if (own && in[i] == kNone) fail("axis ", i, " of the input ", in, " has a mean of its own and must be known");
      if (!own) shape[i] = 1;
    }
    return shape;
  }
  // kept(in) without the axes that are 1 because they share a mean.
  Shape weight_shape(const Shape& in) const {
    Shape shape;
    for (const int axis : o.axis.In(in, label())) shape.push_back(kept(in)[axis]);
    return shape;
  }

  Shape build(const Shape& in) override {
    const Shape shape = weight_shape(in);
    if (o.mean.none() != o.variance.none()) fail("mean and variance are given together or not at all");
    for (const double v : o.mean.values) check_number("mean", v);
    for (const double v : o.variance.values) check_number("variance", v);
    if (!o.mean.none()) {
      if (!(o.mean.shape == o.variance.shape))
        fail("mean has the shape ", o.mean.shape, ", variance ", o.variance.shape, "; one shape was expected");
      bool fits = o.mean.shape.rank() <= shape.rank();
      for (int i = 1; fits && i <= o.mean.shape.rank(); ++i) fits = o.mean.shape[-i] == shape[-i];
      if (!fits) fail("mean has the shape ", o.mean.shape, ", the input ", in, " with its axes takes ", shape);
      return in;
    }
    if (!mean) {
      mean = add_weight("mean", shape, "zeros", {}, false);
      variance = add_weight("variance", shape, "ones", {}, false);
      count = add_weight("count", {}, "zeros", {}, false);  // Keras keeps it and leaves it at 0
      count->dtype = DType::kInt32;
    }
    if (!(mean->shape == shape)) fail("the input ", in, " takes a mean of the shape ", shape, ", it has ", mean->shape);
    return in;
  }

  Value call(Graph& g, Value x) override {
    const Shape shape = kept(g.shape(x));
    Value m, deviation;
    if (mean) {
      m = g.Reshape(weight(g, mean), shape);
      deviation = Apply(g, Formula::kSqrt, g.Reshape(weight(g, variance), shape));
      deviation = g.Binary(BinaryOp::kMaximum, deviation, g.Scalar(kEpsilon));
    } else {
      m = g.Constant(shape, repeated(o.mean, shape, [](float v) { return v; }));
      deviation =
          g.Constant(shape, repeated(o.variance, shape, [](float v) { return std::max(std::sqrt(v), kEpsilon); }));
    }
    return o.invert ? g.Add(m, g.Multiply(x, deviation)) : g.Divide(g.Subtract(x, m), deviation);
  }

  // Numbers given for the last of the axes serve for each place along the first.
  template <class F>
  static std::vector<float> repeated(const Numbers& numbers, const Shape& shape, const F& f) {
    std::vector<float> values(static_cast<size_t>(shape.count()));
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = f(static_cast<float>(numbers.values[i % numbers.values.size()]));
    return values;
  }
};

struct RescalingLayer : UnaryLayer {
  Numbers scale = 1.0;
  RescalingOptions o;

  RescalingLayer() = default;
  RescalingLayer(Numbers s, RescalingOptions options) : scale(std::move(s)), o(std::move(options)) {}
  std::string class_name() const override { return "Rescaling"; }

  void fields(Fields& f) override {
    f("scale", scale);
    f("offset", o.offset);
  }
  Shape build(const Shape& in) override {
    for (const Numbers* n : {&scale, &o.offset}) {
      for (const double v : n->values) check_number(n == &scale ? "scale" : "offset", v);
      bool fits = !n->none() && n->shape.rank() <= in.rank();
      for (int i = 1; fits && i <= n->shape.rank(); ++i)
        fits = n->shape[-i] == 1 || in[-i] == kNone || n->shape[-i] == in[-i];
      if (!fits)
        fail(n == &scale ? "scale" : "offset", " has the shape ", n->shape, ", which does not broadcast to the input ",
             in);
    }
    return in;
  }
  Value call(Graph& g, Value x) override {
    if (scale.shape.rank() == 0 && o.offset.shape.rank() == 0)
      return Apply(g, Formula::kAffine, x, scale.floats()[0], o.offset.floats()[0]);
    const Value y = g.Multiply(x, g.Constant(scale.shape, scale.floats()));
    return g.Add(y, g.Constant(o.offset.shape, o.offset.floats()));
  }
};

template <class Def>
std::shared_ptr<LayerDef> Make() {
  return std::make_shared<Def>();
}

}  // namespace

Layer BatchNormalization(const BatchNormalizationOptions& o) { return MakeLayer<BatchNormalizationLayer>(o.name, o); }
Layer LayerNormalization(const LayerNormalizationOptions& o) { return MakeLayer<LayerNormalizationLayer>(o.name, o); }
Layer GroupNormalization(const GroupNormalizationOptions& o) { return MakeLayer<GroupNormalizationLayer>(o.name, o); }
Layer Normalization(const NormalizationOptions& o) { return MakeLayer<NormalizationLayer>(o.name, o); }
Layer Rescaling(const Numbers& scale, const RescalingOptions& o) { return MakeLayer<RescalingLayer>(o.name, scale, o); }

// Welford: with the n-th value x, the mean moves by (x - mean) / n, and the sum of squares about it grows by
// (x - mean before) (x - mean after). Nothing cancels, however far the mean lies from 0.
void adapt(const Layer& layer, const Array& data) {
  auto* def = layer ? dynamic_cast<NormalizationLayer*>(&layer.def()) : nullptr;
  if (!def) Fail("adapt: takes a Normalization layer, ", layer ? layer.def().class_name() : "an empty Layer", " came");
  if (!def->o.mean.none())
    Fail("adapt: ", def->label(), " was given its mean and variance; leave them out to adapt it");
  if (data.empty() || data.size() == 0) Fail("adapt: ", def->label(), ": the data is empty");
  const auto values = data.floats();
  const Shape in = data.shape();
  def->build(in);
  def->built = true;

  const Shape kept = def->kept(in);
  struct Moments {
    double mean = 0, squares = 0, n = 0;
  };
  std::vector<Moments> moments(static_cast<size_t>(kept.count()));
  std::vector<int64_t> at(static_cast<size_t>(in.rank()), 0),
      step(at);  // where we are; what a step along an axis moves
  for (int64_t i = in.rank() - 1, stride = 1; i >= 0; --i) {
    const int axis = static_cast<int>(i);
    step[static_cast<size_t>(i)] = kept[axis] == 1 ? 0 : stride;
    stride *= kept[axis];
  }
  int64_t place = 0;
  for (const float value : values) {
    Moments& m = moments[static_cast<size_t>(place)];
    const double x = static_cast<double>(value), before = x - m.mean;
    m.mean += before / ++m.n;
    m.squares += before * (x - m.mean);
    for (size_t axis = at.size(); axis-- > 0;) {
      place += step[axis];
      if (++at[axis] < in[static_cast<int>(axis)]) break;
      place -= step[axis] * at[axis];
      at[axis] = 0;
    }
  }
  std::vector<float> means, variances;
  for (const Moments& m : moments) {
    means.push_back(static_cast<float>(m.mean));
    variances.push_back(static_cast<float>(m.squares / m.n));
  }
  const auto set = [](Variable& v, std::vector<float> to) {
    if (v.arena) std::copy(to.begin(), to.end(), v.writable());
    v.initialize = [held = std::move(to)](float* out, const Stream&) { std::copy(held.begin(), held.end(), out); };
  };
  set(*def->mean, std::move(means));
  set(*def->variance, std::move(variances));
}

const LayerClass kBatchNormalizationClass = {"BatchNormalization", Make<BatchNormalizationLayer>};
const LayerClass kLayerNormalizationClass = {"LayerNormalization", Make<LayerNormalizationLayer>};
const LayerClass kGroupNormalizationClass = {"GroupNormalization", Make<GroupNormalizationLayer>};
const LayerClass kNormalizationClass = {"Normalization", Make<NormalizationLayer>};
const LayerClass kRescalingClass = {"Rescaling", Make<RescalingLayer>};

}  // namespace ingot
