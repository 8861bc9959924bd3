// SPDX-License-Identifier: MIT
//
// Where a step needs powers such as beta^t, they are computed in float32, as Keras does: 1 - 0.999^1 differs from
// 0.001 by 1e-5 of itself then, and so do the first steps. Which of them Keras takes 1 - beta of before it rounds, and
// which after, is as it stands here.
#include "ingot/optim/optimizers.h"

#include <algorithm>
#include <cmath>

namespace ingot {
namespace {

float F(double v) { return static_cast<float>(v); }
float Power(double base, int64_t n) { return std::pow(F(base), static_cast<float>(n)); }

UpdateAttrs Attrs(UpdateFormula formula, std::initializer_list<float> p) {
  UpdateAttrs attrs{static_cast<uint16_t>(formula), {}, false, 1};
  std::copy(p.begin(), p.end(), attrs.p);
  return attrs;
}

struct SgdDef : OptimizerDef {
  double momentum = 0;
  bool nesterov = false;
  SgdDef() { learning_rate = 0.01; }
  std::string class_name() const override { return "SGD"; }
  void check() const override {
    if (!(momentum >= 0 && momentum <= 1))
      Fail("optimizer SGD: momentum is ", momentum, ", a number from 0 to 1 was expected");
  }
  void fields(Fields& f) override { f("momentum", momentum), f("nesterov", nesterov); }
  std::vector<SlotSpec> slots() const override {
    if (momentum == 0) return {};
    return {{"momentum"}};
  }
  UpdateAttrs attrs() const override {
    if (momentum == 0) return Attrs(UpdateFormula::kSgd, {});
    return Attrs(nesterov ? UpdateFormula::kNesterov : UpdateFormula::kMomentum, {F(momentum)});
  }
};

struct AdamDef : OptimizerDef {
  double beta_1 = 0.9, beta_2 = 0.999, epsilon = 1e-7;
  bool amsgrad = false, decoupled;
  explicit AdamDef(bool w) : decoupled(w) {
    if (w) common.weight_decay = 0.004;
  }
  std::string class_name() const override { return decoupled ? "AdamW" : "Adam"; }
  void check() const override {
    if (decoupled && !common.weight_decay) Fail("optimizer AdamW: weight_decay is none, a number was expected");
  }
  void fields(Fields& f) override {
    f("beta_1", beta_1), f("beta_2", beta_2), f("epsilon", epsilon), f("amsgrad", amsgrad);
  }
  std::vector<SlotSpec> slots() const override {
    std::vector<SlotSpec> all = {{.name = "momentum"}, {.name = "velocity", .interleaved = true}};
    if (amsgrad) all.push_back({"velocity_hat"});
    return all;
  }
  UpdateAttrs attrs() const override {
    return Attrs(amsgrad ? UpdateFormula::kAmsgrad : UpdateFormula::kAdam, {F(1 - beta_1), F(1 - beta_2), F(epsilon)});
  }
  void hyper(int64_t t, float lr, float* h) const override {
    h[2] = lr * std::sqrt(1 - Power(beta_2, t)) / (1 - Power(beta_1, t));
  }
};

struct NadamDef : OptimizerDef {
  double beta_1 = 0.9, beta_2 = 0.999, epsilon = 1e-7;
  std::string class_name() const override { return "Nadam"; }
  double schedule_decay = 1;  // 0.004 for Keras 2's legacy Nadam, which calls it decay
  void fields(Fields& f) override {
    f("beta_1", beta_1), f("beta_2", beta_2), f("epsilon", epsilon);
    if (f.reading() ? f.has("decay") : schedule_decay != 1) f("decay", schedule_decay);
  }
  void check() const override {
    if (!(schedule_decay > 0)) Fail("optimizer Nadam: decay is ", schedule_decay, ", a positive number was expected");
  }
  double base() const { return std::pow(0.96, schedule_decay); }
  std::vector<SlotSpec> slots() const override {
    return {{.name = "momentum"}, {.name = "velocity", .interleaved = true}};
  }
  UpdateAttrs attrs() const override {
    return Attrs(UpdateFormula::kNadam, {1 - F(beta_1), 1 - F(beta_2), F(epsilon)});
  }
  // The momentum grows towards beta_1: u_t = beta_1 (1 - base^t / 2), and its correction is the product of all so far:
  // beta_1^t times a product that has converged once base^t is 2e-18, or is 0 long before. It follows from t alone.
  float Product(int64_t t) const {
    double product = std::pow(beta_1, static_cast<double>(t)), power = 1;
    const double factor = base();
    for (int64_t k = 0; k < t && power > 2e-18 && product > 0; ++k) product *= 1 - 0.5 * (power *= factor);
    return F(product);
  }
  std::vector<float> scalars(int64_t updates) const override { return {Product(updates)}; }
  float U(int64_t t) const { return F(beta_1) * (1 - 0.5f * Power(base(), t)); }
  void hyper(int64_t t, float, float* h) const override {
    const float product = Product(t);
    h[2] = U(t + 1) / (1 - product * U(t + 1));
    h[3] = (1 - U(t)) / (1 - product);
    h[4] = 1 / (1 - Power(beta_2, t));
  }
};

struct AdamaxDef : OptimizerDef {
  double beta_1 = 0.9, beta_2 = 0.999, epsilon = 1e-7;
  std::string class_name() const override { return "Adamax"; }
  void fields(Fields& f) override { f("beta_1", beta_1), f("beta_2", beta_2), f("epsilon", epsilon); }
  std::vector<SlotSpec> slots() const override { return {{.name = "momentum"}, {.name = "norm", .interleaved = true}}; }
  UpdateAttrs attrs() const override { return Attrs(UpdateFormula::kAdamax, {F(1 - beta_1), F(beta_2), F(epsilon)}); }
  void hyper(int64_t t, float lr, float* h) const override { h[2] = lr / (1 - Power(beta_1, t)); }
};

struct RmspropDef : OptimizerDef {
  double rho = 0.9, momentum = 0, epsilon = 1e-7;
  bool centered = false;
  std::string class_name() const override { return "RMSprop"; }
  void fields(Fields& f) override {
    f("rho", rho), f("momentum", momentum), f("epsilon", epsilon), f("centered", centered);
  }
  std::vector<SlotSpec> slots() const override {
    std::vector<SlotSpec> all = {{"velocity"}};
    if (momentum > 0) all.push_back({"momentum"});
    if (centered) all.push_back({"average_gradient"});
    return all;
  }
  UpdateAttrs attrs() const override {
    const UpdateFormula formula =
        momentum > 0 ? (centered ? UpdateFormula::kRmspropCenteredMomentum : UpdateFormula::kRmspropMomentum)
                     : (centered ? UpdateFormula::kRmspropCentered : UpdateFormula::kRmsprop);
    return Attrs(formula, {F(rho), F(1 - rho), F(epsilon), F(momentum)});
  }
};

struct AdagradDef : OptimizerDef {
  double initial = 0.1, epsilon = 1e-7;
  std::string class_name() const override { return "Adagrad"; }
  void fields(Fields& f) override { f("initial_accumulator_value", initial), f("epsilon", epsilon); }
  std::vector<SlotSpec> slots() const override { return {{"accumulator", F(initial)}}; }
  UpdateAttrs attrs() const override { return Attrs(UpdateFormula::kAdagrad, {F(epsilon)}); }
};

struct AdadeltaDef : OptimizerDef {
  double rho = 0.95, epsilon = 1e-7;
  std::string class_name() const override { return "Adadelta"; }
  void fields(Fields& f) override { f("rho", rho), f("epsilon", epsilon); }
  std::vector<SlotSpec> slots() const override {
    return {{.name = "accumulated_grad"}, {.name = "accumulated_delta_var", .interleaved = true}};
  }
  UpdateAttrs attrs() const override { return Attrs(UpdateFormula::kAdadelta, {F(rho), F(1 - rho), F(epsilon)}); }
};

struct LionDef : OptimizerDef {
  double beta_1 = 0.9, beta_2 = 0.99;
  std::string class_name() const override { return "Lion"; }
  void check() const override {
    if (!(beta_1 > 0 && beta_1 <= 1))
      Fail("optimizer Lion: beta_1 is ", beta_1, ", a number above 0 and up to 1 was expected");
  }
  void fields(Fields& f) override { f("beta_1", beta_1), f("beta_2", beta_2); }
  std::vector<SlotSpec> slots() const override { return {{"momentum"}}; }
  UpdateAttrs attrs() const override {
    return Attrs(UpdateFormula::kLion, {F(beta_1), 1 - F(beta_1), F(beta_2), 1 - F(beta_2)});
  }
};

template <class Def>
std::shared_ptr<OptimizerDef> Make() {
  return std::make_shared<Def>();
}

constexpr OptimizerClass kAll[] = {
    {"SGD", "sgd", &Make<SgdDef>},
    {"Adam", "adam", [] { return std::shared_ptr<OptimizerDef>(new AdamDef(false)); }},
    {"AdamW", "adamw", [] { return std::shared_ptr<OptimizerDef>(new AdamDef(true)); }},
    {"Nadam", "nadam", &Make<NadamDef>},
    {"Adamax", "adamax", &Make<AdamaxDef>},
    {"RMSprop", "rmsprop", &Make<RmspropDef>},
    {"Adagrad", "adagrad", &Make<AdagradDef>},
    {"Adadelta", "adadelta", &Make<AdadeltaDef>},
    {"Lion", "lion", &Make<LionDef>},
};

template <class Options>
void Common(OptimizerDef& d, const Options& o) {
  d.learning_rate = o.learning_rate;
  if (o.weight_decay) d.common.weight_decay = o.weight_decay;
  d.common.clipnorm = o.clipnorm, d.common.clipvalue = o.clipvalue, d.common.global_clipnorm = o.global_clipnorm;
  d.common.use_ema = o.use_ema, d.common.ema_momentum = o.ema_momentum;
  d.common.ema_overwrite_frequency = o.ema_overwrite_frequency;
  d.common.loss_scale_factor = o.loss_scale_factor;
  d.common.gradient_accumulation_steps = o.gradient_accumulation_steps;
  d.name = o.name;
}

Optimizer MakeAdam(const AdamOptions& o, bool decoupled) {
  auto d = std::make_shared<AdamDef>(decoupled);
  Common(*d, o);
  d->beta_1 = o.beta_1, d->beta_2 = o.beta_2, d->epsilon = o.epsilon, d->amsgrad = o.amsgrad;
  return Optimizer(d);
}

template <class Def>
Optimizer MakeBeta(const BetaOptions& o) {
  auto d = std::make_shared<Def>();
  Common(*d, o);
  d->beta_1 = o.beta_1, d->beta_2 = o.beta_2, d->epsilon = o.epsilon;
  return Optimizer(d);
}

}  // namespace

std::span<const OptimizerClass> AllOptimizers() { return kAll; }

Optimizer SGD(const SGDOptions& o) {
  auto d = std::make_shared<SgdDef>();
  Common(*d, o);
  d->momentum = o.momentum, d->nesterov = o.nesterov;
  return Optimizer(d);
}
Optimizer Adam(const AdamOptions& o) { return MakeAdam(o, false); }
Optimizer AdamW(const AdamOptions& o) { return MakeAdam(o, true); }
Optimizer Nadam(const BetaOptions& o) { return MakeBeta<NadamDef>(o); }
Optimizer Adamax(const BetaOptions& o) { return MakeBeta<AdamaxDef>(o); }
Optimizer RMSprop(const RMSpropOptions& o) {
  auto d = std::make_shared<RmspropDef>();
  Common(*d, o);
  d->rho = o.rho, d->momentum = o.momentum, d->epsilon = o.epsilon, d->centered = o.centered;
  return Optimizer(d);
}
Optimizer Adagrad(const AdagradOptions& o) {
  auto d = std::make_shared<AdagradDef>();
  Common(*d, o);
  d->initial = o.initial_accumulator_value, d->epsilon = o.epsilon;
  return Optimizer(d);
}
Optimizer Adadelta(const AdadeltaOptions& o) {
  auto d = std::make_shared<AdadeltaDef>();
  Common(*d, o);
  d->rho = o.rho, d->epsilon = o.epsilon;
  return Optimizer(d);
}
Optimizer Lion(const LionOptions& o) {
  auto d = std::make_shared<LionDef>();
  Common(*d, o);
  d->beta_1 = o.beta_1, d->beta_2 = o.beta_2;
  return Optimizer(d);
}

}  // namespace ingot
