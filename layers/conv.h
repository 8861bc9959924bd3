// SPDX-License-Identifier: MIT
//
// Convolutions over sequences (batch, steps, channels) and images (batch, height, width, channels). Arguments,
// defaults, padding and weights are Keras's; sizes are numbers or pairs ({3, 3}). layers/window.h says how windows
// move and what is padded.
#pragma once

#include <string>

#include "ingot/layers/activations.h"
#include "ingot/layers/window.h"

namespace ingot {

struct ConvOptions {
  Size2 strides = 1;
  std::string padding = "valid";  // or "same"; Conv1D also "causal"
  Size2 dilation_rate = 1;        // with strides of 1 only
  int64_t groups = 1;             // channels in and filters are cut into so many groups that do not see each other
  Activation activation = "linear";
  bool use_bias = true;
  Initializer kernel_initializer = "glorot_uniform", bias_initializer = "zeros";
  Regularizer kernel_regularizer{}, bias_regularizer{}, activity_regularizer{};
  std::string name{};
};
Layer Conv1D(int64_t filters, int64_t kernel_size, const ConvOptions& options = {});
Layer Conv2D(int64_t filters, const Size2& kernel_size, const ConvOptions& options = {});

struct Conv2DTransposeOptions {
  Size2 strides = 1;
  std::string padding = "valid";
  Size2 output_padding = kNone;  // None: `same` gives in * stride, `valid` (in - 1) stride + max(span, stride)
  Size2 dilation_rate = 1;
  Activation activation = "linear";
  bool use_bias = true;
  Initializer kernel_initializer = "glorot_uniform", bias_initializer = "zeros";
  Regularizer kernel_regularizer{}, bias_regularizer{}, activity_regularizer{};
  std::string name{};
};
Layer Conv2DTranspose(int64_t filters, const Size2& kernel_size, const Conv2DTransposeOptions& options = {});

struct DepthwiseConv2DOptions {
  Size2 strides = 1;
  std::string padding = "valid";
  int64_t depth_multiplier = 1;  // channels out for each channel in
  Size2 dilation_rate = 1;
  Activation activation = "linear";
  bool use_bias = true;
  Initializer depthwise_initializer = "glorot_uniform", bias_initializer = "zeros";
  Regularizer depthwise_regularizer{}, bias_regularizer{}, activity_regularizer{};
  std::string name{};
};
Layer DepthwiseConv2D(const Size2& kernel_size, const DepthwiseConv2DOptions& options = {});

// Depthwise, then 1 x 1 across channels.
struct SeparableConv2DOptions {
  Size2 strides = 1;
  std::string padding = "valid";
  Size2 dilation_rate = 1;
  int64_t depth_multiplier = 1;
  Activation activation = "linear";
  bool use_bias = true;
  Initializer depthwise_initializer = "glorot_uniform", pointwise_initializer = "glorot_uniform",
              bias_initializer = "zeros";
  Regularizer depthwise_regularizer{}, pointwise_regularizer{}, bias_regularizer{}, activity_regularizer{};
  std::string name{};
};
Layer SeparableConv2D(int64_t filters, const Size2& kernel_size, const SeparableConv2DOptions& options = {});

}  // namespace ingot
