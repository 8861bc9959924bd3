// SPDX-License-Identifier: MIT
#include "ingot/io/contents.h"

#include <algorithm>

#include "ingot/io/atomic_file.h"
#include "ingot/io/format.h"
#include "ingot/io/hdf5.h"
#include "ingot/io/ingot_file.h"
#include "ingot/io/json.h"
#include "ingot/io/keras_config.h"
#include "ingot/io/keras_optimizer.h"
#include "ingot/io/named_weights.h"
#include "ingot/io/npy.h"
#include "ingot/io/safetensors.h"
#include "ingot/io/zip.h"

namespace ingot {
namespace {

// {"class_name": "Adam", ...}, or its name alone.
std::string OptimizerOf(const Json& compile, const char* key) {
  if (!compile.is_object() || !compile.contains(key)) return "";
  const Json& optimizer = compile[key];
  if (optimizer.is_string()) return optimizer.get<std::string>();
  if (!optimizer.is_object() || !optimizer.contains("class_name") || !optimizer["class_name"].is_string()) return "";
  return optimizer["class_name"].get<std::string>();
}

void AddTensors(const Hdf5Node& node, std::vector<StoredTensor>& tensors) {
  if (node.tensor) tensors.push_back(*node.tensor);
  for (const Hdf5Node& child : node.children) AddTensors(child, tensors);
}

void ReadNative(const std::string& path, Contents& c) {
  const IngotFile file = OpenIngot(path);
  c.file = file.file;
  c.model = file.header["model"];
  if (file.compiled()) c.optimizer = OptimizerOf(file.header["compile"], "optimizer");
  c.tensors = IngotWeights(file, path);
  // Slots have the layout of the weights that are trained, which lie first.
  std::vector<StoredTensor> order;
  for (const StoredTensor& t : c.tensors)
    if (!t.bytes.empty()) order.push_back(t);
  std::sort(order.begin(), order.end(),
            [](const StoredTensor& a, const StoredTensor& b) { return a.bytes.data() < b.bytes.data(); });
  if (file.compiled()) {  // what other formats hold as tensors stands in the header
    c.tensors.push_back(StoredScalar(kIterations, IngotIterations(file, path)));
    const Json rate = file.header["compile"].value("/optimizer/config/learning_rate"_json_pointer, Json());
    if (rate.is_number()) c.tensors.push_back(StoredScalar(kLearningRate, rate.get<float>()));
  }
  for (size_t s = 1; s < file.arenas.size(); ++s) {
    for (const StoredTensor& weight : order) {
      std::optional<StoredTensor> slot = IngotSlot(file, s, weight);
      if (!slot) break;
      c.tensors.push_back(std::move(*slot));
    }
  }
}

void ReadArchive(const std::string& path, Contents& c) {
  const ZipReader zip(c.file->bytes(), c.file, path);
  const auto member = [&](const char* name, std::shared_ptr<const void>& owner) {
    const ZipReader::Member* m = zip.find(name);
    if (!m) Fail(path, ": has no ", name, "; is it a .keras archive?");
    return zip.Read(*m, owner, m->deflated);
  };
  std::shared_ptr<const void> text_owner, owner;
  const Bytes text = member("config.json", text_owner);
  c.model = ParseJson({reinterpret_cast<const char*>(text.data()), text.size()}, path + ", config.json");
  if (c.model.is_object() && c.model.contains("compile_config"))
    c.optimizer = OptimizerOf(c.model["compile_config"], "optimizer");
  const Bytes image = member("model.weights.h5", owner);
  AddTensors(ReadHdf5(image, owner, path + ", model.weights.h5"), c.tensors);
}

void ReadTree(const std::string& path, Contents& c) {
  const Hdf5Node root = ReadHdf5(c.file->bytes(), c.file, path);
  if (const std::string* model = root.text("model_config")) c.model = ParseJson(*model, path + ", model_config");
  if (const std::string* training = root.text("training_config"))
    c.optimizer = OptimizerOf(ParseJson(*training, path + ", training_config"), "optimizer_config");
  AddTensors(root, c.tensors);
}

}  // namespace

Contents ReadContents(const std::string& path) {
  Contents c;
  c.format = FormatOf(path).extension;
  if (c.format == ".ingot") {
    ReadNative(path, c);
    return c;
  }
  c.file = MappedFile::Open(path);
  if (c.format == ".keras") {
    ReadArchive(path, c);
  } else if (c.format == ".safetensors") {
    c.tensors = ReadSafetensors(c.file->bytes(), c.file, path).tensors;
  } else if (c.format == ".npz") {
    c.tensors = ReadNpz(c.file->bytes(), c.file, path);
  } else {
    ReadTree(path, c);
  }
  return c;
}

void WriteTensors(const std::string& path, const std::vector<StoredTensor>& tensors) {
  const std::string format = FormatOf(path).extension;
  if (format != ".npz" && format != ".safetensors")
    Fail(path, ": named tensors without a model are written as .npz or .safetensors, not as ", format);
  AtomicFile file(path, BytesOf(tensors));
  if (format == ".npz")
    WriteNpz(tensors, file.sink());
  else
    WriteSafetensors(WithChecksums({{{"format", "ingot"}}, tensors}), file.sink());
  file.Commit();
}

}  // namespace ingot
