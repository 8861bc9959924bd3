// SPDX-License-Identifier: MIT
//
// Every golden case that is a model: built from Keras's own configuration, given Keras's weights, held against what
// Keras computed: outputs, gradients of weights and inputs, the losses of 20 steps, the weights after them.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <set>

#include "ingot/io/keras_config.h"
#include "ingot/layers/layers.h"
#include "ingot/tests/fixture.h"
#include "ingot/train/compile_config.h"
#include "ingot/train/model.h"

namespace ingot {
namespace {

using testing::Compare;
using testing::Difference;
using testing::Golden;

struct Case {
  const Golden* golden;
  const Json* json;
  std::string name() const { return (*json)["name"].get<std::string>(); }
};

const Golden& Group(const std::string& name) {
  static std::map<std::string, std::unique_ptr<Golden>> groups;
  auto& group = groups[name];
  if (!group) group = std::make_unique<Golden>(name);
  return *group;
}

// Where summing in fp32 in another order alone moves a result by more than the bound, a case says so here, with the
// bound that is true of it and the reason.
struct Looser {
  const char* name;
  double relative, absolute;
};
constexpr Looser kLooser[] = {
    // gw16 is a sum over 1.5e3 pixels of terms that mostly cancel; Keras's own value is 3e-6 of the largest gradient
    // off
    // its value in float64.
    {"resnet", 2e-5, 1e-6},
};

void Check(const Case& c, const std::string& what, const Array& got, const Array& want, double scale = 1) {
  double relative = 1e-5, absolute = 1e-6;
  for (const Looser& l : kLooser)
    if (c.name() == l.name) relative = l.relative, absolute = l.absolute;
  // A sum of large terms that nearly cancel is known to the precision of the terms: the floor follows the largest.
  const Difference d = Compare(got, want, relative, absolute * scale);
  EXPECT_TRUE(d.ok) << c.name() << ", " << what << ": " << d.text;
}

double Largest(const Array& a) {
  double largest = 0;
  if (a.dtype() != DType::kFloat32) return 0;
  for (const float v : a.floats()) largest = std::max(largest, std::fabs(static_cast<double>(v)));
  return largest;
}

Model Build(const Case& c) {
  Model model(NetworkFromConfig((*c.json)["config"]), {.seed = 1});
  model.set_weights(c.golden->list(*c.json, "w"));
  return model;
}

void RunModelCase(const Case& c) {
  const Golden& g = *c.golden;
  const Json& j = *c.json;
  Model model = Build(c);
  const Arrays x = g.list(j, "x");
  if (g.has(j, "predict0")) {
    const Arrays got = model.predict_on_batch(x), want = g.list(j, "predict");
    ASSERT_EQ(got.size(), want.size()) << c.name();
    for (size_t i = 0; i < got.size(); ++i) Check(c, "predict" + std::to_string(i), got[i], want[i]);
  }
  if (g.has(j, "cot0")) {
    Model fresh = Build(c);
    const Model::Vjp got = fresh.vjp(x, g.list(j, "cot"));
    const Arrays train = g.list(j, "train"), gw = g.list(j, "gw");
    for (size_t i = 0; i < train.size(); ++i) Check(c, "train" + std::to_string(i), got.outputs[i], train[i]);
    for (size_t i = 0; i < gw.size(); ++i)
      if (got.weights[i].dtype() == DType::kFloat32)
        Check(c, "gw" + std::to_string(i), got.weights[i], gw[i], std::max(1.0, Largest(gw[i])));
    for (size_t i = 0; i < x.size(); ++i) {
      const std::string name = "gx" + std::to_string(i);
      if (g.has(j, name)) Check(c, name, got.inputs[i], g.at(j, name), std::max(1.0, Largest(g.at(j, name))));
    }
  }
  if (!j.contains("compile") || j["compile"].is_null() || !g.has(j, "losses")) return;
  model.compile(CompileOptionsFromConfig(j["compile"], model.network().output_names()));
  const Arrays y = g.list(j, "y");
  const Array losses = g.at(j, "losses");
  const Array sw = g.has(j, "sw0") ? g.at(j, "sw0") : Array();
  const int64_t rows = x[0].rows(),
                batch = j.contains("batch") && !j["batch"].is_null() ? j["batch"].get<int64_t>() : rows;
  Array got(losses.shape());
  for (int64_t step = 0; step < losses.rows(); ++step) {
    const int64_t first = step * batch % rows, last = std::min(rows, first + batch);
    const Dataset part = Dataset{x, y, sw}.slice(first, last);
    got.floats()[static_cast<size_t>(step)] =
        static_cast<float>(model.train_on_batch(part.x, part.y, part.sample_weight)["loss"]);
  }
  Check(c, "losses", got, losses);
  const Arrays final_weights = g.list(j, "f"), weights = model.get_weights();
  for (size_t i = 0; i < final_weights.size(); ++i) Check(c, "f" + std::to_string(i), weights[i], final_weights[i]);
}

class GoldenModel : public ::testing::TestWithParam<std::pair<std::string, size_t>> {};

TEST_P(GoldenModel, AgreesWithKeras) {
  const auto& [group, index] = GetParam();
  const Golden& golden = Group(group);
  RunModelCase({&golden, &golden.cases()[index]});
}

// What is saved comes back: the same description, the same bits, and the same next step.
TEST_P(GoldenModel, SurvivesTheNativeFile) {
  const auto& [group, index] = GetParam();
  const Golden& golden = Group(group);
  const Case c{&golden, &golden.cases()[index]};
  const Json& j = *c.json;
  Model model = Build(c);
  const bool trains = j.contains("compile") && !j["compile"].is_null() && golden.has(j, "losses");
  const Arrays x = golden.list(j, "x"), y = golden.list(j, "y");
  const Array sw = golden.has(j, "sw0") ? golden.at(j, "sw0") : Array();
  if (trains) {
    model.compile(CompileOptionsFromConfig(j["compile"], model.network().output_names()));
    model.train_on_batch(x, y, sw);
  }
  const std::string path = ::testing::TempDir() + "golden_" + std::to_string(getpid()) + ".ingot";
  model.save(path);
  Model again = load_model(path);
  std::remove(path.c_str());
  EXPECT_EQ(NetworkConfig(again.network()).dump(), NetworkConfig(model.network()).dump());
  const auto same = [&](const Arrays& a, const Arrays& b) {
    ASSERT_EQ(a.size(), b.size());
    for (size_t i = 0; i < a.size(); ++i) {
      ASSERT_EQ(a[i].bytes(), b[i].bytes());
      EXPECT_EQ(std::memcmp(a[i].data(), b[i].data(), a[i].bytes()), 0) << c.name() << " " << i;
    }
  };
  same(model.get_weights(), again.get_weights());
  same(model.predict_on_batch(x), again.predict_on_batch(x));
  if (!trains) return;
  EXPECT_EQ(again.iterations(), 1);
  EXPECT_EQ(model.train_on_batch(x, y, sw)["loss"], again.train_on_batch(x, y, sw)["loss"]);
  same(model.get_weights(), again.get_weights());
}

std::vector<std::pair<std::string, size_t>> AllCases() {
  std::vector<std::pair<std::string, size_t>> all;
  for (const char* group : {"layers", "models"})
    for (size_t i = 0; i < Group(group).cases().size(); ++i) all.emplace_back(group, i);
  return all;
}

INSTANTIATE_TEST_SUITE_P(Keras, GoldenModel, ::testing::ValuesIn(AllCases()), [](const auto& param) {
  std::string name = param.param.first + "_" +
                     Group(param.param.first).cases()[param.param.second]["name"].template get<std::string>();
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  return name;
});

// A layer without a golden case fails the suite.
TEST(Golden, EveryLayerIsCovered) {
  std::set<std::string> covered;
  for (const char* group : {"layers", "models"})
    for (const Json& c : Group(group).cases())
      for (const Json& name : c["covers"]) covered.insert(name.get<std::string>());
  for (const LayerClass* layer : AllLayers())
    EXPECT_TRUE(covered.contains(layer->name)) << layer->name << " has no golden case";
}

TEST(Golden, Count) {
  size_t count = 0;
  std::string version;
  for (const char* group : {"layers", "models", "activations", "losses", "metrics", "optimizers", "schedules"}) {
    count += Group(group).cases().size();
    version = Group(group).keras();
  }
  std::printf("%zu golden cases, by Keras %s\n", count, version.c_str());
  EXPECT_GT(count, 100u);
}

}  // namespace
}  // namespace ingot
