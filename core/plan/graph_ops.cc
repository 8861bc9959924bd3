// SPDX-License-Identifier: MIT
//
// Elementwise operations, changes of shape, and sums across elements: what each does, and how a gradient goes back
// through it.
#include <algorithm>

#include "ingot/core/error.h"
#include "ingot/core/plan/graph.h"
#include "ingot/kernels/formulas.h"

namespace ingot {
namespace {

Shape BroadcastShape(const Shape& a, const Shape& b) {
  Shape out = a.rank() >= b.rank() ? a : b;
  const Shape& other = a.rank() >= b.rank() ? b : a;
  for (int i = 1; i <= other.rank(); ++i) {
    INGOT_CHECK(out[-i] == other[-i] || out[-i] == 1 || other[-i] == 1);
    if (out[-i] == 1) out[-i] = other[-i];
  }
  return out;
}

BoxAttrs Box(const Shape& extent) {
  BoxAttrs box{};
  box.rank = extent.rank();
  for (int i = 0; i < extent.rank(); ++i) box.extent[i] = static_cast<int32_t>(extent[i]);
  return box;
}

uint8_t AxisBits(std::span<const int> axes, int rank) {  // -1 is the last
  uint8_t bits = 0;
  for (const int axis : axes) bits = static_cast<uint8_t>(bits | (1u << (axis < 0 ? axis + rank : axis)));
  return bits;
}

}  // namespace

Value Graph::Unary(Value x, const UnaryAttrs& attrs, bool grad_from_output) {
  const Value of[] = {x};
  const Value y = Emit(Kernel::kUnary, of, {shape(x)}, attrs, true);
  OnBackward(y, of, [=](Graph& g, Value dy) {
    const Value in[] = {grad_from_output ? y : x, dy};
    g.AddGrad(x, g.Emit(Kernel::kUnaryGrad, in, {g.shape(x)}, attrs, true));
  });
  return y;
}

Value Graph::Binary(BinaryOp op, Value a, Value b) {
  const Value of[] = {a, b};
  const Value y =
      Emit(Kernel::kBinary, of, {BroadcastShape(shape(a), shape(b))}, BinaryAttrs{op, 0}, shape(a) == shape(b));
  OnBackward(y, of, [=](Graph& g, Value dy) {
    for (const uint8_t side : {uint8_t{0}, uint8_t{1}}) {
      const Value to = side ? b : a;
      if (!g.Needs(to)) continue;
      Value d = dy;
      if (op == BinaryOp::kSubtract && side == 1) {
        d = g.Unary(dy, {static_cast<uint16_t>(Formula::kAffine), {-1, 0, 0}}, false);
      } else if (op == BinaryOp::kMultiply) {
        d = g.Multiply(dy, side ? a : b);
      } else if (op != BinaryOp::kAdd && op != BinaryOp::kSubtract) {
        const Value in[] = {a, b, dy};
        d = g.Emit(Kernel::kBinaryGrad, in, {g.shape(y)}, BinaryAttrs{op, side});
      }
      g.AddGrad(to, g.ReduceTo(d, g.shape(to)));
    }
  });
  return y;
}

Value Graph::ReduceTo(Value x, const Shape& to) {
  const Shape from = shape(x);
  if (from == to) return x;
  std::vector<int> axes;
  for (int i = 0; i < from.rank(); ++i) {
    const int j = i - (from.rank() - to.rank());
    if (j < 0 || (to[j] == 1 && from[i] != 1)) axes.push_back(i);
  }
  return Reshape(axes.empty() ? x : Reduce(ReduceOp::kSum, x, axes, false), to);
}

Value Graph::Cast(Value x) {
  if (info(x).dtype == DType::kFloat32) return x;
  return Emit(Kernel::kCast, std::span<const Value>(&x, 1), {shape(x)});
}

Value Graph::Dropout(Value x, const DropoutAttrs& attrs) {
  const Value of[] = {x};
  const Value y = Emit(Kernel::kDropout, of, {shape(x)}, attrs, true);
  OnBackward(y, of, [=](Graph& g, Value dy) {  // the mask is drawn again, not kept
    g.AddGrad(x, g.Emit(Kernel::kDropout, std::span<const Value>(&dy, 1), {g.shape(x)}, attrs, true));
  });
  return y;
}

Value Graph::GaussianNoise(Value x, const DropoutAttrs& attrs) {
  const Value of[] = {x};
  const Value y = Emit(Kernel::kGaussianNoise, of, {shape(x)}, attrs, true);
  OnBackward(y, of, [=](Graph& g, Value dy) { g.AddGrad(x, dy); });
  return y;
}

Value Graph::Transpose(Value x, std::span<const int> axes) {
  PermuteAttrs attrs{}, back{};
  Shape out = shape(x);
  for (int i = 0; i < out.rank(); ++i) {
    attrs.axes[i] = static_cast<int8_t>(axes[static_cast<size_t>(i)]);
    back.axes[attrs.axes[i]] = static_cast<int8_t>(i);
    out[i] = shape(x)[attrs.axes[i]];
  }
  const Value of[] = {x};
  const Value y = Emit(Kernel::kTranspose, of, {out, info(x).dtype}, attrs);
  OnBackward(y, of, [=](Graph& g, Value dy) {
    g.AddGrad(x, g.Emit(Kernel::kTranspose, std::span<const Value>(&dy, 1), {g.shape(x)}, back));
  });
  return y;
}

Value Graph::Pad(Value x, std::span<const int64_t> before, const Shape& out, float fill) {
  BoxAttrs box = Box(shape(x));
  for (int i = 0; i < box.rank; ++i) box.to[i] = static_cast<int32_t>(before[static_cast<size_t>(i)]);
  const Value of[] = {x};
  const Value y = Emit(Kernel::kFill, {}, {out}, FillAttrs{fill});
  EmitInto(Kernel::kCopyBox, of, std::span<const Value>(&y, 1), box);
  const std::vector<int64_t> from(before.begin(), before.end());
  OnBackward(y, of, [=](Graph& g, Value dy) { g.AddGrad(x, g.Crop(dy, from, g.shape(x))); });
  return y;
}

Value Graph::Crop(Value x, std::span<const int64_t> from, const Shape& out) {
  BoxAttrs box = Box(out);
  for (int i = 0; i < box.rank; ++i) box.from[i] = static_cast<int32_t>(from[static_cast<size_t>(i)]);
  const Value of[] = {x};
  const Value y = Emit(Kernel::kCopyBox, of, {out, info(x).dtype}, box);
  const std::vector<int64_t> before(from.begin(), from.end());
  OnBackward(y, of, [=](Graph& g, Value dy) { g.AddGrad(x, g.Pad(dy, before, g.shape(x))); });
  return y;
}

Value Graph::Concat(std::span<const Value> parts, int axis) {
  Shape out = shape(parts[0]);
  out[axis] = 0;
  for (const Value part : parts) out[axis] += shape(part)[axis];
  const Value y = New({out, info(parts[0]).dtype});
  std::vector<int64_t> at(static_cast<size_t>(out.rank()), 0);
  std::vector<int64_t> starts;
  for (const Value part : parts) {
    BoxAttrs box = Box(shape(part));
    box.to[axis] = static_cast<int32_t>(at[static_cast<size_t>(axis)]);
    EmitInto(Kernel::kCopyBox, std::span<const Value>(&part, 1), std::span<const Value>(&y, 1), box);
    starts.push_back(at[static_cast<size_t>(axis)]);
    at[static_cast<size_t>(axis)] += shape(part)[axis];
  }
  const Values of(parts.begin(), parts.end());
  OnBackward(y, parts, [=](Graph& g, Value dy) {
    for (size_t i = 0; i < of.size(); ++i) {
      if (!g.Needs(of[i])) continue;
      std::vector<int64_t> from(static_cast<size_t>(g.shape(y).rank()), 0);
      from[static_cast<size_t>(axis)] = starts[i];
      g.AddGrad(of[i], g.Crop(dy, from, g.shape(of[i])));
    }
  });
  return y;
}

Value Graph::Broadcast(Value x, const Shape& out) {
  if (shape(x) == out) return x;
  const Value of[] = {x};
  const Value y = Emit(Kernel::kBroadcast, of, {out});
  OnBackward(y, of, [=](Graph& g, Value dy) { g.AddGrad(x, g.ReduceTo(dy, g.shape(x))); });
  return y;
}

Value Graph::Reduce(ReduceOp op, Value x, std::span<const int> axes, bool keepdims) {
  const uint8_t bits = AxisBits(axes, shape(x).rank());
  Shape kept = shape(x), dropped;
  double reduced = 1;
  for (int i = 0; i < shape(x).rank(); ++i) {
    if (bits >> i & 1) {
      kept[i] = 1;
      reduced *= static_cast<double>(shape(x)[i]);
    } else {
      dropped.push_back(shape(x)[i]);
    }
  }
  const Value of[] = {x};
  const ReduceAttrs attrs{op, bits};
  const Value y = Emit(Kernel::kReduce, of, {keepdims ? kept : dropped}, attrs);
  OnBackward(y, of, [=](Graph& g, Value dy) {
    if (op == ReduceOp::kMax) {
      const Value in[] = {x, y, dy};
      g.AddGrad(x, g.Emit(Kernel::kReduceMaxGrad, in, {g.shape(x)}, attrs));
      return;
    }
    Value d = g.Reshape(dy, kept);
    if (op == ReduceOp::kMean)
      d = g.Unary(d, {static_cast<uint16_t>(Formula::kAffine), {static_cast<float>(1 / reduced), 0, 0}}, false);
    g.AddGrad(x, g.Broadcast(d, g.shape(x)));
  });
  return y;
}

Value Graph::Softmax(Value x, int axis) {
  const Value of[] = {x};
  const Value y = Emit(Kernel::kSoftmax, of, {shape(x)}, AxisAttrs{axis}, true);
  OnBackward(y, of, [=](Graph& g, Value dy) {
    const Value in[] = {y, dy};
    g.AddGrad(x, g.Emit(Kernel::kSoftmaxGrad, in, {g.shape(x)}, AxisAttrs{axis}, true));
  });
  return y;
}

Value Graph::LogSoftmax(Value x, int axis) {
  const Value of[] = {x};
  const Value y = Emit(Kernel::kLogSoftmax, of, {shape(x)}, AxisAttrs{axis}, true);
  OnBackward(y, of, [=](Graph& g, Value dy) {
    const Value in[] = {y, dy};
    g.AddGrad(x, g.Emit(Kernel::kLogSoftmaxGrad, in, {g.shape(x)}, AxisAttrs{axis}, true));
  });
  return y;
}

Value Graph::Normalize(Value x, float epsilon) {
  const Value of[] = {x};
  const NormAttrs attrs{epsilon, 0};
  const Value y = New({shape(x)}), rstd = New({Shape{shape(x)[0]}});
  const Value out[] = {y, rstd};
  EmitInto(Kernel::kNormalize, of, out, attrs);
  OnBackward(y, of, [=](Graph& g, Value dy) {
    const Value in[] = {y, rstd, dy};
    g.AddGrad(x, g.Emit(Kernel::kNormalizeGrad, in, {g.shape(x)}, attrs));
  });
  return y;
}

// Batch statistics over all axes but the last; or the moving ones, which makes it an affine map of each channel:
// y = (x - mean) * gamma * rstd + beta.
Value Graph::BatchNorm(Value x, const BatchNormWeights& w, const NormAttrs& attrs, bool of_batch) {
  const Value of[] = {x, w.gamma, w.beta};
  const Value in[] = {x, w.gamma, w.beta, w.mean, w.variance};
  if (of_batch) {
    const Shape channels{shape(x).back()};
    const Value y = New({shape(x)}), mean = New({channels}), rstd = New({channels});
    const Value out[] = {y, mean, rstd};
    EmitInto(Kernel::kBatchNorm, in, out, BatchNormAttrs{attrs});
    OnBackward(y, of, [=](Graph& g, Value dy) {
      const Value grad_in[] = {x, w.gamma, mean, rstd, dy};
      const Value dx = g.New({g.shape(x)}), dgamma = g.New({channels}), dbeta = g.New({channels});
      const Value grad_out[] = {dx, dgamma, dbeta};
      g.EmitInto(Kernel::kBatchNormGrad, grad_in, grad_out, BatchNormAttrs{attrs}, true);
      g.AddGrad(x, dx);
      g.AddGrad(w.gamma, dgamma);
      g.AddGrad(w.beta, dbeta);
    });
    return y;
  }
  const Value y = Emit(Kernel::kBatchNormInfer, in, {shape(x)}, attrs, true);
  OnBackward(y, of, [=](Graph& g, Value dy) {
    // Frozen statistics: rare (fine-tuning), so composed of what is there. rstd = 1 / sqrt(variance + epsilon).
    const auto rsqrt = static_cast<uint16_t>(Formula::kRsqrt);
    const auto affine = static_cast<uint16_t>(Formula::kAffine);
    const Value rstd = g.Unary(g.Unary(w.variance, {affine, {1, attrs.epsilon, 0}}, false), {rsqrt, {}}, false);
    if (g.Needs(x)) g.AddGrad(x, g.Multiply(dy, g.Multiply(rstd, w.gamma)));
    if (g.Needs(w.gamma)) {
      const Value normal = g.Multiply(g.Subtract(x, w.mean), rstd);
      g.AddGrad(w.gamma, g.ReduceTo(g.Multiply(dy, normal), g.shape(w.gamma)));
    }
    if (g.Needs(w.beta)) g.AddGrad(w.beta, g.ReduceTo(dy, g.shape(w.beta)));
  });
  return y;
}

Value Graph::ElementLoss(Value truth, Value pred, const LossAttrs& attrs) {
  const Value of[] = {pred};
  const Value in[] = {truth, pred};
  const Value y = Emit(Kernel::kElementLoss, in, {shape(pred).part(0, shape(pred).rank() - 1)}, attrs);
  OnBackward(y, of, [=](Graph& g, Value dy) {
    const Value grad_in[] = {truth, pred, dy};
    g.AddGrad(pred, g.Emit(Kernel::kElementLossGrad, grad_in, {g.shape(pred)}, attrs));
  });
  return y;
}

Value Graph::Crossentropy(Value truth, Value pred, const CrossentropyAttrs& attrs) {
  const Value of[] = {pred};
  const Value in[] = {truth, pred};
  const Value loss = New({shape(pred).part(0, shape(pred).rank() - 1)});
  // From logits the kernel leaves the softmax for the gradient; probabilities serve as they are.
  const bool keeps = attrs.from_logits && Needs(pred);
  const Value p = keeps ? New({shape(pred)}) : pred;
  const Value out[] = {loss, p};
  EmitInto(Kernel::kCrossentropy, in, std::span<const Value>(out, keeps ? 2 : 1), attrs);
  OnBackward(loss, of, [=](Graph& g, Value dy) {
    const Value grad_in[] = {truth, p, dy};
    g.AddGrad(pred, g.Emit(Kernel::kCrossentropyGrad, grad_in, {g.shape(pred)}, attrs, false));
  });
  return loss;
}

Value Graph::LossReduce(Value loss, Value weight, const ReductionAttrs& reduction, Value into, Value mask) {
  ReductionAttrs attrs = reduction;
  attrs.masked = static_cast<bool>(mask);
  const Value of[] = {loss};
  Values in{loss};
  if (weight) in.push_back(weight);
  if (mask) in.push_back(mask);
  EmitInto(Kernel::kLossReduce, in, std::span<const Value>(&into, 1), attrs);
  OnBackward(into, of, [=](Graph& g, Value dy) {
    Values grad_in = in;
    grad_in[0] = dy;
    g.AddGrad(loss, g.Emit(Kernel::kLossReduceGrad, grad_in, {g.shape(loss)}, attrs));
  });
  return into;
}

Value Graph::PenaltyOf(Value w, const PenaltyAttrs& attrs, Value into) {
  const Value of[] = {w};
  EmitInto(Kernel::kPenalty, of, std::span<const Value>(&into, 1), attrs);
  OnBackward(into, of, [=](Graph& g, Value dy) {
    const Value zero = g.Emit(Kernel::kFill, {}, {g.shape(w)}, FillAttrs{0});
    const Value in[] = {w, zero, dy};
    g.AddGrad(w, g.Emit(Kernel::kPenaltyGrad, in, {g.shape(w)}, attrs));
  });
  return into;
}

}  // namespace ingot
