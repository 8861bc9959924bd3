// SPDX-License-Identifier: MIT
//
// What is done to data before a model sees it, as functions for Dataset::map, of single samples or of whole batches:
//
//   const auto scaler = StandardScaler::fit(train);
//   train.shuffle(10000).batch(128).map(scaler).map(random_flip({.seed = 1}), {.threads = 2}).prefetch(2)
//
// What is random depends on (seed, epoch, index of the sample) alone: a picture is changed in the same way whatever the
// order, the batch and the thread. Pictures are (height, width, channels), of bytes or floats; `input` says which of
// several inputs is meant. Whole batches cost less than sample by sample.
//
// Threads: all may be called from any, at once.
#pragma once

#include <functional>
#include <vector>

#include "ingot/data/dataset.h"

namespace ingot {

// ---- Scaling. The last axis holds the features, each scaled by itself: in grey pictures all pixels together. Rows of
// one number, of shape (n), are one feature.

// Count, mean, variance and range of each feature, found in one pass over any data that is read in order: blocks are
// summed up exactly, and joined as Welford (1962) and Chan et al. (1979) do it, in float64.
class FeatureStats {
 public:
  void Add(const Array& rows);  // (n, ..., features) or (n)
  int64_t count() const { return count_; }
  const std::vector<double>& mean() const { return mean_; }
  std::vector<double> variance() const;  // of the population, as NumPy's var
  const std::vector<float>& least() const { return least_; }
  const std::vector<float>& most() const { return most_; }

 private:
  int64_t count_ = 0;
  std::vector<double> mean_, m2_;  // m2: the sum of squared distances to the mean
  std::vector<float> least_, most_;
};
FeatureStats StatsOf(const Dataset& data, int input = 0);

// x becomes (x - shift) * scale + low, float32.
class Scaler {
 public:
  Scaler(std::vector<float> shift, std::vector<float> scale, int input, float low = 0);
  void operator()(Sample& s) const;
  Array transform(const Array& x) const;

  const std::vector<float>& shift() const { return shift_; }
  const std::vector<float>& scale() const { return scale_; }

 private:
  void Apply(const Array& from, bool batched, Array& to) const;
  std::vector<float> shift_, scale_;
  std::vector<float> tiled_shift_, tiled_scale_;  // again and again, so that loops over few features are long
  int input_;
  float low_;
  bool wide_ = false;  // x - shift may be beyond float32
};

// To a mean of 0 and a standard deviation of 1; features that never vary are only shifted.
struct StandardScaler {
  static Scaler fit(const Dataset& data, int input = 0);
};
// To the range from low to high; features that never vary become low.
struct MinMaxScaler {
  static Scaler fit(const Dataset& data, float low = 0, float high = 1, int input = 0);
};
// Every number times the same: rescale(1 / 255.0f).
std::function<void(Sample&)> rescale(float scale, float shift = 0, int input = 0);

// ---- Labels.

// Whole numbers 0 .. classes - 1 become rows of classes floats, one of them 1.
std::function<void(Sample&)> one_hot(int64_t classes, int target = 0);

// ---- Pictures.

struct FlipOptions {
  bool horizontal = true, vertical = false;  // which of them half of the pictures are
  uint64_t seed = 0;
  int input = 0;
};
struct RandomOptions {
  uint64_t seed = 0;
  float fill = 0;  // for what comes in from outside
  int input = 0;
};

// Bilinear, pixels' centers at halves, as Keras resizes.
std::function<void(Sample&)> resize(int64_t height, int64_t width, int input = 0);
std::function<void(Sample&)> random_flip(const FlipOptions& options = {});
std::function<void(Sample&)> random_crop(int64_t height, int64_t width, const RandomOptions& options = {});
// By up to so many pixels either way.
std::function<void(Sample&)> random_shift(int64_t rows, int64_t columns, const RandomOptions& options = {});
// About the middle by up to so many degrees either way, bilinear.
std::function<void(Sample&)> random_rotation(float degrees, const RandomOptions& options = {});

Array Resized(const Array& picture, int64_t height, int64_t width);

}  // namespace ingot
