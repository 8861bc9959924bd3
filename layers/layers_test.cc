// SPDX-License-Identifier: MIT
//
// Layers as they are described: shapes that come out, configs, errors; and what noise layers draw. Values and gradients
// are held against Keras in tests/golden_test.cc.
#include "ingot/layers/layers.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "ingot/core/plan/plan.h"
#include "ingot/tests/fixture.h"

namespace ingot {
namespace {

Shape Out(const Layer& layer, const std::vector<Shape>& in) {
  Tensors tensors;
  for (const Shape& shape : in) tensors.push_back(Input(shape));
  return layer(tensors).shape();
}

// The message of the error; "" if there is none.
std::string Refusal(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}
std::string Refusal(const Layer& layer, const std::vector<Shape>& in) {
  return Refusal([&] { Out(layer, in); });
}
std::string Refusal(const char* class_name, const char* config) {
  return Refusal([&] { LayerFromConfig(class_name, Json::parse(config)); });
}
#define EXPECT_HAS(text, part) EXPECT_NE(std::string(text).find(part), std::string::npos) << text

// What a layer without weights makes of x while training, at a step.
std::vector<float> Train(const Layer& layer, const Array& x, uint64_t seed = 1, uint32_t step = 0) {
  const Layout layout;
  Graph g(layout, true);
  layer.def().build({{x.shape()}});
  const Value in = g.Input({x.shape()});
  const Value y = layer.def().call(g, {in})[0];
  g.Keep(y);
  Plan plan(g, CpuBackend());
  Block arena(plan.activation_bytes(), "test");
  plan.Bind(layout, {arena.data(), nullptr, nullptr, nullptr});
  std::memcpy(plan.operand(in).data, x.data(), x.bytes());
  Run run;
  run.pool = &ThreadPool::Default();
  run.seed = seed;
  run.step = step;
  plan.Execute(run);
  const auto out = Array::View(x.shape(), DType::kFloat32, plan.operand(y).data).copy();
  return {out.floats().begin(), out.floats().end()};
}

Array Full(const Shape& shape, float value) {
  return {shape, std::vector<float>(static_cast<size_t>(shape.count()), value)};
}

TEST(Reshaping, Shapes) {
  EXPECT_EQ(Out(Flatten(), {{4, 5, 3}}), (Shape{kNone, 60}));
  EXPECT_EQ(Out(Flatten(), {{kNone, 3}}), (Shape{kNone, kNone}));
  EXPECT_EQ(Out(Flatten(), {{}}), (Shape{kNone, 1}));
  EXPECT_EQ(Out(Reshape({3, -1}), {{4, 6}}), (Shape{kNone, 3, 8}));
  EXPECT_EQ(Out(Reshape({3, -1}), {{kNone, 6}}), (Shape{kNone, 3, kNone}));
  EXPECT_EQ(Out(Reshape({}), {{1}}), (Shape{kNone}));
  EXPECT_EQ(Out(Permute({2, 3, 1}), {{4, 5, 3}}), (Shape{kNone, 5, 3, 4}));
  EXPECT_EQ(Out(RepeatVector(3), {{7}}), (Shape{kNone, 3, 7}));
  EXPECT_EQ(IdentityLayer()(Input({3}, {.dtype = "int32"})).spec.dtype, DType::kInt32);
  EXPECT_EQ(Flatten()(Input({3, 2}, {.dtype = "uint8"})).spec.dtype, DType::kUint8);
}

TEST(Reshaping, Errors) {
  EXPECT_HAS(Refusal(Reshape({5, -1}), {{4, 6}}), "24 elements a sample");
  EXPECT_HAS(Refusal(Reshape({-1, -1}), {{4, 6}}), "more than one -1");
  EXPECT_HAS(Refusal(Reshape({0, -1}), {{4, 6}}), "do not fit");
  EXPECT_HAS(Refusal(Reshape({int64_t{1} << 40, int64_t{1} << 40}), {{4}}), "more elements than can be counted");
  EXPECT_HAS(Refusal(Permute({0, 1}), {{4, 6}}), "the batch is not among them");
  EXPECT_HAS(Refusal(Permute({2, 1}), {{4}}), "names 2 axes");
  EXPECT_HAS(Refusal(RepeatVector(0), {{4}}), "positive");
  EXPECT_HAS(Refusal(RepeatVector(2), {{4, 2}}), "2 axes");
  EXPECT_HAS(Refusal(Flatten({.data_format = "nhwc"}), {{4}}), "channels_last");
}

TEST(Merging, Shapes) {
  EXPECT_EQ(Out(Add(), {{4, 5, 3}, {1, 1, 3}}), (Shape{kNone, 4, 5, 3}));
  EXPECT_EQ(Out(Multiply(), {{4, 3}, {3}}), (Shape{kNone, 4, 3}));
  EXPECT_EQ(Out(Maximum(), {{1, 5}, {4, 1}, {4, 5}}), (Shape{kNone, 4, 5}));
  EXPECT_EQ(Out(Average(), {{kNone, 3}, {4, 3}}), (Shape{kNone, kNone, 3}));
  EXPECT_EQ(Out(Average(), {{kNone, 3}, {1, 3}}), (Shape{kNone, kNone, 3}));
  EXPECT_EQ(Out(Concatenate(), {{4, 3}, {4, 5}}), (Shape{kNone, 4, 8}));
  EXPECT_EQ(Out(Concatenate({.axis = 1}), {{2, 3}, {kNone, 3}}), (Shape{kNone, kNone, 3}));
  EXPECT_EQ(Out(Concatenate({.axis = -2}), {{2, kNone}, {5, 3}}), (Shape{kNone, 7, 3}));
  // Data whose extents are known goes the same way as its description.
  EXPECT_EQ(Minimum().def().build({{{8, 4, 3}}, {{8, 3}}})[0].shape, (Shape{8, 4, 3}));
}

TEST(Merging, Errors) {
  EXPECT_HAS(Refusal(Add({.name = "sum"}), {{4, 3}, {4, 2}}), "sum: the inputs do not fit together along axis 2");
  EXPECT_HAS(Refusal(Subtract(), {{4}, {4}, {4}}), "takes 2 inputs, 3 came");
  EXPECT_HAS(Refusal(Concatenate(), {{4, 3}, {5, 3}}), "alike but for axis -1");
  EXPECT_HAS(Refusal(Concatenate(), {{4, 3}, {3}}), "alike");
  EXPECT_HAS(Refusal(Concatenate({.axis = 0}), {{4, 3}, {4, 3}}), "batch");
  EXPECT_HAS(Refusal(Concatenate({.axis = 3}), {{4, 3}, {4, 3}}), "axis 3 is not one");
  EXPECT_HAS(Refusal([] { Add().def().build({{{8, 3}}, {{7, 3}}}); }), "the batch");
}

TEST(Normalization, ShapesOfWeights) {
  const auto weights = [](const Layer& layer, const Shape& in) {
    layer(Input(in));
    std::string text;
    for (const VariablePtr& v : layer.variables()) text += (text.empty() ? "" : " ") + v->name + v->shape.str();
    return text;
  };
  EXPECT_EQ(weights(BatchNormalization(), {4, 5, 3}), "gamma(3,) beta(3,) moving_mean(3,) moving_variance(3,)");
  EXPECT_EQ(weights(BatchNormalization({.axis = 1, .scale = false}), {4, 5, 3}),
            "beta(4,) moving_mean(4,) moving_variance(4,)");
  EXPECT_EQ(weights(LayerNormalization({.axis = {1, 3}}), {4, 5, 3}), "gamma(4, 3) beta(4, 3)");
  EXPECT_EQ(weights(LayerNormalization({.axis = {1, -1}}), {4, 5, 3}), "gamma(3, 4) beta(3, 4)");  // as Keras sorts
  EXPECT_EQ(weights(LayerNormalization({.rms_scaling = true}), {4}), "gamma(4,)");
  EXPECT_EQ(weights(GroupNormalization({.groups = 2, .center = false}), {kNone, 6}), "gamma(6,)");
  EXPECT_EQ(weights(Normalization({.axis = {1, 3}}), {4, kNone, 3}), "mean(4, 3) variance(4, 3) count()");
  EXPECT_EQ(weights(Normalization({.axis = {}}), {4, 3}), "mean() variance() count()");
  EXPECT_EQ(weights(Normalization({.mean = {1, 2}, .variance = {3, 4}}), {2}), "");
}

TEST(Normalization, Errors) {
  EXPECT_HAS(Refusal(BatchNormalization({.axis = 0}), {{4, 3}}), "batch");
  EXPECT_HAS(Refusal(BatchNormalization({.axis = 4}), {{4, 3}}), "axis 4 is not one");
  EXPECT_HAS(Refusal(BatchNormalization(), {{4, kNone}}), "must be known");
  EXPECT_HAS(Refusal(GroupNormalization({.groups = 4}), {{4, 6}}), "a divisor of the 6 channels");
  EXPECT_HAS(Refusal(LayerNormalization({.axis = {1, -2}}), {{4, 6}}), "twice");
  EXPECT_HAS(Refusal(Normalization({.mean = 1.0}), {{4}}), "together or not at all");
  EXPECT_HAS(Refusal(Normalization({.mean = {1, 2}, .variance = {1, 2}}), {{3}}), "mean has the shape (2,)");
  EXPECT_HAS(Refusal(Rescaling({1, 2}), {{3}}), "scale has the shape (2,)");
  const Layer norm = BatchNormalization();
  norm(Input({5}));
  EXPECT_HAS(Refusal(norm, {{6}}), "(5,) was made for another");
  EXPECT_HAS(Refusal("BatchNormalization", R"({"name": "b", "renorm": true})"), "'renorm' is true");
  EXPECT_HAS(Refusal("LayerNormalization", R"({"name": "b", "gamma_constraint": {"class_name": "NonNeg"}})"),
             "'gamma_constraint' is NonNeg, which ingot does not support; save the model without it");
}

TEST(Normalization, AdaptTakesMomentsOfTheData) {
  const Shape shape{50, 3, 4};
  Array data(shape);
  Random random({7, 0, 0});
  for (float& v : data.floats()) v = 1000 + random.Normal();
  const Layer layer = Normalization({.axis = {1}});
  adapt(layer, data);
  std::vector<float> mean(3), variance(3);
  layer.variables()[0]->initialize(mean.data(), {});
  layer.variables()[1]->initialize(variance.data(), {});
  for (size_t c = 0; c < 3; ++c) {
    double sum = 0, squares = 0;
    for (size_t i = 0; i < 600; ++i)
      if (i / 4 % 3 == c) sum += static_cast<double>(data.floats()[i]);
    for (size_t i = 0; i < 600; ++i)
      if (i / 4 % 3 == c) squares += std::pow(static_cast<double>(data.floats()[i]) - sum / 200, 2);
    EXPECT_FLOAT_EQ(mean[c], static_cast<float>(sum / 200));
    EXPECT_NEAR(variance[c], squares / 200, 1e-6);
  }
  EXPECT_HAS(Refusal([&] { adapt(Flatten(), data); }), "takes a Normalization layer, Flatten came");
  EXPECT_HAS(Refusal([&] { adapt(layer, Array({50, 2, 4})); }), "(2,)");
  EXPECT_HAS(Refusal([&] { adapt(Normalization({.mean = 0.0, .variance = 1.0}), data); }), "leave them out");
}

TEST(ActivationLayers, Errors) {
  EXPECT_HAS(Refusal(ReLU({.max_value = -1.0f}), {{4}}), "max_value is -1");
  EXPECT_HAS(Refusal(LeakyReLU({.negative_slope = -0.5f}), {{4}}), "negative_slope");
  EXPECT_HAS(Refusal(PReLU(), {{kNone, 3}}), "must be among shared_axes");
  EXPECT_EQ(Refusal(PReLU({.shared_axes = 1}), {{kNone, 3}}), "");
  EXPECT_HAS(Refusal(PReLU({.shared_axes = {0}}), {{4, 3}}), "batch");
  EXPECT_HAS(Refusal(Softmax({.axis = {1, 1}}), {{4, 3}}), "twice");
  EXPECT_HAS(Refusal(ActivationLayer("rleu"), {{4}}), "'rleu' is not known");
  EXPECT_FLOAT_EQ(Train(LayerFromConfig("LeakyReLU", Json::parse(R"({"name": "l", "alpha": 0.25})")), Full({1}, -1))[0],
                  -0.25f);
}

TEST(Embedding, ShapesAndErrors) {
  EXPECT_EQ(Out(Embedding(7, 3), {{5}}), (Shape{kNone, 5, 3}));
  EXPECT_EQ(Out(LayerScale(1e-6, 5), {{4, 5}}), (Shape{kNone, 4, 5}));
  EXPECT_EQ(Out(CustomScaleLayer(0.17), {{4, kNone}, {4, 3}}), (Shape{kNone, 4, 3}));
  EXPECT_HAS(Refusal(Embedding(0, 3), {{5}}), "input_dim is 0");
  EXPECT_HAS(Refusal(LayerScale(1, 5), {{4, 6}}), "projection_dim, 5");
  EXPECT_HAS(Refusal(CustomScaleLayer(1), {{4}, {3}}), "one shape");
  EXPECT_HAS(Refusal("Embedding", R"({"name": "e", "input_dim": 3, "output_dim": 2, "mask_zero": true})"), "mask_zero");
}

TEST(Regularization, Errors) {
  EXPECT_HAS(Refusal(Dropout(1.5), {{4}}), "rate is 1.5");
  EXPECT_HAS(Refusal(Dropout(0.5, {.noise_shape = {kNone, 2}}), {{4}}), "does not fit");
  EXPECT_HAS(Refusal(Dropout(0.5, {.noise_shape = {1}}), {{4}}), "as many axes");
  EXPECT_HAS(Refusal(GaussianNoise(-1), {{4}}), "stddev is -1");
  EXPECT_HAS(Refusal(SpatialDropout2D(0.5), {{4, 3}}), "4 axes");
  EXPECT_HAS(Refusal("SpatialDropout2D", R"({"name": "s", "rate": 0.5, "data_format": "channels_first"})"),
             "channels_last");
}

struct Moments {
  double mean = 0, variance = 0;
};
Moments MomentsOf(const std::vector<float>& values) {
  Moments m;
  for (const float v : values) m.mean += static_cast<double>(v) / static_cast<double>(values.size());
  for (const float v : values)
    m.variance += std::pow(static_cast<double>(v) - m.mean, 2) / static_cast<double>(values.size());
  return m;
}

TEST(Regularization, DropoutKeepsTheMean) {
  const Array x = Full({100, 40, 30}, 3);
  const std::vector<float> y = Train(Dropout(0.3), x);
  for (const float v : y) ASSERT_TRUE(v == 0 || std::fabs(v - 3 / 0.7f) < 1e-5f) << v;
  EXPECT_NEAR(MomentsOf(y).mean, 3, 0.03);
  EXPECT_EQ(y, Train(Dropout(0.3), x));        // the same at the same step
  EXPECT_NE(y, Train(Dropout(0.3), x, 1, 1));  // another at the next
  EXPECT_NE(y, Train(Dropout(0.3), x, 2, 0));  // and for another seed
  for (const float v : Train(Dropout(1), x)) ASSERT_EQ(v, 0);
  for (const float v : Train(Dropout(0), x)) ASSERT_EQ(v, 3);
}

TEST(Regularization, MasksAreSharedAsAsked) {
  const Array x = Full({6, 5, 7, 4}, 1);
  const auto at = [](const std::vector<float>& v, size_t n, size_t h, size_t w, size_t c) {
    return v[((n * 5 + h) * 7 + w) * 4 + c];
  };
  const std::vector<float> spatial = Train(SpatialDropout2D(0.5), x);
  const std::vector<float> shared = Train(Dropout(0.5, {.noise_shape = {1, kNone, 1, 4}}), x);
  std::set<float> of_spatial, of_shared;
  for (size_t n = 0; n < 6; ++n)
    for (size_t h = 0; h < 5; ++h)
      for (size_t w = 0; w < 7; ++w)
        for (size_t c = 0; c < 4; ++c) {
          ASSERT_EQ(at(spatial, n, h, w, c), at(spatial, n, 0, 0, c));
          ASSERT_EQ(at(shared, n, h, w, c), at(shared, 0, h, 0, c));
          of_spatial.insert(at(spatial, n, h, w, c));
          of_shared.insert(at(shared, n, h, w, c));
        }
  EXPECT_EQ(of_spatial, (std::set<float>{0, 2}));
  EXPECT_EQ(of_shared, (std::set<float>{0, 2}));
  const std::vector<float> steps = Train(SpatialDropout1D(0.5), Full({2, 9, 3}, 1));
  for (size_t i = 0; i < steps.size(); ++i) ASSERT_EQ(steps[i], steps[i / 27 * 27 + i % 3]);
}

TEST(Regularization, GaussianNoiseHasItsDeviation) {
  const Moments m = MomentsOf(Train(GaussianNoise(0.7), Full({400, 300}, 5)));
  EXPECT_NEAR(m.mean, 5, 0.01);
  EXPECT_NEAR(m.variance, 0.49, 0.01);
}

// Alike in everything that says something: nulls may be left out, numbers may be rounded to float.
bool Same(const Json& a, const Json& b) {
  if (a.is_number() && b.is_number()) {
    const double x = a.get<double>(), y = b.get<double>();
    return std::fabs(x - y) <= 1e-7 * std::fabs(y);
  }
  if (a.is_array() && b.is_array()) return std::equal(a.begin(), a.end(), b.begin(), b.end(), Same);
  if (!a.is_object() || !b.is_object()) return a == b;
  const auto holds = [](const Json& in, const Json& all) {
    for (const auto& [key, value] : all.items())
      if (!value.is_null() && (!in.contains(key) || !Same(in[key], value))) return false;
    return true;
  };
  return holds(a, b) && holds(b, a);
}

// A penalty on activations is known by its strengths; L1 alone may come back as L1L2.
void Strengths(Json& config) {
  Json& penalty = config["activity_regularizer"];
  if (penalty.is_null()) return;
  Json strengths = {{"l1", 0.0}, {"l2", 0.0}};
  strengths.update(penalty["config"]);
  penalty = strengths;
}

// From Keras's config to a layer to a config.
TEST(Layers, ConfigsComeBackAsKerasWroteThem) {
  const testing::Golden golden("layers");
  for (const Json& c : golden.cases()) {
    for (const Json& layer : c["config"]["config"]["layers"]) {
      Json want = layer["config"];
      Json got = LayerConfig(LayerFromConfig(layer["class_name"], want).def());
      want.erase("dtype"), got.erase("dtype");  // float32 throughout
      want.erase("optional");                   // of InputLayer, without meaning here
      Strengths(want), Strengths(got);
      EXPECT_TRUE(Same(got, want)) << c["name"] << "\n" << got << "\n" << want;
      for (const auto& [key, value] : got.items())
        EXPECT_TRUE(value.is_null() || want.contains(key)) << c["name"] << " " << key;
    }
  }
}

}  // namespace
}  // namespace ingot
