// SPDX-License-Identifier: MIT
//
// Embedding, and the two layers that keras.applications adds.
#pragma once

#include <cstdint>
#include <string>

#include "ingot/layers/layer.h"
#include "ingot/layers/options.h"

namespace ingot {

struct EmbeddingOptions {
  Initializer embeddings_initializer = "uniform";
  Regularizer embeddings_regularizer{}, activity_regularizer{};
  std::string name{};
};
// Row i of a table (input_dim, output_dim) for each number i that comes in; 1.9 is cut to 1, as Keras casts it.
Layer Embedding(int64_t input_dim, int64_t output_dim, const EmbeddingOptions& options = {});

Layer LayerScale(double init_values, int64_t projection_dim, const NameOptions& options = {});  // x gamma, by channel
Layer CustomScaleLayer(double scale, const NameOptions& options = {});                          // a + scale b of {a, b}

}  // namespace ingot
