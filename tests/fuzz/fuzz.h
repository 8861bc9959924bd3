// SPDX-License-Identifier: MIT
//
// What the fuzzers share. A target gives bytes to a reader, which takes them or throws Error; whatever else happens
// (another exception, a crash, a hang, an allocation beyond -malloc_limit_mb) is a bug. Checksums are put right before
// a reader sees them: what lies behind them is looked for, not the comparison.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "ingot/ingot.h"
#include "ingot/io/hdf5.h"
#include "ingot/io/stored.h"

namespace ingot::fuzz {

using File = std::vector<std::byte>;  // of exactly its size, so that ASan sees each byte read beyond

inline File FileOf(const uint8_t* data, size_t size) {
  const auto* bytes = reinterpret_cast<const std::byte*>(data);
  return File(bytes, bytes + size);
}

// Runs f. "" if it went through, else what its Error says.
std::string Refusal(const std::function<void()>& f);
// Stops the fuzzer, as a crash does.
[[noreturn]] void Bug(const std::string& what);

void Touch(const StoredTensor& tensor);  // each byte
void Touch(const Hdf5Node& node);        // each tensor and attribute

void FixZip(File& file);                               // the members' CRCs
void FixHdf5(File& file, size_t first, size_t bytes);  // the sums in the image that lies there
void FixIngot(File& file);                             // preamble, header and chunks

// The bytes as a file in memory, under a name that ends in the extension.
class MemoryFile {
 public:
  explicit MemoryFile(const std::string& extension);
  ~MemoryFile();
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  const std::string& Set(Bytes bytes);  // its path

 private:
  std::string folder_, path_;
  int fd_ = -1;
};

// load_model, or load_weights into the model; an Error must begin with the path. All that was loaded is touched.
std::string LoadModel(const std::string& path);
std::string LoadWeights(Model model, const std::string& path);

// The models that the seeds hold.
Model SmallModel();   // Sequential: two Dense layers, Adam
Model BranchModel();  // two inputs, a shared layer, a model inside, batch-normalization, SGD

// Mutates JSON by its structure: nodes replaced, doubled, dropped, numbers put to the ends of their types.
size_t MutateJson(uint8_t* data, size_t size, size_t max_size, unsigned seed);

}  // namespace ingot::fuzz
