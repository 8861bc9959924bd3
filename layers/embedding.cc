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
  EmbeddingLayer(int64_t in, int64_t out, EmbeddingOptions options) : input_dim(in), output_dim(out), o(std::move(options)) {
    activity = o.activity_regularizer;
  }
  std::string class_name() const override { return "Embedding"; }
  void fields(Fields& f) override {
    f("input_dim", input_dim), f("output_dim", output_dim);
    f("embeddings_initializer", o.embeddings_initializer), f("embeddings_regularizer", o.embeddings_regularizer);
    f("activity_regularizer", o.activity_regularizer);
    f.null("embeddings_constraint");
    bool mask_zero = false;
    f("mask_zero", mask_zero);
    if (mask_zero) f.fail("mask_zero", "false: ingot does not support masks");
    f.ignore("quantization_config"), f.ignore("input_length"), f.ignore("batch_input_shape");
    activity = o.activity_regularizer;
  }
  TensorSpecs build(const TensorSpecs& in) override {
    only(in);
    if (input_dim < 1 || output_dim < 1) fail("input_dim is ", input_dim, " and output_dim ", output_dim, ", positive numbers were expected");
    if (!embeddings) embeddings = add_weight("embeddings", {input_dim, output_dim}, o.embeddings_initializer, o.embeddings_regularizer);
    Shape out = in[0].shape;
    out.push_back(output_dim);
    return {{out}};
  }
  Values call(Graph& g, const Values& in) override { return {g.Gather(weight(g, embeddings), in[0])}; }
};

struct LayerScaleLayer : UnaryLayer {
  double init_values = 1e-6;
  int64_t projection_dim = 1;
  VariablePtr gamma;
  LayerScaleLayer() = default;
  LayerScaleLayer(double init, int64_t dim) : init_values(init), projection_dim(dim) {}
  std::string class_name() const override { return "LayerScale"; }
  void fields(Fields& f) override { f("init_values", init_values), f("projection_dim", projection_dim); }
  Shape build(const Shape& in) override {
    if (in.back() != projection_dim && in.back() != 1) fail("the input has ", in.back(), " features (", in, "), projection_dim is ", projection_dim);
    if (!gamma) gamma = add_weight("variable", {projection_dim}, Constant(init_values));  // as Keras names what has no name
    return in.with(-1, projection_dim);
  }
  Value call(Graph& g, Value x) override { return g.Multiply(x, weight(g, gamma)); }
};

struct CustomScaleLayerDef : LayerDef {
  double scale = 1;
  CustomScaleLayerDef() = default;
  explicit CustomScaleLayerDef(double s) : scale(s) {}
  std::string class_name() const override { return "CustomScaleLayer"; }
  void fields(Fields& f) override { f("scale", scale); }
  TensorSpecs build(const TensorSpecs& in) override {
    if (in.size() != 2 || !in[0].shape.accepts(in[1].shape)) fail("takes 2 inputs of one shape, ", in.size(), " came");
    return {{in[0].shape}};
  }
  Values call(Graph& g, const Values& in) override { return {g.Add(in[0], Apply(g, Formula::kAffine, in[1], static_cast<float>(scale)))}; }
};

}  // namespace

Layer Embedding(int64_t in, int64_t out, const EmbeddingOptions& o) { return MakeLayer<EmbeddingLayer>(o.name, in, out, o); }
Layer LayerScale(double init, int64_t dim, const NameOptions& o) { return MakeLayer<LayerScaleLayer>(o.name, init, dim); }
Layer CustomScaleLayer(double scale, const NameOptions& o) { return MakeLayer<CustomScaleLayerDef>(o.name, scale); }

const LayerClass kEmbeddingClass = {"Embedding", [] { return std::shared_ptr<LayerDef>(new EmbeddingLayer); }};
const LayerClass kLayerScaleClass = {"LayerScale", [] { return std::shared_ptr<LayerDef>(new LayerScaleLayer); }};
const LayerClass kCustomScaleLayerClass = {"CustomScaleLayer", [] { return std::shared_ptr<LayerDef>(new CustomScaleLayerDef); }};

}  // namespace ingot
