// SPDX-License-Identifier: MIT
#include "ingot/io/hdf5.h"
#include "ingot/tests/fuzz/fuzz.h"

using namespace ingot;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::File file = fuzz::FileOf(data, size);
  fuzz::FixHdf5(file, 0, file.size());
  fuzz::Refusal([&] { fuzz::Touch(ReadHdf5(file, nullptr, "f.h5", /*may_use_library=*/false)); });
  return 0;
}
