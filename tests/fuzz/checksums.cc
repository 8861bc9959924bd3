// SPDX-License-Identifier: MIT
//
// Checksums put right, so that a mutation does not end at them.
#include <algorithm>
#include <cstring>
#include <regex>

#include "ingot/core/crc32c.h"
#include "ingot/io/zip.h"
#include "ingot/io/zip_format.h"
#include "ingot/tests/fuzz/fuzz.h"

namespace ingot::fuzz {
namespace {

template <class T>
T Get(const File& file, size_t at) {
  T value;
  std::memcpy(&value, file.data() + at, sizeof value);
  return value;
}

template <class T>
void Set(File& file, size_t at, T value) {
  std::memcpy(file.data() + at, &value, sizeof value);
}

}  // namespace

void FixZip(File& file) {
  // The CRC stands in the directory and in the local header; both must say the same, then what the data gives.
  struct Place {
    size_t entry, local;
  };
  std::vector<Place> places;
  for (size_t at = 0; at + zip::kEntryBytes <= file.size(); ++at) {
    if (Get<uint32_t>(file, at) != zip::kEntry) continue;
    const size_t local = Get<uint32_t>(file, at + 42);
    if (local + zip::kLocalBytes > file.size() || Get<uint32_t>(file, local) != zip::kLocal) continue;
    Set(file, local + 14, Get<uint32_t>(file, at + 16));
    places.push_back({at, local});
  }
  Refusal([&] {
    const ZipReader zip(file, nullptr, "zip");
    std::vector<uint32_t> crcs;
    for (const ZipReader::Member& member : zip.members()) {
      std::shared_ptr<const void> owner;
      const Bytes bytes = zip.Read(member, owner, /*check=*/false);
      crcs.push_back(Crc32(bytes.data(), bytes.size()));
    }
    if (crcs.size() != places.size()) return;
    for (size_t i = 0; i < crcs.size(); ++i) {
      Set(file, places[i].entry + 16, crcs[i]);
      Set(file, places[i].local + 14, crcs[i]);
    }
  });
}

// The reader's own message says where a sum stands and what it should be.
void FixHdf5(File& file, size_t first, size_t bytes) {
  static const std::regex kSum("at (\\d+) does not match its checksum: its (\\d+) bytes give (\\d+)");
  for (int sums = 0; sums < 32; ++sums) {
    const File image(file.begin() + static_cast<ptrdiff_t>(first),
                     file.begin() + static_cast<ptrdiff_t>(first + bytes));
    const std::string text = Refusal([&] { ReadHdf5(image, nullptr, "f.h5", /*may_use_library=*/false); });
    if (text.find("does not match its checksum") == text.npos) return;
    std::smatch found;
    if (text.size() > 10000 || !std::regex_search(text, found, kSum)) return;
    const size_t at = first + std::stoull(found[1]) + std::stoull(found[2]);
    if (at + 4 > file.size()) Bug("a checksum lies outside of the file");
    Set(file, at, static_cast<uint32_t>(std::stoull(found[3])));
  }
}

// docs/ingot-format.md has the offsets.
void FixIngot(File& file) {
  if (file.size() < 64) return;
  Set<uint64_t>(file, 24, file.size());
  const uint64_t header = Get<uint64_t>(file, 16), arenas = Get<uint64_t>(file, 32), sums = Get<uint64_t>(file, 40);
  if (header <= file.size() - 64) Set(file, 52, Crc32c(file.data() + 64, header));
  Set(file, 56, Crc32c(file.data(), 56));
  if (arenas > sums || sums > file.size()) return;
  constexpr uint64_t kChunk = uint64_t{1} << 20;
  for (uint64_t at = arenas, sum = sums; at < sums && sum + 4 <= file.size(); at += kChunk, sum += 4)
    Set(file, sum, Crc32c(file.data() + at, std::min(kChunk, sums - at)));
}

}  // namespace ingot::fuzz
