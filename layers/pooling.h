// SPDX-License-Identifier: MIT
//
// Pooling over windows, and over all of a sequence (batch, steps, channels) or image (batch, height, width,
// channels). Arguments, defaults and padding are Keras's; an average is over the elements inside the input only.
#pragma once

#include <string>

#include "ingot/layers/window.h"

namespace ingot {

struct PoolingOptions {
  Size2 strides = kNone;          // None: pool_size
  std::string padding = "valid";  // or "same"
  std::string name{};
};
Layer MaxPooling1D(int64_t pool_size = 2, const PoolingOptions& options = {});
Layer MaxPooling2D(const Size2& pool_size = 2, const PoolingOptions& options = {});
Layer AveragePooling1D(int64_t pool_size, const PoolingOptions& options = {});
Layer AveragePooling2D(const Size2& pool_size, const PoolingOptions& options = {});

struct GlobalPoolingOptions {
  bool keepdims = false;  // keep the pooled axes, 1 long
  std::string name{};
};
Layer GlobalMaxPooling1D(const GlobalPoolingOptions& options = {});
Layer GlobalMaxPooling2D(const GlobalPoolingOptions& options = {});
Layer GlobalAveragePooling1D(const GlobalPoolingOptions& options = {});
Layer GlobalAveragePooling2D(const GlobalPoolingOptions& options = {});

}  // namespace ingot
