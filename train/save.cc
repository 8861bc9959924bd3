// SPDX-License-Identifier: MIT
//
// Model::save, load_weights and load_model: a model becomes a checkpoint and back, whatever the format. What is loaded
// goes on training where it stopped.
#include <nlohmann/json.hpp>

#include "ingot/io/format.h"
#include "ingot/train/compile_config.h"
#include "ingot/train/fit_position.h"
#include "ingot/train/selftest.h"
#include "ingot/train/trainer.h"

namespace ingot {
namespace {

// The checkpoint looks at the model's slots; it does not own them.
Checkpoint CheckpointOf(ModelState& s) {
  s.CheckFile();  // what is still in the file it was loaded from is about to be read
  Checkpoint c;
  c.network = s.network;
  c.layout = s.layout;
  c.seed = s.seed;
  c.iterations = s.iterations;
  if (!s.compiled) return c;
  c.compile = std::make_shared<Json>(CompileConfig(s.options, s.network->outputs().size()));
  c.optimizer = s.optimizer().ptr();
  if (!c.optimizer->learning_rate.schedule()) {
    c.learning_rate = s.LearningRate();
    (*c.compile)["optimizer"]["config"]["learning_rate"] = *c.learning_rate;
  }
  s.FillSlots();
  if (s.slots.size()) c.slots = std::shared_ptr<Block>(&s.slots, [](Block*) {});
  if (s.run) c.fit = PositionOf(s, *s.run);
  return c;
}

void TakeState(ModelState& s, Checkpoint& c) {
  s.position = c.fit;
  if (!c.has_state) return;
  s.iterations = c.iterations;
  if (c.learning_rate && !s.optimizer().def().learning_rate.schedule()) s.learning_rate = c.learning_rate;
  s.slots = c.slots ? std::move(*c.slots) : Block();  // none: as they begin
  s.slots_ready = false;
  s.pending = std::move(c.pending);
}

// Runs f; what is wrong with a layer, a loss, ... of the file is said with the file's name.
template <class F>
auto WithPath(const std::string& path, const F& f) {
  try {
    return f();
  } catch (const Error& e) {
    if (std::string_view(e.what()).starts_with(path)) throw;
    Fail(path, ": ", e.what());
  } catch (const Json::exception& e) {  // a name of a metric or of a weight, say, that is no text
    Fail(path, ": what describes the model cannot be written as JSON: ", e.what());
  }
}

}  // namespace

void Model::save(const std::string& path, const SaveOptions& options) {
  ModelState& s = state();
  const Format& format = FormatOf(path);
  s.EnsurePlaced();
  if (!s.placed)
    Fail(path, ": model '", name(), "' has no weights yet to save; call fit or predict, or begin with Input({...})");
  if (options.self_test && std::string_view(format.extension) != ".ingot")
    Fail(path, ": only an .ingot file holds a self-test; save to one, or without");
  s.background.Wait();
  const Writing writing = WithPath(path, [&] {
    Checkpoint c = CheckpointOf(s);
    if (options.self_test) c.self_test = NoteSelfTest(*this);
    if (options.background) s.background.Copy(c, s.pool ? *s.pool : ThreadPool::Default());
    return format.write(path, c);
  });
  const auto write = [path, writing] { WithPath(path, writing); };
  options.background ? s.background.Start(write) : write();
}

void Model::wait_for_save() { state().background.Wait(); }

Model load_model(const std::string& path, const LoadOptions& options) {
  return WithPath(path, [&] {
    const Format& format = FormatOf(path);
    if (!format.read) Fail(path, ": holds weights alone; make the model, then load_weights");
    Checkpoint c = format.read(path, {&options.custom_objects, options.compile, options.mode, options.report});
    const PhaseTimer phase(options.report, "compile");
    // A file that does not say its seed (Keras's own) leaves it to the process, as for a new model.
    Model model(c.network, {.name = c.network->name, .seed = c.seed});
    model.state().Adopt(c.image);
    if (c.compile) {
      model.compile(CompileOptionsFromConfig(*c.compile, c.network->output_names(), &options.custom_objects));
      TakeState(model.state(), c);
    }
    model.state().why_not_compiled = c.why_not_compiled;
    return model;
  });
}

std::vector<std::string> Model::load_weights(const std::string& path, const WeightOptions& options) {
  ModelState& s = state();
  if (!s.placed && !s.network->has_calls())
    Fail(path, ": model '", name(),
         "' has no weights yet to load into; begin with Input({...}), or call predict first");
  return WithPath(path, [&] {
    const Format& format = FormatOf(path);
    const std::string_view extension = format.extension;
    if (options.pytorch && extension != ".safetensors" && extension != ".npz")
      Fail(path, ": weights in PyTorch's layouts are read from .safetensors and .npz alone; load it without `pytorch`");
    const bool copy = options.mode == LoadMode::kRead || options.pytorch || options.skip_mismatch;
    if (options.skip_mismatch) s.Adopt(nullptr);  // what is skipped has its first values
    if (copy && s.placed) s.LeaveFile();
    Checkpoint c;
    c.network = s.network;
    c.layout = s.placed ? s.layout : Layout(Layer(s.network).variables());
    c.skip_mismatch = options.skip_mismatch;
    if (s.compiled && !c.skip_mismatch) c.optimizer = s.optimizer().ptr();
    c.iterations = s.iterations;
    // What is copied at once is best read from the file's pages.
    const LoadMode mode = copy ? LoadMode::kShare : options.mode;
    format.read_weights(path, {.mode = mode, .copy = copy, .pytorch = options.pytorch}, c);
    s.Adopt(c.image);
    if (s.compiled) TakeState(s, c);
    return c.skipped;
  });
}

}  // namespace ingot
