// SPDX-License-Identifier: MIT
//
// A layer that stands in several models of one file comes back as one layer, from what ingot writes and from what Keras
// writes, which marks and counts otherwise (io/keras_sharing.h).
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <nlohmann/json.hpp>

#include "ingot/ingot.h"
#include "ingot/io/keras_config.h"
#include "ingot/io/keras_sharing.h"
#include "ingot/tests/folder.h"

namespace ingot {
namespace {

using testing::InFolder;

#define EXPECT_HAS(text, part) EXPECT_NE(std::string(text).find(part), std::string::npos) << (text)

// The message of the error; "" if there is none.
std::string Refusal(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

Array Rows(float first) {
  Array x({3, 4});
  for (int i = 0; i < 12; ++i) x.floats()[i] = first + 0.25f * static_cast<float>(i % 5);
  return x;
}

// Called in an inner model and by the one around it.
Model InAndOut() {
  const Layer shared = Dense(4, {.name = "shared"});
  InputTensor i = Input({4}), x = Input({4});
  const Model inner(i, Dense(4, {.name = "d"})(shared(i)), {.name = "inner"});
  return Model(x, Dense(2, {.name = "o"})(shared(inner(x))), {.name = "outer"});
}

// The same, the outer call first.
Model OutAndIn() {
  const Layer shared = Dense(4, {.name = "shared"});
  InputTensor i = Input({4}), x = Input({4});
  const Model inner(i, Dense(4, {.name = "d"})(shared(i)), {.name = "inner"});
  return Model(x, Dense(2, {.name = "o"})(inner(shared(x))), {.name = "outer"});
}

// Twice in each of two models.
Model Siblings() {
  const Layer shared = Dense(4, {.activation = "tanh", .name = "shared"});
  InputTensor i = Input({4}), k = Input({4}), x = Input({4});
  const Model p(i, shared(Dense(4, {.name = "d"})(shared(i))), {.name = "p"});
  const Model q(k, shared(Dense(4, {.name = "e"})(shared(k))), {.name = "q"});
  return Model(x, Dense(2, {.name = "o"})(q(p(x))), {.name = "outer"});
}

// A model that two others hold, with statistics of its own.
Model SharedModel() {
  InputTensor i = Input({4}), k = Input({4}), x = Input({4});
  const Model shared(i, BatchNormalization()(Dense(4, {.name = "s"})(i)), {.name = "shared"});
  const Model p(k, Dense(4, {.name = "d"})(shared(k)), {.name = "p"});
  return Model(x, Dense(2, {.name = "o"})(shared(p(x))), {.name = "outer"});
}

// In Sequential models only, the inner one first.
Model Chains() {
  const Layer shared = Dense(4, {.name = "shared"});
  const Model p = Sequential({Input({4}), shared, Dense(4, {.name = "d"})}, {.name = "p"});
  return Sequential({Input({4}), p, shared, Dense(2, {.name = "o"})}, {.name = "outer"});
}

// A part of a model beside the whole.
Model PartAndWhole() {
  InputTensor i = Input({4}), x = Input({4});
  const Tensor middle = Dense(4, {.activation = "relu", .name = "s"})(i);
  const Model part(i, middle, {.name = "part"});
  const Model whole(i, Dense(4, {.name = "d"})(Dropout(0.5)(middle)), {.name = "whole"});
  return Model(x, Dense(2, {.name = "o"})(Add()({part(x), whole(x)})), {.name = "outer"});
}

// In a Sequential model and around it: Keras could not read that.
Model ChainInFunctional() {
  const Layer shared = Dense(4, {.name = "shared"});
  InputTensor x = Input({4});
  const Model p = Sequential({Input({4}), Dense(4, {.name = "d"}), shared}, {.name = "p"});
  return Model(x, Dense(2, {.name = "o"})(p(shared(x))), {.name = "outer"});
}

// In a Sequential model before a functional one in it: that neither.
Model FunctionalInChain() {
  const Layer shared = Dense(4, {.name = "shared"});
  InputTensor i = Input({4});
  const Model p(i, shared(Dense(4, {.name = "d"})(i)), {.name = "p"});
  return Sequential({Input({4}), shared, p, Dense(2, {.name = "o"})}, {.name = "outer"});
}

struct Case {
  const char* name;
  Model (*make)();
  bool keras;  // can read it
};
constexpr Case kCases[] = {
    {"in and out", InAndOut, true},
    {"out and in", OutAndIn, true},
    {"siblings", Siblings, true},
    {"shared model", SharedModel, true},
    {"chains", Chains, true},
    {"part and whole", PartAndWhole, true},
    {"in a chain", ChainInFunctional, false},
    {"chain first", FunctionalInChain, false},
};

bool Same(const Arrays& a, const Arrays& b) {
  bool same = a.size() == b.size();
  for (size_t i = 0; same && i < a.size(); ++i)
    same = a[i].shape() == b[i].shape() && std::memcmp(a[i].data(), b[i].data(), a[i].bytes()) == 0;
  return same;
}

// The weights after a few steps: of two layers where one should be, they would differ.
std::vector<float> Train(Model& model) {
  std::vector<float> weights;
  for (int i = 0; i < 3; ++i) model.train_on_batch({Rows(0.5f)}, {Array({3, 2})});
  for (const Array& w : model.get_weights()) weights.insert(weights.end(), w.floats().begin(), w.floats().end());
  return weights;
}

using SharedLayersTest = InFolder;

TEST_F(SharedLayersTest, ComeBackAsOne) {
  for (const Case& c : kCases) {
    for (const char* extension : {".ingot", ".keras"}) {
      SCOPED_TRACE(std::string(c.name) + extension);
      const std::string file = path("m" + std::string(extension));
      Model model = c.make();
      model.compile({.optimizer = "adam", .loss = "mse"});
      Train(model);
      if (!c.keras && std::string(extension) == ".keras") {
        EXPECT_HAS(Refusal([&] { model.save(file); }), "Keras cannot load such a file");
        continue;
      }
      model.save(file);
      Model again = load_model(file);
      EXPECT_EQ(again.count_params(), model.count_params());
      EXPECT_TRUE(Same(again.get_weights(), model.get_weights()));
      EXPECT_TRUE(Same(again.predict(Arrays{Rows(0)}), model.predict(Arrays{Rows(0)})));
      EXPECT_EQ(Train(again), Train(model));
      // And once more, from what was read.
      again.save(file);
      Model third = load_model(file);
      EXPECT_EQ(Train(third), Train(again));
    }
  }
}

TEST_F(SharedLayersTest, WeightsAloneComeBack) {
  for (const Case& c : kCases)
    for (const char* file : {"w.weights.h5", "w.safetensors", "w.npz"}) {
      SCOPED_TRACE(std::string(c.name) + " " + file);
      Model model = c.make(), other = c.make();
      model.save(path(file));
      other.load_weights(path(file));
      EXPECT_TRUE(Same(other.get_weights(), model.get_weights()));
    }
}

TEST_F(SharedLayersTest, AreRefusedWhereKerasMakesTwoOfThem) {
  EXPECT_HAS(Refusal([&] { Siblings().save(path("m.h5")); }),
             "layer 'shared' stands in model 'p' and in model 'q'; an .h5 file cannot say so");
  EXPECT_FALSE(std::filesystem::exists(path("m.h5")));
}

TEST_F(SharedLayersTest, AreClonedAsOne) {
  const Model model = Siblings(), clone = clone_model(model);
  EXPECT_EQ(clone.count_params(), model.count_params());
  EXPECT_EQ(NetworkConfig(clone.network()).dump(), NetworkConfig(model.network()).dump());
}

// Many models share models that share models: written and read in no time.
TEST_F(SharedLayersTest, AreWrittenOnce) {
  InputTensor in = Input({2});
  Model left(in, Dense(2)(in), {.name = "left"}), right(in, Dense(2)(in), {.name = "right"});
  for (int i = 0; i < 12; ++i) {
    InputTensor a = Input({2}), b = Input({2});
    const Model next(a, Add()({left(a), right(a)}), {.name = "left"});
    const Model other(b, Add()({right(b), left(b)}), {.name = "right"});
    left = next;
    right = other;
  }
  InputTensor x = Input({2});
  const Model all(x, Add()({left(x), right(x)}));
  const Json config = NetworkConfig(all.network());
  EXPECT_LT(config.dump().size(), 200'000u);
  EXPECT_EQ(Model(NetworkFromConfig(config)).count_params(), all.count_params());
}

// The places in a configuration where a layer of that name stands.
void Places(Json& j, const std::string& name, std::vector<Json*>& into) {
  if (!j.is_structured()) return;
  if (j.is_object() && j.contains(kSharedId) && j["config"].value("name", "") == name) into.push_back(&j);
  for (auto& item : j.items()) Places(item.value(), name, into);
}

// The histories of a layer's calls in a model, to be counted otherwise.
void Recount(Json& j, const std::string& name, int by) {
  if (j.is_array() && j.size() == 3 && j[0] == name && j[1].is_number()) j[1] = j[1].get<int>() + by;
  if (!j.is_structured()) return;
  for (auto& item : j.items()) Recount(item.value(), name, by);
}

// As Keras writes it: the mark of the inner place is lost, a mark stands with the initializers of the other, whose
// calls are counted in its own model.
Json AsKeras(Json config, bool lost) {
  std::vector<Json*> places;
  Places(config, "shared", places);
  EXPECT_EQ(places.size(), 2u);
  if (lost) places[0]->erase(kSharedId);
  (*places[1])["config"]["kernel_initializer"][kSharedId] = 140'000'000'000'000;
  for (Json& layer : config["config"]["layers"])
    if (layer["class_name"] != "Functional") Recount(layer["inbound_nodes"], "shared", -1);
  return config;
}

TEST_F(SharedLayersTest, AreUnderstoodAsKerasWritesThem) {
  const Model model = InAndOut();
  const Json config = NetworkConfig(model.network());
  for (const bool lost : {false, true}) {
    const Json keras = AsKeras(config, lost);
    EXPECT_NE(keras.dump(), config.dump());
    const auto network = NetworkFromConfig(keras);
    EXPECT_EQ(Model(network).count_params(), model.count_params());
    EXPECT_EQ(NetworkConfig(*network).dump(), config.dump());
  }
}

// A layer of that name that is another one is left alone.
TEST_F(SharedLayersTest, AreNotTakenForOthers) {
  const int64_t two = InAndOut().count_params() + 20;
  const auto params = [](const std::function<void(Json & first, Json & second)>& change) {
    Json config = AsKeras(NetworkConfig(InAndOut().network()), true);
    std::vector<Json*> second;
    Places(config, "shared", second);
    Json& first = config["config"]["layers"][1]["config"]["layers"][1];
    EXPECT_EQ(first["config"]["name"], "shared");
    change(first, *second.at(0));
    return Model(NetworkFromConfig(config)).count_params();
  };
  EXPECT_EQ(params([](Json&, Json&) {}), two - 20);
  EXPECT_EQ(params([](Json& first, Json&) { first["config"]["activation"] = "relu"; }), two);
  EXPECT_EQ(params([](Json&, Json& second) { second["config"]["kernel_initializer"].erase(kSharedId); }), two);
}

TEST_F(SharedLayersTest, ThatContradictThemselvesAreRefused) {
  const auto refusal = [](const std::function<void(Json & outer, Json & second)>& change) {
    Json config = NetworkConfig(InAndOut().network());
    std::vector<Json*> places;
    Places(config, "shared", places);
    change(config["config"], *places.at(1));
    return Refusal([&] { NetworkFromConfig(config); });
  };
  EXPECT_EQ(refusal([](Json&, Json&) {}), "");
  EXPECT_HAS(refusal([](Json&, Json& second) { second["class_name"] = "ReLU"; }),
             "layers Dense 'shared' and ReLU 'shared' have the same shared_object_id 1");
  EXPECT_HAS(refusal([](Json&, Json& second) { second["config"]["name"] = "mine"; }), "Dense 'mine'");
  EXPECT_HAS(refusal([](Json& outer, Json& second) {
               Json& inner = outer["layers"][1];
               inner = {{"class_name", "Sequential"}, {"config", {{"name", "inner"}}}};
               inner["config"]["layers"] = {outer["layers"][0], second, second};
             }),
             "Sequential: layer 2 (shared) stands there twice");
  EXPECT_HAS(refusal([](Json& outer, Json&) {
               Json call = outer["layers"][2]["inbound_nodes"][0];
               outer["layers"][2]["inbound_nodes"].push_back(call);
             }),
             "layer 'shared' is called 2 times, but the outputs of 1 calls are used, numbered 1 to 1");
}

}  // namespace
}  // namespace ingot
