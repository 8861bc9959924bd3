// SPDX-License-Identifier: MIT
#include "ingot/tests/fuzz/fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

namespace ingot::fuzz {

std::string Refusal(const std::function<void()>& f) {
  try {
    f();
    return "";
  } catch (const Error& e) {
    return e.what();
  }
}

void Bug(const std::string& what) {
  std::fprintf(stderr, "%s\n", what.c_str());
  std::abort();
}

void Touch(const StoredTensor& tensor) {
  volatile unsigned sink = 0;
  unsigned sum = 0;
  for (const std::byte b : tensor.bytes) sum += static_cast<unsigned>(b);
  sink = sum;
  static_cast<void>(sink);
  if (tensor.bytes.size() != static_cast<uint64_t>(tensor.shape.count()) * SizeOf(tensor.type))
    Bug("tensor '" + tensor.name + "' has other bytes than its shape says");
}

void Touch(const Hdf5Node& node) {
  if (node.tensor) Touch(*node.tensor);
  for (const auto& [name, value] : node.attributes)
    if (const auto* tensor = std::get_if<StoredTensor>(&value)) Touch(*tensor);
  for (const Hdf5Node& child : node.children) Touch(child);
}

MemoryFile::MemoryFile(const std::string& extension) {
  std::string pattern = (std::filesystem::temp_directory_path() / "ingot-fuzz-XXXXXX").string();
  fd_ = memfd_create("fuzz", 0);
  if (fd_ < 0 || !mkdtemp(pattern.data())) Bug("no file in memory, or no folder, can be made");
  folder_ = pattern;
  path_ = folder_ + "/m" + extension;
  std::filesystem::create_symlink("/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(fd_), path_);
}

MemoryFile::~MemoryFile() {
  close(fd_);
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

const std::string& MemoryFile::Set(Bytes bytes) {
  if (ftruncate(fd_, 0) != 0 || pwrite(fd_, bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    Bug("the file in memory cannot be written");
  return path_;
}

namespace {

std::string Named(const std::string& path, const std::function<void()>& f) {
  const std::string refusal = Refusal(f);
  if (!refusal.empty() && !refusal.starts_with(path)) Bug("an error does not name the file: " + refusal);
  // With the place that INGOT_CHECK adds: the words alone the fuzzer learns, and puts into names that errors quote.
  const size_t check = refusal.find("ingot has a bug: "), at = refusal.find(" fails at ", check);
  if (check != refusal.npos && at != refusal.npos && refusal.find(".cc:", at) != refusal.npos) Bug(refusal);
  return refusal;
}

}  // namespace

std::string LoadModel(const std::string& path) {
  return Named(path, [&] {
    const Model model = load_model(path);
    model.get_weights();
    if (model.compiled()) model.get_optimizer_state();
  });
}

std::string LoadWeights(Model model, const std::string& path) {
  return Named(path, [&] { model.load_weights(path); });
}

Model SmallModel() {
  Model model = Sequential({Input({3}), Dense(4, {.activation = "relu"}), Dense(2)}, {.name = "small", .seed = 1});
  model.compile({.optimizer = Adam({.learning_rate = 0.01}), .loss = "mse", .metrics = {"mae"}});
  return model;
}

Model BranchModel() {
  const Layer shared = Dense(3, {.use_bias = false, .name = "shared"});
  const Model inner = Sequential({Input({3}), Dense(2, {.name = "deep"}), BatchNormalization()}, {.name = "inner"});
  const Tensor a = Input({2}, {.name = "a"}), b = Input({2}, {.name = "b"});
  const Tensor sum = Add()({shared(a), shared(b)});
  Model model({a, b}, {inner(sum), Dense(1, {.name = "out"})(sum)}, {.name = "branch", .seed = 2});
  model.compile({.optimizer = SGD({.learning_rate = 0.1, .momentum = 0.9}), .loss = {"mse", "mae"}});
  return model;
}

}  // namespace ingot::fuzz
