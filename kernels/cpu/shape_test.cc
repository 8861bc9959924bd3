// SPDX-License-Identifier: MIT
//
// Kernels that move elements, against walks over every index: fill, copy, boxes, casts, every permutation of axes,
// repeats, rows of tables, resampling; and that gradients are the transposes of what they belong to.
#include <algorithm>
#include <limits>
#include <numeric>

#include "ingot/kernels/cpu/call_test_util.h"

namespace ingot::cpu {
namespace {

using testing::Evaluate;
using testing::ExpectClose;
using testing::Floats;
using testing::Random;
using testing::RandomTensor;
using testing::Tensor;
using testing::TestCall;

using Index = std::vector<int64_t>;

Index IndexOf(const Shape& shape, int64_t i) {
  Index index(static_cast<size_t>(shape.rank()));
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    index[static_cast<size_t>(axis)] = i % shape[axis];
    i /= shape[axis];
  }
  return index;
}
size_t PlaceOf(const Shape& shape, const Index& index) {
  int64_t at = 0;
  for (int axis = 0; axis < shape.rank(); ++axis) at = at * shape[axis] + index[static_cast<size_t>(axis)];
  return static_cast<size_t>(at);
}

TEST(Shapes, FillAndCopy) {
  for (const int64_t n : {0, 1, 7, 8193, 50001}) {
    TestCall fill{Fill, {}, {{n}}, FillAttrs{2.5f}};
    EXPECT_EQ(Evaluate(fill)[0], Floats(static_cast<size_t>(n), 2.5f));
    const Tensor x = RandomTensor({n}, 1);
    TestCall copy{Copy, {x}, {{n}}, {}, nullptr, {0}};
    EXPECT_EQ(Evaluate(copy)[0], x.values);
  }
}

TEST(Shapes, CastsFromIntegersAndBytes) {
  for (const int64_t n : {0, 3, 40001}) {
    for (const DType dtype : {DType::kInt32, DType::kUint8, DType::kFloat32}) {
      Tensor x = RandomTensor({n}, 1, 0, 255.9f);
      x.dtype = dtype;
      Floats want = x.values;
      if (dtype != DType::kFloat32)
        for (float& v : want) v = std::floor(v);
      TestCall test{Cast, {x}, {{n}}};
      EXPECT_EQ(Evaluate(test)[0], want);
    }
  }
}

void CheckBox(const Shape& x, const Shape& y, const Index& extent, const Index& from, const Index& to) {
  BoxAttrs box{};
  box.rank = x.rank();
  Shape inside = x;
  for (int i = 0; i < x.rank(); ++i) {
    const auto k = static_cast<size_t>(i);
    inside[i] = extent[k];
    box.extent[i] = static_cast<int32_t>(extent[k]);
    box.from[i] = static_cast<int32_t>(from[k]);
    box.to[i] = static_cast<int32_t>(to[k]);
  }
  const Tensor source = RandomTensor(x, 1), before = RandomTensor(y, 2);
  Floats want = before.values;
  for (int64_t i = 0; i < inside.count(); ++i) {
    Index a = IndexOf(inside, i), b = a;
    for (size_t k = 0; k < a.size(); ++k) a[k] += from[k], b[k] += to[k];
    want[PlaceOf(y, b)] = source.values[PlaceOf(x, a)];
  }
  // The output keeps what is not written: it is laid where the second input is.
  TestCall test{CopyBox, {source, before}, {y}, box};
  for (const int threads : {1, 2, 5}) EXPECT_EQ(testing::Run(test, threads, 1)[0], want) << x.str() << " " << y.str();
}

TEST(Shapes, Boxes) {
  CheckBox({4, 5, 6}, {5, 7, 9}, {2, 3, 4}, {1, 1, 2}, {0, 2, 5});
  CheckBox({4, 5, 6}, {4, 5, 6}, {4, 5, 6}, {0, 0, 0}, {0, 0, 0});
  CheckBox({4, 5, 6}, {8, 5, 6}, {3, 5, 6}, {1, 0, 0}, {4, 0, 0});  // joined along the first axis
  CheckBox({4, 5, 6}, {4, 9, 6}, {4, 5, 6}, {0, 0, 0}, {0, 3, 0});  // along the second
  CheckBox({4, 5, 6}, {4, 5, 9}, {4, 5, 6}, {0, 0, 0}, {0, 0, 2});
  CheckBox({4, 5, 6}, {4, 3, 6}, {4, 3, 6}, {0, 2, 0}, {0, 0, 0});
  CheckBox({}, {}, {}, {}, {});
  CheckBox({3, 4}, {3, 4}, {0, 4}, {0, 0}, {0, 0});
  CheckBox({20, 60, 70}, {20, 64, 74}, {20, 60, 70}, {0, 0, 0}, {0, 2, 2});
  CheckBox({2, 1, 2, 1, 2, 3, 1, 2}, {2, 2, 2, 1, 2, 3, 1, 2}, {2, 1, 2, 1, 2, 3, 1, 2}, Index(8, 0),
           {0, 1, 0, 0, 0, 0, 0, 0});
}

void CheckTranspose(const Shape& x, const std::vector<int>& axes, DType dtype = DType::kFloat32) {
  PermuteAttrs attrs{};
  Shape y = x;
  for (size_t i = 0; i < axes.size(); ++i) {
    attrs.axes[i] = static_cast<int8_t>(axes[i]);
    y[static_cast<int>(i)] = x[axes[i]];
  }
  Tensor source = RandomTensor(x, 1);
  source.dtype = dtype;
  Floats want(source.values.size());
  for (int64_t i = 0; i < y.count(); ++i) {
    const Index index = IndexOf(y, i);
    Index from(index.size());
    for (size_t k = 0; k < axes.size(); ++k) from[static_cast<size_t>(axes[k])] = index[k];
    want[static_cast<size_t>(i)] = source.values[PlaceOf(x, from)];
  }
  TestCall test{Transpose, {source}, {y}, attrs};
  EXPECT_EQ(Evaluate(test)[0], want) << x.str() << " -> " << y.str();
}

TEST(Shapes, EveryPermutation) {
  for (const Shape& shape : {Shape{3, 4, 5, 6}, Shape{2, 1, 33, 3}, Shape{1, 1, 1, 1}, Shape{3, 0, 2, 2}}) {
    std::vector<int> axes{0, 1, 2, 3};
    do CheckTranspose(shape, axes);
    while (std::next_permutation(axes.begin(), axes.end()));
  }
  CheckTranspose({}, {});
  CheckTranspose({5}, {0});
  for (const int64_t n : {31, 32, 33, 64, 200}) CheckTranspose({n, 67}, {1, 0});
  CheckTranspose({4, 50, 60, 3}, {0, 3, 1, 2});
  CheckTranspose({4, 50, 60, 3}, {0, 2, 1, 3});
  CheckTranspose({2, 3, 2, 3, 2, 3, 2, 3}, {7, 0, 6, 1, 5, 2, 4, 3});
}

TEST(Shapes, Broadcasts) {
  const Shape full{3, 4, 5, 6};
  const auto check = [](const Shape& x, const Shape& y) {
    const Tensor source = RandomTensor(x, 1);
    Floats want;
    for (int64_t i = 0; i < y.count(); ++i) {
      Index index = IndexOf(y, i), at;
      for (int k = 0; k < x.rank(); ++k)
        at.push_back(x[k] == 1 ? 0 : index[static_cast<size_t>(k + y.rank() - x.rank())]);
      want.push_back(source.values[PlaceOf(x, at)]);
    }
    TestCall test{Broadcast, {source}, {y}};
    EXPECT_EQ(Evaluate(test)[0], want) << x.str() << " -> " << y.str();
  };
  for (int pattern = 0; pattern < 16; ++pattern) {
    Shape x = full;
    for (int i = 0; i < 4; ++i)
      if (pattern >> i & 1) x[i] = 1;
    check(x, full);
  }
  check({}, {3, 4});
  check({5}, {7, 5});
  check({1}, {50000});
  check({50000}, {50000});
  check({30, 1, 1, 50}, {30, 6, 7, 50});
  check({1, 4}, {0, 4});
  check({}, {});
}

TEST(Gather, TakesRowsAndMarksWhatIsOutOfRange) {
  const Tensor table = RandomTensor({50, 7}, 1);
  for (const DType dtype : {DType::kFloat32, DType::kInt32}) {
    Tensor ids{{3, 4}, {0, 49, 7, 7, 50, -1, 13, 1, 2, 3, 4, 5}, dtype};
    TestCall test{Gather, {table, ids}, {{3, 4, 7}}};
    const Floats y = testing::Run(test)[0];
    for (size_t i = 0; i < 12; ++i) {
      for (size_t c = 0; c < 7; ++c) {
        const size_t id = i == 4 || i == 5 ? 0 : static_cast<size_t>(ids.values[i]);
        if (i == 4 || i == 5) {
          EXPECT_TRUE(std::isnan(y[i * 7 + c]));
        } else {
          EXPECT_EQ(y[i * 7 + c], table.values[id * 7 + c]);
        }
      }
    }
  }
  Tensor wild{{3}, {std::numeric_limits<float>::quiet_NaN(), 1e30f, -1e30f}};
  TestCall test{Gather, {table, wild}, {{3, 7}}};
  const Floats y = testing::Run(test)[0];
  for (const float v : y) EXPECT_TRUE(std::isnan(v));
}

TEST(Gather, ScatterAddIsItsTranspose) {
  for (const int64_t width : {1, 3, 64, 65, 200, 700}) {
    for (const int64_t rows : {1, 5, 300}) {
      const int64_t n = 500;
      Tensor ids{{n}, Random(n, 2, 0, static_cast<float>(rows) - 0.01f)};
      for (float& id : ids.values) id = std::floor(id);
      ids.values[7] = -1, ids.values[8] = static_cast<float>(rows);
      const Tensor dy = RandomTensor({n, width}, 3);
      Floats want(static_cast<size_t>(rows * width));
      for (size_t i = 0; i < static_cast<size_t>(n); ++i) {
        if (i == 7 || i == 8) continue;
        for (size_t c = 0; c < static_cast<size_t>(width); ++c)
          want[static_cast<size_t>(ids.values[i]) * static_cast<size_t>(width) + c] +=
              dy.values[i * static_cast<size_t>(width) + c];
      }
      TestCall test{ScatterAdd, {ids, dy}, {{rows, width}}};
      EXPECT_EQ(Evaluate(test)[0], want) << rows << " x " << width;  // the same order of sums
    }
  }
}

Tensor Taps(int64_t outputs, int64_t taps, int64_t inputs, uint32_t seed) {
  Tensor t = RandomTensor({outputs, taps, 2}, seed, 0, static_cast<float>(inputs) - 0.01f);
  for (size_t i = 0; i < t.values.size(); i += 2)
    t.values[i] = std::floor(t.values[i]), t.values[i + 1] = std::fmod(t.values[i + 1], 1.0f);
  if (!t.values.empty()) t.values[1] = 0;
  return t;
}

void CheckResample(int64_t n, int64_t h, int64_t w, int64_t oh, int64_t ow, int64_t c, int taps_h, int taps_w) {
  const Tensor x = RandomTensor({n, h, w, c}, 1), rows = Taps(oh, taps_h, h, 2), columns = Taps(ow, taps_w, w, 3);
  const Tensor dy = RandomTensor({n, oh, ow, c}, 4);
  std::vector<double> y(dy.values.size()), dx(x.values.size());
  for (int64_t i = 0; i < dy.shape.count(); ++i) {
    const Index o = IndexOf(dy.shape, i);
    for (int64_t a = 0; a < taps_h; ++a) {
      for (int64_t b = 0; b < taps_w; ++b) {
        const float *row = &rows.values[PlaceOf(rows.shape, {o[1], a, 0})],
                    *column = &columns.values[PlaceOf(columns.shape, {o[2], b, 0})];
        const double share = static_cast<double>(row[1]) * static_cast<double>(column[1]);
        const size_t at = PlaceOf(x.shape, {o[0], static_cast<int64_t>(row[0]), static_cast<int64_t>(column[0]), o[3]});
        y[static_cast<size_t>(i)] += share * static_cast<double>(x.values[at]);
        dx[at] += share * static_cast<double>(dy.values[static_cast<size_t>(i)]);
      }
    }
  }
  TestCall test{Resample, {x, rows, columns}, {dy.shape}, ResampleAttrs{taps_h, taps_w}};
  ExpectClose(Evaluate(test)[0], y, 1e-6, 1e-6, "y");
  TestCall grad{ResampleGrad, {dy, rows, columns}, {x.shape}, ResampleAttrs{taps_h, taps_w}};
  ExpectClose(Evaluate(grad)[0], dx, 1e-6, 1e-5, "dx");
}

TEST(Resample, AgreesWithItsSumAndItsTranspose) {
  CheckResample(2, 3, 4, 6, 8, 3, 1, 1);
  CheckResample(2, 5, 4, 7, 3, 5, 2, 2);
  CheckResample(1, 6, 6, 3, 3, 40, 4, 4);
  CheckResample(3, 8, 9, 16, 18, 33, 2, 2);
  CheckResample(0, 3, 3, 6, 6, 2, 1, 1);
}

void Doubled(const Call& call, const void* self) {
  for (int64_t i = 0; i < call.out[0].count(); ++i)
    call.out[0].f()[i] = call.in[0].f()[i] * *static_cast<const float*>(self);
}

TEST(Custom, CallsWhatWasRegistered) {
  static const float two = 2;
  TestCall test{Custom, {{{3}, {1, 2, 3}}}, {{3}}, CustomAttrs{Doubled, &two}};
  EXPECT_EQ(testing::Run(test)[0], (Floats{2, 4, 6}));
}

}  // namespace
}  // namespace ingot::cpu
