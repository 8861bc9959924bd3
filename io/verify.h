// SPDX-License-Identifier: MIT
//
// Reads and checks everything of a file, whatever its format, on all threads. Loading maps a file and looks at little
// of it; here every byte that has a checksum is held against it, and every value is read.
//
//   .ingot           preamble, header, every chunk of 1 MiB against its CRC32C, padding: a flipped bit anywhere is
//   found,
//                    the tensors of a damaged chunk are named, and where one bit explains the damage, its tensor alone
//   .keras, .npz     every member of the archive against its CRC-32
//   .safetensors     every tensor against its CRC32C, where ingot wrote the file; others carry none
//   .h5, .weights.h5 no checksums but Fletcher's of single datasets, where their writer asked for them
//
// Then what the file says of its model is built, and its weights loaded into it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ingot {

struct VerifyReport {
  std::string format;         // ".ingot"
  uint64_t bytes = 0;         // of the file
  size_t tensors = 0;         // weights, slots, and whatever else it holds
  uint64_t tensor_bytes = 0;  // of all of them
  double seconds = 0;
  bool checksums = false;             // of all tensors
  std::string checked;                // "62 chunks of 1 MiB by their CRC32C"
  std::vector<std::string> warnings;  // of a file that is whole: weights that are not finite, a class that is unknown
};

// Error that says where the damage is, if there is any.
VerifyReport VerifyFile(const std::string& path);

}  // namespace ingot
