// SPDX-License-Identifier: MIT
//
// Convolutions, pooling and resizing as they are described: shapes that come out, weights, configs and errors. Their
// values and gradients are held against Keras in tests/golden_test.cc; numbers here are Keras's too.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "ingot/layers/layers.h"
#include "ingot/layers/taps.h"

namespace ingot {
namespace {

// What a layer makes of an input of that shape, without the batch.
Shape Out(const Layer& layer, const Shape& in) { return layer(Input(in)).shape().from(1); }

// The message of the error; "" if there is none.
std::string Refusal(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}
std::string Refusal(const Layer& layer, const Shape& in) {
  return Refusal([&] { layer(Input(in)); });
}
std::string Refusal(const char* class_name, const char* config) {
  return Refusal([&] { LayerFromConfig(class_name, Json::parse(config)); });
}
#define EXPECT_HAS(text, part) EXPECT_NE(std::string(text).find(part), std::string::npos) << text

TEST(Conv, Shapes) {
  EXPECT_EQ(Out(Conv2D(64, {3, 3},
                       {.strides = {2, 2}, .padding = "same", .activation = "relu", .kernel_regularizer = L2(1e-3f)}),
                {28, 27, 3}),
            (Shape{14, 14, 64}));
  EXPECT_EQ(Out(Conv2D(4, {3, 2}, {.dilation_rate = 2}), {9, 9, 3}), (Shape{5, 7, 4}));
  EXPECT_EQ(Out(Conv2D(4, 3, {.padding = "SAME"}), {kNone, kNone, 3}), (Shape{kNone, kNone, 4}));
  EXPECT_EQ(Out(Conv1D(5, 3, {.strides = 2, .padding = "causal"}), {9, 4}), (Shape{5, 5}));
  EXPECT_EQ(Out(Conv1D(5, 4, {.dilation_rate = 2}), {9, 4}), (Shape{3, 5}));
  EXPECT_EQ(Out(DepthwiseConv2D(3, {.strides = {1, 2}, .depth_multiplier = 2}), {7, 7, 3}), (Shape{5, 3, 6}));
  EXPECT_EQ(Out(SeparableConv2D(8, 3, {.padding = "same", .depth_multiplier = 2}), {7, 6, 3}), (Shape{7, 6, 8}));
}

TEST(Conv, TransposeShapes) {
  const auto out = [](const Conv2DTransposeOptions& o) { return Out(Conv2DTranspose(2, {3, 2}, o), {4, 5, 3}); };
  EXPECT_EQ(out({}), (Shape{6, 6, 2}));
  EXPECT_EQ(out({.strides = 3}), (Shape{12, 15, 2}));
  EXPECT_EQ(out({.strides = 2, .padding = "same"}), (Shape{8, 10, 2}));
  EXPECT_EQ(out({.strides = 2, .output_padding = {1, 0}}), (Shape{10, 10, 2}));
  EXPECT_EQ(out({.strides = 2, .padding = "same", .output_padding = 1}), (Shape{8, 9, 2}));
  EXPECT_EQ(Out(Conv2DTranspose(2, 3), {kNone, 5, 3}), (Shape{kNone, 7, 2}));
}

TEST(Conv, Weights) {
  const auto weights = [](const Layer& layer, const Shape& in) {
    layer(Input(in));
    std::string text;
    for (const VariablePtr& v : layer.variables()) text += v->name + v->shape.str() + " ";
    return text;
  };
  EXPECT_EQ(weights(Conv1D(6, 3, {.groups = 2}), {9, 4}), "kernel(3, 2, 6) bias(6,) ");
  EXPECT_EQ(weights(Conv2D(6, {3, 5}, {.use_bias = false}), {9, 9, 4}), "kernel(3, 5, 4, 6) ");
  EXPECT_EQ(weights(Conv2DTranspose(6, {3, 5}), {9, 9, 4}), "kernel(3, 5, 6, 4) bias(6,) ");
  EXPECT_EQ(weights(DepthwiseConv2D(3, {.depth_multiplier = 2}), {9, 9, 4}), "kernel(3, 3, 4, 2) bias(8,) ");
  EXPECT_EQ(weights(SeparableConv2D(5, 3), {9, 9, 4}),
            "depthwise_kernel(3, 3, 4, 1) pointwise_kernel(1, 1, 4, 5) bias(5,) ");
}

TEST(Conv, Errors) {
  EXPECT_HAS(Refusal(Conv2D(4, 3), {9, 4}),
             "takes inputs of 4 axes (batch, height, width, channels), (None, 9, 4) came");
  EXPECT_HAS(Refusal(Conv2D(4, 3, {.name = "c"}), {2, 9, 4}),
             "c: a window that spans 3 x 3 finds no place in the input (None, 2, 9, 4)");
  EXPECT_HAS(Refusal(Conv2D(4, 3, {.groups = 3}), {9, 9, 4}), "filters (4) must be divisible by groups (3)");
  EXPECT_HAS(Refusal(Conv2D(6, 3, {.groups = 3}), {9, 9, 4}), "has 4 channels, which must be divisible by groups (3)");
  EXPECT_HAS(Refusal(Conv2D(6, 3, {.groups = 0}), {9, 9, 4}), "groups is 0");
  EXPECT_HAS(Refusal(Conv2D(0, 3), {9, 9, 4}), "filters is 0, a positive number was expected");
  EXPECT_HAS(Refusal(Conv2D(4, {3, 0}), {9, 9, 4}), "kernel_size is (3, 0)");
  EXPECT_HAS(Refusal(Conv1D(4, 3, {.strides = -1}), {9, 4}), "strides is -1");
  EXPECT_HAS(Refusal(Conv2D(4, 3, {.strides = 2, .dilation_rate = 2}), {9, 9, 4}), "are both above 1");
  EXPECT_HAS(Refusal(Conv2D(4, 3, {.padding = "causal"}), {9, 9, 4}),
             "padding is 'causal', 'valid' or 'same' was expected");
  EXPECT_HAS(Refusal(Conv2D(4, 3, {.activation = "rlu"}), {9, 9, 4}), "activation 'rlu' is not known");
  EXPECT_HAS(Refusal(Conv2D(4, 3), {9, 9, kNone}), "the last axis of the input must be known");
  EXPECT_HAS(Refusal(Conv2DTranspose(4, 3, {.strides = 2, .output_padding = 2}), {9, 9, 4}),
             "output_padding is (2, 2)");
  EXPECT_HAS(Refusal(DepthwiseConv2D(3, {.depth_multiplier = 0}), {9, 9, 4}), "depth_multiplier is 0");
  const Layer shared = Conv2D(4, 3);
  shared(Input({9, 9, 3}));
  EXPECT_HAS(Refusal(shared, {9, 9, 5}), "the input (None, 9, 9, 5) has 5 channels, the kernel expects 3");
}

TEST(Conv, Configs) {
  EXPECT_HAS(Refusal("Conv2D", R"({"name": "c", "filters": 2, "kernel_size": 3, "data_format": "channels_first"})"),
             "channels_first");
  EXPECT_HAS(Refusal("Conv2D", R"({"filters": 2, "kernel_size": [3, 3, 3]})"), "'kernel_size' is [3,3,3]");
  EXPECT_HAS(Refusal("Conv2D", R"({"filters": 2, "kernel_size": 3, "lora_rank": 4})"), "lora_rank");
  EXPECT_HAS(Refusal("DepthwiseConv2D", R"({"kernel_size": 3, "groups": 2})"), "'groups' is 2");
  const Layer a =
      LayerFromConfig("Conv1D", Json::parse(R"({"filters": 2, "kernel_size": 3, "strides": [2], "padding": "SAME"})"));
  const Json config = LayerConfig(a.def());
  EXPECT_EQ(config["kernel_size"].dump(), "[3]");
  EXPECT_EQ(config["strides"].dump(), "[2]");
  EXPECT_EQ(config["padding"], "same");
  EXPECT_TRUE(LayerConfig(Conv2DTranspose(2, 3).def())["output_padding"].is_null());
}

TEST(Pooling, Shapes) {
  EXPECT_EQ(Out(MaxPooling2D(), {7, 6, 3}), (Shape{3, 3, 3}));
  EXPECT_EQ(Out(MaxPooling2D({3, 2}, {.strides = {1, 2}, .padding = "same"}), {7, 5, 3}), (Shape{7, 3, 3}));
  EXPECT_EQ(Out(AveragePooling1D(3, {.strides = 2}), {9, 4}), (Shape{4, 4}));
  EXPECT_EQ(Out(MaxPooling2D(2), {kNone, 5, 3}), (Shape{kNone, 2, 3}));
  EXPECT_EQ(Out(MaxPooling2D({20, 20}), {60, 40, 1}), (Shape{3, 2, 1}));
  EXPECT_EQ(Out(GlobalAveragePooling2D(), {kNone, kNone, 3}), (Shape{3}));
  EXPECT_EQ(Out(GlobalMaxPooling1D({.keepdims = true}), {9, 4}), (Shape{1, 4}));
  EXPECT_HAS(Refusal(MaxPooling2D(3), {2, 9, 1}), "finds no place in the input (None, 2, 9, 1)");
  EXPECT_HAS(Refusal(MaxPooling1D(257), {900, 1}), "GlobalMaxPooling1D");
  EXPECT_HAS(Refusal(AveragePooling2D(2, {.padding = "causal"}), {4, 4, 1}), "padding is 'causal'");
  EXPECT_HAS(Refusal(GlobalMaxPooling2D(), {4, 4}), "takes inputs of 4 axes");
  EXPECT_EQ(LayerConfig(AveragePooling2D({3, 2}).def())["strides"].dump(), "[3,2]");
}

TEST(Resize, Shapes) {
  EXPECT_EQ(Out(ZeroPadding2D({{1, 2}, {3, 4}}), {4, 5, 3}), (Shape{7, 12, 3}));
  EXPECT_EQ(Out(ZeroPadding2D({1, 2}), {4, kNone, 3}), (Shape{6, kNone, 3}));
  EXPECT_EQ(Out(ZeroPadding1D({0, 2}), {4, 3}), (Shape{6, 3}));
  EXPECT_EQ(Out(Cropping2D({{1, 0}, {2, 1}}), {4, 5, 3}), (Shape{3, 2, 3}));
  EXPECT_EQ(Out(UpSampling2D({2, 3}, {.interpolation = "bicubic"}), {4, 5, 3}), (Shape{8, 15, 3}));
  EXPECT_EQ(Out(UpSampling1D(3), {kNone, 2}), (Shape{kNone, 2}));
  EXPECT_EQ(Out(Resizing(6, 5), {kNone, kNone, 3}), (Shape{6, 5, 3}));
  EXPECT_HAS(Refusal(Cropping2D({{3, 1}, {0, 0}}), {4, 5, 3}),
             "cropping of ((3, 1), (0, 0)) leaves nothing of the input (None, 4, 5, 3)");
  EXPECT_HAS(Refusal(ZeroPadding1D(-1), {4, 3}), "padding is (-1, -1)");
  EXPECT_HAS(Refusal(UpSampling2D(2, {.interpolation = "area"}), {4, 5, 3}), "interpolation is 'area'");
  EXPECT_HAS(Refusal(Resizing(2, 2, {.crop_to_aspect_ratio = true, .pad_to_aspect_ratio = true}), {4, 5, 3}),
             "exclude each other");
  EXPECT_HAS(Refusal(Resizing(2, 2, {.fill_mode = "reflect"}), {4, 5, 3}), "fill_mode is 'reflect'");
  EXPECT_EQ(LayerConfig(Cropping2D({1, 2}).def())["cropping"].dump(), "[[1,1],[2,2]]");
  EXPECT_HAS(Refusal("ZeroPadding2D", R"({"padding": [1, 2, 3]})"), "'padding' is [1,2,3]");
}

TEST(Resize, Taps) {
  EXPECT_EQ(ResizeTaps(2, 3, Interpolation::kNearest, false).table, (std::vector<float>{0, 1, 1, 1, 1, 1}));
  // Halves of neighbours, and the whole of what lies at the edge.
  EXPECT_EQ(ResizeTaps(2, 4, Interpolation::kBilinear, false).table,
            (std::vector<float>{0, 1, 0, 0, 0, 0.75f, 1, 0.25f, 0, 0.25f, 1, 0.75f, 1, 1, 1, 0}));
  for (const auto by :
       {Interpolation::kBilinear, Interpolation::kBicubic, Interpolation::kLanczos3, Interpolation::kLanczos5}) {
    for (const int64_t in : {1, 2, 7, 40}) {
      for (const int64_t out : {1, 3, 7, 100}) {
        for (const bool antialias : {false, true}) {
          const Taps taps = ResizeTaps(in, out, by, antialias);
          ASSERT_EQ(static_cast<int64_t>(taps.table.size()), out * taps.count * 2);
          for (int64_t i = 0; i < out; ++i) {
            float sum = 0;
            for (int k = 0; k < taps.count; ++k) {
              const float* tap = &taps.table[static_cast<size_t>((i * taps.count + k) * 2)];
              EXPECT_TRUE(tap[0] >= 0 && tap[0] < static_cast<float>(in));
              sum += tap[1];
            }
            EXPECT_NEAR(sum, 1, 1e-6);
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace ingot
