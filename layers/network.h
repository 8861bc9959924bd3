// SPDX-License-Identifier: MIT
//
// A network is layers and the calls between them: what a model describes, without training. It is itself a layer, so
// models nest. Layers and calls are ordered as Keras orders them; weights, and so files, follow that order.
//
// A sequential network without Input has no calls until the first build() tells it what comes in.
#pragma once

#include <string>
#include <vector>

#include "ingot/layers/layer.h"

namespace ingot {

class Network : public LayerDef {
 public:
  // Tensors are numbered: inputs first, then the outputs of each call.
  struct Node {
    Layer layer;
    std::vector<int> in, out;
  };

  Network(std::vector<Layer> sequence, const std::string& name);
  Network(const Tensors& inputs, const Tensors& outputs, const std::string& name);

  std::string class_name() const override { return sequential_ ? "Sequential" : "Functional"; }
  TensorSpecs build(const TensorSpecs& in) override;
  Values call(Graph& g, const Values& in) override;
  void check_values(int i, const Array& values) const override;
  std::vector<Layer> sublayers() const override { return layers_; }
  void set_trainable(bool value) override;

  bool sequential() const { return sequential_; }
  bool has_calls() const { return !nodes_.empty() || !sequential_; }
  const std::vector<Layer>& layers() const { return layers_; }  // Input layers among them, if functional
  const std::vector<Node>& nodes() const { return nodes_; }
  const std::vector<Layer>& input_layers() const { return input_layers_; }
  const TensorSpecs& inputs() const { return input_specs_; }
  const TensorSpecs& outputs() const { return output_specs_; }
  const std::vector<int>& output_ids() const { return output_ids_; }
  // Keys where there are any, else those of the layers that make the outputs, each made unique.
  std::vector<std::string> output_names() const;
  std::vector<std::string> input_names() const;
  // Of a model that Keras gives a dict, or that gives one: the keys, in alphabetical order, which is that of the inputs
  // and outputs too.
  std::vector<std::string> input_keys, output_keys;
  TensorSpecs specs() const { return specs_; }  // of all tensors, by number
  // The tensors with which other models can be built on parts of this one.
  const Tensors& input_tensors() const { return input_tensors_; }
  const Tensors& output_tensors() const { return output_tensors_; }

 private:
  void Chain(const Tensor& input);  // sequential: calls the layers one after the other
  void Trace(const Tensors& inputs, const Tensors& outputs);
  void NameLayers();
  void CountNesting();

  // Beyond them the stack or the patience of whoever loads a file might end.
  static constexpr int kMaxNesting = 24;
  static constexpr int64_t kMaxCalls = 1 << 17;

  bool sequential_;
  int nesting_ = 0;    // how deep models lie within this one
  int64_t calls_ = 0;  // of layers, those within models counted each time
  std::vector<Layer> layers_, input_layers_;
  std::vector<Node> nodes_;
  std::vector<int> output_ids_;
  TensorSpecs specs_, input_specs_, output_specs_;
  Tensors input_tensors_, output_tensors_;
};

}  // namespace ingot
