// SPDX-License-Identifier: MIT
//
// summary(): the table that Keras prints, drawn with the same characters.
#include <algorithm>
#include <cstdio>

#include "ingot/core/memory.h"
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

std::string Padded(const std::string& text, size_t columns) {
  return text + std::string(columns > Columns(text) ? columns - Columns(text) : 0, ' ');
}

std::string Times(const char* text, size_t n) {
  std::string out;
  while (n--) out += text;
  return out;
}

using Row = std::vector<std::string>;

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
    for (size_t i = 0; i < width.size(); ++i) text += bar + Padded(" " + rows[r][i], width[i]);
    text += std::string(bar) + "\n";
    if (r + 1 < rows.size()) text += r ? rule("├", "─", "┼", "┤") : rule("┡", "━", "╇", "┩");
  }
  return text + rule("└", "─", "┴", "┘");
}

}  // namespace

std::string Model::summary() const {
  const Network& network = this->network();
  // A layer is shown with what its first call gives, and where the model branches with what it is connected to.
  const bool connections = !network.sequential();
  std::vector<Row> rows;
  rows.push_back({"Layer (type)", "Output Shape", "Param #"});
  if (connections) rows[0].push_back("Connected to");
  const TensorSpecs specs = network.specs();
  std::vector<std::string> maker(specs.size());
  for (size_t i = 0; i < network.input_layers().size() && i < specs.size(); ++i)
    maker[i] = network.input_layers()[i].name() + "[0]";
  for (const Network::Node& node : network.nodes())
    for (const int id : node.out) maker[static_cast<size_t>(id)] = node.layer.name() + "[0]";
  for (const Layer& layer : network.layers()) {
    std::string shape = "?", from;
    if (const auto* input = dynamic_cast<const InputLayer*>(&layer.def())) shape = input->spec.shape.str();
    bool first = true;
    for (const Network::Node& node : network.nodes()) {
      if (!(node.layer == layer)) continue;
      if (first) shape = specs[static_cast<size_t>(node.out[0])].shape.str();
      first = false;
      for (const int id : node.in) from += (from.empty() ? "" : ", ") + maker[static_cast<size_t>(id)];
    }
    rows.push_back({layer.name() + " (" + layer.def().class_name() + ")", shape,
                    layer.def().built || !layer.variables().empty() ? Grouped(layer.count_params()) : "0"});
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
    text += std::string(" ") + what + ": " + Grouped(n) + " (" + HumanBytes(static_cast<uint64_t>(n) * 4) + ")\n";
  };
  line("Total params", total);
  line("Trainable params", trained);
  line("Non-trainable params", total - trained);
  return text;
}

}  // namespace ingot
