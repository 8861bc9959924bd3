// SPDX-License-Identifier: MIT
//
// Input, Dense, Embedding, Activation layer and such: the layers without a family.
#pragma once

#include <string>

#include "ingot/layers/activations.h"
#include "ingot/layers/layer.h"

namespace ingot {

// What Input gives: the beginning of a functional model, and the first layer of a Sequential.
struct InputTensor : Tensor {
  operator Layer() const { return from->layer; }
};
struct InputOptions {
  std::string name{};
  std::string dtype = "float32";
};
InputTensor Input(const Shape& shape, const InputOptions& options = {});  // without the batch

struct InputLayer : LayerDef {
  TensorSpec spec;  // with the batch
  bool sparse = false, ragged = false;

  std::string class_name() const override { return "InputLayer"; }
  void fields(Fields& f) override;
  TensorSpecs build(const TensorSpecs&) override { return {spec}; }
  Values call(Graph&, const Values& in) override { return in; }
};

struct DenseOptions {
  Activation activation = "linear";
  bool use_bias = true;
  Initializer kernel_initializer = "glorot_uniform", bias_initializer = "zeros";
  Regularizer kernel_regularizer{}, bias_regularizer{}, activity_regularizer{};
  std::string name{};
};
// y = activation(x kernel + bias) along the last axis.
Layer Dense(int64_t units, const DenseOptions& options = {});

}  // namespace ingot
