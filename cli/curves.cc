// SPDX-License-Identifier: MIT
#include "ingot/cli/curves.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>

#include "ingot/core/error.h"
#include "ingot/core/fields.h"
#include "ingot/core/plural.h"
#include "ingot/io/json.h"

namespace ingot {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
constexpr size_t kMostBytes = size_t{1} << 28;

std::string ReadText(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) Fail(path, ": cannot be opened; a history (.json) or a log (.csv) was expected");
  std::string text;
  for (char buffer[1 << 16]; in.read(buffer, sizeof buffer) || in.gcount();) {
    text.append(buffer, static_cast<size_t>(in.gcount()));
    if (text.size() > kMostBytes) Fail(path, ": is larger than ", kMostBytes >> 20, " MiB; no history is");
  }
  return text;
}

// JSON has no NaN: ingot writes null; Python writes NaN, which ParseJson refuses and says where.
Curves FromJson(const std::string& path, const std::string& text) {
  const Json json = ParseJson(text, path);
  if (!json.is_object()) Fail(path, ": is no history: an object of lists by metric was expected");
  Curves curves;
  for (const auto& item : json.items()) {
    if (!item.value().is_array()) Fail(path, ": '", item.key(), "' is no list of numbers");
    std::vector<double> values;
    for (const Json& value : item.value()) {
      if (!value.is_number() && !value.is_null()) Fail(path, ": '", item.key(), "' holds what is no number");
      values.push_back(value.is_null() ? kNone : value.get<double>());
    }
    curves.values.emplace_back(item.key(), std::move(values));
  }
  return curves;
}

// The fields of a line; quotes are doubled within quotes.
std::vector<std::string> Split(const std::string& line, char separator) {
  std::vector<std::string> fields(1);
  bool quoted = false;
  for (size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (c == '"') {
      if (quoted && i + 1 < line.size() && line[i + 1] == '"')
        fields.back() += line[++i];
      else
        quoted = !quoted;
    } else if (c == separator && !quoted) {
      fields.emplace_back();
    } else {
      fields.back() += c;
    }
  }
  return fields;
}

Curves FromCsv(const std::string& path, const std::string& text) {
  std::vector<std::string> lines(1);
  for (const char c : text)
    if (c == '\n')
      lines.emplace_back();
    else if (c != '\r')
      lines.back() += c;
  while (!lines.empty() && lines.back().empty()) lines.pop_back();
  if (lines.empty()) Fail(path, ": is empty; a header and a line for each epoch were expected");
  const char separator = lines[0].find(';') != std::string::npos    ? ';'
                         : lines[0].find('\t') != std::string::npos ? '\t'
                                                                    : ',';
  const std::vector<std::string> names = Split(lines[0], separator);
  Curves curves;
  for (const std::string& name : names) curves.values.push_back({name, {}});
  for (size_t i = 1; i < lines.size(); ++i) {
    const std::vector<std::string> fields = Split(lines[i], separator);
    if (fields.size() != names.size())
      Fail(path, ", line ", i + 1, ": holds ", Counted(fields.size(), "field"), ", the header ", names.size());
    for (size_t k = 0; k < fields.size(); ++k) {
      double value = kNone;
      if (!fields[k].empty() && fields[k] != "NA") {
        char* end = nullptr;
        value = std::strtod(fields[k].c_str(), &end);
        if (*end) Fail(path, ", line ", i + 1, ": '", fields[k].substr(0, 40), "' is no number");
      }
      curves.values[k].second.push_back(value);
    }
  }
  const auto epoch =
      std::find_if(curves.values.begin(), curves.values.end(), [](const auto& v) { return v.first == "epoch"; });
  if (epoch != curves.values.end()) {
    curves.epoch = epoch->second;
    curves.values.erase(epoch);
  }
  return curves;
}

bool Any(const std::vector<double>& values) {
  return std::any_of(values.begin(), values.end(), [](double v) { return std::isfinite(v); });
}

}  // namespace

Curves ReadCurves(const std::string& path) {
  const std::string text = ReadText(path);
  if (path.ends_with(".json")) return FromJson(path, text);
  if (path.ends_with(".csv")) return FromCsv(path, text);
  Fail(path, ": neither .json, a history, nor .csv, a log");
}

std::vector<LineChart> ChartsOf(const Curves& curves, const std::vector<std::string>& only) {
  std::vector<LineChart> charts;
  std::string known;
  for (const auto& [name, values] : curves.values) {
    const bool validation = name.starts_with("val_");
    const std::string metric = validation ? name.substr(4) : name;
    if (!validation) known += (known.empty() ? "" : ", ") + metric;
    if (!only.empty() && std::find(only.begin(), only.end(), metric) == only.end()) continue;
    if (!Any(values)) continue;
    const bool by_batch = name == "batch_loss";
    auto chart = std::find_if(charts.begin(), charts.end(), [&](const LineChart& c) { return c.title == metric; });
    if (chart == charts.end()) chart = charts.insert(chart, {metric, by_batch ? "batch" : "epoch", {}});
    Series line{validation ? "validation" : "training", {}, values};
    for (size_t i = 0; i < values.size(); ++i) {
      const bool counted = !by_batch && i < curves.epoch.size();
      line.x.push_back(counted ? curves.epoch[i] : static_cast<double>(i));
    }
    chart->lines.push_back(std::move(line));
  }
  if (charts.empty())
    Fail("nothing to plot: ",
         known.empty() ? "no values were logged" : "none of the metrics asked for is among " + known);
  return charts;
}

std::string Column(const std::vector<LineChart>& charts, int width, int height) {
  const int whole = height * static_cast<int>(charts.size());
  std::string svg = Text("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 ", width, " ", whole, "\" width=\"",
                         width, "\" height=\"", whole, "\">\n");
  for (size_t i = 0; i < charts.size(); ++i)
    svg += Text("<g transform=\"translate(0 ", height * static_cast<int>(i), ")\">\n", Draw(charts[i], width, height),
                "</g>\n");
  return svg + "</svg>\n";
}

}  // namespace ingot
