// SPDX-License-Identifier: MIT
//
// Charts as SVG, from numbers to text without a library: what plots and reports are made of. They are read on white and
// in the dark, so the background is drawn. Texts are escaped here.
#pragma once

#include <string>
#include <vector>

namespace ingot {

// Text as it stands in XML or HTML: <, >, & and quotes escaped, control characters and what is no UTF-8 replaced.
std::string Escaped(const std::string& text);

struct Series {
  std::string name;
  std::vector<double> x, y;  // as many of each; what is not finite is a gap
};

struct LineChart {
  std::string title, x_label;
  std::vector<Series> lines;
};
// The y axis is logarithmic where all values are positive and span more than two powers of ten.
std::string Draw(const LineChart& chart, int width = 640, int height = 320);

struct Bar {
  std::string name;
  double value = 0;     // 0 or more
  std::string shown{};  // behind the bar; empty: the value
};
struct BarChart {
  std::string title;
  std::vector<Bar> bars;
};
std::string Draw(const BarChart& chart, int width = 640);

struct Histogram {
  std::string title;
  double low = 0, high = 0;  // of all bars, which are equally wide
  std::vector<double> counts;
};
std::string Draw(const Histogram& histogram, int width = 300, int height = 130);

}  // namespace ingot
