// SPDX-License-Identifier: MIT
#include "ingot/io/png.h"

#include <zlib.h>

#include "ingot/core/error.h"

namespace ingot {
namespace {

void AppendBig(std::string& text, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) text += static_cast<char>(value >> shift);
}

void AppendChunk(std::string& file, const std::string& kind, const std::string& data) {
  AppendBig(file, static_cast<uint32_t>(data.size()));
  const std::string checked = kind + data;
  file += checked;
  const auto* bytes = reinterpret_cast<const Bytef*>(checked.data());
  AppendBig(file, static_cast<uint32_t>(crc32(0, bytes, static_cast<uInt>(checked.size()))));
}

}  // namespace

std::string EncodePng(int width, int height, int channels, const std::vector<uint8_t>& pixels) {
  const size_t row = static_cast<size_t>(width) * static_cast<size_t>(channels);
  if (width <= 0 || height <= 0 || (channels != 1 && channels != 3 && channels != 4) ||
      pixels.size() != row * static_cast<size_t>(height))
    Fail("EncodePng: ", pixels.size(), " bytes for ", width, " x ", height, " pixels of ", channels,
         " channels; 1, 3 or 4 bytes a pixel were expected");
  std::string lines;
  for (size_t y = 0; y < static_cast<size_t>(height); ++y) {
    lines += '\0';  // not filtered
    lines.append(reinterpret_cast<const char*>(pixels.data()) + y * row, row);
  }
  uLongf size = compressBound(static_cast<uLong>(lines.size()));
  std::string packed(size, '\0');
  if (compress2(reinterpret_cast<Bytef*>(packed.data()), &size, reinterpret_cast<const Bytef*>(lines.data()),
                static_cast<uLong>(lines.size()), Z_BEST_SPEED) != Z_OK)
    Fail("EncodePng: zlib could not compress ", lines.size(), " bytes");
  packed.resize(size);

  std::string header;
  AppendBig(header, static_cast<uint32_t>(width));
  AppendBig(header, static_cast<uint32_t>(height));
  constexpr char kColour[] = {0, 0, 0, 2, 6};  // by channels
  header += {8, kColour[channels], 0, 0, 0};
  std::string file = "\x89PNG\r\n\x1a\n";
  AppendChunk(file, "IHDR", header);
  AppendChunk(file, "IDAT", packed);
  AppendChunk(file, "IEND", "");
  return file;
}

}  // namespace ingot
