// SPDX-License-Identifier: MIT
#include "ingot/io/svg.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <limits>

#include "ingot/core/error.h"
#include "ingot/core/fields.h"

namespace ingot {
namespace {

// Told apart by readers who do not see all colours too.
constexpr const char* kColours[] = {"#1b6ca8", "#d1662b", "#3c8d40", "#8a4f9e", "#b58900", "#c23b55", "#4d4d4d"};
constexpr int kMostPoints = 2000;  // of a line: more than a screen has columns

std::string Number(double value) {
  if (!std::isfinite(value)) return "-";
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", value);
  return text;
}

std::string Place(double pixels) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", pixels);
  return text;
}

std::string Begin(int width, int height) {
  return Text("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 ", width, " ", height, "\" width=\"", width,
              "\" height=\"", height, "\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"", width,
              "\" height=\"", height, "\" fill=\"white\"/>\n");
}

std::string Words(double x, double y, const std::string& text, const std::string& more = "") {
  return Text("<text x=\"", Place(x), "\" y=\"", Place(y), "\"", more, ">", Escaped(text), "</text>\n");
}

std::string Title(const std::string& text) {
  return Words(12, 20, text, " font-size=\"14\" font-weight=\"bold\" fill=\"#222\"");
}

std::string Rule(double x1, double y1, double x2, double y2) {
  return Text("<line x1=\"", Place(x1), "\" y1=\"", Place(y1), "\" x2=\"", Place(x2), "\" y2=\"", Place(y2),
              "\" stroke=\"#ddd\"/>\n");
}

// Values on a range of pixels, and round numbers on the way.
class Axis {
 public:
  Axis(double low, double high, bool logarithmic, double begin, double end)
      : log_(logarithmic), begin_(begin), end_(end) {
    if (log_) low = std::log10(low), high = std::log10(high);
    // Half of each, for the difference of the largest numbers is none.
    if (high / 2 - low / 2 <= 1e-12 * std::max(std::abs(low), std::abs(high))) {
      const double margin = low == 0 ? 1 : std::abs(low) / 10;
      low -= margin, high += margin;
    }
    low_ = low, high_ = high;
  }

  double operator()(double value) const {
    if (log_) value = std::log10(value);
    return begin_ + (value / 2 - low_ / 2) / (high_ / 2 - low_ / 2) * (end_ - begin_);
  }

  std::vector<double> Ticks() const {
    std::vector<double> ticks;
    if (log_) {
      const double apart = std::max(1.0, std::ceil((high_ - low_) / 8));  // powers
      for (double power = std::floor(low_ / apart) * apart; power <= high_; power += apart)
        for (const double step : {1.0, 2.0, 5.0}) {
          if (high_ - low_ > 3 && step != 1) continue;
          const double at = power + std::log10(step);
          if (at >= low_ && at <= high_) ticks.push_back(std::pow(10, at));
        }
      return ticks;
    }
    const double rough = high_ / 5 - low_ / 5, power = std::pow(10, std::floor(std::log10(rough)));
    const double size = rough / power, step = power * (size < 1.5 ? 1 : size < 3.5 ? 2 : size < 7.5 ? 5 : 10);
    const double first = std::ceil(low_ / step);
    for (int i = 0; i < 12; ++i) {
      const double tick = (first + i) * step;
      if (std::isfinite(tick) && tick <= high_ + step * 1e-9) ticks.push_back(tick);
    }
    return ticks;
  }

 private:
  bool log_;
  double low_ = 0, high_ = 1, begin_, end_;
};

struct Range {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  void Add(double v) {
    if (std::isfinite(v)) low = std::min(low, v), high = std::max(high, v);
  }
  bool any() const { return low <= high; }
};

// The points that show: of many that fall together, the least and the greatest.
std::vector<size_t> Shown(const Series& line) {
  const size_t n = std::min(line.x.size(), line.y.size());
  std::vector<size_t> shown;
  if (n <= kMostPoints) {
    for (size_t i = 0; i < n; ++i) shown.push_back(i);
    return shown;
  }
  constexpr size_t kGroups = kMostPoints / 2;
  for (size_t g = 0; g < kGroups; ++g) {
    const size_t from = n * g / kGroups, to = n * (g + 1) / kGroups;
    size_t least = from, most = from;
    for (size_t i = from; i < to; ++i) {
      if (line.y[i] < line.y[least] || !std::isfinite(line.y[least])) least = i;
      if (line.y[i] > line.y[most] || !std::isfinite(line.y[most])) most = i;
    }
    shown.push_back(std::min(least, most));
    if (least != most) shown.push_back(std::max(least, most));
  }
  return shown;
}

}  // namespace

std::string Escaped(const std::string& text) {
  const bool utf8 = IsUtf8(text);
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"')
      out += "&quot;";
    else if (c == '\'')
      out += "&#39;";
    else if ((byte < 32 && c != '\n') || byte == 127 || (byte > 127 && !utf8))
      out += '?';
    else
      out += c;
  }
  return out;
}

std::string Draw(const LineChart& chart, int width, int height) {
  constexpr double kLeft = 62, kRight = 16, kTop = 52, kBottom = 40;
  Range x, y;
  for (const Series& line : chart.lines)
    for (size_t i = 0; i < std::min(line.x.size(), line.y.size()); ++i)
      if (std::isfinite(line.y[i])) x.Add(line.x[i]), y.Add(line.y[i]);
  std::string svg = Begin(width, height) + Title(chart.title);
  if (!x.any() || !y.any()) return svg + Words(kLeft, kTop + 20, "nothing to show", " fill=\"#666\"") + "</svg>\n";

  const Axis across(x.low, x.high, false, kLeft, width - kRight);
  const Axis up(y.low, y.high, y.low > 0 && y.high / y.low > 100, height - kBottom, kTop);
  for (const double tick : up.Ticks()) {
    svg += Rule(kLeft, up(tick), width - kRight, up(tick));
    svg += Words(kLeft - 6, up(tick) + 4, Number(tick), " text-anchor=\"end\" fill=\"#666\"");
  }
  for (const double tick : across.Ticks()) {
    svg += Rule(across(tick), kTop, across(tick), height - kBottom);
    svg += Words(across(tick), height - kBottom + 16, Number(tick), " text-anchor=\"middle\" fill=\"#666\"");
  }
  svg += Words((kLeft + width - kRight) / 2, height - 8, chart.x_label, " text-anchor=\"middle\" fill=\"#666\"");

  double legend = kLeft;
  for (size_t k = 0; k < chart.lines.size(); ++k) {
    const Series& line = chart.lines[k];
    const char* colour = kColours[k % std::size(kColours)];
    svg += Text("<line x1=\"", Place(legend), "\" y1=\"36\" x2=\"", Place(legend + 18), "\" y2=\"36\" stroke=\"",
                colour, "\" stroke-width=\"2.5\"/>\n");
    svg += Words(legend + 23, 40, line.name, " fill=\"#222\"");
    legend += 44 + 7 * static_cast<double>(line.name.size());
    std::string path, dots;
    bool pen = false;
    size_t points = 0;
    for (const size_t i : Shown(line)) {
      if (!std::isfinite(line.y[i]) || !std::isfinite(line.x[i])) {
        pen = false;
        continue;
      }
      path += Text(pen ? "L" : "M", Place(across(line.x[i])), " ", Place(up(line.y[i])));
      pen = true;
      if (++points <= 40)
        dots += Text("<circle cx=\"", Place(across(line.x[i])), "\" cy=\"", Place(up(line.y[i])),
                     "\" r=\"2.5\" fill=\"", colour, "\"><title>", Escaped(line.name), " ", Number(line.x[i]), ": ",
                     Number(line.y[i]), "</title></circle>\n");
    }
    svg += Text("<path d=\"", path, "\" fill=\"none\" stroke=\"", colour, "\" stroke-width=\"1.8\"/>\n");
    if (points <= 40) svg += dots;
  }
  return svg + "</svg>\n";
}

std::string Draw(const BarChart& chart, int width) {
  constexpr double kTop = 34, kStep = 20;
  size_t longest = 0;
  double most = 0;
  for (const Bar& bar : chart.bars) {
    longest = std::max(longest, bar.name.size());
    if (std::isfinite(bar.value)) most = std::max(most, bar.value);
  }
  const double left = std::min(0.5 * width, 20 + 6.6 * static_cast<double>(longest)), room = width - left - 130;
  const int height = static_cast<int>(kTop + kStep * static_cast<double>(chart.bars.size()) + 10);
  std::string svg = Begin(width, height) + Title(chart.title);
  double y = kTop;
  for (const Bar& bar : chart.bars) {
    const double length = most > 0 && std::isfinite(bar.value) ? std::max(0.0, bar.value) / most * room : 0;
    svg += Words(left - 6, y + 13, bar.name, " text-anchor=\"end\" fill=\"#222\"");
    svg += Text("<rect x=\"", Place(left), "\" y=\"", Place(y + 2), "\" width=\"", Place(length), "\" height=\"",
                Place(kStep - 5), "\" fill=\"", kColours[0], "\"/>\n");
    svg += Words(left + length + 6, y + 13, bar.shown.empty() ? Number(bar.value) : bar.shown, " fill=\"#666\"");
    y += kStep;
  }
  return svg + "</svg>\n";
}

std::string Draw(const Histogram& histogram, int width, int height) {
  constexpr double kLeft = 12, kTop = 30, kBottom = 22;
  const double room = width - 2 * kLeft, tall = height - kTop - kBottom;
  const auto bars = static_cast<double>(std::max<size_t>(1, histogram.counts.size()));
  double most = 0;
  for (const double count : histogram.counts) most = std::max(most, count);
  std::string svg = Begin(width, height) + Title(histogram.title);
  for (size_t i = 0; i < histogram.counts.size(); ++i) {
    const double part = most > 0 && histogram.counts[i] > 0 ? histogram.counts[i] / most * tall : 0;
    svg += Text("<rect x=\"", Place(kLeft + room * static_cast<double>(i) / bars), "\" y=\"", Place(kTop + tall - part),
                "\" width=\"", Place(std::max(0.5, room / bars - 1)), "\" height=\"", Place(part), "\" fill=\"",
                kColours[0], "\"/>\n");
  }
  svg += Words(kLeft, height - 7, Number(histogram.low), " fill=\"#666\"");
  svg += Words(width - kLeft, height - 7, Number(histogram.high), " text-anchor=\"end\" fill=\"#666\"");
  return svg + "</svg>\n";
}

}  // namespace ingot
