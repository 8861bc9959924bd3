// SPDX-License-Identifier: MIT
#include <algorithm>

#include "ingot/io/hdf5.h"

namespace ingot {
namespace {

bool NameLess(const Hdf5Node& node, std::string_view name) { return node.name < name; }

std::string_view First(std::string_view path) { return path.substr(0, path.find('/')); }

std::string_view Rest(std::string_view path) {
  const size_t slash = path.find('/');
  return slash == path.npos ? std::string_view() : path.substr(slash + 1);
}

}  // namespace

const Hdf5Node* Hdf5Node::find(std::string_view path) const {
  const Hdf5Node* node = this;
  for (; !path.empty(); path = Rest(path)) {
    const std::string_view first = First(path);
    const auto found = std::lower_bound(node->children.begin(), node->children.end(), first, NameLess);
    if (found == node->children.end() || found->name != first) return nullptr;
    node = &*found;
  }
  return node;
}

Hdf5Node& Hdf5Node::child(const std::string& path) {
  Hdf5Node* node = this;
  for (std::string_view rest = path; !rest.empty(); rest = Rest(rest)) {
    const std::string_view first = First(rest);
    auto found = std::lower_bound(node->children.begin(), node->children.end(), first, NameLess);
    if (found == node->children.end() || found->name != first) {
      found = node->children.emplace(found);
      found->name = first;
    }
    node = &*found;
  }
  return *node;
}

uint64_t Hdf5Node::tensor_bytes() const {
  uint64_t bytes = tensor ? tensor->bytes.size() : 0;
  for (const Hdf5Node& node : children) bytes += node.tensor_bytes();
  return bytes;
}

const std::string* Hdf5Node::text(const std::string& attribute) const {
  const auto found = attributes.find(attribute);
  return found == attributes.end() ? nullptr : std::get_if<std::string>(&found->second);
}

const std::vector<std::string>* Hdf5Node::texts(const std::string& attribute) const {
  const auto found = attributes.find(attribute);
  if (found == attributes.end()) return nullptr;
  static const std::vector<std::string> kEmpty;
  const auto* numbers = std::get_if<StoredTensor>(&found->second);
  if (numbers && numbers->shape == Shape{0}) return &kEmpty;
  return std::get_if<std::vector<std::string>>(&found->second);
}

}  // namespace ingot
