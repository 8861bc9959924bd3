// SPDX-License-Identifier: MIT
//
// What layers refuse: sizes and names that are none, and what is too big for this machine.
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "ingot/layers/layers.h"
#include "ingot/tests/errors_test_util.h"
#include "ingot/train/model.h"

namespace ingot {
namespace {

using namespace testing;

TEST(Errors, SizesOfLayers) {
  const auto image = [](const Layer& layer) { return [layer] { layer(Input({8, 8, 3})); }; };
  const auto row = [](const Layer& layer) { return [layer] { layer(Input({8})); }; };
  ExpectErrors({
      {"no units", row(Dense(0)), {"Dense", "units is 0", "positive"}},
      {"negative units", row(Dense(-3)), {"Dense", "units is -3"}},
      {"no features", [] { Dense(3)(Input({})); }, {"Dense", "(None,)", "at least 2 axes"}},
      {"unknown features", [] { Dense(3)(Input({kNone})); }, {"Dense", "kernel", "(None, 3)", "must be known"}},
      {"no filters", image(Conv2D(0, {3, 3})), {"Conv2D", "filters is 0"}},
      {"kernel of 0", image(Conv2D(4, {0, 3})), {"Conv2D", "kernel_size is (0, 3)"}},
      {"negative kernel", image(Conv2D(4, {3, -1})), {"kernel_size is (3, -1)"}},
      {"strides of 0", image(Conv2D(4, {3, 3}, {.strides = 0})), {"strides is (0, 0)"}},
      {"negative strides", image(Conv2D(4, {3, 3}, {.strides = -1})), {"strides is (-1, -1)"}},
      {"dilation of 0", image(Conv2D(4, {3, 3}, {.dilation_rate = 0})), {"dilation_rate is (0, 0)"}},
      {"groups of 0", image(Conv2D(4, {3, 3}, {.groups = 0})), {"groups is 0"}},
      {"groups", image(Conv2D(4, {3, 3}, {.groups = 3})), {"filters (4)", "groups (3)"}},
      {"padding", image(Conv2D(4, {3, 3}, {.padding = "sam"})), {"padding is 'sam'", "'valid' or 'same'"}},
      {"no place", image(Conv2D(4, {9, 9})), {"9 x 9", "(None, 8, 8, 3)"}},
      {"an axis short",
       [] {
         Conv2D(4, {3, 3})(Input({8, 8}));
       },
       {"4 axes", "(None, 8, 8)"}},
      {"multiplier of 0", image(DepthwiseConv2D({3, 3}, {.depth_multiplier = 0})), {"depth_multiplier is 0"}},
      {"pool of 0", image(MaxPooling2D({0, 2})), {"MaxPooling2D", "pool_size is (0, 2)"}},
      {"pool strides", image(AveragePooling2D({2, 2}, {.strides = Size2(2, -1)})), {"strides is (2, -1)"}},
      {"pool padding", image(MaxPooling2D({2, 2}, {.padding = "full"})), {"padding is 'full'"}},
      {"upsampling of 0", image(UpSampling2D(0)), {"size is (0, 0)"}},
      {"negative padding", image(ZeroPadding2D(-1)), {"padding is ((-1, -1), (-1, -1))"}},
      {"all cropped", image(Cropping2D(4)), {"leaves nothing of the input (None, 8, 8, 3)"}},
      {"resized to 0", image(Resizing(0, 3)), {"(0, 3)"}},
      {"interpolation", image(Resizing(4, 3, {.interpolation = "cubic"})), {"'cubic'", "bicubic"}},
      {"negative input", [] { Input({-5}); }, {"InputLayer", "(None, -5)"}},
      {"axes",
       [] {
         Input({1, 1, 1, 1, 1, 1, 1, 1, 1});
       },
       {"at most 8 axes"}},
      {"dtype", [] { Input({3}, {.dtype = "float64"}); }, {"'float64'", "float32"}},
      {"embedding of 0", row(Embedding(0, 2)), {"Embedding", "input_dim is 0"}},
      {"rate", row(Dropout(static_cast<double>(kNan))), {"rate is nan", "between 0 and 1"}},
      {"axis", row(Softmax({.axis = 5})), {"Softmax", "axis 5", "(None, 8)"}},
      {"groups of channels", row(GroupNormalization({.groups = 3})), {"groups is 3", "8 channels"}},
      {"odd glu", row(Dense(3, {.activation = "glu"})), {"Dense", "glu", "even", "(None, 3)"}},
      {"no inputs", [] { Dense(3)(Tensors{}); }, {"Dense", "takes one input, 0 came"}},
      {"two inputs",
       [] {
         Dense(3)({Input({3}), Input({3})});
       },
       {"takes one input, 2 came"}},
      {"nothing to add", [] { Add()(Tensors{}); }, {"Add", "none came"}},
      {"shapes to add",
       [] {
         Add()({Input({3}), Input({4})});
       },
       {"Add", "(None, 3), (None, 4)"}},
      {"layer built for another input",
       [] {
         Layer dense = Dense(3, {.name = "d"});
         dense(Input({4}));
         dense(Input({5}));
       },
       {"d: ", "5 features", "expects 4"}},
  });
}

TEST(Errors, NamesThatAreNone) {
  ExpectErrors({
      {"activation",
       [] { Dense(3, {.activation = "reluu"})(Input({4})); },
       {"Dense", "'reluu' is not known; there are linear, ", ", relu, "}},
      {"initializer",
       [] { Dense(3, {.kernel_initializer = "glorot"})(Input({4})); },
       {"'glorot'", "glorot_uniform", "HeNormal"}},
      {"regularizer", [] { Dense(3, {.kernel_regularizer = "l3"})(Input({4})); }, {"'l3'", "L1, L2 and L1L2"}},
      {"loss", [] { OfLoss("msee"); }, {"'msee'", "mean_squared_error"}},
      {"metric", [] { Mlp().compile({.loss = "mse", .metrics = {"accurcy"}}); }, {"'accurcy'", "accuracy"}},
      {"optimizer", [] { Mlp().compile({.optimizer = "adm", .loss = "mse"}); }, {"'adm'", "Adam"}},
      {"layer",
       [] {
         LayerFromConfig("LSTM", {{"name", "l"}});
       },
       {"'l'", "'LSTM'", "custom objects"}},
      {"get_layer", [] { Mlp().get_layer("dense_7"); }, {"'dense_7'", "hidden dense"}},
      {"get_layer by number", [] { Mlp().get_layer(2); }, {"2 layers", "layer 2"}},
      {"history", [] { Compiled().fit(Labelled())["acc"]; }, {"'acc'", "loss accuracy"}},
      {"logs", [] { Compiled().evaluate(Labelled())["acc"]; }, {"'acc'", "loss accuracy"}},
  });
}

TEST(Errors, SizesBeyondThisMachine) {
  ExpectErrors({
      {"weights",
       [] {
         Sequential({Input({1 << 20}), Dense(1 << 27)});
       },
       {"not enough memory", "sequential", "TiB"}},
      {"units of 2^62",
       [] {
         Sequential({Input({4}), Dense(kOne << 62)});
       },
       {"dense: ", "4611686018427387904"}},
      {"units of 2^40",
       [] {
         Sequential({Input({4}), Dense(kOne << 40)});
       },
       {"dense: ", "1099511627776"}},
      {"units before there is an input",
       [] {
         Sequential({Dense(kOne << 62)}).predict(Ones({2, 4}));
       },
       {"dense: ", "4611686018427387904"}},
      {"filters of 2^62",
       [] {
         Sequential({Input({8, 8, 3}), Conv2D(kOne << 62, {3, 3})});
       },
       {"conv2d: "}},
      {"a kernel of 2^31",
       [] {
         Conv2D(4, Size2(kOne << 31))(Input({8, 8, 3}));
       },
       {"2147483648", "at most"}},
      {"a kernel of 2^60 elements",
       [] {
         Conv2D(4, Size2(1 << 30), {.padding = "same", .name = "c"})(Input({8, 8, 3}));
       },
       {"c: ", "(1073741824, 1073741824, 3, 4)"}},
      {"a span of 2^32",
       [] {
         Conv2D(1, {20000, 1}, {.padding = "same", .dilation_rate = {200000, 1}})(Input({8, 8, 1}));
       },
       {"spans", "3999800001"}},
      {"multiplier",
       [] {
         DepthwiseConv2D({3, 3}, {.depth_multiplier = kOne << 61})(Input({8, 8, 8}));
       },
       {"Depthwise"}},
      {"strides upwards",
       [] {
         Conv2DTranspose(1, {3, 3}, {.strides = 2000000000, .name = "up"})(Input({8, 8, 1}));
       },
       {"up: ", "(None, 16000000000, 16000000000, 1)"}},
      {"upsampling",
       [] {
         Sequential({Input({8, 3}), UpSampling1D(kOne << 60)});
       },
       {"up_sampling1d"}},
      {"activations",
       [] {
         Sequential({Input({8, 8, 3}), UpSampling2D(1 << 20)}).predict(Ones({1, 8, 8, 3}));
       },
       {"not enough memory", "activations", "TiB"}},
      {"padding",
       [] {
         ZeroPadding2D(kOne << 40)(Input({8, 8, 3}));
       },
       {"ZeroPadding2D", "1099511627776"}},
      {"repeats", [] { RepeatVector(kOne << 61)(Input({8})); }, {"RepeatVector", "2305843009213693952"}},
      {"an input", [] { Input({kOne << 62}); }, {"InputLayer", "4611686018427387904"}},
      {"table",
       [] {
         Sequential({Input({3}), Embedding(kOne << 40, kOne << 30)});
       },
       {"embedding: ", "1099511627776"}},
      {"reshape",
       [] {
         Reshape({kOne << 61, 8})(Input({8}));
       },
       {"Reshape", "more elements than can be counted"}},
      {"a batch", [] { Compiled().plan(std::numeric_limits<int>::max()); }, {"not enough memory", "(2147483647, 20)"}},
      {"an array",
       [] {
         Array({kOne << 40, kOne << 40});
       },
       {"(1099511627776, 1099511627776)"}},
  });
}

// Numbers that no float32 can hold, and those that Keras refuses. What Keras takes is taken, odd as it is.
TEST(Errors, NumbersOfLayers) {
  const auto image = [](const Layer& layer) { return [=] { layer(Input({4, 4, 8})); }; };
  const double huge = 1e300;
  const float infinite = std::numeric_limits<float>::infinity();
  ExpectErrors({
      {"BatchNormalization, epsilon", image(BatchNormalization({.epsilon = kNan, .name = "b"})), {"b: epsilon is nan"}},
      {"BatchNormalization, momentum", image(BatchNormalization({.momentum = huge})), {"momentum is 1e+300"}},
      {"LayerNormalization", image(LayerNormalization({.epsilon = infinite})), {"epsilon is inf"}},
      {"GroupNormalization", image(GroupNormalization({.groups = 2, .epsilon = kNan})), {"epsilon is nan"}},
      {"Normalization", image(Normalization({.mean = kNan, .variance = 1.0})), {"mean is nan"}},
      {"Rescaling", image(Rescaling(huge)), {"scale is 1e+300", "float32"}},
      {"Rescaling, offset", image(Rescaling(1, {.offset = std::nan("")})), {"offset is nan"}},
      {"ELU", image(ELU({.alpha = kNan})), {"alpha is nan"}},
      {"LeakyReLU", image(LeakyReLU({.negative_slope = infinite})), {"negative_slope is inf"}},
      {"LeakyReLU, negative", image(LeakyReLU({.negative_slope = -1})), {"negative_slope is -1"}},
      {"ReLU", image(ReLU({.threshold = infinite})), {"threshold is inf"}},
      {"CustomScaleLayer",
       [] {
         InputTensor x = Input({3});
         CustomScaleLayer(1e300)({x, x});
       },
       {"scale is 1e+300"}},
      {"LayerScale", image(LayerScale(std::nan(""), 8)), {"init_values is nan"}},
      {"Dropout", image(Dropout(1.5)), {"rate is 1.5", "between 0 and 1"}},
      {"Dropout of NaN", image(Dropout(std::nan(""))), {"rate is nan"}},
      {"GaussianNoise", image(GaussianNoise(-0.5)), {"stddev is -0.5"}},
      {"ActivityRegularization", image(ActivityRegularization({.l1 = -1})), {"l1 is -1", "0 or more"}},
      {"L1", [] { L1(-0.1f); }, {"regularizer L1", "l1 is -0.1"}},
      {"L2 of NaN", [] { L2(kNan); }, {"regularizer L2", "l2 is nan"}},
      {"L1L2", [=] { L1L2({.l1 = 0.1f, .l2 = infinite}); }, {"regularizer L1L2", "l2 is inf"}},
      {"an initializer",
       image(Dense(2, {.kernel_initializer = RandomNormal({.stddev = std::nan("")})})),
       {"RandomNormal", "stddev is nan"}},
  });
  for (const float odd : {-1.0f, 0.0f})
    for (const Layer& layer :
         {BatchNormalization({.momentum = 2, .epsilon = odd}), LayerNormalization({.epsilon = odd}),
          GroupNormalization({.groups = 2, .epsilon = odd}), ELU({.alpha = odd})})
      layer(Input({4, 4, 8}));
}

TEST(Errors, NumbersOfLayersInDescriptions) {
  const auto reads = [](const char* kind, const std::string& options) {
    return [=] { LayerFromConfig(kind, Json::parse("{\"name\": \"l\", " + options + "}"))(Input({4, 4, 8})); };
  };
  ExpectErrors({
      {"beyond float32",
       reads("BatchNormalization", R"("epsilon": 1e300)"),
       {"layer 'l'", "'epsilon' is 1e+300", "float32"}},
      {"a list beyond it",
       reads("Dense", R"("units": 2, "bias_initializer": {"class_name": "Constant", "config": {"value": [1e39, 0]}})"),
       {"layer 'l'", "float32"}},
      {"a double beyond it", reads("BatchNormalization", R"("momentum": -1e300)"), {"l: ", "momentum is -1e+300"}},
      {"Rescaling", reads("Rescaling", R"("scale": 1e300)"), {"l: ", "scale is 1e+300"}},
      {"rate", reads("Dropout", R"("rate": 7)"), {"l: ", "rate is 7"}},
      {"a penalty",
       reads("Dense", R"("units": 2, "kernel_regularizer": {"class_name": "L2", "config": {"l2": -0.5}})"),
       {"layer 'l'", "l2 is -0.5"}},
      {"a penalty on activity", reads("ActivityRegularization", R"("l2": -0.5)"), {"l: ", "l2 is -0.5"}},
  });
}

}  // namespace
}  // namespace ingot
