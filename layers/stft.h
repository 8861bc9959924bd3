// SPDX-License-Identifier: MIT
//
// The initializer STFT: the kernel (frame, 1, bins) of a convolution that makes the short-time Fourier transform of
// what it slides over. Value (t, 0, k) is w(t) cos(-2 pi t k / F) for the real part and w(t) sin(...) for the imaginary
// one, with F = 2 (bins - 1) and a window w.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ingot/core/types.h"

namespace ingot {

struct STFTOptions {
  std::string side = "real";                       // or "imag"
  std::optional<std::string> window = "hann";      // of scipy.signal, by name; none: no window, and no scaling
  std::vector<float> window_values{};              // instead of a name: one for each place of the frame
  std::optional<std::string> scaling = "density";  // divided by the window's length; "spectrum": by its sum; or none
  bool periodic = false;
};

// Error unless such options make a kernel of that shape.
std::vector<float> STFTKernel(const STFTOptions& options, const Shape& shape);

}  // namespace ingot
