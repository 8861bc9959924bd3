// SPDX-License-Identifier: MIT
//
// What a saved model is, whatever the format, and the list of formats, by extension. A format turns a checkpoint into
// a file and back; what a model is made of it is train/save.cc's.
//
// To add a format: its functions below, and a line in checkpoint.cc.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ingot/core/plan/layout.h"
#include "ingot/layers/network.h"
#include "ingot/optim/optimizer.h"

namespace ingot {

struct Checkpoint {
  std::shared_ptr<Network> network;
  Layout layout;                                  // weights placed
  std::shared_ptr<Json> compile;                  // as Keras's get_compile_config(); null if not compiled
  std::shared_ptr<const OptimizerDef> optimizer;  // null if not compiled
  std::optional<uint64_t> seed;                   // of dropout and shuffling, where the file says it
  bool has_state = false;                         // of the optimizer: what follows
  int64_t iterations = 0;
  std::optional<double> learning_rate;  // where it is a number; that of `compile` otherwise
  std::shared_ptr<Block> slots;  // those of the optimizer, layout.slot_stride() apart; null where there is no state

  float* slot(size_t slot, size_t variable) const {
    return reinterpret_cast<float*>(slots->data() + slot * layout.slot_stride() + layout.offset(variable));
  }
  void SetLearningRate(float rate, const std::string& where);   // likewise
  void SetIterations(int64_t count, const std::string& where);  // Error unless it can be
  // Readers: the weights get their arena, the slots theirs, filled with what they begin with. `held` is how many
  // numbers the file holds: Error, before memory is taken, if the model asks for many more.
  void PlaceWeights(uint64_t held, const std::string& where);
  void PlaceSlots();
  void SetCompile(std::shared_ptr<Json> config, const CustomObjects* custom);  // and the optimizer that it names
};

std::optional<uint64_t> SeedFrom(const std::string& text);  // a number of 64 bits, or none

struct ReadOptions {
  const CustomObjects* custom = nullptr;
  bool compile = true;  // else the file's compile configuration and optimizer state are left alone
};

struct Format {
  const char* extension;
  // Null where a file of this format holds weights alone.
  Checkpoint (*read)(const std::string& path, const ReadOptions& options);
  // Weights, and optimizer state where both have it, into a model that exists.
  void (*read_weights)(const std::string& path, Checkpoint& into);
  void (*write)(const std::string& path, const Checkpoint& checkpoint);
};
// By the longest extension that fits; Error that lists them if none does.
const Format& FormatOf(const std::string& path);

void WriteIngot(const std::string& path, const Checkpoint& checkpoint);
Checkpoint ReadIngot(const std::string& path, const ReadOptions& options);
void ReadIngotWeights(const std::string& path, Checkpoint& into);

void WriteKeras(const std::string& path, const Checkpoint& checkpoint);
Checkpoint ReadKeras(const std::string& path, const ReadOptions& options);
void ReadKerasWeightsOf(const std::string& path, Checkpoint& into);

void WriteWeightsH5(const std::string& path, const Checkpoint& checkpoint);
void ReadWeightsH5(const std::string& path, Checkpoint& into);  // of the new layout or the legacy one

void WriteH5(const std::string& path, const Checkpoint& checkpoint);
Checkpoint ReadH5(const std::string& path, const ReadOptions& options);

void WriteSafetensors(const std::string& path, const Checkpoint& checkpoint);
void ReadSafetensorsWeights(const std::string& path, Checkpoint& into);

void WriteNpz(const std::string& path, const Checkpoint& checkpoint);
void ReadNpzWeights(const std::string& path, Checkpoint& into);

}  // namespace ingot
