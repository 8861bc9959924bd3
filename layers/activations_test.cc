// SPDX-License-Identifier: MIT
//
// Every activation against Keras: values and gradients, ties and tails among them.
#include "ingot/layers/activations.h"

#include <gtest/gtest.h>

#include <set>

#include "ingot/core/plan/plan.h"
#include "ingot/tests/fixture.h"

namespace ingot {
namespace {

using testing::Compare;
using testing::Golden;

// y = f(x) and dx for a cotangent dy.
std::pair<Array, Array> Evaluate(const Activation& f, const Array& x, const Array& dy) {
  const Layout layout;
  Graph g(layout, true);
  const Value in = g.Input({x.shape()}, true), cotangent = g.Input({dy.shape()});
  const Value y = f(g, in);
  g.Keep(y);
  g.SeedGrad(y, cotangent);
  g.Backward();
  const Value dx = g.GradOf(in);
  g.Keep(dx);
  Plan plan(g, CpuBackend());
  Block arena(plan.activation_bytes(), "test");
  plan.Bind(layout, {arena.data(), nullptr, nullptr, nullptr});
  std::memcpy(plan.operand(in).data, x.data(), x.bytes());
  std::memcpy(plan.operand(cotangent).data, dy.data(), dy.bytes());
  Run run;
  run.pool = &ThreadPool::Default();
  plan.Execute(run);
  return {Array::View(y.id >= 0 ? x.shape().with(-1, plan.operand(y).shape.back()) : x.shape(), DType::kFloat32,
                      plan.operand(y).data)
              .copy(),
          Array::View(x.shape(), DType::kFloat32, plan.operand(dx).data).copy()};
}

TEST(Activations, AgreeWithKeras) {
  const Golden golden("activations");
  std::set<std::string> covered;
  for (const Json& c : golden.cases()) {
    if (c.contains("args") && !c["args"].empty()) continue;  // options that layers have; tested there
    const std::string name =
        c["config"].is_string() ? c["config"].get<std::string>() : c["config"]["config"].get<std::string>();
    covered.insert(name);
    covered.insert(c["name"].get<std::string>());
    const auto [y, dx] = Evaluate(Activation(name), golden.at(c, "x"), golden.at(c, "dy"));
    EXPECT_TRUE(Compare(y, golden.at(c, "y")).ok) << name << ": " << Compare(y, golden.at(c, "y")).text;
    EXPECT_TRUE(Compare(dx, golden.at(c, "dx")).ok) << name << ", gradient: " << Compare(dx, golden.at(c, "dx")).text;
  }
  for (const std::string& name : ActivationNames())
    EXPECT_TRUE(covered.contains(name)) << name << " has no golden case";
}

}  // namespace
}  // namespace ingot
