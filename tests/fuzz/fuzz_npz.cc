// SPDX-License-Identifier: MIT
#include "ingot/io/npy.h"
#include "ingot/tests/fuzz/fuzz.h"

using namespace ingot;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static fuzz::MemoryFile memory(".npz");
  static const Model model = fuzz::SmallModel();
  fuzz::File file = fuzz::FileOf(data, size);
  if (!file.empty() && file[0] == std::byte{0x93}) {
    fuzz::Refusal([&] { fuzz::Touch(ReadNpy(file, nullptr, "f.npy")); });
    return 0;
  }
  fuzz::FixZip(file);
  const std::string refusal = fuzz::Refusal([&] {
    for (const StoredTensor& tensor : ReadNpz(file, nullptr, "f.npz")) fuzz::Touch(tensor);
  });
  if (refusal.empty()) fuzz::LoadWeights(model, memory.Set(file));
  return 0;
}
