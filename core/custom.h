// SPDX-License-Identifier: MIT
//
// What a program defines for itself (layers, activations, losses, metrics, optimizers), by name: Keras's
// custom_objects. It is handed to what reads configurations; there is no global registry.
//   CustomObjects custom;
//   custom.add<LayerFactory>("MyLayer", [] { return std::make_shared<MyLayer>(); });
#pragma once

#include <any>
#include <map>
#include <string>
#include <typeindex>
#include <utility>

namespace ingot {

class CustomObjects {
 public:
  template <class T>
  CustomObjects& add(const std::string& name, T value) {
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
