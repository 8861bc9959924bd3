// SPDX-License-Identifier: MIT
//
// The TensorBoard callback, with Keras's folders, tags and steps: train/ and validation/ below the folder, epoch_loss
// by epoch, batch_loss by batch, the model's description as "keras". Beside Keras's: the layers as a graph, and the
// text of the plan. What a fit waits for is a copy of the weights where histograms are asked for, and no more.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "ingot/core/error.h"
#include "ingot/core/trace.h"
#include "ingot/io/event_file.h"
#include "ingot/io/keras_config.h"
#include "ingot/train/fit_position.h"
#include "ingot/train/trainer.h"

namespace ingot {
namespace {

using Clock = std::chrono::steady_clock;

double Since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

std::vector<GraphNode> GraphOf(const Network& network) {
  std::vector<GraphNode> nodes;
  std::vector<std::string> made(network.specs().size()), names;  // by tensor: the node that makes it
  for (const Layer& layer : network.input_layers()) names.push_back(layer.name());
  for (const auto& node : network.nodes()) names.push_back(node.layer.name());
  names = UniqueNames(names);  // a layer that is called twice is two nodes
  size_t next = 0;
  for (const Layer& layer : network.input_layers()) {
    made[next] = names[next];
    nodes.push_back({names[next++], layer.def().class_name(), {}});
  }
  for (const auto& node : network.nodes()) {
    GraphNode drawn{names[next++], node.layer.def().class_name(), {}};
    for (const int in : node.in) drawn.inputs.push_back(made[static_cast<size_t>(in)]);
    for (const int out : node.out) made[static_cast<size_t>(out)] = drawn.name;
    nodes.push_back(std::move(drawn));
  }
  return nodes;
}

// Markdown shows lines that are indented as they are.
std::string AsCode(const std::string& text) {
  std::string code = "    ";
  for (const char c : text) code += c == '\n' ? "\n    " : std::string(1, c);
  return code;
}

// A weight as Keras shows it: rows and columns of a kernel, a picture for each channel of a convolution. The first
// three; others than those that are gray or coloured are left out.
std::vector<std::string> ImagesOf(const std::string& tag, const Shape& shape, const std::vector<float>& values) {
  std::vector<int64_t> dims;
  for (int i = 0; i < shape.rank(); ++i)
    if (shape[i] != 1) dims.push_back(shape[i]);
  // Element (image, y, x, c) lies at the sum of index times stride.
  int64_t count = 1, height = 1, width = 1, channels = 1, by_image = 0, by_y = 0, by_x = 1;
  if (dims.size() == 1) {
    width = dims[0];
  } else if (dims.size() == 2) {
    height = std::min(dims[0], dims[1]), width = std::max(dims[0], dims[1]);
    by_y = dims[0] > dims[1] ? 1 : dims[1], by_x = dims[0] > dims[1] ? dims[1] : 1;
  } else if (dims.size() == 3) {  // Keras takes the last for the images, and the middle for their width
    count = dims[2], height = dims[0], width = dims[1];
    by_image = 1, by_y = dims[1] * dims[2], by_x = dims[2];
  } else if (dims.size() == 4 && (dims[3] == 3 || dims[3] == 4)) {
    count = dims[0], height = dims[1], width = dims[2], channels = dims[3];
    by_image = height * width * channels, by_y = width * channels, by_x = channels;
  } else {
    return {};
  }
  constexpr int64_t kMostImages = 3, kLargest = 4096;
  if (height > kLargest || width > kLargest) return {};
  std::vector<std::string> images;
  count = std::min(count, kMostImages);
  for (int64_t image = 0; image < count; ++image) {
    std::vector<uint8_t> pixels;
    for (int64_t y = 0; y < height; ++y)
      for (int64_t x = 0; x < width; ++x)
        for (int64_t c = 0; c < channels; ++c) {
          const float v = values[static_cast<size_t>(image * by_image + y * by_y + x * by_x + c)];
          pixels.push_back(static_cast<uint8_t>(std::isnan(v) ? 0 : std::clamp(v, 0.0f, 1.0f) * 255));
        }
    images.push_back(ImageValue(count == 1 ? tag + "/image" : Text(tag, "/image/", image), static_cast<int>(width),
                                static_cast<int>(height), static_cast<int>(channels), pixels));
  }
  return images;
}

class TensorBoardCallback : public Callback {
 public:
  TensorBoardCallback(const std::string& folder, const TensorBoardOptions& o) : folder_(folder), o_(o) {
    if (folder.empty()) Fail("TensorBoard: log_dir is empty, a folder was expected");
    if (o.histogram_freq < 0) Fail("TensorBoard: histogram_freq is ", o.histogram_freq, ", 0 or more was expected");
    if (o.update_freq < 0) Fail("TensorBoard: update_freq is ", o.update_freq, ", 0 or more was expected");
  }

  void on_train_begin(Model& model) override {
    validation_.reset();
    train_ = std::make_unique<EventFile>(Below("train"));
    batch_ = 0;
    if (o_.write_graph) WriteGraph(model);
  }

  void on_epoch_begin(Model& model, int) override { epoch_began_ = Clock::now(), epoch_from_ = model.iterations(); }

  void on_train_batch_begin(Model&, int64_t) override { ++batch_, batch_began_ = Clock::now(); }

  void on_train_batch_end(Model&, int64_t, const Logs& logs) override {
    if (!o_.update_freq || batch_ % o_.update_freq) return;
    Logs values = logs;
    if (o_.write_steps_per_second) values.emplace_back("steps_per_second", 1 / Since(batch_began_));
    WriteScalars(*train_, batch_, values, "batch_", "");
  }

  void on_epoch_end(Model& model, int epoch, const Logs& logs) override {
    Logs training, validation;
    for (const auto& [name, value] : logs)
      if (name.starts_with("val_"))
        validation.emplace_back(name.substr(4), value);
      else if (name != "learning_rate")
        training.emplace_back(name, value);
    training.emplace_back("learning_rate", model.learning_rate());
    if (o_.write_steps_per_second)
      training.emplace_back("steps_per_second",
                            static_cast<double>(model.iterations() - epoch_from_) / Since(epoch_began_));
    WriteScalars(*train_, epoch, training, "epoch_", "");
    if (!validation.empty()) {
      if (!validation_) validation_ = std::make_unique<EventFile>(Below("validation"));
      WriteScalars(*validation_, model.iterations(), validation, "evaluation_", "_vs_iterations");
      WriteScalars(*validation_, epoch, validation, "epoch_", "");
    }
    if (o_.histogram_freq && epoch % o_.histogram_freq == 0) WriteWeights(model, epoch);
  }

  void on_train_end(Model&, const Logs&) override {
    if (train_) train_->Wait();
    if (validation_) validation_->Wait();
    train_.reset();
    validation_.reset();
  }

  void state(Fields& f, std::vector<Array>&) override { f("tensorboard_batch", batch_); }

 private:
  std::string Below(const char* name) const { return (std::filesystem::path(folder_) / name).string(); }

  static void WriteScalars(EventFile& file, int64_t step, const Logs& logs, const std::string& before,
                           const std::string& behind) {
    file.Write(step, [=] {
      std::vector<std::string> values;
      for (const auto& [name, value] : logs) values.push_back(ScalarValue(before + name + behind, value));
      return values;
    });
  }

  void WriteGraph(Model& model) {
    train_->WriteGraph(GraphOf(model.network()));
    std::optional<std::string> description;
    try {
      description = NetworkConfigForKeras(model.network()).dump();
    } catch (const Error&) {
      // A model that Keras has no words for is drawn as a graph alone.
    }
    const ModelState& s = model.state();
    const Program* program = nullptr;
    for (const auto& p : s.session.programs_)
      if (p->mode == Mode::kTrain && (!program || p->used > program->used)) program = p.get();
    const std::string plan = program ? AsCode(program->plan->Describe()) : std::string();
    train_->Write(0, [=] {
      std::vector<std::string> values;
      if (description) values.push_back(TextValue("keras", *description, "graph_keras_model"));
      if (!plan.empty()) values.push_back(TextValue("plan", plan, "text"));
      return values;
    });
  }

  // The copy of the time before is done with before this one is made: there is one, however slow the disk is.
  void WriteWeights(Model& model, int epoch) {
    const TraceSpan span(kHistogramsSpan);
    train_->Wait();
    const Layout& layout = model.state().layout;
    if (!copies_) copies_ = std::make_shared<std::vector<Copied>>();
    copies_->resize(layout.variables().size());
    const std::vector<std::string> names = layout.names();
    std::vector<Copy> copying;
    for (size_t i = 0; i < names.size(); ++i) {
      const Variable& v = *layout.variables()[i];
      if (v.dtype != DType::kFloat32) continue;
      Copied& copy = (*copies_)[i];
      copy.tag = names[i];
      copy.shape = v.shape;
      copy.values.resize(static_cast<size_t>(v.shape.count()));
      copying.push_back({copy.values.data(), v.data(), v.bytes()});
    }
    CopyAll(copying);
    train_->Write(epoch, [copies = copies_, images = o_.write_images] {
      std::vector<std::string> values;
      for (const Copied& copy : *copies) {
        if (copy.values.empty()) continue;
        values.push_back(HistogramValue(copy.tag + "/histogram", copy.values));
        if (!images) continue;
        for (std::string& image : ImagesOf(copy.tag, copy.shape, copy.values)) values.push_back(std::move(image));
      }
      return values;
    });
  }

  struct Copied {
    std::string tag;
    Shape shape;
    std::vector<float> values;
  };

  std::string folder_;
  TensorBoardOptions o_;
  std::unique_ptr<EventFile> train_, validation_;
  std::shared_ptr<std::vector<Copied>> copies_;
  int64_t batch_ = 0, epoch_from_ = 0;
  Clock::time_point batch_began_, epoch_began_;
};

}  // namespace

CallbackPtr TensorBoard(const std::string& log_dir, const TensorBoardOptions& options) {
  return std::make_shared<TensorBoardCallback>(log_dir, options);
}

}  // namespace ingot
