// SPDX-License-Identifier: MIT
//
// safetensors: eight bytes of length, a JSON header, then the tensors one after the other.
// https://huggingface.co/docs/safetensors
//
// The format asks for no alignment, so a tensor by another writer may lie at any. What it does ask for is checked:
// tensors that overlap or leave holes, names that come twice, and anything else in the header are Errors.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ingot/io/stored.h"

namespace ingot {

struct Safetensors {
  std::map<std::string, std::string> metadata;  // "__metadata__"
  std::vector<StoredTensor> tensors;            // in the order of their data
};

Safetensors ReadSafetensors(Bytes file, const std::shared_ptr<const void>& owner, const std::string& where);
// The header is padded so that the data begins at a multiple of 64 bytes; wider types come first, in the given order
// otherwise, so that every tensor lies at a multiple of its type's size.
void WriteSafetensors(const Safetensors& file, const Sink& sink);

// The format has no checksums. What ingot writes carries its own in the metadata, where other readers leave them alone:
// "ingot.crc32c" is a JSON object, as text, of the tensors' names and the CRC32C of their bytes in eight hex digits.
Safetensors WithChecksums(Safetensors file);
// False if the file carries none; Error that names the tensor if one differs or is not listed.
bool CheckChecksums(const Safetensors& file, const std::string& where);

}  // namespace ingot
