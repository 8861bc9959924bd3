// SPDX-License-Identifier: MIT
#include "ingot/data/image_file.h"

#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <functional>
#include <string_view>

#include "ingot/core/error.h"

#ifdef INGOT_PNG
#include <png.h>
#endif
#ifdef INGOT_JPEG
#include <jpeglib.h>
#endif

namespace ingot {
namespace {

#ifdef INGOT_PNG

// libpng leaves by longjmp, as libjpeg below: nothing with a destructor may be begun between the jump's two ends.
struct PngReader {
  Bytes left;
  char message[256];
};

[[noreturn]] void LeavePng(png_structp png, png_const_charp what) {
  auto* reader = static_cast<PngReader*>(png_get_error_ptr(png));
  std::snprintf(reader->message, sizeof reader->message, "%s", what);
  png_longjmp(png, 1);
}
void Overlook(png_structp, png_const_charp) {}
void TakeBytes(png_structp png, png_bytep to, size_t n) {
  auto* reader = static_cast<PngReader*>(png_get_io_ptr(png));
  if (reader->left.size() < n) png_error(png, "it ends early");
  std::memcpy(to, reader->left.data(), n);
  reader->left = reader->left.subspan(n);
}

// The samples as they are stored: of 16 bits the upper 8, and what chunks say of gamma is left alone, as Pillow and
// TensorFlow have it. (libpng's simplified interface would apply both.) Pixels of 4 bytes; null: the size was refused.
bool ReadPng(PngReader& reader, const std::function<uint8_t*(uint64_t, uint64_t)>& room) {
  png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &reader, LeavePng, Overlook);
  png_infop info = png ? png_create_info_struct(png) : nullptr;
  if (!info || setjmp(png_jmpbuf(png))) {
    png_destroy_read_struct(&png, &info, nullptr);
    return false;
  }
  png_set_read_fn(png, &reader, TakeBytes);
  png_read_info(png, info);
  png_set_expand(png);
  png_set_strip_16(png);
  png_set_gray_to_rgb(png);
  png_set_add_alpha(png, 255, PNG_FILLER_AFTER);
  const int passes = png_set_interlace_handling(png);
  png_read_update_info(png, info);
  const size_t height = png_get_image_height(png, info), row = png_get_rowbytes(png, info);
  uint8_t* const pixels = room(height, png_get_image_width(png, info));
  for (int pass = 0; pixels && pass < passes; ++pass)
    for (size_t y = 0; y < height; ++y) png_read_row(png, pixels + y * row, nullptr);
  png_destroy_read_struct(&png, &info, nullptr);
  return true;
}

#endif

// Before memory is taken: what deflate and the emptiest JPEG blocks can do is less than this for each byte of a file.
[[maybe_unused]] void CheckSize(uint64_t height, uint64_t width, int64_t channels, Bytes file,
                                const std::string& where) {
  constexpr uint64_t kInflated = 2048, kSmall = 1 << 20, kMost = 1 << 30;
  if (height == 0 || width == 0) Fail(where, ": the picture is ", height, " by ", width, " pixels");
  const uint64_t most = std::min(file.size() * kInflated + kSmall, kMost) / static_cast<uint64_t>(channels);
  if (height > most / width)
    Fail(where, ": the picture is said to have ", height, " by ", width, " pixels; of a file of ", file.size(),
         " bytes at most ", most, " are read");
}

// The luma of ITU-R BT.601, which is what JPEG keeps; libpng would weigh the colors otherwise.
[[maybe_unused]] Array Grey(const Array& rgb) {
  Array grey(rgb.shape().with(2, 1), DType::kUint8);
  const uint8_t* from = rgb.as<uint8_t>().data();
  for (uint8_t& v : grey.as<uint8_t>()) {
    v = static_cast<uint8_t>((from[0] * 19595u + from[1] * 38470u + from[2] * 7471u + 0x8000u) >> 16);
    from += 3;
  }
  return grey;
}

#ifdef INGOT_PNG

Array DecodePng(Bytes file, int64_t channels, const std::string& where) {
  PngReader reader{file, "there is no memory for it"};
  Array rgba;
  std::string refused;
  const bool whole = ReadPng(reader, [&](uint64_t height, uint64_t width) -> uint8_t* {
    try {
      CheckSize(height, width, 4, file, where);
      rgba = Array({static_cast<int64_t>(height), static_cast<int64_t>(width), 4}, DType::kUint8);
      return rgba.as<uint8_t>().data();
    } catch (const std::exception& e) {  // not through libpng's frames
      refused = e.what();
      return nullptr;
    }
  });
  if (!refused.empty()) throw Error(refused);
  if (!whole) Fail(where, ": is no whole PNG: ", reader.message);
  Array pixels(rgba.shape().with(2, 3), DType::kUint8);
  const uint8_t* from = rgba.as<uint8_t>().data();
  uint8_t* to = pixels.as<uint8_t>().data();
  for (int64_t i = 0; i < rgba.size() / 4; ++i, from += 4, to += 3)  // on black
    for (size_t c = 0; c < 3; ++c) to[c] = static_cast<uint8_t>((from[c] * from[3] + 127) / 255);
  return channels == 3 ? pixels : Grey(pixels);
}

#endif
#ifdef INGOT_JPEG

// libjpeg leaves by longjmp: nothing with a destructor may be begun between the jump's two ends.
struct JpegError {
  jpeg_error_mgr manager;
  std::jmp_buf jump;
  char message[JMSG_LENGTH_MAX];
};

[[noreturn]] void Leave(j_common_ptr jpeg) {
  auto* error = reinterpret_cast<JpegError*>(jpeg->err);
  jpeg->err->format_message(jpeg, error->message);
  std::longjmp(error->jump, 1);
}
// What libjpeg only warns of, it makes up: data that is damaged, or missing.
void Warn(j_common_ptr jpeg, int level) {
  if (level < 0) Leave(jpeg);
}
// Scans of a progressive picture cost a pass over all of it each, and few bytes.
void LimitScans(j_common_ptr jpeg) {
  constexpr int kMostScans = 500;
  auto* decoder = reinterpret_cast<j_decompress_ptr>(jpeg);
  if (decoder->input_scan_number <= kMostScans) return;
  auto* error = reinterpret_cast<JpegError*>(jpeg->err);
  std::snprintf(error->message, sizeof error->message, "it has more than %d scans", kMostScans);
  std::longjmp(error->jump, 1);
}

// Four inks to three colors. As Adobe began and all have followed, JPEGs hold inks inverted: 255 is none of it.
Array ColorsOf(const Array& inks) {
  Array rgb(inks.shape().with(2, 3), DType::kUint8);
  const uint8_t* from = inks.as<uint8_t>().data();
  uint8_t* to = rgb.as<uint8_t>().data();
  for (int64_t i = 0; i < rgb.size(); i += 3, from += 4)
    for (int k = 0; k < 3; ++k) {
      const uint32_t product = (255u - from[k]) * from[3] + 128;
      *to++ = static_cast<uint8_t>(from[3] - ((product + (product >> 8)) >> 8));
    }
  return rgb;
}

// Where a picture of this height, width and channels goes; null: it was refused.
using Room = std::function<uint8_t*(uint64_t, uint64_t, int64_t)>;

// One call with no more than plain memory in it. Pictures of four inks come as they are, whatever `channels`.
bool ReadJpeg(Bytes file, int64_t channels, JpegError& error, const Room& room) {
  jpeg_decompress_struct jpeg{};
  jpeg_progress_mgr progress{};
  jpeg.err = jpeg_std_error(&error.manager);
  error.manager.error_exit = Leave;
  error.manager.emit_message = Warn;
  if (setjmp(error.jump)) {
    jpeg_destroy_decompress(&jpeg);
    return false;
  }
  jpeg_create_decompress(&jpeg);
  progress.progress_monitor = LimitScans;
  jpeg.progress = &progress;
  jpeg_mem_src(&jpeg, reinterpret_cast<const unsigned char*>(file.data()), static_cast<unsigned long>(file.size()));
  jpeg_read_header(&jpeg, TRUE);
  const bool inks = jpeg.jpeg_color_space == JCS_CMYK || jpeg.jpeg_color_space == JCS_YCCK;
  jpeg.out_color_space = inks ? JCS_CMYK : channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
  const int64_t kinds = inks ? 4 : channels;
  uint8_t* const pixels = room(jpeg.image_height, jpeg.image_width, kinds);
  if (pixels) {
    jpeg_start_decompress(&jpeg);
    const size_t row = static_cast<size_t>(jpeg.output_width) * static_cast<size_t>(kinds);
    while (jpeg.output_scanline < jpeg.output_height) {
      JSAMPROW line = pixels + jpeg.output_scanline * row;
      jpeg_read_scanlines(&jpeg, &line, 1);
    }
    jpeg_finish_decompress(&jpeg);
  }
  jpeg_destroy_decompress(&jpeg);
  return true;
}

Array DecodeJpeg(Bytes file, int64_t channels, const std::string& where) {
  JpegError error{};
  Array pixels;
  std::string refused;
  const bool whole = ReadJpeg(file, channels, error, [&](uint64_t height, uint64_t width, int64_t of) -> uint8_t* {
    try {
      CheckSize(height, width, of, file, where);
      pixels = Array({static_cast<int64_t>(height), static_cast<int64_t>(width), of}, DType::kUint8);
      return pixels.as<uint8_t>().data();
    } catch (const std::exception& e) {  // not through libjpeg's frames
      refused = e.what();
      return nullptr;
    }
  });
  if (!refused.empty()) throw Error(refused);
  if (!whole) Fail(where, ": is no whole JPEG: ", error.message);
  if (pixels.shape()[2] != 4) return pixels;
  const Array rgb = ColorsOf(pixels);
  return channels == 3 ? rgb : Grey(rgb);
}

#endif

bool Begins(Bytes file, std::string_view magic) {
  return file.size() >= magic.size() && std::memcmp(file.data(), magic.data(), magic.size()) == 0;
}

}  // namespace

bool HasPng() {
#ifdef INGOT_PNG
  return true;
#else
  return false;
#endif
}

bool HasJpeg() {
#ifdef INGOT_JPEG
  return true;
#else
  return false;
#endif
}

Array DecodeImage(Bytes file, int64_t channels, const std::string& where) {
  if (channels != 1 && channels != 3) Fail(where, ": ", channels, " channels were asked for; 1 or 3 may be");
  if (Begins(file, "\x89PNG\r\n\x1a\n")) {
#ifdef INGOT_PNG
    return DecodePng(file, channels, where);
#else
    Fail(where, ": is a PNG, and ingot was built without libpng: install libpng-dev and build it anew");
#endif
  }
  if (Begins(file, "\xFF\xD8\xFF")) {
#ifdef INGOT_JPEG
    return DecodeJpeg(file, channels, where);
#else
    Fail(where, ": is a JPEG, and ingot was built without libjpeg: install libjpeg-dev and build it anew");
#endif
  }
  Fail(where, ": is neither PNG nor JPEG, as its first bytes tell");
}

}  // namespace ingot
