// SPDX-License-Identifier: MIT
#include "ingot/data/stored_array.h"

#include <cstdint>

namespace ingot {
namespace {

DType InMemory(StoredType type) {
  switch (type) {
    case StoredType::kFloat16:
    case StoredType::kBfloat16:
    case StoredType::kFloat32:
    case StoredType::kFloat64:
      return DType::kFloat32;
    case StoredType::kUint8:
    case StoredType::kBool:
      return DType::kUint8;
    default:
      return DType::kInt32;
  }
}

}  // namespace

Array ArrayOf(StoredTensor tensor, const std::string& where) {
  const DType dtype = InMemory(tensor.type);
  const bool aligned = reinterpret_cast<uintptr_t>(tensor.bytes.data()) % SizeOf(dtype) == 0;
  if (tensor.type == StoredAs(dtype) && aligned && tensor.bytes.data())
    return Array::View(tensor.shape, dtype, tensor.bytes.data(), tensor.owner);
  tensor.name = tensor.name.empty() ? where : where + ", " + tensor.name;  // for messages
  Array array(tensor.shape, dtype);
  Convert(tensor, 0, tensor.shape.count(), dtype, array.data());
  return array;
}

}  // namespace ingot
