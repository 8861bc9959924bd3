// SPDX-License-Identifier: MIT
//
// HDF5 files as a tree. The reader and the writer are ingot's own: they know what h5py writes by default and Keras
// with it (superblock 0, groups as symbol tables, contiguous datasets, attributes of texts and numbers) and, reading,
// the small groups of newer files. They find every tensor without touching it, and need no library. Files that use
// more of HDF5 (chunks, filters, big-endian numbers, large groups of newer files) are read through libhdf5 where ingot
// was built with it.
//
// Trust nothing: every address is checked against the image, and time and memory are bounded by a multiple of its
// size, whatever it says. Anything that leads out of the file (external links and data, virtual datasets) is refused,
// and so are soft links, and datasets that lie over one another.
//
// Types. bool is h5py's enumeration of FALSE and TRUE. bfloat16, which NumPy has no name for, is two opaque bytes, as
// h5py writes it for Keras (whose .weights.h5 says "dtype": "bfloat16" beside it); a float of that format is read too.
//
// Threads: no state is shared; libhdf5 itself is entered by one thread at a time.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "ingot/io/stored.h"

namespace ingot {

// A text, a list of texts, or numbers. An empty value (h5py.Empty) is one of shape (0,), or an empty list.
using Hdf5Attribute = std::variant<std::string, std::vector<std::string>, StoredTensor>;

// A group, or a dataset if it holds a tensor. Children are ordered by name, as HDF5 keeps them.
struct Hdf5Node {
  std::string name;  // of the root: ""
  std::map<std::string, Hdf5Attribute> attributes;
  std::vector<Hdf5Node> children;
  std::optional<StoredTensor> tensor;  // its name: the whole path, "layers/dense/vars/0"

  // By a path from here, "layers/dense"; null if there is none.
  const Hdf5Node* find(std::string_view path) const;
  const std::string* text(const std::string& attribute) const;  // null if it is not there or no text
  // A list of texts, or null. An empty list has no type in NumPy, which makes floats of it: this gives an empty list.
  const std::vector<std::string>* texts(const std::string& attribute) const;
  Hdf5Node& child(const std::string& path);  // made if it is not there; then others' addresses may change
  uint64_t tensor_bytes() const;             // of all in it
};

// The tree of a file that begins at image[0]. `owner` keeps the image alive; `where` begins messages. Without
// `may_use_library`, files that need libhdf5 are refused also where there is one: it is not made for hostile bytes.
Hdf5Node ReadHdf5(Bytes image, const std::shared_ptr<const void>& owner, const std::string& where,
                  bool may_use_library = true);

// Writes the tree. Every tensor's data begins at a multiple of `alignment` bytes from the start of the image, so that
// it can be mapped and used in place. The same tree gives the same bytes. Strings are written as h5py writes them:
// single ones of variable length, lists as arrays of a fixed width, empty lists as NumPy's, of float64. An Error for
// what HDF5 cannot hold: lists above 64 KB (Keras spreads them over name0, name1, ...), texts with a NUL.
void WriteHdf5(const Hdf5Node& root, const Sink& sink, size_t alignment = 64);

// The same as ReadHdf5 through libhdf5, datasets copied; Error if ingot was built without it. Datasets may come to
// 1100 times the image in all (what deflate can do), one of them to 64 GiB.
Hdf5Node ReadHdf5WithLibrary(Bytes image, const std::string& where);
bool HasHdf5Library();

}  // namespace ingot
