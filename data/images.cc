// SPDX-License-Identifier: MIT
//
// Reads the files in which MNIST, Fashion-MNIST (idx) and CIFAR-10 (binary) are handed out, unpacked. Sizes are
// checked against the file before anything is read.
#include <filesystem>
#include <memory>
#include <vector>

#include "ingot/core/error.h"
#include "ingot/data/digits.h"
#include "ingot/io/mapped_file.h"

namespace ingot {
namespace {

namespace fs = std::filesystem;

uint32_t BigEndian(const uint8_t* p) {
  return static_cast<uint32_t>(p[0]) << 24 | static_cast<uint32_t>(p[1]) << 16 | static_cast<uint32_t>(p[2]) << 8 |
         p[3];
}

const uint8_t* Unsigned(Bytes bytes) { return reinterpret_cast<const uint8_t*>(bytes.data()); }

// idx: two zero bytes, 8 (unsigned bytes), the number of axes, each extent in 4 bytes, then the elements.
Array ReadIdx(const std::string& path, int axes) {
  const auto file = MappedFile::Open(path, LoadMode::kMap);
  const Bytes bytes = file->bytes();
  const uint8_t* b = Unsigned(bytes);
  if (bytes.size() < 4 || b[0] || b[1] || b[2] != 8 || b[3] != axes)
    Fail(path, ": is not an idx file of bytes with ", axes, " axes (unpack it first if it is compressed)");
  const size_t begin = 4 + 4 * static_cast<size_t>(axes);
  if (bytes.size() < begin) Fail(path, ": ends within its header");
  Shape shape;
  for (int i = 0; i < axes; ++i) shape.push_back(BigEndian(b + 4 + 4 * i));
  const size_t elements = bytes.size() - begin;
  if (CheckedBytes(shape, StoredType::kUint8, SIZE_MAX / 2, path) != elements)
    Fail(path, ": header says shape ", shape, ", the file has ", elements, " elements");
  return Array::View(shape, DType::kUint8, b + begin, file);
}

// Bytes as floats from 0 to 1.
Dataset Scaled(const Dataset& data) {
  Array x(data.x[0].shape());
  const std::span<const uint8_t> from = data.x[0].as<uint8_t>();
  for (size_t i = 0; i < from.size(); ++i) x.floats()[i] = static_cast<float>(from[i]) / 255;
  return Dataset::from_arrays(x, data.y[0]);
}

}  // namespace

Dataset Dataset::from_idx(const std::string& images, const std::string& labels) {
  const Array pictures = ReadIdx(images, 3), classes = ReadIdx(labels, 1);
  const Shape& s = pictures.shape();
  if (s[0] != classes.rows())
    Fail(images, ": has ", s[0], " images, ", labels, " has ", classes.rows(), " labels; they must be as many");
  if (pictures.size() == 0) Fail(images, ": has no images, header says shape ", s);
  Array numbers(classes.shape(), DType::kInt32);
  for (size_t i = 0; i < numbers.as<int32_t>().size(); ++i) numbers.as<int32_t>()[i] = classes.as<uint8_t>()[i];
  return from_arrays(pictures.reshape({s[0], s[1], s[2], 1}), numbers);
}

// Records of a label and 3 planes of 32 x 32.
Dataset Dataset::from_cifar(const Paths& files) {
  constexpr size_t kPlane = 32 * 32, kRecord = 1 + 3 * kPlane;
  if (files.empty()) Fail("from_cifar: there are no files; give data_batch_1.bin and so on");
  std::vector<std::shared_ptr<const MappedFile>> mapped;
  size_t all = 0;
  for (const std::string& path : files) {
    mapped.push_back(MappedFile::Open(path));
    const size_t size = mapped.back()->bytes().size();
    if (size == 0 || size % kRecord) Fail(path, ": has ", size, " bytes, a multiple of ", kRecord, " was expected");
    all += size / kRecord;
  }
  const auto n = static_cast<int64_t>(all);
  Array pictures({n, 32, 32, 3}, DType::kUint8), labels({n}, DType::kInt32);
  uint8_t* to = pictures.as<uint8_t>().data();
  int32_t* label = labels.as<int32_t>().data();
  for (size_t f = 0; f < files.size(); ++f) {
    const Bytes bytes = mapped[f]->bytes();
    for (size_t i = 0; i < bytes.size() / kRecord; ++i, to += 3 * kPlane) {
      const uint8_t* record = Unsigned(bytes) + i * kRecord;
      if (record[0] > 9) Fail(files[f], ": record ", i, " has the label ", int{record[0]}, ", 0 to 9 was expected");
      *label++ = record[0];
      for (size_t c = 0; c < 3; ++c)
        for (size_t p = 0; p < kPlane; ++p) to[3 * p + c] = record[1 + c * kPlane + p];
    }
  }
  return from_arrays(pictures, labels);
}

ImageData LoadImages(const std::string& folder) {
  const fs::path dir = folder;
  // The same files are found with a dot or a hyphen before "idx".
  for (const char* dot : {"-", "."}) {
    const auto path = [&](const char* what, int axes) {
      return (dir / (std::string(what) + dot + "idx" + std::to_string(axes) + "-ubyte")).string();
    };
    if (fs::exists(path("train-images", 3)))
      return {Scaled(Dataset::from_idx(path("train-images", 3), path("train-labels", 1))),
              Scaled(Dataset::from_idx(path("t10k-images", 3), path("t10k-labels", 1)))};
  }
  for (const fs::path& base : {dir, dir / "cifar-10-batches-bin"}) {
    if (!fs::exists(base / "data_batch_1.bin")) continue;
    std::vector<std::string> train;
    for (int i = 1; i <= 5; ++i) train.push_back((base / ("data_batch_" + std::to_string(i) + ".bin")).string());
    return {Scaled(Dataset::from_cifar(train)), Scaled(Dataset::from_cifar({(base / "test_batch.bin").string()}))};
  }
  Fail(folder, ": holds neither MNIST's files (train-images-idx3-ubyte, ...) nor CIFAR-10's (data_batch_1.bin, ...)");
}

}  // namespace ingot
