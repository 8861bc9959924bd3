// SPDX-License-Identifier: MIT
//
// Small networks are bound by passes over activations, not by arithmetic. Each of these patterns saves one or more, and
// the memory of what lay in between:
//
//   forward    BatchNorm -> [Add residual] -> [relu]     BatchNorm -> [relu] -> [MaxPool]
//   backward   the same, read from right to left, up to  BatchNormGrad -> [gradient of a relu in front] -> [its bias]
//              MaxPoolGrad -> gradient of a relu in front -> [its bias]: what a window passed on is what came out of
//              it, so relu and the sums can be taken of the smaller image, before the gradient is spread over the
//              larger one
//
// A value may vanish only if nobody else reads it, which is looked up, never assumed.
#include <algorithm>
#include <cmath>

#include "ingot/core/plan/passes.h"
#include "ingot/kernels/formulas.h"

namespace ingot {
namespace {

size_t Index(Value v) { return static_cast<size_t>(v.id); }

// The list of operations while it is rewritten. An operation without outputs is gone.
class Fuser {
 public:
  explicit Fuser(Graph& graph) : graph_(graph), ops_(graph.ops()), readers_(graph.values().size()) {
    for (size_t i = 0; i < ops_.size(); ++i)
      for (const Value v : ops_[i].in) {
        std::vector<size_t>& list = readers_[Index(Root(v))];
        if (list.empty() || list.back() != i) list.push_back(i);
      }
  }

  void Run() {
    bool any = false;
    // From the end: of two that are added, the last one is the first whose gradient is due.
    for (size_t i = ops_.size(); i-- > 0;) {
      if (ops_[i].kernel != Kernel::kBatchNorm) continue;
      any = true;
      const size_t grad = ReaderOf(ops_[i].out[1], Kernel::kBatchNormGrad);  // the only one that reads its mean
      if (grad == kNone) continue;
      const size_t norm = AddResidual(i);
      AddRelu(norm, grad);
      AddPool(norm, grad);
      InFront(grad);
    }
    for (size_t i = 0; i < ops_.size(); ++i)
      if (ops_[i].kernel == Kernel::kMaxPoolGrad && !ops_[i].out.empty()) any = ReluBeforePool(i) || any;
    if (any) std::erase_if(ops_, [](const Op& op) { return op.out.empty(); });
  }

 private:
  static constexpr size_t kNone = static_cast<size_t>(-1);

  Value Root(Value v) const { return graph_.Root(v); }
  bool Same(Value a, Value b) const { return Root(a) == Root(b); }
  // Nothing but operations reads it, and it need not be somewhere in particular.
  bool Free(Value v) const {
    const ValueInfo& info = graph_.info(Root(v));
    return info.space == Space::kActivation && !info.keep;
  }
  // Whoever reads v, in order.
  std::vector<size_t> Readers(Value v) const {
    std::vector<size_t> list;
    for (const size_t i : readers_[Index(Root(v))]) {
      const bool reads = std::any_of(ops_[i].in.begin(), ops_[i].in.end(), [&](Value in) { return Same(in, v); });
      if (!ops_[i].out.empty() && reads) list.push_back(i);
    }
    std::sort(list.begin(), list.end());
    list.erase(std::unique(list.begin(), list.end()), list.end());
    return list;
  }
  size_t OnlyReader(Value v, Kernel kernel) const {
    const std::vector<size_t> list = Readers(v);
    return list.size() == 1 && Free(v) && ops_[list[0]].kernel == kernel ? list[0] : kNone;
  }
  size_t ReaderOf(Value v, Kernel kernel) const {
    for (const size_t i : Readers(v))
      if (ops_[i].kernel == kernel) return i;
    return kNone;
  }
  void Reads(size_t op, Value v) { readers_[Index(Root(v))].push_back(op); }

  // Plain relu or relu6, whose gradients are 1 inside and 0 at the ends: its limit, NaN if it has none.
  static bool IsRelu(const Op& op, float* limit) {
    const auto& a = op.attrs.as<UnaryAttrs>();
    if (a.formula != static_cast<uint16_t>(Formula::kRelu) || a.p[0] != 0 || a.p[2] != 0) return false;
    if (a.p[1] >= 0 && a.p[1] != 6) return false;
    *limit = a.p[1] < 0 ? std::nanf("") : a.p[1];
    return true;
  }

  // The batch-norm takes the place of the addition, where the residual exists: that place, or where it was.
  size_t AddResidual(size_t norm) {
    const Value y = ops_[norm].out[0];
    const size_t add = OnlyReader(y, Kernel::kBinary);
    if (add == kNone || ops_[add].attrs.as<BinaryAttrs>().op != BinaryOp::kAdd) return norm;
    const Values in = ops_[add].in;
    const Value residual = Same(in[0], y) ? in[1] : in[0], sum = ops_[add].out[0];
    if (Same(residual, y) || !(graph_.shape(residual) == graph_.shape(y)) || !(graph_.shape(sum) == graph_.shape(y)))
      return norm;
    Op op = std::move(ops_[norm]);
    ops_[norm].out.clear();
    op.attrs.as<BatchNormAttrs>().residual = true;
    op.in.push_back(residual);
    op.out[0] = sum;
    for (const Value v : op.in) Reads(add, v);
    ops_[add] = std::move(op);
    return add;
  }

  void AddRelu(size_t norm, size_t grad) {
    const Value y = ops_[norm].out[0];
    const size_t relu = OnlyReader(y, Kernel::kUnary);
    float limit;
    if (relu == kNone || !IsRelu(ops_[relu], &limit) || !(graph_.shape(ops_[relu].out[0]) == graph_.shape(y))) return;
    const Value out = ops_[relu].out[0];
    // Backward: dout -> dy. The gradient of batch-norm takes dout, and gives dy if somebody else wants that too.
    const size_t relu_grad = ReaderOf(out, Kernel::kUnaryGrad);
    if (relu_grad == kNone || !Same(ops_[relu_grad].in[0], out)) return;
    const Value dy = ops_[relu_grad].out[0], dout = ops_[relu_grad].in[1];
    float same;
    if (!IsRelu(ops_[relu_grad], &same) || !Free(dy) || !Same(ops_[grad].in[4], dy)) return;
    auto& attrs = ops_[norm].attrs.as<BatchNormAttrs>();
    const std::vector<size_t> wanted = Readers(dy);
    if (attrs.residual ? wanted.front() != grad : wanted.size() != 1) return;
    if (relu_grad > grad) return;

    attrs.relu = true, attrs.limit = limit;
    ops_[norm].out[0] = out;
    ops_[relu].out.clear();
    Op& g = ops_[grad];
    auto& of_grad = g.attrs.as<BatchNormAttrs>();
    of_grad.relu = true, of_grad.limit = limit, of_grad.residual = attrs.residual;
    g.in[4] = dout;
    g.in.push_back(attrs.residual ? out : ops_[norm].in[2]);
    if (attrs.residual) g.out.push_back(dy);
    Reads(grad, dout), Reads(grad, g.in.back());
    ops_[relu_grad].out.clear();
  }

  void AddPool(size_t norm, size_t grad) {
    auto& attrs = ops_[norm].attrs.as<BatchNormAttrs>();
    if (attrs.residual) return;
    // Where a relu has joined, its output was read by nobody but the pool either: the gradient finds it behind the
    // pool.
    const Value y = ops_[norm].out[0];
    size_t pool = kNone;
    for (const size_t i : Readers(y)) {
      if (ops_[i].kernel == Kernel::kMaxPool && pool == kNone) {
        pool = i;
      } else {
        return;
      }
    }
    if (pool == kNone || !Free(y) || ops_[pool].out.size() != 2) return;
    const PoolAttrs window = ops_[pool].attrs.as<PoolAttrs>();
    const Shape in = graph_.shape(y), out = graph_.shape(ops_[pool].out[0]);
    if (!(graph_.shape(ops_[norm].in[0]) == in) || in.rank() != 4) return;
    const bool side_by_side = window.stride_h == window.pool_h && window.stride_w == window.pool_w &&
                              window.pad_top == 0 && window.pad_left == 0 && window.pool_h * window.pool_w <= 256 &&
                              out[1] * window.pool_h <= in[1] && out[2] * window.pool_w <= in[2];
    if (!side_by_side) return;
    const Value index = ops_[pool].out[1], pooled = ops_[pool].out[0];
    const size_t pool_grad = ReaderOf(index, Kernel::kMaxPoolGrad);
    if (pool_grad == kNone || pool_grad > grad) return;
    const Value dy = ops_[pool_grad].out[0], dpooled = ops_[pool_grad].in[0];
    if (!Same(ops_[grad].in[4], dy) || OnlyReader(dy, Kernel::kBatchNormGrad) != grad) return;

    attrs.pool = true, attrs.window = window;
    ops_[norm].out[0] = pooled;
    ops_[norm].out.push_back(index);
    ops_[pool].out.clear();
    Op& g = ops_[grad];
    auto& of_grad = g.attrs.as<BatchNormAttrs>();
    of_grad.pool = true, of_grad.window = window;
    g.in[4] = dpooled;
    if (of_grad.relu) g.in[5] = pooled, Reads(grad, pooled);
    g.in.push_back(index);
    Reads(grad, dpooled), Reads(grad, index);
    ops_[pool_grad].out.clear();
  }

  // x came out of a relu: its gradient, and the sums for the bias in front of it, are taken on the way out.
  void InFront(size_t grad) {
    const Value x = ops_[grad].in[0], dx = ops_[grad].out[0];
    auto& attrs = ops_[grad].attrs.as<BatchNormAttrs>();
    const size_t relu_grad = OnlyReader(dx, Kernel::kUnaryGrad);
    if (relu_grad != kNone && Same(ops_[relu_grad].in[0], x) && IsRelu(ops_[relu_grad], &attrs.from_limit)) {
      attrs.from_relu = true;
      ops_[grad].out[0] = ops_[relu_grad].out[0];
      ops_[relu_grad].out.clear();
    }
    const size_t sums = ReaderOf(ops_[grad].out[0], Kernel::kColumnSum);
    if (sums == kNone || graph_.shape(ops_[sums].out[0]).count() != graph_.shape(x).back()) return;
    attrs.sums = true;
    Op& g = ops_[grad];
    g.out.insert(g.out.begin() + 3, ops_[sums].out[0]);
    ops_[sums].out.clear();
  }

  // MaxPoolGrad(dy, index) -> UnaryGrad(x, .) becomes UnaryGrad(y, dy) -> MaxPoolGrad(., index).
  bool ReluBeforePool(size_t pool_grad) {
    const Value dy = ops_[pool_grad].in[0], index = ops_[pool_grad].in[1], dx = ops_[pool_grad].out[0];
    const size_t relu_grad = OnlyReader(dx, Kernel::kUnaryGrad);
    size_t pool = kNone;
    for (size_t i = 0; i < ops_.size() && pool == kNone; ++i)
      if (ops_[i].kernel == Kernel::kMaxPool && ops_[i].out.size() == 2 && Same(ops_[i].out[1], index)) pool = i;
    float limit;
    if (relu_grad == kNone || pool == kNone || !IsRelu(ops_[relu_grad], &limit)) return false;
    if (!Same(ops_[relu_grad].in[0], ops_[pool].in[0]) || !Free(dy)) return false;
    const Value out = ops_[relu_grad].out[0], small = graph_.Like(dy);
    Op relu = ops_[relu_grad], pooled = ops_[pool_grad];
    relu.in = {ops_[pool].out[0], dy}, relu.out = {small};
    pooled.in[0] = small, pooled.out[0] = out;
    const size_t sums = ReaderOf(out, Kernel::kColumnSum);
    if (sums != kNone && graph_.shape(ops_[sums].out[0]).count() == graph_.shape(dy).back()) {
      const int64_t columns = graph_.shape(dy).back();
      ops_[sums].in[0] = graph_.Reshape(small, {graph_.shape(dy).count() / std::max<int64_t>(1, columns), columns});
    }
    ops_[pool_grad] = std::move(relu);
    ops_[relu_grad] = std::move(pooled);
    readers_.resize(graph_.values().size());
    Reads(pool_grad, ops_[pool].out[0]), Reads(pool_grad, dy), Reads(relu_grad, small);
    return true;
  }

  Graph& graph_;
  std::vector<Op>& ops_;
  std::vector<std::vector<size_t>> readers_;  // by root: operations, as they were or as they became
};

}  // namespace

void FuseBlocks(Graph& graph) { Fuser(graph).Run(); }

}  // namespace ingot
