// SPDX-License-Identifier: MIT
//
// Every golden schedule: read from Keras's configuration, written again as Keras wrote it, and its learning rates held
// against Keras's. A schedule without a golden case fails.
#include <gtest/gtest.h>

#include <set>

#include "ingot/core/error.h"
#include "ingot/optim/schedules.h"
#include "ingot/tests/fixture.h"

namespace ingot {
namespace {

using testing::Compare;
using testing::Difference;
using testing::Golden;

// A learning rate as an optimizer's configuration holds it.
LearningRate Read(const Json& config) {
  const Json outer = {{"learning_rate", config}};
  LearningRate rate;
  Fields f = Fields::Reader(outer, "test");
  f("learning_rate", rate);
  f.Finish();
  return rate;
}

Json Write(LearningRate rate) {
  Json out;
  Fields f = Fields::Writer(out);
  f("learning_rate", rate);
  return out["learning_rate"];
}

TEST(Schedule, AgreesWithKeras) {
  const Golden golden("schedules");
  for (const Json& c : golden.cases()) {
    SCOPED_TRACE(c["name"].get<std::string>());
    const LearningRate rate = Read(c["config"]);
    const Array& steps = golden.at(c, "steps");
    const Array& want = golden.at(c, "values");
    Array got(want.shape());
    for (size_t i = 0; i < static_cast<size_t>(steps.size()); ++i)
      got.floats()[i] = static_cast<float>(rate.at(steps.as<int32_t>()[i]));
    const Difference d = Compare(got, want, 1e-5, 1e-6);
    EXPECT_TRUE(d.ok) << d.text;
  }
}

TEST(Schedule, IsWrittenAsKerasWritesIt) {
  const Golden golden("schedules");
  for (const Json& c : golden.cases()) EXPECT_EQ(Write(Read(c["config"])).dump(), c["config"].dump()) << c["name"];
}

TEST(Schedule, EachHasAGoldenCase) {
  const Golden golden("schedules");
  std::set<std::string> covered;
  for (const Json& c : golden.cases()) covered.insert(c["config"]["class_name"].get<std::string>());
  for (const ScheduleClass& s : AllSchedules())
    EXPECT_TRUE(covered.contains(s.name)) << s.name << " has no golden case";
}

TEST(Schedule, RefusesWhatCannotBe) {
  EXPECT_THROW(ExponentialDecay(0.1, 0, 0.9), Error);
  EXPECT_THROW(CosineDecay(0.1, -3), Error);
  EXPECT_THROW(PiecewiseConstantDecay({1, 2}, {0.1}), Error);
  Json zero = Write(ExponentialDecay(0.1, 5, 0.9));
  zero["config"]["decay_steps"] = 0;
  EXPECT_THROW(Read(zero), Error);
  EXPECT_THROW(
      Read({{"module", "keras.optimizers.schedules"}, {"class_name", "NoSuchDecay"}, {"config", Json::object()}}),
      Error);
}

}  // namespace
}  // namespace ingot
