// SPDX-License-Identifier: MIT
//
// Every gradient against finite differences: of every layer (in the instances of the golden cases), every activation
// and every loss, by weights and by inputs. Nothing here knows a formula: a gradient is right if it says how the
// function changes.
//
// One array at a time is moved along a random direction v, x + t v, and what the gradient g says, g . v, is compared
// with
//   D(h) = (f(h) - f(-h)) / 2h,  R = (4 D(h/2) - D(h)) / 3 = g . v + O(h^4)
// where g . v is taken over what was really moved, once x + t v is rounded to floats. f is computed in floats and
// summed in double, so R is known to about noise / h: that is the tolerance, with a floor of 2e-4 of the size g . v
// usually has. For half of all comparisons it comes to 2.3e-4, for all but one in a hundred to less than 0.3 %.
//
// A kink between -h and h spoils R: then D(h) and D(h/2) differ, or f(h) - 2 f(0) + f(-h) does not shrink with h^2.
// Such a step is not judged: a smaller one is tried, then another direction. A step without kinks judges for good, and
// a few must.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "ingot/core/random.h"
#include "ingot/io/keras_config.h"
#include "ingot/layers/layers.h"
#include "ingot/tests/fixture.h"
#include "ingot/train/compile_config.h"
#include "ingot/train/losses.h"
#include "ingot/train/trainer.h"

namespace ingot {
namespace {

using testing::Golden;

constexpr double kEpsilon = 0x1p-24;

double Wide(float v) { return static_cast<double>(v); }

// f somewhere, as the terms it is the sum of: each is known to some roundings of its size.
using Terms = std::vector<double>;
using Function = std::function<Terms(const Array&)>;

enum class Verdict { kAgrees, kWrong, kKinked };

struct Judged {
  Verdict verdict = Verdict::kKinked;
  std::string text;
};

// Largest step first: noise / h is least there.
constexpr double kSteps[] = {0x1p-5, 0x1p-7, 0x1p-9, 0x1p-11};
// What is allowed beyond noise, relative to the size that g . v has for a random direction. The O(h^4) of a step that
// passes as smooth stays below it.
constexpr double kRelative = 2e-4;

// The slope of f along v from x, by a step of h to both sides; `said` is what the gradient makes of the same move.
// Terms that do not change bring no noise.
struct Slope {
  double measured = 0, said = 0;
  double bend = 0;  // f(h) - 2 f(0) + f(-h)
  double noise = 0;
};
Slope SlopeAlong(const Function& f, const Array& x, const Array& gradient, const std::vector<float>& v, double h,
                 const Terms& middle) {
  Array up = x.copy(), down = x.copy();
  Slope slope;
  for (size_t i = 0; i < v.size(); ++i) {
    up.floats()[i] += static_cast<float>(h * Wide(v[i]));
    down.floats()[i] -= static_cast<float>(h * Wide(v[i]));
    slope.said += Wide(gradient.floats()[i]) * (Wide(up.floats()[i]) - Wide(down.floats()[i])) / (2 * h);
  }
  const Terms a = f(up), b = f(down);
  for (size_t i = 0; i < a.size(); ++i) {
    slope.measured += (a[i] - b[i]) / (2 * h);
    slope.bend += a[i] - 2 * middle[i] + b[i];
    if (a[i] != b[i]) slope.noise += a[i] * a[i] + b[i] * b[i];
  }
  slope.noise = 4 * kEpsilon * std::sqrt(slope.noise);
  return slope;
}

// Moves `moving` of the elements, drawn at random.
Judged Judge(const Function& f, const Array& x, const Array& gradient, Random& random, double moving) {
  std::vector<float> v(static_cast<size_t>(x.size()));
  const double n = static_cast<double>(v.size());
  double length = 0, steepness = 0;
  for (size_t i = 0; i < v.size(); ++i) {
    if (Wide(random.Uniform()) * n < moving) v[i] = random.Normal();
    length += Wide(v[i]) * Wide(v[i]);
    steepness += Wide(gradient.floats()[i]) * Wide(gradient.floats()[i]);
  }
  const double usual = std::sqrt(length * steepness / n);  // of g . v
  const Terms middle = f(x);
  Judged judged;
  if (length == 0) return judged;
  for (const double h : kSteps) {
    const Slope whole = SlopeAlong(f, x, gradient, v, h, middle), half = SlopeAlong(f, x, gradient, v, h / 2, middle);
    const double measured = (4 * half.measured - whole.measured) / 3, said = (4 * half.said - whole.said) / 3;
    const double bound = kRelative * usual + (whole.noise + half.noise) / h;
    judged.text =
        Text("at the step ", h, " the gradient says ", said, ", differences say ", measured, " (",
             std::fabs(measured - said) / bound, " times the bound, which is ", bound / usual, " of the usual size)");
    if (std::fabs(measured - said) <= bound) {
      judged.verdict = Verdict::kAgrees;
      return judged;
    }
    const bool smooth =
        std::fabs(whole.measured - half.measured) <= bound && std::fabs(whole.bend - 4 * half.bend) / h <= bound;
    if (smooth) {
      judged.verdict = Verdict::kWrong;
      return judged;
    }
  }
  return judged;
}

// `needed` directions must be free of kinks, and in all of them the gradient must be right. Where there are many
// kinks, fewer elements are moved.
void ExpectGradient(const Function& f, const Array& x, const Array& gradient, Random& random, const std::string& what,
                    int needed = 3) {
  ASSERT_EQ(gradient.shape(), x.shape()) << what;
  const double n = static_cast<double>(x.size());
  for (int tries = 0; tries < 40 && needed > 0; ++tries) {
    const Judged judged = Judge(f, x, gradient, random, std::max(1.0, n / std::pow(4, tries % 8)));
    ASSERT_NE(judged.verdict, Verdict::kWrong) << what << ": " << judged.text;
    if (judged.verdict == Verdict::kAgrees) --needed;
  }
  EXPECT_LE(needed, 0) << what << ": too few directions without kinks";
}

// sum(y * c)
Terms Weighed(const Arrays& y, const Arrays& c) {
  Terms terms;
  for (size_t i = 0; i < y.size(); ++i)
    for (size_t k = 0; k < y[i].floats().size(); ++k) terms.push_back(Wide(y[i].floats()[k]) * Wide(c[i].floats()[k]));
  return terms;
}

Array Drawn(const Shape& shape, Random& random, float scale = 1) {
  Array a(shape);
  for (float& v : a.floats()) v = scale * random.Normal();
  return a;
}

bool IsFloat(const Array& a) { return a.dtype() == DType::kFloat32; }

// What model.vjp says of each weight that is trained and each input of floats. Weights are left as they were.
void ExpectVjp(Model& model, Arrays x, Random& random, const std::string& what, int directions = 3) {
  const Arrays weights = model.get_weights();
  const auto outputs = [&](const Arrays& w, const Arrays& in, const Arrays& cotangents) {
    model.set_weights(w);  // training moves the running means
    return model.vjp(in, cotangents);
  };
  Arrays cotangents;
  for (const Array& y : model.predict_on_batch(x)) cotangents.push_back(Drawn(y.shape(), random));
  const Model::Vjp at = outputs(weights, x, cotangents);
  const std::vector<char> trained = model.state().TrainedVariables();
  for (size_t i = 0; i < weights.size(); ++i) {
    const std::string name = what + ", weight " + std::to_string(i);
    if (!IsFloat(weights[i])) continue;
    if (!trained[i]) {
      for (const float g : at.weights[i].floats()) ASSERT_EQ(g, 0) << name << " is not trained";
      continue;
    }
    Arrays moved = weights;
    const Function f = [&](const Array& w) {
      moved[i] = w;
      return Weighed(outputs(moved, x, cotangents).outputs, cotangents);
    };
    ExpectGradient(f, weights[i], at.weights[i], random, name, directions);
  }
  for (size_t i = 0; i < x.size(); ++i) {
    if (!IsFloat(x[i]) || model.network().inputs()[i].dtype != DType::kFloat32) continue;
    Arrays moved = x;
    const Function f = [&](const Array& in) {
      moved[i] = in;
      return Weighed(outputs(weights, moved, cotangents).outputs, cotangents);
    };
    ExpectGradient(f, x[i], at.inputs[i], random, what + ", input " + std::to_string(i), directions);
  }
  model.set_weights(weights);
}

// What model.gradients says of each weight, loss and penalties together.
void ExpectLossGradients(Model& model, const Arrays& x, const Arrays& y, Random& random, const std::string& what,
                         int directions = 3) {
  const Arrays weights = model.get_weights();
  const std::vector<char> trained = model.state().TrainedVariables();
  const auto at = [&](const Arrays& w) {
    model.set_weights(w);
    return model.gradients(x, y);
  };
  const Gradients g = at(weights);
  for (size_t i = 0; i < weights.size(); ++i) {
    if (!trained[i]) continue;
    Arrays moved = weights;
    const Function f = [&](const Array& w) {
      moved[i] = w;
      return Terms{at(moved).loss};
    };
    ExpectGradient(f, weights[i], g.weights[i], random, what + ", weight " + std::to_string(i), directions);
  }
  model.set_weights(weights);
}

// ---- the layers ----------------------------------------------------------------------------------

const Golden& Layers() {
  static const Golden golden("layers");
  return golden;
}

class GradientOfLayer : public ::testing::TestWithParam<const char*> {};

TEST_P(GradientOfLayer, AgreesWithDifferences) {
  const std::string layer = GetParam();
  int cases = 0;
  uint32_t index = 0;
  for (const Json& c : Layers().cases()) {
    ++index;
    // Every case has an InputLayer; one is enough to show that it passes gradients on.
    if (layer == "InputLayer" ? cases > 0 : c["covers"][0] != layer) continue;
    ++cases;
    const std::string name = c["name"].get<std::string>();
    Random random({11, index, 0});
    Model model(NetworkFromConfig(c["config"]), {.seed = 1});
    model.set_weights(Layers().list(c, "w"));
    Arrays x = Layers().list(c, "x");
    // Cases about ties of whole numbers are all kinks: a little beside them there is a gradient.
    if (name.ends_with("ties"))
      for (Array& a : x) {
        a = a.copy();
        for (float& v : a.floats()) v += 0.2f * random.Normal();
      }
    ExpectVjp(model, x, random, name);
    if (!Layers().has(c, "losses")) continue;
    model.compile(CompileOptionsFromConfig(c["compile"], model.network().output_names()));
    ExpectLossGradients(model, x, Layers().list(c, "y"), random, name + ", loss and penalties");
  }
  EXPECT_GT(cases, 0) << layer << " has no golden case, so its gradient is not tested";
}

std::vector<const char*> LayerNames() {
  std::vector<const char*> names;
  for (const LayerClass* c : AllLayers()) names.push_back(c->name);
  return names;
}
INSTANTIATE_TEST_SUITE_P(All, GradientOfLayer, ::testing::ValuesIn(LayerNames()),
                         [](const auto& param) { return std::string(param.param); });

// Layers draw the same numbers at the same step, so noise has a gradient like anything else.
TEST(Gradient, OfLayersThatDrawNumbers) {
  for (const Layer& layer :
       {Dropout(0.4), SpatialDropout1D(0.5), GaussianNoise(0.3), Dropout(0.5, {.noise_shape = {kNone, 1, 3}})}) {
    Random random({12, 0, 0});
    InputTensor in = Input({4, 3});
    Model model({in}, {Dense(2)(layer(Dense(3, {.activation = "tanh"})(in)))}, {.seed = 5});
    const Array x = Drawn({6, 4, 3}, random);
    const Array c = Drawn({6, 4, 2}, random);
    EXPECT_NE(model.predict(x), model.vjp({x}, {c}).outputs[0]) << "noise is off";
    ExpectVjp(model, {x}, random, layer.def().class_name());
  }
}

// A layer called twice, a tensor used twice, a model within a model: gradients of all uses are summed.
TEST(Gradient, OfSharedAndNestedParts) {
  Random random({13, 0, 0});
  InputTensor inner_in = Input({5});
  const Layer dense = Dense(5, {.activation = "tanh"});
  const Tensor once = dense(inner_in);
  Model inner({inner_in}, {Add()({once, dense(once)}), once}, {.name = "inner"});
  InputTensor a = Input({5}), b = Input({5});
  const Tensors first = Layer(inner).call({a}), second = Layer(inner).call({b});
  Model model({a, b}, {Multiply()({first[0], second[1], a}), Dense(2)(Concatenate()({second[0], first[1], b}))},
              {.seed = 7});
  ExpectVjp(model, {Drawn({4, 5}, random), Drawn({4, 5}, random)}, random, "shared");
}

// ---- the activations -----------------------------------------------------------------------------

TEST(Gradient, OfEveryActivation) {
  uint32_t index = 0;
  for (const std::string& name : ActivationNames())
    for (const float scale : {0.7f, 3.0f}) {
      Random random({14, index++, 0});
      Model model = Sequential({Input({8}), ActivationLayer(name)}, {.seed = 1});
      ExpectVjp(model, {Drawn({5, 8}, random, scale)}, random, name);
      // Fused with the bias of the layer before it, and at the end of one.
      Model fused = Sequential({Input({6}), Dense(8, {.activation = name}), Dense(3)}, {.seed = 2});
      ExpectVjp(fused, {Drawn({5, 6}, random, scale)}, random, "Dense with " + name);
    }
}

// ---- the losses ----------------------------------------------------------------------------------

// What the output passes through before the loss, so that the loss is defined for it: probabilities, positive numbers.
// Losses that go on from logits get a softmax or sigmoid to go back through.
std::vector<const char*> EndsFor(const std::string& loss) {
  if (loss.starts_with("Binary")) return {"sigmoid"};
  if (loss.find("Categorical") != std::string::npos && loss != "CategoricalHinge") return {"softmax"};
  if (loss == "KLDivergence") return {"softmax", "sigmoid"};
  if (loss == "Poisson" || loss == "MeanSquaredLogarithmicError") return {"softplus"};
  return {"linear", "tanh"};
}

TEST(Gradient, OfEveryLoss) {
  uint32_t index = 0;
  for (const LossClass& c : AllLosses())
    for (const char* end : EndsFor(c.class_name)) {
      Random random({15, index++, 0});
      Model model = Sequential({Input({6}), Dense(4), ActivationLayer(end)}, {.seed = 3});
      model.compile({.optimizer = "sgd", .loss = c.make()});
      Array y({7, 4});
      for (float& v : y.floats()) v = random.Uniform(0.1f, 0.9f);
      if (std::string(c.class_name).starts_with("Sparse")) {
        y = Array({7}, DType::kInt32);
        for (int32_t& v : y.as<int32_t>()) v = static_cast<int32_t>(random.Below(4));
      }
      ExpectLossGradients(model, {Drawn({7, 6}, random)}, {y}, random, std::string(c.class_name) + " of " + end);
    }
}

// Options that change the formula.
TEST(Gradient, OfLossesWithOptions) {
  struct Case {
    const char* name;
    Loss loss;
    bool labels;
  };
  const Case cases[] = {
      {"logits", BinaryCrossentropy({.from_logits = true}), false},
      {"logits, smooth", BinaryCrossentropy({.from_logits = true, .label_smoothing = 0.2f}), false},
      {"logits", CategoricalCrossentropy({.from_logits = true, .label_smoothing = 0.1f}), false},
      {"logits", SparseCategoricalCrossentropy({.from_logits = true}), true},
      {"ignore", SparseCategoricalCrossentropy({.from_logits = true, .ignore_class = 1}), true},
      {"logits",
       BinaryFocalCrossentropy(
           {.apply_class_balancing = true, .alpha = 0.4f, .from_logits = true, .label_smoothing = 0.1f}),
       false},
      {"logits", CategoricalFocalCrossentropy({.gamma = 1.5f, .from_logits = true}), false},
      {"delta", Huber({.delta = 0.3f}), false},
      {"sum", MeanSquaredError({.reduction = "sum"}), false},
  };
  uint32_t index = 0;
  for (const Case& c : cases) {
    Random random({16, index++, 0});
    Model model = Sequential({Input({6}), Dense(4)}, {.seed = 4});
    model.compile({.optimizer = "sgd", .loss = c.loss});
    Array y({7, 4});
    for (float& v : y.floats()) v = random.Uniform(0.1f, 0.9f);
    if (c.labels) {
      y = Array({7}, DType::kInt32);
      for (int32_t& v : y.as<int32_t>()) v = static_cast<int32_t>(random.Below(4));
    }
    ExpectLossGradients(model, {Drawn({7, 6}, random)}, {y}, random, c.loss.name() + ", " + c.name);
  }
}

// ---- the check itself ----------------------------------------------------------------------------

TEST(Gradient, TheCheckKnowsRightFromWrong) {
  Random random({17, 0, 0});
  const Array x = Drawn({40}, random);
  const double n = 40;
  const Function f = [](const Array& a) {
    Terms terms;
    for (const float v : a.floats()) terms.push_back(Wide(std::tanh(v) * std::tanh(v)));
    return terms;
  };
  Array g = x.copy();
  for (float& v : g.floats()) v = 2 * std::tanh(v) * (1 - std::tanh(v) * std::tanh(v));
  for (int i = 0; i < 20; ++i) EXPECT_EQ(Judge(f, x, g, random, n).verdict, Verdict::kAgrees);
  int wrong = 0;
  Array scaled = g.copy(), one = g.copy();
  for (float& v : scaled.floats()) v *= 1.005f;
  one.floats()[7] += 0.02f;
  for (int i = 0; i < 20; ++i) wrong += Judge(f, x, scaled, random, n).verdict == Verdict::kWrong;
  for (int i = 0; i < 20; ++i) wrong += Judge(f, x, one, random, n).verdict == Verdict::kWrong;
  EXPECT_GE(wrong, 32) << "of 40: a gradient 0.5 % off, and one element a little off";

  const Function absolute = [](const Array& a) {
    Terms terms;
    for (const float v : a.floats()) terms.push_back(std::fabs(Wide(v)));
    return terms;
  };
  const Array kinked({3}, std::vector<float>{0, 0, 1e-5f}), sign({3}, std::vector<float>{1, 1, 1});
  EXPECT_EQ(Judge(absolute, kinked, sign, random, 3).verdict, Verdict::kKinked);
}

}  // namespace
}  // namespace ingot
