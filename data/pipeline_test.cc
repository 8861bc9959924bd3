// SPDX-License-Identifier: MIT
//
// The stages of a data set, each and in random chains, against loops over lists that do what they say.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <set>
#include <thread>

#include "ingot/core/random.h"
#include "ingot/data/data_test_util.h"
#include "ingot/data/stage.h"

namespace ingot {
namespace {

using testing::ErrorOf;
using testing::ExpectThreads;
using testing::Flat;
using testing::Generated;
using testing::Lists;
using testing::Numbers;
using testing::Read;
using testing::ThreadsNow;

// ---- The oracle: lists of lists.

Lists ListOfNumbers(int n) {
  Lists lists;
  for (int i = 0; i < n; ++i) lists.push_back({i});
  return lists;
}

// A buffer of what comes next; any of it is taken, and what follows takes its place.
Lists ShuffleNaively(const Lists& in, size_t buffer, uint64_t seed, int64_t pass) {
  Random random(
      {seed, 0xda7a0000u ^ static_cast<uint32_t>(static_cast<uint64_t>(pass) >> 32), static_cast<uint32_t>(pass)});
  Lists held, out;
  size_t next = 0;
  while (next < in.size() && held.size() < buffer) held.push_back(in[next++]);
  while (!held.empty()) {
    const size_t i = random.Below(held.size());
    out.push_back(held[i]);
    if (next < in.size()) {
      held[i] = in[next++];
    } else {
      held[i] = held.back();
      held.pop_back();
    }
  }
  return out;
}

Lists BatchNaively(const Lists& in, size_t n, bool drop) {
  Lists out;
  for (size_t i = 0; i < in.size(); i += n) {
    if (drop && i + n > in.size()) break;
    out.emplace_back();
    for (size_t k = i; k < std::min(in.size(), i + n); ++k) out.back().push_back(in[k][0]);
  }
  return out;
}

// A chain of stages drawn at random, over a data set and over the lists.
struct Chain {
  std::string text;
  Dataset data;
  std::function<Lists(int64_t pass)> expected;
};

Chain Draw(Random& random, Dataset data, int n, int threads) {
  Chain c{"", std::move(data), [n](int64_t) { return ListOfNumbers(n); }};
  bool batched = false;
  for (uint64_t left = 1 + random.Below(5); left > 0; --left) {
    const auto before = c.expected;
    const auto k = static_cast<int64_t>(random.Below(9)), seed = static_cast<int64_t>(random.Below(100));
    switch (random.Below(8)) {
      case 0:
        c.text += Text(" shuffle(", k + 1, ")");
        c.data = c.data.shuffle(k + 1, static_cast<uint64_t>(seed));
        c.expected = [=](int64_t pass) {
          return ShuffleNaively(before(pass), static_cast<size_t>(k + 1), static_cast<uint64_t>(seed), pass);
        };
        break;
      case 1:
        c.text += Text(" take(", 3 * k, ")");
        c.data = c.data.take(3 * k);
        c.expected = [=](int64_t pass) {
          Lists lists = before(pass);
          lists.resize(std::min(lists.size(), static_cast<size_t>(3 * k)));
          return lists;
        };
        break;
      case 2:
        c.text += Text(" skip(", k, ")");
        c.data = c.data.skip(k);
        c.expected = [=](int64_t pass) {
          Lists lists = before(pass);
          lists.erase(lists.begin(), lists.begin() + std::min(k, static_cast<int64_t>(lists.size())));
          return lists;
        };
        break;
      case 3:
        c.text += Text(" shard(", k % 3, ", 3)");
        c.data = c.data.shard(k % 3, 3);
        c.expected = [=](int64_t pass) {
          const Lists lists = before(pass);
          Lists part;
          for (auto i = static_cast<size_t>(k % 3); i < lists.size(); i += 3) part.push_back(lists[i]);
          return part;
        };
        break;
      case 4:
        c.text += Text(" repeat(", k % 4, ")");
        c.data = c.data.repeat(k % 4);
        c.expected = [=](int64_t pass) {
          Lists all;
          for (int64_t r = 0; r < k % 4; ++r) {
            const Lists lists = before(pass * (k % 4) + r);
            all.insert(all.end(), lists.begin(), lists.end());
          }
          return all;
        };
        break;
      case 5:
        c.text += " map";
        c.data = c.data.map(
            [](Sample& s) {
              for (int32_t& v : s.x[0].as<int32_t>()) v += 1;
              for (int32_t& v : s.y[0].as<int32_t>()) v += 10;
            },
            {.threads = threads});
        c.expected = [=](int64_t pass) {
          Lists lists = before(pass);
          for (auto& list : lists)
            for (int32_t& v : list) ++v;
          return lists;
        };
        break;
      case 6:
        c.text += " prefetch";
        c.data = c.data.prefetch(k + 1);
        break;
      default:
        if (batched) break;
        batched = true;
        c.text += Text(" batch(", k + 1, ")");
        c.data = c.data.batch(k + 1, {.drop_remainder = seed % 2 == 0});
        c.expected = [=](int64_t pass) {
          return BatchNaively(before(pass), static_cast<size_t>(k + 1), seed % 2 == 0);
        };
    }
  }
  return c;
}

TEST(Pipeline, RandomChainsAreTheNaiveLoopsOnAnyThreads) {
  for (const int threads : {0, 1, 2, 5})
    for (const bool generated : {false, true})
      for (uint32_t trial = 0; trial < 60; ++trial) {
        Random random({7, trial, 0});
        const int n = static_cast<int>(random.Below(30));
        if (n == 0 && !generated) continue;  // arrays have a row at least
        const Chain c = Draw(random, generated ? Generated(n) : Numbers(n).skip(0), n, threads);
        for (const int64_t pass : {0, 1, 5})
          ASSERT_EQ(Read(c.data, pass), c.expected(pass)) << (generated ? "generator" : "arrays") << " of " << n
                                                          << c.text << ", " << threads << " threads, pass " << pass;
        if (!generated) {
          ASSERT_EQ(c.data.size().value_or(-1), static_cast<int64_t>(c.expected(0).size())) << c.text;
        }
      }
}

// Whoever begins in the middle, as a fit that is resumed, meets what stands there.
TEST(Pipeline, BeginsAnywhereOnThreads) {
  for (const bool generated : {false, true})
    for (uint32_t trial = 0; trial < 40; ++trial) {
      Random random({11, trial, 0});
      const int n = 1 + static_cast<int>(random.Below(30));
      const Chain c = Draw(random, generated ? Generated(n) : Numbers(n).skip(0), n, 2);
      const Lists all = c.expected(3);
      for (size_t first = 0; first <= all.size(); ++first) {
        const SequencePtr from = c.data.stage()->Open(3, static_cast<int64_t>(first));
        Sample s;
        for (size_t i = first; i < all.size(); ++i) {
          ASSERT_TRUE(from->Next(s)) << c.text << ", from " << first;
          ASSERT_EQ(testing::ListOf(s.x[0]), all[i]) << c.text << ", from " << first;
        }
        ASSERT_FALSE(from->Next(s)) << c.text << ", from " << first;
        ASSERT_FALSE(from->Next(s)) << "the end stays the end";
      }
    }
}

TEST(Pipeline, ShuffleIsAnOrderOfAllDrawnAnewForEachPass) {
  std::set<std::vector<int32_t>> orders;
  for (int64_t pass = 0; pass < 20; ++pass) {
    std::vector<int32_t> order = Flat(Read(Numbers(50).shuffle(50, 3), pass));
    EXPECT_EQ(order, Flat(Read(Numbers(50).shuffle(1000, 3), pass))) << "a larger buffer than there are rows";
    EXPECT_EQ(order, Flat(Read(Generated(50).shuffle(50, 3), pass))) << "of a generator";
    orders.insert(order);
    std::sort(order.begin(), order.end());
    EXPECT_EQ(order, Flat(ListOfNumbers(50)));
  }
  EXPECT_EQ(orders.size(), 20u);
  EXPECT_NE(Read(Numbers(50).shuffle(50, 4)), Read(Numbers(50).shuffle(50, 3)));
  // With a small buffer nothing comes earlier than the buffer lets it.
  const std::vector<int32_t> near = Flat(Read(Numbers(50).shuffle(5, 3)));
  for (size_t i = 0; i < near.size(); ++i) EXPECT_LT(near[i], static_cast<int32_t>(i) + 5);
  // Every element is as likely to come first.
  std::vector<int> first(8);
  for (int64_t pass = 0; pass < 8000; ++pass) ++first[static_cast<size_t>(Read(Numbers(8).shuffle(8), pass, 1)[0][0])];
  for (const int count : first) EXPECT_NEAR(count, 1000, 150);
}

TEST(Pipeline, RepeatWithoutEnd) {
  for (const Dataset& data : {Numbers(3).repeat(), Generated(3).repeat(), Numbers(3).repeat().prefetch(2),
                              Generated(3).repeat().map([](Sample&) {}, {.threads = 2})}) {
    EXPECT_EQ(Flat(Read(data, 0, 8)), (std::vector<int32_t>{0, 1, 2, 0, 1, 2, 0, 1}));
    EXPECT_EQ(Flat(Read(data.batch(4).take(2))), (std::vector<int32_t>{0, 1, 2, 0, 1, 2, 0, 1}));
    EXPECT_FALSE(data.size());
  }
  EXPECT_EQ(Read(Generated(0).repeat()), Lists()) << "nothing again and again is nothing";
  const std::vector<int32_t> two = Flat(Read(Numbers(9).shuffle(9).repeat(), 0, 18));
  EXPECT_NE(std::vector<int32_t>(two.begin(), two.begin() + 9), std::vector<int32_t>(two.begin() + 9, two.end()));
}

TEST(Pipeline, ShuffleBehindRepeatWithoutEnd) {
  const std::vector<int32_t> some = Flat(Read(Numbers(10).repeat().shuffle(4, 1), 0, 200));
  EXPECT_EQ(some, Flat(Read(Generated(10).repeat().shuffle(4, 1), 0, 200)));
  EXPECT_EQ(some.size(), 200u);
}

TEST(Pipeline, ZipPairsElements) {
  const Dataset both = Numbers(5).shuffle(5, 2).zip(Numbers(7).map([](Sample& s) { s.y.clear(); }, {.threads = 2}));
  auto reader = both.read();
  const std::vector<int32_t> order = Flat(Read(Numbers(5).shuffle(5, 2)));
  Sample s;
  int32_t n = 0;
  for (; reader.next(s); ++n) {
    ASSERT_EQ(s.x.size(), 2u);
    ASSERT_EQ(s.y.size(), 1u);
    EXPECT_EQ(s.x[0].as<int32_t>()[0], order[static_cast<size_t>(n)]);
    EXPECT_EQ(s.x[1].as<int32_t>()[0], n);
  }
  EXPECT_EQ(n, 5);
  EXPECT_EQ(both.size(), 5);
  EXPECT_EQ(Read(Numbers(4).zip(Generated(9))).size(), 4u);
  // Inputs of one, targets of another.
  const Dataset pair = Dataset({Numbers(3).x[0]}, {}).zip(Dataset({}, {Numbers(3).y[0]}));
  EXPECT_EQ(Read(pair.batch(2)), (Lists{{0, 1}, {2}}));
  EXPECT_NE(ErrorOf([] { Numbers(3).batch(2).zip(Numbers(3)); }), "");
}

TEST(Pipeline, ZipCountsTheThreadsThereAre) {
  const auto nothing = [](Sample&) {};
  const auto check = [&](const Dataset& a, const Dataset& b, int threads) {
    const Dataset both = a.map(nothing, {.threads = 2}).zip(b.map(nothing, {.threads = 3}));
    EXPECT_EQ(both.stage()->threads(), threads);
    const int before = ThreadsNow();
    auto reader = both.read();
    ExpectThreads(before + threads);
  };
  // Elements enough for none of the threads to end early.
  check(Numbers(1000), Numbers(1000), 3);
  check(Generated(1000), Generated(1000), 5);
  check(Generated(1000), Numbers(1000), 5);
}

TEST(Pipeline, OrderIsThatOfTheDataWhateverTheThreads) {
  for (const int threads : {1, 2, 5}) {
    std::atomic<int> calls = 0;
    const Dataset data = Numbers(60).shuffle(60, 1).map(
        [&calls](Sample& s) {
          ++calls;
          std::this_thread::sleep_for(std::chrono::microseconds(s.x[0].as<int32_t>()[0] % 7 * 100));
        },
        {.threads = threads});
    EXPECT_EQ(Read(data), Read(Numbers(60).shuffle(60, 1)));
    EXPECT_EQ(calls, 60);
    EXPECT_EQ(Read(data.batch(7)), Read(Numbers(60).shuffle(60, 1).batch(7)));
  }
}

TEST(Pipeline, IndexIsTheRowOfTheSource) {
  const auto check = [](Sample& s) {
    if (s.batched()) {
      for (size_t i = 0; i < s.indices.size(); ++i) EXPECT_EQ(s.indices[i], s.x[0].as<int32_t>()[i]);
    } else {
      EXPECT_EQ(s.index, s.x[0].as<int32_t>()[0]);
    }
    EXPECT_EQ(s.epoch, 4);
  };
  Read(Numbers(30).shuffle(30).shard(1, 2).map(check).batch(4).map(check), 4);
  Read(Generated(30).skip(3).shuffle(5).map(check).batch(4).map(check), 4);
}

}  // namespace
}  // namespace ingot
