// SPDX-License-Identifier: MIT
#include "ingot/layers/regularization.h"

#include <nlohmann/json.hpp>
#include <vector>

#include "ingot/layers/activations.h"
#include "ingot/layers/layers.h"

namespace ingot {
namespace {

constexpr uint8_t kEveryAxis = 0xff;

// One strength between 0 and 1 and a seed; not active when not training or when the strength is 0.
struct NoiseLayer : UnaryLayer {
  double strength = 0;
  std::optional<int64_t> seed;

  NoiseLayer(double s, std::optional<int64_t> seed_) : strength(s), seed(seed_) {}

  virtual const char* strength_name() const { return "rate"; }
  virtual Value disturb(Graph& g, Value x, DropoutAttrs attrs) const = 0;

  void fields(Fields& f) override {
    f(strength_name(), strength);
    f("seed", seed);
  }
  Shape build(const Shape& in) override {
    if (!(strength >= 0 && strength <= 1))
      fail(strength_name(), " is ", strength, ", a number between 0 and 1 was expected");
    return in;
  }
  Value call(Graph& g, Value x) override {
    if (!g.training() || !(strength > 0)) return x;
    DropoutAttrs attrs{static_cast<float>(strength), seed ? g.NextRandomUse(this) : g.NextRandomUse(), kEveryAxis};
    attrs.seeded = seed.has_value();
    attrs.seed = static_cast<uint64_t>(seed.value_or(0));
    return disturb(g, x, attrs);
  }
};

Value DropElements(Graph& g, Value x, const DropoutAttrs& attrs) {
  if (attrs.rate >= 1) return Apply(g, Formula::kAffine, x, 0, 0);  // nothing is left to scale up
  return g.Dropout(x, attrs);
}

// Dropout whose mask may be shared along axes.
struct MaskedLayer : NoiseLayer {
  Shape noise_shape;

  MaskedLayer(double rate, const DropoutOptions& o) : NoiseLayer(rate, o.seed), noise_shape(o.noise_shape) {}

  void fields(Fields& f) override {
    NoiseLayer::fields(f);
    if (f.reading() ? f.has("noise_shape") : noise_shape.rank() > 0)
      f("noise_shape", noise_shape);
    else
      f.null("noise_shape");
  }
  Shape build(const Shape& in) override {
    if (noise_shape.rank() != 0 && noise_shape.rank() != in.rank())
      fail("noise_shape is ", noise_shape, ", as many axes as the input has were expected, ", in);
    for (int i = 0; i < noise_shape.rank(); ++i)
      if (noise_shape[i] != 1 && noise_shape[i] != kNone && in[i] != kNone && noise_shape[i] != in[i])
        fail("noise_shape is ", noise_shape, ", which does not fit the input ", in,
             "; each extent is 1, None or the input's");
    return NoiseLayer::build(in);
  }
  // Bit i is set where axis i has a mask of its own.
  uint8_t keep() const {
    uint8_t bits = kEveryAxis;
    for (int i = 0; i < noise_shape.rank(); ++i)
      if (noise_shape[i] == 1) bits = static_cast<uint8_t>(bits & ~(1u << i));
    return bits;
  }
};

struct DropoutLayer : MaskedLayer {
  explicit DropoutLayer(double rate = 0, const DropoutOptions& o = {}) : MaskedLayer(rate, o) {}
  std::string class_name() const override { return "Dropout"; }
  Value disturb(Graph& g, Value x, DropoutAttrs attrs) const override {
    attrs.keep = keep();
    return DropElements(g, x, attrs);
  }
};

// Drops whole channels: the mask has the extents of the batch and of the channels.
struct SpatialDropoutLayer : NoiseLayer {
  int rank;

  explicit SpatialDropoutLayer(int axes, double rate = 0, const NoiseOptions& o = {})
      : NoiseLayer(rate, o.seed), rank(axes) {}
  std::string class_name() const override { return rank == 3 ? "SpatialDropout1D" : "SpatialDropout2D"; }
  void fields(Fields& f) override {
    NoiseLayer::fields(f);
    if (!f.reading()) f.raw_out().erase("trainable");  // Keras's class does not take it
    if (rank == 3) return;
    std::string data_format = "channels_last";
    if (!f.reading() || f.has("data_format")) f("data_format", data_format);
    if (data_format != "channels_last") f.fail("data_format", "channels_last");
  }
  Shape build(const Shape& in) override {
    if (in.rank() != rank) fail("takes inputs of ", rank, " axes with the batch, ", in, " came");
    return NoiseLayer::build(in);
  }
  Value disturb(Graph& g, Value x, DropoutAttrs attrs) const override {
    attrs.keep = static_cast<uint8_t>(1u | 1u << (rank - 1));
    return DropElements(g, x, attrs);
  }
};

struct GaussianNoiseLayer : NoiseLayer {
  explicit GaussianNoiseLayer(double stddev = 0, const NoiseOptions& o = {}) : NoiseLayer(stddev, o.seed) {}
  std::string class_name() const override { return "GaussianNoise"; }
  const char* strength_name() const override { return "stddev"; }
  Value disturb(Graph& g, Value x, DropoutAttrs attrs) const override { return g.GaussianNoise(x, attrs); }
};

struct ActivityRegularizationLayer : UnaryLayer {
  ActivityRegularizationLayer() = default;
  explicit ActivityRegularizationLayer(const ActivityRegularizationOptions& o) { activity = {o.l1, o.l2}; }
  std::string class_name() const override { return "ActivityRegularization"; }
  void fields(Fields& f) override {
    f("l1", activity.l1);
    f("l2", activity.l2);
  }
  Shape build(const Shape& in) override {
    CheckPenalty(label(), activity);
    return in;
  }
  Value call(Graph&, Value x) override { return x; }
};

template <class Def>
std::shared_ptr<LayerDef> Make() {
  return std::make_shared<Def>();
}
template <int kRank>
std::shared_ptr<LayerDef> MakeSpatial() {
  return std::make_shared<SpatialDropoutLayer>(kRank);
}

}  // namespace

Layer Dropout(double rate, const DropoutOptions& o) { return MakeLayer<DropoutLayer>(o.name, rate, o); }
Layer SpatialDropout1D(double rate, const NoiseOptions& o) {
  return MakeLayer<SpatialDropoutLayer>(o.name, 3, rate, o);
}
Layer SpatialDropout2D(double rate, const NoiseOptions& o) {
  return MakeLayer<SpatialDropoutLayer>(o.name, 4, rate, o);
}
Layer GaussianNoise(double stddev, const NoiseOptions& o) { return MakeLayer<GaussianNoiseLayer>(o.name, stddev, o); }
Layer ActivityRegularization(const ActivityRegularizationOptions& o) {
  return MakeLayer<ActivityRegularizationLayer>(o.name, o);
}

const LayerClass kDropoutClass = {"Dropout", Make<DropoutLayer>};
const LayerClass kSpatialDropout1DClass = {"SpatialDropout1D", MakeSpatial<3>};
const LayerClass kSpatialDropout2DClass = {"SpatialDropout2D", MakeSpatial<4>};
const LayerClass kGaussianNoiseClass = {"GaussianNoise", Make<GaussianNoiseLayer>};
const LayerClass kActivityRegularizationClass = {"ActivityRegularization", Make<ActivityRegularizationLayer>};

}  // namespace ingot
