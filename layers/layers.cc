// SPDX-License-Identifier: MIT
#include "ingot/layers/layers.h"

#include <nlohmann/json.hpp>

namespace ingot {
namespace {

constexpr const LayerClass* kAll[] = {
#define X(name) &k##name##Class,
    INGOT_LAYERS(X)
#undef X
};

// "float32", or Keras 3's policy object around it.
void CheckDType(Fields& f, const std::string& where) {
  const Json& dtype = f.raw("dtype");
  const Json* name = &dtype;
  if (dtype.is_object() && dtype.contains("config") && dtype["config"].is_object() && dtype["config"].contains("name"))
    name = &dtype["config"]["name"];
  if (name->is_null()) return;
  const std::string text = name->is_string() ? name->get<std::string>() : "";
  for (const char* known : {"float32", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16"})
    if (text == known) return;
  Fail(where, ": dtype ", name->dump(),
       " is not supported; ingot computes in float32, also what was written in 16 bits");
}

}  // namespace

std::span<const LayerClass* const> AllLayers() { return kAll; }

Layer LayerFromConfig(const std::string& class_name, const Json& config, const CustomObjects* custom) {
  std::shared_ptr<LayerDef> def;
  if (const LayerFactory* factory = custom ? custom->find<LayerFactory>(class_name) : nullptr) {
    def = (*factory)();
  } else {
    for (const LayerClass* c : kAll)
      if (class_name == c->name) def = c->make();
  }
  std::string name = config.is_object() && config.contains("name") && config["name"].is_string()
                         ? config["name"].get<std::string>()
                         : "";
  if (!def)
    Fail("layer '", name, "' is of class '", class_name,
         "', which ingot does not know; derive it from LayerDef and add it to ",
         "custom objects, or ask for the weights only");
  const std::string where = "layer '" + name + "' (" + class_name + ")";
  Fields f = Fields::Reader(config, where, custom);
  f.seen("name");
  if (class_name != "InputLayer") {
    CheckDType(f, where);
    f.ignore("batch_input_shape");  // Keras 2 notes with every layer what the first was given
  }
  f("trainable", def->trainable);
  Regularizer activity;  // any layer may have one
  f("activity_regularizer", activity);
  if (activity.any()) def->activity = activity;
  def->fields(f);
  f.Finish();
  def->name = name;
  def->named_by_user = !name.empty();
  return Layer(std::move(def));
}

Json LayerConfig(LayerDef& def) {
  Json config;
  Fields f = Fields::Writer(config, def.label());
  f("name", def.name);
  if (def.class_name() != "InputLayer") f("trainable", def.trainable);
  def.fields(f);
  if (def.activity.any() && def.class_name() != "ActivityRegularization") {
    Regularizer activity("L1L2", def.activity.l1, def.activity.l2);
    f("activity_regularizer", activity);
  }
  return config;
}

}  // namespace ingot
