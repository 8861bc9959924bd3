// SPDX-License-Identifier: MIT
#include "ingot/layers/activation_layers.h"

#include <algorithm>

#include "ingot/layers/layers.h"

namespace ingot {
namespace {

struct ActivationLayerDef : UnaryLayer {
  Activation activation;
  ActivationLayerDef() = default;
  explicit ActivationLayerDef(Activation a) : activation(std::move(a)) {}
  std::string class_name() const override { return "Activation"; }
  void fields(Fields& f) override { f("activation", activation); }
  Shape build(const Shape& in) override {
    activation.Check(label());
    return in;
  }
  Value call(Graph& g, Value x) override { return activation(g, x); }
};

struct ReLULayer : UnaryLayer {
  ReLUOptions o;
  ReLULayer() = default;
  explicit ReLULayer(ReLUOptions options) : o(std::move(options)) {}
  std::string class_name() const override { return "ReLU"; }
  void fields(Fields& f) override {
    f("max_value", o.max_value);
    std::vector<float> slope = {o.negative_slope};  // Keras 2 wrote an array
    if (f.reading() && f.has("negative_slope")) f("negative_slope", slope), slope.resize(1), o.negative_slope = slope[0];
    else f("negative_slope", o.negative_slope);
    f("threshold", o.threshold);
  }
  Shape build(const Shape& in) override {
    if (o.max_value && *o.max_value < 0) fail("max_value is ", *o.max_value, ", a number from 0 on was expected");
    if (!(o.negative_slope >= 0)) fail("negative_slope is ", o.negative_slope, ", a number from 0 on was expected");
    if (!(o.threshold >= 0)) fail("threshold is ", o.threshold, ", a number from 0 on was expected");
    return in;
  }
  Value call(Graph& g, Value x) override { return Apply(g, Formula::kRelu, x, o.negative_slope, o.max_value.value_or(-1), o.threshold); }
};

struct LeakyReLULayer : UnaryLayer {
  float slope = 0.3f;
  LeakyReLULayer() = default;
  explicit LeakyReLULayer(float s) : slope(s) {}
  std::string class_name() const override { return "LeakyReLU"; }
  void fields(Fields& f) override { f(f.reading() && f.has("alpha") ? "alpha" : "negative_slope", slope); }  // Keras 2: alpha
  Shape build(const Shape& in) override { return in; }
  Value call(Graph& g, Value x) override { return Apply(g, Formula::kLeakyRelu, x, slope); }
};

// max(x, 0) - alpha max(-x, 0)
struct PReLULayer : UnaryLayer {
  PReLUOptions o;
  VariablePtr alpha;
  PReLULayer() = default;
  explicit PReLULayer(PReLUOptions options) : o(std::move(options)) {}
  std::string class_name() const override { return "PReLU"; }
  void fields(Fields& f) override {
    f("alpha_initializer", o.alpha_initializer), f("alpha_regularizer", o.alpha_regularizer);
    f.null("alpha_constraint");
    if (f.reading() ? f.has("shared_axes") : !o.shared_axes.empty())
      f("shared_axes", o.shared_axes);
    else
      f.null("shared_axes");
  }
  Shape build(const Shape& in) override {
    Shape shape = in.from(1);
    for (const int64_t axis : o.shared_axes) {
      if (axis < 1 || axis >= in.rank()) fail("shared_axes holds ", axis, ", axes 1 to ", in.rank() - 1, " of the input ", in, " can be shared");
      shape[static_cast<int>(axis) - 1] = 1;
    }
    if (!alpha) alpha = add_weight("alpha", shape, o.alpha_initializer, o.alpha_regularizer);
    for (int i = 0; i < shape.rank(); ++i)
      if (shape.rank() != alpha->shape.rank() || (shape[i] != kNone && shape[i] != alpha->shape[i])) fail("the input is ", in, ", alpha is for ", alpha->shape);
    return in;
  }
  Value call(Graph& g, Value x) override {
    const Value minus = Apply(g, Formula::kRelu, Apply(g, Formula::kAffine, x, -1), 0, -1, 0);
    return g.Subtract(Apply(g, Formula::kRelu, x, 0, -1, 0), g.Multiply(weight(g, alpha), minus));
  }
};

struct ELULayer : UnaryLayer {
  float alpha = 1;
  ELULayer() = default;
  explicit ELULayer(float a) : alpha(a) {}
  std::string class_name() const override { return "ELU"; }
  void fields(Fields& f) override { f("alpha", alpha); }
  Shape build(const Shape& in) override { return in; }
  Value call(Graph& g, Value x) override { return Apply(g, Formula::kElu, x, alpha); }
};

struct SoftmaxLayer : UnaryLayer {
  std::vector<int64_t> axis = {-1};
  SoftmaxLayer() = default;
  explicit SoftmaxLayer(std::vector<int64_t> a) : axis(std::move(a)) {}
  std::string class_name() const override { return "Softmax"; }
  void fields(Fields& f) override {
    if (!f.reading() && axis.size() == 1)
      f("axis", axis[0]);
    else
      f("axis", axis);
  }
  std::vector<int> Axes(const Shape& in) const {
    std::vector<int> axes;
    for (const int64_t a : axis) {
      if (a < -in.rank() || a >= in.rank()) fail("axis ", a, " is not one of the input's, ", in);
      axes.push_back(static_cast<int>(a < 0 ? a + in.rank() : a));
    }
    std::sort(axes.begin(), axes.end());
    return axes;
  }
  Shape build(const Shape& in) override {
    if (axis.empty()) fail("axis is empty, at least one was expected");
    Axes(in);
    return in;
  }
  // Over several axes: those axes are moved to the end and seen as one.
  Value call(Graph& g, Value x) override {
    const Shape in = g.shape(x);
    const std::vector<int> axes = Axes(in);
    if (axes.size() == 1) return g.Softmax(x, axes[0]);
    std::vector<int> there, back(static_cast<size_t>(in.rank()));
    for (int i = 0; i < in.rank(); ++i)
      if (std::find(axes.begin(), axes.end(), i) == axes.end()) there.push_back(i);
    const int kept = static_cast<int>(there.size());
    there.insert(there.end(), axes.begin(), axes.end());
    for (size_t i = 0; i < there.size(); ++i) back[static_cast<size_t>(there[i])] = static_cast<int>(i);
    const Value moved = g.Transpose(x, there);
    const Shape shape = g.shape(moved);
    Shape rows = shape.part(0, kept);
    rows.push_back(shape.from(kept).count());
    return g.Transpose(g.Reshape(g.Softmax(g.Reshape(moved, rows), kept), shape), back);
  }
};

}  // namespace

Layer ActivationLayer(const Activation& a, const NameOptions& o) { return MakeLayer<ActivationLayerDef>(o.name, a); }
Layer ReLU(const ReLUOptions& o) { return MakeLayer<ReLULayer>(o.name, o); }
Layer LeakyReLU(const LeakyReLUOptions& o) { return MakeLayer<LeakyReLULayer>(o.name, o.negative_slope); }
Layer PReLU(const PReLUOptions& o) { return MakeLayer<PReLULayer>(o.name, o); }
Layer ELU(const ELUOptions& o) { return MakeLayer<ELULayer>(o.name, o.alpha); }
Layer Softmax(const SoftmaxOptions& o) { return MakeLayer<SoftmaxLayer>(o.name, o.axis); }

const LayerClass kActivationClass = {"Activation", [] { return std::shared_ptr<LayerDef>(new ActivationLayerDef); }};
const LayerClass kReLUClass = {"ReLU", [] { return std::shared_ptr<LayerDef>(new ReLULayer); }};
const LayerClass kLeakyReLUClass = {"LeakyReLU", [] { return std::shared_ptr<LayerDef>(new LeakyReLULayer); }};
const LayerClass kPReLUClass = {"PReLU", [] { return std::shared_ptr<LayerDef>(new PReLULayer); }};
const LayerClass kELUClass = {"ELU", [] { return std::shared_ptr<LayerDef>(new ELULayer); }};
const LayerClass kSoftmaxClass = {"Softmax", [] { return std::shared_ptr<LayerDef>(new SoftmaxLayer); }};

}  // namespace ingot
