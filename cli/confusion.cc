// SPDX-License-Identifier: MIT
#include "ingot/cli/confusion.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <vector>

#include "ingot/core/error.h"
#include "ingot/core/plural.h"
#include "ingot/io/svg.h"
#include "ingot/train/losses.h"
#include "ingot/train/trainer.h"

namespace ingot {
namespace {

constexpr int64_t kMostClasses = 40;  // of a matrix that is still read

std::string Paragraph(const std::string& text) { return "<p>" + Escaped(text) + "</p>\n"; }

// A row as numbers, whatever it is kept as.
std::vector<double> RowOf(const Array& a, int64_t row) {
  const int64_t n = a.size() / std::max<int64_t>(1, a.rows());
  std::vector<double> values;
  for (int64_t i = row * n; i < (row + 1) * n; ++i) {
    const auto at = static_cast<size_t>(i);
    values.push_back(a.dtype() == DType::kInt32   ? static_cast<double>(a.as<int32_t>()[at])
                     : a.dtype() == DType::kUint8 ? static_cast<double>(a.as<uint8_t>()[at])
                                                  : static_cast<double>(a.floats()[at]));
  }
  return values;
}

int64_t Largest(const std::vector<double>& values) {
  return std::max_element(values.begin(), values.end()) - values.begin();
}

// A label, or one of several that is hot; -1 where there is no class.
int64_t TrueClass(const std::vector<double>& values) {
  if (values.size() == 1) return values[0] > -0.5 && values[0] < 1e9 ? std::llround(values[0]) : -1;
  const int64_t hot = Largest(values);
  return values[static_cast<size_t>(hot)] > 0 ? hot : -1;
}

struct Rule {
  std::string why_not;   // "" where there are classes
  double threshold = 0;  // of a single number, above which it is class 1
};

Rule RuleOf(const Model& model, const Array& predicted, const Array& truth) {
  if (predicted.shape().rank() != 2 || predicted.dtype() != DType::kFloat32)
    return {Text("rows of numbers were expected, one for each class; the model gives ", predicted.shape())};
  const int64_t outputs = predicted.shape()[1], given = truth.size() / std::max<int64_t>(1, truth.rows());
  if (outputs > kMostClasses) return {Text("there are ", outputs, " classes, and ", kMostClasses, " can be read")};
  if (given != 1 && given != outputs)
    return {Text("the targets have ", given, " numbers a row, where a label or ", outputs, " were expected")};
  const ModelState& state = model.state();
  if (!state.compiled || state.losses.empty() || !state.losses[0]) {
    if (outputs > 1 && truth.dtype() != DType::kFloat32) return {};
    return {"the model is not compiled, so that nothing says that it tells classes apart"};
  }
  const Loss loss = state.losses[0].resolve({predicted.shape()}, {truth.shape(), truth.dtype()});
  const std::string kind = loss.def().class_name();
  if (kind.find("Crossentropy") == kind.npos)
    return {Text("the loss is ", loss.name(), "; classes are told apart by a crossentropy")};
  if (kind.starts_with("Binary") && outputs > 1)
    return {Text("the loss is ", loss.name(), " of ", outputs, " outputs, each of which is a class or not by itself")};
  const Json config = ToConfig(loss);
  const bool logits = config.is_object() && config["config"].value("from_logits", false);
  return {"", logits ? 0 : 0.5};
}

}  // namespace

std::string ConfusionMatrix(const Model& model, const Array& predicted, const Array& truth) {
  const Rule rule = RuleOf(model, predicted, truth);
  if (!rule.why_not.empty()) return Paragraph("Not shown: " + rule.why_not + ".");
  const int64_t rows = predicted.rows(), classes = std::max<int64_t>(2, predicted.shape()[1]);
  std::vector<int64_t> counts(static_cast<size_t>(classes * classes)), of(static_cast<size_t>(classes));
  int64_t right = 0, without_class = 0, not_numbers = 0;
  for (int64_t i = 0; i < rows; ++i) {
    const std::vector<double> said = RowOf(predicted, i);
    if (std::any_of(said.begin(), said.end(), [](double v) { return std::isnan(v); })) {
      ++not_numbers;
      continue;
    }
    const int64_t t = TrueClass(RowOf(truth, i)), p = said.size() == 1 ? said[0] > rule.threshold : Largest(said);
    if (t < 0 || t >= classes) {
      ++without_class;
      continue;
    }
    ++counts[static_cast<size_t>(t * classes + p)], ++of[static_cast<size_t>(t)];
    right += t == p;
  }
  const int64_t counted = rows - without_class - not_numbers;
  char line[128];
  std::snprintf(line, sizeof line, "%lld of %lld right, %.2f %%. Rows are the truth, columns what was predicted.",
                static_cast<long long>(right), static_cast<long long>(counted),
                100.0 * static_cast<double>(right) / static_cast<double>(std::max<int64_t>(1, counted)));
  std::string html = Paragraph(line);
  if (not_numbers)
    html += Paragraph(Counted(static_cast<size_t>(not_numbers), "prediction") + " of " + std::to_string(rows) +
                      (not_numbers == 1 ? " is" : " are") + " NaN, and left out.");
  if (without_class)
    html += Paragraph(Counted(static_cast<size_t>(without_class), "row") + (without_class == 1 ? " is" : " are") +
                      " of no class, and left out.");
  html += "<table>\n<tr><th></th>";
  for (int64_t p = 0; p < classes; ++p) html += Text("<th>", p, "</th>");
  html += "</tr>\n";
  for (int64_t t = 0; t < classes; ++t) {
    html += Text("<tr><th>", t, "</th>");
    for (int64_t p = 0; p < classes; ++p) {
      const int64_t count = counts[static_cast<size_t>(t * classes + p)];
      const double part =
          static_cast<double>(count) / static_cast<double>(std::max<int64_t>(1, of[static_cast<size_t>(t)]));
      std::snprintf(line, sizeof line, "<td style=\"background: rgba(%s, %.2f)\">%lld</td>",
                    t == p ? "60,141,64" : "209,102,43", count ? std::max(0.08, part) : 0.0,
                    static_cast<long long>(count));
      html += line;
    }
    html += "</tr>\n";
  }
  return html + "</table>\n";
}

}  // namespace ingot
