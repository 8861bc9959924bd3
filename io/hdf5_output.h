// SPDX-License-Identifier: MIT
//
// Bytes of an HDF5 file as they are put together in memory, and the parts that datasets and attributes have in common:
// shapes and types. Structures begin at multiples of 8 bytes.
#pragma once

#include <cstring>
#include <initializer_list>
#include <string_view>
#include <vector>

#include "ingot/io/stored.h"

namespace ingot::hdf5 {

class Output {
 public:
  size_t size() const { return bytes_.size(); }
  const std::byte* data() const { return bytes_.data(); }

  template <class T>
  void Put(T value) {
    Append(&value, sizeof value);
  }
  void Append(const void* data, size_t bytes) {
    const auto* p = static_cast<const std::byte*>(data);
    bytes_.insert(bytes_.end(), p, p + bytes);
  }
  void PutBytes(std::initializer_list<uint8_t> bytes) { Append(bytes.begin(), bytes.size()); }
  void PutText(std::string_view text) { Append(text.data(), text.size()); }
  void PutZeros(size_t n) { bytes_.resize(bytes_.size() + n); }
  void Pad8() { PutZeros((8 - bytes_.size() % 8) % 8); }

  // Fills in what was put as zeros. REQUIRES: it was
  template <class T>
  void Set(size_t at, T value) {
    SetBytes(at, &value, sizeof value);
  }
  void SetBytes(size_t at, const void* data, size_t bytes) { std::memcpy(bytes_.data() + at, data, bytes); }

  void PutDataspace(const Shape& shape);
  void PutFixedPoint(uint32_t bytes, bool is_signed);
  void PutDatatype(StoredType type);

 private:
  void PutFloat(uint8_t bytes, uint8_t exponent_bits, uint8_t mantissa_bits);

  std::vector<std::byte> bytes_;
};

}  // namespace ingot::hdf5
