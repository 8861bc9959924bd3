// SPDX-License-Identifier: MIT
//
// NumPy's .npy arrays and .npz archives of them. Arrays in Fortran's order are Errors, as are big-endian ones, structs,
// and objects (which are pickles, and so programs).
//
// NumPy has no name of its own for bfloat16: ml_dtypes lets it save two nameless bytes ("<V2"), which is an Error here
// as it is a puzzle there. WriteNpy names the type "bfloat16", which NumPy reads once ml_dtypes is imported.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ingot/io/stored.h"

namespace ingot {

// The tensor has no name.
StoredTensor ReadNpy(Bytes file, const std::shared_ptr<const void>& owner, const std::string& where);
void WriteNpy(const StoredTensor& tensor, const Sink& sink);

// Members in the order of the archive, ".npy" taken off their names. CRCs are compared.
std::vector<StoredTensor> ReadNpz(Bytes file, const std::shared_ptr<const void>& owner, const std::string& where);
void WriteNpz(const std::vector<StoredTensor>& tensors, const Sink& sink);

}  // namespace ingot
