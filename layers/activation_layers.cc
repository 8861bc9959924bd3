// SPDX-License-Identifier: MIT
#include "ingot/layers/activation_layers.h"

#include "ingot/layers/layers.h"

namespace ingot {
namespace {

struct OneActivation : UnaryLayer {
  Activation activation;
  ActivationLayerOptions o;

  OneActivation() = default;
  OneActivation(Activation a, ActivationLayerOptions options) : activation(std::move(a)), o(std::move(options)) {
    activity = o.activity_regularizer;
  }
  std::string class_name() const override { return "Activation"; }

  void fields(Fields& f) override {
    if (f.reading() || activity.any()) f("activity_regularizer", o.activity_regularizer);
    f("activation", activation);
    activity = o.activity_regularizer;
  }
  Shape build(const Shape& in) override { return activation.Out(in, label()); }
  Value call(Graph& g, Value x) override { return activation(g, x); }
};

struct ReLULayer : UnaryLayer {
  ReLUOptions o;

  ReLULayer() = default;
  explicit ReLULayer(ReLUOptions options) : o(std::move(options)) {}
  std::string class_name() const override { return "ReLU"; }

  void fields(Fields& f) override {
    f("max_value", o.max_value);
    f("negative_slope", o.negative_slope);
    f("threshold", o.threshold);
  }
  Shape build(const Shape& in) override {
    if (o.max_value && !(*o.max_value >= 0)) fail("max_value is ", *o.max_value, ", 0 or more was expected");
    if (!(o.negative_slope >= 0)) fail("negative_slope is ", o.negative_slope, ", 0 or more was expected");
    if (!(o.threshold >= 0)) fail("threshold is ", o.threshold, ", 0 or more was expected");
    check_number("negative_slope", static_cast<double>(o.negative_slope));
    check_number("threshold", static_cast<double>(o.threshold));
    return in;
  }
  Value call(Graph& g, Value x) override {
    return Apply(g, Formula::kRelu, x, o.negative_slope, o.max_value.value_or(-1.0f), o.threshold);
  }
};

struct LeakyReLULayer : UnaryLayer {
  float slope = 0.3f;

  LeakyReLULayer() = default;
  explicit LeakyReLULayer(float negative_slope) : slope(negative_slope) {}
  std::string class_name() const override { return "LeakyReLU"; }

  void fields(Fields& f) override {
    f(f.reading() && f.has("alpha") ? "alpha" : "negative_slope", slope);
  }  // Keras 2: alpha
  Shape build(const Shape& in) override {
    if (!(slope >= 0)) fail("negative_slope is ", slope, ", 0 or more was expected");
    check_number("negative_slope", static_cast<double>(slope));
    return in;
  }
  Value call(Graph& g, Value x) override { return Apply(g, Formula::kLeakyRelu, x, slope); }
};

struct PReLULayer : UnaryLayer {
  PReLUOptions o;
  VariablePtr alpha;

  PReLULayer() = default;
  explicit PReLULayer(PReLUOptions options) : o(std::move(options)) {}
  std::string class_name() const override { return "PReLU"; }

  void fields(Fields& f) override {
    f("alpha_initializer", o.alpha_initializer);
    f("alpha_regularizer", o.alpha_regularizer);
    f.null("alpha_constraint");
    if (f.reading() || !o.shared_axes.empty())
      f("shared_axes", o.shared_axes);
    else
      f.null("shared_axes");
  }
  Shape build(const Shape& in) override {
    if (in.rank() < 1) fail("takes inputs with a batch, ", in, " came");
    Shape shape = in.from(1);
    for (const int axis : o.shared_axes.In(in, label())) {
      if (axis == 0)
        fail("shared_axes names the batch, which is shared anyway; axes 1 to ", in.rank() - 1, " were expected");
      shape[axis - 1] = 1;
    }
    if (!alpha) {
      if (!shape.known()) fail("the input is ", in, "; extents that are not known must be among shared_axes");
      alpha = add_weight("alpha", shape, o.alpha_initializer, o.alpha_regularizer);
    }
    if (!shape.accepts(alpha->shape)) fail("the input is ", in, ", alpha has the shape ", alpha->shape);
    return in;
  }
  Value call(Graph& g, Value x) override {
    const Value below = Apply(g, Formula::kRelu, Apply(g, Formula::kAffine, x, -1, 0), 0, -1, 0);  // max(-x, 0)
    return g.Subtract(Apply(g, Formula::kRelu, x, 0, -1, 0), g.Multiply(below, weight(g, alpha)));
  }
};

struct ELULayer : UnaryLayer {
  float alpha = 1;

  ELULayer() = default;
  explicit ELULayer(float a) : alpha(a) {}
  std::string class_name() const override { return "ELU"; }

  void fields(Fields& f) override { f("alpha", alpha); }
  Shape build(const Shape& in) override {
    check_number("alpha", static_cast<double>(alpha));
    return in;
  }
  Value call(Graph& g, Value x) override { return Apply(g, Formula::kElu, x, alpha); }
};

struct SoftmaxLayer : UnaryLayer {
  Axes axis = -1;

  SoftmaxLayer() = default;
  explicit SoftmaxLayer(Axes a) : axis(std::move(a)) {}
  std::string class_name() const override { return "Softmax"; }

  void fields(Fields& f) override { f("axis", axis); }
  Shape build(const Shape& in) override {
    if (axis.empty()) fail("axis is empty, at least one was expected");
    axis.In(in, label());
    return in;
  }
  Value call(Graph& g, Value x) override {
    const std::vector<int> axes = axis.In(g.shape(x), label());
    if (axes.size() == 1) return g.Softmax(x, axes[0]);
    const AsRows view(g.shape(x), axes);
    return view.Back(g, g.Softmax(view.There(g, x), 1));
  }
};

template <class Def>
std::shared_ptr<LayerDef> Make() {
  return std::make_shared<Def>();
}

}  // namespace

Layer ActivationLayer(const Activation& a, const ActivationLayerOptions& o) {
  return MakeLayer<OneActivation>(o.name, a, o);
}
Layer ReLU(const ReLUOptions& o) { return MakeLayer<ReLULayer>(o.name, o); }
Layer LeakyReLU(const LeakyReLUOptions& o) { return MakeLayer<LeakyReLULayer>(o.name, o.negative_slope); }
Layer PReLU(const PReLUOptions& o) { return MakeLayer<PReLULayer>(o.name, o); }
Layer ELU(const ELUOptions& o) { return MakeLayer<ELULayer>(o.name, o.alpha); }
Layer Softmax(const SoftmaxOptions& o) { return MakeLayer<SoftmaxLayer>(o.name, o.axis); }

const LayerClass kActivationClass = {"Activation", Make<OneActivation>};
const LayerClass kReLUClass = {"ReLU", Make<ReLULayer>};
const LayerClass kLeakyReLUClass = {"LeakyReLU", Make<LeakyReLULayer>};
const LayerClass kPReLUClass = {"PReLU", Make<PReLULayer>};
const LayerClass kELUClass = {"ELU", Make<ELULayer>};
const LayerClass kSoftmaxClass = {"Softmax", Make<SoftmaxLayer>};

}  // namespace ingot
