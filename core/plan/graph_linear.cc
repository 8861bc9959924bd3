// SPDX-License-Identifier: MIT
//
// Matrix products, convolutions, pooling, gathering and resampling. All are linear (pooling piecewise), so each one's
// gradient is another of the same family.
#include "ingot/core/error.h"
#include "ingot/core/plan/graph.h"
#include "ingot/kernels/formulas.h"

namespace ingot {
namespace {

struct LinearKernels {
  Kernel forward, grad_input, grad_kernel;
};
constexpr LinearKernels kConv{Kernel::kConv2D, Kernel::kConv2DGradInput, Kernel::kConv2DGradKernel};
constexpr LinearKernels kDepthwise{Kernel::kDepthwise, Kernel::kDepthwiseGradInput, Kernel::kDepthwiseGradKernel};

Values WithBias(Value a, Value b, Value bias) {
  Values in{a, b};
  if (bias) in.push_back(bias);
  return in;
}

// The gradient of a bias along the last axis: sums over all others.
void AddBiasGrad(Graph& g, Value bias, Value dy) {
  if (!g.Needs(bias)) return;
  const int64_t n = g.shape(bias).count();
  const Value rows = g.Reshape(dy, {g.shape(dy).count() / std::max<int64_t>(1, n), n});
  g.AddGrad(bias, g.Emit(Kernel::kColumnSum, std::span<const Value>(&rows, 1), {g.shape(bias)}));
}

// Zeros around an image are as good as padding, which costs nothing, and the gradient goes to what is within.
Value Convolve(Graph& g, const LinearKernels& kernels, Value x, Value w, Value bias, ConvAttrs attrs,
               const Shape& out) {
  int32_t top = 0, left = 0;
  if (const Value inner = g.Unpadded(x, top, left)) x = inner, attrs.pad_top += top, attrs.pad_left += left;
  const Value of[] = {x, w, bias};
  const Value y = g.Emit(kernels.forward, WithBias(x, w, bias), {out}, attrs);
  g.OnBackward(y, of, [=](Graph& h, Value dy) {
    const Value dy_w[] = {dy, w}, x_dy[] = {x, dy};
    if (h.Needs(w)) h.AddGrad(w, h.Emit(kernels.grad_kernel, x_dy, {h.shape(w)}, attrs));
    AddBiasGrad(h, bias, dy);
    if (h.Needs(x)) h.AddGrad(x, h.Emit(kernels.grad_input, dy_w, {h.shape(x)}, attrs));
  });
  return y;
}

// Whether y = f(x) is never below 0, and its slope is 0 where y is 0.
bool IsNonNegative(const UnaryAttrs& f) {
  return f.formula == static_cast<uint16_t>(Formula::kRelu) && f.p[0] == 0 && f.p[1] != 0 && f.p[2] == 0;
}

}  // namespace

Value Graph::Gemm(Value a, Value b, bool trans_a, bool trans_b, Value bias) {
  const int64_t m = shape(a)[trans_a ? 1 : 0], n = shape(b)[trans_b ? 0 : 1];
  INGOT_CHECK(shape(a)[trans_a ? 0 : 1] == shape(b)[trans_b ? 1 : 0]);
  const Value of[] = {a, b, bias};
  const Value c = Emit(Kernel::kGemm, WithBias(a, b, bias), {{m, n}}, GemmAttrs{trans_a, trans_b, {}});
  OnBackward(c, of, [=](Graph& g, Value dc) {
    // c = a b: da = dc b', db = a' dc; with either transposed, so is its gradient.
    if (g.Needs(b)) g.AddGrad(b, trans_b ? g.Gemm(dc, a, true, trans_a) : g.Gemm(a, dc, !trans_a, false));
    AddBiasGrad(g, bias, dc);
    if (g.Needs(a)) g.AddGrad(a, trans_a ? g.Gemm(b, dc, trans_b, true) : g.Gemm(dc, b, false, !trans_b));
  });
  return c;
}

Value Graph::Conv2D(Value x, Value w, Value bias, const ConvAttrs& attrs, const Shape& out) {
  return Convolve(*this, kConv, x, w, bias, attrs, out);
}

Value Graph::Depthwise(Value x, Value w, Value bias, const ConvAttrs& attrs, const Shape& out) {
  return Convolve(*this, kDepthwise, x, w, bias, attrs, out);
}

// A transposed convolution runs a convolution backwards: attrs and w describe the one from y to x.
Value Graph::Conv2DTranspose(Value x, Value w, Value bias, const ConvAttrs& attrs, const Shape& out) {
  const Value xw[] = {x, w};
  const Value of[] = {x, w};
  const Value y = Emit(Kernel::kConv2DGradInput, xw, {out}, attrs);
  OnBackward(y, of, [=](Graph& g, Value dy) {
    const Value dy_w[] = {dy, w}, dy_x[] = {dy, x};
    if (g.Needs(w)) g.AddGrad(w, g.Emit(Kernel::kConv2DGradKernel, dy_x, {g.shape(w)}, attrs));
    if (g.Needs(x)) g.AddGrad(x, g.Emit(Kernel::kConv2D, dy_w, {g.shape(x)}, attrs));
  });
  return bias ? Add(y, bias) : y;
}

// The zeros around an image count as values here, where padding does not; but beside what comes from a ReLU they never
// win alone. Where one is as large as what is within, the gradient may go to either: ReLU passes none on where it is 0.
Value Graph::MaxPool(Value x, const PoolAttrs& pool, const Shape& out) {
  PoolAttrs attrs = pool;
  int32_t top = 0, left = 0;
  Attrs relu;
  const Value inner = Unpadded(x, top, left);
  if (inner && MadeBy(inner, Kernel::kUnary, &relu) && IsNonNegative(relu.as<UnaryAttrs>()))
    x = inner, attrs.pad_top += top, attrs.pad_left += left;
  const Value of[] = {x};
  // Which position of its window each maximum came from: a byte, or as many as the window needs.
  const int64_t positions = int64_t{attrs.pool_h} * attrs.pool_w;
  const int64_t bytes = positions <= 256 ? 1 : positions <= 65536 ? 2 : 4;
  const Value y = New({out}), index = New({out.with(-1, out.back() * bytes), DType::kUint8});
  const Value both[] = {y, index};
  EmitInto(Kernel::kMaxPool, of, std::span<const Value>(both, Needs(x) ? 2 : 1), attrs);
  OnBackward(y, of, [=](Graph& g, Value dy) {
    const Value in[] = {dy, index};
    g.AddGrad(x, g.Emit(Kernel::kMaxPoolGrad, in, {g.shape(x)}, attrs));
  });
  return y;
}

Value Graph::AvgPool(Value x, const PoolAttrs& attrs, const Shape& out) {
  const Value of[] = {x};
  const Value y = Emit(Kernel::kAvgPool, of, {out}, attrs);
  OnBackward(y, of, [=](Graph& g, Value dy) {
    g.AddGrad(x, g.Emit(Kernel::kAvgPoolGrad, std::span<const Value>(&dy, 1), {g.shape(x)}, attrs));
  });
  return y;
}

Value Graph::Gather(Value table, Value ids) {
  Shape out = shape(ids);
  out.push_back(shape(table)[1]);
  const Value of[] = {table}, in[] = {table, ids};
  const Value y = Emit(Kernel::kGather, in, {out});
  OnBackward(y, of, [=](Graph& g, Value dy) {
    const Value grad_in[] = {ids, dy};
    g.AddGrad(table, g.Emit(Kernel::kScatterAdd, grad_in, {g.shape(table)}));
  });
  return y;
}

// Rows and columns are mixed apart. For each row of the output, `h` holds taps_h pairs: the input row (as a float)
// and its share; likewise `w` for columns.
Value Graph::Resample(Value x, const Shape& out, int taps_h, std::span<const float> h, int taps_w,
                      std::span<const float> w) {
  const Value of[] = {x};
  const ResampleAttrs attrs{taps_h, taps_w};
  const Value rows = Constant({out[1], taps_h, 2}, h), columns = Constant({out[2], taps_w, 2}, w);
  const Value in[] = {x, rows, columns};
  const Value y = Emit(Kernel::kResample, in, {out}, attrs);
  OnBackward(y, of, [=](Graph& g, Value dy) {
    const Value grad_in[] = {dy, rows, columns};
    g.AddGrad(x, g.Emit(Kernel::kResampleGrad, grad_in, {g.shape(x)}, attrs));
  });
  return y;
}

}  // namespace ingot
