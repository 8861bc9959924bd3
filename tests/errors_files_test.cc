// SPDX-License-Identifier: MIT
//
// What is refused of descriptions in JSON, and of files.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <iterator>
#include <nlohmann/json.hpp>
#include <span>

#include "ingot/io/atomic_file.h"
#include "ingot/io/hdf5.h"
#include "ingot/io/json.h"
#include "ingot/io/keras_config.h"
#include "ingot/layers/layers.h"
#include "ingot/tests/errors_test_util.h"
#include "ingot/train/model.h"

namespace ingot {
namespace {

using namespace testing;

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
      {"half an end",
       ReadsFunctional({i, DenseJson("a", "i")}, {"i", 0, 0}, {{"a", 0, 0}, {"a", 0}}),
       {"output_layers"}},
      {"an end of null",
       ReadsFunctional({i, DenseJson("a", "i")}, {"i", 0, 0}, {{"a", 0, 0}, nullptr}),
       {"output_layers"}},
      {"an end of nothing",
       ReadsFunctional({i, DenseJson("a", "i")}, {"i", 0, 0}, {{"a", 0, 0}, Json::array()}),
       {"output_layers", "[layer, call, output]"}},
      {"a number as end", ReadsFunctional({i, DenseJson("a", "i")}, {"i", 0, 0}, 5), {"output_layers", "5"}},
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
      {"save a name that is no text",
       [&] {
         Model odd = Mlp();
         odd.compile({.loss = "mse", .metrics = {Metric("m\xff", [](Graph& g, Value truth, Value pred) {
                                       return g.Subtract(pred, truth);
                                     })}});
         odd.save(path("a.ingot"));
       },
       {"a.ingot", "UTF-8"}},
  });
  for (const char* name : {"text.ingot", "long.ingot", "empty.ingot", "pipe.ingot"}) unlink(path(name).c_str());
  rmdir(path("folder.ingot").c_str());
  EXPECT_EQ(rmdir(dir.c_str()), 0) << "something was left behind";
}

// What a legacy .h5 file lists wrongly must not be left out silently: the optimizer's state, above all.
TEST(Errors, ListsOfLegacyFiles) {
  const std::string path = ::testing::TempDir() + "lists_" + std::to_string(getpid()) + ".h5";
  Model model = Compiled();
  model.train_on_batch({Ones({8, 20})}, {Array({8}, DType::kInt32)});
  model.save(path);
  std::ifstream in(path, std::ios::binary);
  const std::string whole{std::istreambuf_iterator<char>(in), {}};
  const auto loads = [&](const std::function<void(Hdf5Node&)>& edit, bool compile = true) {
    return [=, &whole] {
      Hdf5Node root = ReadHdf5(std::as_bytes(std::span(whole)), nullptr, path);
      edit(root);
      AtomicFile file(path);
      WriteHdf5(root, file.sink());
      file.Commit();
      load_model(path, {.compile = compile});
    };
  };
  const Hdf5Attribute text = std::string("x"), none = std::vector<std::string>{};
  const Hdf5Attribute twice = std::vector<std::string>{"hidden", "hidden"};
  const auto optimizer_names = [](const Hdf5Attribute& names) {
    return [=](Hdf5Node& root) { root.child("optimizer_weights").attributes["weight_names"] = names; };
  };
  EXPECT_NO_THROW(loads([](Hdf5Node&) {})());
  ExpectErrors({
      {"an optimizer's names that are one", loads(optimizer_names(text)), {path, "weight_names", "no list of names"}},
      {"no names of an optimizer", loads(optimizer_names(none)), {path, "optimizer_weights", "--no-compile"}},
      {"a layer twice",
       loads([=](Hdf5Node& root) { root.child("model_weights").attributes["layer_names"] = twice; }),
       {path, "layer_names", "'hidden' twice"}},
      {"how it is trained, as a list",
       loads([=](Hdf5Node& root) { root.attributes["training_config"] = twice; }),
       {path, "training_config", "--no-compile"}},
  });
  EXPECT_NO_THROW(loads(optimizer_names(none), false)());
  unlink(path.c_str());
}

// Calls in whatever order they are listed; each is looked at once, so that this takes no time.
TEST(Errors, DescriptionsListedBackwards) {
  constexpr int kLayers = 5000;
  Json layers = Json::array();
  const auto name = [](int i) { return i ? "a" + std::to_string(i) : std::string("i"); };
  for (int i = kLayers; i > 0; --i) layers.push_back(DenseJson(name(i).c_str(), name(i - 1).c_str()));
  layers.push_back(InputJson("i"));
  const auto network = NetworkFromConfig(
      {{"class_name", "Functional"},
       {"config",
        {{"name", "m"}, {"layers", layers}, {"input_layers", {"i", 0, 0}}, {"output_layers", {name(kLayers), 0, 0}}}}});
  EXPECT_EQ(network->layers().size(), kLayers + 1u);
  EXPECT_EQ(network->layers()[1].name(), "a1");
}

}  // namespace
}  // namespace ingot
