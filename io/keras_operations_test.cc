// SPDX-License-Identifier: MIT
//
// Operations of keras.ops in models: read from what Keras writes, computed, written again, and refused where ingot
// would have to guess. tests/applications.py has whole models with them.
#include "ingot/io/keras_operations.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "ingot/ingot.h"
#include "ingot/io/keras_config.h"
#include "ingot/io/keras_names.h"

namespace ingot {
namespace {

Json TensorJson(const char* from) {
  return {{"class_name", "__keras_tensor__"},
          {"config", {{"shape", {nullptr, 3}}, {"dtype", "float32"}, {"keras_history", {from, 0, 0}}}}};
}

Json Entry(const char* kind, const Json& args, const Json& module = "keras.src.ops.numpy") {
  Json entry = {{"module", module},
                {"class_name", kind},
                {"config", {{"name", "op"}}},
                {"registered_name", kind},
                {"name", "op"},
                {"inbound_nodes", Json::array({Json{{"args", args}, {"kwargs", Json::object()}}})}};
  if (module.is_null()) entry.erase("module"), entry.erase("registered_name");  // as legacy .h5 files have it
  return entry;
}

// A model of two inputs, a and b, and that entry.
Json ModelOf(const Json& entry) {
  Json layers = Json::array();
  for (const char* name : {"a", "b"})
    layers.push_back({{"module", "keras.layers"},
                      {"class_name", "InputLayer"},
                      {"config", {{"name", name}, {"batch_shape", {nullptr, 3}}, {"dtype", "float32"}}},
                      {"name", name},
                      {"inbound_nodes", Json::array()}});
  layers.push_back(entry);
  return {{"class_name", "Functional"},
          {"config",
           {{"name", "m"},
            {"layers", layers},
            {"input_layers", {{"a", 0, 0}, {"b", 0, 0}}},
            {"output_layers", Json::array({Json{"op", 0, 0}})}}}};
}

std::vector<float> Computed(const Json& model) {
  const Arrays x = {Array({1, 3}, {1, -2, 8}), Array({1, 3}, {4, 5, -2})};
  const Array y = Model(NetworkFromConfig(model)).predict(x)[0];
  return {y.floats().begin(), y.floats().end()};
}

std::string Refusal(const Json& entry) {
  try {
    NetworkFromConfig(ModelOf(entry));
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}
#define EXPECT_HAS(text, part) EXPECT_NE(std::string(text).find(part), std::string::npos) << text

const Json kA = TensorJson("a"), kB = TensorJson("b");
using Floats = std::vector<float>;

TEST(KerasOperations, AreComputed) {
  const struct {
    const char* kind;
    Json args;
    Floats want;
  } cases[] = {
      {"Add", {kA, kB}, {5, 3, 6}},
      {"Add", {kA, 3}, {4, 1, 11}},
      {"Subtract", {kB, kA}, {3, 7, -10}},
      {"Subtract", {1, kA}, {0, 3, -7}},
      {"Multiply", {0.5, kA}, {0.5, -1, 4}},
      {"Divide", {kB, kA}, {4, -2.5, -0.25}},
      {"TrueDivide", {kA, 4}, {0.25, -0.5, 2}},
      {"TrueDivide", {8, kA}, {8, -4, 1}},
      {"Maximum", {kA, 0}, {1, 0, 8}},
      {"Minimum", {kA, kB}, {1, -2, -2}},
  };
  for (const auto& c : cases) {
    for (const Json& module : {Json("keras.src.ops.numpy"), Json()}) {
      const Json model = ModelOf(Entry(c.kind, c.args, module));
      EXPECT_EQ(Computed(model), c.want) << c.kind << c.args;
      // What ingot writes says the same, with the module.
      const Json written = NetworkConfig(*NetworkFromConfig(model));
      EXPECT_EQ(Computed(written), c.want) << written;
      for (const Json& layer : written["config"]["layers"]) {
        if (layer["name"] != "op") continue;
        EXPECT_EQ(layer["module"], "keras.src.ops.numpy");
        EXPECT_EQ(layer["config"], (Json{{"name", "op"}}));
        const Json& args = layer["inbound_nodes"][0]["args"];
        ASSERT_EQ(args.size(), 2u);
        for (size_t i = 0; i < 2; ++i) EXPECT_EQ(args[i].is_number(), c.args[i].is_number()) << layer;
      }
    }
  }
}

// A layer of the same class is called on one list.
TEST(KerasOperations, LayersOfTheSameNameStayLayers) {
  Json entry = Entry("Add", Json::array({Json{kA, kB}}), nullptr);
  EXPECT_FALSE(IsOperation(entry));
  entry["module"] = "keras.layers";
  EXPECT_FALSE(IsOperation(entry));
  EXPECT_EQ(Computed(ModelOf(entry)), (Floats{5, 3, 6}));
  EXPECT_EQ(Computed(ModelOf(Entry("Concatenate", Json::array({Json{kA, kB}})))), (Floats{1, -2, 8, 4, 5, -2}));
}

// Files give operations no place, nor do they count where equal classes are numbered.
TEST(KerasOperations, HaveNoPlaceInFiles) {
  const auto network = NetworkFromConfig(ModelOf(Entry("Add", {kA, 3})));
  for (const KerasGroup& group : KerasGroups(*network)) EXPECT_EQ(group.path.find("add"), std::string::npos);
}

TEST(KerasOperations, Errors) {
  EXPECT_HAS(Refusal(Entry("Power", {kA, 2})), "operation 'op' (Power): ingot does not know it");
  EXPECT_HAS(Refusal(Entry("Average", Json::array({kA}))), "operation 'op' (Average): ingot does not know it");
  EXPECT_HAS(Refusal(Entry("Add", Json::array({kA}))), "with two arguments");
  EXPECT_HAS(Refusal(Entry("Add", {kA, {1, 2, 3}})), "one argument is [1,2,3]");
  EXPECT_HAS(Refusal(Entry("Add", {kA, true})), "one argument is true");
  EXPECT_HAS(Refusal(Entry("Add", {1, 2})), "no tensor");
  EXPECT_HAS(Refusal(Entry("Add", "x")), "with two arguments");
  Json entry = Entry("Add", {kA, kB});
  entry["inbound_nodes"][0]["kwargs"]["x3"] = 1;
  EXPECT_HAS(Refusal(entry), "no more");
  entry["inbound_nodes"] = Json::array({entry["inbound_nodes"][0], entry["inbound_nodes"][0]});
  EXPECT_HAS(Refusal(entry), "called once");
  entry.erase("inbound_nodes");
  EXPECT_HAS(Refusal(entry), "missing");
  Json model = ModelOf(Entry("Add", {kA, kB}));
  model["config"]["layers"][1]["config"]["batch_shape"] = {nullptr, 3, 3};
  EXPECT_THROW(NetworkFromConfig(model), Error);
}

}  // namespace
}  // namespace ingot
