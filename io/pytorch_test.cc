// SPDX-License-Identifier: MIT
//
// Files as PyTorch would write them, into models: every element of each kind of weight is where the table of pytorch.h
// says, written out here index by index.
#include "ingot/io/pytorch.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>

#include "ingot/ingot.h"
#include "ingot/io/atomic_file.h"
#include "ingot/io/npy.h"
#include "ingot/io/safetensors.h"

namespace ingot {
namespace {

namespace fs = std::filesystem;

constexpr WeightOptions kPyTorch = {.pytorch = true};

template <class T>
std::string Counted(int64_t n, int first) {
  std::string bytes;
  for (int64_t i = 0; i < n; ++i) {
    const T value = static_cast<T>(first + i);
    bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  return bytes;
}

// Its elements count from `first`, in PyTorch's order.
StoredTensor T(const std::string& name, const Shape& shape, int first = 0, StoredType type = StoredType::kFloat32) {
  const int64_t n = shape.count();
  const auto memory = std::make_shared<std::string>(type == StoredType::kUint8     ? Counted<uint8_t>(n, first)
                                                    : type == StoredType::kInt16   ? Counted<int16_t>(n, first)
                                                    : type == StoredType::kFloat64 ? Counted<double>(n, first)
                                                    : type == StoredType::kInt64   ? Counted<int64_t>(n, first)
                                                                                   : Counted<float>(n, first));
  return {name, type, shape, std::as_bytes(std::span(*memory)), memory};
}

class PyTorch : public ::testing::Test {
 protected:
  PyTorch() : folder_(fs::temp_directory_path() / ("ingot-pytorch-" + std::to_string(getpid()))) {
    fs::create_directories(folder_);
  }
  ~PyTorch() override { fs::remove_all(folder_); }

  std::string File(const std::vector<StoredTensor>& tensors, const std::string& name = "m.safetensors") const {
    const std::string path = (folder_ / name).string();
    AtomicFile file(path);
    name.ends_with(".npz") ? WriteNpz(tensors, file.sink()) : WriteSafetensors({{}, tensors}, file.sink());
    file.Commit();
    return path;
  }
  Arrays Loaded(Model model, const std::vector<StoredTensor>& tensors) const {
    model.load_weights(File(tensors), kPyTorch);
    return model.get_weights();
  }
  // What is said; nothing may have changed.
  std::string Refused(Model model, const std::vector<StoredTensor>& tensors) const {
    const Arrays before = model.get_weights();
    std::string said;
    try {
      model.load_weights(File(tensors), kPyTorch);
    } catch (const Error& e) {
      said = e.what();
    }
    EXPECT_TRUE(said.starts_with(folder_.string())) << said;
    const Arrays after = model.get_weights();
    for (size_t i = 0; i < before.size(); ++i) EXPECT_TRUE(before[i] == after[i]) << i;
    return said;
  }

  fs::path folder_;
};

#define EXPECT_SAYS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

// Element by element: where (i, j, k, l) of the weight, shaped (a, b, c, d), is found.
using At = std::function<int64_t(int64_t, int64_t, int64_t, int64_t)>;
void ExpectAt(const Array& w, const Shape& shape, int first, const At& at) {
  ASSERT_EQ(w.shape(), shape);
  Shape s;
  for (int i = shape.rank(); i < 4; ++i) s.push_back(1);
  for (const int64_t n : shape) s.push_back(n);
  size_t n = 0;
  for (int64_t i = 0; i < s[0]; ++i)
    for (int64_t j = 0; j < s[1]; ++j)
      for (int64_t k = 0; k < s[2]; ++k)
        for (int64_t l = 0; l < s[3]; ++l, ++n)
          ASSERT_EQ(w.floats()[n], static_cast<float>(first + at(i, j, k, l))) << i << " " << j << " " << k << " " << l;
}
void ExpectAsIs(const Array& w, const Shape& shape, int first) {
  ASSERT_EQ(w.shape(), shape);
  for (size_t n = 0; n < w.floats().size(); ++n)
    ASSERT_EQ(w.floats()[n], static_cast<float>(first) + static_cast<float>(n));
}

TEST_F(PyTorch, DenseAlsoSquareAndLarge) {
  for (const auto& [in, out] : {std::pair{3, 2}, {4, 4}, {1, 5}, {5, 1}, {70, 45}, {64, 32}}) {
    const Arrays w = Loaded(Sequential({Input({in}), Dense(out, {.name = "fc"})}),
                            {T("fc.weight", {out, in}, 7), T("fc.bias", {out}, 90)});
    ExpectAt(w[0], {in, out}, 7, [in = in](auto, auto, auto i, auto o) { return o * in + i; });
    ExpectAsIs(w[1], {out}, 90);
  }
}

TEST_F(PyTorch, EveryTypeIsTurned) {
  for (const StoredType type : {StoredType::kUint8, StoredType::kInt16, StoredType::kFloat32, StoredType::kFloat64}) {
    const Arrays w = Loaded(Sequential({Input({5}), Dense(5, {.use_bias = false, .name = "fc"})}),
                            {T("fc.weight", {5, 5}, 3, type)});
    ExpectAt(w[0], {5, 5}, 3, [](auto, auto, auto i, auto o) { return o * 5 + i; });
  }
}

TEST_F(PyTorch, Convolutions) {
  Arrays w = Loaded(Sequential({Input({9, 3}), Conv1D(4, 2, {.name = "c"})}),
                    {T("c.weight", {4, 3, 2}), T("c.bias", {4}, 50)});
  ExpectAt(w[0], {2, 3, 4}, 0, [](auto, auto k, auto i, auto o) { return (o * 3 + i) * 2 + k; });
  ExpectAsIs(w[1], {4}, 50);

  w = Loaded(Sequential({Input({9, 9, 3}), Conv2D(5, {2, 4}, {.name = "c"})}),
             {T("c.weight", {5, 3, 2, 4}, 1), T("c.bias", {5}, 50)});
  ExpectAt(w[0], {2, 4, 3, 5}, 1, [](auto y, auto x, auto i, auto o) { return ((o * 3 + i) * 2 + y) * 4 + x; });

  // All extents alike; and in groups, as both have it.
  w = Loaded(Sequential({Input({9, 9, 3}), Conv2D(3, {3, 3}, {.use_bias = false, .name = "c"})}),
             {T("c.weight", {3, 3, 3, 3})});
  ExpectAt(w[0], {3, 3, 3, 3}, 0, [](auto y, auto x, auto i, auto o) { return ((o * 3 + i) * 3 + y) * 3 + x; });
  w = Loaded(Sequential({Input({9, 9, 4}), Conv2D(6, {3, 3}, {.groups = 2, .use_bias = false, .name = "c"})}),
             {T("c.weight", {6, 2, 3, 3})});
  ExpectAt(w[0], {3, 3, 2, 6}, 0, [](auto y, auto x, auto i, auto o) { return ((o * 2 + i) * 3 + y) * 3 + x; });

  w = Loaded(Sequential({Input({9, 9, 3}), Conv2DTranspose(5, {2, 4}, {.use_bias = false, .name = "c"})}),
             {T("c.weight", {3, 5, 2, 4})});
  ExpectAt(w[0], {2, 4, 5, 3}, 0, [](auto y, auto x, auto o, auto i) { return ((i * 5 + o) * 2 + y) * 4 + x; });
}

TEST_F(PyTorch, Depthwise) {
  for (const int m : {1, 2}) {
    const Arrays w =
        Loaded(Sequential({Input({9, 9, 3}), DepthwiseConv2D({2, 4}, {.depth_multiplier = m, .name = "d"})}),
               {T("d.weight", {3 * m, 1, 2, 4}), T("d.bias", {3 * m}, 60)});
    ExpectAt(w[0], {2, 4, 3, m}, 0, [m](auto y, auto x, auto c, auto n) { return ((c * m + n) * 2 + y) * 4 + x; });
    ExpectAsIs(w[1], {3 * m}, 60);
  }
  // One channel in: as many as Conv2D would have.
  Arrays w = Loaded(Sequential({Input({9, 9, 1}), DepthwiseConv2D({3, 3}, {.depth_multiplier = 4, .use_bias = false})}),
                    {T("0.weight", {4, 1, 3, 3})});
  ExpectAt(w[0], {3, 3, 1, 4}, 0, [](auto y, auto x, auto, auto n) { return (n * 3 + y) * 3 + x; });

  w = Loaded(Sequential({Input({9, 9, 3}), SeparableConv2D(5, {2, 4}, {.depth_multiplier = 2, .name = "s"})}),
             {T("s.depthwise.weight", {6, 1, 2, 4}), T("s.pointwise.weight", {5, 6, 1, 1}, 9),
              T("s.pointwise.bias", {5}, 70)});
  ExpectAt(w[0], {2, 4, 3, 2}, 0, [](auto y, auto x, auto c, auto n) { return ((c * 2 + n) * 2 + y) * 4 + x; });
  ExpectAt(w[1], {1, 1, 6, 5}, 9, [](auto, auto, auto i, auto o) { return o * 6 + i; });
  ExpectAsIs(w[2], {5}, 70);
}

TEST_F(PyTorch, WhatIsTakenAsItIs) {
  const Arrays w = Loaded(
      Sequential({Input({6}, {.dtype = "int32"}), Embedding(3, 3, {.name = "e"}), BatchNormalization({.name = "bn"}),
                  LayerNormalization({.name = "ln"}), PReLU({.shared_axes = 1, .name = "p"})}),
      {T("e.weight", {3, 3}), T("bn.weight", {3}, 10), T("bn.bias", {3}, 20), T("bn.running_mean", {3}, 30),
       T("bn.running_var", {3}, 40), T("bn.num_batches_tracked", {}, 1, StoredType::kInt64), T("ln.weight", {3}, 50),
       T("ln.bias", {3}, 60), T("p.weight", {3}, 70)});
  ExpectAsIs(w[0], {3, 3}, 0);
  for (const int i : {1, 2, 3, 4, 5, 6}) ExpectAsIs(w[static_cast<size_t>(i)], {3}, 10 * i);
  ExpectAsIs(w[7], {1, 3}, 70);
}

Model Three() { return Sequential({Input({2}), Dense(2, {.name = "a"}), Dense(2, {.name = "block/b"}), Dense(2)}); }

TEST_F(PyTorch, NamesOfLayers) {
  // '/' is '.', and Keras's names do too; the layout is PyTorch's all the same.
  const Arrays w =
      Loaded(Three(), {T("dense/kernel", {2, 2}, 20), T("dense/bias", {2}, 50), T("a.bias", {2}, 30),
                       T("block.b.bias", {2}, 40), T("block.b.weight", {2, 2}, 10), T("a.weight", {2, 2})});
  for (const int i : {0, 1, 2}) {
    ExpectAt(w[static_cast<size_t>(2 * i)], {2, 2}, 10 * i, [](auto, auto, auto in, auto o) { return o * 2 + in; });
    ExpectAsIs(w[static_cast<size_t>(2 * i + 1)], {2}, 30 + 10 * i);
  }
}

TEST_F(PyTorch, NestedModels) {
  const auto inner = [](const char* name) {
    return Sequential({Input({2}), Dense(2, {.name = "fc"})}, {.name = name});
  };
  const auto model = [&] { return Sequential({Input({2}), inner("one"), inner("two"), Dense(2, {.name = "last"})}); };
  std::vector<StoredTensor> file;
  for (const char* name : {"two.fc", "last", "one.fc"}) {
    const int first = 10 * static_cast<int>(file.size());
    file.push_back(T(std::string(name) + ".weight", {2, 2}, first));
    file.push_back(T(std::string(name) + ".bias", {2}, first + 5));
  }
  const Arrays w = Loaded(model(), file);
  ExpectAsIs(w[1], {2}, 45);
  ExpectAsIs(w[3], {2}, 5);
  ExpectAsIs(w[5], {2}, 25);
  // Two layers are "fc": the name alone is neither.
  file[0].name = "fc.weight";
  EXPECT_SAYS(Refused(model(), file), "left over in the file:\n    fc.weight (2, 2)");
  ExpectAsIs(Loaded(Sequential({Input({2}), inner("one")}), {T("fc.weight", {2, 2}), T("fc.bias", {2}, 3)})[1], {2}, 3);
}

TEST_F(PyTorch, ModulesInOrder) {
  std::vector<StoredTensor> file;
  for (const char* number : {"10", "9", "1"}) {
    const int first = 10 * static_cast<int>(file.size());
    file.push_back(T("net." + std::string(number) + ".bias", {2}, first + 5));
    file.push_back(T("net." + std::string(number) + ".weight", {2, 2}, first));
  }
  const Arrays w = Loaded(Three(), file);
  ExpectAsIs(w[1], {2}, 45);
  ExpectAsIs(w[3], {2}, 25);
  ExpectAsIs(w[5], {2}, 5);

  // Letters do as order where a swap would show, and not else.
  const auto net = [](int out) { return Sequential({Input({2}), Dense(2), Dense(out)}); };
  const auto letters = [](int out) {
    return std::vector{T("encoder.weight", {2, 2}), T("encoder.bias", {2}), T("fc.weight", {out, 2}, 9),
                       T("fc.bias", {out}, 30)};
  };
  ExpectAsIs(Loaded(net(3), letters(3))[3], {3}, 30);
  EXPECT_SAYS(Refused(net(2), letters(2)), "its modules 'encoder' and 'fc' are of the same shapes");
}

TEST_F(PyTorch, WhatDoesNotMatchIsListed) {
  const auto net = [] { return Sequential({Input({4}), Dense(3, {.name = "a"}), Dense(3, {.name = "b"})}); };
  // As Keras has it: of the right shape for the model, and yet refused.
  std::string said = Refused(
      net(), {T("a.weight", {4, 3}), T("a.bias", {3}), T("b.weight", {3, 3}), T("c.bias", {3}), T("a.kernel", {3, 4})});
  EXPECT_SAYS(said, "1 missing from the file:\n    b/bias (3,)");
  EXPECT_SAYS(said, "a/kernel: the model has (4, 3), in PyTorch (3, 4), the file (4, 3) (a.weight)");
  EXPECT_SAYS(said, "2 left over in the file:\n    a.kernel (3, 4)\n    c.bias (3,)");
  EXPECT_SAYS(said, "2 that match:\n    a/bias\n    b/kernel");
  // In order: one module short, one too many.
  std::vector<StoredTensor> file = {T("0.weight", {3, 4}), T("0.bias", {3})};
  EXPECT_SAYS(Refused(net(), file), "2 missing from the file:\n    b/kernel (3, 3)\n    b/bias (3,)");
  for (const char* name : {"1.weight", "2.weight"}) file.push_back(T(name, {3, 3}));
  for (const char* name : {"1.bias", "2.bias"}) file.push_back(T(name, {3}));
  EXPECT_SAYS(Refused(net(), file), "2 left over in the file:\n    2.bias (3,)\n    2.weight (3, 3)");
  EXPECT_SAYS(Refused(net(), {}), "4 missing");
  EXPECT_SAYS(Refused(net(), {T("a/b", {1}), T("a.b", {1})}), "are the same name");
  EXPECT_SAYS(Refused(net(), {T("a.weight", {0, 4}), T("a.", {}), T("", {})}), "a/kernel: the model has (4, 3)");
}

TEST_F(PyTorch, WhatCannotBeKnownIsRefused) {
  EXPECT_SAYS(Refused(Sequential({Input({3, 3}), LayerNormalization({.axis = {1, 2}, .name = "ln"})}),
                      {T("ln.weight", {3, 3}), T("ln.bias", {3, 3})}),
              "how PyTorch lays out 'gamma' (3, 3) of layer 'ln' (LayerNormalization) is not known");
  EXPECT_SAYS(Refused(Sequential({Input({3, 3}), PReLU({.name = "p"})}), {T("p.weight", {3, 3})}),
              "how PyTorch lays out 'alpha' (3, 3)");
}

TEST_F(PyTorch, FormatsAndModes) {
  const auto net = [] { return Sequential({Input({2}), Dense(2, {.name = "fc"})}); };
  const std::vector<StoredTensor> file = {T("fc.weight", {2, 2}), T("fc.bias", {2}, 9)};
  for (const char* name : {"m.safetensors", "m.npz"}) {
    for (const LoadMode mode : {LoadMode::kMap, LoadMode::kShare, LoadMode::kRead}) {
      Model model = net();
      model.load_weights(File(file, name), {.mode = mode, .pytorch = true});
      ExpectAt(model.get_weights()[0], {2, 2}, 0, [](auto, auto, auto i, auto o) { return o * 2 + i; });
      EXPECT_EQ(model.variables()[0]->arena->pages(), Pages::kOwn);
      model.set_weights(model.get_weights());
    }
  }
  for (const char* name : {"m.ingot", "m.keras", "m.h5", "m.weights.h5"}) {
    const std::string path = (folder_ / name).string();
    Model model = net();
    model.save(path);
    try {
      model.load_weights(path, kPyTorch);
      ADD_FAILURE() << name;
    } catch (const Error& e) {
      EXPECT_SAYS(std::string(e.what()), "are read from .safetensors and .npz alone");
    }
  }
}

}  // namespace
}  // namespace ingot
