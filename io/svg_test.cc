// SPDX-License-Identifier: MIT
//
// Charts: that what is drawn is where it belongs, is well formed whatever the numbers and texts, and stays small.
#include "ingot/io/svg.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <limits>

namespace ingot {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity(), kNan = std::numeric_limits<double>::quiet_NaN();

// Tags close in order, attributes are quoted, no bare & or <; and no coordinate is NaN or beyond all bounds.
void ExpectWellFormed(const std::string& xml) {
  std::vector<std::string> open;
  for (size_t at = 0; at < xml.size();) {
    if (xml[at] == '&') {
      const size_t end = xml.find(';', at);
      ASSERT_TRUE(end != std::string::npos && end - at <= 6) << xml.substr(at, 40);
      at = end + 1;
      continue;
    }
    ASSERT_NE(xml[at], '>') << xml.substr(at, 40);
    if (xml[at] != '<') {
      ++at;
      continue;
    }
    const size_t end = xml.find('>', at);
    ASSERT_NE(end, std::string::npos);
    std::string tag = xml.substr(at + 1, end - at - 1);
    ASSERT_EQ(tag.find('<'), std::string::npos) << tag;
    at = end + 1;
    if (tag[0] == '/') {
      ASSERT_FALSE(open.empty());
      EXPECT_EQ(tag.substr(1), open.back());
      open.pop_back();
    } else if (tag.back() != '/') {
      open.push_back(tag.substr(0, tag.find(' ')));
    }
  }
  EXPECT_TRUE(open.empty());
  EXPECT_EQ(xml.find("nan"), std::string::npos);
  EXPECT_EQ(xml.find("inf"), std::string::npos) << xml;
}

// The points of the first path.
std::vector<std::pair<double, double>> Points(const std::string& svg) {
  std::vector<std::pair<double, double>> points;
  const size_t begin = svg.find("<path d=\"") + 9;
  const char* at = svg.c_str() + begin;
  while (*at == 'M' || *at == 'L') {
    char* end = nullptr;
    const double x = std::strtod(at + 1, &end), y = std::strtod(end, &end);
    points.emplace_back(x, y);
    at = end;
  }
  return points;
}

TEST(Svg, ALineIsWhereItsNumbersAre) {
  const std::string svg = Draw(LineChart{"loss", "epoch", {{"training", {0, 1, 2}, {10, 5, 0}}}}, 640, 320);
  ExpectWellFormed(svg);
  const auto points = Points(svg);
  ASSERT_EQ(points.size(), 3u);
  EXPECT_EQ(points[0].first, 62);  // the left end, and the top
  EXPECT_EQ(points[0].second, 52);
  EXPECT_EQ(points[2].first, 640 - 16);  // the right end, and the bottom
  EXPECT_EQ(points[2].second, 320 - 40);
  EXPECT_NEAR(points[1].first, (62 + 624) / 2.0, 0.1);
  EXPECT_NEAR(points[1].second, (52 + 280) / 2.0, 0.1);
}

TEST(Svg, LargeSpansAreLogarithmic) {
  const auto points = Points(Draw(LineChart{"loss", "epoch", {{"training", {0, 1, 2}, {1000, 10, 0.1}}}}));
  ASSERT_EQ(points.size(), 3u);
  EXPECT_NEAR(points[1].second, (points[0].second + points[2].second) / 2, 0.1);
}

TEST(Svg, WhatIsNotFiniteIsAGap) {
  const std::string svg =
      Draw(LineChart{"loss", "epoch", {{"training", {0, 1, 2, 3, 4, 5}, {3, kNan, 2, kInf, -kInf, 1}}}});
  ExpectWellFormed(svg);
  EXPECT_EQ(Points(svg).size(), 3u);
  EXPECT_EQ(svg.find('L', svg.find("<path d=\"")), svg.find("L", svg.find("/>", svg.find("<path d=\""))));
}

TEST(Svg, AnyNumbersAndTexts) {
  const double most = std::numeric_limits<double>::max();
  for (const std::vector<double>& y :
       {std::vector<double>{}, {kNan}, {1}, {0, 0}, {most, -most}, {1e-300, 1e300}, {-5, 5}, {1e-320, 2e-320}}) {
    std::vector<double> x;
    for (size_t i = 0; i < y.size(); ++i) x.push_back(static_cast<double>(i));
    ExpectWellFormed(Draw(LineChart{"<&>\"'\x01\xff", "a\nb", {{"</text>", x, y}, {"", x, y}}}));
    ExpectWellFormed(Draw(BarChart{"</svg>", {{"<script>", y.empty() ? 0 : y[0]}, {"b", 1, "&"}}}));
    ExpectWellFormed(Draw(Histogram{"w", y.empty() ? 0 : y[0], 1, y}));
  }
}

TEST(Svg, LongLinesKeepTheirPeaks) {
  Series line{"training", {}, {}};
  for (int i = 0; i < 200000; ++i) line.x.push_back(i), line.y.push_back(i == 123456 ? 50 : i == 77777 ? -50 : 0);
  const std::string svg = Draw(LineChart{"loss", "batch", {line}});
  EXPECT_LT(svg.size(), 100000u);
  const auto points = Points(svg);
  double top = kInf, bottom = -kInf;
  for (const auto& [x, y] : points) top = std::min(top, y), bottom = std::max(bottom, y);
  EXPECT_EQ(top, 52);
  EXPECT_EQ(bottom, 280);
}

}  // namespace
}  // namespace ingot
