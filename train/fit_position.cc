// SPDX-License-Identifier: MIT
#include "ingot/train/fit_position.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "ingot/core/plural.h"
#include "ingot/train/trainer.h"

namespace ingot {
namespace {

constexpr const char* kHooks[] = {"train_begin", "epoch_begin", "batch_begin", "batch_end", "epoch_end", "train_end"};
constexpr char kWhere[] = "fit, resume";

// JSON has no word for what is not finite.
constexpr std::pair<const char*, double> kNoNumbers[] = {
    {"nan", std::numeric_limits<double>::quiet_NaN()},
    {"inf", std::numeric_limits<double>::infinity()},
};

Json ToJson(double v) {
  if (std::isfinite(v)) return v;
  return std::string(std::signbit(v) ? "-" : "") + (std::isnan(v) ? "nan" : "inf");
}

double FromJson(const Json& json, const std::string& where) {
  if (json.is_number()) return json.get<double>();
  if (json.is_string()) {
    std::string text = json.get<std::string>();
    const bool minus = text.starts_with("-");
    if (minus) text.erase(0, 1);
    for (const auto& [name, value] : kNoNumbers)
      if (text == name) return minus ? -value : value;
  }
  Fail(where, ": a number was expected; the file is damaged");
}

Json ToJson(const std::vector<double>& values) {
  Json json = Json::array();
  for (const double v : values) json.push_back(ToJson(v));
  return json;
}

std::vector<double> NumbersFrom(const Json& json, const std::string& where) {
  if (!json.is_array()) Fail(where, ": a list of numbers was expected; the file is damaged");
  std::vector<double> values;
  for (const Json& v : json) values.push_back(FromJson(v, where));
  return values;
}

// Enough of the data to tell others.
std::string Shown(const Dataset& data, const std::map<int, float>& class_weight) {
  std::string text = data.staged() ? data.str() : data.Fingerprint();
  for (const auto& [label, weight] : class_weight) text += Text(", class ", label, " weighs ", weight);
  return text;
}

// What must be the same for the fit to go on.
Json Conditions(const FitRun& run) {
  return {{"rows", run.data.rows()},
          {"batch_size", run.options.batch_size},
          {"steps", run.steps},
          {"shuffle", run.options.shuffle},
          {"data", Shown(run.data, run.options.class_weight)}};
}

StoredTensor Numbers(const std::string& name, StoredType type, const void* data, size_t count) {
  const size_t bytes = count * SizeOf(type);
  auto copy = std::make_shared<std::vector<std::byte>>(bytes);
  if (bytes) std::memcpy(copy->data(), data, bytes);
  return {name, type, Shape{static_cast<int64_t>(count)}, Bytes(copy->data(), bytes), copy};
}

StoredTensor ArrayToStore(const std::string& name, const Array& array) {
  auto owner = std::make_shared<Array>(array);
  return {name, StoredAs(array.dtype()), array.shape(),
          Bytes(static_cast<const std::byte*>(array.data()), array.bytes()), owner};
}

Array ArrayFrom(const StoredTensor& t) {
  const DType dtype = t.type == StoredType::kInt32   ? DType::kInt32
                      : t.type == StoredType::kUint8 ? DType::kUint8
                                                     : DType::kFloat32;
  if (t.type != StoredAs(dtype)) Fail(kWhere, ": ", t.name, " holds ", Name(t.type), "; the file is damaged");
  return Array::View(t.shape, dtype, t.bytes.data()).copy();
}

// Reads the keys of a position, each with a check that it is what it should be.
class Reader {
 public:
  explicit Reader(const FitState& state) : json_(*state.about), tensors_(state.tensors) {}

  const Json& at(const char* key) const {
    if (!json_.contains(key)) Fail(kWhere, ": the file's position has no '", key, "'; it is damaged");
    return json_[key];
  }
  int64_t Whole(const char* key, int64_t least, int64_t most) const {
    const Json& v = at(key);
    if (!v.is_number_integer() || v > Json(most) || v < Json(least))
      Fail(kWhere, ": the file's position says ", key, " ", v.dump(), ", ", least, " to ", most, " may be");
    return v.get<int64_t>();
  }
  double Number(const char* key) const { return FromJson(at(key), Text(kWhere, ", ", key)); }
  const Json& List(const char* key) const {
    if (!at(key).is_array()) Fail(kWhere, ": the file's position has no list of ", key, "; it is damaged");
    return at(key);
  }
  // The next of the tensors.
  const StoredTensor& Tensor() {
    if (next_ == tensors_.size()) Fail(kWhere, ": the file's position lacks a tensor; it is damaged");
    return tensors_[next_++];
  }

 private:
  const Json& json_;
  const std::vector<StoredTensor>& tensors_;
  size_t next_ = 0;
};

void CheckConditions(const Reader& saved, const FitRun& run) {
  const Json now = Conditions(run);
  std::string differ;
  for (const auto& [key, value] : now.items())
    if (saved.at(key.c_str()) != value)
      differ += Text(differ.empty() ? "" : "; ", key, " is ", value.dump(), ", it was ", saved.at(key.c_str()).dump());
  if (!differ.empty())
    Fail(kWhere, ": another fit than this one was saved: ", differ,
         "; give the same data and options to go on, or begin anew without the file");
}

History HistoryFrom(Reader& saved) {
  History history;
  for (const Json& epoch : saved.List("epochs")) {
    if (!epoch.is_number_integer()) Fail(kWhere, ": the file's list of epochs is damaged");
    history.epoch.push_back(epoch.get<int>());
  }
  for (const Json& item : saved.List("history")) {
    if (!item.is_array() || item.size() != 2 || !item[0].is_string()) Fail(kWhere, ": the file's history is damaged");
    history.history.push_back({item[0].get<std::string>(), NumbersFrom(item[1], Text(kWhere, ", history"))});
    if (history.epoch.empty() || history.history.back().second.size() != history.epoch.size())
      Fail(kWhere, ": the file's history of '", history.history.back().first, "' has ",
           Counted(history.history.back().second.size(), "value"), " for ", Counted(history.epoch.size(), "epoch"),
           "; it is damaged");
  }
  const StoredTensor& losses = saved.Tensor();
  if (losses.type != StoredType::kFloat64) Fail(kWhere, ": batch_loss holds ", Name(losses.type), ", float64 is meant");
  history.batch_loss.resize(losses.bytes.size() / sizeof(double));
  if (!losses.bytes.empty()) std::memcpy(history.batch_loss.data(), losses.bytes.data(), losses.bytes.size());
  return history;
}

void RestoreCallbacks(Reader& saved, const Callbacks& callbacks) {
  for (const Json& entry : saved.List("callbacks")) {
    const auto whole = [&](const char* key) -> size_t {
      if (!entry.is_object() || !entry.contains(key) || !entry[key].is_number_unsigned())
        Fail(kWhere, ": the file's list of callbacks is damaged");
      return entry[key].get<size_t>();
    };
    const size_t index = whole("callback");
    if (index >= callbacks.size())
      Fail(kWhere, ": the file holds the state of callback ", index, ", this fit has ", callbacks.size(),
           " callbacks; give the same ones in the same order");
    Arrays arrays;
    for (size_t i = whole("tensors"); i > 0; --i) arrays.push_back(ArrayFrom(saved.Tensor()));
    if (!entry.contains("state")) Fail(kWhere, ": the file's list of callbacks is damaged");
    Fields f = Fields::Reader(entry["state"], Text(kWhere, ", callback ", index));
    callbacks[index]->state(f, arrays);
    f.Finish();  // of another kind, it would leave keys
  }
}

}  // namespace

void AnyNumber(Fields& f, const char* key, double& v) {
  if (!f.reading()) {
    f.raw_out()[key] = ToJson(v);
  } else if (f.has(key)) {
    f.seen(key);
    v = FromJson(f.raw(key), f.where() + ", " + key);
  }
}

std::shared_ptr<const FitState> PositionOf(ModelState& s, const FitRun& run) {
  if (run.hook == Hook::kTrainBegin || run.hook == Hook::kTrainEnd) return nullptr;
  const LossSums& sums = s.SumsOf(Mode::kTrain);
  auto state = std::make_shared<FitState>();
  Json json = Conditions(run);
  json["epoch"] = run.epoch;
  json["step"] = run.step;
  json["hook"] = kHooks[static_cast<size_t>(run.hook)];
  json["callback"] = run.callback;
  json["pass"] = run.pass;
  json["pass_steps"] = run.pass_steps;
  json["seed"] = std::to_string(s.seed);
  json["learning_rate"] = s.optimizer().def().learning_rate.schedule() ? Json(nullptr) : ToJson(s.LearningRate());
  json["stop"] = run.model.stop_training();
  json["loss_sum"] = ToJson(sums.total);
  json["loss_count"] = ToJson(sums.rows);
  json["output_loss_sum"] = ToJson(sums.outputs);
  json["epochs"] = run.history.epoch;
  json["history"] = Json::array();
  for (const auto& [name, values] : run.history.history) json["history"].push_back({name, ToJson(values)});
  const Block& metrics = s.session.state_[static_cast<size_t>(Mode::kTrain)];
  const std::vector<double>& losses = run.history.batch_loss;
  state->tensors = {Numbers("metrics", StoredType::kUint8, metrics.data(), metrics.size()),
                    Numbers("batch_loss", StoredType::kFloat64, losses.data(), losses.size())};
  json["callbacks"] = Json::array();
  for (size_t i = 0; i < run.options.callbacks.size(); ++i) {
    Json fields;
    Fields f = Fields::Writer(fields);
    Arrays arrays;
    run.options.callbacks[i]->state(f, arrays);
    if (fields.empty() && arrays.empty()) continue;
    json["callbacks"].push_back({{"callback", i}, {"state", fields}, {"tensors", arrays.size()}});
    for (const Array& a : arrays) state->tensors.push_back(ArrayToStore(Text("callback ", i), a));
  }
  state->about = std::make_shared<Json>(std::move(json));
  return state;
}

void GoOn(const FitState& position, ModelState& s, FitRun& run) {
  Reader saved(position);
  CheckConditions(saved, run);
  const auto hook = std::find(std::begin(kHooks), std::end(kHooks), saved.at("hook"));
  const Json& seed = saved.at("seed");
  const std::optional<uint64_t> number = seed.is_string() ? SeedFrom(seed.get<std::string>()) : std::nullopt;
  if (!number) Fail(kWhere, ": the file's seed is not a number of 64 bits");
  const std::vector<double> output_loss_sum = NumbersFrom(saved.at("output_loss_sum"), "output_loss_sum");
  LossSums& sums = s.SumsOf(Mode::kTrain);
  const StoredTensor& metrics = saved.Tensor();
  const Block& block = s.session.state_[static_cast<size_t>(Mode::kTrain)];
  const bool begun = !metrics.bytes.empty();  // before the first step there are none
  if ((begun && metrics.bytes.size() != block.size()) || output_loss_sum.size() != sums.outputs.size())
    Fail(kWhere, ": the file's running metrics are ", metrics.bytes.size(), " bytes and ", output_loss_sum.size(),
         " losses, this model's are ", block.size(), " and ", sums.outputs.size(),
         "; was it compiled with other losses or metrics?");
  run.hook = static_cast<Hook>(std::min<std::ptrdiff_t>(hook - std::begin(kHooks), 5));
  run.epoch = static_cast<int>(saved.Whole("epoch", 0, std::numeric_limits<int>::max()));
  run.step = saved.Whole("step", 0, run.steps);
  run.callback = static_cast<size_t>(saved.Whole("callback", 0, std::numeric_limits<int>::max()));
  run.pass = saved.Whole("pass", -1, std::numeric_limits<int64_t>::max());
  run.pass_steps = saved.Whole("pass_steps", std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max());
  run.history = HistoryFrom(saved);
  const bool in_batch = run.hook == Hook::kBatchBegin || run.hook == Hook::kBatchEnd;
  const bool ended = run.hook == Hook::kEpochEnd;
  if ((!in_batch && !ended && run.hook != Hook::kEpochBegin) || (in_batch && run.step == run.steps) ||
      (ended && (run.history.epoch.empty() || run.history.epoch.back() != run.epoch)))
    Fail(kWhere, ": the file's position '", saved.at("hook").dump(), "' of epoch ", run.epoch, ", step ", run.step,
         " cannot be; it is damaged");
  const bool stop = saved.at("stop") == Json(true);
  const double loss_sum = saved.Number("loss_sum"), loss_count = saved.Number("loss_count");
  std::optional<double> rate;
  if (!saved.at("learning_rate").is_null()) rate = saved.Number("learning_rate");
  RestoreCallbacks(saved, run.options.callbacks);

  s.seed = *number;
  if (!s.optimizer().def().learning_rate.schedule()) s.learning_rate = rate;
  if (begun)
    std::memcpy(block.data(), metrics.bytes.data(), block.size());
  else
    ResetMetrics(s, Mode::kTrain);
  sums = {loss_sum, loss_count, output_loss_sum};
  run.model.set_stop_training(stop);
}

}  // namespace ingot
