// SPDX-License-Identifier: MIT
#include <cstring>

#include "ingot/io/safetensors.h"
#include "ingot/tests/fuzz/fuzz.h"

using namespace ingot;

// A seed that begins with '{' is a header alone: its length is put before it, and as much data behind it as it asks for
// (within reason). Any other is a file as it lies.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static fuzz::MemoryFile memory(".safetensors");
  static const Model model = fuzz::SmallModel();
  fuzz::File file = fuzz::FileOf(data, size);
  if (size && data[0] == '{') {
    const uint64_t length = size;
    const auto* prefix = reinterpret_cast<const std::byte*>(&length);
    file.insert(file.begin(), prefix, prefix + sizeof length);
    uint64_t end = 0;
    const Json header = Json::parse(data, data + size, nullptr, /*allow_exceptions=*/false);
    if (header.is_object())
      for (const Json& tensor : header)
        if (tensor.is_object() && tensor.contains("data_offsets") && tensor["data_offsets"].is_array())
          for (const Json& offset : tensor["data_offsets"])
            if (offset.is_number_unsigned()) end = std::max(end, offset.get<uint64_t>());
    file.resize(file.size() + std::min<uint64_t>(end, 1 << 16));
  }
  const std::string refusal = fuzz::Refusal([&] {
    for (const StoredTensor& tensor : ReadSafetensors(file, nullptr, "f.safetensors").tensors) fuzz::Touch(tensor);
  });
  if (refusal.empty()) fuzz::LoadWeights(model, memory.Set(file));
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  return fuzz::MutateJson(data, size, max_size, seed);
}
