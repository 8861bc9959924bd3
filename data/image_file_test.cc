// SPDX-License-Identifier: MIT
//
// PNG and JPEG files, alone and in folders. Those of tests/formats/make_images.py were written by Pillow, which also
// says what is in them.
#include "ingot/data/image_file.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>

#include "ingot/data/data_test_util.h"
#include "ingot/io/mapped_file.h"
#include "ingot/tests/folder.h"
#include "ingot/tests/hostile.h"

namespace ingot {
namespace {

namespace fs = std::filesystem;
using testing::ErrorOf;

std::string Format(const std::string& name) { return std::string(INGOT_GOLDEN_DIR) + "/../formats/" + name; }

class ImageFiles : public testing::InFolder {};

Array Decoded(const std::string& name, int64_t channels) {
  const auto file = MappedFile::Open(Format("images/" + name));
  return DecodeImage(file->bytes(), channels, name);
}

TEST_F(ImageFiles, PicturesAreWhatPillowSees) {
  int pictures = 0;
  for (const auto& entry : fs::directory_iterator(Format("images"))) {
    const std::string name = entry.path().filename().string(), kind = entry.path().extension().string();
    if (kind == ".npy" || (kind == ".png" ? !HasPng() : !HasJpeg())) continue;
    ++pictures;
    for (const int64_t channels : {1, 3}) {
      const std::string seen = entry.path().stem().string() + (channels == 1 ? ".grey.npy" : ".rgb.npy");
      const Array expected = Dataset::from_npy({Format("images/" + seen)}, {}).x[0], got = Decoded(name, channels);
      ASSERT_EQ(got.shape(), expected.shape()) << name;
      // Grey JPEGs are the file's own luma, which Pillow computes again from the colors.
      const int near = kind == ".png" ? 0 : 2;
      for (size_t i = 0; i < got.as<uint8_t>().size(); ++i)
        ASSERT_NEAR(got.as<uint8_t>()[i], expected.as<uint8_t>()[i], near)
            << name << ", " << channels << " channels, byte " << i;
    }
  }
  EXPECT_EQ(pictures, 5 * HasPng() + 5 * HasJpeg());
}

TEST_F(ImageFiles, DamagedPicturesAreErrors) {
  for (const char* name : {"grey_png.png", "palette_png.png", "rgb_jpg.jpg", "progressive_jpg.jpg", "cmyk_jpg.jpg"}) {
    if (std::string_view(name).ends_with("png") ? !HasPng() : !HasJpeg()) continue;
    const auto file = MappedFile::Open(Format(std::string("images/") + name));
    // Without the mark of its end, the last bytes, all pixels are there: decoders may take it.
    const Bytes whole = file->bytes();
    testing::Mangle(
        whole, [&](Bytes bytes) { DecodeImage(bytes, 3, name); }, false);
    for (const size_t cut : {whole.size() / 2, whole.size() - 20})
      EXPECT_NE(ErrorOf([&] { DecodeImage(whole.first(cut), 3, name); }).find(name), std::string::npos) << cut;
  }
  const std::string text = "GIF89a no picture";
  EXPECT_NE(ErrorOf([&] { DecodeImage(std::as_bytes(std::span(text)), 3, "x"); }).find("neither PNG nor JPEG"),
            std::string::npos);
  EXPECT_NE(ErrorOf([&] { Decoded("grey_png.png", 2); }), "");
}

// A PNG written here, without a filter: of `width` pixels in each of `rows`.
std::string Png(uint32_t width, char bits, char color, const std::vector<std::string>& rows,
                const std::vector<std::pair<std::string, std::string>>& chunks = {}) {
  const auto number = [](uint32_t v) {
    return std::string{static_cast<char>(v >> 24), static_cast<char>(v >> 16), static_cast<char>(v >> 8),
                       static_cast<char>(v)};
  };
  const auto chunk = [&](const std::string& type, const std::string& data) {
    const std::string summed = type + data;
    const auto crc = crc32(0, reinterpret_cast<const Bytef*>(summed.data()), static_cast<uInt>(summed.size()));
    return number(static_cast<uint32_t>(data.size())) + summed + number(static_cast<uint32_t>(crc));
  };
  std::string pixels;
  for (const std::string& row : rows) pixels += '\0' + row;
  uLongf size = compressBound(pixels.size());
  std::string packed(size, 0);
  compress(reinterpret_cast<Bytef*>(packed.data()), &size, reinterpret_cast<const Bytef*>(pixels.data()),
           pixels.size());
  packed.resize(size);
  std::string file = "\x89PNG\r\n\x1a\n" + chunk("IHDR", number(width) + number(static_cast<uint32_t>(rows.size())) +
                                                             std::string{bits, color, 0, 0, 0});
  for (const auto& [type, data] : chunks) file += chunk(type, data);
  return file + chunk("IDAT", packed) + chunk("IEND", "");
}
std::vector<int> Pixels(const std::string& png, int64_t channels) {
  const Array a = DecodeImage(std::as_bytes(std::span(png)), channels, "png");
  return {a.as<uint8_t>().begin(), a.as<uint8_t>().end()};
}

TEST_F(ImageFiles, SamplesOfPngsAreTakenAsTheyAreStored) {
  if (!HasPng()) GTEST_SKIP() << "built without libpng";
  // Of 16 bits the upper 8: the lower ones do not round.
  const std::string grey16 = Png(4, 16, 0, {std::string("\x00\xff\x40\x00\x80\xff\xff\x00", 8)});
  EXPECT_EQ(Pixels(grey16, 1), (std::vector<int>{0x00, 0x40, 0x80, 0xff}));
  EXPECT_EQ(Pixels(Png(1, 16, 2, {std::string("\x10\xff\x20\x80\x30\x00", 6)}), 3),
            (std::vector<int>{0x10, 0x20, 0x30}));
  // What the file says of gamma and color is for screens.
  const std::string gamma("\x00\x01\x86\xa0", 4), linear = "gAMA";  // 1.0
  const std::string row("\x00\x40\x80\xff", 4);
  const std::vector<int> expected{0x00, 0x40, 0x80, 0xff};
  EXPECT_EQ(Pixels(Png(4, 8, 0, {row}), 1), expected);
  EXPECT_EQ(Pixels(Png(4, 8, 0, {row}, {{linear, gamma}}), 1), expected);
  EXPECT_EQ(Pixels(Png(4, 8, 0, {row}, {{linear, std::string("\x00\x00\x27\x10", 4)}}), 1), expected);
  EXPECT_EQ(Pixels(Png(4, 8, 0, {row}, {{"sRGB", std::string(1, '\0')}}), 1), expected);
  EXPECT_EQ(Pixels(Png(4, 8, 0, {row}, {{"sBIT", std::string(1, '\x04')}}), 1), expected);
  // On black, as much of a color as there is: by its alpha, by a color or an entry that is transparent.
  EXPECT_EQ(Pixels(Png(2, 8, 6, {std::string("\xff\x80\x00\x80\xff\xff\xff\x00", 8)}), 3),
            (std::vector<int>{0x80, 0x40, 0, 0, 0, 0}));
  EXPECT_EQ(Pixels(Png(4, 8, 0, {row}, {{"tRNS", std::string("\x00\xff", 2)}}), 1),
            (std::vector<int>{0x00, 0x40, 0x80, 0}));
  EXPECT_EQ(Pixels(Png(2, 8, 3, {std::string("\x00\x01", 2)}, {{"PLTE", "abcdef"}, {"tRNS", std::string(1, '\0')}}), 3),
            (std::vector<int>{0, 0, 0, 'd', 'e', 'f'}));
  testing::Mangle(
      std::as_bytes(std::span(grey16)), [&](Bytes bytes) { DecodeImage(bytes, 3, "png"); }, false);
}

TEST_F(ImageFiles, FoldersWithADotAreNoClasses) {
  if (!HasPng()) GTEST_SKIP() << "built without libpng";
  for (const char* name : {".ipynb_checkpoints", "cat"}) {
    fs::create_directories(folder_ / name);
    fs::copy(Format("images/grey_png.png"), folder_ / name / "c.png");
  }
  std::vector<std::string> classes;
  const Dataset data = Dataset::from_image_folder(folder_.string(), {.classes = &classes});
  EXPECT_EQ(classes, std::vector<std::string>{"cat"});
  EXPECT_EQ(data.size(), 1);
}

TEST_F(ImageFiles, FoldersOnThreads) {
  if (!HasPng() || !HasJpeg()) GTEST_SKIP() << "built without libpng or libjpeg";
  fs::create_directories(folder_ / "dog");
  fs::create_directories(folder_ / "cat");
  fs::create_directories(folder_ / "empty");
  fs::copy(Format("images/rgb_png.png"), folder_ / "dog" / "b.png");
  fs::copy(Format("images/rgb_jpg.jpg"), folder_ / "dog" / "a.JPG");
  fs::copy(Format("images/grey_png.png"), folder_ / "cat" / "c.png");
  std::ofstream(path("cat/notes.txt")) << "no picture";
  std::vector<std::string> classes;
  const Dataset data = Dataset::from_image_folder(folder_.string(), {.classes = &classes});
  EXPECT_EQ(classes, (std::vector<std::string>{"cat", "dog", "empty"}));
  EXPECT_EQ(data.size(), 3);
  for (const int threads : {0, 3}) {
    auto reader = data.map([](Sample&) {}, {.threads = threads}).batch(3).read();
    Sample s;
    ASSERT_TRUE(reader.next(s));
    EXPECT_EQ(s.x[0].shape(), (Shape{3, 13, 17, 3}));
    EXPECT_EQ(s.y[0], Array({3}, {0, 1, 1}));
    EXPECT_EQ(s.x[0].slice(0, 1).reshape({13, 17, 3}), Decoded("grey_png.png", 3));
    EXPECT_EQ(s.x[0].slice(1, 2).reshape({13, 17, 3}), Decoded("rgb_jpg.jpg", 3));
    EXPECT_EQ(s.x[0].slice(2, 3).reshape({13, 17, 3}), Decoded("rgb_png.png", 3));
  }
  // A file that is no picture: an error where it is read, or left out.
  std::ofstream(path("dog/broken.png"), std::ios::binary) << "\x89PNG\r\n\x1a\nnothing";
  auto reader = Dataset::from_image_folder(folder_.string()).read();
  EXPECT_NE(ErrorOf([&] {
              for (Sample s; reader.next(s);) {
              }
            }).find("broken.png"),
            std::string::npos);
  int64_t skipped = 0;
  EXPECT_EQ(Dataset::from_image_folder(folder_.string(),
                                       {.height = 8, .width = 6, .on_bad_row = BadRow::kSkip, .skipped = &skipped})
                .size(),
            3);
  EXPECT_EQ(skipped, 1);
  EXPECT_NE(ErrorOf([&] { Dataset::from_image_folder(path("none")); }), "");
  EXPECT_NE(ErrorOf([&] { Dataset::from_image_folder(path("dog")); }).find("folders"), std::string::npos);
  EXPECT_NE(ErrorOf([&] { Dataset::from_image_folder(folder_.string(), {.height = 3}); }), "");
}

}  // namespace
}  // namespace ingot
