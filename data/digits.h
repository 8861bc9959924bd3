// SPDX-License-Identifier: MIT
//
// Handwritten-like digits, drawn, not downloaded: strokes of ten classes with every point, the slant, size, place and
// thickness of the pen jittered, then noise. Digit i of a seed is the same on every machine: only exact arithmetic
// (+ - * / and square root) touches the pixels, and each digit has random numbers of its own.
#pragma once

#include <cstdint>
#include <string>

#include "ingot/data/dataset.h"

namespace ingot {

// n images (n, 28, 28, 1) in 0..1 and their classes (n) 0..9. Digits first .. first + n - 1 of the seed, so that
// training and test sets of one seed need not overlap.
Dataset Digits(int64_t n, uint64_t seed = 0, int64_t first = 0);

// MNIST, Fashion-MNIST (idx files) or CIFAR-10 (binary files) from a folder that holds them, scaled to 0..1.
struct ImageData {
  Dataset train, test;
};
ImageData LoadImages(const std::string& folder);

}  // namespace ingot
