// SPDX-License-Identifier: MIT
#include "ingot/io/hdf5_output.h"

namespace ingot::hdf5 {

void Output::PutDataspace(const Shape& shape) {
  PutBytes({1, static_cast<uint8_t>(shape.rank()), 0, 0, 0, 0, 0, 0});
  for (const int64_t extent : shape) Put(extent);
}

void Output::PutFixedPoint(uint32_t bytes, bool is_signed) {
  PutBytes({0x10, static_cast<uint8_t>(is_signed ? 8 : 0), 0, 0});
  Put(bytes);
  Put<uint16_t>(0);
  Put(static_cast<uint16_t>(8 * bytes));
}

// Sign, exponent, mantissa from the highest bit down.
void Output::PutFloat(uint8_t bytes, uint8_t exponent_bits, uint8_t mantissa_bits) {
  const auto bits = static_cast<uint8_t>(8 * bytes);
  PutBytes({0x11, 0x20, static_cast<uint8_t>(bits - 1), 0, bytes, 0, 0, 0, 0, 0, bits, 0});
  PutBytes({mantissa_bits, exponent_bits, 0, mantissa_bits});
  Put((uint32_t{1} << (exponent_bits - 1)) - 1);
}

void Output::PutDatatype(StoredType type) {
  switch (type) {
    case StoredType::kFloat16:
      return PutFloat(2, 5, 10);
    case StoredType::kFloat32:
      return PutFloat(4, 8, 23);
    case StoredType::kFloat64:
      return PutFloat(8, 11, 52);
    case StoredType::kBfloat16:  // opaque: as h5py writes what NumPy has no name for, and as Keras expects it
      return PutBytes({0x15, 0, 0, 0, 2, 0, 0, 0});
    case StoredType::kBool:
      PutBytes({0x18, 2, 0, 0, 1, 0, 0, 0});
      PutFixedPoint(1, true);
      return PutText({"FALSE\0\0\0TRUE\0\0\0\0\0\1", 18});
    case StoredType::kInt8:
    case StoredType::kInt16:
    case StoredType::kInt32:
    case StoredType::kInt64:
      return PutFixedPoint(static_cast<uint32_t>(SizeOf(type)), true);
    case StoredType::kUint8:
    case StoredType::kUint16:
    case StoredType::kUint32:
    case StoredType::kUint64:
      return PutFixedPoint(static_cast<uint32_t>(SizeOf(type)), false);
  }
}

}  // namespace ingot::hdf5
