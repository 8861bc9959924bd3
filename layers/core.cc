// SPDX-License-Identifier: MIT
#include "ingot/layers/core.h"

#include "ingot/layers/layers.h"

namespace ingot {

InputTensor Input(const Shape& shape, const InputOptions& options) {
  const Layer layer = MakeLayer<InputLayer>(options.name);
  auto& def = static_cast<InputLayer&>(layer.def());
  def.spec = {shape.batched(kNone), DTypeNamed(options.dtype)};
  InputTensor tensor;
  static_cast<Tensor&>(tensor) = layer.call({})[0];
  return tensor;
}

void InputLayer::fields(Fields& f) {
  f("batch_shape", spec.shape);
  std::string dtype = Name(spec.dtype);
  f("dtype", dtype);
  spec.dtype = DTypeNamed(dtype);
  f("sparse", sparse);
  f("ragged", ragged);
  f.ignore("optional");
  if (f.has("batch_input_shape")) f("batch_input_shape", spec.shape);
  if (sparse || ragged) f.fail(sparse ? "sparse" : "ragged", "false: ingot takes dense inputs");
  if (f.reading() && spec.shape.rank() > 0 && spec.shape[0] != kNone) spec.shape[0] = kNone;  // any batch will do
}

namespace {

struct DenseLayer : UnaryLayer {
  int64_t units = 1;
  DenseOptions o;
  VariablePtr kernel, bias;

  DenseLayer() = default;
  DenseLayer(int64_t units_, DenseOptions options) : units(units_), o(std::move(options)) {
    activity = o.activity_regularizer;
  }

  std::string class_name() const override { return "Dense"; }

  void fields(Fields& f) override {
    f("units", units);
    f("activation", o.activation);
    f("use_bias", o.use_bias);
    f("kernel_initializer", o.kernel_initializer);
    f("bias_initializer", o.bias_initializer);
    f("kernel_regularizer", o.kernel_regularizer);
    f("bias_regularizer", o.bias_regularizer);
    f("activity_regularizer", o.activity_regularizer);
    f.null("kernel_constraint");
    f.null("bias_constraint");
    f.ignore("quantization_config");
    activity = o.activity_regularizer;
  }

  Shape build(const Shape& in) override {
    if (units <= 0) fail("units is ", units, ", a positive number was expected");
    o.activation.Check(label());
    if (in.rank() < 2) fail("takes inputs of at least 2 axes (batch, features), ", in, " came");
    if (!kernel) {
      kernel = add_weight("kernel", {in.back(), units}, o.kernel_initializer, o.kernel_regularizer);
      if (o.use_bias) bias = add_weight("bias", {units}, o.bias_initializer, o.bias_regularizer);
    }
    if (in.back() != kernel->shape[0])
      fail("the input has ", in.back(), " features (", in, "), the kernel expects ", kernel->shape[0]);
    return o.activation.Out(in.with(-1, units), label());
  }

  Value call(Graph& g, Value x) override {
    const Shape in = g.shape(x);
    const Value rows = g.Reshape(x, {in.part(0, in.rank() - 1).count(), in.back()});
    const Value y = g.Gemm(rows, weight(g, kernel), false, false, bias ? weight(g, bias) : Value{});
    return o.activation(g, g.Reshape(y, in.with(-1, units)));
  }
};

}  // namespace

Layer Dense(int64_t units, const DenseOptions& options) { return MakeLayer<DenseLayer>(options.name, units, options); }

const LayerClass kInputLayerClass = {"InputLayer", [] { return std::shared_ptr<LayerDef>(new InputLayer); }};
const LayerClass kDenseClass = {"Dense", [] { return std::shared_ptr<LayerDef>(new DenseLayer); }};

}  // namespace ingot
