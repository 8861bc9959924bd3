// SPDX-License-Identifier: MIT
//
// Fusing changes what a plan stores, not what it computes: each block of layers is trained twice, once as it is and
// once with every layer an output of the model too, which leaves nothing to fuse.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <vector>

#include "ingot/ingot.h"

namespace ingot {
namespace {

// Layers of the block, from first to last.
using Block = std::function<Tensors(const Tensor&)>;

Array Numbers(const Shape& shape, uint64_t seed) {
  Random random({seed, 0, 0});
  Array a(shape);
  for (float& v : a.floats()) v = random.Uniform(-1, 1);
  return a;
}

void ExpectClose(const Arrays& a, const Arrays& b, const char* what) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    ASSERT_EQ(a[i].shape(), b[i].shape());
    double largest = 0, apart = 0;
    const auto x = a[i].floats(), y = b[i].floats();
    for (size_t k = 0; k < x.size(); ++k) {
      largest = std::max(largest, std::fabs(static_cast<double>(x[k])));
      apart = std::max(apart, std::fabs(static_cast<double>(x[k]) - static_cast<double>(y[k])));
    }
    EXPECT_LT(apart, 2e-5 * largest + 1e-6) << what << " " << i;
  }
}

// `fused`: what the plan of the block says; `not_fused`: what it must not say.
void Check(const Block& block, const std::vector<std::string>& fused) {
  const Shape image{6, 13, 11, 3};
  const auto make = [&](bool whole) {
    const InputTensor in = Input(image.from(1));
    const Tensors parts = block(in);
    const Tensor out = Dense(2)(Flatten()(parts.back()));
    Tensors outputs{out};
    if (!whole) outputs.insert(outputs.end(), parts.begin(), parts.end());
    Model model(Tensors{in}, outputs, {.seed = 3});
    model.compile({.optimizer = SGD(), .loss = "mse", .loss_weights = [&] {
                     std::vector<float> weights(outputs.size(), 0);
                     weights[0] = 1;
                     return weights;
                   }()});
    return model;
  };
  Model whole = make(true), parts = make(false);
  parts.set_weights(whole.get_weights());
  const Array x = Numbers(image, 1), y = Numbers({image[0], 2}, 2);
  Arrays targets{y};
  for (size_t i = 1; i < parts.outputs().size(); ++i)
    targets.push_back(Array(parts.outputs()[i].shape().with(0, image[0])));
  const Gradients a = whole.gradients({x}, {y}), b = parts.gradients({x}, targets);
  EXPECT_NEAR(a.loss, b.loss, 1e-6 * std::fabs(b.loss));
  ExpectClose(a.weights, b.weights, "gradient");
  ExpectClose(whole.get_weights(), parts.get_weights(), "moving statistics");
  for (const std::string& text : fused) {
    EXPECT_NE(whole.plan(6).find(text), std::string::npos) << "no '" << text << "' in\n" << whole.plan(6);
    EXPECT_EQ(parts.plan(6).find(text), std::string::npos) << "'" << text << "' although it is an output";
  }
}

Tensor Conv(const Tensor& x, int64_t filters, const char* activation = "linear") {
  return Conv2D(filters, 3, {.padding = "same", .activation = activation})(x);
}

TEST(Fusion, ReluBeforeAndPoolBehind) {
  Check(
      [](const Tensor& x) {
        const Tensor a = Conv(x, 5, "relu"), b = BatchNormalization()(a), c = MaxPooling2D(2)(b);
        return Tensors{a, b, c};
      },
      {"BatchNorm + pool", "BatchNormGrad + pool + relu before + bias"});
}

TEST(Fusion, ReluAndPoolBehind) {
  Check(
      [](const Tensor& x) {
        const Tensor a = Conv(x, 4), b = BatchNormalization()(a), c = ReLU()(b), d = MaxPooling2D({3, 2})(c);
        return Tensors{a, b, c, d};
      },
      {"BatchNorm + relu + pool", "BatchNormGrad + relu + pool + bias"});
}

TEST(Fusion, Relu6) {
  Check(
      [](const Tensor& x) {
        const Tensor a = BatchNormalization({.gamma_initializer = Constant(5)})(x), b = ReLU({.max_value = 6.0f})(a),
                     c = Conv(b, 4);
        return Tensors{a, b, c};
      },
      {"BatchNorm + relu6", "BatchNormGrad + relu6"});
}

TEST(Fusion, ResidualOfAnImageAndOfAShortcut) {
  Check(
      [](const Tensor& x) {
        const Tensor a = Conv(x, 3), b = BatchNormalization()(a), c = Add()({x, b}), d = ReLU()(c), e = Conv(d, 2);
        return Tensors{a, b, c, d, e};
      },
      {"BatchNorm + add + relu", "BatchNormGrad + add + relu"});
  Check(
      [](const Tensor& x) {
        const Tensor a = Conv(x, 4), b = BatchNormalization()(a), s = Conv(x, 4), t = BatchNormalization()(s),
                     c = Add()({t, b}), d = ReLU()(c), e = Conv(d, 2);
        return Tensors{a, b, s, t, c, d, e};
      },
      {"BatchNorm + add + relu", "BatchNormGrad + add + relu"});
}

// The gradient of a relu is taken of what the pool kept, overlapping or padded, and so are the sums for the bias.
TEST(Fusion, ReluBeforeAPool) {
  for (const PoolingOptions& o : {PoolingOptions{}, PoolingOptions{.strides = 1}, PoolingOptions{.padding = "same"}})
    Check(
        [&](const Tensor& x) {
          const Tensor a = Conv(x, 4, "relu"), b = MaxPooling2D({3, 2}, o)(a), c = Conv(b, 3, "relu"),
                       d = MaxPooling2D(2)(c);
          return Tensors{a, b, c, d};
        },
        {});
}

// What somebody else reads stays.
TEST(Fusion, OfValuesWithSeveralReaders) {
  Check(
      [](const Tensor& x) {
        const Tensor a = BatchNormalization()(x), b = ReLU()(a), c = MaxPooling2D(2)(a), d = MaxPooling2D(2)(b);
        return Tensors{a, b, c, d, Add()({c, d})};
      },
      {});
  Check(
      [](const Tensor& x) {
        const Tensor a = BatchNormalization()(x), b = Add()({a, a}), c = ReLU()(b), d = Multiply()({c, b});
        return Tensors{a, b, c, d};
      },
      {});
  Check(
      [](const Tensor& x) {
        const Tensor a = Conv(x, 3, "relu"), b = BatchNormalization()(a), c = Add()({a, b}), d = ReLU()(c);
        return Tensors{a, b, c, d, Subtract()({d, b})};
      },
      {});
  // A window that overlaps, and one that is padded.
  Check(
      [](const Tensor& x) {
        const Tensor a = BatchNormalization()(x), b = MaxPooling2D(3, {.strides = 2})(a),
                     c = MaxPooling2D(2, {.padding = "same"})(BatchNormalization()(b));
        return Tensors{a, b, c};
      },
      {});
}

}  // namespace
}  // namespace ingot
