// SPDX-License-Identifier: MIT
#include "ingot/io/hdf5_message.h"

#include <algorithm>
#include <array>

namespace ingot::hdf5 {
namespace {

// HDF5's numbers of classes.
enum Class : uint8_t {
  kFixedPoint,
  kFloat,
  kTime,
  kString,
  kBitfield,
  kOpaque,
  kCompound,
  kReference,
  kEnum,
  kVariable
};
constexpr std::array<const char*, 12> kClassNames = {
    "a whole number", "a float",     "a time",         "a text",          "a bit field", "opaque bytes",
    "a compound",     "a reference", "an enumeration", "a list of lists", "an array",    "a complex number"};

struct FloatFormat {
  StoredType type;
  uint32_t size, sign, exponent, exponent_bits, mantissa_bits, bias;
};
constexpr FloatFormat kFloats[] = {
    {StoredType::kFloat32, 4, 31, 23, 8, 23, 127},
    {StoredType::kFloat64, 8, 63, 52, 11, 52, 1023},
    {StoredType::kFloat16, 2, 15, 10, 5, 10, 15},
    {StoredType::kBfloat16, 2, 15, 7, 8, 7, 127},
};

Datatype Number(StoredType type, uint64_t size) { return {Datatype::Kind::kNumber, type, size, 0}; }

Datatype FixedPoint(Image& image, Cursor& in, uint32_t bits, uint32_t size) {
  const uint32_t offset = in.U16(), precision = in.U16();
  if ((size != 1 && size != 2 && size != 4 && size != 8) || offset != 0 || precision != size * 8)
    image.Refuse("a whole number of ", precision, " bits at bit ", offset, " of ", size,
                 " bytes; ingot reads those of 8, 16, 32 and 64 bits");
  if ((bits & 1) && size > 1) return {Datatype::Kind::kBigEndian, {}, size, 0};
  constexpr StoredType kSigned[] = {StoredType::kInt8, StoredType::kInt16, StoredType::kInt32, StoredType::kInt64};
  constexpr StoredType kUnsigned[] = {StoredType::kUint8, StoredType::kUint16, StoredType::kUint32,
                                      StoredType::kUint64};
  const int log2 = size == 1 ? 0 : size == 2 ? 1 : size == 4 ? 2 : 3;
  return Number((bits & 8) ? kSigned[log2] : kUnsigned[log2], size);
}

Datatype Float(Image& image, Cursor& in, uint32_t bits, uint32_t size) {
  const uint32_t offset = in.U16(), precision = in.U16(), exponent = in.U8(), exponent_bits = in.U8();
  const uint32_t mantissa = in.U8(), mantissa_bits = in.U8(), bias = in.U32();
  const uint32_t order = bits & 0x41, implied_bit = bits >> 4 & 3, sign = bits >> 8 & 0xff;
  for (const FloatFormat& f : kFloats) {
    if (f.size != size || f.sign != sign || f.exponent != exponent || f.exponent_bits != exponent_bits ||
        f.mantissa_bits != mantissa_bits || f.bias != bias || mantissa != 0 || offset != 0 || precision != size * 8 ||
        implied_bit != 2 || order > 1)
      continue;
    if (order == 0) return Number(f.type, size);
    return {Datatype::Kind::kBigEndian, {}, size, 0};
  }
  image.Refuse("a float of ", size, " bytes with ", exponent_bits, " bits of exponent and ", mantissa_bits,
               " of mantissa; ingot reads IEEE floats of 16, 32 and 64 bits and bfloat16");
}

Datatype Parse(Image& image, Cursor& in, bool outermost);

// h5py writes bool as an enumeration of FALSE = 0 and TRUE = 1 in one byte; all others are read as their numbers.
Datatype Enumeration(Image& image, Cursor& in, uint32_t version, uint32_t bits, uint32_t size) {
  Datatype base = Parse(image, in, false);
  if (base.size != size || base.kind == Datatype::Kind::kText || base.kind == Datatype::Kind::kVariableText)
    image.Refuse("an enumeration of ", size, " bytes is based on a type that does not fit; the file is damaged");
  if ((bits & 0xffff) != 2 || size != 1) return base;
  const auto is = [&](std::string_view expected) {
    const uint64_t padded = version < 3 ? (expected.size() + 8) / 8 * 8 : expected.size() + 1;
    return in.left() >= padded && CString(in.Take(padded)) == expected;
  };
  if (is("FALSE") && is("TRUE") && in.left() >= 2 && in.U8() == 0 && in.U8() == 1) base.type = StoredType::kBool;
  return base;
}

Datatype Parse(Image& image, Cursor& in, bool outermost) {
  const uint8_t head = in.U8();
  const uint32_t version = head >> 4, klass = head & 0xf;
  const uint32_t bits = static_cast<uint32_t>(in.UInt(2)) | static_cast<uint32_t>(in.U8()) << 16;
  const uint32_t size = in.U32();
  if (version < 1 || version > 5 || klass >= kClassNames.size())
    image.Refuse("datatype of class ", klass, ", version ", version, " is unknown; the file is damaged or too new");
  if (size == 0) image.Refuse("a datatype of no bytes; the file is damaged");
  switch (klass) {
    case kFixedPoint:
      return FixedPoint(image, in, bits, size);
    case kFloat:
      return Float(image, in, bits, size);
    case kString:
      if ((bits & 0xf) > 2) image.Refuse("text padded in way ", bits & 0xf, " is unknown; the file is damaged");
      return {Datatype::Kind::kText, {}, size, static_cast<int>(bits & 0xf)};
    case kOpaque:  // NumPy has no bfloat16: Keras's weights of it are two bytes that h5py knows nothing of
      if (size == 2) return Number(StoredType::kBfloat16, 2);
      break;
    case kEnum:
      if (outermost) return Enumeration(image, in, version, bits, size);
      break;
    case kVariable:
      if (outermost && (bits & 0xf) == 1) {
        if (size != 16) image.Refuse("text of variable length takes ", size, " bytes, not 16; the file is damaged");
        return {Datatype::Kind::kVariableText, {}, size, 0};
      }
      break;
    default:
      break;
  }
  image.Refuse(kClassNames[klass], " of ", size, " bytes; ingot reads numbers, bool and texts");
}

std::string Text(GlobalHeap& heap, Bytes element, Image& image) {
  Cursor in(image, element, "text of variable length");
  const uint64_t size = in.U32(), collection = in.U64();
  const uint32_t index = in.U32();
  if (size == 0) return {};
  const Bytes stored = heap.Get(collection, index);
  if (stored.size() < size)
    image.Refuse("a text of ", size, " bytes has ", stored.size(), " in its heap; the file is damaged");
  image.Spend(size);
  return std::string(CString(stored.first(size)));
}

Hdf5Attribute Value(Image& image, GlobalHeap& heap, const Dataspace& space, const Datatype& type, Bytes data,
                    const std::string& name, const std::shared_ptr<const void>& owner) {
  if (space.count > data.size() / type.size)
    image.Refuse("its ", space.count, " values of ", type.size, " bytes are more than the ", data.size(),
                 " bytes stored; the file is damaged");
  if (type.kind == Datatype::Kind::kNumber)
    return StoredTensor{name, type.type, space.shape, data.first(space.count * type.size), owner};
  const auto text = [&](uint64_t i) {
    const Bytes element = data.subspan(i * type.size, type.size);
    image.Spend(type.size);
    return type.kind == Datatype::Kind::kText ? FixedText(element, type) : Text(heap, element, image);
  };
  if (space.shape.rank() == 0) return text(0);
  image.Spend(space.count * sizeof(std::string));
  std::vector<std::string> texts;
  texts.reserve(space.count);
  for (uint64_t i = 0; i < space.count; ++i) texts.push_back(text(i));
  return texts;
}

}  // namespace

Dataspace Simple(const Image& image, const std::vector<uint64_t>& extents) {
  Dataspace space;
  if (extents.size() > kMaxRank) image.Refuse("a value of ", extents.size(), " axes; ingot reads at most ", kMaxRank);
  for (const uint64_t extent : extents) {
    if (extent > INT64_MAX) image.Refuse("an axis of extent ", extent, "; the file is damaged");
    space.shape.push_back(static_cast<int64_t>(extent));
    // Extents of zero aside, so that no product overflows before it becomes zero.
    if (extent && __builtin_mul_overflow(space.count, extent, &space.count)) space.count = UINT64_MAX / 2;
  }
  if (space.count > INT64_MAX / 16)
    image.Refuse("shape ", space.shape, " has more elements than a file can hold; the file is damaged");
  if (std::find(extents.begin(), extents.end(), 0) != extents.end()) space.count = 0;
  return space;
}

Dataspace ParseDataspace(const Image& image, Bytes message) {
  Cursor in(image, message, "dataspace");
  const uint8_t version = in.U8(), rank = in.U8();
  const uint8_t flags = in.U8();
  const uint8_t kind = in.U8();
  if (version != 1 && version != 2)
    image.Refuse("dataspace of version ", int{version}, " is unknown; the file is damaged or too new");
  if (version == 1) {
    in.Skip(4);
  } else if (kind == 2) {
    Dataspace space;
    space.null = true, space.count = 0, space.shape = {0};
    return space;
  } else if (kind > 2 || (kind == 0) != (rank == 0)) {
    image.Refuse("dataspace of kind ", int{kind}, " and rank ", int{rank}, "; the file is damaged");
  }
  std::vector<uint64_t> extents;
  for (int i = 0; i < rank; ++i) extents.push_back(in.U64());
  for (int i = 0; (flags & 1) && i < rank; ++i) {
    if (const uint64_t most = in.U64(); most < extents[static_cast<size_t>(i)])
      image.Refuse("axis ", i, " of extent ", extents[static_cast<size_t>(i)], " may have at most ", most,
                   "; the file is damaged");
  }
  return Simple(image, extents);
}

Datatype ParseDatatype(Image& image, Bytes message) {
  Cursor in(image, message, "datatype");
  return Parse(image, in, true);
}

Bytes ParseFill(const Image& image, Message type, Bytes message) {
  Cursor in(image, message, "fill value");
  if (type == kOldFill) return in.Take(in.U32());
  const uint8_t version = in.U8();
  if (version < 1 || version > 3)
    image.Refuse("fill value of version ", int{version}, " is unknown; the file is damaged or too new");
  bool defined;
  if (version == 3) {
    defined = in.U8() & 0x20;
  } else {
    in.Skip(2);  // when it is written: of no interest
    defined = in.U8() || version == 1;
  }
  const uint32_t size = defined ? in.U32() : 0;
  return size > INT32_MAX ? Bytes{} : in.Take(size);  // of size -1: undefined
}

void CheckLink(const Image& image, std::string_view name, int type) {
  if (!IsMemberName(name)) image.Refuse("'", name, "' cannot be the name of a member; the file is damaged");
  if (type != 0)
    image.Refuse(type == 64  ? "external"
                 : type == 1 ? "soft"
                             : "user-defined",
                 " link '", name, "'; ingot follows hard links only, which stay within the file");
}

std::string FixedText(Bytes text, const Datatype& type) {
  const char* data = reinterpret_cast<const char*>(text.data());
  size_t n = type.padding == 0 ? strnlen(data, text.size()) : text.size();
  while (n && data[n - 1] == (type.padding == 2 ? ' ' : '\0')) --n;
  return {data, n};
}

const GlobalHeap::Objects& GlobalHeap::Read(uint64_t collection) {
  const auto [found, fresh] = collections_.try_emplace(collection);
  if (!fresh) return found->second;
  Cursor head(image_, image_.At(collection, 16, "global heap"), "global heap");
  head.Expect("GCOL");
  if (const uint8_t version = head.U8(); version != 1)
    image_.Refuse("global heap of version ", int{version}, " is unknown; the file is damaged");
  head.Skip(3);
  const uint64_t size = head.U64();
  if (size < 16) image_.Refuse("global heap at ", collection, " of ", size, " bytes; the file is damaged");
  Cursor in(image_, image_.At(collection, size, "global heap").subspan(16), "global heap");
  while (in.left() >= 16) {
    const uint16_t index = in.U16();
    in.Skip(6);  // how often it is referred to
    const uint64_t bytes = in.U64();
    if (index == 0) break;  // what is free
    image_.Spend(128);
    if (!found->second.emplace(index, in.Take(bytes)).second)
      image_.Refuse("global heap at ", collection, " has two objects ", index, "; the file is damaged");
    in.Pad8();
  }
  return found->second;
}

Bytes GlobalHeap::Get(uint64_t collection, uint32_t index) {
  const Objects& objects = Read(collection);
  const auto object = objects.find(index);
  if (object == objects.end())
    image_.Refuse("there is no object ", index, " in the global heap at ", collection, "; the file is damaged");
  return object->second;
}

void ReadAttribute(Image& image, GlobalHeap& heap, Bytes message, const std::shared_ptr<const void>& owner,
                   Hdf5Node& node) {
  Cursor in(image, message, "attribute");
  const uint8_t version = in.U8(), flags = in.U8();
  if (version < 1 || version > 3)
    image.Refuse("attribute of version ", int{version}, " is unknown; the file is damaged or too new");
  const uint16_t name_size = in.U16(), type_size = in.U16(), space_size = in.U16();
  if (version == 3) in.Skip(1);  // the name's encoding: ASCII is UTF-8
  const auto take = [&](uint64_t size) {
    const Bytes part = in.Take(size);
    if (version == 1) in.Skip((8 - size % 8) % 8);
    return part;
  };
  image.attribute = CString(take(name_size));
  image.Spend(sizeof(Hdf5Attribute) + 64 + 2 * image.attribute.size());
  const Bytes type_message = take(type_size), space_message = take(space_size);
  if (version > 1 && (flags & 3)) {
    image.Need("a committed datatype");
  } else {
    const Datatype type = ParseDatatype(image, type_message);
    const Dataspace space = ParseDataspace(image, space_message);
    if (type.kind == Datatype::Kind::kBigEndian) {
      image.Need("big-endian numbers");
    } else {
      auto value = Value(image, heap, space, type, in.Take(in.left()), image.attribute, owner);
      if (!node.attributes.emplace(image.attribute, std::move(value)).second)
        image.Refuse("there are two of this name; the file is damaged");
    }
  }
  image.attribute.clear();
}

}  // namespace ingot::hdf5
