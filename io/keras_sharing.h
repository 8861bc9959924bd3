// SPDX-License-Identifier: MIT
//
// Layers that stand in several models of one file. Keras 3 marks each place with the same "shared_object_id", but (3.0
// to 3.15) cannot read most of what it writes then:
//   - it loses the first mark if that place is inside an inner model, and reads two layers;
//   - it counts a layer's calls within each model when it writes, but over all models when it reads. A Sequential model
//     calls its layers an unknown number of times while it is read.
// So here every place is marked, calls are counted as Keras will count them, and what it can never read is refused.
// What Keras wrote is understood in either way of counting, and a lost mark is found again.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>

#include "ingot/core/fields.h"
#include "ingot/layers/network.h"

namespace ingot {

constexpr char kSharedId[] = "shared_object_id";

// The layers of a network, those within its models too, that more than one model holds. Inputs and operations do not
// count: they have no state, and copies do the same.
class SharedLayers {
 public:
  explicit SharedLayers(const Network& network);

  int id(const LayerDef& def) const;  // from 1 on; 0 if one model alone holds it
  // Two models that share a layer, in words; empty if none do.
  const std::string& example() const { return example_; }

 private:
  void Walk(const Network& network);

  std::map<const LayerDef*, const Network*> holder_;
  std::map<const LayerDef*, int> ids_;
  std::string example_;
};

// Goes with the writing of a network, in the order in which Keras will read it.
class SharedWriter {
 public:
  explicit SharedWriter(const Network& network) : shared_(network) {}

  int id(const LayerDef& def) const { return shared_.id(def); }
  // To be asked once for each place: whether another was written before. Then only the mark will be read.
  bool Known(const LayerDef& def) { return id(def) != 0 && !written_.insert(&def).second; }
  // After the layers of a functional model are written, before its calls: how many calls of each there were.
  std::map<const LayerDef*, int64_t> CountCalls(const Network& network);
  // After each layer of a sequential model: Keras calls it before it reads the next.
  void Chained(const LayerDef& def, const Network& network);
  // Why Keras cannot read it; empty if it can.
  const std::string& keras_cannot() const { return keras_cannot_; }

 private:
  SharedLayers shared_;
  std::set<const LayerDef*> written_;
  std::map<const LayerDef*, int64_t> calls_;
  std::map<const LayerDef*, std::string> chained_;  // and the Sequential model that calls it
  std::string keras_cannot_;
};

// Goes with the reading.
class SharedReader {
 public:
  // The layer that this stands for too; none if it is to be made.
  Layer Find(const Json& object);
  // Remembers what was made of it.
  void Made(const Json& object, const Layer& layer);
  bool IsShared(const Layer& layer) const { return shared_.contains(&layer.def()); }

 private:
  struct Unmarked {
    const Json* object;
    Layer layer;
    bool unique;
  };
  std::unordered_map<std::string, std::pair<Layer, std::string>> by_id_;  // and which layer that is
  std::unordered_map<std::string, Unmarked> unmarked_;                    // by class and name
  std::set<const LayerDef*> shared_;
};

}  // namespace ingot
