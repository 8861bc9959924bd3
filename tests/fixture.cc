// SPDX-License-Identifier: MIT
#include "ingot/tests/fixture.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <sstream>

#include "ingot/core/error.h"

namespace ingot::testing {

Golden::Golden(const std::string& group) { Read(std::string(INGOT_GOLDEN_DIR) + "/" + group + ".safetensors"); }

Golden Golden::File(const std::string& path) {
  Golden golden;
  golden.Read(path);
  return golden;
}

void Golden::Read(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) Fail(path, ": cannot be opened; write it with tests/golden/make.py");
  std::stringstream text;
  text << in.rdbuf();
  const auto bytes = std::make_shared<std::string>(text.str());
  uint64_t length = 0;
  std::memcpy(&length, bytes->data(), 8);
  const Json header = Json::parse(bytes->substr(8, length));
  const char* data = bytes->data() + 8 + length;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") {
      keras_ = entry["keras"].get<std::string>();
      for (const Json& c : Json::parse(entry["cases"].get<std::string>())) cases_.push_back(c);
      continue;
    }
    Shape shape;
    for (const Json& dim : entry["shape"]) shape.push_back(dim.get<int64_t>());
    const DType dtype = entry["dtype"] == "F32"  ? DType::kFloat32
                        : entry["dtype"] == "U8" ? DType::kUint8
                                                 : DType::kInt32;
    // Copied, so that every tensor is aligned.
    tensors_[name] = Array::View(shape, dtype, data + entry["data_offsets"][0].get<uint64_t>()).copy();
  }
}

const Array& Golden::at(const Json& c, const std::string& tensor) const {
  const auto found = tensors_.find(Key(c, tensor));
  if (found == tensors_.end()) Fail("golden case ", Key(c, tensor), " is missing");
  return found->second;
}

std::vector<Array> Golden::list(const Json& c, const std::string& prefix) const {
  std::vector<Array> all;
  while (has(c, prefix + std::to_string(all.size()))) all.push_back(at(c, prefix + std::to_string(all.size())));
  return all;
}

Difference Compare(const Array& got, const Array& want, double relative, double absolute) {
  Difference d;
  if (got.size() != want.size() || !(got.shape() == want.shape())) {
    d.ok = false;
    d.text = Text("shape ", got.shape(), ", expected ", want.shape());
    return d;
  }
  if (got.dtype() == DType::kInt32 && want.dtype() == DType::kInt32) {
    const auto a = got.as<int32_t>(), b = want.as<int32_t>();
    d.ok = std::equal(a.begin(), a.end(), b.begin());
    d.text = d.ok ? "" : "whole numbers differ";
    return d;
  }
  const auto g = got.floats(), w = want.floats();
  for (size_t i = 0; i < g.size(); ++i) {
    const double a = static_cast<double>(g[i]), b = static_cast<double>(w[i]);
    if (std::isnan(a) && std::isnan(b)) continue;
    if (a == b) continue;
    const double ratio = std::fabs(a - b) / (relative * std::fabs(b) + absolute);
    if (!(ratio <= 1)) d.ok = false;
    if (!(ratio <= d.worst)) {
      d.worst = ratio;
      d.text = Text("element ", i, " of ", g.size(), " is ", a, ", Keras has ", b, " (", ratio, " times the bound)");
    }
  }
  return d;
}

}  // namespace ingot::testing
