// SPDX-License-Identifier: MIT
//
// A model as a whole, nested ones above all: weights in and out, their number, the table of summary(), clones, names.
#include "ingot/train/model.h"

#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "ingot/io/keras_config.h"
#include "ingot/layers/layers.h"

namespace ingot {
namespace {

Array Ones(const Shape& shape) { return {shape, std::vector<float>(static_cast<size_t>(shape.count()), 1.0f)}; }

bool Same(const Arrays& a, const Arrays& b) {
  bool same = a.size() == b.size();
  for (size_t i = 0; same && i < a.size(); ++i)
    same = a[i].shape() == b[i].shape() && std::memcmp(a[i].data(), b[i].data(), a[i].bytes()) == 0;
  return same;
}

// A model called twice in another, with a layer behind it.
Model Twin(uint64_t seed = 1) {
  InputTensor in = Input({4});
  const Model inner({in}, {Dense(3, {.activation = "tanh"})(BatchNormalization()(Dense(5)(in)))}, {.name = "inner"});
  InputTensor a = Input({4}, {.name = "a"}), b = Input({4}, {.name = "b"});
  return Model({a, b}, {Dense(2, {.name = "out"})(Concatenate()({inner(a), inner(b)}))},
               {.name = "twin", .seed = seed});
}

TEST(Model, WeightsComeInKerasOrder) {
  const Model model = Twin();
  const std::vector<Shape> want = {{4, 5}, {5}, {5}, {5}, {5}, {5}, {5, 3}, {3}, {6, 2}, {2}};
  const Arrays weights = model.get_weights();
  ASSERT_EQ(weights.size(), want.size());
  for (size_t i = 0; i < want.size(); ++i) EXPECT_EQ(weights[i].shape(), want[i]) << i;
  EXPECT_EQ(model.variables()[4]->name, "moving_mean");
  EXPECT_EQ(model.count_params(), 25 + 20 + 18 + 14);
  EXPECT_EQ(model.get_layer("inner").count_params(), 25 + 20 + 18) << "shared weights count once";
}

TEST(Model, WeightsComeBack) {
  Model model = Twin(1), other = Twin(2);
  const Arrays x = {Ones({3, 4}), Array({3, 4})};
  EXPECT_FALSE(Same(model.get_weights(), other.get_weights()));
  EXPECT_FALSE(Same(model.predict(x), other.predict(x)));
  other.set_weights(model.get_weights());
  EXPECT_TRUE(Same(model.get_weights(), other.get_weights()));
  EXPECT_TRUE(Same(model.predict(x), other.predict(x)));
  // What came out is a copy.
  Arrays weights = model.get_weights();
  weights[0].floats()[0] += 1;
  EXPECT_FALSE(Same(model.get_weights(), weights));
}

TEST(Model, CloneHasTheSameDescriptionAndWeightsOfItsOwn) {
  Model model = Twin();
  model.get_layer("inner").set_trainable(false);
  model.compile({.optimizer = "sgd", .loss = "mse"});
  const Model clone = clone_model(model, {.seed = 1});
  EXPECT_EQ(NetworkConfig(clone.network()).dump(), NetworkConfig(model.network()).dump());
  EXPECT_FALSE(clone.get_layer("inner").trainable());
  EXPECT_FALSE(clone.compiled());
  EXPECT_EQ(clone.summary(), model.summary());
  EXPECT_TRUE(Same(clone_model(model, {.seed = 1}).get_weights(), clone.get_weights()));
  EXPECT_FALSE(Same(clone_model(model, {.seed = 2}).get_weights(), clone.get_weights()));

  // Training one leaves the other.
  const Arrays before = clone.get_weights();
  model.train_on_batch({Ones({3, 4}), Ones({3, 4})}, {Ones({3, 2})});
  EXPECT_FALSE(Same(model.get_weights(), before));
  EXPECT_TRUE(Same(clone.get_weights(), before));
  EXPECT_EQ(clone_model(model, {.name = "another"}).name(), "another");
}

TEST(Model, WeightsThatWereNotDrawnYetCanBeGotAndSet) {
  const Model model = Twin();
  const auto later = [&](uint64_t seed) { return clone_model(model, {.seed = seed, .initialize = false}); };
  EXPECT_TRUE(Same(later(1).get_weights(), clone_model(model, {.seed = 1}).get_weights()));
  Model copy = later(2);
  Arrays wrong = model.get_weights();
  wrong.back() = Ones({7});
  EXPECT_THROW(copy.set_weights(wrong), Error);  // changes nothing: they are drawn when asked for
  EXPECT_TRUE(Same(copy.get_weights(), clone_model(model, {.seed = 2}).get_weights()));
  copy = later(3);
  copy.compile({.optimizer = "sgd", .loss = "mse"});
  copy.set_weights(model.get_weights());
  EXPECT_TRUE(Same(copy.get_weights(), model.get_weights()));
  copy.train_on_batch({Ones({3, 4}), Ones({3, 4})}, {Ones({3, 2})});
  EXPECT_EQ(later(4).predictor().predict_on_batch({Ones({3, 4}), Ones({3, 4})})[0].shape(), (Shape{3, 2}));
}

TEST(Model, CloneOfWhatWaitsForData) {
  Model model = Sequential({Dense(3), Dropout(0.5), Dense(2)}, {.seed = 3});
  Model clone = clone_model(model, {.seed = 3});
  EXPECT_TRUE(clone.get_weights().empty());
  EXPECT_TRUE(Same({clone.predict(Ones({2, 4}))}, {model.predict(Ones({2, 4}))}));
}

struct Twice : UnaryLayer {
  std::string class_name() const override { return "Twice"; }
  Shape build(const Shape& in) override { return in; }
  Value call(Graph& g, Value x) override { return g.Add(x, x); }
};

TEST(Model, CloneOfOnesOwnLayer) {
  Model model = Sequential({Input({3}), MakeLayer<Twice>("twice")});
  EXPECT_THROW(clone_model(model), Error) << "nobody said how a Twice is made";
  CustomObjects custom;
  custom.add<LayerFactory>("Twice", [] { return std::make_shared<Twice>(); });
  const Array got = clone_model(model, {}, custom).predict(Ones({1, 3}));
  EXPECT_EQ(got.floats()[0], 2);
}

TEST(Model, SummaryIsKerasTable) {
  Model model = Twin();
  model.get_layer("inner").set_trainable(false);
  EXPECT_EQ(model.summary(), R"(Model: "twin"
┏━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━┳━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━━━┓
┃ Layer (type)              ┃ Output Shape ┃ Param # ┃ Connected to             ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━╇━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━━━┩
│ a (InputLayer)            │ (None, 4)    │       0 │ -                        │
├───────────────────────────┼──────────────┼─────────┼──────────────────────────┤
│ b (InputLayer)            │ (None, 4)    │       0 │ -                        │
├───────────────────────────┼──────────────┼─────────┼──────────────────────────┤
│ inner (Functional)        │ (None, 3)    │      63 │ a[0][0], b[0][0]         │
├───────────────────────────┼──────────────┼─────────┼──────────────────────────┤
│ concatenate (Concatenate) │ (None, 6)    │       0 │ inner[0][0], inner[1][0] │
├───────────────────────────┼──────────────┼─────────┼──────────────────────────┤
│ out (Dense)               │ (None, 2)    │      14 │ concatenate[0][0]        │
└───────────────────────────┴──────────────┴─────────┴──────────────────────────┘
 Total params: 77 (308.00 B)
 Trainable params: 14 (56.00 B)
 Non-trainable params: 63 (252.00 B)
)");
}

TEST(Model, SummaryOfARow) {
  const Model body = Sequential({Conv2D(4, {3, 3}), BatchNormalization()}, {.name = "body"});
  const Model model = Sequential({Input({28, 28, 1}), body, Flatten(), Dense(10)});
  EXPECT_EQ(model.summary(), R"(Model: "sequential"
┏━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━┓
┃ Layer (type)      ┃ Output Shape      ┃ Param # ┃
┡━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━┩
│ body (Sequential) │ (None, 26, 26, 4) │      56 │
├───────────────────┼───────────────────┼─────────┤
│ flatten (Flatten) │ (None, 2704)      │       0 │
├───────────────────┼───────────────────┼─────────┤
│ dense (Dense)     │ (None, 10)        │  27,050 │
└───────────────────┴───────────────────┴─────────┘
 Total params: 27,106 (105.88 KB)
 Trainable params: 27,098 (105.85 KB)
 Non-trainable params: 8 (32.00 B)
)");
  const std::string waiting = Sequential({Dense(3)}).summary();
  EXPECT_NE(waiting.find("│ dense (Dense) │ ?            │ 0 (unbuilt) │"), std::string::npos) << waiting;
}

TEST(Model, OutputsOfOneLayerHaveNamesOfTheirOwn) {
  InputTensor x = Input({3});
  const Layer dense = Dense(3, {.name = "d"});
  const Tensor once = dense(x);
  Model model({x}, {once, dense(once)}, {.seed = 1});
  EXPECT_EQ(model.network().output_names(), (std::vector<std::string>{"d", "d_1"}));
  model.compile({.optimizer = "sgd", .loss = "mse", .metrics = {"mae"}});
  const History h = model.fit(Dataset{{Ones({4, 3})}, {Ones({4, 3}), Ones({4, 3})}, {}}, {.epochs = 2});
  std::vector<std::string> names;
  for (const auto& [name, values] : h.history) {
    names.push_back(name);
    EXPECT_EQ(values.size(), 2u) << name;
  }
  EXPECT_EQ(names, (std::vector<std::string>{"loss", "d_loss", "d_1_loss", "d_mae", "d_1_mae"}));
}

// A layer whose activation changes the shape says so, and what follows is built for it.
TEST(Model, GluHalvesWhatComesOut) {
  Model model = Sequential({Input({6, 6, 2}), Conv2D(8, {3, 3}, {.activation = "glu"}), Flatten(),
                            Dense(10, {.activation = "glu"}), ActivationLayer("linear"), Dense(3)});
  EXPECT_EQ(model.get_layer("flatten").def().built, true);
  EXPECT_EQ(model.variables()[2]->shape, (Shape{4 * 4 * 4, 10}));
  EXPECT_EQ(model.variables()[4]->shape, (Shape{5, 3}));
  EXPECT_EQ(model.predict(Ones({2, 6, 6, 2})).shape(), (Shape{2, 3}));
}

// As Keras says it: what does not know its input has no number of parameters.
TEST(Model, WaitsForItsInput) {
  Model model = Sequential({Dense(3), Dropout(0.5), Flatten()}, {.name = "waits"});
  const std::string table = model.summary();
  for (const char* row :
       {"│ dense (Dense)     │ ?            │ 0 (unbuilt) │", "│ dropout (Dropout) │ ?            │           0 │",
        "│ flatten (Flatten) │ ?            │ 0 (unbuilt) │"})
    EXPECT_NE(table.find(row), std::string::npos) << table;
  EXPECT_THROW(model.count_params(), Error);
  EXPECT_THROW(model.get_layer(0).count_params(), Error);
  EXPECT_THROW(model.get_layer(0).output(), Error);
  model.predict(Ones({2, 4}));
  EXPECT_EQ(model.count_params(), 15);
  EXPECT_EQ(model.get_layer("dropout").count_params(), 0);
}

// A model of tensors in the singular, and parts of one by the tensors between its layers.
TEST(Model, TensorsOfLayers) {
  InputTensor x = Input({4}, {.name = "x"});
  const Tensor middle = Dense(3, {.activation = "tanh", .name = "middle"})(x), y = Dense(2, {.name = "end"})(middle);
  Model model(x, y, {.seed = 1});
  EXPECT_EQ(Model(x, {middle, y}).outputs().size(), 2u);
  EXPECT_EQ(Model(Tensors{x}, y).outputs().size(), 1u);
  const Layer dense = model.get_layer("middle");
  EXPECT_EQ(dense.output().shape(), (Shape{kNone, 3}));
  EXPECT_EQ(dense.input().shape(), (Shape{kNone, 4}));
  EXPECT_EQ(model.get_layer("x").output().shape(), (Shape{kNone, 4}));
  Model features(model.get_layer("x").output(), dense.output());
  Arrays weights = model.get_weights();
  features.set_weights({weights[0], weights[1]});
  const Array rows = Ones({2, 4});
  EXPECT_EQ(features.predict(rows), Model(x, {middle, y}).predict(Arrays{rows})[0]);
}

// A layer called twice speaks of its first call, as in Keras; one of several inputs has them in the plural.
TEST(Model, TensorsOfLayersCalledTwice) {
  InputTensor a = Input({4}), b = Input({4});
  const Layer dense = Dense(3, {.name = "d"});
  const Tensor first = dense(a), second = dense(b), sum = Add({.name = "sum"})({first, second});
  EXPECT_EQ(dense.output().from, first.from);
  EXPECT_EQ(dense.input().from, a.from);
  const Layer add = sum.from->layer;
  EXPECT_EQ(add.inputs().size(), 2u);
  EXPECT_THROW(add.input(), Error);
  EXPECT_EQ(Layer(Twin()).outputs().size(), 1u) << "of a model, those of its description";
}

TEST(Model, CopiesShareWhetherToStop) {
  Model model = Sequential({Input({4}), Dense(2)});
  Model copy = model;
  EXPECT_FALSE(copy.stop_training());
  model.set_stop_training(true);
  EXPECT_TRUE(copy.stop_training());
  // A callback that holds a handle of its own ends the fit of another.
  struct Stop : Callback {
    Model held;
    explicit Stop(Model m) : held(std::move(m)) {}
    void on_epoch_end(Model&, int, const Logs&) override { held.set_stop_training(true); }
  };
  model.compile({.optimizer = "sgd", .loss = "mse"});
  EXPECT_EQ(
      model.fit(Ones({4, 4}), Ones({4, 2}), {.epochs = 5, .callbacks = {std::make_shared<Stop>(copy)}}).epoch.size(),
      1u);
}

// What floats() gives points into an Array, so an Array that nobody keeps has none to give.
template <class A>
concept GivesFloats = requires(A&& a) {
  static_cast<A&&>(a).floats();
};
template <class A>
concept GivesElements = requires(A&& a) {
  static_cast<A&&>(a).template as<int32_t>();
};
static_assert(GivesFloats<Array&> && GivesFloats<const Array&> && !GivesFloats<Array> && !GivesFloats<const Array>);
static_assert(GivesElements<Array&> && GivesElements<const Array&> && !GivesElements<Array>);

// As Keras casts them: towards 0, so 1.9 is row 1 and -0.5 row 0.
TEST(Model, EmbeddingCutsIdsBetweenRows) {
  Model model = Sequential({Input({4}), Embedding(3, 2)});
  model.set_weights({Array({3, 2}, {0.f, 1.f, 2.f, 3.f, 4.f, 5.f})});
  EXPECT_EQ(model.predict(Array({1, 4}, {0.5f, 1.9f, -0.5f, 2.f})),
            Array({1, 4, 2}, {0.f, 1.f, 2.f, 3.f, 0.f, 1.f, 4.f, 5.f}));
}

}  // namespace
}  // namespace ingot
