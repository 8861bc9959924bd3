// SPDX-License-Identifier: MIT
//
// Layers that change the extent of sequences (batch, steps, channels) and images (batch, height, width, channels)
// without weights: zeros added around them, edges cut off, pixels interpolated. Arguments and values are Keras's.
#pragma once

#include <string>

#include "ingot/layers/window.h"

namespace ingot {

// How many before and after, along one axis: {1, 2}, or 1 for both.
struct Ends {
  int64_t before, after;

  constexpr Ends(int64_t both) : before(both), after(both) {}  // NOLINT: a number is two ends
  constexpr Ends(int64_t first, int64_t last) : before(first), after(last) {}
};

// Of an image: {{top, bottom}, {left, right}}, or {height, width} with as many on either side, or one number.
struct Edges {
  Ends h, w;

  constexpr Edges(int64_t all) : h(all), w(all) {}  // NOLINT: a number is all edges
  constexpr Edges(Ends height, Ends width) : h(height), w(width) {}
};

struct EdgeOptions {
  std::string name{};
};
Layer ZeroPadding1D(const Ends& padding = 1, const EdgeOptions& options = {});
Layer ZeroPadding2D(const Edges& padding = 1, const EdgeOptions& options = {});
Layer Cropping1D(const Ends& cropping = 1, const EdgeOptions& options = {});
Layer Cropping2D(const Edges& cropping = 0, const EdgeOptions& options = {});

struct UpSamplingOptions {
  std::string interpolation = "nearest";  // or bilinear, bicubic, lanczos3, lanczos5; UpSampling1D: nearest only
  std::string name{};
};
Layer UpSampling1D(int64_t size = 2, const UpSamplingOptions& options = {});
Layer UpSampling2D(const Size2& size = 2, const UpSamplingOptions& options = {});

struct ResizingOptions {
  std::string interpolation = "bilinear";  // or nearest, bicubic, lanczos3, lanczos5
  bool crop_to_aspect_ratio = false;       // the largest window in the middle that has the shape of the output
  bool pad_to_aspect_ratio = false;        // the image in the middle of one that has the shape of the output
  std::string fill_mode = "constant";
  float fill_value = 0;
  bool antialias = false;
  std::string name{};
};
Layer Resizing(int64_t height, int64_t width, const ResizingOptions& options = {});

}  // namespace ingot
