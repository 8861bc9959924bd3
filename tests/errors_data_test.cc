// SPDX-License-Identifier: MIT
//
// What fit, evaluate, predict and the rest refuse of data: shapes and values.
#include <gtest/gtest.h>

#include "ingot/layers/layers.h"
#include "ingot/tests/errors_test_util.h"
#include "ingot/train/model.h"

namespace ingot {
namespace {

using namespace testing;

TEST(Errors, ShapesOfData) {
  const Dataset data = Labelled();
  ExpectErrors({
      {"features",
       [&] {
         Compiled().fit(Ones({8, 19}), data.y[0]);
       },
       {"'input_layer'", "(8, 19)", "(None, 20)"}},
      {"axes",
       [&] {
         Compiled().fit(Ones({8, 20, 1}), data.y[0]);
       },
       {"(8, 20, 1)", "(None, 20)"}},
      {"rows of numbers", [&] { Compiled().fit(Ones({8}), data.y[0]); }, {"(8,)", "(None, 20)"}},
      {"predict",
       [] {
         Compiled().predict(Ones({8, 3}));
       },
       {"(8, 3)", "(None, 20)"}},
      {"predictor",
       [] {
         Compiled().predictor().predict_on_batch({Ones({8, 3})});
       },
       {"(8, 3)", "(None, 20)"}},
      {"an image too small",
       [] {
         Sequential({Input({kNone, kNone, 3}), Conv2D(2, {5, 5})}).predict(Ones({1, 4, 8, 3}));
       },
       {"conv2d: ", "(1, 4, 8, 3)"}},
      {"an empty array", [&] { Compiled().fit(Array(), data.y[0]); }, {"fit: x[0] is empty"}},
      {"no x",
       [&] {
         Compiled().fit(Dataset{{}, data.y, {}});
       },
       {"fit: there is no input"}},
      {"no y",
       [&] {
         Compiled().fit(Dataset{data.x, {}, {}});
       },
       {"1 output, 0 targets"}},
      {"rows", [&] { Compiled().fit(data.x[0], Array({7}, DType::kInt32)); }, {"8 rows", "y[0] has 7"}},
      {"rows of inputs",
       [] {
         TwoByTwo().predict(Arrays{Ones({4, 3}), Ones({5, 2})});
       },
       {"4 rows", "x[1] has 5"}},
      {"too many inputs",
       [&] {
         Mlp().predict(Arrays{data.x[0], data.x[0]});
       },
       {"takes 1 input, 2 came"}},
      {"too few inputs",
       [] {
         TwoByTwo().predict(Arrays{Ones({4, 3})});
       },
       {"takes 2 inputs, 1 came"}},
      {"one of two outputs",
       [] {
         InputTensor x = Input({3});
         Model({x}, {Dense(1)(x), Dense(2)(x)}).predict(Ones({4, 3}));
       },
       {"2 outputs", "as a list"}},
      {"too few targets",
       [] {
         Model m = TwoByTwo();
         m.compile({.loss = "mse"});
         m.fit(Dataset{{Ones({4, 3}), Ones({4, 2})}, {Ones({4, 1})}, {}});
       },
       {"2 outputs, 1 target"}},
      {"too many targets",
       [&] {
         Compiled().fit(Dataset{data.x, {data.y[0], data.y[0]}, {}});
       },
       {"1 output, 2 targets"}},
      {"targets",
       [] {
         OfLoss("mse").fit(Ones({8, 20}), Ones({8, 3}));
       },
       {"loss mse", "(8, 3)", "(8, 4)"}},
      {"labels for numbers", [&] { OfLoss("mse").fit(data); }, {"(8,)", "sparse_categorical_crossentropy"}},
      {"labels for one-hot", [&] { OfLoss("categorical_crossentropy").fit(data); }, {"integer labels", "one-hot"}},
      {"one-hot for labels",
       [] {
         Compiled().fit(Ones({8, 20}), Ones({8, 4}));
       },
       {"categorical_crossentropy"}},
      {"validation data",
       [&] {
         Compiled().fit(data, {.validation_data = Dataset::from_arrays(Ones({8, 19}), data.y[0])});
       },
       {"(8, 19)", "(None, 20)"}},
      {"validation data without targets",
       [&] {
         Compiled().fit(data, {.validation_data = Dataset{data.x, {}, {}}});
       },
       {"validation_data", "0 targets"}},
      {"weights of samples",
       [&] {
         Compiled().fit(Dataset{data.x, data.y, Ones({7})});
       },
       {"sample_weight", "7"}},
      {"weights of samples, two axes",
       [&] {
         Compiled().fit(Dataset{data.x, data.y, Ones({8, 3})});
       },
       {"sample_weight", "(8, 3)", "one number for each of 8 rows"}},
      {"cotangents", [&] { Mlp().vjp(data.x, {}); }, {"vjp", "1 output, 0 cotangents"}},
      {"cotangent",
       [&] {
         Mlp().vjp(data.x, {Ones({8, 5})});
       },
       {"cotangent 0", "(8, 5)", "(8, 4)"}},
      {"gradients",
       [] {
         Compiled().apply_gradients({Ones({20, 16})});
       },
       {"4 weights, 1 gradients"}},
      {"gradient",
       [] {
         Compiled().apply_gradients({Ones({20, 16}), Ones({16}), Ones({16, 4}), Ones({5})});
       },
       {"gradient 3", "(5,)", "(4,)"}},
      {"gradient of int",
       [] {
         Compiled().apply_gradients({Ones({20, 16}), Ones({16}), Ones({16, 4}), Array({4}, DType::kInt32)});
       },
       {"gradient 3", "int32", "float32"}},
      {"weights",
       [] {
         Mlp().set_weights({Ones({20, 16})});
       },
       {"4 weights, 1 came"}},
      {"weight",
       [] {
         Mlp().set_weights({Ones({20, 15}), Ones({16}), Ones({16, 4}), Ones({4})});
       },
       {"weight 0 (hidden/kernel)", "(20, 16)", "(20, 15)"}},
      {"weight of int",
       [] {
         Mlp().set_weights({Array({20, 16}, DType::kInt32), Ones({16}), Ones({16, 4}), Ones({4})});
       },
       {"hidden/kernel", "int32", "float32"}},
      {"weights not made yet",
       [] {
         Sequential({Dense(3)}).set_weights({Ones({3, 3})});
       },
       {"0 weights", "Input"}},
      {"predictor not made yet", [] { Sequential({Dense(3)}).predictor(); }, {"no weights yet", "Input"}},
      {"plan not known yet", [] { Sequential({Dense(3)}).plan(); }, {"does not know its input shape"}},
      {"array",
       [] {
         Array({2, 3}, std::vector<float>(5));
       },
       {"(2, 3)", "takes 6 values, 5 came"}},
  });
}

TEST(Errors, ValuesOfData) {
  const Dataset data = Labelled();
  const Array& x = data.x[0];
  ExpectErrors({
      {"label too large", [&] { Compiled().fit(x, Labels(4)); }, {"label 4 at position 5", "0 to 3", "4 classes"}},
      {"negative label", [&] { Compiled().fit(x, Labels(-1)); }, {"label -1 at position 5", "0 to 3"}},
      {"NaN as label", [&] { Compiled().fit(x, Labels(kNan)); }, {"label nan at position 5"}},
      {"half a label", [&] { Compiled().fit(x, Labels(1.5f)); }, {"label 1.5", "whole numbers"}},
      {"evaluate", [&] { Compiled().evaluate(x, Labels(9)); }, {"label 9"}},
      {"train_on_batch", [&] { Compiled().train_on_batch({x}, {Labels(9)}); }, {"label 9"}},
      {"test_on_batch", [&] { Compiled().test_on_batch({x}, {Labels(9)}); }, {"label 9"}},
      {"gradients", [&] { Compiled().gradients({x}, {Labels(9)}); }, {"label 9"}},
      {"validation",
       [&] { Compiled().fit(data, {.validation_data = Dataset::from_arrays(x, Labels(9))}); },
       {"label 9"}},
      {"id too large",
       [] {
         Sequential({Input({2}, {.dtype = "int32"}), Embedding(4, 2)})
             .predict(Array({1, 2}, std::vector<int32_t>{0, 4}));
       },
       {"embedding: id 4 at position 1", "(1, 2)", "0 to 3"}},
      {"id of NaN within a model",
       [] {
         Model inner = Sequential({Input({2}), Embedding(4, 2, {.name = "e"})});
         Sequential({Input({2}), inner}).predict(Array({1, 2}, std::vector<float>{0, kNan}));
       },
       {"e: id nan at position 1"}},
      {"no rows",
       [] {
         Compiled().fit(Array({0, 20}), Array({0}, DType::kInt32));
       },
       {"fit: there are no rows"}},
      {"no rows to evaluate",
       [] {
         Compiled().evaluate(Array({0, 20}), Array({0}, DType::kInt32));
       },
       {"evaluate: there are no rows"}},
      {"no rows to predict",
       [] {
         Compiled().predict(Array({0, 20}));
       },
       {"predict: there are no rows"}},
      {"no rows to train on",
       [] {
         Compiled().train_on_batch({Array({0, 20})}, {Array({0}, DType::kInt32)});
       },
       {"train_on_batch: there are no rows"}},
      {"no rows to validate",
       [&] {
         Compiled().fit(data, {.validation_data = Dataset::from_arrays(Array({0, 20}), Array({0}, DType::kInt32))});
       },
       {"validation_data: there are no rows"}},
  });
}

}  // namespace
}  // namespace ingot
