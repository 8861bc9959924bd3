// SPDX-License-Identifier: MIT
//
// What becomes the epilogue of a product or a convolution (EpilogueAttrs), so that its result is finished while it is
// in registers:
//
//   BatchNormInfer     with a bias before it, as one scale and one shift, which FoldNorm makes of its vectors
//   Unary              ReLU, leaky ReLU, either with a maximum
//   Binary, addition   of something of the same shape, before or behind the activation
//
// Each must be the only reader of what it joins; where the gradient needs the value between, it is not. The joined
// operation runs where the last of its parts stood, since a residual may be made behind the convolution.
#include <algorithm>
#include <limits>
#include <utility>

#include "ingot/core/plan/passes.h"
#include "ingot/kernels/formulas.h"

namespace ingot {
namespace {

bool fusion = true;

struct Activation {
  float slope = 1, limit = std::numeric_limits<float>::infinity();
};

// Whether an operation is an activation that an epilogue knows.
bool IsActivation(const Op& op, Activation& act) {
  if (op.kernel != Kernel::kUnary) return false;
  const auto& a = op.attrs.as<UnaryAttrs>();
  act = {};
  act.slope = a.p[0];
  // A slope of 0 times minus infinity is NaN; the epilogue's maximum of 0 would hide it.
  if (a.formula == static_cast<uint16_t>(Formula::kLeakyRelu)) return act.slope != 0;
  if (a.p[1] >= 0) act.limit = a.p[1];
  return a.formula == static_cast<uint16_t>(Formula::kRelu) && a.p[2] == 0;
}

class Fuser {
 public:
  explicit Fuser(Graph& graph) : graph_(graph), readers_(graph.values().size(), 0), writer_(readers_.size(), -1) {
    for (const Op& op : graph.ops())
      for (const Value v : op.in) ++readers_[Index(graph.Root(v))];
  }

  void Run() {
    for (Op& op : graph_.ops()) {
      if (op.phase == Phase::kForward && (Activate(op) || Normalize(op) || Add(op))) continue;
      Append(std::move(op));
    }
    std::erase_if(ops_, [](const Op& op) { return op.out.empty(); });
    graph_.ops() = std::move(ops_);
  }

 private:
  static size_t Index(Value v) { return static_cast<size_t>(v.id); }

  void Append(Op op) {
    for (const Value v : op.out) writer_[Index(graph_.Root(v))] = static_cast<int32_t>(ops_.size());
    ops_.push_back(std::move(op));
  }

  // The operation that makes v for one reader, if it has an epilogue; `to` is what that reader makes of it.
  Op* Producer(Value v, Value to) {
    const Value from = graph_.Root(v), result = graph_.Root(to);
    if (readers_[Index(from)] != 1 || graph_.info(from).keep || writer_[Index(from)] < 0) return nullptr;
    if (graph_.info(from).space != Space::kActivation || graph_.info(result).space != Space::kActivation)
      return nullptr;
    Op& op = ops_[static_cast<size_t>(writer_[Index(from)])];
    return op.phase == Phase::kForward && EpilogueOf(op.kernel, op.attrs) ? &op : nullptr;
  }

  // `producer` now makes what `op` made, in its place.
  bool Join(Op& producer, const Op& op) {
    Op joined = std::move(producer);
    producer.out.clear();  // marks it as gone
    const Value from = graph_.Root(joined.out[0]), to = graph_.Root(op.out[0]);
    graph_.info(from).keep = graph_.info(to).keep;
    readers_[Index(from)] = readers_[Index(to)];
    for (size_t i = 0; i < readers_.size(); ++i) {
      ValueInfo& v = graph_.info(Value{static_cast<int32_t>(i)});
      if (v.root == to.id) v.root = from.id;
    }
    Append(std::move(joined));
    return true;
  }

  bool Activate(const Op& op) {
    Activation act;
    if (!IsActivation(op, act)) return false;
    Op* producer = Producer(op.in[0], op.out[0]);
    if (!producer) return false;
    EpilogueAttrs& e = *EpilogueOf(producer->kernel, producer->attrs);
    if (e.activated() || e.residual_last) return false;
    e.slope = act.slope, e.limit = act.limit;
    return Join(*producer, op);
  }

  bool Normalize(const Op& op) {
    if (op.kernel != Kernel::kBatchNormInfer) return false;
    Op* producer = Producer(op.in[0], op.out[0]);
    const int64_t channels = graph_.shape(op.in[0]).back();
    if (!producer || graph_.shape(producer->out[0]).back() != channels) return false;
    EpilogueAttrs& e = *EpilogueOf(producer->kernel, producer->attrs);
    if (e.scaled || e.residual || e.activated()) return false;
    Values in(op.in.begin() + 1, op.in.end());
    if (producer->in.size() > 2) in.push_back(producer->in[2]);
    const Value folded = graph_.New({Shape{2, channels}});
    readers_.push_back(1);
    writer_.push_back(-1);
    Append({Kernel::kFoldNorm, op.phase, false, op.layer, std::move(in), {folded}, op.attrs});
    producer = Producer(op.in[0], op.out[0]);  // it moved
    producer->in.resize(2);
    producer->in.push_back(folded);
    EpilogueOf(producer->kernel, producer->attrs)->scaled = true;
    return Join(*producer, op);
  }

  bool Add(const Op& op) {
    if (op.kernel != Kernel::kBinary || op.attrs.as<BinaryAttrs>().op != BinaryOp::kAdd) return false;
    if (!(graph_.shape(op.in[0]) == graph_.shape(op.in[1]))) return false;
    // Of two, the one that runs last: what it needs lives until then anyway.
    Op* best = nullptr;
    Value residual;
    for (const size_t side : {size_t{0}, size_t{1}}) {
      Op* producer = Producer(op.in[side], op.out[0]);
      if (!producer || EpilogueOf(producer->kernel, producer->attrs)->residual || (best && producer < best)) continue;
      best = producer;
      residual = op.in[1 - side];
    }
    if (!best) return false;
    EpilogueAttrs& e = *EpilogueOf(best->kernel, best->attrs);
    e.residual = true;
    e.residual_last = e.activated();
    best->in.push_back(residual);
    best->in_place = best->in_place_of_last = best->kernel != Kernel::kGemm;  // whose C holds sums meanwhile
    return Join(*best, op);
  }

  Graph& graph_;
  std::vector<int> readers_;     // by root
  std::vector<int32_t> writer_;  // by root: index in ops_
  std::vector<Op> ops_;
};

}  // namespace

void SetFusion(bool on) { fusion = on; }

void FuseEpilogues(Graph& graph) {
  if (fusion) Fuser(graph).Run();
}

}  // namespace ingot
