// SPDX-License-Identifier: MIT
//
// fuzz_seeds FOLDER: writes the seeds that are ingot's own files into the corpus, FOLDER/<target>/seed*. Run once more
// where a format changes: `build-asan/fuzz/seeds tests/fuzz/corpus`.
#include <filesystem>
#include <fstream>

#include "ingot/io/keras_config.h"
#include "ingot/tests/fuzz/fuzz.h"
#include "ingot/train/compile_config.h"

namespace ingot {
namespace {

namespace fs = std::filesystem;

std::string Read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string{std::istreambuf_iterator<char>(in), {}};
}

void Write(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

// One of each layer that can stand behind the input, as far as shapes allow: the options of all in few lines.
Model Layers() {
  return Sequential(
      {Input({8, 8, 2}), ZeroPadding2D(1), Conv2D(3, {3, 3}, {.strides = {2, 2}, .padding = "same"}),
       BatchNormalization(), ActivationLayer("relu"), DepthwiseConv2D({3, 3}), MaxPooling2D({2, 2}),
       UpSampling2D({2, 2}), Dropout(0.5), Flatten(), Dense(4, {.kernel_initializer = "he_normal"}),
       LayerNormalization(), Reshape({2, 2}), Permute({2, 1}), Flatten(), Dense(2, {.activation = "softmax"})},
      {.name = "layers"});
}

}  // namespace

int Run(const fs::path& folder) {
  const fs::path scratch = fs::temp_directory_path() / "ingot-fuzz-seeds";
  fs::create_directories(scratch);
  int number = 0;
  for (Model model : {fuzz::SmallModel(), fuzz::BranchModel(), Layers()}) {
    const std::string seed = "seed" + std::to_string(number);
    if (number == 0) {
      Array x({4, 3}), y({4, 2});
      model.fit(Dataset::from_arrays(x, y), {.batch_size = 2});  // so that there are slots
    }
    const auto save = [&](const std::string& extension) {
      const fs::path path = scratch / ("m" + extension);
      model.save(path.string());
      return Read(path);
    };
    Json config = NetworkConfig(model.network());
    if (model.compiled()) config["compile_config"] = CompileConfig(model.compile_options());
    Write(folder / "json" / seed, config.dump());
    const std::string native = save(".ingot");
    uint64_t header = 0;
    native.copy(reinterpret_cast<char*>(&header), 8, 16);
    Write(folder / "native" / (seed + "-header"), native.substr(64, header));
    if (number < 2) {
      if (number == 0) Write(folder / "native" / seed, native);
      Write(folder / "files" / seed, save(".keras"));
      Write(folder / "files" / (seed + "-h5"), save(".h5"));
      Write(folder / "files" / (seed + "-weights"), save(".weights.h5"));
      Write(folder / "npz" / seed, save(".npz"));
      const std::string safetensors = save(".safetensors");
      safetensors.copy(reinterpret_cast<char*>(&header), 8, 0);
      Write(folder / "safetensors" / seed, safetensors);
      Write(folder / "safetensors" / (seed + "-header"), safetensors.substr(8, header));
    }
    ++number;
  }
  fs::remove_all(scratch);
  return 0;
}

}  // namespace ingot

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  return ingot::Run(argv[1]);
}
