// SPDX-License-Identifier: MIT
#include "ingot/cli/curves.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>

#include "ingot/cli/output.h"
#include "ingot/core/error.h"
#include "ingot/core/fields.h"
#include "ingot/core/plural.h"
#include "ingot/io/csv.h"
#include "ingot/io/json.h"
#include "ingot/io/text_file.h"

namespace ingot {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
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

// A field for a message: short, and with what would end or garble it as text.
std::string Shown(const std::string& field) { return "'" + Printable(field.substr(0, 40)) + "'"; }

Curves FromCsv(const std::string& path, const std::string& text) {
  const size_t end = text.find_last_not_of("\r\n") + 1;  // of the last line
  if (end == 0) Fail(path, ": is empty; a header and a line for each epoch were expected");
  const std::string_view lines = std::string_view(text).substr(0, end);
  const std::string_view first = lines.substr(0, lines.find('\n'));
  const char separator = first.find(';') != first.npos ? ';' : first.find('\t') != first.npos ? '\t' : ',';
  size_t at = 0, line = 1;
  const std::vector<std::string> names = NextCsvRecord(lines, at, separator);
  Curves curves;
  for (const std::string& name : names) curves.values.push_back({name, {}});
  for (size_t counted = 0; at < lines.size();) {
    line += static_cast<size_t>(
        std::count(lines.begin() + static_cast<ptrdiff_t>(counted), lines.begin() + static_cast<ptrdiff_t>(at), '\n'));
    counted = at;
    const std::vector<std::string> fields = NextCsvRecord(lines, at, separator);
    if (fields.size() != names.size())
      Fail(path, ", line ", line, ": holds ", Counted(fields.size(), "field"), ", the header ", names.size());
    for (size_t k = 0; k < fields.size(); ++k) {
      const std::string& field = fields[k];
      double value = kNone;
      if (!field.empty() && field != "NA") {
        char* stopped = nullptr;  // at a NUL too, which is within the field then
        value = std::strtod(field.c_str(), &stopped);
        if (stopped == field.c_str() || stopped != field.c_str() + field.size())
          Fail(path, ", line ", line, ": ", Shown(field), " is no number");
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
  const std::string text = ReadTextFile(path, "a history (.json) or a log (.csv)");
  if (path.ends_with(".json")) return FromJson(path, text);
  if (path.ends_with(".csv")) return FromCsv(path, text);
  Fail(path, ": neither .json, a history, nor .csv, a log");
}

std::vector<LineChart> ChartsOf(const Curves& curves, const std::vector<std::string>& only) {
  std::vector<LineChart> charts;
  std::string known;
  std::vector<std::string> missing = only;
  for (const auto& [name, values] : curves.values) {
    const bool validation = name.starts_with("val_");
    const std::string metric = validation ? name.substr(4) : name;
    if (!validation) known += (known.empty() ? "" : ", ") + metric;
    std::erase(missing, metric);
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
  if (!missing.empty())
    Fail("nothing to plot: no '", missing[0], "' was logged; there are: ", known.empty() ? "none" : known);
  if (charts.empty()) Fail("nothing to plot: no finite values were logged", known.empty() ? "" : " of " + known);
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
