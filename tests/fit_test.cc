// SPDX-License-Identifier: MIT
//
// fit() against Keras's: the whole history, validation included, and the weights behind it, for class and sample
// weights, validation split off or given, an epoch to begin with, steps counted otherwise. Rows are not shuffled.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "ingot/io/keras_config.h"
#include "ingot/tests/fixture.h"
#include "ingot/tests/folder.h"
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

// As tests/golden/fit_cases.py schedules it.
double Scheduled(int epoch, double rate) { return epoch % 2 == 0 ? 0.02 * (epoch + 1) : rate * 0.5; }

CallbackPtr CallbackOf(const std::string& name, const Json& arguments, const std::string& csv) {
  if (name == "CSVLogger") return CSVLogger(csv, {.separator = arguments.value("separator", ",")});
  if (name == "LearningRateScheduler") return LearningRateScheduler(Scheduled);
  EXPECT_EQ(name, "ReduceLROnPlateau");
  const ReduceLROnPlateauOptions keras;
  return ReduceLROnPlateau({.monitor = arguments.value("monitor", keras.monitor),
                            .factor = arguments.value("factor", keras.factor),
                            .patience = arguments.value("patience", keras.patience),
                            .min_delta = arguments.value("min_delta", keras.min_delta),
                            .cooldown = arguments.value("cooldown", keras.cooldown),
                            .min_lr = arguments.value("min_lr", keras.min_lr)});
}

FitOptions OptionsOf(const Json& fit, const std::string& csv) {
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
    else if (key == "callbacks")
      for (const Json& item : value) o.callbacks.push_back(CallbackOf(item[0], item[1], csv));
    else
      ADD_FAILURE() << "the test does not know the argument " << key;
  }
  return o;
}

// The same lines of the same fields; numbers to rounding.
void ExpectSameCsv(const std::string& got, const std::string& want, char separator) {
  std::stringstream a(got), b(want);
  std::string x, y;
  while (std::getline(b, y)) {
    ASSERT_TRUE(std::getline(a, x)) << "the line " << y << " is missing";
    EXPECT_EQ(x.back(), '\r');
    std::stringstream fields(x), expected(y);
    while (std::getline(expected, y, separator)) {
      ASSERT_TRUE(std::getline(fields, x, separator));
      char *end_x, *end_y;
      const double u = std::strtod(x.c_str(), &end_x), v = std::strtod(y.c_str(), &end_y);
      if (end_y == y.c_str())
        EXPECT_EQ(x, y);
      else
        EXPECT_NEAR(u, v, 1e-5 * std::fabs(v) + 1e-6) << x << " " << y;
    }
    EXPECT_FALSE(std::getline(fields, x, separator)) << x;
  }
  EXPECT_FALSE(std::getline(a, x)) << x;
}

using GoldenFit = testing::InFolder;

TEST_F(GoldenFit, AgreesWithKeras) {
  const Golden& g = Cases();
  for (const Json& c : g.cases()) {
    SCOPED_TRACE(c["name"].get<std::string>());
    Model model(NetworkFromConfig(c["config"]), {.seed = 1});
    model.set_weights(g.list(c, "w"));
    model.compile(CompileOptionsFromConfig(c["compile"], model.network().output_names()));
    FitOptions options = OptionsOf(c["fit"], path("log.csv"));
    if (g.has(c, "vx")) options.validation_data = Dataset::from_arrays(g.at(c, "vx"), g.at(c, "vy"));
    const History got =
        model.fit(Dataset{{g.at(c, "x")}, {g.at(c, "y")}, g.has(c, "sw") ? g.at(c, "sw") : Array()}, options);
    if (c.contains("csv")) {
      std::ifstream in(path("log.csv"), std::ios::binary);
      std::stringstream all;
      all << in.rdbuf();
      const std::string want_csv = c["csv"];
      ExpectSameCsv(all.str(), want_csv, want_csv.find(';') == want_csv.npos ? ',' : ';');
    }
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

TEST_F(GoldenFit, EveryArgumentIsCovered) {
  for (const char* argument :
       {"class_weight", "validation_split", "validation_batch_size", "initial_epoch", "steps_per_epoch", "callbacks"})
    EXPECT_TRUE(std::any_of(Cases().cases().begin(), Cases().cases().end(), [&](const Json& c) {
      return c["fit"].contains(argument);
    })) << argument;
}

}  // namespace
}  // namespace ingot
