// SPDX-License-Identifier: MIT
#include "ingot/layers/stft.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "ingot/core/error.h"

namespace ingot {
namespace {

// A window of scipy.signal that is a sum of cosines: w(i) = sum_k (-1)^k a_k cos(2 pi k i / (n - 1)).
struct CosineWindow {
  const char* names[5];
  double a[5];
};
constexpr CosineWindow kCosineWindows[] = {
    {{"boxcar", "box", "ones", "rect", "rectangular"}, {1}},
    {{"hann", "han"}, {0.5, 0.5}},
    {{"hamming", "hamm", "ham"}, {0.54, 0.46}},
    {{"blackman", "black", "blk"}, {0.42, 0.5, 0.08}},
    {{"nuttall", "nutl", "nut"}, {0.3635819, 0.4891775, 0.1365995, 0.0106411}},
    {{"blackmanharris", "blackharr", "bkh"}, {0.35875, 0.48829, 0.14128, 0.01168}},
    {{"flattop", "flat", "flt"}, {0.21557895, 0.41663158, 0.277263158, 0.083578947, 0.006947368}},
};

std::vector<float> WindowOf(std::string name, int64_t n, bool periodic) {
  for (const auto& [suffix, value] : {std::pair{"_symmetric", false}, {"_periodic", true}})
    if (name.ends_with(suffix)) name.erase(name.size() - std::strlen(suffix)), periodic = value;
  const CosineWindow* window = nullptr;
  for (const CosineWindow& w : kCosineWindows)
    if (std::any_of(std::begin(w.names), std::end(w.names), [&](const char* alias) { return alias && name == alias; }))
      window = &w;
  const bool bartlett = name == "bartlett" || name == "bart" || name == "brt";
  if (!window && !bartlett) {
    std::string known = "bartlett";
    for (const CosineWindow& w : kCosineWindows) known += std::string(", ") + w.names[0];
    Fail("initializer STFT: window '", name, "' is not known; there are ", known,
         ", and window_values takes any other");
  }
  // A periodic window is one a step longer, without its last value.
  const double last = static_cast<double>(periodic ? n : n - 1);
  std::vector<float> values(static_cast<size_t>(n), 1.0f);
  for (int64_t i = 0; i < n && n > 1; ++i) {
    const double at = static_cast<double>(i) / last;
    double value = 0;
    for (int k = 0; window && k < 5; ++k) value += (k % 2 ? -1 : 1) * window->a[k] * std::cos(2 * M_PI * k * at);
    if (bartlett) value = at <= 0.5 ? 2 * at : 2 - 2 * at;
    values[static_cast<size_t>(i)] = static_cast<float>(value);
  }
  return values;
}

}  // namespace

// Keras computes the angles in float32: so they are here, and agree where a frame is long.
std::vector<float> STFTKernel(const STFTOptions& o, const Shape& shape) {
  if (o.side != "real" && o.side != "imag") Fail("initializer STFT: side is '", o.side, "'; real or imag was expected");
  if (o.scaling && *o.scaling != "density" && *o.scaling != "spectrum")
    Fail("initializer STFT: scaling is '", *o.scaling, "'; density, spectrum or none was expected");
  if (shape.rank() != 3 || shape[0] < 1 || shape[2] < 2)
    Fail("initializer STFT makes kernels (frame, channels, bins) of at least 2 bins, the weight has the shape ", shape);
  const int64_t frame = shape[0], channels = shape[1], bins = shape[2];
  std::vector<float> window = o.window_values;
  const bool windowed = o.window || !window.empty();
  if (window.empty())
    window = o.window ? WindowOf(*o.window, frame, o.periodic) : std::vector<float>(static_cast<size_t>(frame), 1.0f);
  if (static_cast<int64_t>(window.size()) != frame)
    Fail("initializer STFT: the window has ", window.size(), " values, the frame of a weight of shape ", shape,
         " takes ", frame);
  double sum = 0, squares = 0;
  for (const float w : window)
    sum += std::fabs(static_cast<double>(w)), squares += static_cast<double>(w) * static_cast<double>(w);
  double scale = 1;
  if (windowed && o.scaling) scale = *o.scaling == "density" ? std::sqrt(squares) : sum;
  if (!(scale > 0))
    Fail("initializer STFT: the window of ", frame, " values is all zeros; a longer frame was expected");
  std::vector<float> values(static_cast<size_t>(shape.count()));
  for (int64_t t = 0, at = 0; t < frame; ++t)
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t k = 0; k < bins; ++k) {
        const float turn = static_cast<float>(k) / static_cast<float>(2 * (bins - 1));
        const double angle = static_cast<double>(-2 * static_cast<float>(t) * turn * static_cast<float>(M_PI));
        const double wave = o.side == "real" ? std::cos(angle) : std::sin(angle);
        values[static_cast<size_t>(at++)] =
            static_cast<float>(wave * static_cast<double>(window[static_cast<size_t>(t)]) / scale);
      }
  return values;
}

}  // namespace ingot
