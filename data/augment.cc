// SPDX-License-Identifier: MIT
//
// Pictures resized, flipped, cropped, shifted and turned. Each picture has four random words of its own, from Philox
// over its index: enough for any of these.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <type_traits>
#include <utility>

#include "ingot/core/error.h"
#include "ingot/core/random.h"
#include "ingot/data/preprocess.h"

namespace ingot {
namespace {

// One picture's pixels.
template <class T>
struct Picture {
  T* data;
  int64_t height, width, channels;
  T* at(int64_t y, int64_t x) const { return data + (y * width + x) * channels; }
};

// Of all words alike: 0 .. n - 1.
int64_t Below(uint32_t word, int64_t n) {
  return static_cast<int64_t>((static_cast<uint64_t>(word) * static_cast<uint64_t>(n)) >> 32);
}

template <class T>
T Rounded(float v) {
  if constexpr (std::is_same_v<T, uint8_t>)
    return v >= 0 ? static_cast<uint8_t>(std::min(v, 255.0f) + 0.5f) : uint8_t{0};  // no number: 0
  else
    return v;
}

Shape PictureShape(const Array& x, bool batched, const char* what) {
  const Shape shape = batched ? x.shape().from(1) : x.shape();
  if (shape.rank() != 3) Fail(what, ": a picture of shape ", shape, " came; (height, width, channels) was expected");
  if (shape.count() == 0) Fail(what, ": a picture of shape ", shape, " came, which has no pixels");
  if (x.dtype() == DType::kInt32) Fail(what, ": the picture holds int32; bytes or floats were expected");
  return shape;
}

// The passes of an endless repetition inside an epoch are numbered beyond 32 bits; an odd factor tells all of them
// apart.
Stream StreamOf(uint64_t seed, uint32_t use, int64_t epoch) {
  const auto e = static_cast<uint64_t>(epoch);
  return {seed, use ^ (static_cast<uint32_t>(e >> 32) * 0x9E3779B9u), static_cast<uint32_t>(e)};
}

// Puts f(from, to, words) over each picture of an input in its place; `out` is the shape of what comes.
template <class F>
void ForPictures(Sample& s, int input, const char* what, int64_t height, int64_t width, uint64_t seed, uint32_t use,
                 const F& f) {
  if (input < 0 || static_cast<size_t>(input) >= s.x.size())
    Fail(what, ": input ", input, " was asked for, the sample has ", s.x.size());
  Array& x = s.x[static_cast<size_t>(input)];
  const bool batched = s.batched();
  const Shape in = PictureShape(x, batched, what);
  const Shape out{height ? height : in[0], width ? width : in[1], in[2]};
  const int64_t n = batched ? x.rows() : 1;
  if (batched && static_cast<int64_t>(s.indices.size()) != n)
    Fail(what, ": the batch has ", s.indices.size(), " indices for ", n, " rows; a map before it changed their number");
  Array to = s.make(batched ? out.batched(n) : out, x.dtype());
  const auto each = [&](auto* src, auto* dst) {
    for (int64_t i = 0; i < n; ++i) {
      const auto index = static_cast<uint64_t>(batched ? s.indices[static_cast<size_t>(i)] : s.index);
      const Words words = Philox(StreamOf(seed, use, s.epoch), index);
      f(Picture<std::remove_pointer_t<decltype(src)>>{src + i * in.count(), in[0], in[1], in[2]},
        Picture<std::remove_pointer_t<decltype(dst)>>{dst + i * out.count(), out[0], out[1], out[2]}, words);
    }
  };
  if (x.dtype() == DType::kFloat32)
    each(std::as_const(x).floats().data(), to.floats().data());
  else
    each(std::as_const(x).as<uint8_t>().data(), to.as<uint8_t>().data());
  x = std::move(to);
}

template <class T>
float Mix(T a, T b, float weight) {
  const auto from = static_cast<float>(a);
  return from + (static_cast<float>(b) - from) * weight;
}

// A pixel between others: of the rows y0 and y1, the columns x0 and x1, with the weights wy and wx of the second ones.
template <class T, class U>
void Blend(const Picture<T>& from, int64_t y0, int64_t y1, float wy, int64_t x0, int64_t x1, float wx, U* to) {
  const T *a = from.at(y0, x0), *b = from.at(y0, x1), *c = from.at(y1, x0), *d = from.at(y1, x1);
  for (int64_t k = 0; k < from.channels; ++k) {
    to[k] = Rounded<U>(Mix(Mix(a[k], b[k], wx), Mix(c[k], d[k], wx), wy));
  }
}

struct Between {
  int64_t first, second;
  float weight;  // of the second
};
// Where pixel i of `to` lies among `from` pixels.
Between Find(int64_t i, int64_t to, int64_t from) {
  const float at = (static_cast<float>(i) + 0.5f) * (static_cast<float>(from) / static_cast<float>(to)) - 0.5f;
  const float clamped = std::clamp(at, 0.0f, static_cast<float>(from - 1));
  const auto first = static_cast<int64_t>(clamped);
  return {first, std::min(first + 1, from - 1), clamped - static_cast<float>(first)};
}

template <class T, class U>
void Resize(const Picture<T>& from, const Picture<U>& to) {
  std::vector<Between> columns;
  for (int64_t x = 0; x < to.width; ++x) columns.push_back(Find(x, to.width, from.width));
  std::vector<float> blended(static_cast<size_t>(from.width * from.channels));  // of two rows
  for (int64_t y = 0; y < to.height; ++y) {
    const Between row = Find(y, to.height, from.height);
    const T *above = from.at(row.first, 0), *below = from.at(row.second, 0);
    for (size_t i = 0; i < blended.size(); ++i) blended[i] = Mix(above[i], below[i], row.weight);
    U* pixel = to.at(y, 0);
    for (const Between& column : columns) {
      const float *left = &blended[static_cast<size_t>(column.first * from.channels)],
                  *right = &blended[static_cast<size_t>(column.second * from.channels)];
      for (int64_t k = 0; k < from.channels; ++k) *pixel++ = Rounded<U>(Mix(left[k], right[k], column.weight));
    }
  }
}

template <class T, class U>
void Shift(const Picture<T>& from, const Picture<U>& to, int64_t down, int64_t right, float fill) {
  const int64_t first = std::clamp<int64_t>(right, 0, to.width), last = std::clamp(from.width + right, first, to.width);
  for (int64_t y = 0; y < to.height; ++y) {
    U* row = to.at(y, 0);
    const int64_t source = y - down;
    if (source < 0 || source >= from.height || first == last) {
      std::fill_n(row, to.width * to.channels, Rounded<U>(fill));
      continue;
    }
    std::fill_n(row, first * to.channels, Rounded<U>(fill));
    std::memcpy(to.at(y, first), from.at(source, first - right),
                static_cast<size_t>((last - first) * to.channels) * sizeof(U));
    std::fill_n(row + last * to.channels, (to.width - last) * to.channels, Rounded<U>(fill));
  }
}

template <class T, class U>
void Flip(const Picture<T>& from, const Picture<U>& to, bool horizontal, bool vertical) {
  const auto c = static_cast<size_t>(from.channels);
  for (int64_t y = 0; y < to.height; ++y) {
    const T* src = from.at(vertical ? to.height - 1 - y : y, 0);
    U* dst = to.at(y, 0);
    if (!horizontal) {
      std::memcpy(dst, src, static_cast<size_t>(to.width) * c * sizeof(U));
    } else if (c == 1) {
      std::reverse_copy(src, src + to.width, dst);
    } else {
      for (int64_t x = 0; x < to.width; ++x)
        std::memcpy(to.at(y, x), src + static_cast<size_t>(to.width - 1 - x) * c, c * sizeof(U));
    }
  }
}

template <class T, class U>
void Rotate(const Picture<T>& from, const Picture<U>& to, float angle, float fill) {
  const float cosine = std::cos(angle), sine = std::sin(angle);
  const float cy = static_cast<float>(to.height - 1) / 2, cx = static_cast<float>(to.width - 1) / 2;
  for (int64_t y = 0; y < to.height; ++y)
    for (int64_t x = 0; x < to.width; ++x) {
      const float dy = static_cast<float>(y) - cy, dx = static_cast<float>(x) - cx;
      const float sy = cy + sine * dx + cosine * dy, sx = cx + cosine * dx - sine * dy;
      U* pixel = to.at(y, x);
      if (!(sy >= 0 && sx >= 0 && sy <= static_cast<float>(from.height - 1) &&
            sx <= static_cast<float>(from.width - 1))) {
        std::fill_n(pixel, to.channels, Rounded<U>(fill));
        continue;
      }
      const auto y0 = static_cast<int64_t>(sy), x0 = static_cast<int64_t>(sx);
      Blend(from, y0, std::min(y0 + 1, from.height - 1), sy - static_cast<float>(y0), x0,
            std::min(x0 + 1, from.width - 1), sx - static_cast<float>(x0), pixel);
    }
}

void CheckExtents(const char* what, int64_t height, int64_t width) {
  if (height <= 0 || width <= 0)
    Fail(what, ": ", height, " by ", width, " pixels were asked for, positive numbers were expected");
}

}  // namespace

Array Resized(const Array& picture, int64_t height, int64_t width) {
  Sample s;
  s.x = {picture};
  resize(height, width)(s);
  return s.x[0];
}

std::function<void(Sample&)> resize(int64_t height, int64_t width, int input) {
  CheckExtents("resize", height, width);
  return [=](Sample& s) {
    ForPictures(s, input, "resize", height, width, 0, 0,
                [](const auto& from, const auto& to, const Words&) { Resize(from, to); });
  };
}

std::function<void(Sample&)> random_flip(const FlipOptions& o) {
  return [o](Sample& s) {
    ForPictures(s, o.input, "random_flip", 0, 0, o.seed, 0xf11b, [&](const auto& from, const auto& to, const Words& w) {
      Flip(from, to, o.horizontal && (w[0] >> 31), o.vertical && (w[1] >> 31));
    });
  };
}

std::function<void(Sample&)> random_crop(int64_t height, int64_t width, const RandomOptions& o) {
  CheckExtents("random_crop", height, width);
  return [=](Sample& s) {
    ForPictures(s, o.input, "random_crop", height, width, o.seed, 0xc409,
                [&](const auto& from, const auto& to, const Words& w) {
                  if (height > from.height || width > from.width)
                    Fail("random_crop: a picture of ", from.height, " by ", from.width, " pixels is smaller than ",
                         height, " by ", width, "; resize it first");
                  Shift(from, to, -Below(w[0], from.height - height + 1), -Below(w[1], from.width - width + 1), o.fill);
                });
  };
}

std::function<void(Sample&)> random_shift(int64_t rows, int64_t columns, const RandomOptions& o) {
  constexpr int64_t kMost = 1 << 30;
  if (rows < 0 || columns < 0 || rows > kMost || columns > kMost)
    Fail("random_shift: up to ", rows, " rows and ", columns, " columns were asked for, 0 or more was expected");
  return [=](Sample& s) {
    ForPictures(s, o.input, "random_shift", 0, 0, o.seed, 0x5417,
                [&](const auto& from, const auto& to, const Words& w) {
                  Shift(from, to, Below(w[0], 2 * rows + 1) - rows, Below(w[1], 2 * columns + 1) - columns, o.fill);
                });
  };
}

std::function<void(Sample&)> random_rotation(float degrees, const RandomOptions& o) {
  if (!(degrees >= 0 && degrees <= 360)) Fail("random_rotation: ", degrees, " degrees came, 0 to 360 was expected");
  return [=](Sample& s) {
    ForPictures(s, o.input, "random_rotation", 0, 0, o.seed, 0x4074,
                [&](const auto& from, const auto& to, const Words& w) {
                  Rotate(from, to, (2 * Uniform(w[0]) - 1) * degrees * 0.017453292519943295f, o.fill);
                });
  };
}

}  // namespace ingot
