// SPDX-License-Identifier: MIT
//
// Fields writes and reads the configuration of an object from one description of it:
//   void fields(Fields& f) { f("units", units); f("activation", activation); }
// The same lines make Keras's JSON and read it back. Reading, a key that is absent leaves the default; a key that
// nobody asked for and that is not null is an Error, so an option that ingot lacks is never ignored in silence.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "ingot/core/custom.h"
#include "ingot/core/types.h"

namespace ingot {

using Json = nlohmann::ordered_json;

// Whether a text is UTF-8, as names in JSON must be.
bool IsUtf8(std::string_view text);

class Fields {
 public:
  // Writes into `config`, or reads from it; `where` begins messages ("layer 'dense_1'").
  static Fields Writer(Json& config, std::string where = "");
  static Fields Reader(const Json& config, std::string where, const CustomObjects* custom = nullptr);

  bool reading() const { return in_ != nullptr; }
  const std::string& where() const { return where_; }
  const CustomObjects* custom() const { return custom_; }
  bool has(const char* key) const;  // reading: there and not null

  void operator()(const char* key, bool& v);
  void operator()(const char* key, int& v);
  void operator()(const char* key, int64_t& v);
  void operator()(const char* key, float& v);  // finite: JSON has nothing else
  void operator()(const char* key, double& v);
  void operator()(const char* key, std::string& v);
  void operator()(const char* key, std::vector<int64_t>& v);  // a single number reads as a list of one
  void operator()(const char* key, std::vector<float>& v);    // lists within lists are read flat
  void operator()(const char* key, Shape& v);                 // None is null

  // Absent is null.
  template <class T>
  void operator()(const char* key, std::optional<T>& v) {
    if (reading()) {
      seen(key);
      if (!has(key)) return v.reset();
      if (!v) v.emplace();
      (*this)(key, *v);
    } else if (v) {
      (*this)(key, *v);
    } else {
      null(key);
    }
  }

  // Types that say themselves how they are written: void Describe(Fields&, const char* key, T&).
  template <class T>
  requires requires(Fields& f, T& v) { Describe(f, "", v); }
  void operator()(const char* key, T& v) { Describe(*this, key, v); }

  // An object of Keras's: {"module", "class_name", "config"}. Reading sets class_name (a bare string names a class
  // with its defaults, null gives ""), then `body` reads the config of that class. `as_name` writes the bare string.
  void object(const char* key, std::string& class_name, const std::string& module,
              const std::function<void(Fields&)>& body, bool as_name = false);
  // A list of such objects, or of anything.
  void each(const char* key, size_t& count, const std::function<void(Fields&, size_t)>& body);
  // Bounds and such, as text for messages.
  [[noreturn]] void fail(const char* key, const std::string& expected) const;

  void null(const char* key);                  // writes null; reading, an Error unless it is null or absent
  void seen(const char* key);                  // reading: the key is known
  void ignore(const char* key) { seen(key); }  // known, without meaning here
  const Json& raw(const char* key);            // reading
  Json& raw_out();                             // writing: the whole object

  void Finish();  // reading: Error if a key remains that nobody asked for

 private:
  const Json* find(const char* key);
  void finite(const char* key, double v) const;

  Json* out_ = nullptr;
  const Json* in_ = nullptr;
  const CustomObjects* custom_ = nullptr;
  std::string where_;
  std::vector<std::string> seen_;
};

}  // namespace ingot
