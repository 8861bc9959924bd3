// SPDX-License-Identifier: MIT
#include "ingot/data/image_file.h"
#include "ingot/tests/fuzz/fuzz.h"

using namespace ingot;

// Pictures by their first bytes; all else is CSV, whose first column is of words.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static fuzz::MemoryFile memory(".csv");
  const fuzz::File file = fuzz::FileOf(data, size);
  if (size && (data[0] == 0x89 || data[0] == 0xff)) {
    for (const int64_t channels : {1, 3}) fuzz::Refusal([&] { DecodeImage(file, channels, "f.png"); });
    return 0;
  }
  const std::string& path = memory.Set(file);
  for (const BadRow bad : {BadRow::kError, BadRow::kSkip}) {
    fuzz::Refusal([&] { Dataset::from_csv(path, {.on_bad_row = bad}); });
    fuzz::Refusal(
        [&] { Dataset::from_csv(path, {.label = {"1"}, .categories = {"0"}, .header = false, .on_bad_row = bad}); });
  }
  return 0;
}
