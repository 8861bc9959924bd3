// SPDX-License-Identifier: MIT
//
// A whole .keras archive (what begins as a zip), .h5 or .weights.h5. What would be read through libhdf5 is left out:
// that is not ingot's to mend.
#include "ingot/io/zip.h"
#include "ingot/tests/fuzz/fuzz.h"

using namespace ingot;

namespace {

bool NeedsLibrary(Bytes image) {
  return fuzz::Refusal([&] { ReadHdf5(image, nullptr, "f.h5", false); }).find("libhdf5") != std::string::npos;
}

void Archive(fuzz::File& file) {
  static fuzz::MemoryFile memory(".keras");
  static const Model small = fuzz::SmallModel();
  bool library = false;
  // The weights lie stored in the archive: their sums are put right where they lie, then the archive's.
  fuzz::Refusal([&] {
    const ZipReader zip(file, nullptr, "zip");
    const ZipReader::Member* member = zip.find("model.weights.h5");
    if (member && !member->deflated)
      fuzz::FixHdf5(file, static_cast<size_t>(member->stored.data() - file.data()), member->stored.size());
  });
  fuzz::FixZip(file);
  fuzz::Refusal([&] {
    const ZipReader zip(file, nullptr, "zip");
    std::shared_ptr<const void> owner;
    if (const auto* member = zip.find("model.weights.h5")) library = NeedsLibrary(zip.Read(*member, owner, false));
  });
  if (library) return;
  const std::string& path = memory.Set(file);
  fuzz::LoadModel(path);
  fuzz::LoadWeights(small, path);
}

void Hdf5(fuzz::File& file) {
  static fuzz::MemoryFile memory(".h5");
  static const Model small = fuzz::SmallModel(), branch = fuzz::BranchModel();
  fuzz::FixHdf5(file, 0, file.size());
  if (NeedsLibrary(file)) return;
  const std::string& path = memory.Set(file);
  fuzz::LoadModel(path);
  fuzz::LoadWeights(small, path);
  fuzz::LoadWeights(branch, path);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::File file = fuzz::FileOf(data, size);
  if (size && data[0] == 'P')
    Archive(file);
  else
    Hdf5(file);
  return 0;
}
