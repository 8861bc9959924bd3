// SPDX-License-Identifier: MIT
#include "ingot/data/digits.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "ingot/core/random.h"
#include "ingot/core/threads.h"

namespace ingot {
namespace {

constexpr int kSide = 28;

struct Point {
  float x, y;
};  // x to the right, y down, the digit in 0..1
using Stroke = std::vector<Point>;
struct Glyph {
  int digit;
  std::vector<Stroke> strokes;
};

const std::vector<Glyph>& Glyphs() {
  static const std::vector<Glyph> glyphs = {
      {0,
       {{{.50f, .10f},
         {.70f, .18f},
         {.78f, .50f},
         {.70f, .82f},
         {.50f, .90f},
         {.30f, .82f},
         {.22f, .50f},
         {.30f, .18f},
         {.50f, .10f}}}},
      {1, {{{.36f, .26f}, {.52f, .10f}, {.52f, .90f}}}},
      {1, {{{.50f, .10f}, {.50f, .90f}}}},
      {1, {{{.36f, .26f}, {.52f, .10f}, {.52f, .90f}}, {{.32f, .90f}, {.72f, .90f}}}},
      {2,
       {{{.22f, .28f},
         {.32f, .14f},
         {.52f, .10f},
         {.70f, .16f},
         {.76f, .32f},
         {.66f, .50f},
         {.42f, .70f},
         {.22f, .90f},
         {.80f, .90f}}}},
      {2,
       {{{.22f, .26f},
         {.34f, .12f},
         {.56f, .10f},
         {.72f, .22f},
         {.70f, .42f},
         {.48f, .66f},
         {.28f, .84f},
         {.24f, .74f},
         {.40f, .74f},
         {.60f, .90f},
         {.80f, .84f}}}},
      {3,
       {{{.24f, .16f},
         {.45f, .10f},
         {.68f, .16f},
         {.74f, .30f},
         {.64f, .44f},
         {.44f, .48f},
         {.66f, .53f},
         {.77f, .68f},
         {.68f, .84f},
         {.46f, .91f},
         {.22f, .84f}}}},
      {3,
       {{{.24f, .10f},
         {.74f, .10f},
         {.48f, .42f},
         {.70f, .50f},
         {.77f, .68f},
         {.66f, .85f},
         {.44f, .91f},
         {.22f, .82f}}}},
      {4, {{{.62f, .90f}, {.62f, .10f}, {.18f, .64f}, {.84f, .64f}}}},
      {4, {{{.28f, .10f}, {.24f, .52f}, {.76f, .52f}}, {{.70f, .12f}, {.66f, .90f}}}},
      {5,
       {{{.74f, .10f},
         {.32f, .10f},
         {.27f, .46f},
         {.50f, .40f},
         {.70f, .48f},
         {.77f, .66f},
         {.68f, .84f},
         {.46f, .91f},
         {.22f, .83f}}}},
      {6,
       {{{.68f, .12f},
         {.46f, .22f},
         {.30f, .42f},
         {.23f, .66f},
         {.32f, .85f},
         {.52f, .91f},
         {.70f, .83f},
         {.76f, .67f},
         {.67f, .53f},
         {.48f, .49f},
         {.30f, .58f},
         {.24f, .68f}}}},
      {7, {{{.20f, .12f}, {.80f, .12f}, {.60f, .45f}, {.42f, .90f}}}},
      {7, {{{.20f, .12f}, {.80f, .12f}, {.60f, .45f}, {.42f, .90f}}, {{.34f, .50f}, {.72f, .50f}}}},
      {8,
       {{{.50f, .48f},
         {.30f, .38f},
         {.26f, .24f},
         {.36f, .12f},
         {.50f, .09f},
         {.64f, .12f},
         {.74f, .24f},
         {.70f, .38f},
         {.50f, .48f},
         {.27f, .60f},
         {.22f, .74f},
         {.32f, .87f},
         {.50f, .91f},
         {.68f, .87f},
         {.78f, .74f},
         {.73f, .60f},
         {.50f, .48f}}}},
      {9,
       {{{.74f, .36f},
         {.66f, .50f},
         {.48f, .53f},
         {.30f, .46f},
         {.24f, .32f},
         {.32f, .16f},
         {.52f, .10f},
         {.70f, .18f},
         {.76f, .36f},
         {.72f, .62f},
         {.60f, .90f}}}},
  };
  return glyphs;
}

struct Segment {
  Point a, b;
};

float DistanceSquared(const Segment& s, float x, float y) {
  const float dx = s.b.x - s.a.x, dy = s.b.y - s.a.y, length = dx * dx + dy * dy;
  float t = length > 0 ? ((x - s.a.x) * dx + (y - s.a.y) * dy) / length : 0;
  t = std::clamp(t, 0.0f, 1.0f);
  const float ex = x - s.a.x - t * dx, ey = y - s.a.y - t * dy;
  return ex * ex + ey * ey;
}

int Draw(float* image, Random random) {
  // Every class as likely as any other; of its ways to be written, any.
  const int digit = static_cast<int>(random.Below(10));
  std::vector<const Glyph*> ways;
  for (const Glyph& g : Glyphs())
    if (g.digit == digit) ways.push_back(&g);
  const Glyph& glyph = *ways[random.Below(ways.size())];

  // A rotation by up to 20 degrees either way, as the rational point of the circle at t = tan(angle / 2).
  const float t = random.Uniform(-0.18f, 0.18f), cosine = (1 - t * t) / (1 + t * t), sine = 2 * t / (1 + t * t);
  const float width = random.Uniform(14, 22), height = random.Uniform(16, 23), slant = random.Uniform(-0.30f, 0.30f);
  const float left = random.Uniform(-3, 3) + 13.5f, top = random.Uniform(-3, 3) + 13.5f;
  const float pen = random.Uniform(0.7f, 1.9f), ink = random.Uniform(0.65f, 1.0f);
  std::vector<Segment> segments;
  const auto place = [&](const Point& p) {
    const float x = (p.x - 0.5f + random.Uniform(-0.055f, 0.055f)) * width,
                y = (p.y - 0.5f + random.Uniform(-0.055f, 0.055f)) * height;
    const float slanted = x - slant * y;
    return Point{left + cosine * slanted - sine * y, top + sine * slanted + cosine * y};
  };
  for (const Stroke& stroke : glyph.strokes) {
    Point last = place(stroke[0]);
    for (size_t i = 1; i < stroke.size(); ++i) {
      const Point next = place(stroke[i]);
      segments.push_back({last, next});
      last = next;
    }
  }
  // One stray stroke of the pen, short and thin, somewhere.
  const Point stray{random.Uniform(1, 26), random.Uniform(1, 26)};
  const Segment dash{stray, {stray.x + random.Uniform(-4, 4), stray.y + random.Uniform(-4, 4)}};

  const float noise = random.Uniform(0.02f, 0.16f);
  for (int y = 0; y < kSide; ++y) {
    for (int x = 0; x < kSide; ++x) {
      float nearest = 1e9f;
      for (const Segment& s : segments)
        nearest = std::min(nearest, DistanceSquared(s, static_cast<float>(x), static_cast<float>(y)));
      const float line = std::clamp(pen + 0.5f - std::sqrt(nearest), 0.0f, 1.0f) * ink;
      const float dot =
          std::clamp(1.0f - std::sqrt(DistanceSquared(dash, static_cast<float>(x), static_cast<float>(y))), 0.0f,
                     1.0f) *
          0.7f;
      const float grain = (random.Uniform() + random.Uniform() + random.Uniform() - 1.5f) * 2 * noise;
      image[y * kSide + x] = std::clamp(std::max(line, dot) + grain, 0.0f, 1.0f);
    }
  }
  return digit;
}

}  // namespace

Dataset Digits(int64_t n, uint64_t seed, int64_t first) {
  Array x({n, kSide, kSide, 1}), y({n}, DType::kInt32);
  ThreadPool::Default().For((n + 63) / 64, [&](int64_t tile) {
    for (int64_t i = tile * 64; i < std::min(n, (tile + 1) * 64); ++i) {
      const uint64_t index = static_cast<uint64_t>(first + i);
      const Random random({seed, static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32) + 0xd1917u});
      y.as<int32_t>()[static_cast<size_t>(i)] = Draw(x.floats().data() + i * kSide * kSide, random);
    }
  });
  return Dataset::from_arrays(x, y);
}

}  // namespace ingot
