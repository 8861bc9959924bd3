// SPDX-License-Identifier: MIT
//
// Data sets of files that hold arrays: .npy, .npz, HDF5.
#include "ingot/core/error.h"
#include "ingot/data/dataset.h"
#include "ingot/data/stored_array.h"
#include "ingot/io/hdf5.h"
#include "ingot/io/mapped_file.h"
#include "ingot/io/npy.h"

namespace ingot {
namespace {

Array FromNpy(const std::string& path) {
  const auto file = MappedFile::Open(path, LoadMode::kMap);
  return ArrayOf(ReadNpy(file->bytes(), file, path), path);
}

// What has no rows is named here, with its file.
Dataset Checked(Dataset data, const std::string& path) {
  data.Check(path);
  return data;
}

const StoredTensor& Named(const std::vector<StoredTensor>& tensors, const std::string& name, const std::string& path) {
  std::string names;
  for (const StoredTensor& t : tensors) {
    if (t.name == name) return t;
    names += " " + t.name;
  }
  Fail(path, ": has no array '", name, "'; there are:", names);
}

// The datasets there are, for messages.
void List(const Hdf5Node& node, std::string& names) {
  if (node.tensor) names += " " + node.tensor->name;
  for (const Hdf5Node& child : node.children) List(child, names);
}

}  // namespace

Dataset Dataset::from_npy(const Paths& x, const Paths& y) {
  Dataset data;
  for (const std::string& path : x) data.x.push_back(FromNpy(path));
  for (const std::string& path : y) data.y.push_back(FromNpy(path));
  return Checked(std::move(data), "from_npy" + (x.empty() ? "" : ", " + x[0]));
}

Dataset Dataset::from_npz(const std::string& path, const std::vector<std::string>& x,
                          const std::vector<std::string>& y) {
  const auto file = MappedFile::Open(path, LoadMode::kMap);
  const std::vector<StoredTensor> tensors = ReadNpz(file->bytes(), file, path);
  Dataset data;
  for (const std::string& name : x) data.x.push_back(ArrayOf(Named(tensors, name, path), path));
  for (const std::string& name : y) data.y.push_back(ArrayOf(Named(tensors, name, path), path));
  return Checked(std::move(data), path);
}

Dataset Dataset::from_hdf5(const std::string& path, const std::vector<std::string>& x,
                           const std::vector<std::string>& y) {
  const auto file = MappedFile::Open(path, LoadMode::kMap);
  const Hdf5Node root = ReadHdf5(file->bytes(), file, path);
  const auto named = [&](const std::string& name) {
    const Hdf5Node* node = root.find(name);
    if (node && node->tensor) return ArrayOf(*node->tensor, path);
    std::string names;
    List(root, names);
    Fail(path, ": has no dataset '", name, "'; there are:", names);
  };
  Dataset data;
  for (const std::string& name : x) data.x.push_back(named(name));
  for (const std::string& name : y) data.y.push_back(named(name));
  return Checked(std::move(data), path);
}

}  // namespace ingot
