// SPDX-License-Identifier: MIT
//
// Scaling, labels and pictures against loops that do what is said; and that a picture is changed in the same way
// whatever the order, the batch and the thread.
#include "ingot/data/preprocess.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <mutex>

#include "ingot/core/random.h"
#include "ingot/data/data_test_util.h"

namespace ingot {
namespace {

using testing::ErrorOf;

Array Drawn(const Shape& shape, uint64_t seed = 1, DType dtype = DType::kFloat32) {
  Array a(shape, dtype);
  Random random({seed, 9, 0});
  if (dtype == DType::kFloat32)
    for (float& v : a.floats()) v = random.Uniform(-3, 5);
  else
    for (uint8_t& v : a.as<uint8_t>()) v = static_cast<uint8_t>(random.Below(256));
  return a;
}

// ---- Scaling.

TEST(Preprocess, StatisticsAreThoseOfTwoPasses) {
  for (const Shape& shape : {Shape{1, 1}, Shape{5, 1}, Shape{1000, 3}, Shape{77, 64}, Shape{9, 65}, Shape{33, 200},
                             Shape{40, 7, 5, 3}, Shape{20000, 1}, Shape{3, 9000}}) {
    const Array x = Drawn(shape);
    const FeatureStats stats = StatsOf(Dataset({x}, {}));
    const auto features = static_cast<size_t>(shape.back());
    const size_t n = x.floats().size() / features;
    ASSERT_EQ(stats.count(), static_cast<int64_t>(n));
    for (size_t f = 0; f < features; ++f) {
      double mean = 0, variance = 0;
      float least = 1e9f, most = -1e9f;
      for (size_t i = 0; i < n; ++i) {
        const float v = x.floats()[i * features + f];
        mean += static_cast<double>(v) / static_cast<double>(n);
        least = std::min(least, v), most = std::max(most, v);
      }
      for (size_t i = 0; i < n; ++i)
        variance += std::pow(static_cast<double>(x.floats()[i * features + f]) - mean, 2) / static_cast<double>(n);
      ASSERT_NEAR(stats.mean()[f], mean, 1e-12) << shape;
      ASSERT_NEAR(stats.variance()[f], variance, 1e-12) << shape;
      ASSERT_EQ(stats.least()[f], least);
      ASSERT_EQ(stats.most()[f], most);
    }
    // In pieces, from a stream.
    const FeatureStats pieces = StatsOf(Dataset({x}, {}).shuffle(3).batch(7));
    for (size_t f = 0; f < features; ++f) {
      ASSERT_NEAR(pieces.mean()[f], stats.mean()[f], 1e-12);
      ASSERT_NEAR(pieces.variance()[f], stats.variance()[f], 1e-12);
    }
  }
}

// Where the mean is large, sums of squares would lose the variance.
TEST(Preprocess, VarianceFarFromZero) {
  Array x({10000, 1});
  for (size_t i = 0; i < 10000; ++i) x.floats()[i] = 16000000.0f + static_cast<float>(i % 2 * 2);
  EXPECT_NEAR(StatsOf(Dataset({x}, {})).variance()[0], 1, 1e-9);
}

TEST(Preprocess, ScalersScale) {
  Array x = Drawn({200, 3});
  for (size_t i = 0; i < 200; ++i) x.floats()[3 * i + 1] = 0.1f;  // never varies
  const Dataset data({x}, {});
  const FeatureStats standard = StatsOf(Dataset({StandardScaler::fit(data).transform(x)}, {}));
  const FeatureStats range = StatsOf(Dataset({MinMaxScaler::fit(data, -1, 2).transform(x)}, {}));
  for (const size_t f : {0u, 2u}) {
    EXPECT_NEAR(standard.mean()[f], 0, 1e-6);
    EXPECT_NEAR(standard.variance()[f], 1, 1e-5);
    EXPECT_NEAR(range.least()[f], -1, 1e-6);
    EXPECT_NEAR(range.most()[f], 2, 1e-6);
  }
  EXPECT_EQ(standard.most()[1], 0);
  EXPECT_NEAR(range.most()[1], -1, 1e-6);
}

TEST(Preprocess, ScalesSamplesAndBatchesAlike) {
  for (const DType dtype : {DType::kFloat32, DType::kUint8})
    for (const int64_t channels : {1, 3, 100}) {
      const Array x = Drawn({31, 5, channels}, 2, dtype), before = x.copy();
      const Dataset data({x}, {});
      const Scaler scaler = StandardScaler::fit(data);
      const Array expected = scaler.transform(x);
      for (int64_t i = 0; i < x.size(); ++i) {
        const float v =
            dtype == DType::kFloat32 ? x.floats()[static_cast<size_t>(i)] : x.as<uint8_t>()[static_cast<size_t>(i)];
        const auto c = static_cast<size_t>(i % channels);
        ASSERT_EQ(expected.floats()[static_cast<size_t>(i)], (v - scaler.shift()[c]) * scaler.scale()[c]);
      }
      for (const Dataset& scaled :
           {data.map(scaler).batch(31), data.batch(31).map(scaler), data.map(scaler, {.threads = 2}).batch(31)}) {
        Sample s;
        auto reader = scaled.read();
        ASSERT_TRUE(reader.next(s));
        EXPECT_EQ(s.x[0], expected);
      }
      EXPECT_EQ(x, before) << "the data set's own arrays were scaled";
    }
}

// Rows of one number each, which models take for (n, 1).
TEST(Preprocess, RowsOfOneNumberAreOneFeature) {
  const Array column = Drawn({300, 1}), x = column.reshape({300});
  const Dataset data({x}, {});
  EXPECT_EQ(StatsOf(data).count(), 300);
  for (const auto& fit : std::vector<std::function<Scaler(const Dataset&)>>{
           [](const Dataset& d) { return StandardScaler::fit(d); },
           [](const Dataset& d) { return MinMaxScaler::fit(d, -1, 2); }}) {
    const Scaler scaler = fit(data);
    const Array expected = fit(Dataset({column}, {})).transform(column).reshape({300});
    EXPECT_EQ(scaler.transform(x), expected);
    EXPECT_EQ(fit(data.skip(0)).transform(x), expected) << "in pieces";
    for (const Dataset& scaled : {data.map(scaler).batch(300), data.batch(300).map(scaler)}) {
      Sample s;
      auto reader = scaled.read();
      ASSERT_TRUE(reader.next(s));
      EXPECT_EQ(s.x[0], expected);
    }
  }
  // A batch of as many rows as there are features is no row of them; alone it may be one.
  const Scaler three({1, 2, 3}, {1, 1, 1}, 0);
  EXPECT_EQ(three.transform(Array({3}, {1.f, 2.f, 3.f})), Array({3}, {0.f, 0.f, 0.f}));
  auto batches = data.batch(3).map(three).read();
  EXPECT_NE(ErrorOf([&] {
              Sample s;
              batches.next(s);
            }).find("3 features"),
            std::string::npos);
}

// What is scaled where it lies must be nobody else's.
TEST(Preprocess, ScalesNothingButItsInput) {
  const auto as_target = [](Sample& s) { s.y = {s.x[0]}; };
  const Array x = Drawn({31, 4}), before = x.copy();
  const Dataset data({x}, {});
  for (const auto& fn : {std::function<void(Sample&)>(StandardScaler::fit(data)), rescale(3, 1)})
    for (const Dataset& scaled :
         {data.map(as_target).map(fn).batch(31), data.batch(31).map(as_target).map(fn),
          data.map(as_target).batch(31).map(fn), data.map(as_target, {.threads = 2}).map(fn).batch(31)}) {
      Sample s, plain;
      auto reader = scaled.read(), alone = data.batch(31).map(fn).read();
      ASSERT_TRUE(reader.next(s) && alone.next(plain));
      EXPECT_EQ(s.x[0], plain.x[0]);
      EXPECT_EQ(s.y[0], before) << "an autoencoder's targets were scaled";
    }
  // What a map has kept, of samples and of batches; and of several batches, which take turns with their memory.
  for (const bool batched : {false, true}) {
    std::map<int64_t, Array> kept;
    const auto keep = [&](Sample& s) { kept[s.index] = s.x[0]; };
    const Dataset kept_of =
        batched ? data.batch(5).map(keep).map(rescale(3, 1)) : data.map(keep).map(rescale(3, 1)).batch(5);
    auto reader = kept_of.read();
    for (Sample s; reader.next(s);)
      EXPECT_EQ(s.x[0].floats()[0], before.floats()[static_cast<size_t>(20 * s.index)] * 3 + 1);
    for (const auto& [i, a] : kept) {
      const int64_t rows = batched ? 5 : 1;
      EXPECT_EQ(a.reshape({a.size()}),
                before.slice(i * rows, std::min<int64_t>(31, (i + 1) * rows)).reshape({a.size()}));
    }
  }
}

// And where it is nobody else's, nothing is copied.
TEST(Preprocess, ScalesWhereItLies) {
  const Dataset data({Drawn({31, 4})}, {});
  const void* at = nullptr;
  int elements = 0;
  const auto look = [&](Sample& s) { at = s.x[0].data(); };
  const auto same = [&](Sample& s) { elements += s.x[0].data() == at; };
  for (const Dataset& d :
       {data.map(look).map(rescale(2)).map(same).batch(8), data.batch(1).map(look).map(rescale(2)).map(same)}) {
    elements = 0;
    auto reader = d.read();
    for (Sample s; reader.next(s);) {
    }
    EXPECT_EQ(elements, 31);
  }
}

TEST(Preprocess, RescaleAndOneHot) {
  Array x({2, 2}, std::vector<uint8_t>{0, 51, 102, 255}), y({2}, {2, 0});
  auto reader = Dataset({x}, {y}).batch(2).map(rescale(1 / 255.0f, -0.5f)).map(one_hot(3)).read();
  Sample s;
  ASSERT_TRUE(reader.next(s));
  for (size_t i = 0; i < 4; ++i)
    EXPECT_EQ(s.x[0].floats()[i], static_cast<float>(x.as<uint8_t>()[i]) * (1 / 255.0f) - 0.5f);
  EXPECT_EQ(s.y[0], Array({2, 3}, {0.f, 0.f, 1.f, 1.f, 0.f, 0.f}));
  auto single = Dataset({x}, {y}).map(one_hot(3)).read();
  ASSERT_TRUE(single.next(s));
  EXPECT_EQ(s.y[0], Array({3}, {0.f, 0.f, 1.f}));
  for (const Array& wrong : {Array({1}, {3}), Array({1}, {-1}), Array({1}, {0.5f}), Array({1}, {std::nanf("")})}) {
    auto bad = Dataset({Array({1, 1})}, {wrong}).map(one_hot(3)).read();
    EXPECT_NE(ErrorOf([&] { bad.next(s); }).find("0 to 2 was expected"), std::string::npos);
  }
}

TEST(Preprocess, WrongRequestsAreErrors) {
  const Dataset data({Drawn({4, 6, 5, 3})}, {});
  const auto fails = [&](const std::function<void(Sample&)>& fn) {
    auto reader = data.map(fn).read();
    Sample s;
    return ErrorOf([&] { reader.next(s); });
  };
  EXPECT_NE(fails(random_crop(7, 5)).find("smaller than 7 by 5"), std::string::npos);
  EXPECT_NE(fails(random_flip({.input = 1})).find("input 1"), std::string::npos);
  EXPECT_NE(fails(one_hot(3)).find("target 0"), std::string::npos);
  EXPECT_NE(fails(Scaler({0, 0}, {1, 1}, 0)).find("2 features"), std::string::npos);
  EXPECT_NE(fails([](Sample& s) {
              s.x[0] = Array({4, 4});
              random_flip()(s);
            }).find("(height, width, channels)"),
            std::string::npos);
  for (const auto& wrong : std::vector<std::function<void()>>{
           [] { one_hot(0); }, [] { resize(0, 3); }, [] { random_crop(3, -1); }, [] { random_shift(-1, 0); },
           [] { random_rotation(-1); }, [] { random_rotation(std::nanf("")); }, [] { Scaler({}, {}, 0); },
           [&] { StandardScaler::fit(data, 1); }, [&] { StandardScaler::fit(data.repeat()); },
           [&] { MinMaxScaler::fit(data, 1, 1); }, [&] { StandardScaler::fit(data.take(0)); },
           [] {
             StandardScaler::fit(Dataset({Array({2, 1}, {1.f, std::nanf("")})}, {}));
           },
           [] {
             StandardScaler::fit(Dataset({Array({2, 1}, {1.f, INFINITY})}, {}));
           },
           [] {
             StandardScaler::fit(Dataset({Array({2, 1}, {0.f, 1e-42f})}, {}));
           },
           [] {
             MinMaxScaler::fit(Dataset({Array({2, 1}, {0.f, 1e-42f})}, {}));
           }})
    EXPECT_NE(ErrorOf(wrong), "");
}

// ---- Pictures.

float At(const Array& picture, int64_t y, int64_t x, int64_t c) {
  const Shape& s = picture.shape();
  const auto i = static_cast<size_t>((y * s[1] + x) * s[2] + c);
  return picture.dtype() == DType::kFloat32 ? picture.floats()[i] : picture.as<uint8_t>()[i];
}

// What fn makes of one picture, index by index.
Array Changed(const Array& picture, const std::function<void(Sample&)>& fn, int64_t index, int64_t epoch = 0) {
  Sample s;
  s.x = {picture};
  s.index = index;
  s.epoch = epoch;
  fn(s);
  return s.x[0];
}

TEST(Preprocess, ResizesAsKerasDoes) {
  for (const DType dtype : {DType::kFloat32, DType::kUint8})
    for (const auto& [h, w] :
         {std::pair(6, 5), std::pair(12, 10), std::pair(3, 2), std::pair(1, 1), std::pair(7, 13)}) {
      const Array picture = Drawn({6, 5, 3}, 4, dtype), got = Resized(picture, h, w);
      ASSERT_EQ(got.shape(), (Shape{h, w, 3}));
      for (int64_t y = 0; y < h; ++y)
        for (int64_t x = 0; x < w; ++x)
          for (int64_t c = 0; c < 3; ++c) {
            const double sy = std::clamp((static_cast<double>(y) + 0.5) * 6.0 / h - 0.5, 0.0, 5.0),
                         sx = std::clamp((static_cast<double>(x) + 0.5) * 5.0 / w - 0.5, 0.0, 4.0);
            const auto y0 = static_cast<int64_t>(sy), x0 = static_cast<int64_t>(sx);
            const auto y1 = std::min<int64_t>(y0 + 1, 5), x1 = std::min<int64_t>(x0 + 1, 4);
            const double wy = sy - static_cast<double>(y0), wx = sx - static_cast<double>(x0);
            const double want = (1 - wy) * ((1 - wx) * At(picture, y0, x0, c) + wx * At(picture, y0, x1, c)) +
                                wy * ((1 - wx) * At(picture, y1, x0, c) + wx * At(picture, y1, x1, c));
            ASSERT_NEAR(At(got, y, x, c), want, dtype == DType::kUint8 ? 0.501 : 1e-5);
          }
    }
  const Array same = Drawn({6, 5, 3});
  EXPECT_EQ(Resized(same, 6, 5), same);
}

TEST(Preprocess, FlipsHalfOfThem) {
  for (const int64_t channels : {1, 3}) {
    const Array picture = Drawn({6, 5, channels});
    std::map<int, int> seen;
    for (int64_t index = 0; index < 400; ++index) {
      const Array got = Changed(picture, random_flip({.horizontal = true, .vertical = true, .seed = 3}), index);
      int found = -1;
      for (int way = 0; way < 4; ++way) {
        bool same = true;
        for (int64_t y = 0; y < 6; ++y)
          for (int64_t x = 0; x < 5; ++x)
            for (int64_t c = 0; c < channels; ++c)
              same &= At(got, y, x, c) == At(picture, way & 1 ? 5 - y : y, way & 2 ? 4 - x : x, c);
        if (same) found = way;
      }
      ASSERT_NE(found, -1);
      ++seen[found];
    }
    for (int way = 0; way < 4; ++way) EXPECT_NEAR(seen[way], 100, 40);
  }
  EXPECT_EQ(Changed(Drawn({6, 5, 3}), random_flip({.horizontal = false}), 5), Drawn({6, 5, 3}));
}

TEST(Preprocess, CropsAndShiftsByWholePixels) {
  for (const DType dtype : {DType::kFloat32, DType::kUint8}) {
    const Array picture = Drawn({6, 5, 3}, 1, dtype);
    std::map<std::pair<int64_t, int64_t>, int> crops, shifts;
    for (int64_t index = 0; index < 600; ++index) {
      const Array crop = Changed(picture, random_crop(4, 3), index),
                  shift = Changed(picture, random_shift(1, 2, {.fill = 9}), index);
      ASSERT_EQ(crop.shape(), (Shape{4, 3, 3}));
      int matches = 0;
      for (int64_t dy = 0; dy <= 2; ++dy)
        for (int64_t dx = 0; dx <= 2; ++dx) {
          bool same = true;
          for (int64_t y = 0; y < 4; ++y)
            for (int64_t x = 0; x < 3; ++x)
              for (int64_t c = 0; c < 3; ++c) same &= At(crop, y, x, c) == At(picture, y + dy, x + dx, c);
          if (same) ++matches, ++crops[{dy, dx}];
        }
      ASSERT_EQ(matches, 1);
      matches = 0;
      for (int64_t dy = -1; dy <= 1; ++dy)
        for (int64_t dx = -2; dx <= 2; ++dx) {
          bool same = true;
          for (int64_t y = 0; y < 6; ++y)
            for (int64_t x = 0; x < 5; ++x)
              for (int64_t c = 0; c < 3; ++c) {
                const int64_t sy = y - dy, sx = x - dx;
                const bool inside = sy >= 0 && sy < 6 && sx >= 0 && sx < 5;
                same &= At(shift, y, x, c) == (inside ? At(picture, sy, sx, c) : 9);
              }
          if (same) ++matches, ++shifts[{dy, dx}];
        }
      ASSERT_EQ(matches, 1);
    }
    EXPECT_EQ(crops.size(), 9u);
    EXPECT_EQ(shifts.size(), 15u);
  }
  const Array outside = Changed(Drawn({2, 2, 1}), random_shift(100, 100, {.fill = 4}), 1);
  EXPECT_EQ(outside, Array({2, 2, 1}, {4.f, 4.f, 4.f, 4.f}));
}

TEST(Preprocess, RotatesAboutTheMiddle) {
  // A quarter turn, found among the angles by what it does to a corner.
  const Array picture = Drawn({5, 5, 2});
  EXPECT_EQ(Changed(picture, random_rotation(0), 3), picture);
  // Any angle leaves the pixel in the middle, and what is the same all over, where it is inside.
  Array flat({9, 9, 1});
  for (float& v : flat.floats()) v = 2;
  for (int64_t index = 0; index < 50; ++index) {
    const Array turned = Changed(picture, random_rotation(180, {.fill = -100}), index);
    for (int64_t c = 0; c < 2; ++c) EXPECT_NEAR(At(turned, 2, 2, c), At(picture, 2, 2, c), 1e-5);
    const Array even = Changed(flat, random_rotation(180, {.fill = 7}), index);
    for (int64_t y = 0; y < 9; ++y)
      for (int64_t x = 0; x < 9; ++x)
        EXPECT_TRUE(std::fabs(At(even, y, x, 0) - 2) < 1e-5f || At(even, y, x, 0) == 7.0f);
  }
  // A gradient to the right, turned by a, rises by cos(a) to the right and by the sine downwards.
  Array slope({21, 21, 1});
  for (int64_t y = 0; y < 21; ++y)
    for (int64_t x = 0; x < 21; ++x) slope.floats()[static_cast<size_t>(y * 21 + x)] = static_cast<float>(x);
  for (int64_t index = 0; index < 20; ++index) {
    const Array turned = Changed(slope, random_rotation(40), index);
    const float right = At(turned, 10, 11, 0) - At(turned, 10, 10, 0),
                down = At(turned, 11, 10, 0) - At(turned, 10, 10, 0);
    EXPECT_NEAR(right * right + down * down, 1, 1e-4);
    EXPECT_GT(right, 0.76f) << "more than 40 degrees";
  }
}

TEST(Preprocess, APictureIsChangedTheSameOnAnyThread) {
  const Dataset data({Drawn({40, 6, 5, 3})}, {});
  for (const auto& fn : {random_flip({.vertical = true, .seed = 1}), random_crop(4, 4, {.seed = 1}),
                         random_shift(2, 2, {.seed = 1}), random_rotation(30, {.seed = 1})}) {
    std::map<int64_t, Array> first;
    const auto check = [&](const Dataset& d, int64_t epoch) {
      auto reader = d.read(epoch);
      for (Sample s; reader.next(s);)
        for (size_t i = 0; i < s.indices.size(); ++i) {
          const auto row = static_cast<int64_t>(i);
          const Array a = s.x[0].slice(row, row + 1);
          const auto [it, fresh] = first.emplace(s.indices[i], a);
          if (!fresh) {
            EXPECT_EQ(it->second, a) << "row " << s.indices[i];
          }
        }
    };
    check(data.map(fn).batch(7), 2);
    check(data.batch(16).map(fn), 2);
    check(data.shuffle(40, 5).map(fn, {.threads = 4}).batch(3), 2);
    check(data.shuffle(9, 1).shard(1, 3).batch(4).map(fn, {.threads = 2}), 2);
    EXPECT_EQ(first.size(), 40u);
    // Another epoch, another seed: other pictures.
    Sample a, b;
    auto one = data.batch(40).map(fn).read(2), other = data.batch(40).map(fn).read(3);
    ASSERT_TRUE(one.next(a) && other.next(b));
    EXPECT_NE(a.x[0], b.x[0]);
  }
}

// Behind repeat() without end, the passes of the next epoch are far from those of this one.
TEST(Preprocess, EpochsOfARepetitionDiffer) {
  const Dataset data({Drawn({40, 6, 5, 3})}, {});
  std::vector<Array> seen;
  std::vector<int64_t> epochs;
  const Dataset repeated = data.map(random_flip({.vertical = true}))
                               .map([&](Sample& s) {
                                 if (s.index == 0) epochs.push_back(s.epoch);
                               })
                               .repeat()
                               .take(80)
                               .batch(40);
  for (int64_t epoch = 0; epoch < 4; ++epoch) {
    auto reader = repeated.read(epoch);
    for (Sample s; reader.next(s);) seen.push_back(s.x[0]);
  }
  ASSERT_EQ(seen.size(), 8u);
  for (size_t i = 0; i < 8; ++i)
    for (size_t k = 0; k < i; ++k) EXPECT_NE(seen[i], seen[k]) << i << " and " << k;
  const int64_t apart = int64_t{1} << 32;
  EXPECT_EQ(epochs, (std::vector<int64_t>{0, 1, apart, apart + 1, 2 * apart, 2 * apart + 1, 3 * apart, 3 * apart + 1}));
  // Where nothing is repeated, pictures are what they have always been.
  const Array picture({1, 4, 1}, {1.f, 2.f, 3.f, 4.f});
  std::string flipped;
  for (int64_t epoch = 0; epoch < 12; ++epoch)
    flipped += Changed(picture, random_flip({.seed = 7}), 5, epoch) == picture ? '.' : 'f';
  EXPECT_EQ(flipped, "f.ff.f..fff.");
}

}  // namespace
}  // namespace ingot
