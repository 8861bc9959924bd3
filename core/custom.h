// SPDX-License-Identifier: MIT
//
// What a program defines for itself (layers, activations, losses, metrics, optimizers), by name: Keras's
// custom_objects. It is handed to what reads configurations; there is no global registry.
//   CustomObjects custom;
//   custom.add<MyLayer>().add("quick_gelu", QuickGelu());
//   Model model = load_model("m.ingot", {.custom_objects = custom});
#pragma once

#include <any>
#include <map>
#include <memory>
#include <string>
#include <type_traits>
#include <typeindex>
#include <utility>

namespace ingot {

class CustomObjects {
 public:
  // A class of one's own, derived from LayerDef, LossDef, MetricDef, OptimizerDef or ScheduleDef, by the name that it
  // gives itself. Files say its options: it needs a constructor without arguments.
  template <class Def>
  CustomObjects& add() {
    return add<typename Def::Factory>(Def().class_name(), [] { return std::make_shared<Def>(); });
  }
  // An object: an Activation, a Loss, a Metric, an Initializer; or a factory of a class under another name.
  template <class T>
  CustomObjects& add(const std::string& name, T value) {
    static_assert(!std::is_empty_v<T>,
                  "a lambda has a type of its own and is not found again: add<MyClass>(), or "
                  "add<LayerFactory>(name, lambda)");
    objects_.insert_or_assign({std::type_index(typeid(T)), name}, std::move(value));
    return *this;
  }
  template <class T>
  const T* find(const std::string& name) const {
    const auto found = objects_.find({std::type_index(typeid(T)), name});
    return found == objects_.end() ? nullptr : std::any_cast<T>(&found->second);
  }

 private:
  std::map<std::pair<std::type_index, std::string>, std::any> objects_;
};

}  // namespace ingot
