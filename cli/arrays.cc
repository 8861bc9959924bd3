// SPDX-License-Identifier: MIT
#include "ingot/cli/arrays.h"

#include "ingot/data/stored_array.h"
#include "ingot/io/atomic_file.h"
#include "ingot/io/mapped_file.h"
#include "ingot/io/npy.h"

namespace ingot {
Array ReadNpyFile(const std::string& path) {
  const auto file = MappedFile::Open(path, LoadMode::kMap);
  return ArrayOf(ReadNpy(file->bytes(), file, path), path);
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
