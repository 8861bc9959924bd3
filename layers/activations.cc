// SPDX-License-Identifier: MIT
#include "ingot/layers/activations.h"

#include <algorithm>

#include "ingot/core/error.h"

namespace ingot {
namespace {

// Activations that are one formula, with the parameters that Keras gives it by default.
struct Simple { const char* name; Formula formula; float p[3]; };
constexpr Simple kSimple[] = {
    {"relu", Formula::kRelu, {0, -1, 0}},
    {"relu6", Formula::kRelu, {0, 6, 0}},
    {"leaky_relu", Formula::kLeakyRelu, {0.2f, 0, 0}},
    {"elu", Formula::kElu, {1, 0, 0}},
    {"celu", Formula::kCelu, {1, 0, 0}},
    {"selu", Formula::kSelu, {}},
    {"softplus", Formula::kSoftplus, {}},
    {"softsign", Formula::kSoftsign, {}},
    {"sigmoid", Formula::kSigmoid, {}},
    {"hard_sigmoid", Formula::kHardSigmoid, {}},
    {"silu", Formula::kSilu, {}},
    {"swish", Formula::kSilu, {}},
    {"hard_silu", Formula::kHardSilu, {}},
    {"hard_swish", Formula::kHardSilu, {}},
    {"gelu", Formula::kGelu, {}},
    {"tanh", Formula::kTanh, {}},
    {"tanh_shrink", Formula::kTanhShrink, {}},
    {"hard_tanh", Formula::kHardTanh, {}},
    {"hard_shrink", Formula::kHardShrink, {0.5f, 0, 0}},
    {"soft_shrink", Formula::kSoftShrink, {0.5f, 0, 0}},
    {"squareplus", Formula::kSquareplus, {4, 0, 0}},
    {"exponential", Formula::kExp, {}},
    {"log_sigmoid", Formula::kLogSigmoid, {}},
    {"sparse_plus", Formula::kSparsePlus, {}},
    {"sparse_sigmoid", Formula::kSparseSigmoid, {}},
    {"mish", Formula::kMish, {}},
};

constexpr const char* kComposed[] = {"linear", "softmax", "log_softmax", "sparsemax", "glu"};

const Simple* FindSimple(const std::string& name) {
  for (const Simple& s : kSimple)
    if (name == s.name) return &s;
  return nullptr;
}

// The projection of each row onto the simplex: p = max(x - tau, 0), with tau such that p sums to 1. Over the
// largest k entries tau would be (their sum - 1) / k; the right k is the last for which its smallest entry stays
// above that. Found without sorting: k entries are dropped one round at a time until none is below tau.
void SparsemaxRows(const Call& call, const void*) {
  const Operand &x = call.in[0], &y = call.out[0];
  const int64_t n = x.shape.back();
  for (int64_t row = 0; row < x.count() / std::max<int64_t>(1, n); ++row) {
    const float* in = x.f() + row * n;
    float* out = y.f() + row * n;
    double tau = -1e30;
    for (int64_t last = n + 1, kept = n; kept != last;) {
      last = kept;
      double sum = 0;
      kept = 0;
      for (int64_t i = 0; i < n; ++i)
        if (static_cast<double>(in[i]) > tau) sum += static_cast<double>(in[i]), ++kept;
      if (kept == 0) break;  // NaN everywhere
      tau = (sum - 1) / static_cast<double>(kept);
    }
    for (int64_t i = 0; i < n; ++i) {
      const double v = static_cast<double>(in[i]) - tau;
      out[i] = static_cast<float>(v > 0 || v != v ? v : 0);
    }
  }
}

// On the support of y the map takes the mean away: dx = dy - mean(dy over the support), 0 elsewhere.
void SparsemaxGradRows(const Call& call, const void*) {
  const Operand &y = call.in[0], &dy = call.in[1], &dx = call.out[0];
  const int64_t n = y.shape.back();
  for (int64_t row = 0; row < y.count() / std::max<int64_t>(1, n); ++row) {
    const int64_t at = row * n;
    double sum = 0;
    int64_t kept = 0;
    for (int64_t i = at; i < at + n; ++i)
      if (y.f()[i] > 0) sum += static_cast<double>(dy.f()[i]), ++kept;
    const float mean = kept ? static_cast<float>(sum / static_cast<double>(kept)) : 0;
    for (int64_t i = at; i < at + n; ++i) dx.f()[i] = y.f()[i] > 0 ? dy.f()[i] - mean : 0;
  }
}

}  // namespace

Value Apply(Graph& g, Formula formula, Value x, float p0, float p1, float p2) {
  const UnaryAttrs attrs{static_cast<uint16_t>(formula), {p0, p1, p2}};
  return g.Unary(x, attrs, GradFromOutput(formula, attrs.p));
}

Value Sparsemax(Graph& g, Value x) {
  const Value in[] = {x};
  const Value y = g.Custom(in, {g.shape(x)}, {SparsemaxRows, nullptr});
  g.OnBackward(y, in, [=](Graph& b, Value dy) {
    const Value grad_in[] = {y, dy};
    b.AddGrad(x, b.Custom(grad_in, {b.shape(x)}, {SparsemaxGradRows, nullptr}));
  });
  return y;
}

Value Glu(Graph& g, Value x) {
  const Shape shape = g.shape(x);
  if (shape.back() % 2) Fail("activation glu: the last axis must be even, the shape is ", shape);
  const Shape half = shape.with(-1, shape.back() / 2);
  std::vector<int64_t> from(static_cast<size_t>(shape.rank()), 0);
  const Value a = g.Crop(x, from, half);
  from.back() = shape.back() / 2;
  return g.Multiply(a, Apply(g, Formula::kSigmoid, g.Crop(x, from, half)));
}

void Activation::Check(const std::string& where) const {
  if (custom_ || name_.empty() || FindSimple(name_)) return;
  if (std::find(std::begin(kComposed), std::end(kComposed), name_) != std::end(kComposed)) return;
  Fail(where, ": activation '", name_, "' is not known; use one of Keras's, or add it to custom objects");
}

Value Activation::operator()(Graph& g, Value x) const {
  if (custom_) return custom_(g, x);
  if (name_.empty() || name_ == "linear") return x;
  if (const Simple* s = FindSimple(name_)) return Apply(g, s->formula, x, s->p[0], s->p[1], s->p[2]);
  const int last = g.shape(x).rank() - 1;
  if (name_ == "softmax") return g.Softmax(x, last);
  if (name_ == "log_softmax") return g.LogSoftmax(x, last);
  if (name_ == "sparsemax") return Sparsemax(g, x);
  if (name_ == "glu") return Glu(g, x);
  Check("model");
  return x;
}

std::vector<std::string> ActivationNames() {
  std::vector<std::string> names(std::begin(kComposed), std::end(kComposed));
  for (const Simple& s : kSimple) names.emplace_back(s.name);
  return names;
}

void Describe(Fields& f, const char* key, Activation& activation) {
  std::string name = activation.name();
  f.object(
      key, name, "keras.activations", [](Fields&) {}, true);
  if (!f.reading()) return;
  const Activation* custom = f.custom() ? f.custom()->find<Activation>(name) : nullptr;
  activation = custom ? *custom : Activation(name.empty() ? "linear" : name);
  activation.Check(f.where());
}

}  // namespace ingot
