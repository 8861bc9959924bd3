// SPDX-License-Identifier: MIT
//
// What a function given to map may do to samples, what becomes of its errors, and what batch and the others refuse.
#include <gtest/gtest.h>

#include <algorithm>
#include <mutex>
#include <stdexcept>

#include "ingot/data/data_test_util.h"

namespace ingot {
namespace {

using testing::ErrorOf;
using testing::ExpectThreads;
using testing::Flat;
using testing::Generated;
using testing::Numbers;
using testing::Read;
using testing::ThreadsNow;

TEST(Map, MayChangeTypesAndShapes) {
  for (const Dataset& source : {Numbers(10).skip(0), Generated(10)}) {
    const Dataset data = source.map([](Sample& s) {
      const auto v = static_cast<float>(s.x[0].as<int32_t>()[0]);
      s.x = {Array({2}, {v, 2 * v}), Array({1, 1}, {v})};
      s.y = {};
      s.sample_weight = Array({}, {v / 2});
    });
    auto reader = data.batch(4).read();
    Sample s;
    ASSERT_TRUE(reader.next(s) && reader.next(s));
    EXPECT_EQ(s.x[0], Array({4, 2}, {4.f, 8.f, 5.f, 10.f, 6.f, 12.f, 7.f, 14.f}));
    EXPECT_EQ(s.x[1], Array({4, 1, 1}, {4.f, 5.f, 6.f, 7.f}));
    EXPECT_EQ(s.sample_weight, Array({4}, {2.f, 2.5f, 3.f, 3.5f}));
    EXPECT_TRUE(s.y.empty());
    ASSERT_TRUE(reader.next(s));
    EXPECT_EQ(s.x[0].shape(), (Shape{2, 2}));
    EXPECT_FALSE(reader.next(s));
  }
}

// Rows are read to where they lie in the batch: a function that moves them about must not write one over the other.
TEST(Map, MayExchangeAndCutArrays) {
  Array a({6, 2}), b({6, 2});
  for (size_t i = 0; i < 12; ++i) a.floats()[i] = static_cast<float>(i), b.floats()[i] = static_cast<float>(100 + i);
  const Dataset data({a, b}, {});
  auto swapped = data.map([](Sample& s) { std::swap(s.x[0], s.x[1]); }).batch(6).read();
  Sample s;
  ASSERT_TRUE(swapped.next(s));
  EXPECT_EQ(s.x[0], b);
  EXPECT_EQ(s.x[1], a);
  auto cut = data.map([](Sample& e) { e.x = {e.x[1].slice(1, 2), e.x[0].slice(0, 1)}; }).batch(6).read();
  ASSERT_TRUE(cut.next(s));
  EXPECT_EQ(s.x[0], Array({6, 1}, {101.f, 103.f, 105.f, 107.f, 109.f, 111.f}));
  EXPECT_EQ(s.x[1], Array({6, 1}, {0.f, 2.f, 4.f, 6.f, 8.f, 10.f}));
  auto dropped = data.map([](Sample& e) { e.x.erase(e.x.begin()); }).batch(6).read();
  ASSERT_TRUE(dropped.next(s));
  EXPECT_EQ(s.x[0], b);
}

TEST(Map, WritesIntoMemoryOfItsOwn) {
  const Dataset numbers = Numbers(20);
  const Arrays before{numbers.x[0].copy(), numbers.y[0].copy()};
  const Array table({}, {5});
  const auto negate = [](Sample& s) {
    for (int32_t& v : s.x[0].as<int32_t>()) v = -v;
  };
  for (int i = 0; i < 2; ++i)
    for (const Dataset& data : {numbers.map(negate), numbers.map(negate).batch(4), numbers.batch(4).map(negate)})
      EXPECT_EQ(Flat(Read(data.map([](Sample& s) { s.y.clear(); })))[19], -19);
  EXPECT_EQ(numbers.x[0], before[0]);
  EXPECT_EQ(numbers.y[0], before[1]);
  // What a generator keeps is its own, too.
  const Dataset same = Dataset::from_generator([table] {
    return [table, n = 0](Sample& s) mutable {
      s.x = {table};
      return n++ < 3;
    };
  });
  EXPECT_EQ(Flat(Read(same.map(negate))), (std::vector<int32_t>{-5, -5, -5}));
  EXPECT_EQ(table, Array({}, {5}));
}

TEST(Map, WhatIsKeptStaysOnThreads) {
  for (const int threads : {0, 2}) {
    Arrays kept, batches;
    std::mutex mutex;
    const Dataset data = Numbers(40).map(
        [&](Sample& s) {
          const std::lock_guard lock(mutex);
          kept.push_back(s.x[0]);
        },
        {.threads = threads});
    auto reader = data.batch(5).read();
    for (Sample s; reader.next(s);) batches.push_back(s.x[0]);
    std::vector<int32_t> seen;
    for (const Array& a : kept) seen.push_back(a.as<int32_t>()[0]);
    std::sort(seen.begin(), seen.end());
    EXPECT_EQ(seen, Flat(Read(Numbers(40))));
    for (size_t i = 0; i < batches.size(); ++i)
      for (size_t k = 0; k < 5; ++k) EXPECT_EQ(batches[i].as<int32_t>()[k], static_cast<int32_t>(5 * i + k));
  }
}

// ---- Errors.

TEST(Map, AnErrorHasTheIndexAndComesInOrderOnAnyThreads) {
  const int threads_before = ThreadsNow();
  for (const int threads : {0, 1, 2, 5})
    for (const Dataset& source : {Numbers(40).shuffle(40, 9), Generated(40)}) {
      const Dataset data = source.map(
          [](Sample& s) {
            if (s.x[0].as<int32_t>()[0] == 17 || s.x[0].as<int32_t>()[0] == 31)
              throw std::runtime_error("no such luck");
          },
          {.threads = threads});
      const std::vector<int32_t> order = Flat(Read(source));
      const auto bad = std::find_if(order.begin(), order.end(), [](int32_t v) { return v == 17 || v == 31; });
      auto reader = data.read();
      Sample s;
      for (auto it = order.begin(); it != bad; ++it) {
        ASSERT_TRUE(reader.next(s));
        EXPECT_EQ(s.x[0].as<int32_t>()[0], *it);
      }
      EXPECT_EQ(ErrorOf([&] { reader.next(s); }), "map: element " + std::to_string(*bad) + " of epoch 0: no such luck");
      EXPECT_NE(ErrorOf([&] { Read(data.batch(8)); }).find("map: element "), std::string::npos);
    }
  ExpectThreads(threads_before);
  EXPECT_NE(ErrorOf([] { Read(Numbers(4).batch(2).map([](Sample&) { throw 3; })); }).find("batch 0"),
            std::string::npos);
}

TEST(Map, ElementsOfABatchMustBeAlike) {
  const auto shape = Numbers(10).map([](Sample& s) {
    if (s.index == 6) s.x[0] = Array({2}, {1, 2});
  });
  EXPECT_NE(ErrorOf([&] { Read(shape.batch(4)); }).find("element 6 has x[0] of int32 (2,)"), std::string::npos)
      << ErrorOf([&] { Read(shape.batch(4)); });
  const auto type = Numbers(10).map([](Sample& s) {
    if (s.index == 6) s.y[0] = Array({}, {1.0f});
  });
  EXPECT_NE(ErrorOf([&] { Read(type.batch(8, {})); }).find("element 6 has y[0] of float32"), std::string::npos);
  const auto count = Numbers(10).map([](Sample& s) {
    if (s.index == 6) s.y.clear();
  });
  EXPECT_NE(ErrorOf([&] { Read(count.batch(8)); }).find("element 6 has 1 inputs, 0 targets"), std::string::npos);
}

TEST(Map, WrongArgumentsAreErrors) {
  const Dataset data = Numbers(4);
  for (const auto& wrong : std::vector<std::function<void()>>{
           [&] { data.shuffle(0); },
           [&] { data.shuffle(-1); },
           [&] { data.batch(0); },
           [&] { data.batch(2).batch(2); },
           [&] { data.map(nullptr); },
           [&] { data.map([](Sample&) {}, {.threads = -1}); },
           [&] { data.prefetch(0); },
           [&] { data.repeat(-2); },
           [&] { data.take(-1); },
           [&] { data.skip(-1); },
           [&] { data.shard(2, 2); },
           [&] { data.shard(0, 0); },
           [&] { data.repeat().cache(); },
           [&] { data.batch(2).cache(); },
           [&] { data.cache(""); },
           [&] { data.take(2).slice(0, 1); },
           [&] { Dataset().take(1); },
           [&] { Dataset::from_generator(nullptr); },
           [&] { Dataset({Numbers(3).x[0]}, {Numbers(4).y[0]}).take(1); },
           [&] { Read(Dataset::from_generator([] { return Dataset::Generator(); })); },
           [&] { Read(Dataset::from_generator([] { return [](Sample&) { return true; }; })); }})
    EXPECT_NE(ErrorOf(wrong), "");
}

}  // namespace
}  // namespace ingot
