// SPDX-License-Identifier: MIT
#include "ingot/layers/embedding.h"

#include "ingot/layers/activations.h"
#include "ingot/layers/layers.h"

namespace ingot {
namespace {

struct EmbeddingLayer : LayerDef {
  int64_t input_dim = 1, output_dim = 1;
  EmbeddingOptions o;
  VariablePtr embeddings;

  EmbeddingLayer() = default;
  EmbeddingLayer(int64_t in, int64_t out, EmbeddingOptions options)
      : input_dim(in), output_dim(out), o(std::move(options)) {
    activity = o.activity_regularizer;
  }
  std::string class_name() const override { return "Embedding"; }

  void fields(Fields& f) override {
    f("input_dim", input_dim);
    f("output_dim", output_dim);
    f("embeddings_initializer", o.embeddings_initializer);
    f("embeddings_regularizer", o.embeddings_regularizer);
    f("activity_regularizer", o.activity_regularizer);
    f.null("embeddings_constraint");
    bool mask_zero = false;
    f("mask_zero", mask_zero);
    if (mask_zero) f.fail("mask_zero", "false, since ingot has no masks,");
    f.null("quantization_config");
    f.ignore("input_length");  // Keras 2
    activity = o.activity_regularizer;
  }

  TensorSpecs build(const TensorSpecs& in) override {
    if (input_dim < 1) fail("input_dim is ", input_dim, ", a positive number was expected");
    if (output_dim < 1) fail("output_dim is ", output_dim, ", a positive number was expected");
    Shape out = only(in);
    if (out.rank() == kMaxRank)
      fail("the input ", out, " has ", out.rank(), " axes, at most ", kMaxRank - 1, " were expected");
    if (!embeddings)
      embeddings =
          add_weight("embeddings", {input_dim, output_dim}, o.embeddings_initializer, o.embeddings_regularizer);
    out.push_back(output_dim);
    return {{out}};
  }
  void check_values(int, const Array& ids) const override {
    const auto each = [&](auto values) {
      for (size_t i = 0; i < values.size(); ++i)
        if (const double id = static_cast<double>(values[i]); !(id > -1 && id < static_cast<double>(input_dim)))
          fail("id ", id, " at position ", i, " of an input of shape ", ids.shape(), "; numbers from 0 to ",
               input_dim - 1, " were expected, as input_dim is ", input_dim);
    };
    if (ids.dtype() == DType::kInt32)
      each(ids.as<int32_t>());
    else if (ids.dtype() == DType::kUint8)
      each(ids.as<uint8_t>());
    else
      each(ids.floats());
  }
  Values call(Graph& g, const Values& in) override {
    return {g.Gather(weight(g, embeddings), g.info(in[0]).dtype == DType::kUint8 ? g.Cast(in[0]) : in[0])};
  }
};

struct LayerScaleLayer : UnaryLayer {
  double init_values = 0;
  int64_t projection_dim = 1;
  VariablePtr gamma;

  LayerScaleLayer() = default;
  LayerScaleLayer(double init, int64_t dim) : init_values(init), projection_dim(dim) {}
  std::string class_name() const override { return "LayerScale"; }

  void fields(Fields& f) override {
    f("init_values", init_values);
    f("projection_dim", projection_dim);
  }
  Shape build(const Shape& in) override {
    check_number("init_values", init_values);
    if (projection_dim < 1) fail("projection_dim is ", projection_dim, ", a positive number was expected");
    if (in.rank() < 2 || (in.back() != kNone && in.back() != projection_dim))
      fail("the input is ", in, ", its last axis should be projection_dim, ", projection_dim);
    if (!gamma) gamma = add_weight("variable", {projection_dim}, Constant(init_values));  // Keras gives it no name
    return in.with(-1, projection_dim);
  }
  Value call(Graph& g, Value x) override { return g.Multiply(x, weight(g, gamma)); }
};

struct ScaledSum : LayerDef {
  double scale = 1;

  ScaledSum() = default;
  explicit ScaledSum(double s) : scale(s) {}
  std::string class_name() const override { return "CustomScaleLayer"; }

  void fields(Fields& f) override { f("scale", scale); }
  TensorSpecs build(const TensorSpecs& in) override {
    check_number("scale", scale);
    if (in.size() != 2) fail("takes 2 inputs, ", in.size(), " came");
    Shape out = in[0].shape;
    if (!out.accepts(in[1].shape)) fail("takes 2 inputs of one shape, ", out, " and ", in[1].shape, " came");
    for (int i = 0; i < out.rank(); ++i)
      if (out[i] == kNone) out[i] = in[1].shape[i];
    return {{out}};
  }
  Values call(Graph& g, const Values& in) override {
    return {g.Add(g.Cast(in[0]), Apply(g, Formula::kAffine, g.Cast(in[1]), static_cast<float>(scale), 0))};
  }
};

template <class Def>
std::shared_ptr<LayerDef> Make() {
  return std::make_shared<Def>();
}

}  // namespace

Layer Embedding(int64_t in, int64_t out, const EmbeddingOptions& o) {
  return MakeLayer<EmbeddingLayer>(o.name, in, out, o);
}
Layer LayerScale(double init, int64_t dim, const NameOptions& o) {
  return MakeLayer<LayerScaleLayer>(o.name, init, dim);
}
Layer CustomScaleLayer(double scale, const NameOptions& o) { return MakeLayer<ScaledSum>(o.name, scale); }

const LayerClass kEmbeddingClass = {"Embedding", Make<EmbeddingLayer>};
const LayerClass kLayerScaleClass = {"LayerScale", Make<LayerScaleLayer>};
const LayerClass kCustomScaleLayerClass = {"CustomScaleLayer", Make<ScaledSum>};

}  // namespace ingot
