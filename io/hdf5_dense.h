// SPDX-License-Identifier: MIT
//
// Where HDF5 keeps the links of large groups and the attributes of objects with many: in a "fractal heap", found
// through a B-tree of version 2. h5py makes such a group as soon as a member's name is not ASCII and there are more
// than eight.
#pragma once

#include <functional>
#include <vector>

#include "ingot/io/hdf5_image.h"

namespace ingot::hdf5 {

// Calls `each` with every message in the heap that the tree refers to: links, or attributes. Messages that only
// libhdf5 could get are noted by Image::Need and left out.
void ForEachDense(Image& image, uint64_t heap, uint64_t tree, Message kind, const std::function<void(Bytes)>& each);

}  // namespace ingot::hdf5
