// SPDX-License-Identifier: MIT
#include "ingot/cli/arrays.h"

#include "ingot/io/atomic_file.h"
#include "ingot/io/mapped_file.h"
#include "ingot/io/npy.h"

namespace ingot {
namespace {

DType InMemory(StoredType type) {
  switch (type) {
    case StoredType::kFloat16:
    case StoredType::kBfloat16:
    case StoredType::kFloat32:
    case StoredType::kFloat64:
      return DType::kFloat32;
    case StoredType::kUint8:
    case StoredType::kBool:
      return DType::kUint8;
    default:
      return DType::kInt32;
  }
}

}  // namespace

Array ReadNpyFile(const std::string& path) {
  const auto file = MappedFile::Open(path);
  StoredTensor tensor = ReadNpy(file->bytes(), file, path);
  tensor.name = path;  // for messages
  Array array(tensor.shape, InMemory(tensor.type));
  Convert(tensor, 0, tensor.shape.count(), array.dtype(), array.data());
  return array;
}

Arrays ReadNpyFiles(const std::vector<std::string>& paths) {
  Arrays arrays;
  for (const std::string& path : paths) arrays.push_back(ReadNpyFile(path));
  return arrays;
}

void WriteNpyFile(const std::string& path, const Array& array) {
  AtomicFile file(path);
  WriteNpy({"", StoredAs(array.dtype()), array.shape(),
            Bytes(static_cast<const std::byte*>(array.data()), array.bytes()), nullptr},
           file.sink());
  file.Commit();
}

}  // namespace ingot
