// SPDX-License-Identifier: MIT
//
// Messages of HDF5's object headers that describe values: dataspaces, datatypes, attributes, fill values.
//
// What ingot has no type for (compounds, references, 128-bit floats) is refused by name. What libhdf5 would convert to
// such a type (big-endian numbers, committed types) is left to it.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ingot/io/hdf5.h"
#include "ingot/io/hdf5_image.h"

namespace ingot::hdf5 {

struct Dataspace {
  bool null = false;  // no elements at all; its shape is (0,)
  Shape shape;
  uint64_t count = 1;
};

struct Datatype {
  enum class Kind { kNumber, kText, kVariableText, kBigEndian };
  Kind kind = Kind::kNumber;
  StoredType type = StoredType::kFloat32;  // of numbers
  uint64_t size = 0;                       // of an element, in bytes
  int padding = 0;                         // of texts of a fixed size: 0 up to a NUL, 1 NULs, 2 spaces
};

Dataspace Simple(const Image& image, const std::vector<uint64_t>& extents);  // an Error where they make no shape
Dataspace ParseDataspace(const Image& image, Bytes message);
Datatype ParseDatatype(Image& image, Bytes message);

// The bytes of an element that was never written; empty: zeros.
Bytes ParseFill(const Image& image, Message type, Bytes message);

// Where elements of variable length lie, outside the headers.
class GlobalHeap {
 public:
  explicit GlobalHeap(Image& image) : image_(image) {}
  Bytes Get(uint64_t collection, uint32_t index);

 private:
  using Objects = std::map<uint32_t, Bytes>;
  const Objects& Read(uint64_t collection);

  Image& image_;
  std::map<uint64_t, Objects> collections_;  // each is walked through once
};

// An Error unless it is a hard link (type 0) with a name that is no path.
void CheckLink(const Image& image, std::string_view name, int type);

// A text of a fixed size, without what pads it. REQUIRES: text.size() == type.size
std::string FixedText(Bytes text, const Datatype& type);

// Adds the attribute to the node, unless it needs the library.
void ReadAttribute(Image& image, GlobalHeap& heap, Bytes message, const std::shared_ptr<const void>& owner,
                   Hdf5Node& node);

}  // namespace ingot::hdf5
