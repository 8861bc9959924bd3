// SPDX-License-Identifier: MIT
#include "ingot/core/fields.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "ingot/core/error.h"

namespace ingot {
namespace {

std::string Shown(const Json& value) {
  std::string text = value.dump();
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

// An object of Keras's by its class, which says more than the beginning of its JSON.
std::string ShownByClass(const Json& value) {
  if (!value.is_object() || !value.contains("class_name") || !value["class_name"].is_string()) return Shown(value);
  std::string name = value["class_name"].get<std::string>();
  if (name == "function" && value.contains("config") && value["config"].is_string())
    name = value["config"].get<std::string>();
  return name.size() > 60 ? name.substr(0, 57) + "..." : name;
}

bool AsInt(const Json& value, int64_t& v) {
  if (value.is_number_unsigned() && value.get<uint64_t>() > uint64_t{INT64_MAX}) return false;
  if (value.is_number_integer()) return v = value.get<int64_t>(), true;
  if (!value.is_number_float()) return false;
  const double d = value.get<double>();
  if (d != std::floor(d) || std::fabs(d) > 9e15) return false;
  return v = static_cast<int64_t>(d), true;
}

// Whether a float32 can stand for it: one too large would become infinite.
bool FitsFloat(double v) { return std::isfinite(static_cast<float>(v)); }

bool Flatten(const Json& value, std::vector<float>& v, int depth = 0) {
  if (value.is_number()) return v.push_back(value.get<float>()), FitsFloat(value.get<double>());
  if (!value.is_array() || depth > kMaxRank) return false;
  return std::all_of(value.begin(), value.end(), [&](const Json& item) { return Flatten(item, v, depth + 1); });
}

}  // namespace

// As nlohmann's parser has it: no overlong forms, no surrogates, nothing above U+10FFFF.
bool IsUtf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto byte = [&](size_t k) { return i + k < text.size() ? static_cast<unsigned char>(text[i + k]) : 0u; };
    const unsigned first = byte(0);
    const size_t more = first < 0x80   ? 0
                        : first < 0xC2 ? 4
                        : first < 0xE0 ? 1
                        : first < 0xF0 ? 2
                        : first < 0xF5 ? 3
                                       : 4;
    if (more == 4) return false;
    for (size_t k = 1; k <= more; ++k)
      if ((byte(k) & 0xC0) != 0x80) return false;
    if ((first == 0xE0 && byte(1) < 0xA0) || (first == 0xED && byte(1) > 0x9F) || (first == 0xF0 && byte(1) < 0x90) ||
        (first == 0xF4 && byte(1) > 0x8F))
      return false;
    i += more + 1;
  }
  return true;
}

Fields Fields::Writer(Json& config, std::string where) {
  Fields f;
  f.where_ = std::move(where);
  config = Json::object();
  f.out_ = &config;
  return f;
}

Fields Fields::Reader(const Json& config, std::string where, const CustomObjects* custom) {
  Fields f;
  f.custom_ = custom;
  f.in_ = &config;
  f.where_ = std::move(where);
  if (!config.is_object()) Fail(f.where_, ": its config is ", Shown(config), ", an object was expected");
  return f;
}

const Json* Fields::find(const char* key) {
  seen(key);
  const auto found = in_->find(key);
  return found == in_->end() ? nullptr : &*found;
}

void Fields::seen(const char* key) {
  if (std::find(seen_.begin(), seen_.end(), key) == seen_.end()) seen_.emplace_back(key);
}

bool Fields::has(const char* key) const {
  if (!in_) return false;
  const auto found = in_->find(key);
  return found != in_->end() && !found->is_null();
}

void Fields::fail(const char* key, const std::string& expected) const {
  const auto found = in_ ? in_->find(key) : Json::const_iterator{};
  Fail(where_, ": '", key, "' is ", in_ && found != in_->end() ? Shown(*found) : "missing", ", ", expected,
       " was expected");
}

void Fields::finite(const char* key, double v) const {
  if (!std::isfinite(v))
    Fail(where_, where_.empty() ? "" : ": ", "'", key, "' is ", v, ", a finite number was expected");
}

void Fields::null(const char* key) {
  if (!reading()) return void((*out_)[key] = nullptr);
  seen(key);
  if (has(key))
    Fail(where_, ": '", key, "' is ", ShownByClass(*in_->find(key)),
         ", which ingot does not support; save the model without it");
}

const Json& Fields::raw(const char* key) {
  static const Json none;
  const Json* value = find(key);
  return value ? *value : none;
}

Json& Fields::raw_out() { return *out_; }

void Fields::operator()(const char* key, bool& v) {
  if (!reading()) return void((*out_)[key] = v);
  const Json* value = find(key);
  if (!value) return;
  if (value->is_boolean())
    v = value->get<bool>();
  else if (int64_t n; AsInt(*value, n) && (n == 0 || n == 1))
    v = n == 1;
  else
    fail(key, "true or false");
}

void Fields::operator()(const char* key, int64_t& v) {
  if (!reading()) return void((*out_)[key] = v);
  const Json* value = find(key);
  if (value && !AsInt(*value, v)) fail(key, "a whole number");
}

void Fields::operator()(const char* key, int& v) {
  int64_t wide = v;
  (*this)(key, wide);
  if (wide < std::numeric_limits<int>::min() || wide > std::numeric_limits<int>::max())
    fail(key, "a number that fits into 32 bits");
  v = static_cast<int>(wide);
}

void Fields::operator()(const char* key, double& v) {
  if (!reading()) return finite(key, v), void((*out_)[key] = v);
  const Json* value = find(key);
  if (!value) return;
  if (!value->is_number()) fail(key, "a number");
  v = value->get<double>();
}

// A float is written as the shortest decimal that reads back as the same float: 0.001, not 0.0010000000474974513.
void Fields::operator()(const char* key, float& v) {
  if (reading()) {
    double wide = static_cast<double>(v);
    (*this)(key, wide);
    if (!FitsFloat(wide)) fail(key, "a number within the range of a float32");
    v = static_cast<float>(wide);
    return;
  }
  finite(key, static_cast<double>(v));
  char text[32];
  for (int digits = 6; digits <= 9; ++digits) {
    std::snprintf(text, sizeof text, "%.*g", digits, static_cast<double>(v));
    if (std::strtof(text, nullptr) == v) break;
  }
  (*out_)[key] = std::strtod(text, nullptr);
}

void Fields::operator()(const char* key, std::string& v) {
  if (!reading()) {
    if (!IsUtf8(v)) Fail(where_, where_.empty() ? "" : ": ", "'", key, "' is not UTF-8");
    return void((*out_)[key] = v);
  }
  const Json* value = find(key);
  if (!value) return;
  if (!value->is_string()) fail(key, "a string");
  v = value->get<std::string>();
}

void Fields::operator()(const char* key, std::vector<int64_t>& v) {
  if (!reading()) return void((*out_)[key] = v);
  const Json* value = find(key);
  if (!value) return;
  v.clear();
  int64_t n = 0;
  if (AsInt(*value, n)) return v.push_back(n);
  if (!value->is_array()) fail(key, "a list of whole numbers");
  for (const Json& item : *value) {
    if (!AsInt(item, n)) fail(key, "a list of whole numbers");
    v.push_back(n);
  }
}

void Fields::operator()(const char* key, std::vector<float>& v) {
  if (!reading()) {
    for (const float item : v) finite(key, static_cast<double>(item));
    return void((*out_)[key] = v);
  }
  const Json* value = find(key);
  if (!value) return;
  v.clear();
  if (!Flatten(*value, v)) fail(key, "a list of numbers within the range of a float32");
}

void Fields::operator()(const char* key, Shape& v) {
  if (!reading()) {
    Json list = Json::array();
    for (const int64_t dim : v) list.push_back(dim == kNone ? Json(nullptr) : Json(dim));
    (*out_)[key] = list;
    return;
  }
  const Json* value = find(key);
  if (!value) return;
  if (!value->is_array() || value->size() > kMaxRank) fail(key, "a shape of at most 8 axes");
  v = Shape();
  for (const Json& item : *value) {
    int64_t dim = kNone;
    if (!item.is_null() && (!AsInt(item, dim) || dim < -1)) fail(key, "a shape");
    v.push_back(dim);
  }
}

void Fields::object(const char* key, std::string& class_name, const std::string& module,
                    const std::function<void(Fields&)>& body, bool as_name) {
  if (!reading()) {
    if (class_name.empty() || as_name) {
      (*out_)[key] = class_name.empty() ? Json(nullptr) : Json(class_name);
      return;
    }
    Json config;
    Fields child = Writer(config, where_);
    body(child);
    (*out_)[key] = {{"module", module}, {"class_name", class_name}, {"config", config}, {"registered_name", nullptr}};
    return;
  }
  const Json* value = find(key);
  if (!value) return;
  if (value->is_null()) return class_name.clear();
  Json config = Json::object();
  if (value->is_string()) {
    class_name = value->get<std::string>();
  } else if (value->is_object() && value->contains("class_name") && (*value)["class_name"].is_string()) {
    class_name = (*value)["class_name"].get<std::string>();
    if (class_name == "function" && value->contains("config") && (*value)["config"].is_string())
      class_name = (*value)["config"].get<std::string>();  // {"class_name": "function", "config": "relu"}
    else if (value->contains("config") && (*value)["config"].is_object())
      config = (*value)["config"];
    else if (value->contains("config") && !(*value)["config"].is_null())
      fail(key, "a name or an object with class_name and a config that is an object");
  } else {
    fail(key, "a name or an object with class_name and config");
  }
  Fields child = Reader(config, where_ + ", " + key + " '" + class_name + "'", custom_);
  body(child);
  child.Finish();
}

void Fields::each(const char* key, size_t& count, const std::function<void(Fields&, size_t)>& body) {
  if (!reading()) {
    Json list = Json::array();
    for (size_t i = 0; i < count; ++i) {
      Json item;
      Fields child = Writer(item, where_);
      body(child, i);
      list.push_back(std::move(item));
    }
    (*out_)[key] = std::move(list);
    return;
  }
  const Json* value = find(key);
  count = 0;
  if (!value || value->is_null()) return;
  if (!value->is_array()) fail(key, "a list");
  for (const Json& item : *value) {
    Fields child = Reader(item, where_ + ", " + key + "[" + std::to_string(count) + "]", custom_);
    body(child, count++);
    child.Finish();
  }
}

void Fields::Finish() {
  if (!reading()) return;
  for (const auto& [key, value] : in_->items())
    if (!value.is_null() && std::find(seen_.begin(), seen_.end(), key) == seen_.end())
      Fail(where_, ": option '", key, "' = ", ShownByClass(value), " is not supported; save the model without it");
}

}  // namespace ingot
