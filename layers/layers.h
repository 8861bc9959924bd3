// SPDX-License-Identifier: MIT
//
// The list of all layers. To add one: its file, and a line here. The tests walk the list.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "ingot/layers/activation_layers.h"
#include "ingot/layers/conv.h"
#include "ingot/layers/core.h"
#include "ingot/layers/embedding.h"
#include "ingot/layers/layer.h"
#include "ingot/layers/merging.h"
#include "ingot/layers/normalization.h"
#include "ingot/layers/pooling.h"
#include "ingot/layers/regularization.h"
#include "ingot/layers/reshaping.h"
#include "ingot/layers/resize.h"

namespace ingot {

// clang-format off
#define INGOT_LAYERS(X)     \
  X(InputLayer)             \
  X(Dense)                  \
  X(Conv1D)                 \
  X(Conv2D)                 \
  X(Conv2DTranspose)        \
  X(DepthwiseConv2D)        \
  X(SeparableConv2D)        \
  X(MaxPooling1D)           \
  X(MaxPooling2D)           \
  X(AveragePooling1D)       \
  X(AveragePooling2D)       \
  X(GlobalMaxPooling1D)     \
  X(GlobalMaxPooling2D)     \
  X(GlobalAveragePooling1D) \
  X(GlobalAveragePooling2D) \
  X(ZeroPadding1D)          \
  X(ZeroPadding2D)          \
  X(Cropping1D)             \
  X(Cropping2D)             \
  X(UpSampling1D)           \
  X(UpSampling2D)           \
  X(Resizing)               \
  X(BatchNormalization)     \
  X(LayerNormalization)     \
  X(GroupNormalization)     \
  X(Normalization)          \
  X(Rescaling)              \
  X(Dropout)                \
  X(SpatialDropout1D)       \
  X(SpatialDropout2D)       \
  X(GaussianNoise)          \
  X(ActivityRegularization) \
  X(Flatten)                \
  X(Reshape)                \
  X(Permute)                \
  X(RepeatVector)           \
  X(Identity)               \
  X(Add)                    \
  X(Subtract)               \
  X(Multiply)               \
  X(Average)                \
  X(Maximum)                \
  X(Minimum)                \
  X(Concatenate)            \
  X(Activation)             \
  X(ReLU)                   \
  X(LeakyReLU)              \
  X(PReLU)                  \
  X(ELU)                    \
  X(Softmax)                \
  X(Embedding)              \
  X(LayerScale)             \
  X(CustomScaleLayer)
// clang-format on

// How a layer is made from its class name; its options come through fields().
struct LayerClass {
  const char* name;
  std::shared_ptr<LayerDef> (*make)();
};
#define X(name) extern const LayerClass k##name##Class;
INGOT_LAYERS(X)
#undef X
std::span<const LayerClass* const> AllLayers();

using LayerFactory = LayerDef::Factory;

// A layer of that class with the options of a Keras config (name, trainable, dtype among them).
// Error for a class that is neither in the list nor in `custom`, saying what can be done.
Layer LayerFromConfig(const std::string& class_name, const Json& config, const CustomObjects* custom = nullptr);
Json LayerConfig(LayerDef& def);

}  // namespace ingot
