// SPDX-License-Identifier: MIT
//
// A noise layer with a seed of its own draws what that seed says, in whatever model it stands; without one, what the
// model's seed says.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>

#include "ingot/io/keras_config.h"
#include "ingot/layers/layers.h"
#include "ingot/train/model.h"

namespace ingot {
namespace {

Array Ones(const Shape& shape) { return {shape, std::vector<float>(static_cast<size_t>(shape.count()), 1.0f)}; }

const Shape kImage{6, 6, 8};

using Make = std::function<Layer(std::optional<int64_t> seed)>;
struct Case {
  const char* name;
  Make make;
};
const Case kCases[] = {
    {"Dropout", [](auto seed) { return Dropout(0.5, {.seed = seed}); }},
    {"Dropout, shared along an axis",
     [](auto seed) {
       return Dropout(0.5, {.noise_shape = {kNone, 1, 6, 8}, .seed = seed});
     }},
    {"SpatialDropout2D", [](auto seed) { return SpatialDropout2D(0.5, {.seed = seed}); }},
    {"GaussianNoise", [](auto seed) { return GaussianNoise(0.5, {.seed = seed}); }},
};

// What comes out in training mode, behind `before` other layers and after so many steps.
Arrays Drawn(const Make& make, std::optional<int64_t> seed, uint64_t model_seed, int before = 0, int steps = 0) {
  std::vector<Layer> layers = {Input(kImage)};
  for (int i = 0; i < before; ++i)  // they draw, and drop nothing
    layers.push_back(Dropout(1e-9));
  layers.push_back(make(seed));
  Model model = Sequential(layers, {.seed = model_seed});
  const Array x = Ones({2, 6, 6, 8});
  model.compile({.optimizer = "sgd", .loss = "mse"});
  for (int i = 0; i < steps; ++i) model.train_on_batch({x}, {x});
  return model.vjp({x}, {x}).outputs;
}

TEST(NoiseSeed, DecidesWhatIsDrawn) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.name);
    const Arrays one = Drawn(c.make, 7, 1);
    EXPECT_EQ(one, Drawn(c.make, 7, 2)) << "another model";
    EXPECT_EQ(one, Drawn(c.make, 7, 2, 3)) << "another place in it";
    EXPECT_NE(one, Drawn(c.make, 8, 1)) << "another seed";
    EXPECT_NE(one, Drawn(c.make, 7, 1, 0, 1)) << "another step";
    EXPECT_NE(Drawn(c.make, {}, 1), Drawn(c.make, {}, 2)) << "without a seed it is the model's that counts";
    EXPECT_NE(Drawn(c.make, 7, 7), Drawn(c.make, {}, 7)) << "the same number means other streams";
    EXPECT_EQ(Drawn(c.make, -3, 1), Drawn(c.make, -3, 2));
  }
}

// Two calls of one layer draw two masks; two layers of one seed draw the same, as in Keras.
TEST(NoiseSeed, CallsOfALayerDiffer) {
  const auto masks = [](bool shared) {
    const Layer first = Dropout(0.5, {.seed = 3}), second = shared ? first : Dropout(0.5, {.seed = 3});
    InputTensor x = Input({64});
    Model model(x, {first(x), second(x)}, {.seed = 1});
    return model.vjp({Ones({1, 64})}, {Ones({1, 64}), Ones({1, 64})}).outputs;
  };
  const Arrays calls = masks(true), layers = masks(false);
  EXPECT_NE(calls[0], calls[1]);
  EXPECT_EQ(layers[0], layers[1]);
}

TEST(NoiseSeed, IsWrittenAndRead) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.name);
    Model model = Sequential({Input(kImage), c.make(1234567890123)}, {.seed = 1});
    const Json config = NetworkConfig(model.network());
    EXPECT_EQ(config["config"]["layers"][1]["config"]["seed"], 1234567890123);
    Model again(NetworkFromConfig(config), {.seed = 2});
    const Array x = Ones({2, 6, 6, 8});
    EXPECT_EQ(model.vjp({x}, {x}).outputs, again.vjp({x}, {x}).outputs);
  }
}

// The gradient goes where the mask let values through.
TEST(NoiseSeed, TheGradientSeesTheSameMask) {
  Model model = Sequential({Input({64}), Dropout(0.5, {.seed = 5})}, {.seed = 1});
  const Array x = Ones({3, 64});
  const Model::Vjp got = model.vjp({x}, {x});
  EXPECT_EQ(got.outputs[0], got.inputs[0]);
}

}  // namespace
}  // namespace ingot
