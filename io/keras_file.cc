// SPDX-License-Identifier: MIT
//
// Keras's three files: .keras (a zip archive of config.json, metadata.json and model.weights.h5), .weights.h5, and the
// legacy .h5 with its configurations in attributes. All are mapped: weights are copied once, from the file's pages.
#include <ctime>
#include <nlohmann/json.hpp>
#include <optional>

#include "ingot/io/atomic_file.h"
#include "ingot/io/format.h"
#include "ingot/io/hdf5.h"
#include "ingot/io/json.h"
#include "ingot/io/keras_config.h"
#include "ingot/io/keras_sharing.h"
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

// Without an optimizer there is nothing to go on with. Keras leaves it out of the .keras file of a model that was saved
// as .h5 before, then loads that with RMSprop and without the optimizer's state, and warns; here the model says why it
// is not compiled when it is to be trained. A subclass of Model may write what it likes.
void NoteMissingOptimizer(const Json& compile, const std::string& where, Checkpoint& c) {
  if (compile.is_object() && compile.contains("loss") && !compile["loss"].is_null())
    c.why_not_compiled =
        where + " names a loss but no optimizer, as Keras writes it for a model that it saved as .h5 before";
}

void TakeCompile(const Json& config, const std::string& path, const ReadOptions& options, Checkpoint& c) {
  if (!options.compile || !config.is_object() || !config.contains("compile_config")) return;
  const Json& compile = config["compile_config"];
  if (compile.is_object() && compile.contains("optimizer"))
    c.SetCompile(std::make_shared<Json>(compile), options.custom);
  else
    NoteMissingOptimizer(compile, path + ", compile_config", c);
}

// training_config of a legacy file, in the form of the new one.
void TakeCompileOfLegacy(const Json& config, const std::string& path, const ReadOptions& options, Checkpoint& c) {
  if (!config.is_object() || !config.contains("optimizer_config"))
    return NoteMissingOptimizer(config, path + ", training_config", c);
  auto compile = std::make_shared<Json>(config);
  (*compile)["optimizer"] = (*compile)["optimizer_config"];
  compile->erase("optimizer_config");
  c.SetCompile(std::move(compile), options.custom);
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

void BuildNetwork(const Json& config, const ReadOptions& options, Checkpoint& c, const std::string& path) {
  c.network = NetworkFromConfig(config, options.custom);
  BuildAs(config, *c.network, path);
  c.LayOut();
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

Hdf5Node TreeOf(const std::shared_ptr<const MappedFile>& file) { return ReadHdf5(file->bytes(), file, file->path()); }

Json ConfigOf(const Checkpoint& c) {
  Json config = NetworkConfigForKeras(*c.network);
  if (c.network->sequential()) config["build_config"] = {{"input_shape", config["config"]["build_input_shape"]}};
  return config;
}

}  // namespace

Checkpoint ReadKeras(const std::string& path, const ReadOptions& options) {
  const auto file = MappedFile::Open(path, options.mode, options.report);
  std::optional<PhaseTimer> phase(std::in_place, options.report, "parse");
  const ZipReader zip(file->bytes(), file, path);
  std::shared_ptr<const void> owner;
  const Json config = ParseJson(TextOf(Member(zip, "config.json", owner, path)), path + ", config.json");
  const Hdf5Node tree = WeightsOf(zip, path);
  Checkpoint c;
  c.seed = SeedFrom(MetadataOf(zip, kSeed, path));
  phase.emplace(options.report, "build graph");
  BuildNetwork(config, options, c, path);
  TakeCompile(config, path, options, c);
  phase.emplace(options.report, "match or copy");
  c.image = file;
  ReadKerasTree(tree, MetadataOf(zip, "keras_version", path), true, c, path);
  return c;
}

void ReadKerasWeightsOf(const std::string& path, const ReadOptions& options, Checkpoint& into) {
  const auto file = MappedFile::Open(path, options.mode, options.report);
  if (!options.copy) into.image = file;
  const ZipReader zip(file->bytes(), file, path);
  ReadKerasTree(WeightsOf(zip, path), MetadataOf(zip, "keras_version", path), false, into, path);
}

Writing WriteKeras(const std::string& path, const Checkpoint& c) {
  Json config = ConfigOf(c);
  if (c.compile) config["compile_config"] = *c.compile;
  const std::string text = config.dump();
  const std::string metadata =
      Json{{"keras_version", kKerasVersion}, {"date_saved", Today()}, {kSeed, std::to_string(c.seed.value_or(0))}}
          .dump();
  return [path, text, metadata, tree = KerasTree(c)] {
    AtomicFile file(path, tree.tensor_bytes());
    ZipWriter zip(file.sink());
    zip.Add("metadata.json", [&](const Sink& sink) { sink(metadata.data(), metadata.size()); });
    zip.Add("config.json", [&](const Sink& sink) { sink(text.data(), text.size()); });
    zip.Add("model.weights.h5", [&](const Sink& sink) { WriteHdf5(tree, sink); });
    zip.Finish();
    file.Commit();
  };
}

void ReadWeightsH5(const std::string& path, const ReadOptions& options, Checkpoint& into) {
  const auto file = MappedFile::Open(path, options.mode, options.report);
  if (!options.copy) into.image = file;
  const Hdf5Node root = TreeOf(file);
  if (IsLegacy(root))
    ReadLegacyTree(root, into, path);
  else
    ReadKerasTree(root, "", false, into, path);
}

namespace {

Writing WriteTree(const std::string& path, Hdf5Node tree) {
  return [path, tree = std::move(tree)] {
    AtomicFile file(path, tree.tensor_bytes());
    WriteHdf5(tree, file.sink());
    file.Commit();
  };
}

}  // namespace

Writing WriteWeightsH5(const std::string& path, const Checkpoint& c) { return WriteTree(path, KerasTree(c)); }

Checkpoint ReadH5(const std::string& path, const ReadOptions& options) {
  const auto file = MappedFile::Open(path, options.mode, options.report);
  std::optional<PhaseTimer> phase(std::in_place, options.report, "parse");
  const Hdf5Node root = TreeOf(file);
  const std::string* model = root.text("model_config");
  if (!model)
    Fail(path, ": has no model_config, it holds ", IsLegacy(root) || root.find("layers") ? "weights alone" : "no model",
         "; make the model, then load_weights");
  const Json config = ParseJson(*model, path + ", model_config");
  Checkpoint c;
  if (const std::string* seed = root.text(kSeed)) c.seed = SeedFrom(*seed);
  phase.emplace(options.report, "build graph");
  BuildNetwork(config, options, c, path);
  const std::string* training = root.text("training_config");
  if (options.compile && !training && root.attributes.contains("training_config"))
    Fail(path, ": its training_config is no text; the file is damaged. Without it (LoadOptions::compile, ",
         "--no-compile) the model can be loaded");
  if (options.compile && training)
    TakeCompileOfLegacy(ParseJson(*training, path + ", training_config"), path, options, c);
  phase.emplace(options.report, "match or copy");
  c.image = file;
  ReadLegacyTree(root, c, path);
  return c;
}

Writing WriteH5(const std::string& path, const Checkpoint& c) {
  // Keras itself writes such a layer's weights for each place and reads as many layers, which training drives apart.
  const SharedLayers shared(*c.network);
  if (!shared.example().empty())
    Fail(shared.example(), "; an .h5 file cannot say so. Save the model as .keras or .ingot");
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
  return WriteTree(path, std::move(root));
}

}  // namespace ingot
