// SPDX-License-Identifier: MIT
#include "ingot/layers/resize.h"

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>

#include "ingot/layers/layers.h"
#include "ingot/layers/taps.h"

namespace ingot {
namespace {

bool ReadEnds(const Json& value, Ends& ends) {
  if (value.is_number_integer()) return ends = value.get<int64_t>(), true;
  if (!value.is_array() || value.size() != 2 || !value[0].is_number_integer() || !value[1].is_number_integer())
    return false;
  return ends = {value[0].get<int64_t>(), value[1].get<int64_t>()}, true;
}

Json Written(const Ends& ends) {
  Json list = Json::array();
  list.push_back(ends.before);
  list.push_back(ends.after);
  return list;
}

// In one dimension [before, after]; in two [[top, bottom], [left, right]]; read also as Keras's arguments are.
void DescribeEdges(Fields& f, const char* key, Edges& edges, int rank) {
  if (!f.reading()) {
    Json list = Json::array();
    list.push_back(Written(edges.h));
    list.push_back(Written(edges.w));
    f.raw_out()[key] = rank == 1 ? Written(edges.w) : list;
    return;
  }
  const Json& value = f.raw(key);
  if (value.is_null()) return;
  if (rank == 1) {
    if (!ReadEnds(value, edges.w)) f.fail(key, "a whole number, or two");
    return;
  }
  const bool one = value.is_number_integer();
  if (!one && !(value.is_array() && value.size() == 2)) f.fail(key, "a whole number, two, or two pairs");
  if (!ReadEnds(one ? value : value[0], edges.h) || !ReadEnds(one ? value : value[1], edges.w))
    f.fail(key, "a whole number, two, or two pairs");
}

// Zeros around (kPadding), or edges taken off.
struct EdgeLayer : WindowLayer {
  bool crop;
  Edges edges;

  EdgeLayer(int rank, bool crop_, const Edges& edges_) : WindowLayer(rank), crop(crop_), edges(edges_) {
    if (rank == 1) edges.h = 0;
  }

  std::string class_name() const override { return Text(crop ? "Cropping" : "ZeroPadding", rank_, "D"); }
  const char* key() const { return crop ? "cropping" : "padding"; }

  void fields(Fields& f) override {
    DescribeEdges(f, key(), edges, rank_);
    if (rank_ == 2 || !crop) DescribeDataFormat(f);  // as Keras has it
  }

  Shape build(const Shape& in) override {
    for (const Ends& e : {edges.h, edges.w}) {
      for (const int64_t n : {e.before, e.after})
        if (n < 0 || n > kMostTapped)
          fail(key(), " is ", shown(), ", numbers from 0 to ", kMostTapped, " were expected");
    }
    const Shape image = Image(in);
    const Shape out = Changed(image);
    if ((out[1] != kNone && out[1] <= 0) || (out[2] != kNone && out[2] <= 0))
      fail(key(), " of ", shown(), " leaves nothing of the input ", in);
    return FromImage(out);
  }

  Value call(Graph& g, Value x) override {
    const Value image = Image(g, x);
    const Shape out = Changed(g.shape(image));
    if (out == g.shape(image)) return x;
    const int64_t first[] = {0, edges.h.before, edges.w.before, 0};
    return FromImage(g, crop ? g.Crop(image, first, out) : g.Pad(image, first, out));
  }

 private:
  Shape Changed(Shape image) const {
    const int64_t sign = crop ? -1 : 1;
    // An extent that became negative must not look like None.
    const auto change = [&](int64_t n, const Ends& e) {
      return n == kNone ? n : std::max<int64_t>(0, n + sign * (e.before + e.after));
    };
    image[1] = change(image[1], edges.h);
    image[2] = change(image[2], edges.w);
    return image;
  }
  std::string shown() const {
    const std::string w = Text("(", edges.w.before, ", ", edges.w.after, ")");
    return rank_ == 1 ? w : Text("((", edges.h.before, ", ", edges.h.after, "), ", w, ")");
  }
};

// Resizing of what is held as an image.
struct ResampleLayer : WindowLayer {
  using WindowLayer::WindowLayer;

  // Error if the taps of that image cannot be counted.
  void CheckExtents(const Shape& in) const {
    for (const int64_t n : {in[1], in[2]})
      if (n == 0 || n > kMostTapped)
        fail("takes images of 1 to ", kMostTapped, " pixels along an axis, ", FromImage(in), " came");
  }
  Value Resample(Graph& g, Value image, const Taps& h, const Taps& w) const {
    const Shape in = g.shape(image);
    const auto extent = [](const Taps& t) { return static_cast<int64_t>(t.table.size()) / (2 * t.count); };
    return g.Resample(image, {in[0], extent(h), extent(w), in[3]}, h.count, h.table, w.count, w.table);
  }
};

struct UpSamplingLayer : ResampleLayer {
  Size2 size;
  UpSamplingOptions o;

  UpSamplingLayer(int rank, const Size2& size_, const UpSamplingOptions& options)
      : ResampleLayer(rank), size(size_), o(options) {
    if (rank == 1) size.h = 1;
    Lower();
  }

  std::string class_name() const override { return Text("UpSampling", rank_, "D"); }

  void fields(Fields& f) override {
    if (rank_ == 1) return f("size", size.w);
    DescribeSize(f, "size", size, rank_);
    DescribeDataFormat(f);
    f("interpolation", o.interpolation);
    Lower();
  }

  Shape build(const Shape& in) override {
    CheckPositive("size", size);
    if (InterpolationNamed(o.interpolation, label()) != Interpolation::kNearest && rank_ == 1)
      fail("interpolation is '", o.interpolation, "', in one dimension Keras has only 'nearest'");
    Shape image = Image(in);
    CheckExtents(image);
    if (image[1] != kNone) image[1] *= size.h;
    if (image[2] != kNone) image[2] *= size.w;
    CheckExtents(image);
    return FromImage(image);
  }

  Value call(Graph& g, Value x) override {
    const Value image = Image(g, x);
    const Shape in = g.shape(image);
    const Interpolation by = InterpolationNamed(o.interpolation, label());
    const auto taps = [&](int64_t n, int64_t times) {
      return by == Interpolation::kNearest ? RepeatTaps(n, times) : ResizeTaps(n, n * times, by, false);
    };
    return FromImage(g, Resample(g, image, taps(in[1], size.h), taps(in[2], size.w)));
  }

 private:
  void Lower() {
    for (char& c : o.interpolation) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
};

// Keras's arithmetic for the window or the frame of the output's aspect: it truncates at each step, so a frame may be
// a pixel short.
int64_t Matching(int64_t other, int64_t target, int64_t target_other) {
  return static_cast<int64_t>(static_cast<double>(other) * static_cast<double>(target) /
                              static_cast<double>(target_other));
}

struct ResizingLayer : ResampleLayer {
  int64_t height, width;
  ResizingOptions o;

  ResizingLayer(int64_t height_, int64_t width_, const ResizingOptions& options)
      : ResampleLayer(2), height(height_), width(width_), o(options) {}

  std::string class_name() const override { return "Resizing"; }

  void fields(Fields& f) override {
    DescribeDataFormat(f);
    f("height", height);
    f("width", width);
    f("interpolation", o.interpolation);
    f("crop_to_aspect_ratio", o.crop_to_aspect_ratio);
    f("pad_to_aspect_ratio", o.pad_to_aspect_ratio);
    f("fill_mode", o.fill_mode);
    f("fill_value", o.fill_value);
    f("antialias", o.antialias);
    f.ignore("bounding_box_format");
  }

  Shape build(const Shape& in) override {
    CheckPositive("the size (height, width)", {height, width});
    InterpolationNamed(o.interpolation, label());
    if (o.fill_mode != "constant")
      fail("fill_mode is '", o.fill_mode, "', 'constant' was expected: Keras has no other");
    if (o.crop_to_aspect_ratio && o.pad_to_aspect_ratio)
      fail("crop_to_aspect_ratio and pad_to_aspect_ratio exclude each other");
    const Shape out{Image(in)[0], height, width, in[3]};
    CheckExtents(in);
    CheckExtents(out);
    return out;
  }

  Value call(Graph& g, Value x) override {
    const Shape in = g.shape(x);
    const Interpolation by = InterpolationNamed(o.interpolation, label());
    if (o.pad_to_aspect_ratio) {
      // As many pixels on either side; along one axis only.
      Shape frame = in;
      int64_t before[] = {0, (std::max(in[1], Matching(in[2], height, width)) - in[1]) / 2, 0, 0};
      if (before[1] == 0) before[2] = (std::max(in[2], Matching(in[1], width, height)) - in[2]) / 2;
      frame[1] += 2 * before[1];
      frame[2] += 2 * before[2];
      CheckExtents(frame);
      if (frame != in) x = g.Pad(x, before, frame, o.fill_value);
      return Resample(g, x, ResizeTaps(frame[1], height, by, o.antialias),
                      ResizeTaps(frame[2], width, by, o.antialias));
    }
    if (o.crop_to_aspect_ratio) {
      const int64_t h = std::max<int64_t>(std::min(in[1], Matching(in[2], height, width)), 1);
      const int64_t w = std::max<int64_t>(std::min(in[2], Matching(in[1], width, height)), 1);
      return Resample(g, x, Within(in[1], h, height, by), Within(in[2], w, width, by));
    }
    return Resample(g, x, ResizeTaps(in[1], height, by, o.antialias), ResizeTaps(in[2], width, by, o.antialias));
  }

 private:
  // The taps of the n elements in the middle of a line: nothing is copied for a crop.
  Taps Within(int64_t in, int64_t n, int64_t out, Interpolation by) const {
    Taps taps = ResizeTaps(n, out, by, o.antialias);
    for (size_t i = 0; i < taps.table.size(); i += 2) taps.table[i] += static_cast<float>((in - n) / 2);
    return taps;
  }
};

}  // namespace

Layer ZeroPadding1D(const Ends& padding, const EdgeOptions& options) {
  return MakeLayer<EdgeLayer>(options.name, 1, false, Edges(0, padding));
}
Layer ZeroPadding2D(const Edges& padding, const EdgeOptions& options) {
  return MakeLayer<EdgeLayer>(options.name, 2, false, padding);
}
Layer Cropping1D(const Ends& cropping, const EdgeOptions& options) {
  return MakeLayer<EdgeLayer>(options.name, 1, true, Edges(0, cropping));
}
Layer Cropping2D(const Edges& cropping, const EdgeOptions& options) {
  return MakeLayer<EdgeLayer>(options.name, 2, true, cropping);
}
Layer UpSampling1D(int64_t size, const UpSamplingOptions& options) {
  return MakeLayer<UpSamplingLayer>(options.name, 1, size, options);
}
Layer UpSampling2D(const Size2& size, const UpSamplingOptions& options) {
  return MakeLayer<UpSamplingLayer>(options.name, 2, size, options);
}
Layer Resizing(int64_t height, int64_t width, const ResizingOptions& options) {
  return MakeLayer<ResizingLayer>(options.name, height, width, options);
}

using Def = std::shared_ptr<LayerDef>;
const LayerClass kZeroPadding1DClass = {"ZeroPadding1D", [] { return Def(new EdgeLayer(1, false, 1)); }};
const LayerClass kZeroPadding2DClass = {"ZeroPadding2D", [] { return Def(new EdgeLayer(2, false, 1)); }};
const LayerClass kCropping1DClass = {"Cropping1D", [] { return Def(new EdgeLayer(1, true, 1)); }};
const LayerClass kCropping2DClass = {"Cropping2D", [] { return Def(new EdgeLayer(2, true, 0)); }};
const LayerClass kUpSampling1DClass = {"UpSampling1D", [] { return Def(new UpSamplingLayer(1, 2, {})); }};
const LayerClass kUpSampling2DClass = {"UpSampling2D", [] { return Def(new UpSamplingLayer(2, 2, {})); }};
const LayerClass kResizingClass = {"Resizing", [] { return Def(new ResizingLayer(1, 1, {})); }};

}  // namespace ingot
