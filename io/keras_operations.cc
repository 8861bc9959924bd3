// SPDX-License-Identifier: MIT
#include "ingot/io/keras_operations.h"

#include <nlohmann/json.hpp>
#include <string>

#include "ingot/core/error.h"

namespace ingot {
namespace {

constexpr const char* kModule = "keras.src.ops.numpy";

std::string TextAt(const Json& object, const char* key) {
  return object.is_object() && object.contains(key) && object[key].is_string() ? object[key].get<std::string>() : "";
}

std::string Brief(const Json& object, const char* key) {
  return object.contains(key) ? object[key].dump().substr(0, 80) : "missing";
}

bool IsTensor(const Json& argument) { return TextAt(argument, "class_name") == "__keras_tensor__"; }

// The positional arguments of the only call, if that is how Keras 3 writes one.
const Json* ArgumentsOfCall(const Json& entry) {
  if (!entry.is_object() || !entry.contains("inbound_nodes")) return nullptr;
  const Json& calls = entry["inbound_nodes"];
  if (!calls.is_array() || calls.size() != 1 || !calls[0].is_object() || !calls[0].contains("args")) return nullptr;
  const Json& args = calls[0]["args"];
  return args.is_array() ? &args : nullptr;
}

decltype(Operation::numbers) NumbersOf(const Json& entry, const std::string& where) {
  decltype(Operation::numbers) numbers;
  const Json* args = ArgumentsOfCall(entry);
  if (!args || args->size() != numbers.size())
    Fail(where, ": must be called once, with two arguments; its calls are ", Brief(entry, "inbound_nodes"));
  const Json& call = entry["inbound_nodes"][0];
  if (call.contains("kwargs") && !call["kwargs"].empty())
    Fail(where, ": takes two arguments and no more, these came: ", Brief(call, "kwargs"));
  for (size_t i = 0; i < numbers.size(); ++i) {
    const Json& argument = (*args)[i];
    if (argument.is_number())
      numbers[i] = argument.get<double>();
    else if (!IsTensor(argument))
      Fail(where, ": takes tensors and numbers, one argument is ", argument.dump().substr(0, 80));
  }
  return numbers;
}

}  // namespace

bool IsOperation(const Json& entry) {
  const std::string module = TextAt(entry, "module");
  if (!module.empty()) return module.starts_with("keras.src.ops.") || module.starts_with("keras.ops.");
  // A layer would take its tensors as one list, an operation takes two arguments.
  const Json* args = ArgumentsOfCall(entry);
  return args && args->size() == 2 && Operation::Named(TextAt(entry, "class_name"));
}

std::shared_ptr<Operation> ReadOperation(const Json& entry) {
  const std::string kind = TextAt(entry, "class_name"), name = TextAt(entry, "name");
  if (kind == "Concatenate" || kind == "Softmax") return nullptr;
  const std::string where = "operation '" + name + "' (" + kind + ")";
  auto operation = Operation::Named(kind);
  if (!operation)
    Fail(where, ": ingot does not know it, only sums, differences, products, quotients, maxima and minima, ",
         "Concatenate and Softmax; put a layer in its place");
  operation->name = name;
  operation->named_by_user = !name.empty();
  operation->numbers = NumbersOf(entry, where);
  return operation;
}

Json WriteOperation(const Operation& operation) {
  return {{"module", kModule},
          {"class_name", operation.class_name()},
          {"config", {{"name", operation.name}}},
          {"registered_name", operation.class_name()}};
}

Json ArgumentsOf(const Operation& operation, const Json& tensors) {
  Json args = Json::array();
  size_t next = 0;
  for (const auto& number : operation.numbers) args.push_back(number ? Json(*number) : tensors[next++]);
  return args;
}

}  // namespace ingot
