// SPDX-License-Identifier: MIT
//
// Normalization of rows (layer and group normalization): y = (x - mean) rstd, and
// dx = rstd (dy - mean(dy) - y mean(dy y)). The mean is taken first and corrected by the sum of what differs from it,
// so that neither long rows nor a large mean take digits from the variance. Compiled once for each SIMD target.
//
// Threads: each row has one owner; tiles by shape alone.
#include <algorithm>
#include <cmath>

#include "ingot/kernels/cpu/cpu.h"
#include "ingot/kernels/cpu/targets.h"  // before Highway
#include "ingot/kernels/cpu/tiles.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ingot/kernels/cpu/normalize.cc"
#include "hwy/foreach_target.h"
#include "ingot/kernels/cpu/vector-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ingot::cpu {
namespace HWY_NAMESPACE {
namespace {

void NormalizeRow(const float* x, float* y, float* rstd, int64_t n, float epsilon) {
  const float count = static_cast<float>(n);
  const float rough = Sum(
                          n, [](Num v) HWY_ATTR { return v; }, x) /
                      count;
  const Num about(rough);
  const float off = Sum(
                        n, [&](Num v) HWY_ATTR { return v - about; }, x) /
                    count;
  const Num mean(rough + off);
  const float rest = Sum(
                         n, [&](Num v) HWY_ATTR { return v - mean; }, x) /
                     count;
  const float squares = Sum(
                            n, [&](Num v) HWY_ATTR { return (v - mean) * (v - mean); }, x) /
                        count;
  *rstd = 1 / std::sqrt(std::max(0.0f, squares - rest * rest) + epsilon);
  const Num scale(*rstd);
  Map(
      n, y, [&](Num v) HWY_ATTR { return (v - mean) * scale; }, x);
}

void RunNormalize(const Call& call) {
  const float epsilon = call.as<NormAttrs>().epsilon, *x = call.in[0].f();
  const int64_t rows = call.in[0].shape[0], n = rows > 0 ? call.in[0].count() / rows : 0;
  float *y = call.out[0].f(), *rstd = call.out[1].f();
  if (n == 0) return;
  ForTiles(call, rows, n, [&](int64_t, int64_t first, int64_t last) HWY_ATTR {
    for (int64_t row = first; row < last; ++row) NormalizeRow(x + row * n, y + row * n, rstd + row, n, epsilon);
  });
}

void RunNormalizeGrad(const Call& call) {
  const float *y = call.in[0].f(), *rstd = call.in[1].f(), *dy = call.in[2].f();
  const int64_t rows = call.in[0].shape[0], n = rows > 0 ? call.in[0].count() / rows : 0;
  float* dx = call.out[0].f();
  if (n == 0) return;
  ForTiles(call, rows, n, [&](int64_t, int64_t first, int64_t last) HWY_ATTR {
    for (int64_t row = first; row < last; ++row) {
      const int64_t at = row * n;
      const float count = static_cast<float>(n);
      const Num mean(Sum(
                         n, [](Num d) HWY_ATTR { return d; }, dy + at) /
                     count);
      const Num along(Sum(
                          n, [](Num z, Num d) HWY_ATTR { return z * d; }, y + at, dy + at) /
                      count);
      const Num scale(rstd[row]);
      Map(
          n, dx + at, [&](Num z, Num d) HWY_ATTR { return scale * (d - mean - z * along); }, y + at, dy + at);
    }
  });
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace ingot::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ingot::cpu {
HWY_EXPORT(RunNormalize);
HWY_EXPORT(RunNormalizeGrad);

void Normalize(const Call& call) {
  ChosenTargets();
  HWY_DYNAMIC_DISPATCH(RunNormalize)(call);
}
void NormalizeGrad(const Call& call) {
  ChosenTargets();
  HWY_DYNAMIC_DISPATCH(RunNormalizeGrad)(call);
}

}  // namespace ingot::cpu
#endif  // HWY_ONCE
