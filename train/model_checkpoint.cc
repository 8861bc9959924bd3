// SPDX-License-Identifier: MIT
//
// ModelCheckpoint, as Keras has it, and the part of Python's format strings that its paths use.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <optional>
#include <string_view>

#include "ingot/core/error.h"
#include "ingot/core/printed.h"
#include "ingot/io/atomic_file.h"
#include "ingot/io/format.h"
#include "ingot/train/callbacks.h"
#include "ingot/train/monitor.h"
#include "ingot/train/python_format.h"

namespace ingot {
namespace {

// A value as Python writes it under a format: "", "5", "02d", ".2f", "8.3e", "g".
std::string Formatted(double value, bool whole, const std::string& format, const std::string& path) {
  const auto bad = [&](const char* why) {
    Fail("ModelCheckpoint: '", path, "': the format '", format, "' ", why,
         "; {epoch:02d} and {val_loss:.2f} are examples");
  };
  std::string text;
  size_t at = 0;
  const auto digits = [&] {
    int n = 0;
    for (; at < format.size() && format[at] >= '0' && format[at] <= '9'; ++at)
      n = std::min(1000, 10 * n + format[at] - '0');
    if (n > 64) bad("is wider than 64");
    return n;
  };
  const bool zeros = at < format.size() && format[at] == '0';
  const auto width = static_cast<size_t>(digits());
  int precision = -1;
  if (at < format.size() && format[at] == '.') {
    const size_t point = at++;
    precision = digits();
    if (at == point + 1) bad("has no digits behind its point");
  }
  const bool typed = at < format.size();
  const char kind = typed ? format[at++] : whole ? 'd' : 'r';  // r: as repr() has it
  if (at != format.size() || (typed && std::string_view("defgEFG").find(kind) == std::string_view::npos))
    bad("is not known");
  if (kind == 'd' && (!whole || precision >= 0)) bad("is for whole numbers without a precision");
  if (kind == 'd') {
    text = Printed("%lld", static_cast<long long>(value));
  } else if (kind == 'r') {
    text = PythonRepr(value, precision);
  } else {
    const std::string spec = Text("%.*", kind);
    char printed[512];  // 309 digits before the point at most, and 64 behind it
    std::snprintf(printed, sizeof printed, spec.c_str(), precision < 0 ? 6 : precision,
                  std::isnan(value) ? std::fabs(value) : value);
    text = printed;
  }
  if (text.size() < width) text.insert(zeros && text[0] == '-' ? 1 : 0, width - text.size(), zeros ? '0' : ' ');
  return text;
}

class ModelCheckpointCallback : public Callback {
 public:
  ModelCheckpointCallback(const std::string& path, const ModelCheckpointOptions& o)
      : path_(path), o_(o), monitor_("ModelCheckpoint", o.monitor, o.mode) {
    const bool weights_only = !FormatOf(path).read;
    if (o.save_weights_only && !weights_only)
      Fail("ModelCheckpoint: '", path,
           "': save_weights_only needs a file of weights alone: .weights.h5, .safetensors, .npz");
    if (!o.save_weights_only && weights_only)
      Fail("ModelCheckpoint: '", path,
           "' can hold weights alone; set save_weights_only, or save to .ingot, .keras or .h5");
    if (o.save_freq < 0)
      Fail("ModelCheckpoint: save_freq is ", o.save_freq, ", a number of batches or 0 (each epoch) was expected");
    if (!std::isnan(o.initial_value_threshold)) best_ = o.initial_value_threshold;
  }

  void on_epoch_begin(Model&, int epoch) override { epoch_ = epoch; }
  void on_train_batch_end(Model& model, int64_t batch, const Logs& logs) override {
    if (o_.save_freq == 0 || ++since_ < o_.save_freq) return;
    since_ = 0;
    Save(model, batch + 1, logs);
  }
  void on_epoch_end(Model& model, int, const Logs& logs) override {
    if (o_.save_freq == 0) Save(model, 0, logs);
  }
  void on_train_end(Model& model, const Logs&) override { model.wait_for_save(); }

  void state(Fields& f, std::vector<Array>&) override {
    f("checkpoint_epoch", epoch_);
    f("checkpoint_batches", since_);
    StateOf(f, "checkpoint_best", best_);
  }

 private:
  // batch: 0 behind an epoch
  void Save(Model& model, int64_t batch, const Logs& logs) {
    const std::string path = PathFor(batch, logs);
    if (o_.save_best_only) {
      const double value =
          monitor_.Value(model, logs, Text("epoch ", epoch_ + 1, batch ? Text(", batch ", batch) : std::string()));
      if (best_ && !monitor_.Improves(value, *best_)) return;
      best_ = value;
    }
    MakeFolderOf(path);
    model.save(path, {.background = o_.background});
  }

  // {name} and {name:format}; {{ and }} are braces.
  std::string PathFor(int64_t batch, const Logs& logs) const {
    std::string out;
    for (size_t i = 0; i < path_.size(); ++i) {
      const char c = path_[i];
      if (c != '{' && c != '}') {
        out += c;
      } else if (i + 1 < path_.size() && path_[i + 1] == c) {
        out += c, ++i;
      } else {
        const size_t end = path_.find('}', i);
        if (c == '}' || end == path_.npos) Fail("ModelCheckpoint: '", path_, "': a brace at ", i, " has no partner");
        const std::string field = path_.substr(i + 1, end - i - 1);
        const size_t colon = std::min(field.find(':'), field.size());
        const std::string name = field.substr(0, colon);
        const std::string format = colon < field.size() ? field.substr(colon + 1) : "";
        if (name == "epoch")
          out += Formatted(epoch_ + 1, true, format, path_);
        else if (logs.contains(name))
          out += Formatted(logs[name], false, format, path_);
        else if (name == "batch" && batch)
          out += Formatted(static_cast<double>(batch), true, format, path_);
        else
          Fail("ModelCheckpoint: '", path_, "': there is no '", name, "' to put there", Known(batch, logs));
        i = end;
      }
    }
    return out;
  }
  static std::string Known(int64_t batch, const Logs& logs) {
    std::string names = batch ? "; there are: epoch batch" : "; there are: epoch";
    for (const auto& [name, value] : logs) names += " " + name;
    return names;
  }

  std::string path_;
  ModelCheckpointOptions o_;
  Monitor monitor_;
  std::optional<double> best_;
  int epoch_ = 0, since_ = 0;
};

}  // namespace

CallbackPtr ModelCheckpoint(const std::string& path, const ModelCheckpointOptions& options) {
  return std::make_shared<ModelCheckpointCallback>(path, options);
}

}  // namespace ingot
