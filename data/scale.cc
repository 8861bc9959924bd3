// SPDX-License-Identifier: MIT
//
// Statistics of features, scaling, labels. Loops run over long rows: few features are repeated until they fill one.
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "ingot/core/error.h"
#include "ingot/data/preprocess.h"
#include "ingot/data/stage.h"
#include "ingot/kernels/cpu/rescale.h"

namespace ingot {
namespace {

constexpr size_t kLanes = cpu::kRescalePeriod;

// A multiple of `features` that is long enough for vectors.
size_t Width(size_t features) { return features * ((kLanes + features - 1) / features); }

// f(typed pointer) for the elements of an array.
template <class F>
void Typed(const Array& a, const F& f) {
  if (a.dtype() == DType::kFloat32) return f(static_cast<const float*>(a.data()));
  if (a.dtype() == DType::kInt32) return f(static_cast<const int32_t*>(a.data()));
  f(static_cast<const uint8_t*>(a.data()));
}

Array& InputOf(Sample& s, int input, const char* what) {
  if (input < 0 || static_cast<size_t>(input) >= s.x.size())
    Fail(what, ": input ", input, " was asked for, the sample has ", s.x.size());
  return s.x[static_cast<size_t>(input)];
}

// For as many floats as x has: where it lies, if nobody else looks there.
Array Room(Sample& s, const Array& x) {
  return x.dtype() == DType::kFloat32 && s.alone_with(x) ? x : s.make(x.shape());
}

// Of rows: what a model takes (n) for is (n, 1).
size_t Features(const Shape& rows) { return rows.rank() > 1 ? static_cast<size_t>(rows.back()) : 1; }

}  // namespace

// ---- Statistics.

void FeatureStats::Add(const Array& rows) {
  if (rows.size() == 0) return;
  const size_t features = Features(rows.shape());
  if (mean_.empty()) {
    mean_.assign(features, 0);
    m2_.assign(features, 0);
    least_.assign(features, std::numeric_limits<float>::infinity());
    most_.assign(features, -std::numeric_limits<float>::infinity());
  }
  if (features != mean_.size()) Fail("statistics: a row has ", features, " features, those before it ", mean_.size());
  const size_t width = Width(features), n = static_cast<size_t>(rows.size());
  // Blocks that stay in cache, of whole rows.
  const size_t block = width * std::max<size_t>(1, 8192 / width);
  std::vector<double> sum(width), mean(width), squares(width);
  std::vector<float> least(width), most(width);
  Typed(rows, [&](const auto* all) {
    for (size_t begin = 0; begin < n; begin += block) {
      const auto* x = all + begin;
      const size_t size = std::min(block, n - begin), whole = size / width * width;
      std::fill(sum.begin(), sum.end(), 0.0);
      std::fill(squares.begin(), squares.end(), 0.0);
      std::fill(least.begin(), least.end(), std::numeric_limits<float>::infinity());
      std::fill(most.begin(), most.end(), -std::numeric_limits<float>::infinity());
      const auto each = [&](const auto& f) {
        for (size_t i = 0; i < whole; i += width)
          for (size_t j = 0; j < width; ++j) f(j, x[i + j]);
        for (size_t j = 0; whole + j < size; ++j) f(j, x[whole + j]);
      };
      each([&](size_t j, auto v) {
        const auto f = static_cast<float>(v);
        sum[j] += static_cast<double>(f);
        least[j] = f < least[j] ? f : least[j];
        most[j] = f > most[j] ? f : most[j];
      });
      for (size_t j = features; j < width; ++j) sum[j % features] += sum[j];
      const auto count = static_cast<double>(size / features);
      for (size_t j = 0; j < width; ++j) mean[j] = j < features ? sum[j] / count : mean[j - features];
      each([&](size_t j, auto v) {
        const double d = static_cast<double>(static_cast<float>(v)) - mean[j];
        squares[j] += d * d;
      });
      for (size_t j = features; j < width; ++j) squares[j % features] += squares[j];
      const double before = static_cast<double>(count_), after = before + count;
      for (size_t j = 0; j < features; ++j) {
        const double delta = mean[j] - mean_[j];
        mean_[j] += delta * count / after;
        m2_[j] += squares[j] + delta * delta * before * count / after;
      }
      for (size_t j = 0; j < width; ++j) {
        least_[j % features] = std::min(least_[j % features], least[j]);
        most_[j % features] = std::max(most_[j % features], most[j]);
      }
      count_ += static_cast<int64_t>(size / features);
    }
  });
}

std::vector<double> FeatureStats::variance() const {
  std::vector<double> variance;
  for (const double m2 : m2_) variance.push_back(m2 / static_cast<double>(std::max<int64_t>(1, count_)));
  return variance;
}

FeatureStats StatsOf(const Dataset& data, int input) {
  FeatureStats stats;
  const auto add = [&](const Samples& samples) {
    if (input < 0 || static_cast<size_t>(input) >= samples.x.size())
      Fail("scaler: input ", input, " was asked for, the data has ", samples.x.size());
    stats.Add(samples.x[static_cast<size_t>(input)]);
  };
  if (!data.staged()) {
    add(data);
  } else {
    const StagePtr stage = data.stage();
    if (stage->size() == kForever) Fail("scaler: the data never ends; use take");
    const SequencePtr elements = (stage->batched() ? stage : Batched(stage, 256, false))->Open(0);
    for (Sample s; elements->Next(s);) add(s);
  }
  if (stats.count() == 0) Fail("scaler: there are no rows to learn from");
  for (size_t i = 0; i < stats.mean().size(); ++i)
    if (!std::isfinite(stats.mean()[i]))
      Fail("scaler: feature ", i, " holds a value that is not finite; mend or leave out its rows first");
  return stats;
}

// ---- Scaling.

Scaler::Scaler(std::vector<float> shift, std::vector<float> scale, int input, float low)
    : shift_(std::move(shift)), scale_(std::move(scale)), input_(input), low_(low) {
  if (shift_.empty() || shift_.size() != scale_.size())
    Fail("scaler: ", shift_.size(), " shifts and ", scale_.size(),
         " scales; one of each for each feature was expected");
  constexpr float kWide = 1e30f;  // beside the greatest float32, less than this is lost in rounding
  for (const float v : shift_) wide_ |= std::fabs(v) > kWide;
  const size_t width = Width(shift_.size());
  for (size_t i = 0; i < width; ++i) {
    tiled_shift_.push_back(shift_[i % shift_.size()]);
    tiled_scale_.push_back(scale_[i % scale_.size()]);
  }
}

void Scaler::Apply(const Array& from, bool batched, Array& to) const {
  const size_t features = shift_.size();
  // Alone, (features) is one row without its axis.
  const bool row = !batched && from.shape().rank() == 1 && static_cast<size_t>(from.shape()[0]) == features;
  if (features != 1 && !row && Features(from.shape()) != features)
    Fail("scaler: the shape ", from.shape(), " came, its last axis should hold ", features, " features");
  float* out = to.floats().data();
  if (wide_) {
    Typed(from, [&](const auto* x) {
      for (size_t i = 0, n = static_cast<size_t>(from.size()); i < n; ++i) {
        const size_t f = i % features;
        out[i] = static_cast<float>((static_cast<double>(x[i]) - static_cast<double>(shift_[f])) *
                                        static_cast<double>(scale_[f]) +
                                    static_cast<double>(low_));
      }
    });
    return;
  }
  const auto period = features == 1 ? 1 : static_cast<int64_t>(tiled_shift_.size());
  Typed(from, [&](const auto* x) {
    cpu::Rescale(x, from.size(), {tiled_shift_.data(), tiled_scale_.data(), period}, out);
  });
  for (int64_t i = 0; low_ != 0 && i < from.size(); ++i) out[i] += low_;
}

void Scaler::operator()(Sample& s) const {
  Array& x = InputOf(s, input_, "scaler");
  Array to = Room(s, x);
  Apply(x, s.batched(), to);
  x = std::move(to);
}

Array Scaler::transform(const Array& x) const {
  Array to(x.shape());
  Apply(x, false, to);
  return to;
}

namespace {

// A feature whose values differ by next to nothing cannot be stretched to a range.
float Factor(double factor, size_t feature) {
  if (factor > static_cast<double>(std::numeric_limits<float>::max()))
    Fail("scaler: feature ", feature, " varies too little: to scale it by ", factor,
         " is beyond float32; leave it out");
  return static_cast<float>(factor);
}

}  // namespace

Scaler StandardScaler::fit(const Dataset& data, int input) {
  const FeatureStats stats = StatsOf(data, input);
  const std::vector<double> variance = stats.variance();
  std::vector<float> shift, scale;
  for (size_t i = 0; i < variance.size(); ++i) {
    const bool varies = stats.most()[i] > stats.least()[i];
    shift.push_back(static_cast<float>(stats.mean()[i]));
    scale.push_back(varies ? Factor(1 / std::sqrt(variance[i]), i) : 1.0f);
  }
  return Scaler(std::move(shift), std::move(scale), input);
}

Scaler MinMaxScaler::fit(const Dataset& data, float low, float high, int input) {
  if (!(high > low)) Fail("scaler: the range from ", low, " to ", high, " is none");
  const FeatureStats stats = StatsOf(data, input);
  std::vector<float> shift, scale;
  for (size_t i = 0; i < stats.least().size(); ++i) {
    const double least = static_cast<double>(stats.least()[i]), most = static_cast<double>(stats.most()[i]);
    const double factor = (static_cast<double>(high) - static_cast<double>(low)) / (most > least ? most - least : 1);
    scale.push_back(Factor(factor, i));
    shift.push_back(stats.least()[i]);  // exactly, so that the least becomes low and nothing else
  }
  return Scaler(std::move(shift), std::move(scale), input, low);
}

std::function<void(Sample&)> rescale(float scale, float shift, int input) {
  // x * scale + shift, as Keras's Rescaling has it.
  return [scale, shift, input](Sample& s) {
    Array& x = InputOf(s, input, "rescale");
    Array to = Room(s, x);
    float* out = to.floats().data();
    Typed(x, [&](const auto* from) { cpu::Rescale(from, x.size(), {&shift, &scale, 1, true}, out); });
    x = std::move(to);
  };
}

// ---- Labels.

std::function<void(Sample&)> one_hot(int64_t classes, int target) {
  if (classes <= 0) Fail("one_hot: ", classes, " classes were asked for, a positive number was expected");
  return [classes, target](Sample& s) {
    if (target < 0 || static_cast<size_t>(target) >= s.y.size())
      Fail("one_hot: target ", target, " was asked for, the sample has ", s.y.size());
    Array& y = s.y[static_cast<size_t>(target)];
    if (y.shape().rank() >= kMaxRank) Fail("one_hot: labels of shape ", y.shape(), " have too many axes");
    Shape shape = y.shape();
    shape.push_back(classes);
    Array to = s.make(shape);
    float* row = to.floats().data();
    std::fill_n(row, to.size(), 0.0f);
    Typed(y, [&](const auto* labels) {
      for (int64_t i = 0; i < y.size(); ++i, row += classes) {
        const auto label = labels[i];
        // Of floats, those between whole numbers too.
        const double number = static_cast<double>(label);
        if (!(number >= 0 && number < static_cast<double>(classes)) || number != std::floor(number))
          Fail("one_hot: the label ", number, " came, 0 to ", classes - 1, " was expected");
        row[static_cast<int64_t>(number)] = 1;
      }
    });
    y = std::move(to);
  };
}

}  // namespace ingot
