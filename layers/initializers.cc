// SPDX-License-Identifier: MIT
//
// Distributions follow Keras: a truncated normal is cut at two standard deviations; where VarianceScaling asks for
// one of a given variance, its stddev is divided by 0.8796, what the cut leaves of it.
#include "ingot/layers/initializers.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "ingot/core/error.h"
#include "ingot/core/threads.h"
#include "ingot/kernels/cpu/random.h"

namespace ingot {
namespace {

struct Alias {
  const char* name;
  const char* class_name;
};
constexpr Alias kAliases[] = {
    {"zeros", "Zeros"},
    {"ones", "Ones"},
    {"constant", "Constant"},
    {"identity", "Identity"},
    {"IdentityInitializer", "Identity"},
    {"random_normal", "RandomNormal"},
    {"random_uniform", "RandomUniform"},
    {"truncated_normal", "TruncatedNormal"},
    {"variance_scaling", "VarianceScaling"},
    {"orthogonal", "Orthogonal"},
    {"OrthogonalInitializer", "Orthogonal"},
    {"stft", "STFT"},
    {"STFTInitializer", "STFT"},
    {"glorot_uniform", "GlorotUniform"},
    {"glorot_normal", "GlorotNormal"},
    {"he_uniform", "HeUniform"},
    {"he_normal", "HeNormal"},
    {"lecun_uniform", "LecunUniform"},
    {"lecun_normal", "LecunNormal"},
    {"uniform", "RandomUniform"},  // Keras 2
    {"normal", "RandomNormal"},
    {"zero", "Zeros"},
    {"one", "Ones"},
};

// The variance-scaling initializers that have a name of their own.
struct Scaled {
  const char* class_name;
  double scale;
  const char* mode;
  const char* distribution;
};
constexpr Scaled kScaled[] = {
    {"GlorotUniform", 1, "fan_avg", "uniform"}, {"GlorotNormal", 1, "fan_avg", "truncated_normal"},
    {"HeUniform", 2, "fan_in", "uniform"},      {"HeNormal", 2, "fan_in", "truncated_normal"},
    {"LecunUniform", 1, "fan_in", "uniform"},   {"LecunNormal", 1, "fan_in", "truncated_normal"},
};

const Scaled* FindScaled(const std::string& name) {
  for (const Scaled& s : kScaled)
    if (name == s.class_name) return &s;
  return nullptr;
}

constexpr int64_t kTile = 1 << 16;  // a multiple of the four words of a block

// fill(values of a tile, how many, the first's place in the stream), on all threads.
template <class F>
void ForTiles(float* values, int64_t n, const F& fill) {
  ThreadPool::Default().For((n + kTile - 1) / kTile, [&](int64_t tile) {
    const int64_t first = tile * kTile;
    fill(values + first, std::min(kTile, n - first), first);
  });
}

void FillUniform(float* values, int64_t n, const Stream& stream, double low, double high) {
  const float from = static_cast<float>(low), span = static_cast<float>(high - low);
  ForTiles(values, n, [&](float* v, int64_t count, int64_t first) {
    cpu::FillUniform(v, count, stream, first);
    for (int64_t i = 0; i < count; ++i) v[i] = from + span * v[i];
  });
}

void FillNormal(float* values, int64_t n, const Stream& stream, double mean, double stddev) {
  const float shift = static_cast<float>(mean), scale = static_cast<float>(stddev);
  ForTiles(values, n, [&](float* v, int64_t count, int64_t first) {
    cpu::FillNormal(v, count, stream, first);
    for (int64_t i = 0; i < count; ++i) v[i] = shift + scale * v[i];
  });
}

// The inverse of the normal distribution function (Acklam's rational approximation, relative error 1e-9).
double NormalQuantile(double p) {
  constexpr double a[] = {-39.69683028665376, 220.9460984245205,  -275.9285104469687,
                          138.3577518672690,  -30.66479806614716, 2.506628277459239};
  constexpr double b[] = {-54.47609879822406, 161.5858368580409, -155.6989798598866, 66.80131188771972,
                          -13.28068155288572};
  constexpr double c[] = {-0.007784894002430293, -0.3223964580411365, -2.400758277161838,
                          -2.549732539343734,    4.374664141464968,   2.938163982698783};
  constexpr double d[] = {0.007784695709041462, 0.3224671290700398, 2.445134137142996, 3.754408661907416};
  if (p > 0.5) return -NormalQuantile(1 - p);
  if (p < 0.02425) {
    const double q = std::sqrt(-2 * std::log(p));
    return (((((c[0] * q + c[1]) * q + c[2]) * q + c[3]) * q + c[4]) * q + c[5]) /
           ((((d[0] * q + d[1]) * q + d[2]) * q + d[3]) * q + 1);
  }
  const double q = p - 0.5, r = q * q;
  return (((((a[0] * r + a[1]) * r + a[2]) * r + a[3]) * r + a[4]) * r + a[5]) * q /
         (((((b[0] * r + b[1]) * r + b[2]) * r + b[3]) * r + b[4]) * r + 1);
}

// Word i is where the value lies among those that the cut leaves.
void FillTruncatedNormal(float* values, int64_t n, const Stream& stream, double mean, double stddev) {
  const double low = 0.022750131948179195;  // P(z < -2)
  ForTiles(values, n, [&](float* v, int64_t count, int64_t first) {
    for (int64_t i = 0; i < count; i += 4) {
      const Words words = Philox(stream, static_cast<uint64_t>((first + i) / 4));
      for (int64_t k = 0; k < std::min<int64_t>(4, count - i); ++k) {
        const double u = (static_cast<double>(words[static_cast<size_t>(k)]) + 0.5) * 0x1p-32;
        v[i + k] = static_cast<float>(mean + stddev * NormalQuantile(low + (1 - 2 * low) * u));
      }
    }
  });
}

struct Fans {
  double in, out;
};
Fans FansOf(const Shape& shape) {
  if (shape.rank() == 0) return {1, 1};
  if (shape.rank() == 1) return {static_cast<double>(shape[0]), static_cast<double>(shape[0])};
  const double field = static_cast<double>(shape.part(0, shape.rank() - 2).count());
  return {field * static_cast<double>(shape[-2]), field * static_cast<double>(shape[-1])};
}

void FillScaled(float* values, const Shape& shape, const Stream& stream, double scale, const std::string& mode,
                const std::string& distribution) {
  const Fans fans = FansOf(shape);
  scale /= std::max(1.0, mode == "fan_in" ? fans.in : mode == "fan_out" ? fans.out : (fans.in + fans.out) / 2);
  const int64_t n = shape.count();
  if (distribution == "uniform") {
    const double limit = std::sqrt(3 * scale);
    FillUniform(values, n, stream, -limit, limit);
  } else if (distribution == "untruncated_normal") {
    FillNormal(values, n, stream, 0, std::sqrt(scale));
  } else {
    FillTruncatedNormal(values, n, stream, 0, std::sqrt(scale) / 0.87962566103423978);
  }
}

// Rows (or columns, whichever are fewer) of a random matrix made orthonormal, one after the other, twice over.
void FillOrthogonal(float* values, const Shape& shape, const Stream& stream, double gain) {
  const int64_t columns = shape.back(), rows = shape.count() / std::max<int64_t>(1, columns);
  const int64_t few = std::min(rows, columns), many = std::max(rows, columns);
  std::vector<double> q(static_cast<size_t>(few * many));
  Random random(stream);
  for (double& v : q) v = static_cast<double>(random.Normal());
  for (int64_t i = 0; i < few; ++i) {
    double* row = q.data() + i * many;
    for (int pass = 0; pass < 2; ++pass) {
      for (int64_t j = 0; j < i; ++j) {
        const double* other = q.data() + j * many;
        double dot = 0;
        for (int64_t k = 0; k < many; ++k) dot += row[k] * other[k];
        for (int64_t k = 0; k < many; ++k) row[k] -= dot * other[k];
      }
    }
    double norm = 0;
    for (int64_t k = 0; k < many; ++k) norm += row[k] * row[k];
    for (int64_t k = 0; k < many; ++k) row[k] /= std::sqrt(norm);
  }
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c)
      values[r * columns + c] = static_cast<float>(
          gain * (rows <= columns ? q[static_cast<size_t>(r * many + c)] : q[static_cast<size_t>(c * many + r)]));
}

}  // namespace

Initializer::Initializer(const std::string& name) : class_name_(name) {
  for (const Alias& alias : kAliases)
    if (name == alias.name) class_name_ = alias.class_name;
}

std::function<void(float*, const Stream&)> Initializer::function(const Shape& shape) const {
  const std::string& c = class_name_;
  const Initializer self = *this;
  const int64_t n = shape.count();
  for (const auto& [what, option] : {std::pair{"value", value},
                                     {"gain", gain},
                                     {"mean", mean},
                                     {"stddev", stddev},
                                     {"minval", minval},
                                     {"maxval", maxval},
                                     {"scale", scale}})
    if (!std::isfinite(static_cast<float>(option)))
      Fail("initializer ", c, ": ", what, " is ", option, ", a finite float32 was expected");
  if (c == "VarianceScaling") {
    if (!(scale > 0)) Fail("initializer VarianceScaling: scale is ", scale, ", a positive number was expected");
    if (mode != "fan_in" && mode != "fan_out" && mode != "fan_avg")
      Fail("initializer VarianceScaling: mode is '", mode, "'; fan_in, fan_out or fan_avg was expected");
    if (distribution != "uniform" && distribution != "truncated_normal" && distribution != "untruncated_normal" &&
        distribution != "normal")
      Fail("initializer VarianceScaling: distribution is '", distribution,
           "'; uniform, truncated_normal or untruncated_normal was expected");
  }
  const auto seeded = [](const Initializer& i, Stream s) {
    if (i.seed) s = {static_cast<uint64_t>(*i.seed), 0, 0};
    return s;
  };
  if (custom_) return [self, shape, seeded](float* v, const Stream& s) { self.custom_(v, shape, seeded(self, s)); };
  if (c == "Zeros") return [n](float* v, const Stream&) { std::fill_n(v, n, 0.0f); };
  if (c == "Ones") return [n](float* v, const Stream&) { std::fill_n(v, n, 1.0f); };
  if (c == "Constant") {
    if (constants.empty()) return [n, x = static_cast<float>(value)](float* v, const Stream&) { std::fill_n(v, n, x); };
    if (static_cast<int64_t>(constants.size()) != n && constants.size() != 1)
      Fail("initializer Constant holds ", constants.size(), " values, the weight has the shape ", shape);
    return [self, n](float* v, const Stream&) {
      for (int64_t i = 0; i < n; ++i) v[i] = self.constants[self.constants.size() == 1 ? 0 : static_cast<size_t>(i)];
    };
  }
  if (c == "Identity") {
    if (shape.rank() != 2) Fail("initializer Identity makes matrices, the weight has the shape ", shape);
    return [shape, gain = static_cast<float>(gain)](float* v, const Stream&) {
      for (int64_t i = 0; i < shape.count(); ++i) v[i] = i / shape[1] == i % shape[1] ? gain : 0;
    };
  }
  if (c == "Orthogonal") {
    if (shape.rank() < 2) Fail("initializer Orthogonal needs at least 2 axes, the weight has the shape ", shape);
    return [self, shape, seeded](float* v, const Stream& s) { FillOrthogonal(v, shape, seeded(self, s), self.gain); };
  }
  if (c == "STFT")
    return [values = STFTKernel(stft, shape)](float* v, const Stream&) { std::copy(values.begin(), values.end(), v); };
  if (c == "RandomUniform")
    return
        [self, n, seeded](float* v, const Stream& s) { FillUniform(v, n, seeded(self, s), self.minval, self.maxval); };
  if (c == "RandomNormal")
    return [self, n, seeded](float* v, const Stream& s) { FillNormal(v, n, seeded(self, s), self.mean, self.stddev); };
  if (c == "TruncatedNormal")
    return [self, n, seeded](float* v, const Stream& s) {
      FillTruncatedNormal(v, n, seeded(self, s), self.mean, self.stddev);
    };
  if (c == "VarianceScaling")
    return [self, shape, seeded](float* v, const Stream& s) {
      FillScaled(v, shape, seeded(self, s), self.scale, self.mode, self.distribution);
    };
  if (const Scaled* scaled = FindScaled(c))
    return [self, shape, seeded, scaled](float* v, const Stream& s) {
      FillScaled(v, shape, seeded(self, s), scaled->scale, scaled->mode, scaled->distribution);
    };
  std::string known;
  for (const std::string& name : InitializerNames()) known += (known.empty() ? "" : ", ") + name;
  Fail("initializer '", c, "' is not known; there are ", known,
       ", the same in Keras's other spelling (glorot_uniform), and what CustomObjects holds");
}

void Initializer::fields(Fields& f) {
  const std::string& c = class_name_;
  if (c == "Constant") {
    if (f.reading()) {
      if (f.has("value") && f.raw("value").is_number()) {
        constants.clear();
        f("value", value);  // as a double, so that it is written as it came
      } else {
        f("value", constants);
        if (!constants.empty()) value = static_cast<double>(constants[0]);
        if (constants.size() == 1) constants.clear();
      }
    } else if (constants.empty()) {
      f("value", value);
    } else {
      f("value", constants);
    }
  }
  if (c == "Identity" || c == "Orthogonal") f("gain", gain);
  if (c == "RandomNormal" || c == "TruncatedNormal") f("mean", mean), f("stddev", stddev);
  if (c == "RandomUniform") f("minval", minval), f("maxval", maxval);
  if (c == "VarianceScaling") {
    f("scale", scale), f("mode", mode), f("distribution", distribution);
    if (distribution == "normal") distribution = "truncated_normal";
    if (mode != "fan_in" && mode != "fan_out" && mode != "fan_avg") f.fail("mode", "fan_in, fan_out or fan_avg");
    if (distribution != "uniform" && distribution != "truncated_normal" && distribution != "untruncated_normal")
      f.fail("distribution", "uniform, truncated_normal or untruncated_normal");
  }
  if (c == "STFT") {
    f("side", stft.side);
    if (f.reading() ? f.has("window") && f.raw("window").is_array() : !stft.window_values.empty())
      f("window", stft.window_values);
    else
      f("window", stft.window);
    f("periodic", stft.periodic);
    f("scaling", stft.scaling);
  }
  if (c != "Zeros" && c != "Ones" && c != "Constant" && c != "Identity" && c != "STFT") f("seed", seed);
  f.ignore("dtype");
}

void Describe(Fields& f, const char* key, Initializer& initializer) {
  std::string name = initializer.class_name();
  f.object(key, name, "keras.initializers", [&](Fields& child) {
    if (f.reading()) {
      const Initializer* custom = f.custom() ? f.custom()->find<Initializer>(name) : nullptr;
      initializer = custom ? *custom : Initializer(name);
    }
    initializer.fields(child);
  });
}

Initializer Zeros() { return "zeros"; }
Initializer Ones() { return "ones"; }
Initializer Constant(double value) {
  Initializer i("constant");
  i.value = value;
  return i;
}
Initializer Identity(double gain) {
  Initializer i("identity");
  i.gain = gain;
  return i;
}
Initializer RandomNormal(const RandomNormalOptions& o) {
  Initializer i("random_normal");
  i.mean = o.mean, i.stddev = o.stddev, i.seed = o.seed;
  return i;
}
Initializer TruncatedNormal(const RandomNormalOptions& o) {
  Initializer i("truncated_normal");
  i.mean = o.mean, i.stddev = o.stddev, i.seed = o.seed;
  return i;
}
Initializer RandomUniform(const RandomUniformOptions& o) {
  Initializer i("random_uniform");
  i.minval = o.minval, i.maxval = o.maxval, i.seed = o.seed;
  return i;
}
Initializer VarianceScaling(const VarianceScalingOptions& o) {
  Initializer i("variance_scaling");
  i.scale = o.scale, i.mode = o.mode, i.distribution = o.distribution, i.seed = o.seed;
  return i;
}
Initializer Orthogonal(const GainOptions& o) {
  Initializer i("orthogonal");
  i.gain = o.gain, i.seed = o.seed;
  return i;
}

Initializer STFT(const STFTOptions& o) {
  Initializer i("stft");
  i.stft = o;
  return i;
}

std::vector<std::string> InitializerNames() {
  std::vector<std::string> names = {"Zeros",        "Ones",          "Constant",        "Identity",
                                    "RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling",
                                    "Orthogonal",   "STFT"};
  for (const Scaled& s : kScaled) names.emplace_back(s.class_name);
  return names;
}

}  // namespace ingot
