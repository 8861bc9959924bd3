// SPDX-License-Identifier: MIT
//
// A native file, opened: preamble and header read and checked, bounds of everything known, no arena touched yet. What
// stands where: docs/ingot-format.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "ingot/core/fields.h"
#include "ingot/io/format.h"
#include "ingot/io/mapped_file.h"
#include "ingot/io/stored.h"

namespace ingot {

inline constexpr size_t kIngotChunk = size_t{1} << 20;  // bytes under one checksum

struct IngotPreamble {
  char magic[8];
  uint32_t version, byte_order;
  uint64_t header_bytes, file_bytes, arenas, checksums;
  uint32_t chunk, header_crc, preamble_crc, zero;
};
static_assert(sizeof(IngotPreamble) == 64 && offsetof(IngotPreamble, preamble_crc) == 56);

struct IngotArena {
  std::string name;
  uint64_t offset, bytes;
};

struct IngotFile {
  std::shared_ptr<const MappedFile> file;
  IngotPreamble preamble;
  Json header;
  std::vector<IngotArena> arenas;  // weights, then each slot

  bool compiled() const { return header.contains("compile") && header["compile"].is_object(); }
};

// Error unless preamble, header and bounds hold together.
IngotFile OpenIngot(const std::string& path, LoadMode mode = LoadMode::kShare, LoadReport* report = nullptr);

// The weights in the order of the header, each name made unique.
std::vector<StoredTensor> IngotWeights(const IngotFile& file, const std::string& path);
// What arena `slot` (from 1) holds for a weight; none where it holds nothing for it. REQUIRES: of IngotWeights
std::optional<StoredTensor> IngotSlot(const IngotFile& file, size_t slot, const StoredTensor& weight);
// Null where the file was not saved by a fit on its way.
std::shared_ptr<const FitState> IngotFit(const IngotFile& file, const std::string& path);
int64_t IngotIterations(const IngotFile& file, const std::string& path);

}  // namespace ingot
