// SPDX-License-Identifier: MIT
//
// The program of one plan while it is being written: values, and the operations that make them, in the order in
// which they run. All shapes are known. Layers write the forward part by calling the methods below. Each method
// also notes how a gradient goes back through it, so that Backward() writes the rest: formula and derivative stand
// side by side in graph_*.cc, and there is no tape once the plan is made.
//
// REQUIRES throughout: shapes fit (layers have checked what the user gave; a misfit here is a bug of ours).
#pragma once

#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "ingot/core/plan/layout.h"
#include "ingot/kernels/kernels.h"

namespace ingot {

struct Value {
  int32_t id = -1;
  explicit operator bool() const { return id >= 0; }
  bool operator==(const Value&) const = default;
};
using Values = std::vector<Value>;

// Which memory a value lies in.
enum class Space : uint8_t {
  kActivation,  // of the plan, placed by first and last use
  kWeight,      // a variable's
  kGradient,    // laid out as the weights
  kSlot,        // of the optimizer, each laid out as the weights
  kState,       // losses and metrics, read by the host
  kConstant,    // fixed when the plan was made
  kKept,        // of the plan, made of weights alone: holds until they change
};

struct ValueInfo {
  Shape shape;
  DType dtype = DType::kFloat32;
  Space space = Space::kActivation;
  bool needs_grad = false;
  bool keep = false;      // its memory is not reused: fed or read by the host
  int32_t root = -1;      // the value whose memory (and space) it shares; itself, unless it is a view
  int32_t variable = -1;  // kWeight: index in the layout
  size_t offset = 0;      // bytes, in the spaces other than kActivation and kWeight
};

enum class Phase : uint8_t { kForward, kBackward, kUpdate };

struct Op {
  Kernel kernel;
  Phase phase = Phase::kForward;
  bool in_place = false;  // the first output may take the memory of an input that ends here
  int32_t layer = -1;     // index in Graph::layers()
  Values in, out;
  Attrs attrs;
  bool in_place_of_last = false;  // of the last input only
};

class Graph {
 public:
  Graph(const Layout& layout, bool training) : layout_(layout), training_(training) {}
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  bool training() const { return training_; }
  Shape shape(Value v) const { return info(v).shape; }  // a copy: values move as others are added
  const ValueInfo& info(Value v) const { return values_[static_cast<size_t>(v.id)]; }
  ValueInfo& info(Value v) { return values_[static_cast<size_t>(v.id)]; }

  // Where values come from.
  Value Input(const TensorSpec& spec, bool needs_grad = false);     // fed before each run
  Value Weight(const VariablePtr& variable, bool trained = false);  // the same value at each call
  Value Constant(const Shape& shape, std::span<const float> values);
  Value Scalar(float value) { return Constant({}, std::span<const float>(&value, 1)); }
  Value State(int64_t floats);                                      // memory that outlives the run, zero at first
  Value StatePart(Value state, int64_t first, const Shape& shape);  // a view of it
  Value WeightRange(int first_variable, int64_t floats);            // neighbours in the weights' arena, as one
  Value GradientRange(size_t offset, int64_t floats);
  Value SlotRange(int slot, size_t offset, int64_t floats);

  // Elementwise. Both operands of a binary operation broadcast as in NumPy.
  Value Unary(Value x, const UnaryAttrs& attrs, bool grad_from_output);
  Value Binary(BinaryOp op, Value a, Value b);
  Value Add(Value a, Value b) { return Binary(BinaryOp::kAdd, a, b); }
  Value Subtract(Value a, Value b) { return Binary(BinaryOp::kSubtract, a, b); }
  Value Multiply(Value a, Value b) { return Binary(BinaryOp::kMultiply, a, b); }
  Value Divide(Value a, Value b) { return Binary(BinaryOp::kDivide, a, b); }
  Value Cast(Value x);  // to float32
  Value Dropout(Value x, const DropoutAttrs& attrs);
  Value GaussianNoise(Value x, const DropoutAttrs& attrs);  // rate is the standard deviation

  // Shapes.
  Value Reshape(Value x, const Shape& shape);  // a view
  Value Transpose(Value x, std::span<const int> axes);
  Value Pad(Value x, std::span<const int64_t> before, const Shape& shape, float fill = 0);  // x at `before` in `shape`
  Value Crop(Value x, std::span<const int64_t> from, const Shape& shape);
  Value Concat(std::span<const Value> parts, int axis);
  Value Broadcast(Value x, const Shape& shape);  // same rank; axes of 1 repeated

  // Across elements.
  Value Reduce(ReduceOp op, Value x, std::span<const int> axes, bool keepdims);
  Value Softmax(Value x, int axis);
  Value LogSoftmax(Value x, int axis);
  Value Normalize(Value x, float epsilon);  // rows of (rows, n) to mean 0 and variance 1
  struct BatchNormWeights {
    Value gamma, beta, mean, variance;
  };
  Value BatchNorm(Value x, const BatchNormWeights& weights, const NormAttrs& attrs, bool of_batch);  // last axis

  // Linear. Bias may be absent.
  Value Gemm(Value a, Value b, bool trans_a = false, bool trans_b = false, Value bias = {});  // matrices
  Value Conv2D(Value x, Value w, Value bias, const ConvAttrs& attrs, const Shape& out);
  Value Conv2DTranspose(Value x, Value w, Value bias, const ConvAttrs& attrs, const Shape& out);  // w (KH, KW, K, C)
  Value Depthwise(Value x, Value w, Value bias, const ConvAttrs& attrs, const Shape& out);
  Value MaxPool(Value x, const PoolAttrs& attrs, const Shape& out);
  Value AvgPool(Value x, const PoolAttrs& attrs, const Shape& out);
  Value Gather(Value table, Value ids);
  Value Resample(Value x, const Shape& out, int taps_h, std::span<const float> h, int taps_w, std::span<const float> w);

  // Losses. The gradient of what is optimized is seeded with SeedGrad.
  Value ElementLoss(Value truth, Value pred, const LossAttrs& attrs);           // (..., n) -> (...)
  Value Crossentropy(Value truth, Value pred, const CrossentropyAttrs& attrs);  // (..., n) -> (...)
  // into: a scalar of the state. Weight and mask may be absent; fewer of them than losses are repeated.
  Value LossReduce(Value loss, Value weight, const ReductionAttrs& attrs, Value into, Value mask = {});
  Value PenaltyOf(Value w, const PenaltyAttrs& attrs, Value into);  // of an activation

  // A function of the user's; backward writes the gradients of the inputs, given that of the output.
  using BackwardFn = std::function<void(Graph&, Value dy)>;
  Value Custom(std::span<const Value> in, const TensorSpec& out, const CustomAttrs& attrs, BackwardFn backward = {});

  // Anything else: an operation without gradient.
  Value Emit(Kernel kernel, std::span<const Value> in, const TensorSpec& out, const Attrs& attrs = {},
             bool in_place = false);
  void EmitInto(Kernel kernel, std::span<const Value> in, std::span<const Value> out, const Attrs& attrs = {},
                bool in_place = false);

  Value Like(Value v) { return New({shape(v), info(v).dtype}); }  // a place for as much, for passes

  Value New(const TensorSpec& spec, Space space = Space::kActivation);  // for an operation to write into

  // What went into the operation that made v, if that was `kernel`: for fusions that begin where v is used.
  Value MadeBy(Value v, Kernel kernel, Attrs* attrs = nullptr) const;
  // If v is an image (N, H, W, C) with zeros around it, that image, and how many rows lie above and columns before it.
  Value Unpadded(Value v, int32_t& top, int32_t& left) const;

  // Gradients. A value needs one if something it is made of does.
  bool Needs(Value v) const { return v && info(v).needs_grad; }
  void OnBackward(Value y, std::span<const Value> of, BackwardFn fn);  // y needs a gradient if one of `of` does
  void AddGrad(Value v, Value dv);                                     // adds to what has come so far
  Value GradOf(Value v) const;                                         // after Backward; absent if nothing depends on v
  void SeedGrad(Value v, Value dv) { AddGrad(v, dv); }
  void Backward();  // writes the backward part; then gradients of weights lie in their arena

  // Adds a penalty on an activation to what is optimized.
  void Penalize(Value v, const Penalty& penalty) { penalized_.emplace_back(v, penalty); }
  const std::vector<std::pair<Value, Penalty>>& penalized() const { return penalized_; }

  // Labels for plan() and the profiler: operations written from here on belong to this layer.
  void BeginLayer(const std::string& name);
  void BeginPhase(Phase phase) { phase_ = phase; }

  void Keep(Value v) { info(Root(v)).keep = true; }
  Value Root(Value v) const { return {info(v).root}; }
  // A use of randomness: of the model's numbers, or of those of `owner`, which has a seed of its own. What an owner
  // draws does not depend on where in the model it stands.
  uint32_t NextRandomUse() { return random_uses_++; }
  uint32_t NextRandomUse(const void* owner) { return kOwnUses + own_random_uses_[owner]++; }

  const Layout& layout() const { return layout_; }
  const std::vector<ValueInfo>& values() const { return values_; }
  std::vector<Op>& ops() { return ops_; }
  const std::vector<std::string>& layers() const { return layers_; }
  const std::vector<float>& constants() const { return constants_; }
  size_t state_bytes() const { return state_bytes_; }

 private:
  Value ReduceTo(Value x, const Shape& shape);  // sums over the axes along which `shape` was broadcast
  void PlaceWeightGradients();

  const Layout& layout_;
  bool training_;
  Phase phase_ = Phase::kForward;
  int32_t layer_ = -1;
  static constexpr uint32_t kOwnUses = 0x80000000;  // so that a model of the same seed draws other numbers
  uint32_t random_uses_ = 0;
  std::unordered_map<const void*, uint32_t> own_random_uses_;
  size_t state_bytes_ = 0;
  std::vector<ValueInfo> values_;
  std::vector<Op> ops_;
  std::vector<std::string> layers_;
  std::vector<float> constants_;
  std::vector<Value> weights_;  // by index in the layout
  struct Rule {
    Value y;
    int32_t layer;
    BackwardFn fn;
  };
  std::vector<Rule> rules_;
  std::vector<Value> grads_;  // by value
  std::vector<std::pair<Value, Penalty>> penalized_;
};

}  // namespace ingot
