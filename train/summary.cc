// SPDX-License-Identifier: MIT
//
// summary(): the table that Keras prints, drawn with the same characters.
#include <algorithm>
#include <cstdio>
#include <map>
#include <set>

#include "ingot/layers/core.h"
#include "ingot/train/trainer.h"

namespace ingot {
namespace {

std::string Grouped(int64_t n) {
  std::string digits = std::to_string(n);
  for (int i = static_cast<int>(digits.size()) - 3; i > 0; i -= 3) digits.insert(static_cast<size_t>(i), ",");
  return digits;
}

// The number of columns that UTF-8 text takes on a terminal, near enough: one for each code point.
size_t Columns(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

// A cell: one blank on either side, numbers to the right.
std::string Padded(const std::string& text, size_t columns, bool right) {
  const std::string blanks(columns - Columns(text) - 2, ' ');
  return right ? " " + blanks + text + " " : " " + text + blanks + " ";
}

// "23.13 KB": Keras's units, of 1024 each.
std::string KerasBytes(int64_t bytes) {
  const char* units[] = {"B", "KB", "MB", "GB", "TB", "PB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(units)) value /= 1024, ++unit;
  char text[32];
  std::snprintf(text, sizeof text, "%.2f %s", value, units[unit]);
  return text;
}

std::string Times(const char* text, size_t n) {
  std::string out;
  while (n--) out += text;
  return out;
}

using Row = std::vector<std::string>;
constexpr size_t kNumbers = 2;  // the column of numbers

std::string Table(const std::vector<Row>& rows) {
  std::vector<size_t> width(rows[0].size(), 0);
  for (const Row& row : rows)
    for (size_t i = 0; i < row.size(); ++i) width[i] = std::max(width[i], Columns(row[i]) + 2);
  const auto rule = [&](const char* left, const char* dash, const char* cross, const char* right) {
    std::string line = left;
    for (size_t i = 0; i < width.size(); ++i) line += (i ? cross : "") + Times(dash, width[i]);
    return line + right + "\n";
  };
  std::string text = rule("┏", "━", "┳", "┓");
  for (size_t r = 0; r < rows.size(); ++r) {
    const char* bar = r ? "│" : "┃";
    for (size_t i = 0; i < width.size(); ++i) text += bar + Padded(rows[r][i], width[i], r && i == kNumbers);
    text += std::string(bar) + "\n";
    if (r + 1 < rows.size()) text += r ? rule("├", "─", "┼", "┤") : rule("┡", "━", "╇", "┩");
  }
  return text + rule("└", "─", "┴", "┘");
}

// Keras says of most layers that do not know their input yet that they are not built; those without anything that
// depends on it are from the start.
bool BuiltFromTheStart(const std::string& class_name) {
  static const std::set<std::string> all = {"Dropout",       "SpatialDropout1D", "SpatialDropout2D",
                                            "GaussianNoise", "Reshape",          "Activation",
                                            "ReLU",          "LeakyReLU",        "ELU",
                                            "Softmax",       "Identity",         "ActivityRegularization"};
  return all.contains(class_name) || class_name.find("Pooling") != std::string::npos;
}

std::string Params(const Layer& layer) {
  const LayerDef& def = layer.def();
  if (def.built || !layer.variables().empty()) return Grouped(layer.count_params());
  return BuiltFromTheStart(def.class_name()) ? "0" : "0 (unbuilt)";
}

}  // namespace

std::string Model::summary() const {
  const Network& network = this->network();
  // A layer is shown with what its last call gives and, in a functional model, the call and output that each of its
  // inputs comes from.
  const bool connections = !network.sequential();
  std::vector<Row> rows;
  rows.push_back({"Layer (type)", "Output Shape", "Param #"});
  if (connections) rows[0].push_back("Connected to");
  const TensorSpecs specs = network.specs();
  std::vector<std::string> maker(specs.size());
  for (size_t i = 0; i < network.input_layers().size() && i < specs.size(); ++i)
    maker[i] = network.input_layers()[i].name() + "[0][0]";
  std::map<const LayerDef*, int> calls;
  for (const Network::Node& node : network.nodes()) {
    const int call = calls[&node.layer.def()]++;
    for (size_t k = 0; k < node.out.size(); ++k)
      maker[static_cast<size_t>(node.out[k])] = Text(node.layer.name(), "[", call, "][", k, "]");
  }
  for (const Layer& layer : network.layers()) {
    std::string shape = "?", from;
    if (const auto* input = dynamic_cast<const InputLayer*>(&layer.def())) shape = input->spec.shape.str();
    for (const Network::Node& node : network.nodes()) {
      if (!(node.layer == layer)) continue;
      shape.clear();
      for (const int id : node.out) shape += (shape.empty() ? "" : ", ") + specs[static_cast<size_t>(id)].shape.str();
      if (node.out.size() > 1) shape = "[" + shape + "]";
      for (const int id : node.in) from += (from.empty() ? "" : ", ") + maker[static_cast<size_t>(id)];
    }
    rows.push_back({layer.name() + " (" + layer.def().class_name() + ")", shape, Params(layer)});
    if (connections) rows.back().push_back(from.empty() ? "-" : from);
  }

  int64_t trained = 0, total = 0;
  const std::vector<char> flags = state().placed ? state().TrainedVariables() : std::vector<char>{};
  const auto& variables = state().layout.variables();
  for (size_t i = 0; i < variables.size(); ++i) {
    total += variables[i]->shape.count();
    if (flags[i]) trained += variables[i]->shape.count();
  }
  std::string text = "Model: \"" + name() + "\"\n" + Table(rows);
  const auto line = [&](const char* what, int64_t n) {
    text += std::string(" ") + what + ": " + Grouped(n) + " (" + KerasBytes(n * 4) + ")\n";
  };
  line("Total params", total);
  line("Trainable params", trained);
  line("Non-trainable params", total - trained);
  return text;
}

}  // namespace ingot
