// SPDX-License-Identifier: MIT
//
// Sizes beyond any memory, pictures without pixels, elements without arrays, numbers at the end of float32.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "ingot/data/data_test_util.h"
#include "ingot/data/preprocess.h"
#include "ingot/io/atomic_file.h"
#include "ingot/io/npy.h"
#include "ingot/tests/folder.h"

namespace ingot {
namespace {

using testing::ErrorOf;
using testing::Flat;
using testing::Generated;
using testing::Numbers;
using testing::Read;

constexpr int64_t kHuge = int64_t{1} << 62;

// The Error of reading all of it.
std::string ErrorIn(const Dataset& data) {
  return ErrorOf([&] {
    auto reader = data.read();
    for (Sample s; reader.next(s);) {
    }
  });
}
std::string ErrorIn(const Array& x, const std::function<void(Sample&)>& fn) {
  return ErrorIn(Dataset({x}, {}).map(fn));
}

#define EXPECT_SAYS(error, what) EXPECT_NE((error).find(what), std::string::npos) << (error)

// Bytes that wrap around to next to nothing.
TEST(Limits, NoStageMakesWhatMemoryCannotHold) {
  const char* const short_of_it = "not enough memory for the array of shape";
  EXPECT_SAYS(ErrorIn(Numbers(3).map(one_hot(kHuge))), short_of_it);
  EXPECT_SAYS(ErrorIn(Numbers(3).batch(3).map(one_hot(kHuge))), "no countable number");
  EXPECT_SAYS(ErrorIn(Array({2, 2, 2, 1}), resize(kHuge, 1)), short_of_it);
  EXPECT_SAYS(ErrorIn(Array({2, 2, 2, 1}), resize(kHuge, 8)), "no countable number");
  EXPECT_SAYS(ErrorIn(Array({2, 2, 2, 1}), random_crop(kHuge, 1)), short_of_it);
  EXPECT_SAYS(ErrorIn(Generated(20).batch(int64_t{1} << 40)), short_of_it);
  EXPECT_SAYS(ErrorIn(Numbers(5).repeat().batch(int64_t{1} << 40)), short_of_it);
  EXPECT_SAYS(ErrorIn(Numbers(5).repeat(kHuge / 5).cache()), short_of_it);
  Sample s;
  EXPECT_SAYS(ErrorOf([&] { s.make({kHuge}); }), short_of_it);
}

TEST(Limits, BatchesThatCannotBeAreRefusedAtOnce) {
  EXPECT_SAYS(ErrorOf([] { Numbers(5).repeat().batch(kHuge); }), "batch: 4611686018427387904 rows of data that may");
  EXPECT_SAYS(ErrorOf([] { Generated(5).batch(kHuge); }), "use take before it");
  // Of what ends it is all of it.
  EXPECT_EQ(Flat(Read(Numbers(3).batch(kHuge))), (std::vector<int32_t>{0, 1, 2}));
}

TEST(Limits, PicturesWithoutPixelsAreErrors) {
  for (const Shape& shape : {Shape{2, 3, 0, 1}, Shape{2, 0, 3, 1}, Shape{2, 3, 3, 0}})
    for (const DType dtype : {DType::kFloat32, DType::kUint8})
      for (const auto& fn :
           std::vector<std::function<void(Sample&)>>{resize(2, 2), random_flip({.vertical = true}), random_crop(1, 1),
                                                     random_shift(2, 2), random_rotation(45)}) {
        EXPECT_SAYS(ErrorIn(Array(shape, dtype), fn), shape.from(1).str() + " came, which has no pixels");
        EXPECT_SAYS(ErrorIn(Dataset({Array(shape, dtype)}, {}).batch(2).map(fn)), "no pixels");
      }
  EXPECT_SAYS(ErrorOf([] { Resized(Array({3, 0, 1}), 2, 2); }), "(3, 0, 1) came, which has no pixels");
}

TEST(Limits, AMapThatLeavesNoArrayIsNamed) {
  for (const Dataset& source : {Numbers(3), Generated(3)}) {
    const auto takes_x = [](Sample& s) {
      if (s.index == 1) s.x[0] = Array();
    };
    for (const int threads : {0, 2})
      EXPECT_SAYS(ErrorIn(source.map(takes_x, {.threads = threads}).batch(2)),
                  "map: element 1 of epoch 0: x[0] was left an empty array");
    EXPECT_SAYS(ErrorIn(source.map([](Sample& s) { s.y.emplace_back(); })), "y[1] was left an empty array");
    EXPECT_SAYS(ErrorIn(source.map([](Sample& s) { s.x.clear(), s.y.clear(); }).cache()),
                "cache: elements from 0 on have no arrays, neither x nor y");
  }
}

TEST(Limits, WhatIsNoExceptionIsWrappedInGeneratorsToo) {
  const auto throws = [](int64_t at) {
    return Dataset::from_generator([at] {
      if (at < 0) throw 42;
      return [at, i = int64_t{0}](Sample& s) mutable {
        if (i++ == at) throw 42;
        s.x.push_back(Array({1}));
        return true;
      };
    });
  };
  EXPECT_EQ(ErrorIn(throws(2)), "from_generator: element 2: the function threw what is no std::exception");
  EXPECT_SAYS(ErrorIn(throws(-1)), "from_generator: the beginning of a pass: the function threw");
}

TEST(Limits, AScalarIsNotCalledEmpty) {
  const Array scalar({}, {1.f});
  EXPECT_SAYS(ErrorOf([&] { Dataset({scalar}, {}).batch(1); }), "dataset: x[0] is of rank 0");
  EXPECT_SAYS(ErrorOf([&] { Samples{{scalar}, {}, {}}.Check("fit"); }), "fit: x[0] is of rank 0");
  EXPECT_SAYS(ErrorOf([&] { Samples{{Array()}, {}, {}}.Check("fit"); }), "fit: x[0] is empty");
}

TEST(Limits, MinMaxOverAllOfFloat32) {
  const auto scaled = [](const Array& x, float low, float high) {
    return MinMaxScaler::fit(Dataset({x}, {}), low, high).transform(x);
  };
  const Array wide = scaled(Array({3, 1}, {-3e38f, 0.f, 3e38f}), 0, 1);
  EXPECT_EQ(wide.floats()[0], 0);
  EXPECT_NEAR(wide.floats()[1], 0.5, 1e-6);
  EXPECT_NEAR(wide.floats()[2], 1, 1e-6);
  // Beside 1e8, 0.1 is lost: what never varies is low nevertheless, and so is the least of what does.
  const Array constant = scaled(Array({2, 1}, {1e8f, 1e8f}), 0.1f, 0.3f);
  EXPECT_EQ(constant, Array({2, 1}, {0.1f, 0.1f}));
  const Array far = scaled(Array({2, 2}, {1e8f, 1.f, 1e8f + 8, 2.f}), 0.1f, 0.3f);
  EXPECT_EQ(far.floats()[0], 0.1f);
  EXPECT_NEAR(far.floats()[2], 0.3f, 1e-7);
  EXPECT_EQ(far.floats()[1], 0.1f);
  // The mean of these is far from the last.
  const Array x({3, 1}, {-3e38f, -3e38f, 3e38f}), standard = StandardScaler::fit(Dataset({x}, {})).transform(x);
  EXPECT_NEAR(standard.floats()[0], -0.70710678, 1e-5);
  EXPECT_NEAR(standard.floats()[2], 1.41421356, 1e-5);
}

class LimitsOfFiles : public testing::InFolder {};

TEST_F(LimitsOfFiles, DoublesBeyondFloat32AreErrors) {
  const auto write = [&](const std::vector<double>& values) {
    AtomicFile file(path("x.npy"));
    WriteNpy(
        {"", StoredType::kFloat64, {static_cast<int64_t>(values.size())}, std::as_bytes(std::span(values)), nullptr},
        file.sink());
    file.Commit();
    return path("x.npy");
  };
  EXPECT_SAYS(ErrorOf([&] {
                Dataset::from_npy({write({1, 1e300})}, {});
              }),
              "element 1 of 2 is the float64 1e+300, which float32 cannot hold");
  const Array kept = Dataset::from_npy({write({NAN, INFINITY, -INFINITY, 3.4e38})}, {}).x[0];
  EXPECT_TRUE(std::isnan(kept.floats()[0]));
  EXPECT_EQ(kept.floats()[1], INFINITY);
  EXPECT_EQ(kept.floats()[2], -INFINITY);
  EXPECT_EQ(kept.floats()[3], 3.4e38f);
}

TEST_F(LimitsOfFiles, PathsThatAreNone) {
  EXPECT_SAYS(ErrorOf([] { Dataset::from_csv(""); }), "from_csv: the path is empty");
  EXPECT_SAYS(ErrorOf([] { Dataset::from_npy({""}, {}); }), "path of a file to read is empty");
  // The system would see the name up to there.
  std::ofstream(path("a.csv")) << "a\n1\n";
  EXPECT_SAYS(ErrorOf([&] { Dataset::from_csv(path("a.csv") + std::string("\0b", 2)); }), "NUL byte");
  EXPECT_SAYS(ErrorOf([&] { Numbers(3).cache(path("c") + std::string("\0d", 2)); }), "c' is followed by a NUL byte");
}

}  // namespace
}  // namespace ingot
