// SPDX-License-Identifier: MIT
//
// The native file. A seed that begins with '{' is a header alone, around which a file is made: eight pages of arenas
// behind as many pages as the header takes.
#include <cstring>

#include "ingot/tests/fuzz/fuzz.h"

using namespace ingot;

namespace {

fuzz::File Around(const uint8_t* header, size_t size) {
  constexpr uint64_t kArenas = 8 * kPage;
  const uint64_t arenas = (64 + size + kPage - 1) / kPage * kPage, sums = arenas + kArenas;
  fuzz::File file(sums + 4);
  const uint32_t version[] = {1, 0x01020304}, chunk = 1 << 20;
  const uint64_t offsets[] = {size, file.size(), arenas, sums};
  std::memcpy(file.data(), "\x89INGOT\r\n", 8);
  std::memcpy(file.data() + 8, version, sizeof version);
  std::memcpy(file.data() + 16, offsets, sizeof offsets);
  std::memcpy(file.data() + 48, &chunk, sizeof chunk);
  std::memcpy(file.data() + 64, header, size);
  return file;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static fuzz::MemoryFile memory(".ingot");
  static const Model model = fuzz::SmallModel();
  fuzz::File file = size && data[0] == '{' ? Around(data, size) : fuzz::FileOf(data, size);
  fuzz::FixIngot(file);
  const std::string& path = memory.Set(file);
  fuzz::LoadModel(path);
  fuzz::LoadWeights(model, path);
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  return fuzz::MutateJson(data, size, max_size, seed);
}
