// SPDX-License-Identifier: MIT
//
// The optimizer's pass over memory, and the clipping of gradients before it.
//
// Threads: tiles by shape alone; norms are summed in double precision in the order of the tiles.
#include <algorithm>
#include <cmath>

#include "ingot/kernels/cpu/cpu.h"
#include "ingot/kernels/cpu/scalar.h"
#include "ingot/kernels/cpu/tiles.h"
#include "ingot/kernels/updates.h"

namespace ingot::cpu {
namespace {

template <auto Step, int kSlots>
void Pass(const Call& call) {
  const auto& attrs = call.as<UpdateAttrs>();
  float* w = call.in[0].f();
  const float* g = call.in[1].f();
  float* slots[kSlots + 1] = {};
  for (int s = 0; s < kSlots; ++s) slots[s] = call.in[static_cast<size_t>(2 + s)].f();
  const float* p = attrs.p;
  float h[8];
  std::copy_n(call.run->hyper, 8, h);
  const float keep = attrs.decay ? 1 - h[1] : 1;
  ForTiles(call, call.in[0].count(), 1, [&](int64_t, int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      Scalar s[kSlots + 1], weight(attrs.decay ? w[i] * keep : w[i]);
      for (int k = 0; k < kSlots; ++k) s[k] = Scalar(slots[k][i]);
      Step(weight, Scalar(g[i]), s, p, h);
      for (int k = 0; k < kSlots; ++k) slots[k][i] = s[k].v;
      w[i] = weight.v;
    }
  });
}

constexpr KernelFn kPasses[] = {
#define X(name, slots) &Pass<&updates::name<Scalar>, slots>,
    INGOT_UPDATES(X)
#undef X
};

double SquaresOf(const Call& call, const Operand& g) {
  const float* p = g.f();
  return SumTiles<1>(call, g.count(), [p](int64_t first, int64_t last) {
    double sum = 0;
    for (int64_t i = first; i < last; ++i) sum += static_cast<double>(p[i]) * static_cast<double>(p[i]);
    return std::array<double, 1>{sum};
  })[0];
}

void Scale(const Call& call, const Operand& g, float by) {
  float* p = g.f();
  ForTiles(call, g.count(), 1, [&](int64_t, int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) p[i] *= by;
  });
}

}  // namespace

void Update(const Call& call) { kPasses[call.as<UpdateAttrs>().formula](call); }

void ClipByValue(const Call& call) {
  const float limit = call.as<ClipAttrs>().limit;
  float* g = call.in[0].f();
  ForTiles(call, call.in[0].count(), 1, [&](int64_t, int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) g[i] = g[i] > limit ? limit : g[i] < -limit ? -limit : g[i];
  });
}

void ClipByNorm(const Call& call) {
  const double limit = static_cast<double>(call.as<ClipAttrs>().limit), norm = std::sqrt(SquaresOf(call, call.in[0]));
  if (norm > limit) Scale(call, call.in[0], static_cast<float>(limit / norm));
}
size_t ClipByNormWorkspace(const Call& call) { return SumWorkspace<1>(call.in[0].count()); }

void ClipByGlobalNorm(const Call& call) {
  double squares = 0;
  for (const Operand& g : call.in) squares += SquaresOf(call, g);
  const double limit = static_cast<double>(call.as<ClipAttrs>().limit), norm = std::sqrt(squares);
  if (!(norm > limit) && norm == norm) return;
  for (const Operand& g : call.in) Scale(call, g, static_cast<float>(limit / norm));
}
size_t ClipByGlobalNormWorkspace(const Call& call) {
  size_t bytes = 0;
  for (const Operand& g : call.in) bytes = std::max(bytes, SumWorkspace<1>(g.count()));
  return bytes;
}

}  // namespace ingot::cpu
