// SPDX-License-Identifier: MIT
//
// Sums, means and maxima over any axes; softmax; normalization of rows and of batches. Sums run in double precision.
//
// Threads: as columns.h and tiles.h; the bits do not depend on their number.
#include <algorithm>
#include <cmath>
#include <limits>

#include "ingot/kernels/cpu/columns.h"
#include "ingot/kernels/cpu/cpu.h"

namespace ingot::cpu {
namespace {

// The axes of a reduction, neighbours of one kind joined: each is kept or reduced.
struct Axes {
  int n = 0;
  int64_t extent[kMaxRank], stride[kMaxRank];
  bool reduced[kMaxRank];

  Axes(const Shape& shape, uint8_t bits) {
    for (int i = 0; i < shape.rank(); ++i) {
      const bool r = bits >> i & 1;
      if (n && reduced[n - 1] == r)
        extent[n - 1] *= shape[i];
      else
        extent[n] = shape[i], reduced[n++] = r;
    }
    int64_t step = 1;
    for (int i = n - 1; i >= 0; --i) stride[i] = step, step *= extent[i];
  }
  int64_t Count(bool kind) const {
    int64_t count = 1;
    for (int i = 0; i < n; ++i)
      if (reduced[i] == kind) count *= extent[i];
    return count;
  }
  // Where in x the index-th combination of the axes of that kind lies.
  int64_t Offset(int64_t index, bool kind) const {
    int64_t offset = 0;
    for (int i = n - 1; i >= 0; --i) {
      if (reduced[i] != kind) continue;
      offset += index % extent[i] * stride[i];
      index /= extent[i];
    }
    return offset;
  }
};

// f(place in y, place in x) for every element of x.
template <class F>
void ForOutputs(const Call& call, const Axes& axes, const F& f) {
  const int64_t kept = axes.Count(false), reduced = axes.Count(true);
  ForTiles(call, kept, reduced, [&](int64_t, int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) f(i, axes.Offset(i, false));
  });
}

// Rows along one axis: n values `stride` apart.
struct Row {
  int64_t at, n, stride;
};
template <class F>
void ForAxis(const Call& call, const F& f) {
  const Shape& shape = call.out[0].shape;
  const int axis = call.as<AxisAttrs>().axis;
  const int64_t n = shape[axis], stride = shape.from(axis + 1).count(), outer = shape.part(0, axis).count();
  ForTiles(call, outer * stride, n, [&](int64_t, int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) f(Row{i / stride * stride * n + i % stride, n, stride});
  });
}

float RowMax(const float* x, const Row& r) {
  float largest = -std::numeric_limits<float>::infinity();
  for (int64_t i = 0; i < r.n; ++i) largest = std::max(largest, x[r.at + i * r.stride]);
  return largest;
}

}  // namespace

void Reduce(const Call& call) {
  const auto& attrs = call.as<ReduceAttrs>();
  const float* x = call.in[0].f();
  float* y = call.out[0].f();
  const Axes axes(call.in[0].shape, attrs.axes);
  const int64_t reduced = axes.Count(true);
  const double scale = attrs.op == ReduceOp::kMean ? 1 / static_cast<double>(reduced) : 1;
  if (attrs.op != ReduceOp::kMax && axes.n == 2 && axes.reduced[0]) {
    const int64_t columns = axes.extent[1];
    const double* sums = SumColumns(call, axes.extent[0], columns, 1, [&](int64_t row, double* own) {
      for (int64_t c = 0; c < columns; ++c) own[c] += static_cast<double>(x[row * columns + c]);
    });
    for (int64_t c = 0; c < columns; ++c) y[c] = static_cast<float>(sums[c] * scale);
    return;
  }
  ForOutputs(call, axes, [&](int64_t i, int64_t at) {
    if (attrs.op == ReduceOp::kMax) {
      float largest = -std::numeric_limits<float>::infinity();
      for (int64_t k = 0; k < reduced; ++k) {
        const float v = x[at + axes.Offset(k, true)];
        if (v > largest || v != v) largest = v;
        if (v != v) break;
      }
      y[i] = largest;
      return;
    }
    double sum = 0;
    if (axes.n && axes.reduced[axes.n - 1]) {  // runs that lie side by side
      const int64_t run = axes.extent[axes.n - 1];
      for (int64_t k = 0; k < reduced; k += run) {
        const float* from = x + at + axes.Offset(k, true);
        for (int64_t q = 0; q < run; ++q) sum += static_cast<double>(from[q]);
      }
    } else {
      for (int64_t k = 0; k < reduced; ++k) sum += static_cast<double>(x[at + axes.Offset(k, true)]);
    }
    y[i] = static_cast<float>(sum * scale);
  });
}
size_t ReduceWorkspace(const Call& call) {
  const Axes axes(call.in[0].shape, call.as<ReduceAttrs>().axes);
  return axes.n == 2 && axes.reduced[0] ? ColumnWorkspace(axes.extent[0], axes.extent[1]) : 0;
}

void ReduceMaxGrad(const Call& call) {
  const float *x = call.in[0].f(), *y = call.in[1].f(), *dy = call.in[2].f();
  float* dx = call.out[0].f();
  const Axes axes(call.in[0].shape, call.as<ReduceAttrs>().axes);
  const int64_t reduced = axes.Count(true);
  ForOutputs(call, axes, [&](int64_t i, int64_t at) {
    int64_t equal = 0;
    for (int64_t k = 0; k < reduced; ++k) equal += x[at + axes.Offset(k, true)] == y[i];
    const float share = equal ? dy[i] / static_cast<float>(equal) : 0;
    for (int64_t k = 0; k < reduced; ++k) {
      const int64_t place = at + axes.Offset(k, true);
      dx[place] = x[place] == y[i] ? share : 0;
    }
  });
}

void ColumnSum(const Call& call) {
  const float* x = call.in[0].f();
  const int64_t rows = call.in[0].shape[0], columns = call.in[0].shape[1];
  const double* sums = SumColumns(call, rows, columns, 1, [&](int64_t row, double* own) {
    for (int64_t c = 0; c < columns; ++c) own[c] += static_cast<double>(x[row * columns + c]);
  });
  for (int64_t c = 0; c < columns; ++c) call.out[0].f()[c] = static_cast<float>(sums[c]);
}
size_t ColumnSumWorkspace(const Call& call) { return ColumnWorkspace(call.in[0].shape[0], call.in[0].shape[1]); }

void Softmax(const Call& call) {
  const float* x = call.in[0].f();
  float* y = call.out[0].f();
  ForAxis(call, [&](const Row& r) {
    const float largest = RowMax(x, r);
    double sum = 0;
    for (int64_t i = 0; i < r.n; ++i) {
      const float e = std::exp(x[r.at + i * r.stride] - largest);
      y[r.at + i * r.stride] = e;
      sum += static_cast<double>(e);
    }
    const float scale = static_cast<float>(1 / sum);
    for (int64_t i = 0; i < r.n; ++i) y[r.at + i * r.stride] *= scale;
  });
}

void SoftmaxGrad(const Call& call) {  // dx = y (dy - sum of y dy)
  const float *y = call.in[0].f(), *dy = call.in[1].f();
  float* dx = call.out[0].f();
  ForAxis(call, [&](const Row& r) {
    double dot = 0;
    for (int64_t i = 0; i < r.n; ++i)
      dot += static_cast<double>(y[r.at + i * r.stride]) * static_cast<double>(dy[r.at + i * r.stride]);
    const float mean = static_cast<float>(dot);
    for (int64_t i = 0; i < r.n; ++i)
      dx[r.at + i * r.stride] = y[r.at + i * r.stride] * (dy[r.at + i * r.stride] - mean);
  });
}

void LogSoftmax(const Call& call) {
  const float* x = call.in[0].f();
  float* y = call.out[0].f();
  ForAxis(call, [&](const Row& r) {
    const float largest = RowMax(x, r);
    double sum = 0;
    for (int64_t i = 0; i < r.n; ++i) sum += std::exp(static_cast<double>(x[r.at + i * r.stride] - largest));
    const float log_sum = static_cast<float>(std::log(sum));
    for (int64_t i = 0; i < r.n; ++i) y[r.at + i * r.stride] = x[r.at + i * r.stride] - largest - log_sum;
  });
}

void LogSoftmaxGrad(const Call& call) {  // dx = dy - e^y (sum of dy)
  const float *y = call.in[0].f(), *dy = call.in[1].f();
  float* dx = call.out[0].f();
  ForAxis(call, [&](const Row& r) {
    double sum = 0;
    for (int64_t i = 0; i < r.n; ++i) sum += static_cast<double>(dy[r.at + i * r.stride]);
    for (int64_t i = 0; i < r.n; ++i)
      dx[r.at + i * r.stride] = dy[r.at + i * r.stride] - std::exp(y[r.at + i * r.stride]) * static_cast<float>(sum);
  });
}

// Mean and variance of each channel in two passes, so that nothing cancels; then y, and the moving ones.
void BatchNorm(const Call& call) {
  const auto& attrs = call.as<NormAttrs>();
  const Operand& x = call.in[0];
  const int64_t columns = x.shape.back(), rows = columns ? x.count() / columns : 0;
  const float *px = x.f(), *gamma = call.in[1].f(), *beta = call.in[2].f();
  float *y = call.out[0].f(), *mean = call.out[1].f(), *rstd = call.out[2].f();
  const double n = static_cast<double>(std::max<int64_t>(1, rows));
  const double* sums = SumColumns(call, rows, columns, 1, [&](int64_t row, double* own) {
    for (int64_t c = 0; c < columns; ++c) own[c] += static_cast<double>(px[row * columns + c]);
  });
  for (int64_t c = 0; c < columns; ++c) mean[c] = static_cast<float>(sums[c] / n);
  sums = SumColumns(call, rows, columns, 1, [&](int64_t row, double* own) {
    for (int64_t c = 0; c < columns; ++c) {
      const double d = static_cast<double>(px[row * columns + c]) - static_cast<double>(mean[c]);
      own[c] += d * d;
    }
  });
  for (int64_t c = 0; c < columns; ++c) {
    const float variance = static_cast<float>(sums[c] / n);
    rstd[c] = 1 / std::sqrt(variance + attrs.epsilon);
    float *moving_mean = call.in[3].f() + c, *moving_variance = call.in[4].f() + c;
    *moving_mean = *moving_mean * attrs.momentum + mean[c] * (1 - attrs.momentum);
    *moving_variance = *moving_variance * attrs.momentum + variance * (1 - attrs.momentum);
  }
  ForTiles(call, rows, columns, [&](int64_t, int64_t first, int64_t last) {
    for (int64_t row = first; row < last; ++row)
      for (int64_t c = 0; c < columns; ++c)
        y[row * columns + c] = (px[row * columns + c] - mean[c]) * (rstd[c] * gamma[c]) + beta[c];
  });
}
size_t BatchNormWorkspace(const Call& call) {
  const int64_t columns = call.in[0].shape.back();
  return columns ? ColumnWorkspace(call.in[0].count() / columns, columns) : 0;
}

// With z = (x - mean) rstd: dx = gamma rstd (dy - mean(dy) - z mean(dy z)), dgamma = sum(dy z), dbeta = sum(dy).
void BatchNormGrad(const Call& call) {
  const Operand& x = call.in[0];
  const int64_t columns = x.shape.back(), rows = columns ? x.count() / columns : 0;
  const float *px = x.f(), *gamma = call.in[1].f(), *mean = call.in[2].f(), *rstd = call.in[3].f(),
              *dy = call.in[4].f();
  float *dx = call.out[0].f(), *dgamma = call.out[1].f(), *dbeta = call.out[2].f();
  const double* sums = SumColumns(call, rows, columns, 2, [&](int64_t row, double* own) {
    for (int64_t c = 0; c < columns; ++c) {
      const int64_t i = row * columns + c;
      own[c] += static_cast<double>(dy[i]);
      own[columns + c] += static_cast<double>(dy[i]) * static_cast<double>((px[i] - mean[c]) * rstd[c]);
    }
  });
  const double n = static_cast<double>(std::max<int64_t>(1, rows));
  for (int64_t c = 0; c < columns; ++c)
    dbeta[c] = static_cast<float>(sums[c]), dgamma[c] = static_cast<float>(sums[columns + c]);
  ForTiles(call, rows, columns, [&](int64_t, int64_t first, int64_t last) {
    for (int64_t row = first; row < last; ++row) {
      for (int64_t c = 0; c < columns; ++c) {
        const int64_t i = row * columns + c;
        const float z = (px[i] - mean[c]) * rstd[c];
        dx[i] = gamma[c] * rstd[c] *
                (dy[i] - static_cast<float>(sums[c] / n) - z * static_cast<float>(sums[columns + c] / n));
      }
    }
  });
}
size_t BatchNormGradWorkspace(const Call& call) {
  const int64_t columns = call.in[0].shape.back();
  return columns ? ColumnWorkspace(call.in[0].count() / columns, columns, 2) : 0;
}

void BatchNormInfer(const Call& call) {
  const float epsilon = call.as<NormAttrs>().epsilon;
  const Operand& x = call.in[0];
  const int64_t columns = x.shape.back(), rows = columns ? x.count() / columns : 0;
  const float *px = x.f(), *gamma = call.in[1].f(), *beta = call.in[2].f(), *mean = call.in[3].f(),
              *variance = call.in[4].f();
  float* y = call.out[0].f();
  ForTiles(call, rows, columns, [&](int64_t, int64_t first, int64_t last) {
    for (int64_t row = first; row < last; ++row)
      for (int64_t c = 0; c < columns; ++c)
        y[row * columns + c] =
            (px[row * columns + c] - mean[c]) * (gamma[c] / std::sqrt(variance[c] + epsilon)) + beta[c];
  });
}

void Normalize(const Call& call) {
  const float epsilon = call.as<NormAttrs>().epsilon;
  const int64_t rows = call.in[0].shape[0], n = rows ? call.in[0].count() / rows : 0;
  const float* px = call.in[0].f();
  float *y = call.out[0].f(), *rstd = call.out[1].f();
  ForTiles(call, rows, n, [&](int64_t, int64_t first, int64_t last) {
    for (int64_t row = first; row < last; ++row) {
      const float* x = px + row * n;
      double sum = 0, squares = 0;
      for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(x[i]);
      const double mean = sum / static_cast<double>(n);
      for (int64_t i = 0; i < n; ++i)
        squares += (static_cast<double>(x[i]) - mean) * (static_cast<double>(x[i]) - mean);
      rstd[row] = 1 / std::sqrt(static_cast<float>(squares / static_cast<double>(n)) + epsilon);
      for (int64_t i = 0; i < n; ++i) y[row * n + i] = (x[i] - static_cast<float>(mean)) * rstd[row];
    }
  });
}

void NormalizeGrad(const Call& call) {  // dx = rstd (dy - mean(dy) - y mean(dy y))
  const int64_t rows = call.in[0].shape[0], n = rows ? call.in[0].count() / rows : 0;
  const float *py = call.in[0].f(), *rstd = call.in[1].f(), *pdy = call.in[2].f();
  float* dx = call.out[0].f();
  ForTiles(call, rows, n, [&](int64_t, int64_t first, int64_t last) {
    for (int64_t row = first; row < last; ++row) {
      const float *y = py + row * n, *dy = pdy + row * n;
      double sum = 0, dot = 0;
      for (int64_t i = 0; i < n; ++i)
        sum += static_cast<double>(dy[i]), dot += static_cast<double>(dy[i]) * static_cast<double>(y[i]);
      const float mean = static_cast<float>(sum / static_cast<double>(n)),
                  along = static_cast<float>(dot / static_cast<double>(n));
      for (int64_t i = 0; i < n; ++i) dx[row * n + i] = rstd[row] * (dy[i] - mean - y[i] * along);
    }
  });
}

}  // namespace ingot::cpu
