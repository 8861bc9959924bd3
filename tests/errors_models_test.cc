// SPDX-License-Identifier: MIT
//
// What models and compile() refuse: graphs that are none, one's own parts that disagree, losses that do not fit.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "ingot/io/json.h"
#include "ingot/io/keras_config.h"
#include "ingot/layers/layers.h"
#include "ingot/optim/optimizers.h"
#include "ingot/tests/errors_test_util.h"
#include "ingot/train/compile_config.h"
#include "ingot/train/model.h"

namespace ingot {
namespace {

using namespace testing;

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
      {"an empty layer's name", [] { Layer().name(); }, {"empty Layer"}},
      {"an empty layer's weights", [] { Layer().variables(); }, {"empty Layer"}},
      {"freezing an empty layer", [] { Layer().set_trainable(false); }, {"empty Layer"}},
      {"a predictor that was moved from",
       [] {
         Predictor first = Mlp().predictor(), second = std::move(first);
         first.predict_on_batch({Ones({2, 20})});  // NOLINT: on purpose
       },
       {"Predictor", "moved from"}},
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

// A chain of tensors goes one by one: call within call would end the stack. What is looked for among many is not looked
// for one by one.
TEST(Errors, LongChainsAndManyInputsAreNone) {
  {
    const Layer layer = ActivationLayer("tanh");
    Tensor chain = Input({3});
    for (int i = 0; i < 1000000; ++i) chain = layer(chain);
    const Tensor kept = chain.from->in[0];
    chain = {};
    EXPECT_EQ(kept.shape(), Shape({kNone, 3}));
  }
  Tensors inputs;
  Arrays x;
  for (int i = 0; i < 20000; ++i) {
    inputs.push_back(Input({1}));
    x.push_back(Ones({1, 1}));
  }
  Model sum(inputs, Tensors{Add()(inputs)});
  EXPECT_EQ(sum.predict(x)[0].floats()[0], 20000);
}

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

TEST(Errors, WeightsOfALayer) {
  const std::string path = ::testing::TempDir() + Text("ingot-weights-of-a-layer-", getpid(), ".ingot");
  Model saved = Sequential({Input({4}), Dense(3, {.name = "d"})});
  saved.save(path);
  ExpectErrors({
      {"none yet",
       [] {
         Dense(3).set_weights({Array({4, 3}), Array({3})});
       },
       {"has 0 weights, 2 came", "Input({...})"}},
      {"no place yet",
       [] {
         const Layer d = Dense(3, {.name = "d"});
         d(Input({4}));
         d.variables().at(0)->data();
       },
       {"'d/kernel' has no values yet", "a model gives it a place"}},
      {"no place yet, read",
       [] {
         const Layer d = Dense(3, {.name = "d"});
         d(Input({4}));
         d.get_weights();
       },
       {"layer 'd' has no weights yet"}},
      {"shared by processes",
       [&] {
         load_model(path, {.mode = LoadMode::kShare}).get_layer("d").set_weights({Array({4, 3}), Array({3})});
       },
       {"'d/kernel' lies in a file that processes share", "LoadMode::kMap"}},
      {"another shape",
       [&] {
         saved.get_layer("d").set_weights({Array({3, 4}), Array({3})});
       },
       {"layer 'd': weight 0 (d/kernel) has the shape (4, 3), (3, 4) came"}},
  });
  std::remove(path.c_str());

  // In order they are read and written, and predictions see it.
  const Layer d = saved.get_layer("d");
  const Array x({1, 4}, {1.0f, 2.0f, 3.0f, 4.0f}), kernel({4, 3}, std::vector<float>(12, 0.5f)),
      bias({3}, {1.0f, 2.0f, 3.0f});
  saved.predict(x);
  d.set_weights({kernel, bias});
  EXPECT_EQ(d.get_weights().at(0), kernel);
  EXPECT_EQ(saved.predict(x), Array({1, 3}, {6.0f, 7.0f, 8.0f}));
}

TEST(Errors, Compile) {
  ExpectErrors({
      {"no loss", [] { Mlp().compile({.optimizer = "adam"}); }, {"'sequential' has no loss", ".loss"}},
      {"two losses of one output",
       [] {
         OfLoss({"mse", "mae"});
       },
       {"1 output, 2 losses"}},
      {"known only with data",
       [] {
         Model m = Sequential({Dense(3)});
         m.compile({.loss = {"mse", "mae"}});
         m.fit(Ones({4, 2}), Ones({4, 3}));
       },
       {"1 output, 2 losses"}},
      {"three losses",
       [] {
         TwoByTwo().compile({.loss = {"mse", "mae", "mse"}});
       },
       {"2 outputs, 3 losses"}},
      {"loss weights",
       [] {
         TwoByTwo().compile({.loss = "mse", .loss_weights = {1, 2, 3}});
       },
       {"loss_weights holds 3"}},
      {"metrics", [] { TwoByTwo().compile({.loss = "mse", .output_metrics = {{"mae"}}}); }, {"output_metrics holds 1"}},
      {"weighted metrics",
       [] { TwoByTwo().compile({.loss = "mse", .output_weighted_metrics = {{"mae"}}}); },
       {"output_weighted_metrics holds 1"}},
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

TEST(Errors, NamesThatAreNotUtf8) {
  ExpectErrors({
      {"a zero byte, which an .h5 file and an .npz file could not hold",
       [] {
         Sequential({Input({3}), Dense(2, {.name = std::string("a\0b", 3)})});
       },
       {"Dense layer 'a\\x00b'", "zero byte"}},
      {"a layer",
       [] {
         Sequential({Input({3}), Dense(2, {.name = "a\xff"})});
       },
       {"Dense layer 'a\\xff'", "UTF-8"}},
      {"an overlong form",
       [] {
         Sequential({Input({3}), Dense(2, {.name = "\xc0\xaf"})});
       },
       {"'\\xc0\\xaf'"}},
      {"a surrogate",
       [] {
         Sequential({Input({3}), Dense(2, {.name = "\xed\xa0\x80"})});
       },
       {"UTF-8"}},
      {"cut short",
       [] {
         Sequential({Input({3}), Dense(2, {.name = "\xe2\x82"})});
       },
       {"UTF-8"}},
      {"an input",
       [] {
         Sequential({Input({3}, {.name = "\xfe"}), Dense(2)});
       },
       {"InputLayer layer '\\xfe'"}},
      {"a model",
       [] {
         Sequential({Input({3}), Dense(2)}, {.name = "m\x80"});
       },
       {"model 'm\\x80'", "UTF-8"}},
  });
  Model model = Sequential({Input({3}), Dense(2, {.name = "слой_層_😀"})}, {.name = "модель"});
  EXPECT_EQ(clone_model(model).get_layer(0).name(), "слой_層_😀");
}

TEST(Errors, NumbersOfCompile) {
  const auto two = [](std::vector<float> weights) {
    return [=] { TwoByTwo().compile({.loss = "mse", .loss_weights = weights}); };
  };
  const double nan = std::nan("");
  ExpectErrors({
      {"too few weights", two({1}), {"2 outputs, loss_weights holds 1"}},
      {"too many weights", two({1, 2, 3}), {"2 outputs, loss_weights holds 3"}},
      {"a weight of NaN", two({1, kNan}), {"loss_weights[1] is nan", "finite"}},
      {"Huber", [] { Huber({.delta = kNan}); }, {"loss huber_loss", "'delta' is nan"}},
      {"smoothing", [] { CategoricalCrossentropy({.label_smoothing = kNan}); }, {"'label_smoothing' is nan"}},
      {"gamma", [] { BinaryFocalCrossentropy({.gamma = kNan}); }, {"'gamma' is nan"}},
      {"alpha", [] { CategoricalFocalCrossentropy({.alpha = kNan}); }, {"'alpha' is nan"}},
      {"momentum", [=] { RMSprop({.momentum = nan}); }, {"optimizer RMSprop", "'momentum' is nan"}},
  });
  // Keras takes them.
  two({-1, 0})();
  Huber({.delta = -1}), BinaryFocalCrossentropy({.alpha = -2, .gamma = -1});
}

// What a file says of metrics, losses and their weights is a name, an object, or a list of them; nothing is passed
// over.
TEST(Errors, DescriptionsOfCompile) {
  const auto reads = [](const char* text) {
    return [=] { CompileOptionsFromConfig(ParseJson(text, "test"), {"p", "q"}, nullptr); };
  };
  ExpectErrors({
      {"no object", reads("5"), {"compile config: is 5"}},
      {"metrics", reads(R"({"loss": "mse", "metrics": 5})"), {"'metrics' is 5", "a list of metrics"}},
      {"metrics in a list", reads(R"({"loss": "mse", "metrics": [5]})"), {"'metrics' is 5", "a metric"}},
      {"metrics of an output", reads(R"({"loss": "mse", "metrics": {"p": true}})"), {"'metrics' is true"}},
      {"metrics of none", reads(R"({"loss": "mse", "metrics": {"z": "mae"}})"), {"'metrics' names the output 'z'"}},
      {"a list too deep", reads(R"({"loss": "mse", "metrics": [[["mae"]], null]})"), {"'metrics' is [\"mae\"]"}},
      {"weighted_metrics", reads(R"({"loss": "mse", "weighted_metrics": false})"), {"'weighted_metrics' is false"}},
      {"a loss", reads(R"({"loss": 5})"), {"'loss' is 5"}},
      {"losses", reads(R"({"loss": ["mse", 5]})"), {"loss", "5"}},
      {"weights", reads(R"({"loss": "mse", "loss_weights": "many"})"), {"'loss_weights' is \"many\""}},
      {"a weight", reads(R"({"loss": "mse", "loss_weights": [1, "2"]})"), {"'loss_weights' is \"2\""}},
      {"an optimizer", reads(R"({"loss": "mse", "optimizer": 5})"), {"optimizer"}},
      {"a number beyond float32",
       reads(R"({"loss": {"class_name": "Huber", "config": {"delta": 1e300}}})"),
       {"'Huber'", "'delta' is 1e+300"}},
  });
}

// Refused by compile(), or by the first data where the model waits for them: each time alike, and what was compiled
// before still is.
TEST(Errors, ACompileThatFailsChangesNothing) {
  Model model = Compiled();
  const std::string before = CompileConfig(model.compile_options()).dump();
  EXPECT_THROW(model.compile({.optimizer = "sgd", .loss = {"mse", "mse"}}), Error);
  EXPECT_EQ(CompileConfig(model.compile_options()).dump(), before);
  model.fit(Labelled());

  Model never = Mlp();
  EXPECT_THROW(never.compile({.loss = {"mse", "mse"}}), Error);
  EXPECT_FALSE(never.compiled());

  Model waits = Sequential({Dense(4)});
  waits.compile({.loss = {"mse", "mse"}});
  const auto fit = [&] { waits.fit(Ones({8, 20}), Ones({8, 4})); };
  ExpectErrors({{"at first", fit, {"compile", "1 output, 2 losses came"}},
                {"again", fit, {"compile", "1 output, 2 losses came"}}});
}

}  // namespace
}  // namespace ingot
