// SPDX-License-Identifier: MIT
//
// What a saved model is, whatever the format, and the list of formats, by extension. A format turns a checkpoint into
// a file and back; what a model is made of it is train/save.cc's.
//
// To add a format: its functions below, and a line in checkpoint.cc.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ingot/core/plan/layout.h"
#include "ingot/io/fill.h"
#include "ingot/io/load_report.h"
#include "ingot/io/stored.h"
#include "ingot/layers/network.h"
#include "ingot/optim/optimizer.h"

namespace ingot {

class MappedFile;

// Where a fit stood that was saved on its way: what train/fit_position.h makes of it is its own affair. Numbers by the
// thousand are tensors.
struct FitState {
  std::shared_ptr<Json> about;
  std::vector<StoredTensor> tensors;
};

struct Checkpoint {
  std::shared_ptr<Network> network;
  Layout layout;                                  // weights placed
  std::shared_ptr<Json> compile;                  // as Keras's get_compile_config(); null if not compiled
  std::shared_ptr<const OptimizerDef> optimizer;  // null if not compiled
  std::string why_not_compiled;                   // where the file holds half of a compile configuration
  std::optional<uint64_t> seed;                   // of dropout and shuffling, where the file says it
  bool has_state = false;                         // of the optimizer: what follows
  int64_t iterations = 0;
  std::optional<double> learning_rate;  // where it is a number; that of `compile` otherwise
  std::shared_ptr<Block> slots;  // those of the optimizer, layout.slot_stride() apart; null where there is no state
  std::shared_ptr<const MappedFile> image;  // readers: the file, where weights may stay in it
  std::vector<Fill> pending;                // readers: what the slots are still to be filled with
  std::shared_ptr<Json> self_test;          // what train/selftest.h noted, to be written; null if nothing
  std::shared_ptr<const FitState> fit;      // null if no fit was under way; .ingot files alone hold it
  // To write: a copy of the weights, laid out as `layout` says. Null: what the variables hold is written.
  std::shared_ptr<Block> copied;
  // Readers of weights: what matches is loaded, and what does not is left as it is and listed.
  bool skip_mismatch = false;
  std::vector<std::string> skipped;

  const std::byte* values(const Variable& v) const {
    if (!copied) return reinterpret_cast<const std::byte*>(v.data());
    return copied->data() + layout.offset(static_cast<size_t>(layout.IndexOf(&v)));
  }
  float* slot(size_t slot, size_t variable) const {
    return reinterpret_cast<float*>(slots->data() + slot * layout.slot_stride() + layout.offset(variable));
  }
  void SetLearningRate(float rate, const std::string& where);   // likewise
  void SetIterations(int64_t count, const std::string& where);  // Error unless it can be
  void LayOut();                                                // readers: the layout of the network's weights
  void PlaceSlots();                                            // filled with what they begin with
  void FillSlots();                                             // with what is pending
  void SetCompile(std::shared_ptr<Json> config, const CustomObjects* custom);  // and the optimizer that it names
};

std::optional<uint64_t> SeedFrom(const std::string& text);  // a number of 64 bits, or none

struct ReadOptions {
  const CustomObjects* custom = nullptr;
  bool compile = true;  // else the file's compile configuration and optimizer state are left alone
  LoadMode mode = LoadMode::kMap;
  LoadReport* report = nullptr;
  bool copy = false;  // weights into memory of their own, whatever the mode
  // Names and layouts are PyTorch's (io/pytorch.h): read_weights of .safetensors and .npz alone.
  bool pytorch = false;
};

// Writes a file whose every part is known; the weights are read where they lie as late as this.
using Writing = std::function<void()>;

struct Format {
  const char* extension;
  // Null where a file of this format holds weights alone.
  Checkpoint (*read)(const std::string& path, const ReadOptions& options);
  // Weights, and optimizer state where both have it, into a model that exists.
  void (*read_weights)(const std::string& path, const ReadOptions& options, Checkpoint& into);
  // Describes the checkpoint; what comes back writes it, on any thread, and does not look at the network again.
  Writing (*write)(const std::string& path, const Checkpoint& checkpoint);
};
// By the longest extension that fits; Error that lists them if none does.
const Format& FormatOf(const std::string& path);

[[nodiscard]] Writing WriteIngot(const std::string& path, const Checkpoint& checkpoint);
Checkpoint ReadIngot(const std::string& path, const ReadOptions& options);
void ReadIngotWeights(const std::string& path, const ReadOptions& options, Checkpoint& into);

[[nodiscard]] Writing WriteKeras(const std::string& path, const Checkpoint& checkpoint);
Checkpoint ReadKeras(const std::string& path, const ReadOptions& options);
void ReadKerasWeightsOf(const std::string& path, const ReadOptions& options, Checkpoint& into);

[[nodiscard]] Writing WriteWeightsH5(const std::string& path, const Checkpoint& checkpoint);
void ReadWeightsH5(const std::string& path, const ReadOptions& options,
                   Checkpoint& into);  // of the new layout or the legacy one

[[nodiscard]] Writing WriteH5(const std::string& path, const Checkpoint& checkpoint);
Checkpoint ReadH5(const std::string& path, const ReadOptions& options);

[[nodiscard]] Writing WriteSafetensors(const std::string& path, const Checkpoint& checkpoint);
void ReadSafetensorsWeights(const std::string& path, const ReadOptions& options, Checkpoint& into);

[[nodiscard]] Writing WriteNpz(const std::string& path, const Checkpoint& checkpoint);
void ReadNpzWeights(const std::string& path, const ReadOptions& options, Checkpoint& into);

}  // namespace ingot
