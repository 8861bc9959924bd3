// SPDX-License-Identifier: MIT
//
// Bad input of every kind: each is an Error that says where, what came and what was expected, never a crash, a hang or
// an exception of somebody else's. Cases are data: what is done, and parts that the message must hold. The file is a
// list, and as long as the list.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <fstream>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>

#include "ingot/core/random.h"
#include "ingot/io/keras_config.h"
#include "ingot/layers/layers.h"
#include "ingot/optim/optimizers.h"
#include "ingot/train/model.h"

namespace ingot {
namespace {

struct Bad {
  const char* name;
  std::function<void()> fn;
  std::vector<std::string> says;
};

void ExpectErrors(const std::vector<Bad>& cases) {
  for (const Bad& bad : cases) {
    SCOPED_TRACE(bad.name);
    try {
      bad.fn();
      ADD_FAILURE() << "nothing was thrown";
    } catch (const Error& e) {
      for (const std::string& part : bad.says)
        EXPECT_NE(std::string(e.what()).find(part), std::string::npos) << "'" << part << "' is not in: " << e.what();
      EXPECT_EQ(std::string(e.what()).find("ingot has a bug"), std::string::npos) << e.what();
    } catch (const std::exception& e) {
      ADD_FAILURE() << "another exception: " << e.what();
    }
  }
}

constexpr int64_t kOne = 1;
const float kNan = std::numeric_limits<float>::quiet_NaN();

Array Ones(const Shape& shape) { return {shape, std::vector<float>(static_cast<size_t>(shape.count()), 1.0f)}; }

Model Mlp() {
  return Sequential(
      {Input({20}), Dense(16, {.activation = "relu", .name = "hidden"}), Dense(4, {.activation = "softmax"})},
      {.seed = 1});
}
Model Compiled() {
  Model model = Mlp();
  model.compile({.optimizer = "adam", .loss = "sparse_categorical_crossentropy", .metrics = {"accuracy"}});
  return model;
}
Model OfLoss(const Losses& loss) {
  Model model = Mlp();
  model.compile({.optimizer = "sgd", .loss = loss});
  return model;
}
// Inputs (N, 3) and (N, 2); outputs "p" (N, 1) and "q" (N, 2).
Model TwoByTwo() {
  InputTensor a = Input({3}), b = Input({2});
  return Model({a, b}, {Dense(1, {.name = "p"})(a), Dense(2, {.name = "q"})(Concatenate()({a, b}))}, {.seed = 1});
}
Dataset Labelled() { return Dataset::from_arrays(Ones({8, 20}), Array({8}, DType::kInt32)); }
Array Labels(float odd) {
  Array y = Ones({8});
  y.floats()[5] = odd;
  return y;
}

// ---- describing ----------------------------------------------------------------------------------

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
      {"activation", [] { Dense(3, {.activation = "reluu"})(Input({4})); }, {"Dense", "'reluu' is not known"}},
      {"initializer", [] { Dense(3, {.kernel_initializer = "glorot"})(Input({4})); }, {"'glorot'", "glorot_uniform"}},
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

TEST(Errors, GraphsThatAreNone) {
  ExpectErrors({
      {"one name twice",
       [] {
         Sequential({Dense(3, {.name = "a"}), Dense(3, {.name = "a"})});
       },
       {"two layers are named 'a'"}},
      {"the input's name",
       [] {
         Sequential({Input({3}, {.name = "a"}), Dense(3, {.name = "a"})});
       },
       {"two layers are named 'a'"}},
      {"one name twice, functional",
       [] {
         InputTensor x = Input({3});
         Model({x}, {Dense(2, {.name = "a"})(Dense(3, {.name = "a"})(x))}, {.name = "m"});
       },
       {"model 'm'", "two layers are named 'a'"}},
      {"two inputs of one name",
       [] {
         InputTensor x = Input({3}, {.name = "a"}), y = Input({3}, {.name = "a"});
         Model({x, y}, {Add()({x, y})});
       },
       {"two layers are named 'a'"}},
      {"a layer twice in a row",
       [] {
         Layer d = Dense(3, {.name = "d"});
         Sequential({Input({3}), d, d});
       },
       {"layer 2 (d)", "twice"}},
      {"a model twice in a row",
       [] {
         Model m = Sequential({Dense(3)}, {.name = "m"});
         Sequential({m, m});
       },
       {"layer 1 (m)", "twice"}},
      {"an input twice",
       [] {
         InputTensor x = Input({3});
         Model({x, x}, {Dense(2)(x)});
       },
       {"inputs 0 and 1 are the same"}},
      {"an input not listed",
       [] {
         InputTensor x = Input({3}), z = Input({3}, {.name = "z"});
         Model({x}, {Dense(2)(z)});
       },
       {"'z'", "not among the model's inputs"}},
      {"an input from within",
       [] {
         const Tensor y = Dense(3, {.name = "d"})(Input({3}));
         Model({y}, {Dense(2)(y)});
       },
       {"layer 'd'", "Input({...})"}},
      {"nothing", [] { Model(Tensors{}, Tensors{}); }, {"at least one input and one output"}},
      {"empty tensors", [] { Model({Tensor()}, {Tensor()}); }, {"one of the tensors is empty"}},
      {"an empty layer", [] { Layer()(Input({3})); }, {"empty Layer"}},
      {"an empty tensor", [] { Dense(3)(Tensor()); }, {"Dense", "empty Tensor"}},
      {"no layers", [] { Sequential({}); }, {"no layers"}},
      {"only an input", [] { Sequential({Input({3})}); }, {"no layer behind the Input"}},
      {"an empty layer in a row", [] { Sequential({Layer()}); }, {"layer 0 is empty"}},
      {"an input in the middle",
       [] {
         Sequential({Dense(2), Input({2})});
       },
       {"place 1", "only be the first"}},
      {"two inputs in a row",
       [] {
         Sequential({Input({3}), Subtract()});
       },
       {"subtract: takes 2 inputs, 1 came"}},
      {"an empty model", [] { Model().summary(); }, {"empty Model"}},
      {"models within models without end",
       [] {
         Model m = Sequential({Input({3}), Dense(3)});
         for (int i = 0; i < 3000; ++i) m = Sequential({Input({3}), m});
       },
       {"nested deeper than 24"}},
      {"2^30 calls in 31 models",
       [] {
         InputTensor x = Input({3});
         Model m({x}, {Dense(3)(x)});
         for (int i = 0; i < 30; ++i) {
           InputTensor y = Input({3});
           m = Model({y}, {m(m(y))});
         }
       },
       {"more than 131072 calls"}},
  });
}

// What is deep or wide, but not without end, works.
TEST(Errors, DeepAndWideGraphsAreNone) {
  InputTensor x = Input({3});
  Tensor deep = x, wide = x;
  for (int i = 0; i < 2000; ++i) deep = ActivationLayer("tanh")(deep);
  for (int i = 0; i < 60; ++i) wide = Average()({wide, wide});  // 2^60 ways
  Model model({x}, {deep, wide});
  EXPECT_EQ(model.predict(Arrays{Ones({2, 3})})[1].floats()[0], 1);
  Model nested = Sequential({Input({3}), Dense(3)});
  for (int i = 0; i < 24; ++i) nested = Sequential({Input({3}), nested});
  const std::string path = ::testing::TempDir() + "nested_" + std::to_string(getpid()) + ".ingot";
  nested.save(path);
  EXPECT_EQ(load_model(path).count_params(), 12);
  std::remove(path.c_str());
}

// ---- one's own -----------------------------------------------------------------------------------

struct Liar : UnaryLayer {
  std::string class_name() const override { return "Liar"; }
  Shape build(const Shape& in) override { return in.with(-1, 7); }
  Value call(Graph&, Value x) override { return x; }
};

TEST(Errors, OnesOwnPartsThatDisagree) {
  ExpectErrors({
      {"a layer",
       [] {
         Sequential({Input({4}), MakeLayer<Liar>("liar"), Dense(3)}).predict(Ones({2, 4}));
       },
       {"liar: ", "(None, 7)", "(2, 4)", "must agree"}},
      {"an activation",
       [] {
         const int last[] = {1};
         const Activation sum("sum", [=](Graph& g, Value x) { return g.Reduce(ReduceOp::kSum, x, last, true); });
         Sequential({Input({4}), Dense(3, {.activation = sum})}).predict(Ones({2, 4}));
       },
       {"dense: ", "(None, 3)", "(2, 1)"}},
      {"an empty callback", [] { Compiled().fit(Labelled(), {.callbacks = {nullptr}}); }, {"callback 0 is empty"}},
      {"an empty metric", [] { Mlp().compile({.loss = "mse", .metrics = {Metric()}}); }, {"metric 0", "empty"}},
      {"an empty loss", [] { OfLoss(Loss()); }, {"loss 0", "empty"}},
      {"an empty optimizer", [] { Optimizer(std::shared_ptr<OptimizerDef>()); }, {"optimizer", "empty"}},
  });
}

// ---- compile -------------------------------------------------------------------------------------

TEST(Errors, Compile) {
  ExpectErrors({
      {"no loss", [] { Mlp().compile({.optimizer = "adam"}); }, {"'sequential' has no loss", ".loss"}},
      {"two losses of one output",
       [] {
         OfLoss({"mse", "mae"});
       },
       {"1 outputs, 2 losses"}},
      {"known only with data",
       [] {
         Model m = Sequential({Dense(3)});
         m.compile({.loss = {"mse", "mae"}});
         m.fit(Ones({4, 2}), Ones({4, 3}));
       },
       {"1 outputs, 2 losses"}},
      {"three losses",
       [] {
         TwoByTwo().compile({.loss = {"mse", "mae", "mse"}});
       },
       {"2 outputs, 3 losses"}},
      {"loss weights",
       [] {
         TwoByTwo().compile({.loss = "mse", .loss_weights = {1, 2, 3}});
       },
       {"3 loss_weights"}},
      {"metrics", [] { TwoByTwo().compile({.loss = "mse", .output_metrics = {{"mae"}}}); }, {"1 output_metrics"}},
      {"reduction",
       [] {
         OfLoss(MeanSquaredError({.reduction = "none"})).fit(Ones({8, 20}), Ones({8, 4}));
       },
       {"mean_squared_error", "'none'", "'sum'"}},
      {"clipping", [] { Adam({.clipnorm = 1, .clipvalue = 1}); }, {"only one of clipnorm, clipvalue"}},
      {"beta_1", [] { Adam({.clipnorm = -1}); }, {"clipnorm is -1"}},
      {"fit before", [] { Mlp().fit(Labelled()); }, {"fit: ", "not compiled", "call compile"}},
      {"evaluate before", [] { Mlp().evaluate(Labelled()); }, {"evaluate: ", "not compiled"}},
      {"train_on_batch before",
       [] { Mlp().train_on_batch(Labelled().x, Labelled().y); },
       {"train_on_batch: ", "not compiled"}},
      {"gradients before", [] { Mlp().gradients(Labelled().x, Labelled().y); }, {"gradients: ", "not compiled"}},
      {"apply_gradients before", [] { Mlp().apply_gradients({}); }, {"apply_gradients: ", "not compiled"}},
      {"plan before", [] { Mlp().plan(); }, {"plan: ", "not compiled"}},
  });
}

// ---- data ----------------------------------------------------------------------------------------

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
       {"1 outputs, 0 targets"}},
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
       {"takes 1 inputs, 2 came"}},
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
       {"2 outputs, 1 targets"}},
      {"too many targets",
       [&] {
         Compiled().fit(Dataset{data.x, {data.y[0], data.y[0]}, {}});
       },
       {"1 outputs, 2 targets"}},
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
      {"cotangents", [&] { Mlp().vjp(data.x, {}); }, {"vjp", "1 outputs, 0 cotangents"}},
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

TEST(Errors, OptionsOfFit) {
  const Dataset data = Labelled();
  const auto fit = [&](const FitOptions& options) { return [=] { Compiled().fit(data, options); }; };
  ExpectErrors({
      {"batch_size", fit({.batch_size = 0}), {"batch_size is 0", "positive"}},
      {"negative batch_size", fit({.batch_size = -1}), {"batch_size is -1"}},
      {"batch_size of evaluate", [&] { Compiled().evaluate(data, 0); }, {"evaluate: batch_size is 0"}},
      {"batch_size of predict", [&] { Compiled().predict(data.x[0], -1); }, {"predict: batch_size is -1"}},
      {"batch_size of plan", [] { Compiled().plan(0); }, {"plan: batch_size is 0"}},
      {"validation_batch_size", fit({.validation_batch_size = -1}), {"validation_batch_size is -1"}},
      {"epochs", fit({.epochs = -1}), {"epochs is -1"}},
      {"initial_epoch", fit({.initial_epoch = -2}), {"initial_epoch is -2"}},
      {"steps_per_epoch", fit({.steps_per_epoch = -1}), {"steps_per_epoch is -1"}},
      {"all for validation", fit({.validation_split = 1}), {"validation_split is 1", "from 0 up to 1"}},
      {"negative split", fit({.validation_split = -0.1}), {"validation_split is -0.1"}},
      {"NaN", fit({.validation_split = std::nan("")}), {"validation_split is nan"}},
      {"nothing to train on", fit({.validation_split = 0.99}), {"validation_split 0.99 of 8 rows"}},
      {"split and data", fit({.validation_split = 0.5, .validation_data = data}), {"both given"}},
      {"class too large", fit({.class_weight = {{7, 2.0f}}}), {"class_weight names class 7", "4 classes, 0 to 3"}},
      {"negative class", fit({.class_weight = {{-1, 2.0f}}}), {"class_weight names class -1"}},
      {"weight of NaN", fit({.class_weight = {{0, kNan}}}), {"class_weight of class 0 is nan"}},
      {"classes of two outputs",
       [] {
         Model m = TwoByTwo();
         m.compile({.loss = "mse"});
         m.fit(Dataset{{Ones({4, 3}), Ones({4, 2})}, {Ones({4, 1}), Ones({4, 2})}, {}}, {.class_weight = {{0, 1.0f}}});
       },
       {"class_weight", "has 2", "sample_weight"}},
      {"classes of rows of rows",
       [] {
         Model m = Sequential({Input({2, 20}), Dense(4)});
         m.compile({.loss = "mse"});
         m.fit(Ones({8, 2, 20}), Ones({8, 2, 4}), {.class_weight = {{0, 1.0f}}});
       },
       {"class_weight", "(8, 2, 4)"}},
      {"what is not there to monitor",
       fit({.callbacks = {EarlyStopping({.monitor = "val_los"})}}),
       {"EarlyStopping", "'val_los'"}},
  });
}

// As Keras: not wrong, just nothing or more to do.
TEST(Errors, OptionsOfFitThatAreNone) {
  const Dataset data = Labelled();
  EXPECT_TRUE(Compiled().fit(data, {.epochs = 0}).epoch.empty());
  EXPECT_TRUE(Compiled().fit(data, {.epochs = 3, .initial_epoch = 5}).epoch.empty());
  EXPECT_EQ(Compiled().fit(data, {.batch_size = 1000}).batch_loss.size(), 1u);
  EXPECT_EQ(Compiled().fit(data, {.batch_size = 4, .steps_per_epoch = 5}).batch_loss.size(), 5u);
  // An end far away is not paid for in advance.
  FitOptions endless{.epochs = std::numeric_limits<int>::max(), .steps_per_epoch = std::numeric_limits<int>::max()};
  struct Stop : Callback {
    void on_train_batch_end(Model& model, int64_t, const Logs&) override { model.stop_training = true; }
  };
  endless.callbacks = {std::make_shared<Stop>()};
  EXPECT_EQ(Compiled().fit(data, endless).batch_loss.size(), 1u);
}

// With steps_per_epoch an epoch goes on where the one before it stopped, so all rows are met, shuffled or not.
TEST(Errors, StepsPerEpochMissNoRow) {
  for (const bool shuffle : {false, true}) {
    Model model = Sequential({Input({8}), Dense(1, {.use_bias = false, .kernel_initializer = "zeros"})}, {.seed = 1});
    model.compile({.optimizer = SGD({.learning_rate = 0.1}), .loss = "mse"});
    Array x({8, 8});  // row i moves weight i alone
    for (size_t i = 0; i < 8; ++i) x.floats()[i * 9] = 1;
    model.fit(x, Ones({8, 1}), {.batch_size = 2, .epochs = 2, .shuffle = shuffle, .steps_per_epoch = 2});
    const Array weights = model.get_weights()[0];
    for (const float w : weights.floats()) EXPECT_FLOAT_EQ(w, 0.1f) << shuffle;
  }
}

TEST(Errors, NanIsTracedToWhereItBegins) {
  const Dataset data = Dataset::from_arrays(Ones({8, 20}), Ones({8, 4}));
  const FitOptions find{.shuffle = false, .find_nan = true};
  const auto with = [&](size_t weight, float value) {
    Model m = OfLoss("mse");
    Arrays w = m.get_weights();
    w[weight].floats()[0] = value;
    m.set_weights(w);
    m.fit(data, find);
  };
  Dataset bad_x = data, bad_y = data;
  bad_x.x = {Ones({8, 20})};
  bad_x.x[0].floats()[7] = kNan;
  bad_y.y = {Ones({8, 4})};
  bad_y.y[0].floats()[7] = INFINITY;
  ExpectErrors({
      {"input", [&] { OfLoss("mse").fit(bad_x, find); }, {"step 0", "input 0 of this batch", "not finite"}},
      {"target", [&] { OfLoss("mse").fit(bad_y, find); }, {"target 0 of this batch"}},
      {"weight", [&] { with(2, kNan); }, {"weight dense/kernel"}},
      {"forward",
       [&] {
         Model m = OfLoss("mse");
         Arrays w = m.get_weights();
         w[0].floats()[0] = w[0].floats()[16] = 3e38f;  // their sum is infinite
         m.set_weights(w);
         m.fit(data, find);
       },
       {"step 0", "layer 'hidden'", "forward"}},
      {"loss",
       [&] {
         Model m = Sequential({Input({20}), Dense(4, {.name = "big"})}, {.seed = 1});
         m.compile({.optimizer = "sgd", .loss = "mse"});
         m.set_weights({Ones({20, 4}), Array({4}, std::vector<float>(4, 1e30f))});
         m.fit(data, find);
       },
       {"layer 'loss'", "forward"}},
      {"update",
       [&] {
         Model m = Sequential({Input({20}), Dense(4)}, {.seed = 1});
         m.compile({.optimizer = SGD({.learning_rate = 1e39}), .loss = "mse"});
         m.fit(data, find);
       },
       {"layer 'optimizer'", "update"}},
  });
  // Without being asked nobody looks.
  Model m = OfLoss("mse");
  EXPECT_TRUE(std::isnan(m.fit(bad_x, {.shuffle = false})["loss"][0]));
}

// ---- descriptions from files ---------------------------------------------------------------------

Json InputJson(const char* name) {
  return {{"class_name", "InputLayer"},
          {"name", name},
          {"config", {{"name", name}, {"batch_shape", {nullptr, 3}}}},
          {"inbound_nodes", Json::array()}};
}
// A Dense that takes output `out` of call `call` of another layer.
Json DenseJson(const char* name, const char* from, int call = 0, int out = 0) {
  const Json tensor = {
      {"class_name", "__keras_tensor__"},
      {"config", {{"shape", {nullptr, 3}}, {"dtype", "float32"}, {"keras_history", {from, call, out}}}}};
  return {{"class_name", "Dense"},
          {"name", name},
          {"config", {{"name", name}, {"units", 3}}},
          {"inbound_nodes", Json::array({Json{{"args", Json::array({tensor})}, {"kwargs", Json::object()}}})}};
}
std::function<void()> ReadsFunctional(const Json& layers, const Json& in = {"i", 0, 0}, const Json& out = {"a", 0, 0}) {
  return [=] {
    NetworkFromConfig({{"class_name", "Functional"},
                       {"config", {{"name", "m"}, {"layers", layers}, {"input_layers", in}, {"output_layers", out}}}});
  };
}
std::function<void()> Reads(const char* text) {
  return [=] { NetworkFromConfig(ParseJson(text, "test")); };
}
// A Sequential of one layer.
std::function<void()> ReadsLayer(const std::string& layer) {
  return [=] {
    NetworkFromConfig(
        ParseJson(R"({"class_name": "Sequential", "config": {"name": "s", "layers": [)" + layer + "]}}", "test"));
  };
}

TEST(Errors, DescriptionsOfGraphs) {
  const Json i = InputJson("i");
  Json number = DenseJson("a", "i"), word = DenseJson("a", "i");
  number["inbound_nodes"] = 5;
  word["inbound_nodes"] = {"x"};
  ExpectErrors({
      {"a cycle", ReadsFunctional({i, DenseJson("a", "b"), DenseJson("b", "a")}), {"model 'm'", "'a'", "cycle"}},
      {"a cycle of one", ReadsFunctional({i, DenseJson("a", "a")}), {"'a'", "cycle"}},
      {"a call that waits for itself", ReadsFunctional({i, DenseJson("a", "a", 1)}), {"'a'", "cycle"}},
      {"an unknown layer", ReadsFunctional({i, DenseJson("a", "zz")}), {"'zz'", "not in the model"}},
      {"an unknown call", ReadsFunctional({i, DenseJson("a", "i", 5)}), {"'a'", "missing"}},
      {"an unknown output", ReadsFunctional({i, DenseJson("a", "i", 0, 5)}), {"output 5 of layer 'i'", "has 1"}},
      {"a negative output", ReadsFunctional({i, DenseJson("a", "i", 0, -1)}), {"layer 'a'", "counted from 0"}},
      {"no such end", ReadsFunctional({i, DenseJson("a", "i")}, {"i", 0, 0}, {"b", 0, 0}), {"'b'", "not in the model"}},
      {"no such beginning", ReadsFunctional({i, DenseJson("a", "i")}, {"j", 0, 0}), {"'j'", "not in the model"}},
      {"a beginning within", ReadsFunctional({i, DenseJson("a", "i")}, {"a", 0, 0}), {"'a'", "Input"}},
      {"no beginning", ReadsFunctional({i, DenseJson("a", "i")}, Json::array()), {"at least one input"}},
      {"one name twice", ReadsFunctional({i, DenseJson("a", "i"), DenseJson("a", "i")}), {"two layers are named 'a'"}},
      {"a number of layers", ReadsFunctional(5), {"'layers' must be a list, got 5"}},
      {"a call in training",
       ReadsFunctional({i, Json::parse(R"({"class_name": "Dropout", "name": "d", "config": {"name": "d", "rate": 0.5},
                                           "inbound_nodes": [{"args": [{"class_name": "__keras_tensor__", "config":
                                           {"keras_history": ["i", 0, 0]}}], "kwargs": {"training": true}}]})")}),
       {"layer 'd'", "argument 'training'"}},
      {"a number among tensors",
       ReadsFunctional({i, Json::parse(R"({"class_name": "Add", "name": "d", "config": {"name": "d"},
                                           "inbound_nodes": [{"args": [[{"class_name": "__keras_tensor__", "config":
                                           {"keras_history": ["i", 0, 0]}}, 5.0]], "kwargs": {}}]})")}),
       {"layer 'd'", "no tensor", "5.0"}},
      {"calls as a number", ReadsFunctional({i, number}), {"a call must be an object or a list"}},
      {"calls as words", ReadsFunctional({i, word}), {"a call must be an object or a list"}},
      {"null", Reads("null"), {"'class_name' is missing"}},
      {"a list", Reads("[1]"), {"'class_name' is missing"}},
      {"a class of 3", Reads(R"({"class_name": 3, "config": {}})"), {"'class_name' must be a string, got 3"}},
      {"a subclass", Reads(R"({"class_name": "Mine", "config": {}})"), {"'Mine'", "Sequential and Functional"}},
      {"a config of 3", Reads(R"({"class_name": "Functional", "config": 3})"), {"'layers' is missing"}},
      {"no layers", Reads(R"({"class_name": "Sequential", "config": {"layers": []}})"), {"no layers"}},
      {"layers of null", Reads(R"({"class_name": "Sequential", "config": {"layers": null}})"), {"must be a list"}},
      {"a layer of 1", ReadsLayer("1"), {"'class_name' is missing"}},
      {"no config", ReadsLayer(R"({"class_name": "Dense"})"), {"'config' is missing"}},
      {"config of null", ReadsLayer(R"({"class_name": "Dense", "config": null})"), {"Dense", "object was expected"}},
      {"half a unit",
       ReadsLayer(R"({"class_name": "Dense", "config": {"name": "d", "units": 3.5}})"),
       {"layer 'd'", "'units' is 3.5", "whole number"}},
      {"units in words",
       ReadsLayer(R"({"class_name": "Dense", "config": {"name": "d", "units": "3"}})"),
       {"layer 'd'", "'units' is \"3\""}},
      {"an option there is not",
       ReadsLayer(R"({"class_name": "Dense", "config": {"name": "d", "units": 3, "lora_rank": 4}})"),
       {"layer 'd'", "'lora_rank' = 4"}},
      {"another precision",
       ReadsLayer(R"({"class_name": "Dense", "config": {"name": "d", "units": 3, "dtype": "float64"}})"),
       {"layer 'd'", "float64", "float32"}},
      {"a negative input",
       ReadsLayer(R"({"class_name": "InputLayer", "config": {"name": "i", "batch_shape": [null, -7]}})"),
       {"layer 'i'", "[null,-7]"}},
      {"an input of 2^63 - 1",
       ReadsLayer(R"({"class_name": "InputLayer", "config": {"name": "i", "batch_shape": [null, 9223372036854775807]}},
                     {"class_name": "Flatten", "config": {"name": "f"}})"),
       {"i: ", "9223372036854775807"}},
      {"an input without a batch",
       ReadsLayer(R"({"class_name": "InputLayer", "config": {"name": "i", "batch_shape": []}},
                     {"class_name": "Dense", "config": {"name": "d", "units": 3}})"),
       {"d: ", "() came"}},
  });
}

TEST(Errors, DescriptionsWithoutEnd) {
  Json model = {{"class_name", "Dense"}, {"config", {{"units", 3}}}};
  for (int i = 0; i < 40; ++i)
    model = {{"class_name", "Sequential"}, {"config", {{"name", "s"}, {"layers", Json::array({model})}}}};
  // Each of 22 models calls the one within it twice: 2^22 calls in a few kilobytes.
  Json bomb = {{"class_name", "Functional"},
               {"name", "m0"},
               {"config",
                {{"name", "m0"},
                 {"layers", {InputJson("i"), DenseJson("a", "i")}},
                 {"input_layers", {"i", 0, 0}},
                 {"output_layers", {"a", 0, 0}}}}};
  for (int k = 1; k < 23; ++k) {
    const std::string within = bomb["name"].get<std::string>(), name = "m" + std::to_string(k);
    bomb["inbound_nodes"] = DenseJson("", "i")["inbound_nodes"];
    bomb["inbound_nodes"].push_back(DenseJson("", within.c_str())["inbound_nodes"][0]);
    const Json layers = {InputJson("i"), bomb, DenseJson("z", within.c_str(), 1)};
    bomb = {{"class_name", "Functional"},
            {"name", name},
            {"config",
             {{"name", name}, {"layers", layers}, {"input_layers", {"i", 0, 0}}, {"output_layers", {"z", 0, 0}}}}};
  }
  const std::string lists(100000, '[');
  std::string objects;
  for (int i = 0; i < 50000; ++i) objects += "{\"a\":";
  ExpectErrors({
      {"models", [&] { NetworkFromConfig(model); }, {"nested deeper"}},
      {"calls", [&] { NetworkFromConfig(bomb); }, {"more than 131072 calls"}},
      {"lists", [&] { ParseJson(lists, "file"); }, {"file: ", "nested deeper than 100"}},
      {"objects", [&] { ParseJson(objects, "file"); }, {"file: ", "nested deeper than 100"}},
      {"no JSON", [] { ParseJson("hello", "file"); }, {"file: is not JSON"}},
      {"nothing", [] { ParseJson("", "file"); }, {"file: is not JSON"}},
      {"no UTF-8", [] { ParseJson("\"\xff\xfe\"", "file"); }, {"file: is not JSON"}},
  });
}

// ---- files ---------------------------------------------------------------------------------------

TEST(Errors, Files) {
  const std::string dir = ::testing::TempDir() + "errors_" + std::to_string(getpid());
  ASSERT_EQ(mkdir(dir.c_str(), 0755), 0);
  const auto path = [&](const char* name) { return dir + "/" + name; };
  const auto write = [&](const char* name, const std::string& text) {
    std::ofstream(path(name), std::ios::binary) << text;
  };
  write("text.ingot", "hello");
  write("long.ingot", std::string(100000, 'a'));
  write("empty.ingot", "");
  mkdir(path("folder.ingot").c_str(), 0755);
  ASSERT_EQ(mkfifo(path("pipe.ingot").c_str(), 0644), 0);
  const Model model = Mlp();
  const auto load = [&](const char* name) { return [=, file = path(name)] { load_model(file); }; };
  const auto save = [&](const char* name) { return [=, file = path(name)] { Model(model).save(file); }; };
  ExpectErrors({
      {"missing", load("missing.ingot"), {"missing.ingot", "No such file"}},
      {"text", load("text.ingot"), {"text.ingot"}},
      {"long text", load("long.ingot"), {"long.ingot", "not an .ingot file"}},
      {"empty", load("empty.ingot"), {"empty.ingot"}},
      {"a folder", load("folder.ingot"), {"folder.ingot", "is a folder"}},
      {"a pipe", load("pipe.ingot"), {"pipe.ingot", "not a regular file"}},
      {"an unknown extension", load("model.onnx"), {"model.onnx", ".ingot"}},
      {"no extension", load("model"), {"model", ".ingot"}},
      {"no name", [] { load_model(""); }, {".ingot"}},
      {"save to an unknown extension", save("model.png"), {"model.png", ".ingot"}},
      {"save to no folder", save("none/model.ingot"), {"none/model.ingot", "No such file"}},
      {"save over a folder", save("folder.ingot"), {"folder.ingot", "folder"}},
      {"save what has no weights yet",
       [&] { Sequential({Dense(3)}).save(path("a.ingot")); },
       {"a.ingot", "no weights yet", "Input"}},
  });
  for (const char* name : {"text.ingot", "long.ingot", "empty.ingot", "pipe.ingot"}) unlink(path(name).c_str());
  rmdir(path("folder.ingot").c_str());
  EXPECT_EQ(rmdir(dir.c_str()), 0) << "something was left behind";
}

}  // namespace
}  // namespace ingot
