// SPDX-License-Identifier: MIT
#include "ingot/io/zip.h"
#include "ingot/tests/fuzz/fuzz.h"

using namespace ingot;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::File file = fuzz::FileOf(data, size);
  fuzz::FixZip(file);
  fuzz::Refusal([&] {
    const ZipReader zip(file, nullptr, "f.zip");
    for (const ZipReader::Member& member : zip.members()) {
      if (zip.find(member.name) != &member) fuzz::Bug("a member is not found by its name");
      fuzz::Refusal([&] {
        std::shared_ptr<const void> owner;
        const Bytes bytes = zip.Read(member, owner);
        if (bytes.size() != member.size) fuzz::Bug("a member has another size than it says");
      });
    }
  });
  return 0;
}
