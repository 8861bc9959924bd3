// SPDX-License-Identifier: MIT
//
// Model::save and load_model: a model becomes a checkpoint and back. What is loaded goes on training where it stopped.
#include <nlohmann/json.hpp>

#include "ingot/io/format.h"
#include "ingot/train/compile_config.h"
#include "ingot/train/trainer.h"

namespace ingot {
namespace {

void CheckExtension(const std::string& path) {
  if (!path.ends_with(".ingot"))
    Fail(path, ": this format is not supported; models are saved and loaded as .ingot files");
}

}  // namespace

void Model::save(const std::string& path) {
  ModelState& s = state();
  CheckExtension(path);
  if (!s.placed)
    Fail(path, ": model '", name(), "' has no weights yet to save; call fit or predict, or begin with Input({...})");
  Checkpoint c;
  c.network = s.network;
  c.layout = s.layout;
  c.seed = s.seed;
  c.iterations = s.iterations;
  if (s.compiled) {
    c.compile = std::make_shared<Json>(CompileConfig(s.options));
    if (s.slots.size())
      for (const SlotSpec& slot : SlotsOf(s.optimizer().def())) c.slot_names.push_back(slot.name);
  }
  // The checkpoint looks at the slots; it does not own them.
  c.slots = std::shared_ptr<Block>(&s.slots, [](Block*) {});
  WriteIngot(path, c);
}

Model load_model(const std::string& path, const LoadOptions& options) try {
  CheckExtension(path);
  Checkpoint c = ReadIngot(path, options.custom_objects);
  Model model(c.network, {.name = c.network->name, .seed = c.seed});
  ModelState& s = model.state();
  if (c.compile && options.compile) {
    model.compile(CompileOptionsFromConfig(*c.compile, c.network->output_names(), options.custom_objects));
    s.iterations = c.iterations;
    if (c.slots) {
      const std::vector<SlotSpec> slots = SlotsOf(s.optimizer().def());
      bool same = slots.size() == c.slot_names.size();
      for (size_t i = 0; same && i < slots.size(); ++i) same = slots[i].name == c.slot_names[i];
      if (!same)
        Fail(path, ": holds ", c.slot_names.size(), " optimizer slots that are not those of its optimizer ",
             s.optimizer().def().class_name());
      s.slots = std::move(*c.slots);
    }
  }
  return model;
} catch (const Error& e) {  // what is wrong with a layer, a loss, ... of the file is said with the file's name
  if (std::string_view(e.what()).starts_with(path)) throw;
  Fail(path, ": ", e.what());
}

}  // namespace ingot
