// SPDX-License-Identifier: MIT
//
// What weights hold before training: Keras 3's initializers, by name ("glorot_uniform") or made with options
// (TruncatedNormal({.stddev = 0.02})). Element i of weight k depends on the model's seed, k and i alone.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "ingot/core/fields.h"
#include "ingot/core/random.h"
#include "ingot/layers/stft.h"

namespace ingot {

class Initializer {
 public:
  using Function = std::function<void(float* values, const Shape& shape, const Stream& stream)>;

  Initializer(const char* name = "glorot_uniform") : Initializer(std::string(name)) {}  // NOLINT: a name is one
  Initializer(const std::string& name);                                                 // NOLINT
  Initializer(std::string name, Function custom) : class_name_(std::move(name)), custom_(std::move(custom)) {}

  const std::string& class_name() const { return class_name_; }
  // Fills the values of a weight of that shape. Error if this initializer cannot make that shape.
  std::function<void(float* values, const Stream& stream)> function(const Shape& shape) const;

  // Options; each class uses some of them.
  double value = 0, gain = 1, mean = 0, stddev = 0.05, minval = -0.05, maxval = 0.05, scale = 1;
  std::string mode = "fan_in", distribution = "truncated_normal";
  std::vector<float> constants;  // Constant of many values
  STFTOptions stft{};
  std::optional<int64_t> seed{};  // its own, instead of the model's

  void fields(Fields& f);

 private:
  std::string class_name_;
  Function custom_;
};

struct RandomNormalOptions {
  double mean = 0, stddev = 0.05;
  std::optional<int64_t> seed{};
};
struct RandomUniformOptions {
  double minval = -0.05, maxval = 0.05;
  std::optional<int64_t> seed{};
};
struct VarianceScalingOptions {
  double scale = 1;
  std::string mode = "fan_in", distribution = "truncated_normal";
  std::optional<int64_t> seed{};
};
struct GainOptions {
  double gain = 1;
  std::optional<int64_t> seed{};
};

Initializer Zeros();
Initializer Ones();
Initializer Constant(double value = 0);
Initializer Identity(double gain = 1);
Initializer RandomNormal(const RandomNormalOptions& o = {});
Initializer RandomUniform(const RandomUniformOptions& o = {});
Initializer TruncatedNormal(const RandomNormalOptions& o = {});
Initializer VarianceScaling(const VarianceScalingOptions& o = {});
Initializer Orthogonal(const GainOptions& o = {});
Initializer STFT(const STFTOptions& o = {});

// The names of all, for the tests.
std::vector<std::string> InitializerNames();

void Describe(Fields& f, const char* key, Initializer& initializer);

}  // namespace ingot
