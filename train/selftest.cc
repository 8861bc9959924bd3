// SPDX-License-Identifier: MIT
#include "ingot/train/selftest.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "ingot/core/random.h"
#include "ingot/io/format.h"
#include "ingot/io/ingot_file.h"
#include "ingot/train/trainer.h"

namespace ingot {
namespace {

constexpr uint64_t kSeed = 20150327;
constexpr int64_t kRows = 2;
constexpr int64_t kExtent = 32;  // where a model leaves it to the data
constexpr size_t kMostValues = 64;
constexpr size_t kMostBytes = size_t{1} << 30;

// An array that need not be stored.
struct Drawn {
  TensorSpec spec;
  int64_t below = 0;  // whole numbers below it; 0: floats in [0, 1)

  Array Draw(Stream stream) const {
    Array array(spec.shape, spec.dtype);
    const int64_t n = array.size();
    for (int64_t i = 0; i < n; ++i) {
      const uint32_t word = Philox(stream, static_cast<uint64_t>(i / 4))[static_cast<size_t>(i % 4)];
      const auto whole = static_cast<int32_t>(word * static_cast<uint64_t>(below) >> 32);
      if (spec.dtype == DType::kFloat32)
        array.floats()[static_cast<size_t>(i)] = below ? static_cast<float>(whole) : Uniform(word);
      else if (spec.dtype == DType::kInt32)
        array.as<int32_t>()[static_cast<size_t>(i)] = whole;
      else
        array.as<uint8_t>()[static_cast<size_t>(i)] = static_cast<uint8_t>(whole);
    }
    return array;
  }
  Json ToJson() const {
    return {{"shape", std::vector<int64_t>(spec.shape.begin(), spec.shape.end())},
            {"dtype", Name(spec.dtype)},
            {"below", below}};
  }
};

Drawn DrawnFrom(const Json& json, const std::string& where) {
  Drawn drawn;
  std::string dtype;
  Fields f = Fields::Reader(json, where);
  f("shape", drawn.spec.shape);
  f("dtype", dtype);
  f("below", drawn.below);
  f.Finish();
  drawn.spec.dtype = DTypeNamed(dtype);
  CheckedBytes(drawn.spec.shape, StoredAs(drawn.spec.dtype), kMostBytes, where);
  if (drawn.spec.shape.rank() == 0 || drawn.spec.shape[0] != kRows || drawn.below < 0 || drawn.below > INT32_MAX)
    Fail(where, ": ", drawn.spec.shape, " of whole numbers below ", drawn.below, " is no array of ", kRows, " rows");
  return drawn;
}

Arrays DrawAll(const std::vector<Drawn>& all, uint64_t seed, uint32_t step) {
  Arrays arrays;
  for (size_t i = 0; i < all.size(); ++i) arrays.push_back(all[i].Draw({seed, static_cast<uint32_t>(i), step}));
  return arrays;
}

std::vector<Drawn> InputsOf(const Network& network) {
  std::vector<Drawn> inputs;
  for (const TensorSpec& spec : network.inputs()) {
    Drawn drawn{{spec.shape.with(0, kRows), spec.dtype}, spec.dtype == DType::kFloat32 ? 0 : 1};
    for (int axis = 1; axis < drawn.spec.shape.rank(); ++axis)
      if (drawn.spec.shape[axis] == kNone) drawn.spec.shape[axis] = kExtent;
    inputs.push_back(drawn);
  }
  return inputs;
}

// Values like the output's, or a label for each row of it; none where the loss wants something else.
std::optional<Drawn> TargetOf(const Loss& loss, const Shape& pred) {
  const Drawn like{{pred}, 0};
  const Drawn labels{{pred.part(0, std::max(1, pred.rank() - 1)), DType::kInt32}, pred.rank() ? pred.back() : 1};
  for (const Drawn& drawn : {like, labels}) {
    try {
      loss.resolve({pred}, drawn.spec).def().target({pred}, drawn.spec);
      return drawn;
    } catch (const Error&) {
    }
  }
  return std::nullopt;
}

// The same network with the same weights, and nothing else of the model's.
class Probe {
 public:
  explicit Probe(const Model& model) : model_(model.network_ptr(), {.name = model.name(), .seed = model.seed()}) {
    const ModelState &from = model.state(), &to = model_.state();
    if (from.compiled) model_.compile(from.options);
    model_.state().iterations = from.iterations;
    model_.state().slots_ready = true;  // nothing is updated
    for (const VariablePtr& v : to.layout.variables()) {
      if (v->trainable) continue;
      kept_.emplace_back(v, std::vector<std::byte>(v->bytes()));
      if (v->bytes()) std::memcpy(kept_.back().second.data(), v->data(), v->bytes());
    }
  }
  ~Probe() {  // what a step in training mode moves, as batch normalization does
    for (const auto& [v, bytes] : kept_)
      if (!bytes.empty()) std::memcpy(v->writable(), bytes.data(), bytes.size());
  }
  Probe(const Probe&) = delete;
  Probe& operator=(const Probe&) = delete;

  Arrays Outputs(const Arrays& x) { return model_.predict_on_batch(x); }
  double GradientNorm(const Arrays& x, const Arrays& y) {
    double sum = 0;
    for (const Array& g : model_.gradients(x, y).weights)
      if (g.dtype() == DType::kFloat32)
        for (const float v : g.floats()) sum += static_cast<double>(v) * static_cast<double>(v);
    return std::sqrt(sum);
  }
  const ModelState& state() const { return model_.state(); }

 private:
  Model model_;
  std::vector<std::pair<VariablePtr, std::vector<std::byte>>> kept_;
};

Json NumberToJson(double v) {
  if (std::isfinite(v)) return v;
  return std::isnan(v) ? "nan" : v > 0 ? "inf" : "-inf";
}

double NumberFrom(const Json& json, const std::string& where) {
  if (json.is_number()) return json.get<double>();
  if (json == "nan") return std::numeric_limits<double>::quiet_NaN();
  if (json == "inf") return std::numeric_limits<double>::infinity();
  if (json == "-inf") return -std::numeric_limits<double>::infinity();
  Fail(where, ": ", json.dump().substr(0, 40), " is no number");
}

double Element(const Array& a, size_t i) {
  switch (a.dtype()) {
    case DType::kInt32:
      return a.as<int32_t>()[i];
    case DType::kUint8:
      return a.as<uint8_t>()[i];
    default:
      return static_cast<double>(a.floats()[i]);
  }
}

const Json& Member(const Json& json, const char* key, const std::string& where) {
  if (!json.is_object() || !json.contains(key)) Fail(where, ": lacks '", key, "'");
  return json[key];
}

std::vector<Drawn> DrawnList(const Json& record, const char* key, const std::string& where) {
  const Json& list = Member(record, key, where);
  if (!list.is_array() || list.size() > 4096) Fail(where, ": '", key, "' is no list, or too long a one");
  std::vector<Drawn> all;
  for (const Json& json : list) all.push_back(DrawnFrom(json, where + ", " + key + " " + std::to_string(all.size())));
  return all;
}

// One output, or the norm, held against what was noted.
class Comparison {
 public:
  Comparison(std::string where, double tolerance, SelfTestResult& result)
      : where_(std::move(where)), tolerance_(tolerance), result_(result) {}
  void Add(double got, double want) {
    pairs_.emplace_back(got, want);
    if (std::isfinite(want)) scale_ = std::max(scale_, std::fabs(want));
  }
  void Finish() {
    for (size_t i = 0; i < pairs_.size(); ++i) {
      const auto [got, want] = pairs_[i];
      ++result_.values;
      if (got == want || (std::isnan(got) && std::isnan(want))) continue;
      result_.identical = false;
      const double difference = std::fabs(got - want) / std::max(scale_, 1e-30);
      if (!(difference <= tolerance_))
        Fail(where_, pairs_.size() > 1 ? ", value " + std::to_string(i) : "", ": ", got, " came, ", want,
             " was noted when the file was written, which is more than ", tolerance_, " of ", scale_,
             " apart; the model computes something else here");
      result_.largest = std::max(result_.largest, difference);
    }
  }

 private:
  std::string where_;
  double tolerance_;
  SelfTestResult& result_;
  std::vector<std::pair<double, double>> pairs_;
  double scale_ = 0;
};

}  // namespace

std::shared_ptr<Json> NoteSelfTest(const Model& model) {
  Probe probe(model);
  auto record = std::make_shared<Json>();
  Json& r = *record;
  r["seed"] = std::to_string(kSeed);
  const std::vector<Drawn> inputs = InputsOf(model.network());
  r["inputs"] = Json::array();
  for (const Drawn& drawn : inputs) r["inputs"].push_back(drawn.ToJson());
  const Arrays x = DrawAll(inputs, kSeed, 0);
  const Arrays outputs = probe.Outputs(x);
  r["outputs"] = Json::array();
  for (const Array& out : outputs) {
    Json values = Json::array();
    for (size_t i = 0; i < std::min(kMostValues, static_cast<size_t>(out.size())); ++i)
      values.push_back(NumberToJson(Element(out, i)));
    r["outputs"].push_back({{"count", out.size()}, {"values", std::move(values)}});
  }
  if (!probe.state().compiled) return record;
  std::vector<Drawn> targets;
  for (size_t i = 0; i < outputs.size(); ++i) {
    const std::optional<Drawn> target = TargetOf(probe.state().losses[i], outputs[i].shape());
    if (!target) return record;
    targets.push_back(*target);
  }
  try {
    const double norm = probe.GradientNorm(x, DrawAll(targets, kSeed, 1));
    r["targets"] = Json::array();
    for (const Drawn& drawn : targets) r["targets"].push_back(drawn.ToJson());
    r["gradient_norm"] = NumberToJson(norm);
  } catch (const Error&) {  // a loss of somebody's own that such targets do not suit: outputs are noted all the same
  }
  return record;
}

SelfTestResult RunSelfTest(const std::string& path, const LoadOptions& options, double tolerance) {
  constexpr char kHow[] =
      "; store one by Model::save(path, {.self_test = true}) or `ingot convert IN OUT.ingot --self-test`";
  if (std::string_view(FormatOf(path).extension) != ".ingot")
    Fail(path, ": only an .ingot file holds a self-test", kHow);
  const IngotFile file = OpenIngot(path);
  if (!file.header.contains("self_test")) Fail(path, ": holds no self-test", kHow);
  const Json& record = file.header["self_test"];
  const std::string where = path + ", self-test";
  const Model model = load_model(path, options);
  Probe probe(model);

  const Json& seed_text = Member(record, "seed", where);
  const std::optional<uint64_t> seed = seed_text.is_string() ? SeedFrom(seed_text.get<std::string>()) : std::nullopt;
  if (!seed) Fail(where, ": 'seed' is not a number of 64 bits");
  const std::vector<Drawn> inputs = DrawnList(record, "inputs", where);
  const TensorSpecs& specs = model.network().inputs();
  for (size_t i = 0; i < inputs.size(); ++i)
    if (i >= specs.size() || !specs[i].shape.with(0, kNone).accepts(inputs[i].spec.shape) ||
        inputs[i].spec.dtype != specs[i].dtype)
      Fail(where, ": input ", i, " of shape ", inputs[i].spec.shape, " is none of the model's");
  const Arrays x = DrawAll(inputs, *seed, 0);
  const Arrays outputs = probe.Outputs(x);

  SelfTestResult result;
  const Json& noted = Member(record, "outputs", where);
  if (!noted.is_array() || noted.size() != outputs.size())
    Fail(where, ": notes other outputs than the ", outputs.size(), " of the model");
  for (size_t i = 0; i < outputs.size(); ++i) {
    const std::string at = where + ", output " + std::to_string(i);
    const Json& values = Member(noted[i], "values", at);
    const auto count = static_cast<size_t>(outputs[i].size());
    if (Member(noted[i], "count", at) != count || !values.is_array() || values.size() != std::min(count, kMostValues))
      Fail(at, ": notes another count of values than the ", count, " of the model");
    Comparison comparison(at, tolerance, result);
    for (size_t k = 0; k < values.size(); ++k) comparison.Add(Element(outputs[i], k), NumberFrom(values[k], at));
    comparison.Finish();
  }
  if (record.contains("gradient_norm") && model.compiled()) {
    Comparison comparison(where + ", norm of the gradient", tolerance, result);
    const Arrays y = DrawAll(DrawnList(record, "targets", where), *seed, 1);
    comparison.Add(probe.GradientNorm(x, y), NumberFrom(record["gradient_norm"], where));
    comparison.Finish();
    result.gradient = true;
  }
  return result;
}

}  // namespace ingot
