// SPDX-License-Identifier: MIT
//
// What the TensorBoard callback writes, taken apart record by record. tests/interop.py lets TensorBoard itself read it.
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>

#include "ingot/core/crc32c.h"
#include "ingot/ingot.h"
#include "ingot/io/event_file.h"
#include "ingot/io/png.h"

namespace ingot {
namespace {

namespace fs = std::filesystem;

// The fields of a message: numbers as they are, bytes as text.
struct Message {
  std::map<int, uint64_t> numbers;
  std::multimap<int, std::string> bytes;
  std::string text(int field) const { return bytes.contains(field) ? bytes.find(field)->second : ""; }
};

Message Parse(const std::string& data) {
  Message message;
  size_t at = 0;
  const auto varint = [&] {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = static_cast<unsigned char>(data.at(at++));
      value |= static_cast<uint64_t>(byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  while (at < data.size()) {
    const uint64_t key = varint();
    const int field = static_cast<int>(key >> 3);
    if ((key & 7) == 0) {
      message.numbers[field] = varint();
    } else if ((key & 7) == 2) {
      const size_t size = varint();
      message.bytes.emplace(field, data.substr(at, size));
      at += size;
    } else {
      const size_t size = (key & 7) == 1 ? 8 : 4;
      uint64_t value = 0;
      std::memcpy(&value, data.data() + at, size);
      message.numbers[field] = value;
      at += size;
    }
  }
  return message;
}

float AsFloat(uint64_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

double AsDouble(uint64_t bits) {
  double value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

std::vector<double> Doubles(const std::string& packed) {
  std::vector<double> values(packed.size() / sizeof(double));
  std::memcpy(values.data(), packed.data(), packed.size());
  return values;
}

// The events of the only file in a folder, checksums checked.
std::vector<Message> EventsIn(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) files.push_back(entry.path());
  EXPECT_EQ(files.size(), 1u);
  std::ifstream in(files.at(0), std::ios::binary);
  const std::string all{std::istreambuf_iterator<char>(in), {}};
  std::vector<Message> events;
  const auto word = [&](size_t at, auto value) {
    std::memcpy(&value, all.data() + at, sizeof value);
    return value;
  };
  const auto masked = [&](size_t at, size_t bytes) {
    const uint32_t crc = Crc32c(all.data() + at, bytes);
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
  };
  for (size_t at = 0; at < all.size();) {
    const auto size = word(at, uint64_t{});
    EXPECT_EQ(word(at + 8, uint32_t{}), masked(at, 8));
    EXPECT_EQ(word(at + 12 + size, uint32_t{}), masked(at + 12, size));
    events.push_back(Parse(all.substr(at + 12, size)));
    at += 16 + size;
  }
  return events;
}

// Of all summaries: (tag, step) and the value.
std::map<std::pair<std::string, int64_t>, Message> ValuesOf(const std::vector<Message>& events) {
  std::map<std::pair<std::string, int64_t>, Message> values;
  for (const Message& event : events)
    for (auto [it, end] = event.bytes.equal_range(5); it != end; ++it) {
      const Message summary = Parse(it->second);
      for (auto [v, last] = summary.bytes.equal_range(1); v != last; ++v) {
        const Message value = Parse(v->second);
        const int64_t step = event.numbers.contains(2) ? static_cast<int64_t>(event.numbers.at(2)) : 0;
        EXPECT_TRUE(values.emplace(std::pair(value.text(1), step), value).second) << value.text(1) << " twice";
      }
    }
  return values;
}

fs::path Scratch(const char* name) {
  const fs::path folder = fs::path(testing::TempDir()) / Text("ingot-tensorboard-", getpid(), "-", name);
  fs::remove_all(folder);
  return folder;
}

Model Small() {
  Model model = Sequential({Input({3}), Dense(4, {.activation = "relu", .name = "one"}), Dense(1, {.name = "two"})},
                           {.name = "small", .seed = 5});
  model.compile({.optimizer = SGD({.learning_rate = 0.1f}), .loss = "mse", .metrics = {"mae"}});
  return model;
}

Array Rows(int64_t rows, int64_t columns) {
  Array a({rows, columns});
  for (float i = 0; float& v : a.floats()) v = std::sin(i++);
  return a;
}

TEST(TensorBoardThread, ScalarsHistogramsGraphAndPlan) {
  const fs::path folder = Scratch("all");
  Model model = Small();
  const History history =
      model.fit(Rows(40, 3), Rows(40, 1),
                {.batch_size = 8,
                 .epochs = 3,
                 .callbacks = {TensorBoard(
                     folder.string(),
                     {.histogram_freq = 2, .write_images = true, .write_steps_per_second = true, .update_freq = 2})},
                 .validation_split = 0.25});
  const auto events = EventsIn(folder / "train");
  EXPECT_EQ(events.at(0).text(3), "brain.Event:2");
  const auto train = ValuesOf(events), validation = ValuesOf(EventsIn(folder / "validation"));
  for (int epoch = 0; epoch < 3; ++epoch) {
    const auto at = static_cast<size_t>(epoch);
    for (const std::string name : {"loss", "mae"}) {
      EXPECT_EQ(AsFloat(train.at({"epoch_" + name, epoch}).numbers.at(2)), static_cast<float>(history[name].at(at)));
      const auto expected = static_cast<float>(history["val_" + name].at(at));
      EXPECT_EQ(AsFloat(validation.at({"epoch_" + name, epoch}).numbers.at(2)), expected);
      const auto key = std::pair("evaluation_" + name + "_vs_iterations", int64_t{4} * (epoch + 1));
      EXPECT_EQ(AsFloat(validation.at(key).numbers.at(2)), expected);
    }
    EXPECT_EQ(AsFloat(train.at({"epoch_learning_rate", epoch}).numbers.at(2)), 0.1f);
    EXPECT_GT(AsFloat(train.at({"epoch_steps_per_second", epoch}).numbers.at(2)), 0);
    EXPECT_EQ(train.contains({"one/kernel/histogram", epoch}), epoch != 1);
    EXPECT_EQ(train.contains({"one/kernel/image", epoch}), epoch != 1);
  }
  for (int64_t batch = 1; batch <= 12; ++batch) EXPECT_EQ(train.contains({"batch_loss", batch}), batch % 2 == 0);
  // The running mean, as Keras's callbacks see it.
  EXPECT_EQ(AsFloat(train.at({"batch_loss", 6}).numbers.at(2)), static_cast<float>(history.batch_loss.at(5)));
  EXPECT_NE(train.at({"plan", 0}).text(8).find("one"), std::string::npos);
  EXPECT_NE(train.at({"keras", 0}).text(8).find("Dense"), std::string::npos);

  // The last histogram is that of the weights as they are now.
  const Message histogram = Parse(train.at({"two/kernel/histogram", 2}).text(5));
  const Array kernel = model.get_weights().at(2);
  const float* w = kernel.floats().data();
  EXPECT_EQ(AsDouble(histogram.numbers.at(1)), *std::min_element(w, w + 4));
  EXPECT_EQ(AsDouble(histogram.numbers.at(2)), *std::max_element(w, w + 4));
  EXPECT_EQ(AsDouble(histogram.numbers.at(3)), 4);

  const Message graph =
      Parse(std::find_if(events.begin(), events.end(), [](const Message& m) { return m.bytes.contains(4); })->text(4));
  ASSERT_EQ(graph.bytes.count(1), 3u);
  auto node = graph.bytes.lower_bound(1);
  EXPECT_EQ(Parse((++node)->second).text(1), "one");
  EXPECT_EQ(Parse((++node)->second).text(3), "one");  // the input of "two"
  fs::remove_all(folder);
}

TEST(TensorBoard, HistogramsCountEveryFiniteValueOnce) {
  const auto parts = [](const std::vector<float>& values) {
    const Message histogram = Parse(Parse(HistogramValue("tag", values)).text(5));
    const auto limits = Doubles(histogram.text(6)), counts = Doubles(histogram.text(7));
    EXPECT_EQ(limits.size(), counts.size());
    EXPECT_TRUE(std::is_sorted(limits.begin(), limits.end()));
    return counts;
  };
  std::vector<float> ramp(300);
  for (size_t i = 0; i < ramp.size(); ++i) ramp[i] = static_cast<float>(i);
  EXPECT_EQ(parts(ramp), std::vector<double>(30, 10));
  EXPECT_EQ(parts({2, 2, 2}), std::vector<double>{3});
  EXPECT_EQ(parts({}), std::vector<double>{0});
  const float inf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(parts({inf, 1, std::nanf(""), 1, -inf}), std::vector<double>{2});
  const auto wide = parts({-3e38f, 3e38f, 0});  // the range is no float
  EXPECT_EQ(wide.front(), 1);
  EXPECT_EQ(wide.back(), 1);
}

TEST(TensorBoard, PixelsArePacked) {
  const std::string png = EncodePng(2, 1, 3, {1, 2, 3, 4, 5, 6});
  EXPECT_EQ(png.substr(0, 8), "\x89PNG\r\n\x1a\n");
  EXPECT_EQ(png.substr(16, 8), std::string("\0\0\0\2\0\0\0\1", 8));
  EXPECT_THROW(EncodePng(2, 1, 2, {1, 2, 3, 4}), Error);
  EXPECT_THROW(EncodePng(2, 2, 1, {1, 2, 3}), Error);
}

TEST(TensorBoard, AFolderThatCannotBeIsAnError) {
  const fs::path file = Scratch("file");
  std::ofstream(file) << "no folder";
  Model model = Small();
  try {
    model.fit(Rows(8, 3), Rows(8, 1), {.callbacks = {TensorBoard((file / "logs").string())}});
    ADD_FAILURE() << "logged into a file";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("cannot be made"), std::string::npos) << e.what();
  }
  fs::remove(file);
  EXPECT_THROW(TensorBoard(""), Error);
  EXPECT_THROW(TensorBoard("logs", {.histogram_freq = -1}), Error);
}

TEST(TensorBoardThread, WhatTheDiskRefusesEndsTheFit) {
  const fs::path folder = Scratch("full");
  EventFile file(folder.string());
  file.Wait();
  fs::remove_all(folder);
  // What is in the queue when writing fails is dropped, and whoever comes next is told.
  file.Write(0, []() -> std::vector<std::string> { Fail("the disk is full"); });
  EXPECT_THROW(file.Wait(), Error);
  EXPECT_THROW(file.Write(1, [] { return std::vector<std::string>{}; }), Error);
}

}  // namespace
}  // namespace ingot
