// SPDX-License-Identifier: MIT
#include "ingot/layers/activations.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "ingot/core/error.h"

namespace ingot {
namespace {

// Activations that are one formula, with the parameters that Keras gives it by default.
struct Simple {
  const char* name;
  Formula formula;
  float p[3];
};
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

// Keras's sparsemax: max(x - tau, 0). With the row sorted downwards and c_i the sum of the first i, the support is
// where x_i > (c_i - 1) / i, k its size, and tau = (sum of c_i over the support - 1) / k. (The projection onto the
// simplex, after which it is named, would have c_k in place of that sum. Keras 3 has the sum; so have we, to give its
// numbers.) Ranks are counted, not sorted: nothing is allocated, and rows are short.
struct Sparse {
  const float* x;
  int64_t n;
  bool Before(int64_t a, int64_t b) const { return x[a] > x[b] || (x[a] == x[b] && a < b); }
  // The rank of entry i, from 1, and the sum of the entries up to it.
  std::pair<int64_t, double> Rank(int64_t i) const {
    int64_t rank = 1;
    double sum = static_cast<double>(x[i]);
    for (int64_t j = 0; j < n; ++j)
      if (Before(j, i)) ++rank, sum += static_cast<double>(x[j]);
    return {rank, sum};
  }
  bool Supports(int64_t i, int64_t* rank, double* sum) const {
    std::tie(*rank, *sum) = Rank(i);
    return static_cast<double>(x[i]) - (*sum - 1) / static_cast<double>(*rank) > 0;
  }
  // tau and k
  std::pair<double, double> Tau() const {
    double total = 0, sum, k = 0;
    for (int64_t i = 0, rank; i < n; ++i)
      if (Supports(i, &rank, &sum)) total += sum, ++k;
    return {(total - 1) / k, k};
  }
};

void SparsemaxRows(const Call& call, const void*) {
  const Operand &x = call.in[0], &y = call.out[0];
  const int64_t n = x.shape.back();
  for (int64_t at = 0; at < x.count(); at += n) {
    const float tau = static_cast<float>(Sparse{x.f() + at, n}.Tau().first);
    for (int64_t i = at; i < at + n; ++i) y.f()[i] = x.f()[i] - tau > 0 || tau != tau ? x.f()[i] - tau : 0;
  }
}

// Entry j of the support is in the sums c_i of all that follow: dtau / dx_j = (k - rank_j + 1) / k.
void SparsemaxGradRows(const Call& call, const void*) {
  const Operand &x = call.in[0], &y = call.in[1], &dy = call.in[2], &dx = call.out[0];
  const int64_t n = x.shape.back();
  for (int64_t at = 0; at < x.count(); at += n) {
    const Sparse row{x.f() + at, n};
    const double k = row.Tau().second;
    double passed = 0, sum;
    for (int64_t i = at; i < at + n; ++i)
      if (y.f()[i] > 0) passed += static_cast<double>(dy.f()[i]);
    for (int64_t i = 0, rank; i < n; ++i) {
      const double direct = y.f()[at + i] > 0 ? static_cast<double>(dy.f()[at + i]) : 0;
      const double through = row.Supports(i, &rank, &sum) ? passed * (k - static_cast<double>(rank) + 1) / k : 0;
      dx.f()[at + i] = static_cast<float>(direct - through);
    }
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
    const Value grad_in[] = {x, y, dy};
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
  std::string known;
  for (const std::string& name : ActivationNames()) known += (known.empty() ? "" : ", ") + name;
  Fail(where, ": activation '", name_, "' is not known; there are ", known, ", and what CustomObjects holds");
}

Shape Activation::Out(const Shape& in, const std::string& where) const {
  Check(where);
  if (custom_ || name_ != "glu") return in;
  if (in.rank() < 2 || in.back() % 2 == 1)
    Fail(where, ": activation glu halves the last axis, which must be even; the shape is ", in);
  return in.back() == kNone ? in : in.with(-1, in.back() / 2);
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
