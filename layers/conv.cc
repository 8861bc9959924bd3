// SPDX-License-Identifier: MIT
#include "ingot/layers/conv.h"

#include <algorithm>

#include "ingot/layers/layers.h"

namespace ingot {
namespace {

// What the four have in common: a window, an activation and a bias.
class ConvBase : public WindowLayer {
 protected:
  ConvBase(int rank, const Size2& size, const Size2& strides, std::string padding, const Size2& dilation)
      : WindowLayer(rank), window{size, strides, dilation, std::move(padding)} {
    Flatten(window);
  }

  void DescribeWindow(Fields& f) {
    DescribeSize(f, "kernel_size", window.size, rank_);
    DescribeSize(f, "strides", window.strides, rank_);
    DescribePadding(f, window.padding);
    DescribeDataFormat(f);
    DescribeSize(f, "dilation_rate", window.dilation, rank_);
  }

  void CheckFilters(const char* what, int64_t filters) const {
    if (filters <= 0) fail(what, " is ", filters, ", a positive number was expected");
  }
  void CheckWindow(bool causal = false) { Check(window, "kernel_size", causal); }
  // Keras refuses it for Conv and ConvTranspose, not for the depthwise ones.
  void CheckDilation() const {
    if (std::max(window.strides.h, window.strides.w) > 1 && std::max(window.dilation.h, window.dilation.w) > 1)
      fail("strides ", window.strides, " and dilation_rate ", window.dilation,
           " are both above 1; Keras allows only one of them");
  }
  void CheckChannels(const Shape& in, int64_t expected) const {
    if (in.back() != expected)
      fail("the input ", in, " has ", in.back(), " channels, the kernel expects ", expected,
           "; was the layer built for another input?");
  }

  ConvAttrs AttrsFor(const Places& at, int64_t groups) const {
    const auto i32 = [](int64_t v) { return static_cast<int32_t>(v); };
    return {.stride_h = i32(window.strides.h),
            .stride_w = i32(window.strides.w),
            .dilation_h = i32(window.dilation.h),
            .dilation_w = i32(window.dilation.w),
            .groups = i32(groups),
            .pad_top = at.pad_top,
            .pad_left = at.pad_left};
  }
  Value BiasOf(Graph& g) const { return bias ? weight(g, bias) : Value{}; }

  Window window;
  VariablePtr kernel, bias;
};

struct ConvLayer : ConvBase {
  int64_t filters;
  ConvOptions o;

  ConvLayer(int rank, int64_t filters_, const Size2& size, const ConvOptions& options)
      : ConvBase(rank, size, options.strides, options.padding, options.dilation_rate), filters(filters_), o(options) {
    activity = o.activity_regularizer;
  }

  std::string class_name() const override { return rank_ == 1 ? "Conv1D" : "Conv2D"; }

  void fields(Fields& f) override {
    f("filters", filters);
    DescribeWindow(f);
    f("groups", o.groups);
    f("activation", o.activation);
    f("use_bias", o.use_bias);
    f("kernel_initializer", o.kernel_initializer);
    f("bias_initializer", o.bias_initializer);
    f("kernel_regularizer", o.kernel_regularizer);
    f("bias_regularizer", o.bias_regularizer);
    f("activity_regularizer", o.activity_regularizer);
    f.null("kernel_constraint");
    f.null("bias_constraint");
    activity = o.activity_regularizer;
  }

  Shape build(const Shape& in) override {
    CheckFilters("filters", filters);
    CheckFilters("groups", o.groups);
    if (filters % o.groups) fail("filters (", filters, ") must be divisible by groups (", o.groups, ")");
    CheckWindow(rank_ == 1);
    CheckDilation();
    o.activation.Check(label());
    const Shape image = Image(in);
    if (in.back() != kNone && in.back() % o.groups)
      fail("the input ", in, " has ", in.back(), " channels, which must be divisible by groups (", o.groups, ")");
    const Places at = Slide(image, window);
    if (!kernel) {
      const int64_t depth = in.back() == kNone ? kNone : in.back() / o.groups;
      const Shape shape{window.size.h, window.size.w, depth, filters};  // (KH, KW, C / groups, K)
      kernel = add_weight("kernel", rank_ == 1 ? shape.from(1) : shape, o.kernel_initializer, o.kernel_regularizer);
      if (o.use_bias) bias = add_weight("bias", {filters}, o.bias_initializer, o.bias_regularizer);
    }
    CheckChannels(in, kernel->shape[-2] * o.groups);
    return o.activation.Out(FromImage({image[0], at.h, at.w, filters}), label());
  }

  Value call(Graph& g, Value x) override {
    const Value image = Image(g, x);
    const Shape in = g.shape(image);
    const Places at = Slide(in, window);
    const Value w = g.Reshape(weight(g, kernel), {window.size.h, window.size.w, in.back() / o.groups, filters});
    const Value y = g.Conv2D(image, w, BiasOf(g), AttrsFor(at, o.groups), {in[0], at.h, at.w, filters});
    return o.activation(g, FromImage(g, y));
  }
};

// A convolution run backwards: its input takes the place of a convolution's output. In a convolution of `out`
// elements padded by `before`, element i of the input meets, at place p, tap k = i + before - p * stride of the
// span. Keras (its JAX backend) spreads the input by the stride, pads it by `left` and `right`, and slides the
// mirrored kernel over it, which is that convolution with before = span - 1 - left; and the output has
// (in - 1) * stride + 1 + left + right - (span - 1) elements.
struct Conv2DTransposeLayer : ConvBase {
  int64_t filters;
  Conv2DTransposeOptions o;

  Conv2DTransposeLayer(int64_t filters_, const Size2& size, const Conv2DTransposeOptions& options)
      : ConvBase(2, size, options.strides, options.padding, options.dilation_rate), filters(filters_), o(options) {
    activity = o.activity_regularizer;
  }

  std::string class_name() const override { return "Conv2DTranspose"; }

  void fields(Fields& f) override {
    f("filters", filters);
    DescribeSize(f, "kernel_size", window.size, rank_);
    DescribeSize(f, "strides", window.strides, rank_);
    DescribePadding(f, window.padding);
    if (!f.reading() && o.output_padding.none())
      f.null("output_padding");
    else
      DescribeSize(f, "output_padding", o.output_padding, rank_);
    DescribeDataFormat(f);
    DescribeSize(f, "dilation_rate", window.dilation, rank_);
    DescribeNoGroups(f);
    f("activation", o.activation);
    f("use_bias", o.use_bias);
    f("kernel_initializer", o.kernel_initializer);
    f("bias_initializer", o.bias_initializer);
    f("kernel_regularizer", o.kernel_regularizer);
    f("bias_regularizer", o.bias_regularizer);
    f("activity_regularizer", o.activity_regularizer);
    f.null("kernel_constraint");
    f.null("bias_constraint");
    activity = o.activity_regularizer;
  }

  Shape build(const Shape& in) override {
    CheckFilters("filters", filters);
    CheckWindow();
    CheckDilation();
    o.activation.Check(label());
    const Size2 extra = o.output_padding;
    if (!extra.none() && (std::min(extra.h, extra.w) < 0 || extra.h >= window.strides.h || extra.w >= window.strides.w))
      fail("output_padding is ", extra, ", numbers from 0 to below strides ", window.strides, " were expected");
    Image(in);
    const Places at = Spread(in);
    if (!kernel) {
      kernel = add_weight("kernel", {window.size.h, window.size.w, filters, in.back()}, o.kernel_initializer,
                          o.kernel_regularizer);
      if (o.use_bias) bias = add_weight("bias", {filters}, o.bias_initializer, o.bias_regularizer);
    }
    CheckChannels(in, kernel->shape.back());
    return o.activation.Out({in[0], at.h, at.w, filters}, label());
  }

  Value call(Graph& g, Value x) override {
    const Shape in = g.shape(x);
    const Places at = Spread(in);
    const Value y = g.Conv2DTranspose(x, weight(g, kernel), BiasOf(g), AttrsFor(at, 1), {in[0], at.h, at.w, filters});
    return o.activation(g, y);
  }

 private:
  struct Along {
    int64_t out, before;
  };
  Along SpreadAlong(int64_t in, int64_t span, int64_t stride, int64_t extra) const {
    int64_t left = span - 1, total = 0;  // total = left + right
    if (window.padding == "valid") {
      total = 2 * (span - 1) + (extra == kNone ? std::max(span, stride) - span : extra);
    } else {
      total = extra == kNone ? stride + span - 2 : span + span % 2 - 2 + extra;
      left = std::min((total + 1) / 2, span - 1);
    }
    return {in == kNone ? kNone : (in - 1) * stride + 1 + total - (span - 1), span - 1 - left};
  }
  Places Spread(const Shape& in) const {
    const Size2 span = window.span(), extra = o.output_padding;
    const Along h = SpreadAlong(in[1], span.h, window.strides.h, extra.h);
    const Along w = SpreadAlong(in[2], span.w, window.strides.w, extra.w);
    if ((in[1] != kNone && (in[1] == 0 || h.out <= 0)) || (in[2] != kNone && (in[2] == 0 || w.out <= 0)))
      fail("the output for the input ", in, " would be empty; use a larger input or output_padding");
    return {h.out, w.out, static_cast<int32_t>(h.before), static_cast<int32_t>(w.before)};
  }
};

struct DepthwiseConv2DLayer : ConvBase {
  DepthwiseConv2DOptions o;

  DepthwiseConv2DLayer(const Size2& size, const DepthwiseConv2DOptions& options)
      : ConvBase(2, size, options.strides, options.padding, options.dilation_rate), o(options) {
    activity = o.activity_regularizer;
  }

  std::string class_name() const override { return "DepthwiseConv2D"; }

  void fields(Fields& f) override {
    f("depth_multiplier", o.depth_multiplier);
    DescribeWindow(f);
    DescribeNoGroups(f);
    f("activation", o.activation);
    f("use_bias", o.use_bias);
    f("depthwise_initializer", o.depthwise_initializer);
    f("bias_initializer", o.bias_initializer);
    f("depthwise_regularizer", o.depthwise_regularizer);
    f("bias_regularizer", o.bias_regularizer);
    f("activity_regularizer", o.activity_regularizer);
    f.null("depthwise_constraint");
    f.null("bias_constraint");
    activity = o.activity_regularizer;
  }

  Shape build(const Shape& in) override {
    CheckFilters("depth_multiplier", o.depth_multiplier);
    CheckWindow();
    o.activation.Check(label());
    const Places at = Slide(Image(in), window);
    if (!kernel) {
      kernel = add_weight("kernel", {window.size.h, window.size.w, in.back(), o.depth_multiplier},
                          o.depthwise_initializer, o.depthwise_regularizer);
      if (o.use_bias)
        bias = add_weight("bias", {in.back() * o.depth_multiplier}, o.bias_initializer, o.bias_regularizer);
    }
    CheckChannels(in, kernel->shape[2]);
    return o.activation.Out({in[0], at.h, at.w, in.back() * o.depth_multiplier}, label());
  }

  Value call(Graph& g, Value x) override {
    const Shape in = g.shape(x);
    const Places at = Slide(in, window);
    const Shape out{in[0], at.h, at.w, in.back() * o.depth_multiplier};
    return o.activation(g, g.Depthwise(x, weight(g, kernel), BiasOf(g), AttrsFor(at, in.back()), out));
  }
};

struct SeparableConv2DLayer : ConvBase {
  int64_t filters;
  SeparableConv2DOptions o;
  VariablePtr pointwise;  // kernel is the depthwise one

  SeparableConv2DLayer(int64_t filters_, const Size2& size, const SeparableConv2DOptions& options)
      : ConvBase(2, size, options.strides, options.padding, options.dilation_rate), filters(filters_), o(options) {
    activity = o.activity_regularizer;
  }

  std::string class_name() const override { return "SeparableConv2D"; }

  void fields(Fields& f) override {
    f("depth_multiplier", o.depth_multiplier);
    f("filters", filters);
    DescribeWindow(f);
    DescribeNoGroups(f);
    f("activation", o.activation);
    f("use_bias", o.use_bias);
    f("depthwise_initializer", o.depthwise_initializer);
    f("pointwise_initializer", o.pointwise_initializer);
    f("bias_initializer", o.bias_initializer);
    f("depthwise_regularizer", o.depthwise_regularizer);
    f("pointwise_regularizer", o.pointwise_regularizer);
    f("bias_regularizer", o.bias_regularizer);
    f("activity_regularizer", o.activity_regularizer);
    f.null("depthwise_constraint");
    f.null("pointwise_constraint");
    f.null("bias_constraint");
    f.ignore("kernel_initializer");  // Keras 2 wrote it and never used it
    activity = o.activity_regularizer;
  }

  Shape build(const Shape& in) override {
    CheckFilters("filters", filters);
    CheckFilters("depth_multiplier", o.depth_multiplier);
    CheckWindow();
    o.activation.Check(label());
    const Places at = Slide(Image(in), window);
    if (!kernel) {
      kernel = add_weight("depthwise_kernel", {window.size.h, window.size.w, in.back(), o.depth_multiplier},
                          o.depthwise_initializer, o.depthwise_regularizer);
      pointwise = add_weight("pointwise_kernel", {1, 1, in.back() * o.depth_multiplier, filters},
                             o.pointwise_initializer, o.pointwise_regularizer);
      if (o.use_bias) bias = add_weight("bias", {filters}, o.bias_initializer, o.bias_regularizer);
    }
    CheckChannels(in, kernel->shape[2]);
    return o.activation.Out({in[0], at.h, at.w, filters}, label());
  }

  Value call(Graph& g, Value x) override {
    const Shape in = g.shape(x);
    const Places at = Slide(in, window);
    const Shape deep{in[0], at.h, at.w, in.back() * o.depth_multiplier};
    const Value y = g.Depthwise(x, weight(g, kernel), {}, AttrsFor(at, in.back()), deep);
    return o.activation(g, g.Conv2D(y, weight(g, pointwise), BiasOf(g), ConvAttrs{}, deep.with(-1, filters)));
  }
};

}  // namespace

Layer Conv1D(int64_t filters, int64_t kernel_size, const ConvOptions& options) {
  return MakeLayer<ConvLayer>(options.name, 1, filters, kernel_size, options);
}
Layer Conv2D(int64_t filters, const Size2& kernel_size, const ConvOptions& options) {
  return MakeLayer<ConvLayer>(options.name, 2, filters, kernel_size, options);
}
Layer Conv2DTranspose(int64_t filters, const Size2& kernel_size, const Conv2DTransposeOptions& options) {
  return MakeLayer<Conv2DTransposeLayer>(options.name, filters, kernel_size, options);
}
Layer DepthwiseConv2D(const Size2& kernel_size, const DepthwiseConv2DOptions& options) {
  return MakeLayer<DepthwiseConv2DLayer>(options.name, kernel_size, options);
}
Layer SeparableConv2D(int64_t filters, const Size2& kernel_size, const SeparableConv2DOptions& options) {
  return MakeLayer<SeparableConv2DLayer>(options.name, filters, kernel_size, options);
}

using Def = std::shared_ptr<LayerDef>;
const LayerClass kConv1DClass = {"Conv1D", [] { return Def(new ConvLayer(1, 1, 1, {})); }};
const LayerClass kConv2DClass = {"Conv2D", [] { return Def(new ConvLayer(2, 1, 1, {})); }};
const LayerClass kConv2DTransposeClass = {"Conv2DTranspose", [] { return Def(new Conv2DTransposeLayer(1, 1, {})); }};
const LayerClass kDepthwiseConv2DClass = {"DepthwiseConv2D", [] { return Def(new DepthwiseConv2DLayer(1, {})); }};
const LayerClass kSeparableConv2DClass = {"SeparableConv2D", [] { return Def(new SeparableConv2DLayer(1, 1, {})); }};

}  // namespace ingot
