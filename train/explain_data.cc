// SPDX-License-Identifier: MIT
#include "ingot/train/explain_data.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "ingot/core/error.h"
#include "ingot/core/trace.h"
#include "ingot/data/stage.h"

namespace ingot {
namespace {

constexpr int64_t kMostRows = 20000;
constexpr double kMostBytes = 64e6;

Samples Gathered(const Samples& all, int64_t n, int64_t apart) {
  return all.Each([&](const Array& a) {
    Array to(a.shape().with(0, n), a.dtype());
    for (int64_t i = 0; i < n; ++i)
      std::memcpy(static_cast<std::byte*>(to.data()) + static_cast<size_t>(i) * a.row_bytes(),
                  static_cast<const std::byte*>(a.data()) + static_cast<size_t>(i * apart) * a.row_bytes(),
                  a.row_bytes());
    return to;
  });
}

}  // namespace

Some SomeOf(const Dataset& data, int64_t batch_size, double seconds) {
  if (!data.staged()) {
    data.Check("explain");
    double row = 1;
    data.ForEach([&](const char*, size_t, const Array& a) { row += static_cast<double>(a.row_bytes()); });
    const auto most = std::max<int64_t>(2, std::min<int64_t>(kMostRows, static_cast<int64_t>(kMostBytes / row)));
    const int64_t n = std::min(data.rows(), most), apart = n ? data.rows() / n : 1;
    return {Gathered(data, n, apart), apart};
  }
  Dataset::Reader reader = (data.stage()->batched() ? data : data.batch(batch_size)).read();
  std::vector<Samples> parts;
  double bytes = 0;
  int64_t n = 0;
  const int64_t until = Trace::Now() + static_cast<int64_t>(1e9 * std::min(seconds, 1e9));
  for (Sample batch;
       (parts.empty() || (n < kMostRows && bytes < kMostBytes && Trace::Now() < until)) && reader.next(batch);) {
    Samples part = batch.Each([](const Array& a) { return a.copy(); });
    bool alike = parts.empty() || part.HasAsMany(parts[0]);
    if (alike && !parts.empty())
      parts[0].ForEachPair(part, [&](const char*, size_t, const Array& a, const Array& b) {
        alike &= a.dtype() == b.dtype() && a.shape().from(1) == b.shape().from(1);
      });
    if (!alike) break;  // lengths that change: those that came so far
    part.ForEach([&](const char*, size_t, const Array& a) { bytes += static_cast<double>(a.bytes()); });
    n += part.rows();
    parts.push_back(std::move(part));
  }
  if (parts.empty()) Fail("explain: the data set gives no batch: ", data.str());
  Samples all = parts[0].Each([&](const Array& a) { return Array(a.shape().with(0, n), a.dtype()); });
  int64_t row = 0;
  for (Samples& part : parts) {
    all.ForEachPair(part, [&](const char*, size_t, Array& to, const Array& from) {
      if (from.bytes())
        std::memcpy(static_cast<std::byte*>(to.data()) + static_cast<size_t>(row) * to.row_bytes(), from.data(),
                    from.bytes());
    });
    row += part.rows();
  }
  return {std::move(all), 1};
}

double ValueAt(const Array& a, int64_t i) {
  const auto at = static_cast<size_t>(i);
  return a.dtype() == DType::kFloat32 ? static_cast<double>(a.floats()[at])
         : a.dtype() == DType::kInt32 ? a.as<int32_t>()[at]
                                      : a.as<uint8_t>()[at];
}

Moments MomentsOf(const Array& a) {
  const int64_t n = a.shape().rank() > 1 ? a.shape().back() : 1;
  Moments m{std::vector<double>(static_cast<size_t>(n)), std::vector<double>(static_cast<size_t>(n))};
  std::vector<double> squares(static_cast<size_t>(n));  // of distances from the mean so far: Welford
  double all = 0;
  for (int64_t i = 0; i < a.size(); ++i) {
    const auto k = static_cast<size_t>(i % n);
    const double v = ValueAt(a, i), before = v - m.mean[k];
    m.mean[k] += before / static_cast<double>(i / n + 1);
    squares[k] += before * (v - m.mean[k]);
    all += v * v;
  }
  const double count = static_cast<double>(std::max<int64_t>(1, a.size() / n));
  for (size_t k = 0; k < squares.size(); ++k) m.deviation[k] = std::sqrt(squares[k] / count);
  m.magnitude = std::sqrt(all / static_cast<double>(std::max<int64_t>(1, a.size())));
  return m;
}

Array Normalized(const Array& a, const Moments& m) {
  Array to(a.shape());
  const auto n = static_cast<int64_t>(m.mean.size());
  for (int64_t i = 0; i < a.size(); ++i) {
    const auto k = static_cast<size_t>(i % n);
    const double deviation = m.deviation[k] > 0 ? m.deviation[k] : 1;
    to.floats()[static_cast<size_t>(i)] = static_cast<float>((ValueAt(a, i) - m.mean[k]) / deviation);
  }
  return to;
}

}  // namespace ingot
