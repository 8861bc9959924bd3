// SPDX-License-Identifier: MIT
//
// Layers as a user sees them, and how one is made.
//
//   Tensor   what flows between layers while a model is described: a shape, a type, and the call it comes from
//   Layer    a handle: copying it shares the layer and its weights; calling it on tensors gives tensors
//   LayerDef what a kind of layer is. To make one, derive from it (or from UnaryLayer: one tensor in, one out),
//            say its options in fields(), its weights and output shape in build(), and what it does in call(),
//            in terms of Graph's operations. Gradients follow from those.
//
// Threads: describing models that share no layer is independent.
#pragma once

#include <atomic>
#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ingot/core/array.h"
#include "ingot/core/error.h"
#include "ingot/core/fields.h"
#include "ingot/core/plan/graph.h"
#include "ingot/layers/initializers.h"
#include "ingot/layers/regularizers.h"

namespace ingot {

class Layer;
struct LayerCall;
using TensorSpecs = std::vector<TensorSpec>;

struct Tensor {
  TensorSpec spec;
  std::shared_ptr<LayerCall> from;
  int index = 0;  // which output of that call

  const Shape& shape() const { return spec.shape; }
};
using Tensors = std::vector<Tensor>;

class LayerDef {
 public:
  using Factory = std::function<std::shared_ptr<LayerDef>()>;  // in CustomObjects
  virtual ~LayerDef() = default;

  virtual std::string class_name() const = 0;
  virtual void fields(Fields&) {}
  // Checks what comes in, makes the weights (once), and says what comes out. Called for every call of the layer,
  // with None where an extent is not known yet, and again with the extents of the data: then from several threads at
  // once, where several predict, so it changes nothing that is there already.
  virtual TensorSpecs build(const TensorSpecs& in) = 0;
  virtual Values call(Graph& g, const Values& in) = 0;
  // Error if values of the user's that go straight into input i cannot be meant: a number that no row has.
  virtual void check_values(int /*i*/, const Array& /*values*/) const {}
  // Layers inside this one (models), in Keras's order; their weights are this layer's too.
  virtual std::vector<Layer> sublayers() const;
  virtual void set_trainable(bool value) {
    trainable = value;
    trainable_changes.fetch_add(1);
  }
  // How often any layer was frozen or thawed: plans made before may train what is frozen now.
  static inline std::atomic<uint64_t> trainable_changes{0};

  std::string name;  // unique in its model; empty until given by the user or by the model
  bool named_by_user = false;
  bool trainable = true;
  bool built = false;                           // build has run once
  Penalty activity;                             // of each output
  std::vector<VariablePtr> variables;           // its own: trainable ones, then the others, as Keras orders them
  std::vector<std::weak_ptr<LayerCall>> calls;  // those made so far, as long as somebody has their tensors

  // "dense_1", or the class where there is no name yet; begins messages.
  std::string label() const { return name.empty() ? class_name() : name; }

 protected:
  VariablePtr add_weight(const std::string& name, const Shape& shape, const Initializer& initializer,
                         const Regularizer& regularizer = {}, bool trained = true);
  Value weight(Graph& g, const VariablePtr& variable) const {
    return g.Weight(variable, trainable && variable->trainable);
  }

  template <class... Parts>
  [[noreturn]] void fail(const Parts&... parts) const {
    Fail(label(), ": ", parts...);
  }
  // Error unless a float32 can hold the option: every number but NaN, infinity and what rounds to it.
  void check_number(const char* option, double value) const {
    if (!std::isfinite(static_cast<float>(value))) fail(option, " is ", value, ", a finite float32 was expected");
  }
  // Error unless there is one input of that rank (any rank if -1).
  const Shape& only(const TensorSpecs& in, int rank = -1) const;
};

// One tensor in, one of the same type out.
class UnaryLayer : public LayerDef {
 public:
  virtual Shape build(const Shape& in) = 0;
  virtual Value call(Graph& g, Value x) = 0;
  TensorSpecs build(const TensorSpecs& in) override { return {{build(only(in)), DType::kFloat32}}; }
  Values call(Graph& g, const Values& in) override { return {call(g, g.Cast(in[0]))}; }
};

class Layer {
 public:
  Layer() = default;
  explicit Layer(std::shared_ptr<LayerDef> def) : def_(std::move(def)) {}

  Tensor operator()(const Tensor& x) const;  // a layer with one output
  Tensor operator()(const Tensors& x) const;
  Tensors call(const Tensors& x) const;  // any number of outputs

  const std::string& name() const { return def().name; }
  bool trainable() const { return def().trainable; }
  void set_trainable(bool value) const { def().set_trainable(value); }
  std::vector<VariablePtr> variables() const;  // those of layers inside it too, each once
  int64_t count_params() const;                // Error, as in Keras, before the layer knows its input
  // Copies of their values, and new ones for all: once a model has given them a place.
  Arrays get_weights() const;
  void set_weights(const Arrays& weights) const;
  // What goes in and comes out.
  // Of a layer at its first call, as in Keras, and of a model by its description. Error where there was no call.
  // In the singular also where there are several.
  Tensor input() const;
  Tensor output() const;
  Tensors inputs() const;
  Tensors outputs() const;
  LayerDef& def() const {
    if (!def_) Fail("an empty Layer was used; make one first, as in Dense(8)");
    return *def_;
  }
  const std::shared_ptr<LayerDef>& ptr() const { return def_; }
  explicit operator bool() const { return def_ != nullptr; }
  bool operator==(const Layer& other) const { return def_ == other.def_; }

 private:
  std::shared_ptr<LayerDef> def_;
};

// build() and call() of a layer as models run them: an Error names the layer, and what comes out is what was announced.
TensorSpecs BuildLayer(LayerDef& def, const TensorSpecs& in);
Values CallLayer(LayerDef& def, Graph& g, const Values& in, const TensorSpecs& announced);

// One call of a layer: an edge of the model.
struct LayerCall {
  Layer layer;
  Tensors in;
  TensorSpecs out;

  // Not call within call: a chain of a million would end the stack.
  ~LayerCall();
};

// Makes the handle of a layer: options as given, named as the user says.
template <class Def, class... Args>
Layer MakeLayer(const std::string& name, Args&&... args) {
  auto def = std::make_shared<Def>(std::forward<Args>(args)...);
  def->name = name;
  def->named_by_user = !name.empty();
  return Layer(std::move(def));
}

// "BatchNormalization" -> "batch_normalization", "Conv2D" -> "conv2d": as Keras names layers.
std::string SnakeCase(const std::string& class_name);

}  // namespace ingot
