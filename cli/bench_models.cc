// SPDX-License-Identifier: MIT
#include "ingot/cli/bench_models.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "ingot/core/error.h"
#include "ingot/core/random.h"

namespace ingot {
namespace {

Layer ConvNoBias(int64_t filters, int64_t size, int64_t stride = 1) {
  return Conv2D(filters, size, {.strides = stride, .padding = "same", .use_bias = false});
}

Tensor Norm(const Tensor& x) { return BatchNormalization()(x); }

Model Mlp(const MlpSize& size) {
  std::vector<Layer> layers = {Input({784})};
  for (int64_t i = 0; i < size.depth; ++i) layers.push_back(Dense(size.width, {.activation = "relu"}));
  layers.push_back(Dense(10, {.activation = "softmax"}));
  return Sequential(layers);
}

Model Binary(const MlpSize&) {
  return Sequential({Input({10}), Dense(64, {.activation = "relu"}), Dense(1, {.activation = "sigmoid"})});
}

Model Cnn(const MlpSize&) {
  return Sequential({Input({28, 28, 1}), Conv2D(64, 3, {.activation = "relu", .kernel_regularizer = L2(1e-3f)}),
                     BatchNormalization(), MaxPooling2D(2),
                     Conv2D(32, 3, {.activation = "relu", .kernel_regularizer = L2(1e-3f)}), BatchNormalization(),
                     MaxPooling2D(2), Flatten(), Dropout(0.5), Dense(10, {.activation = "softmax"})});
}

Model CnnBig(const MlpSize&) {
  return Sequential({Input({28, 28, 1}), Conv2D(1024, 3, {.activation = "relu"}), MaxPooling2D(2),
                     Conv2D(512, 3, {.activation = "relu"}), MaxPooling2D(2), Flatten(),
                     Dense(10, {.activation = "softmax"})});
}

// He et al. for CIFAR-10, with projections.
Model ResNet20(const MlpSize&) {
  const InputTensor in = Input({32, 32, 3});
  Tensor x = ReLU()(Norm(ConvNoBias(16, 3)(in)));
  for (const int64_t filters : {16, 32, 64}) {
    for (int block = 0; block < 3; ++block) {
      const int64_t stride = filters > 16 && block == 0 ? 2 : 1;
      Tensor y = ReLU()(Norm(ConvNoBias(filters, 3, stride)(x)));
      y = Norm(ConvNoBias(filters, 3)(y));
      if (stride == 2) x = Norm(ConvNoBias(filters, 1, 2)(x));
      x = ReLU()(Add()({x, y}));
    }
  }
  return Model(in, Dense(10, {.activation = "softmax"})(GlobalAveragePooling2D()(x)));
}

// As keras.applications.MobileNetV2(input_shape=(96, 96, 3)) builds it.
Model MobileNetV2(const MlpSize&) {
  const InputTensor in = Input({96, 96, 3});
  const auto norm = [](const Tensor& x) { return BatchNormalization({.momentum = 0.999})(x); };
  const auto relu6 = [](const Tensor& x) { return ReLU({.max_value = 6.0f})(x); };
  Tensor x = relu6(norm(ConvNoBias(32, 3, 2)(in)));
  int64_t channels = 32;
  const auto block = [&](int64_t filters, int64_t stride, int64_t expansion) {
    Tensor y = x;
    if (expansion > 1) y = relu6(norm(ConvNoBias(expansion * channels, 1)(y)));
    if (stride == 2) y = ZeroPadding2D({{0, 1}, {0, 1}})(y);
    y = relu6(
        norm(DepthwiseConv2D(3, {.strides = stride, .padding = stride == 1 ? "same" : "valid", .use_bias = false})(y)));
    y = norm(ConvNoBias(filters, 1)(y));
    x = stride == 1 && channels == filters ? Add()({x, y}) : y;
    channels = filters;
  };
  struct Stage {
    int64_t filters, repeat, stride, expansion;
  };
  for (const Stage& s : std::vector<Stage>{
           {16, 1, 1, 1}, {24, 2, 2, 6}, {32, 3, 2, 6}, {64, 4, 2, 6}, {96, 3, 1, 6}, {160, 3, 2, 6}, {320, 1, 1, 6}})
    for (int64_t i = 0; i < s.repeat; ++i) block(s.filters, i == 0 ? s.stride : 1, s.expansion);
  x = relu6(norm(ConvNoBias(1280, 1)(x)));
  return Model(in, Dense(1000, {.activation = "softmax"})(GlobalAveragePooling2D()(x)));
}

// As keras.applications.ResNet50() builds it.
Model ResNet50(const MlpSize&) {
  const InputTensor in = Input({224, 224, 3});
  const auto conv = [](const Tensor& x, int64_t filters, int64_t size, int64_t stride = 1) {
    return BatchNormalization({.epsilon = 1.001e-5f})(
        Conv2D(filters, size, {.strides = stride, .padding = size == 3 ? "same" : "valid"})(x));
  };
  Tensor x = ReLU()(conv(ZeroPadding2D(3)(in), 64, 7, 2));
  x = MaxPooling2D(3, {.strides = 2})(ZeroPadding2D(1)(x));
  for (const auto& [filters, repeat] : std::vector<std::pair<int64_t, int>>{{64, 3}, {128, 4}, {256, 6}, {512, 3}}) {
    for (int i = 0; i < repeat; ++i) {
      const int64_t stride = i == 0 && filters > 64 ? 2 : 1;
      const Tensor shortcut = i == 0 ? conv(x, 4 * filters, 1, stride) : x;
      Tensor y = ReLU()(conv(x, filters, 1, stride));
      y = ReLU()(conv(y, filters, 3));
      y = conv(y, 4 * filters, 1);
      x = ReLU()(Add()({shortcut, y}));
    }
  }
  return Model(in, Dense(1000, {.activation = "softmax"})(GlobalAveragePooling2D()(x)));
}

const std::vector<std::pair<std::string, std::function<Model(const MlpSize&)>>> kModels = {
    {"mlp", Mlp},           {"binary", Binary},           {"cnn", Cnn},          {"cnn-big", CnnBig},
    {"resnet20", ResNet20}, {"mobilenetv2", MobileNetV2}, {"resnet50", ResNet50}};

}  // namespace

const std::vector<std::string>& BenchModelNames() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> list;
    for (const auto& [name, make] : kModels) list.push_back(name);
    return list;
  }();
  return names;
}

Model BenchModel(const std::string& name, const MlpSize& size) {
  for (const auto& [known, make] : kModels) {
    if (known != name) continue;
    Model model = make(size);
    model.compile(
        {.optimizer = "adam", .loss = name == "binary" ? "binary_crossentropy" : "sparse_categorical_crossentropy"});
    return model;
  }
  Fail("no model '", name, "' to time");
}

Dataset BenchData(const Model& model, int64_t rows) {
  Random random({1, 0, 0});
  Array x(model.network().inputs()[0].shape.with(0, rows));
  for (float& v : x.floats()) v = 2 * random.Uniform() - 1;
  const int64_t classes = model.network().outputs()[0].shape[1];
  Array y(classes == 1 ? Shape{rows, 1} : Shape{rows}, classes == 1 ? DType::kFloat32 : DType::kInt32);
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t label = static_cast<int64_t>(random.Uniform() * static_cast<float>(std::max<int64_t>(2, classes)));
    if (classes == 1)
      y.floats()[static_cast<size_t>(i)] = static_cast<float>(label);
    else
      y.as<int32_t>()[static_cast<size_t>(i)] = static_cast<int32_t>(label);
  }
  return {{x}, {y}, {}};
}

}  // namespace ingot
