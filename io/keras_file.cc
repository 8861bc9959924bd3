// SPDX-License-Identifier: MIT
//
// Keras's three files: .keras (a zip archive of config.json, metadata.json and model.weights.h5), .weights.h5, and the
// legacy .h5 with its configurations in attributes. All are mapped: weights are copied once, from the file's pages.
#include <ctime>
#include <nlohmann/json.hpp>

#include "ingot/io/atomic_file.h"
#include "ingot/io/format.h"
#include "ingot/io/hdf5.h"
#include "ingot/io/keras_config.h"
#include "ingot/io/keras_weights.h"
#include "ingot/io/mapped_file.h"
#include "ingot/io/zip.h"

namespace ingot {
namespace {

constexpr char kSeed[] = "ingot_seed";      // Keras does not mind what else stands there
constexpr char kKerasVersion[] = "3.15.1";  // whose layout the files written here have

std::string Today() {
  const std::time_t now = std::time(nullptr);
  std::tm tm{};
  gmtime_r(&now, &tm);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d@%H:%M:%S", &tm);
  return text;
}

std::string_view TextOf(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

std::shared_ptr<Json> CompileOf(const Json& config) {
  if (!config.is_object() || !config.contains("compile_config") || !config["compile_config"].is_object())
    return nullptr;
  // A subclass of Model may write what it likes; without an optimizer there is nothing to go on with.
  if (!config["compile_config"].contains("optimizer")) return nullptr;
  return std::make_shared<Json>(config["compile_config"]);
}

// training_config of a legacy file, in the form of the new one.
std::shared_ptr<Json> CompileOfLegacy(const Json& config) {
  if (!config.is_object() || !config.contains("optimizer_config")) return nullptr;
  auto compile = std::make_shared<Json>(config);
  (*compile)["optimizer"] = (*compile)["optimizer_config"];
  compile->erase("optimizer_config");
  return compile;
}

// A Sequential model without Input says in build_config for which shape it was built.
void BuildAs(const Json& config, Network& network, const std::string& where) {
  if (network.has_calls()) return;
  if (config.is_object() && config.contains("build_config") && config["build_config"].is_object() &&
      config["build_config"].contains("input_shape") && config["build_config"]["input_shape"].is_array()) {
    Fields f = Fields::Reader(config["build_config"], where + ", build_config");
    TensorSpec spec;
    f("input_shape", spec.shape);
    if (spec.shape.rank() > 0) network.build(TensorSpecs{spec});
  }
  if (!network.has_calls())
    Fail(where, ": its model '", network.name, "' does not say for which input shape it was built");
}

Bytes Member(const ZipReader& zip, const char* name, std::shared_ptr<const void>& owner, const std::string& path) {
  const ZipReader::Member* member = zip.find(name);
  if (!member) Fail(path, ": has no ", name, "; is it a .keras archive?");
  // The checksum would read all of a file that is otherwise only mapped; `ingot verify` compares it.
  return zip.Read(*member, owner, member->deflated);
}

Hdf5Node WeightsOf(const ZipReader& zip, const std::string& path) {
  std::shared_ptr<const void> owner;
  const Bytes image = Member(zip, "model.weights.h5", owner, path);
  return ReadHdf5(image, owner, path + ", model.weights.h5");
}

// What metadata.json says under a key; empty where it says nothing.
std::string MetadataOf(const ZipReader& zip, const char* key, const std::string& path) {
  if (!zip.find("metadata.json")) return "";
  std::shared_ptr<const void> owner;
  const Json metadata = ParseJson(TextOf(Member(zip, "metadata.json", owner, path)), path + ", metadata.json");
  return metadata.is_object() && metadata.contains(key) && metadata[key].is_string() ? metadata[key].get<std::string>()
                                                                                     : "";
}

Hdf5Node TreeOf(const std::string& path) {
  const auto file = MappedFile::Open(path);
  return ReadHdf5(file->bytes(), file, path);
}

// How many numbers the datasets of a tree have.
uint64_t NumbersIn(const Hdf5Node& node) {
  uint64_t numbers = node.tensor ? static_cast<uint64_t>(node.tensor->shape.count()) : 0;
  for (const Hdf5Node& child : node.children) numbers += NumbersIn(child);
  return numbers;
}

Json ConfigOf(const Checkpoint& c) {
  Json config = NetworkConfig(*c.network);
  if (c.network->sequential()) config["build_config"] = {{"input_shape", config["config"]["build_input_shape"]}};
  return config;
}

}  // namespace

Checkpoint ReadKeras(const std::string& path, const ReadOptions& options) {
  const auto file = MappedFile::Open(path);
  const ZipReader zip(file->bytes(), file, path);
  std::shared_ptr<const void> owner;
  const Json config = ParseJson(TextOf(Member(zip, "config.json", owner, path)), path + ", config.json");
  Checkpoint c;
  c.network = NetworkFromConfig(config, options.custom);
  BuildAs(config, *c.network, path);
  if (options.compile) c.SetCompile(CompileOf(config), options.custom);
  c.seed = SeedFrom(MetadataOf(zip, kSeed, path));
  const Hdf5Node root = WeightsOf(zip, path);
  c.PlaceWeights(NumbersIn(root), path);
  ReadKerasTree(root, MetadataOf(zip, "keras_version", path), c, path);
  return c;
}

void ReadKerasWeightsOf(const std::string& path, Checkpoint& into) {
  const auto file = MappedFile::Open(path);
  const ZipReader zip(file->bytes(), file, path);
  ReadKerasTree(WeightsOf(zip, path), MetadataOf(zip, "keras_version", path), into, path);
}

void WriteKeras(const std::string& path, const Checkpoint& c) {
  Json config = ConfigOf(c);
  if (c.compile) config["compile_config"] = *c.compile;
  const std::string text = config.dump();
  const std::string metadata =
      Json{{"keras_version", kKerasVersion}, {"date_saved", Today()}, {kSeed, std::to_string(c.seed.value_or(0))}}
          .dump();
  const Hdf5Node tree = KerasTree(c);
  AtomicFile file(path);
  ZipWriter zip(file.sink());
  zip.Add("metadata.json", [&](const Sink& sink) { sink(metadata.data(), metadata.size()); });
  zip.Add("config.json", [&](const Sink& sink) { sink(text.data(), text.size()); });
  zip.Add("model.weights.h5", [&](const Sink& sink) { WriteHdf5(tree, sink); });
  zip.Finish();
  file.Commit();
}

void ReadWeightsH5(const std::string& path, Checkpoint& into) {
  const Hdf5Node root = TreeOf(path);
  if (IsLegacy(root))
    ReadLegacyTree(root, into, path);
  else
    ReadKerasTree(root, "", into, path);
}

void WriteWeightsH5(const std::string& path, const Checkpoint& c) {
  const Hdf5Node tree = KerasTree(c);
  AtomicFile file(path);
  WriteHdf5(tree, file.sink());
  file.Commit();
}

Checkpoint ReadH5(const std::string& path, const ReadOptions& options) {
  const Hdf5Node root = TreeOf(path);
  const std::string* model = root.text("model_config");
  if (!model)
    Fail(path, ": has no model_config, it holds ", IsLegacy(root) || root.find("layers") ? "weights alone" : "no model",
         "; make the model, then load_weights");
  const Json config = ParseJson(*model, path + ", model_config");
  Checkpoint c;
  c.network = NetworkFromConfig(config, options.custom);
  BuildAs(config, *c.network, path);
  if (const std::string* training = options.compile ? root.text("training_config") : nullptr)
    c.SetCompile(CompileOfLegacy(ParseJson(*training, path + ", training_config")), options.custom);
  if (const std::string* seed = root.text(kSeed)) c.seed = SeedFrom(*seed);
  c.PlaceWeights(NumbersIn(root), path);
  ReadLegacyTree(root, c, path);
  return c;
}

void WriteH5(const std::string& path, const Checkpoint& c) {
  Hdf5Node root;
  root.attributes["keras_version"] = kKerasVersion;
  root.attributes["backend"] = "tensorflow";
  root.attributes[kSeed] = std::to_string(c.seed.value_or(0));
  root.attributes["model_config"] = ConfigOf(c).dump();
  if (c.compile) {
    Json training = *c.compile;
    training["optimizer_config"] = training["optimizer"];
    training.erase("optimizer");
    root.attributes["training_config"] = training.dump();
  }
  AddLegacyTree(c, root);
  AtomicFile file(path);
  WriteHdf5(root, file.sink());
  file.Commit();
}

}  // namespace ingot
