// SPDX-License-Identifier: MIT
//
// What hdf5_reader.cc leaves to libhdf5. It hands over no more than it must: libhdf5 1.10 crashes on damaged
// attributes, so of a file with chunked datasets it gets to see these alone.
#pragma once

#include <string>
#include <vector>

#include "ingot/io/hdf5.h"

namespace ingot::hdf5 {

struct LibraryDataset {
  std::string path;
  uint64_t address;  // of its header
};

// Reads them into nodes of the tree, which exist. REQUIRES: HasHdf5Library()
void ReadDatasetsWithLibrary(Bytes image, const std::string& where, const std::vector<LibraryDataset>& datasets,
                             Hdf5Node& root);

}  // namespace ingot::hdf5
