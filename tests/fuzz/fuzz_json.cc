// SPDX-License-Identifier: MIT
//
// A model's configuration, with its compile configuration in it as in .keras files, or as training_config. What our
// parser takes, another must read alike; what it refuses, the other may take only where ours is stricter.
#include "ingot/io/json.h"
#include "ingot/io/keras_config.h"
#include "ingot/tests/fuzz/fuzz.h"
#include "ingot/train/compile_config.h"

using namespace ingot;

namespace {

void Compile(const Json& config, const std::vector<std::string>& outputs) {
  fuzz::Refusal([&] {
    const CompileOptions options = CompileOptionsFromConfig(config, outputs);
    // What was read can be written, and read again.
    const std::string again = fuzz::Refusal([&] { CompileOptionsFromConfig(CompileConfig(options), outputs); });
    if (!again.empty()) fuzz::Bug("what compile() was given cannot be read back: " + again);
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const std::string refused = fuzz::Refusal([&] { ParseJson(text, "config"); });
  if (!refused.empty()) {
    const bool stricter = refused.find("nested deeper") != refused.npos || refused.find("' twice") != refused.npos;
    // The other takes a NUL for the end of the text, whatever follows it.
    const bool ends_early = text.find('\0') != text.npos;
    if (!stricter && !ends_early && Json::accept(text)) fuzz::Bug("another parser takes what ours refuses: " + refused);
    return 0;
  }
  fuzz::Refusal([&] {
    const Json config = ParseJson(text, "config");
    if (config != Json::parse(text, nullptr, /*allow_exceptions=*/false))
      fuzz::Bug("what was read differs from what another parser reads");
    std::vector<std::string> outputs = {"out"};
    fuzz::Refusal([&] {
      const auto network = NetworkFromConfig(config);
      if (network->has_calls()) outputs = network->output_names();
      Layout(Layer(network).variables()).names();
      Json written;
      if (fuzz::Refusal([&] { written = NetworkConfig(*network); }).empty()) {
        const std::string again = fuzz::Refusal([&] { NetworkFromConfig(written); });
        if (!again.empty()) fuzz::Bug("a model cannot be read back: " + again);
      }
    });
    Compile(config.is_object() && config.contains("compile_config") ? config["compile_config"] : config, outputs);
  });
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  return fuzz::MutateJson(data, size, max_size, seed);
}
