// SPDX-License-Identifier: MIT
//
// fit() against Keras's: the whole history, validation included, and the weights behind it, for class and sample
// weights, validation split off or given, an epoch to begin with, steps counted otherwise. Rows are not shuffled.
#include <gtest/gtest.h>

#include <algorithm>

#include "ingot/io/keras_config.h"
#include "ingot/tests/fixture.h"
#include "ingot/train/compile_config.h"
#include "ingot/train/model.h"

namespace ingot {
namespace {

using testing::Compare;
using testing::Difference;
using testing::Golden;

const Golden& Cases() {
  static const Golden cases("fits");
  return cases;
}

FitOptions OptionsOf(const Json& fit) {
  FitOptions o{.shuffle = false};
  for (const auto& [key, value] : fit.items()) {
    if (key == "batch_size")
      o.batch_size = value.get<int>();
    else if (key == "epochs")
      o.epochs = value.get<int>();
    else if (key == "initial_epoch")
      o.initial_epoch = value.get<int>();
    else if (key == "steps_per_epoch")
      o.steps_per_epoch = value.get<int>();
    else if (key == "validation_split")
      o.validation_split = value.get<double>();
    else if (key == "validation_batch_size")
      o.validation_batch_size = value.get<int>();
    else if (key == "class_weight")
      for (const Json& item : value) o.class_weight[item[0].get<int>()] = item[1].get<float>();
    else
      ADD_FAILURE() << "the test does not know the argument " << key;
  }
  return o;
}

TEST(GoldenFit, AgreesWithKeras) {
  const Golden& g = Cases();
  for (const Json& c : g.cases()) {
    SCOPED_TRACE(c["name"].get<std::string>());
    Model model(NetworkFromConfig(c["config"]), {.seed = 1});
    model.set_weights(g.list(c, "w"));
    model.compile(CompileOptionsFromConfig(c["compile"], model.network().output_names()));
    FitOptions options = OptionsOf(c["fit"]);
    if (g.has(c, "vx")) options.validation_data = Dataset::from_arrays(g.at(c, "vx"), g.at(c, "vy"));
    const History got =
        model.fit(Dataset{{g.at(c, "x")}, {g.at(c, "y")}, g.has(c, "sw") ? g.at(c, "sw") : Array()}, options);
    EXPECT_EQ(got.epoch, c["epoch"].get<std::vector<int>>());
    EXPECT_EQ(got.history.size(), c["history"].size());
    for (const auto& [name, values] : c["history"].items()) {
      const auto want = values.get<std::vector<double>>();
      const std::vector<double>& have = got[name];
      EXPECT_EQ(have.size(), want.size()) << name;
      for (size_t i = 0; i < std::min(have.size(), want.size()); ++i)
        EXPECT_NEAR(have[i], want[i], 1e-5 * std::abs(want[i]) + 1e-6) << name << ", epoch " << i;
    }
    const Arrays want = g.list(c, "f"), have = model.get_weights();
    ASSERT_EQ(have.size(), want.size());
    for (size_t i = 0; i < want.size(); ++i) {
      const Difference d = Compare(have[i], want[i]);
      EXPECT_TRUE(d.ok) << "weight " << i << ": " << d.text;
    }
  }
}

TEST(GoldenFit, EveryArgumentIsCovered) {
  for (const char* argument :
       {"class_weight", "validation_split", "validation_batch_size", "initial_epoch", "steps_per_epoch"})
    EXPECT_TRUE(std::any_of(Cases().cases().begin(), Cases().cases().end(), [&](const Json& c) {
      return c["fit"].contains(argument);
    })) << argument;
}

}  // namespace
}  // namespace ingot
