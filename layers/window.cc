// SPDX-License-Identifier: MIT
#include "ingot/layers/window.h"

#include <algorithm>
#include <cctype>
#include <limits>

namespace ingot {
namespace {

std::string Lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

struct Along {
  int64_t places, before;
};
// The head of window.h derives it.
Along SlideAlong(int64_t in, int64_t span, int64_t stride, const std::string& padding) {
  if (in == kNone) return {kNone, 0};
  if (padding == "valid") return {in < span ? 0 : (in - span) / stride + 1, 0};
  const int64_t places = (in + stride - 1) / stride;
  if (padding == "causal") return {places, span - 1};
  return {places, std::max<int64_t>((places - 1) * stride + span - in, 0) / 2};
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const Size2& size) { return out << "(" << size.h << ", " << size.w << ")"; }

void DescribeSize(Fields& f, const char* key, Size2& size, int rank) {
  std::vector<int64_t> list = rank == 1 ? std::vector<int64_t>{size.w} : std::vector<int64_t>{size.h, size.w};
  if (f.reading() && !f.has(key)) return f.seen(key);
  f(key, list);
  if (!f.reading()) return;
  const auto n = static_cast<int>(list.size());
  if (n != 1 && n != rank) f.fail(key, rank == 1 ? "one whole number" : "a whole number, or two");
  size = {rank == 1 ? 1 : list.front(), list.back()};
}

void DescribeDataFormat(Fields& f) {
  std::string format = "channels_last";
  if (f.reading() && !f.has("data_format")) return f.seen("data_format");
  f("data_format", format);
  if (format != "channels_last")
    f.fail("data_format",
           "channels_last (ingot holds images as (batch, height, width, channels); convert the model in Keras)");
}

void DescribePadding(Fields& f, std::string& padding) {
  f("padding", padding);
  padding = Lower(padding);
}

void DescribeNoGroups(Fields& f) {
  int64_t groups = 1;
  if (!f.reading()) return;
  if (f.has("groups")) f("groups", groups);
  f.seen("groups");
  if (groups != 1) f.fail("groups", "1");
}

Shape WindowLayer::Image(const Shape& in) const {
  if (in.rank() != rank_ + 2)
    fail("takes inputs of ", rank_ + 2,
         rank_ == 1 ? " axes (batch, steps, channels), " : " axes (batch, height, width, channels), ", in, " came");
  return rank_ == 2 ? in : Shape{in[0], 1, in[1], in[2]};
}

Shape WindowLayer::FromImage(const Shape& image) const {
  return rank_ == 2 ? image : Shape{image[0], image[2], image[3]};
}

void WindowLayer::Flatten(Window& window) const {
  if (rank_ == 1) window.size.h = window.strides.h = window.dilation.h = 1;
}

void WindowLayer::CheckPositive(const char* what, const Size2& size) const {
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  if (std::min(size.h, size.w) >= 1 && std::max(size.h, size.w) <= kMost) return;
  if (std::max(size.h, size.w) > kMost) fail(what, " is ", size, ", at most ", kMost, " was expected");
  if (rank_ == 1) fail(what, " is ", size.w, ", a positive number was expected");
  fail(what, " is ", size, ", positive numbers were expected");
}

void WindowLayer::Check(Window& window, const char* size_name, bool causal) const {
  CheckPositive(size_name, window.size);
  CheckPositive("strides", window.strides);
  CheckPositive("dilation_rate", window.dilation);
  CheckPositive("what the window spans", window.span());
  if (std::string lower = Lower(window.padding); lower != window.padding) window.padding = std::move(lower);
  if (window.padding != "valid" && window.padding != "same" && !(causal && window.padding == "causal"))
    fail("padding is '", window.padding, "', ", causal ? "'valid', 'same' or 'causal'" : "'valid' or 'same'",
         " was expected");
}

WindowLayer::Places WindowLayer::Slide(const Shape& image, const Window& window) const {
  const Size2 span = window.span();
  // A sequence has no padding across.
  const Along h = SlideAlong(image[1], span.h, window.strides.h, rank_ == 1 ? "valid" : window.padding);
  const Along w = SlideAlong(image[2], span.w, window.strides.w, window.padding);
  if (h.places == 0 || w.places == 0) {
    const std::string covers = rank_ == 1 ? Text(span.w) : Text(span.h, " x ", span.w);
    fail("a window that spans ", covers, " finds no place in the input ", FromImage(image),
         ": the output would be empty; use padding 'same', a smaller window or a larger input");
  }
  return {h.places, w.places, static_cast<int32_t>(h.before), static_cast<int32_t>(w.before)};
}

}  // namespace ingot
