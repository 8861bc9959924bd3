// SPDX-License-Identifier: MIT
//
// All that is turned is one and the same step: PyTorch's (outer, inner, places) becomes (places, inner, outer), where
// the places are those of the window, one for Dense, and a depthwise kernel has an inner extent of 1.
#include "ingot/io/pytorch.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "ingot/core/error.h"
#include "ingot/core/memory.h"
#include "ingot/core/threads.h"
#include "ingot/io/matches.h"

namespace ingot {
namespace {

enum class How : uint8_t { kAsIs, kTurned, kDepthwise };

struct Kind {
  const char* layer;  // its class; "": any
  const char* weight;
  int rank;            // 0: any, but all extents before the last are 1
  const char* module;  // within the layer's, in PyTorch
  const char* name;    // in PyTorch
  How how;
};
constexpr Kind kKinds[] = {
    {"Dense", "kernel", 2, "", "weight", How::kTurned},
    {"Conv1D", "kernel", 3, "", "weight", How::kTurned},
    {"Conv2D", "kernel", 4, "", "weight", How::kTurned},
    {"Conv2DTranspose", "kernel", 4, "", "weight", How::kTurned},
    {"DepthwiseConv2D", "kernel", 4, "", "weight", How::kDepthwise},
    {"SeparableConv2D", "depthwise_kernel", 4, ".depthwise", "weight", How::kDepthwise},
    {"SeparableConv2D", "pointwise_kernel", 4, ".pointwise", "weight", How::kTurned},
    {"SeparableConv2D", "bias", 1, ".pointwise", "bias", How::kAsIs},
    {"Embedding", "embeddings", 2, "", "weight", How::kAsIs},
    {"PReLU", "alpha", 0, "", "weight", How::kAsIs},
    {"LayerScale", "variable", 1, "", "gamma", How::kAsIs},
    {"", "gamma", 1, "", "weight", How::kAsIs},
    {"", "beta", 1, "", "bias", How::kAsIs},
    {"", "bias", 1, "", "bias", How::kAsIs},
    {"", "moving_mean", 1, "", "running_mean", How::kAsIs},
    {"", "moving_variance", 1, "", "running_var", How::kAsIs},
};

bool Flat(const Shape& shape) {
  for (int i = 0; i + 1 < shape.rank(); ++i)
    if (shape[i] != 1) return false;
  return true;
}

// How the names a and b are ordered, numbers in them as numbers, and whether a number decides it.
struct Order {
  int sign = 0;
  bool by_number = false;
};
Order Compare(std::string_view a, std::string_view b) {
  const auto number = [](std::string_view text, size_t& at) {
    const size_t begin = at;
    while (at < text.size() && std::isdigit(static_cast<unsigned char>(text[at]))) ++at;
    std::string_view digits = text.substr(begin, at - begin);
    while (digits.size() > 1 && digits[0] == '0') digits.remove_prefix(1);
    return digits;
  };
  size_t i = 0, j = 0;
  while (i < a.size() && j < b.size()) {
    const auto c = static_cast<unsigned char>(a[i]), d = static_cast<unsigned char>(b[j]);
    if (std::isdigit(c) && std::isdigit(d)) {
      const std::string_view x = number(a, i), y = number(b, j);
      if (x != y) return {x.size() != y.size() ? (x.size() < y.size() ? -1 : 1) : x.compare(y), true};
    } else {
      if (c != d) return {c < d ? -1 : 1, false};
      ++i, ++j;
    }
  }
  if (i < a.size() || j < b.size()) return {i < a.size() ? 1 : -1, false};
  return {a.compare(b), false};  // 01 and 1
}
struct Natural {
  bool operator()(const std::string& a, const std::string& b) const { return Compare(a, b).sign < 0; }
};

// The file: its modules, and what each holds.
using Module = std::map<std::string, const StoredTensor*>;
using Modules = std::map<std::string, Module, Natural>;

std::string Dotted(std::string name) {
  std::replace(name.begin(), name.end(), '/', '.');
  return name;
}

Modules ModulesOf(const std::vector<StoredTensor>& tensors, const std::string& where) {
  Modules modules;
  for (const StoredTensor& t : tensors) {
    const std::string name = Dotted(t.name);
    const size_t dot = name.rfind('.');
    const std::string weight = dot == name.npos ? name : name.substr(dot + 1);
    if (weight == "num_batches_tracked") continue;
    const auto [at, fresh] = modules[dot == name.npos ? "" : name.substr(0, dot)].emplace(weight, &t);
    if (!fresh) Fail(where, ": '", at->second->name, "' and '", t.name, "' are the same name");
  }
  return modules;
}

// Modules of the same shapes could change places unseen: then their numbers must order them.
void CheckOrder(const Modules& modules, const std::string& where) {
  std::map<std::string, std::string> last;  // of modules with these weights
  for (const auto& [name, module] : modules) {
    std::string weights;
    for (const auto& [weight, tensor] : module) weights += weight + tensor->shape.str();
    std::string& before = last.try_emplace(weights, name).first->second;
    if (before != name && !Compare(before, name).by_number)
      Fail(where, ": its modules '", before, "' and '", name,
           "' are of the same shapes, none of its modules is named like a layer of the model, and nothing tells which "
           "of the two comes first; give the layers the names of the modules");
    before = name;
  }
}

// The model: a weight, and where PyTorch has it.
struct Wanted {
  const Kind* kind = nullptr;
  std::vector<std::string> modules;  // names of its layer
  size_t number = 0;                 // of its module, in the order of the model
  Shape shape;                       // in PyTorch

  template <class F>  // f(module, weight) until it is true
  bool Any(const F& f, const std::string& own) const {
    return std::any_of(modules.begin(), modules.end(),
                       [&](const std::string& m) { return f(m + kind->module, kind->name) || f(m, own); });
  }
};

struct Place {
  const LayerDef* layer = nullptr;
  std::string path;
};
void Walk(const LayerDef& def, const std::string& path, std::map<const Variable*, Place>& places) {
  for (const VariablePtr& v : def.variables) places.try_emplace(v.get(), Place{&def, path});
  for (const Layer& layer : def.sublayers())
    Walk(layer.def(), (path.empty() ? "" : path + ".") + Dotted(layer.name()), places);
}

const Kind& KindOf(const Variable& v, const LayerDef& layer, const std::string& where) {
  for (const Kind& kind : kKinds)
    if (v.name == kind.weight && (!*kind.layer || layer.class_name() == kind.layer) &&
        (kind.rank ? v.shape.rank() == kind.rank : Flat(v.shape)))
      return kind;
  // By its own name, where there is but one way for it to lie.
  static constexpr Kind kOwn = {"", "", 0, "", "", How::kAsIs};
  if (v.shape.rank() < 2) return kOwn;
  Fail(where, ": how PyTorch lays out '", v.name, "' ", v.shape, " of layer '", layer.name, "' (", layer.class_name(),
       ") is not known; load the file without `pytorch`, with the weights as the model has them");
}

Shape PyTorchShape(const Shape& shape, How how, int rank) {
  if (how == How::kAsIs) return rank || shape.rank() < 2 ? shape : shape.from(shape.rank() - 1);
  const int64_t inner = shape[-2], outer = shape[-1];
  Shape turned = how == How::kTurned ? Shape{outer, inner} : Shape{inner * outer, 1};
  for (const int64_t extent : shape.part(0, shape.rank() - 2)) turned.push_back(extent);
  return turned;
}

std::vector<Wanted> WantedBy(const Checkpoint& c, const std::string& where) {
  std::map<const Variable*, Place> places;
  Walk(*c.network, "", places);
  std::map<std::string, std::set<const LayerDef*>> named;  // layers by their own names
  for (const auto& [v, place] : places) named[Dotted(place.layer->name)].insert(place.layer);
  std::vector<Wanted> wanted;
  std::map<std::string, size_t> numbers;
  for (const VariablePtr& v : c.layout.variables()) {
    const Place& place = places.at(v.get());
    Wanted w;
    w.kind = &KindOf(*v, *place.layer, where);
    w.modules = {place.path};
    const std::string own = Dotted(place.layer->name);
    if (own != place.path && named[own].size() == 1) w.modules.push_back(own);
    w.number = numbers.try_emplace(place.path + w.kind->module, numbers.size()).first->second;
    w.shape = PyTorchShape(v->shape, w.kind->how, w.kind->rank);
    wanted.push_back(std::move(w));
  }
  return wanted;
}

// (outer, inner, places) to (places, inner, outer), in squares so that both sides stay in the cache.
template <size_t kSize>
void Turn(const std::byte* src, std::byte* dst, int64_t outer, int64_t inner, int64_t places) {
  constexpr int64_t kSquare = 32;
  const int64_t columns = inner * places;
  ThreadPool::Default().For((columns + kSquare - 1) / kSquare, [&](int64_t tile) {
    const int64_t first = tile * kSquare, last = std::min(columns, first + kSquare);
    for (int64_t begin = 0; begin < outer; begin += kSquare) {
      const int64_t end = std::min(outer, begin + kSquare);
      for (int64_t column = first; column < last; ++column) {
        const int64_t row = column % places * inner + column / places;
        for (int64_t o = begin; o < end; ++o)
          std::memcpy(dst + static_cast<size_t>(row * outer + o) * kSize,
                      src + static_cast<size_t>(o * columns + column) * kSize, kSize);
      }
    }
  });
}

// REQUIRES: t.shape is what PyTorch has for `shape`
StoredTensor InKerasLayout(const StoredTensor& t, const Shape& shape, How how) {
  StoredTensor turned = t;
  turned.shape = shape;
  if (how == How::kAsIs || t.bytes.empty()) return turned;
  const auto block = std::make_shared<Block>(t.bytes.size(), "tensor '" + t.name + "', turned");
  const int64_t outer = t.shape[0], inner = t.shape[1], places = t.shape.count() / outer / inner;
  const size_t size = SizeOf(t.type);
  const auto turn = size == 1 ? Turn<1> : size == 2 ? Turn<2> : size == 4 ? Turn<4> : Turn<8>;
  turn(t.bytes.data(), block->data(), outer, inner, places);
  turned.bytes = Bytes(block->data(), t.bytes.size());
  turned.owner = block;
  return turned;
}

}  // namespace

void TakePyTorch(const std::vector<StoredTensor>& tensors, Checkpoint& into, const std::string& where) {
  Modules modules = ModulesOf(tensors, where);
  const std::vector<Wanted> wanted = WantedBy(into, where);
  const auto& variables = into.layout.variables();
  bool by_name = false;
  for (size_t i = 0; i < wanted.size() && !by_name; ++i)
    by_name = wanted[i].Any([&](const std::string& m, const std::string&) { return modules.contains(m); }, "");
  std::vector<std::string> in_order;
  if (!by_name) {
    CheckOrder(modules, where);
    for (const auto& module : modules) in_order.push_back(module.first);
  }

  const StoredTensor* found = nullptr;
  const auto take = [&](const std::string& module, const std::string& weight) {
    const auto at = modules.find(module);
    if (at == modules.end() || weight.empty()) return false;
    const auto tensor = at->second.find(weight);
    if (tensor == at->second.end()) return false;
    found = tensor->second;
    at->second.erase(tensor);
    return true;
  };
  Matches matches;
  const std::vector<std::string> names = into.layout.names();
  for (size_t i = 0; i < wanted.size(); ++i) {
    const Wanted& w = wanted[i];
    const Variable& v = *variables[i];
    found = nullptr;
    if (by_name)
      w.Any(take, v.name);
    else if (w.number < in_order.size())
      take(in_order[w.number], w.kind->name) || take(in_order[w.number], v.name);
    if (found && !(found->shape == w.shape)) {
      matches.Differs(names[i], w.shape == v.shape ? v.shape.str() : Text(v.shape, ", in PyTorch ", w.shape), *found);
      continue;
    }
    const auto turned = found ? std::optional(InKerasLayout(*found, v.shape, w.kind->how)) : std::nullopt;
    matches.AddWeight(names[i], i, into, turned ? &*turned : nullptr);
  }
  for (const auto& [name, module] : modules)
    for (const auto& [weight, tensor] : module) matches.LeftOver(tensor->name, tensor->shape);
  matches.Finish(into, where);
}

}  // namespace ingot
