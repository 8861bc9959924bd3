// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cstring>
#include <random>

#include "ingot/tests/fuzz/fuzz.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace ingot::fuzz {
namespace {

void Collect(Json& node, std::vector<Json*>& nodes) {
  nodes.push_back(&node);
  if (node.is_structured())
    for (Json& child : node) Collect(child, nodes);
}

Json Odd(std::mt19937& random) {
  static const Json kOdd[] = {nullptr,
                              true,
                              false,
                              0,
                              1,
                              -1,
                              2,
                              3,
                              8,
                              255,
                              65536,
                              1000000000,
                              0.5,
                              -0.5,
                              1e30,
                              1e-30,
                              "",
                              "x",
                              INT32_MAX,
                              INT32_MIN,
                              INT64_MAX,
                              INT64_MIN,
                              UINT64_MAX,
                              4294967296,
                              2147483648,
                              Json::array(),
                              Json::object(),
                              Json::array({1, 1}),
                              Json::array({nullptr, 4}),
                              "relu",
                              "same",
                              "valid",
                              "float16",
                              "bfloat16",
                              "int32",
                              "channels_first"};
  return kOdd[random() % std::size(kOdd)];
}

void Change(Json& root, std::mt19937& random) {
  std::vector<Json*> nodes;
  Collect(root, nodes);
  Json& node = *nodes[random() % nodes.size()];
  const Json other = *nodes[random() % nodes.size()];
  switch (random() % 6) {
    case 0:
      node = Odd(random);
      break;
    case 1:
      node = other;
      break;
    case 2:
      if (node.is_array()) node.push_back(node.empty() ? other : node[random() % node.size()]);
      break;
    case 3:
      if (node.is_array() && !node.empty()) node.erase(random() % node.size());
      if (node.is_object() && !node.empty()) node.erase(std::next(node.begin(), random() % node.size()).key());
      break;
    case 4:
      if (node.is_number_integer()) node = static_cast<int64_t>(node.get<uint64_t>() + random() % 9 - 4);
      if (node.is_number_float()) node = -node.get<double>();
      if (node.is_boolean()) node = !node.get<bool>();
      break;
    default:  // leaves are many, and what is said in them matters most
      if (!node.is_structured()) node = Odd(random);
  }
}

}  // namespace

size_t MutateJson(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  std::mt19937 random(seed);
  Json root = Json::parse(data, data + size, nullptr, /*allow_exceptions=*/false);
  if (root.is_discarded() || random() % 8 == 0) return LLVMFuzzerMutate(data, size, max_size);
  for (unsigned changes = 1 + random() % 3; changes; --changes) Change(root, random);
  const std::string text = root.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() > max_size) return LLVMFuzzerMutate(data, size, max_size);
  std::memcpy(data, text.data(), text.size());
  return text.size();
}

}  // namespace ingot::fuzz
