// SPDX-License-Identifier: MIT
//
// Reads the files in which MNIST, Fashion-MNIST (idx) and CIFAR-10 (binary) are handed out, unpacked. Sizes are
// checked against the file before anything is read.
#include <sys/stat.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <vector>

#include "ingot/core/error.h"
#include "ingot/data/digits.h"

namespace ingot {
namespace {

namespace fs = std::filesystem;

std::vector<uint8_t> ReadAll(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) Fail(path.string(), ": cannot be opened");
  std::error_code error;
  const uintmax_t size = fs::file_size(path, error);
  if (error) Fail(path.string(), ": ", error.message());
  std::vector<uint8_t> bytes(size);
  if (size && !in.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(size)))
    Fail(path.string(), ": ended after ", in.gcount(), " of ", size, " bytes");
  return bytes;
}

uint32_t BigEndian(const uint8_t* p) {
  return static_cast<uint32_t>(p[0]) << 24 | static_cast<uint32_t>(p[1]) << 16 | static_cast<uint32_t>(p[2]) << 8 |
         p[3];
}

// idx: two zero bytes, 8 (unsigned bytes), the number of axes, each extent in 4 bytes, then the elements.
struct Idx {
  Shape shape;
  std::vector<uint8_t> bytes;
  size_t begin;
};
Idx ReadIdx(const fs::path& path, int axes) {
  Idx idx{{}, ReadAll(path), 0};
  const auto& b = idx.bytes;
  if (b.size() < 4 || b[0] || b[1] || b[2] != 8 || b[3] != axes)
    Fail(path.string(), ": is not an idx file of bytes with ", axes, " axes (unpack it first if it is compressed)");
  idx.begin = 4 + 4 * static_cast<size_t>(axes);
  if (b.size() < idx.begin) Fail(path.string(), ": ends within its header");
  for (int i = 0; i < axes; ++i) idx.shape.push_back(BigEndian(b.data() + 4 + 4 * i));
  if (static_cast<uint64_t>(idx.shape.count()) != b.size() - idx.begin)
    Fail(path.string(), ": header says shape ", idx.shape, ", the file has ", b.size() - idx.begin, " elements");
  return idx;
}

Dataset FromIdx(const fs::path& images, const fs::path& labels) {
  const Idx x = ReadIdx(images, 3), y = ReadIdx(labels, 1);
  if (x.shape[0] != y.shape[0])
    Fail(images.string(), ": has ", x.shape[0], " images, ", labels.string(), " has ", y.shape[0], " labels");
  Array ax({x.shape[0], x.shape[1], x.shape[2], 1}), ay({y.shape[0]}, DType::kInt32);
  for (size_t i = 0; i < ax.floats().size(); ++i) ax.floats()[i] = static_cast<float>(x.bytes[x.begin + i]) / 255;
  for (size_t i = 0; i < ay.as<int32_t>().size(); ++i) ay.as<int32_t>()[i] = y.bytes[y.begin + i];
  return Dataset::from_arrays(ax, ay);
}

// CIFAR-10: records of a label and 3 planes of 32 x 32.
Dataset FromCifar(const std::vector<fs::path>& files) {
  constexpr size_t kPlane = 32 * 32, kRecord = 1 + 3 * kPlane;
  std::vector<uint8_t> all;
  for (const fs::path& file : files) {
    const std::vector<uint8_t> bytes = ReadAll(file);
    if (bytes.empty() || bytes.size() % kRecord)
      Fail(file.string(), ": has ", bytes.size(), " bytes, a multiple of ", kRecord, " was expected");
    all.insert(all.end(), bytes.begin(), bytes.end());
  }
  const int64_t n = static_cast<int64_t>(all.size() / kRecord);
  Array x({n, 32, 32, 3}), y({n}, DType::kInt32);
  for (int64_t i = 0; i < n; ++i) {
    const uint8_t* record = all.data() + static_cast<size_t>(i) * kRecord;
    if (record[0] > 9)
      Fail(files[0].string(), ": record ", i, " has the label ", int{record[0]}, ", 0 to 9 was expected");
    y.as<int32_t>()[static_cast<size_t>(i)] = record[0];
    for (size_t p = 0; p < kPlane; ++p)
      for (size_t c = 0; c < 3; ++c)
        x.floats()[(static_cast<size_t>(i) * kPlane + p) * 3 + c] =
            static_cast<float>(record[1 + c * kPlane + p]) / 255;
  }
  return Dataset::from_arrays(x, y);
}

}  // namespace

ImageData LoadImages(const std::string& folder) {
  const fs::path dir = folder;
  // The same files are found with a dot or a hyphen before "idx".
  for (const char* dot : {"-", "."}) {
    const auto path = [&](const char* what, int axes) {
      return dir / (std::string(what) + dot + "idx" + std::to_string(axes) + "-ubyte");
    };
    if (fs::exists(path("train-images", 3)))
      return {FromIdx(path("train-images", 3), path("train-labels", 1)),
              FromIdx(path("t10k-images", 3), path("t10k-labels", 1))};
  }
  for (const fs::path& base : {dir, dir / "cifar-10-batches-bin"}) {
    if (!fs::exists(base / "data_batch_1.bin")) continue;
    std::vector<fs::path> train;
    for (int i = 1; i <= 5; ++i) train.push_back(base / ("data_batch_" + std::to_string(i) + ".bin"));
    return {FromCifar(train), FromCifar({base / "test_batch.bin"})};
  }
  Fail(folder, ": holds neither MNIST's files (train-images-idx3-ubyte, ...) nor CIFAR-10's (data_batch_1.bin, ...)");
}

}  // namespace ingot
