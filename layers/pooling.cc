// SPDX-License-Identifier: MIT
#include "ingot/layers/pooling.h"

#include "ingot/layers/layers.h"

namespace ingot {
namespace {

// The gradient of a maximum needs the position it came from, which is kept in one byte.
constexpr int64_t kMostPositions = 256;

struct PoolingLayer : WindowLayer {
  bool max;
  Window window;

  PoolingLayer(int rank, bool max_, const Size2& size, const PoolingOptions& o)
      : WindowLayer(rank), max(max_), window{size, o.strides.none() ? size : o.strides, 1, o.padding} {
    Flatten(window);
  }

  std::string class_name() const override { return Text(max ? "Max" : "Average", "Pooling", rank_, "D"); }

  void fields(Fields& f) override {
    DescribeSize(f, "pool_size", window.size, rank_);
    DescribePadding(f, window.padding);
    if (f.reading()) window.strides = window.size;  // None
    DescribeSize(f, "strides", window.strides, rank_);
    DescribeDataFormat(f);
  }

  Shape build(const Shape& in) override {
    Check(window, "pool_size", false);
    const Shape image = Image(in);
    if (max && std::max(window.size.h, window.size.w) > kMostPositions)
      fail("pool_size is ", window.size, "; a maximum is taken over at most ", kMostPositions,
           " elements along an axis. Pool in two steps, or over the whole input with GlobalMaxPooling", rank_, "D");
    const Places at = Slide(image, window);
    return FromImage({image[0], at.h, at.w, image[3]});
  }

  Value call(Graph& g, Value x) override {
    Value y = Image(g, x);
    if (!max) return FromImage(g, Pool(g, y, window));
    if (window.size.h * window.size.w <= kMostPositions) return FromImage(g, Pool(g, y, window));
    // The maximum of the maxima of rows: its position is the first of the window's, as that of one step would be.
    y = Pool(g, y, {{1, window.size.w}, {1, window.strides.w}, 1, window.padding});
    return Pool(g, y, {{window.size.h, 1}, {window.strides.h, 1}, 1, window.padding});
  }

 private:
  Value Pool(Graph& g, Value image, const Window& by) const {
    const Shape in = g.shape(image);
    const Places at = Slide(in, by);
    const auto i32 = [](int64_t v) { return static_cast<int32_t>(v); };
    const PoolAttrs attrs{i32(by.size.h),    i32(by.size.w), i32(by.strides.h),
                          i32(by.strides.w), at.pad_top,     at.pad_left};
    const Shape out{in[0], at.h, at.w, in[3]};
    return max ? g.MaxPool(image, attrs, out) : g.AvgPool(image, attrs, out);
  }
};

struct GlobalPoolingLayer : WindowLayer {
  bool max;
  GlobalPoolingOptions o;

  GlobalPoolingLayer(int rank, bool max_, const GlobalPoolingOptions& options)
      : WindowLayer(rank), max(max_), o(options) {}

  std::string class_name() const override { return Text("Global", max ? "Max" : "Average", "Pooling", rank_, "D"); }

  void fields(Fields& f) override {
    DescribeDataFormat(f);
    f("keepdims", o.keepdims);
  }

  Shape build(const Shape& in) override {
    const Shape image = Image(in);
    if (image[1] == 0 || image[2] == 0) fail("the input ", in, " holds nothing to pool");
    return o.keepdims ? FromImage({image[0], 1, 1, image[3]}) : Shape{image[0], image[3]};
  }

  Value call(Graph& g, Value x) override {
    constexpr int kAxes[] = {1, 2};
    return g.Reduce(max ? ReduceOp::kMax : ReduceOp::kMean, x, std::span(kAxes).first(static_cast<size_t>(rank_)),
                    o.keepdims);
  }
};

}  // namespace

Layer MaxPooling1D(int64_t pool_size, const PoolingOptions& options) {
  return MakeLayer<PoolingLayer>(options.name, 1, true, pool_size, options);
}
Layer MaxPooling2D(const Size2& pool_size, const PoolingOptions& options) {
  return MakeLayer<PoolingLayer>(options.name, 2, true, pool_size, options);
}
Layer AveragePooling1D(int64_t pool_size, const PoolingOptions& options) {
  return MakeLayer<PoolingLayer>(options.name, 1, false, pool_size, options);
}
Layer AveragePooling2D(const Size2& pool_size, const PoolingOptions& options) {
  return MakeLayer<PoolingLayer>(options.name, 2, false, pool_size, options);
}
Layer GlobalMaxPooling1D(const GlobalPoolingOptions& options) {
  return MakeLayer<GlobalPoolingLayer>(options.name, 1, true, options);
}
Layer GlobalMaxPooling2D(const GlobalPoolingOptions& options) {
  return MakeLayer<GlobalPoolingLayer>(options.name, 2, true, options);
}
Layer GlobalAveragePooling1D(const GlobalPoolingOptions& options) {
  return MakeLayer<GlobalPoolingLayer>(options.name, 1, false, options);
}
Layer GlobalAveragePooling2D(const GlobalPoolingOptions& options) {
  return MakeLayer<GlobalPoolingLayer>(options.name, 2, false, options);
}

using Def = std::shared_ptr<LayerDef>;
const LayerClass kMaxPooling1DClass = {"MaxPooling1D", [] { return Def(new PoolingLayer(1, true, 2, {})); }};
const LayerClass kMaxPooling2DClass = {"MaxPooling2D", [] { return Def(new PoolingLayer(2, true, 2, {})); }};
const LayerClass kAveragePooling1DClass = {"AveragePooling1D", [] { return Def(new PoolingLayer(1, false, 2, {})); }};
const LayerClass kAveragePooling2DClass = {"AveragePooling2D", [] { return Def(new PoolingLayer(2, false, 2, {})); }};
const LayerClass kGlobalMaxPooling1DClass = {"GlobalMaxPooling1D",
                                             [] { return Def(new GlobalPoolingLayer(1, true, {})); }};
const LayerClass kGlobalMaxPooling2DClass = {"GlobalMaxPooling2D",
                                             [] { return Def(new GlobalPoolingLayer(2, true, {})); }};
const LayerClass kGlobalAveragePooling1DClass = {"GlobalAveragePooling1D",
                                                 [] { return Def(new GlobalPoolingLayer(1, false, {})); }};
const LayerClass kGlobalAveragePooling2DClass = {"GlobalAveragePooling2D",
                                                 [] { return Def(new GlobalPoolingLayer(2, false, {})); }};

}  // namespace ingot
