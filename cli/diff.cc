// SPDX-License-Identifier: MIT
//
// `ingot diff`: where two files differ, tensor by tensor. Two models, of whatever formats, are compared by the names of
// their weights and slots. Weights alone are loaded into the model of the other file first, whose names and layouts
// they then have. Where no model can be built, the names are those that the files use.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "ingot/cli/commands.h"
#include "ingot/cli/output.h"
#include "ingot/core/plural.h"
#include "ingot/ingot.h"
#include "ingot/io/contents.h"
#include "ingot/io/named_weights.h"

namespace ingot {
namespace {

struct Options {
  std::string a, b;
  double rtol = 0, atol = 0;

  bool exact() const { return rtol == 0 && atol == 0; }
};

bool HoldsWeightsAlone(const std::string& path) { return !FormatOf(path).read; }

void Complete(Checkpoint& c) {
  c.FillSlots();
  if (c.optimizer && !c.slots) c.PlaceSlots();  // not trained yet: as they begin
}

// The model of a file, if it holds one that can be built; else, why it cannot.
std::optional<Checkpoint> CheckpointIn(const std::string& path, std::string& why) {
  if (HoldsWeightsAlone(path)) return std::nullopt;
  try {
    Checkpoint c = FormatOf(path).read(path, {});
    Complete(c);
    return c;
  } catch (const Error& e) {
    why = Text("\n  the model in ", path, " cannot be built: ", e.what());
    return std::nullopt;
  }
}

// What a file of weights alone holds, in the model of the other file. State of an optimizer that it lacks is none that
// differs: then `model` is left without as well.
std::optional<Checkpoint> WeightsIn(const std::string& path, const std::string& model_path, Checkpoint& model,
                                    std::string& why) {
  try {
    Checkpoint c = FormatOf(model_path).read(model_path, {});
    c.FillSlots();
    c.slots = nullptr, c.iterations = 0, c.has_state = false;
    FormatOf(path).read_weights(path, {}, c);
    if (!c.has_state)
      for (Checkpoint* one : {&c, &model}) one->optimizer = nullptr, one->slots = nullptr, one->iterations = 0;
    Complete(c);
    return c;
  } catch (const Error& e) {
    why = Text("\n  ", e.what());
    return std::nullopt;
  }
}

bool ShareNames(const std::vector<StoredTensor>& a, const std::vector<StoredTensor>& b) {
  std::set<std::string> names;
  for (const StoredTensor& t : a) names.insert(t.name);
  return std::any_of(b.begin(), b.end(), [&](const StoredTensor& t) { return names.contains(t.name); });
}

double Rate(const Checkpoint& c) {
  return c.learning_rate ? *c.learning_rate : c.optimizer->learning_rate_at(c.iterations);
}

double NumberAt(const StoredTensor& t, int64_t i) {
  const auto load = [&](auto value) {
    std::memcpy(&value, t.bytes.data() + static_cast<size_t>(i) * sizeof value, sizeof value);
    return static_cast<double>(value);
  };
  switch (t.type) {
    case StoredType::kFloat32:
      return load(float{});
    case StoredType::kFloat64:
      return load(double{});
    case StoredType::kInt32:
      return load(int32_t{});
    case StoredType::kInt64:
      return load(int64_t{});
    case StoredType::kUint32:
      return load(uint32_t{});
    case StoredType::kUint64:
      return load(uint64_t{});
    default: {  // float32 holds all of them exactly
      float value = 0;
      Convert(t, i, 1, DType::kFloat32, &value);
      return static_cast<double>(value);
    }
  }
}

class Difference {
 public:
  explicit Difference(const Options& o) : o_(o) {}
  int count() const { return count_; }

  template <class... Parts>
  void Report(const Parts&... parts) {
    std::printf("%s\n", Printable(Text(parts...)).c_str());
    ++count_;
  }

  void Tensors(const std::vector<StoredTensor>& a, const std::vector<StoredTensor>& b) {
    std::map<std::string, const StoredTensor*> others;
    for (const StoredTensor& t : b) others[t.name] = &t;
    for (const StoredTensor& t : a) {
      const auto found = others.find(t.name);
      if (found == others.end()) {
        Report("only in ", o_.a, ": ", t.name, " ", t.shape);
        continue;
      }
      Compare(t, *found->second);
      others.erase(found);
    }
    for (const StoredTensor& t : b)
      if (others.contains(t.name)) Report("only in ", o_.b, ": ", t.name, " ", t.shape);
  }

 private:
  void Compare(const StoredTensor& x, const StoredTensor& y) {
    if (!(x.shape == y.shape) || (o_.exact() && x.type != y.type))
      return Report(x.name, ": ", Name(x.type), " ", x.shape, " against ", Name(y.type), " ", y.shape);
    const bool same_type = x.type == y.type;
    if (x.bytes.empty() || (same_type && std::memcmp(x.bytes.data(), y.bytes.data(), x.bytes.size()) == 0)) return;
    const size_t size = SizeOf(x.type);
    double most = 0;
    int64_t count = 0;
    for (int64_t i = 0; i < x.shape.count(); ++i) {
      const size_t at = static_cast<size_t>(i) * size;
      if (same_type && std::memcmp(x.bytes.data() + at, y.bytes.data() + at, size) == 0) continue;
      const double p = NumberAt(x, i), q = NumberAt(y, i);
      const bool same = p == q || (std::isnan(p) && std::isnan(q));
      const double d = same ? 0 : std::fabs(p - q);
      if (!o_.exact() && d <= o_.atol + (std::isfinite(q) ? o_.rtol * std::fabs(q) : 0)) continue;
      ++count;
      if (!(d <= most)) most = d;
    }
    if (count) Report(x.name, ": ", count, " of ", x.shape.count(), " elements differ, by up to ", most);
  }

  const Options& o_;
  int count_ = 0;
};

void Diff(const Options& o) {
  Difference difference(o);
  const Contents in_a = ReadContents(o.a), in_b = ReadContents(o.b);
  std::string why, more;
  std::optional<Checkpoint> a = CheckpointIn(o.a, why), b = CheckpointIn(o.b, why);
  if (a && !b && HoldsWeightsAlone(o.b)) b = WeightsIn(o.b, o.a, *a, why);
  if (b && !a && HoldsWeightsAlone(o.a)) a = WeightsIn(o.a, o.b, *b, why);
  size_t tensors = in_a.tensors.size();
  if (a && b) {
    const auto named = [](const Checkpoint& c) {
      std::vector<StoredTensor> all = NamedTensors(c);
      // These two are compared below: not every format keeps them as tensors.
      std::erase_if(all, [](const StoredTensor& t) { return t.name == kIterations || t.name == kLearningRate; });
      return all;
    };
    const std::vector<StoredTensor> of_a = named(*a);
    tensors = of_a.size();
    difference.Tensors(of_a, named(*b));
    if (a->iterations != b->iterations) difference.Report("steps done: ", a->iterations, " against ", b->iterations);
    const auto name = [](const Checkpoint& c) { return c.optimizer ? c.optimizer->class_name() : "not compiled"; };
    if (name(*a) != name(*b)) {
      difference.Report("optimizer: ", name(*a), " against ", name(*b));
    } else if (a->optimizer) {
      const double x = Rate(*a), y = Rate(*b);
      if (std::fabs(x - y) > o.atol + std::max(1e-6, o.rtol) * std::fabs(y))
        difference.Report("learning rate: ", x, " against ", y);
      more = Text(", optimizer ", name(*a), ", ", a->iterations, " steps");
    }
  } else {
    if (!in_a.tensors.empty() && !in_b.tensors.empty() && !ShareNames(in_a.tensors, in_b.tensors))
      Fail(o.a, " and ", o.b, " name no tensor alike ('", in_a.tensors[0].name, "' here, '", in_b.tensors[0].name,
           "' there), so there is nothing to compare",
           why.empty() ? "; compare with a file that holds the model" : why);
    difference.Tensors(in_a.tensors, in_b.tensors);
  }
  if (difference.count())
    Fail(o.a, " and ", o.b, " differ in ", Counted(static_cast<size_t>(difference.count()), "place"));
  std::printf("the same%s: %s%s\n", o.exact() ? "" : " within the tolerance", Counted(tensors, "tensor").c_str(),
              more.c_str());
}

}  // namespace

void AddDiff(CLI::App& app) {
  auto o = std::make_shared<Options>();
  CLI::App* diff =
      app.add_subcommand("diff", "tensors that differ between two files, and by how much; fails if any does");
  diff->add_option("A", o->a, "a saved model or weights, in any format")->required();
  diff->add_option("B", o->b, "what to compare it with")->required();
  diff->add_option("--rtol", o->rtol, "an element a may differ from b by this times |b| ...")
      ->capture_default_str()
      ->check(NumberFrom(0, 1e6));
  diff->add_option("--atol", o->atol, "... plus this")->capture_default_str()->check(NumberFrom(0, 1e6));
  diff->callback([o] { Diff(*o); });
}

}  // namespace ingot
