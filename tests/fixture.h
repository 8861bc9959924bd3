// SPDX-License-Identifier: MIT
//
// A golden file: what Keras computed, as tests/golden/make.py wrote it. A safetensors file whose metadata "cases" lists
// the cases; tensor "t" of case "c" is named "c/t".
#pragma once

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "ingot/core/array.h"
#include "ingot/core/fields.h"

namespace ingot::testing {

class Golden {
 public:
  explicit Golden(const std::string& group);    // "layers": tests/golden/layers.safetensors
  static Golden File(const std::string& path);  // any other file of that form

  const std::vector<Json>& cases() const { return cases_; }
  bool has(const Json& c, const std::string& tensor) const { return tensors_.contains(Key(c, tensor)); }
  const Array& at(const Json& c, const std::string& tensor) const;
  // t0, t1, ... as far as there are any.
  std::vector<Array> list(const Json& c, const std::string& prefix) const;
  const std::string& keras() const { return keras_; }

 private:
  Golden() = default;
  void Read(const std::string& path);
  static std::string Key(const Json& c, const std::string& tensor) {
    return c["name"].get<std::string>() + "/" + tensor;
  }

  std::vector<Json> cases_;
  std::map<std::string, Array> tensors_;
  std::string keras_;
};

// The largest difference, relative to the largest magnitude expected, and whether each element is within
// relative * |expected| + absolute.
struct Difference {
  bool ok = true;
  double worst = 0;  // of |got - want| / (relative * |want| + absolute)
  std::string text;  // where, what came, what was expected
};
Difference Compare(const Array& got, const Array& want, double relative = 1e-5, double absolute = 1e-6);

}  // namespace ingot::testing
