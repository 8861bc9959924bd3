// SPDX-License-Identifier: MIT
#include "ingot/io/matches.h"

#include <algorithm>

#include "ingot/core/error.h"
#include "ingot/io/fill.h"
#include "ingot/io/mapped_file.h"

namespace ingot {
namespace {

std::string Listed(const char* title, const std::vector<std::string>& names) {
  constexpr size_t kMost = 20;
  if (names.empty()) return "";
  std::string text = Text("\n  ", names.size(), " ", title, ":");
  for (size_t i = 0; i < std::min(kMost, names.size()); ++i) text += "\n    " + names[i];
  if (names.size() > kMost) text += Text("\n    and ", names.size() - kMost, " more");
  return text;
}

}  // namespace

bool Matches::Fits(const std::string& wanted, const Shape& shape, const StoredTensor* found) {
  if (!found) {
    missing_.push_back(wanted + " " + shape.str());
  } else if (!(found->shape == shape)) {
    Differs(wanted, shape.str(), *found);
  } else {
    matched_.push_back(wanted);
    return true;
  }
  return false;
}

void Matches::Differs(const std::string& wanted, const std::string& expected, const StoredTensor& found) {
  const std::string name = wanted == found.name || wanted.ends_with(" at " + found.name)
                               ? ""
                               : " (" + found.name + ")";  // said once is enough
  differ_.push_back(Text(wanted, ": the model has ", expected, ", the file ", found.shape, name));
}

bool Matches::AddWeight(const std::string& wanted, size_t variable, const Checkpoint& into, const StoredTensor* found) {
  if (!Fits(wanted, into.layout.variables()[variable]->shape, found)) return false;
  weights_.push_back({variable, *found});
  return true;
}

void Matches::AddSlot(const std::string& wanted, size_t slot, size_t variable, const Checkpoint& into,
                      const StoredTensor* found) {
  if (Fits(wanted, into.layout.variables()[variable]->shape, found)) slots_.push_back({slot, variable, *found});
}

// All of the weights or none: a model whose weights lie in many places is no use for training, and one move cures it.
bool Matches::PlaceInFile(Checkpoint& into) const {
  if (!into.image) return false;
  const Bytes image = into.image->bytes();
  const auto usable = [&](const Weight& w) {
    const StoredTensor& t = w.found;
    return t.type == StoredAs(into.layout.variables()[w.variable]->dtype) && t.bytes.data() >= image.data() &&
           t.bytes.data() + t.bytes.size() <= image.data() + image.size() &&
           reinterpret_cast<uintptr_t>(t.bytes.data()) % SizeOf(t.type) == 0;
  };
  if (!std::all_of(weights_.begin(), weights_.end(), usable)) return false;
  const auto block = std::make_shared<Block>(BlockOf(into.image, image));
  for (const Weight& w : weights_) {
    Variable& v = *into.layout.variables()[w.variable];
    v.arena = block;
    v.offset = static_cast<size_t>(w.found.bytes.data() - image.data());
  }
  return true;
}

void Matches::Refuse(const std::string& where, bool skipping) const {
  const char* what = skipping ? ": nothing in it matches the model" : ": what it holds is not what the model has";
  const char* way_out =
      "\n  load_weights(path, {.skip_mismatch = true}) loads what matches and leaves the rest as it is";
  Fail(where, what, Listed("missing from the file", missing_), Listed("of another shape", differ_),
       Listed("of a layer that does not match", with_layer_), Listed("left over in the file", left_over_),
       Listed("that match", matched_), weights_.empty() ? "" : way_out);
}

std::vector<std::string> Matches::Skipped() const {
  std::vector<std::string> skipped;
  for (const std::string& name : missing_) skipped.push_back(name + ": missing from the file");
  skipped.insert(skipped.end(), differ_.begin(), differ_.end());
  for (const std::string& name : with_layer_) skipped.push_back(name + ": its layer does not match that of the file");
  for (const std::string& name : left_over_) skipped.push_back(name + ": left over in the file");
  return skipped;
}

void Matches::Finish(Checkpoint& into, const std::string& where) const {
  into.skipped = Skipped();
  if (!into.skipped.empty() && (!into.skip_mismatch || weights_.empty())) Refuse(where, into.skip_mismatch);
  const auto& variables = into.layout.variables();
  std::vector<std::pair<std::shared_ptr<Block>, size_t>> before;  // where the weights lay
  for (const VariablePtr& v : variables) before.push_back({v->arena, v->offset});
  std::vector<Fill> fills;
  if (!PlaceInFile(into)) {
    // Another file's pages may be read-only.
    const auto own = [](const VariablePtr& v) { return v->arena && v->arena->pages() == Pages::kOwn; };
    if (!std::all_of(variables.begin(), variables.end(), own)) into.layout.Place(into.network->name);
    for (const Weight& w : weights_) {
      const Variable& v = *variables[w.variable];
      fills.push_back({w.found, v.dtype, reinterpret_cast<std::byte*>(v.writable())});
    }
  }
  if (!slots_.empty()) into.PlaceSlots();
  for (const Slot& s : slots_) {
    Fill fill{s.found, DType::kFloat32, reinterpret_cast<std::byte*>(into.slot(s.slot, s.variable))};
    // What must be converted may fail, and better now.
    const bool later = into.image && s.found.type == StoredType::kFloat32;
    (later ? into.pending : fills).push_back(std::move(fill));
  }
  try {
    FillAll(fills);
  } catch (...) {
    for (size_t i = 0; i < variables.size(); ++i)
      variables[i]->arena = before[i].first, variables[i]->offset = before[i].second;
    throw;
  }
}

}  // namespace ingot
