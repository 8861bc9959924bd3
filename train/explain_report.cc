// SPDX-License-Identifier: MIT
//
// What explain() found, looked up and printed.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "ingot/core/error.h"
#include "ingot/train/explain.h"

namespace ingot {

double Finding::operator[](const std::string& figure) const {
  for (const auto& [key, value] : figures)
    if (key == figure) return value;
  Fail("finding '", name, "' has no figure '", figure, "'");
}

bool Explanation::has(const std::string& name) const {
  return std::any_of(findings.begin(), findings.end(), [&](const Finding& f) { return f.name == name; });
}

const Finding& Explanation::operator[](const std::string& name) const {
  for (const Finding& f : findings)
    if (f.name == name) return f;
  Fail("'", name, "' is not among what was found:\n", str());
}

std::string Explanation::str() const {
  std::string text;
  for (const Finding& f : findings) text += f.text + "\n";
  if (findings.empty()) text = "nothing was found that holds training back\n";
  return text + "(" + watched + ")\n";
}

std::string Explanation::json() const {
  nlohmann::ordered_json json = {{"findings", nlohmann::ordered_json::array()}, {"watched", watched}};
  for (const Finding& f : findings) {
    nlohmann::ordered_json line = {{"name", f.name}, {"text", f.text}};
    for (const auto& [key, value] : f.figures) line["figures"][key] = value;
    json["findings"].push_back(line);
  }
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace ingot
