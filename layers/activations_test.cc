// SPDX-License-Identifier: MIT
//
// Every activation against Keras: values and gradients, ties and tails among them. Arguments that no name carries are
// given through the layer that has them, or to the operation, as one's own Activation would.
#include "ingot/layers/activations.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <set>

#include "ingot/core/plan/plan.h"
#include "ingot/layers/activation_layers.h"
#include "ingot/tests/fixture.h"

namespace ingot {
namespace {

using testing::Compare;
using testing::Golden;

using Function = std::function<Value(Graph&, Value)>;

// y = f(x) and dx for a cotangent dy.
std::pair<Array, Array> Evaluate(const Function& f, const Array& x, const Array& dy) {
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
  const auto read = [&](Value v) {
    const Operand o = plan.operand(v);
    return Array::View(o.shape, o.dtype, o.data).copy();
  };
  return {read(y), read(dx)};
}

// A layer without weights, as a function.
Function Of(const Layer& layer) {
  return [layer](Graph& g, Value x) {
    layer.def().build({{g.shape(x)}});
    return layer.def().call(g, {x})[0];
  };
}

Function Of(Formula formula, float p0, float p1 = 0) {
  return [=](Graph& g, Value x) { return Apply(g, formula, x, p0, p1); };
}

// A function of the last axis, along the first of two.
Function AlongFirst(Value (*f)(Graph&, Value)) {
  return [f](Graph& g, Value x) {
    const int swap[] = {1, 0};
    return g.Transpose(f(g, g.Transpose(x, swap)), swap);
  };
}

// How ingot says what Keras says with arguments: by the name of Keras's function.
Function WithArguments(const std::string& function, const Json& args) {
  const auto number = [&](const char* key) { return args.at(key).get<float>(); };
  const std::map<std::string, std::function<Function()>> table = {
      {"gelu", [&] { return Of(Formula::kGelu, 0); }},  // approximate=False, which is Keras's default
      {"relu",
       [&] {
         return Of(ReLU({.max_value = number("max_value"),
                         .negative_slope = number("negative_slope"),
                         .threshold = number("threshold")}));
       }},
      {"leaky_relu", [&] { return Of(LeakyReLU({.negative_slope = number("negative_slope")})); }},
      {"elu", [&] { return Of(ELU({.alpha = number("alpha")})); }},
      {"softmax", [&] { return Of(Softmax({.axis = args.at("axis").get<int64_t>()})); }},
      {"celu", [&] { return Of(Formula::kCelu, number("alpha")); }},
      {"threshold", [&] { return Of(Formula::kThreshold, number("threshold"), number("default_value")); }},
      {"hard_shrink", [&] { return Of(Formula::kHardShrink, number("threshold")); }},
      {"soft_shrink", [&] { return Of(Formula::kSoftShrink, number("threshold")); }},
      {"squareplus", [&] { return Of(Formula::kSquareplus, number("b")); }},
      {"log_softmax", [&] { return Function([](Graph& g, Value x) { return g.LogSoftmax(x, 0); }); }},
      {"sparsemax", [&] { return AlongFirst(Sparsemax); }},
      {"glu", [&] { return AlongFirst(Glu); }},
  };
  const auto found = table.find(function);
  if (found == table.end()) Fail("a golden case gives arguments to ", function, "; say above how ingot takes them");
  for (const auto& [key, value] : args.items())
    if ((key == "axis" && value != 0) || (key == "approximate" && value != false))
      Fail(function, ": ", key, " = ", value.dump(), " is another thing than what is tested here");
  return found->second();
}

TEST(Activations, AgreeWithKeras) {
  const Golden golden("activations");
  std::set<std::string> covered;
  for (const Json& c : golden.cases()) {
    const std::string name = c["name"].get<std::string>();
    const std::string function =
        c["config"].is_string() ? c["config"].get<std::string>() : c["config"]["config"].get<std::string>();
    const bool plain = !c.contains("args") || c["args"].empty();
    if (plain) covered.insert({function, name});
    const auto [y, dx] = Evaluate(plain ? Function(Activation(function)) : WithArguments(function, c["args"]),
                                  golden.at(c, "x"), golden.at(c, "dy"));
    const auto same = [&](const Array& got, const char* what) {
      const testing::Difference d = Compare(got, golden.at(c, what));
      EXPECT_TRUE(d.ok) << name << ", " << what << ": " << d.text;
    };
    same(y, "y");
    same(dx, "dx");
  }
  for (const std::string& name : ActivationNames())
    EXPECT_TRUE(covered.contains(name)) << name << " has no golden case";
}

}  // namespace
}  // namespace ingot
