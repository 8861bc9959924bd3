// SPDX-License-Identifier: MIT
//
// WeightOptions::skip_mismatch, in every format: what matches is loaded, all else stays as it is and is listed; files
// that are damaged are refused as ever.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "ingot/ingot.h"
#include "ingot/io/atomic_file.h"
#include "ingot/io/hdf5.h"
#include "ingot/io/mapped_file.h"
#include "ingot/io/safetensors.h"
#include "ingot/tests/folder.h"

namespace ingot {
namespace {

constexpr const char* kFormats[] = {".ingot", ".keras", ".h5", ".weights.h5", ".safetensors", ".npz"};
constexpr WeightOptions kSkip = {.skip_mismatch = true};

bool ByClass(const std::string& format) { return format == ".keras" || format == ".weights.h5"; }

// Two layers, batch-normalization between them, and a head of so many classes.
Model Net(int64_t classes, uint64_t seed, int64_t features = 8) {
  Model model =
      Sequential({Input({6}), Dense(12, {.activation = "relu", .name = "first"}), BatchNormalization({.name = "norm"}),
                  Dense(features, {.name = "feat"}), Dense(classes, {.activation = "softmax", .name = "head"})},
                 {.seed = seed});
  model.compile({.optimizer = Adam({.learning_rate = 0.01}), .loss = "sparse_categorical_crossentropy"});
  model.train_on_batch({Array({4, 6})}, {Array({4}, DType::kInt32)});  // so that there is an optimizer's state
  return model;
}
constexpr size_t kBody = 8, kAll = 10;  // weights: 2 + 4 + 2, and 2 of the head

bool Has(const std::vector<std::string>& skipped, const std::string& begin, const std::string& part) {
  return std::any_of(skipped.begin(), skipped.end(),
                     [&](const std::string& s) { return s.starts_with(begin) && s.find(part) != s.npos; });
}

std::string Listed(const std::vector<std::string>& texts) {
  std::string all;
  for (const std::string& text : texts) all += "\n  " + text;
  return all;
}

class SkipMismatch : public testing::InFolder {
 protected:
  std::string File(const std::string& format) const { return path("m" + format); }
  // What is said; nothing may have changed.
  static std::string Refused(Model model, const std::string& path, const WeightOptions& options = kSkip) {
    const Arrays before = model.get_weights(), state = model.get_optimizer_state();
    std::string said = "it was loaded";
    try {
      model.load_weights(path, options);
    } catch (const Error& e) {
      said = e.what();
    }
    EXPECT_TRUE(said.starts_with(path)) << said;
    EXPECT_TRUE(model.get_weights() == before);
    EXPECT_TRUE(model.get_optimizer_state() == state);
    return said;
  }
};

TEST_F(SkipMismatch, ANewHead) {
  Model from = Net(3, 1);
  const Arrays want = from.get_weights();
  for (const std::string format : kFormats) {
    from.save(File(format));
    for (const LoadMode mode : {LoadMode::kRead, LoadMode::kMap, LoadMode::kShare}) {
      SCOPED_TRACE(format + ", " + Name(mode));
      Model into = Net(5, 2);
      const Arrays before = into.get_weights(), state = into.get_optimizer_state();
      const std::vector<std::string> skipped = into.load_weights(File(format), {.mode = mode, .skip_mismatch = true});
      const Arrays got = into.get_weights();
      for (size_t i = 0; i < kAll; ++i) EXPECT_TRUE(got[i] == (i < kBody ? want[i] : before[i])) << i;
      EXPECT_EQ(skipped.size(), 2u) << Listed(skipped);
      EXPECT_TRUE(Has(skipped, "head/kernel", "(8, 3)")) << Listed(skipped);
      EXPECT_TRUE(Has(skipped, "head/bias", ByClass(format) ? "its layer" : "(3,)")) << Listed(skipped);
      EXPECT_TRUE(into.get_optimizer_state() == state);
      EXPECT_EQ(into.iterations(), 1);
      into.train_on_batch({Array({4, 6})}, {Array({4}, DType::kInt32)});
      EXPECT_EQ(into.iterations(), 2);
    }
    EXPECT_NE(Refused(Net(5, 2), File(format), {}).find("skip_mismatch"), std::string::npos);
  }
}

// The head has as many classes, but another layer below it: its bias alone would fit.
TEST_F(SkipMismatch, ABiasThatWouldFitIsKerass) {
  Model from = Net(3, 1);
  for (const std::string format : kFormats) {
    SCOPED_TRACE(format);
    from.save(File(format));
    Model into = Net(3, 2, 9);
    const Arrays before = into.get_weights(), want = from.get_weights();
    into.load_weights(File(format), kSkip);
    const Arrays got = into.get_weights();
    for (const size_t i : {0, 1, 2, 3, 4, 5}) EXPECT_TRUE(got[i] == want[i]) << i;
    for (const size_t i : {6, 7, 8}) EXPECT_TRUE(got[i] == before[i]) << i;
    EXPECT_TRUE(got[9] == (ByClass(format) ? before : want)[9]);
  }
}

// The file has a layer that the model lacks, and the model one that the file lacks.
TEST_F(SkipMismatch, LayersLeftOverAndMissing) {
  Model from = Net(3, 1);
  const Arrays want = from.get_weights();
  for (const std::string format : kFormats) {
    SCOPED_TRACE(format);
    from.save(File(format));
    Model into = Sequential({Input({6}), Dense(12, {.activation = "relu", .name = "first"}),
                             LayerNormalization({.name = "other"}), Dense(8, {.name = "feat"})},
                            {.seed = 2});
    const Arrays before = into.get_weights();
    const std::vector<std::string> skipped = into.load_weights(File(format), kSkip);
    const Arrays got = into.get_weights();
    const size_t of[] = {0, 1, kAll, kAll, 6, 7};  // in the file
    for (size_t i = 0; i < got.size(); ++i) EXPECT_TRUE(got[i] == (of[i] < kAll ? want[of[i]] : before[i])) << i;
    EXPECT_EQ(skipped.size(), 2u + 4 + 2) << Listed(skipped);
    EXPECT_TRUE(Has(skipped, "other/gamma", "missing")) << Listed(skipped);
    EXPECT_EQ(Has(skipped, "norm/moving_mean", "left over"), !ByClass(format) && format != ".h5") << Listed(skipped);
    EXPECT_EQ(std::count_if(skipped.begin(), skipped.end(),
                            [](const auto& s) { return s.ends_with("left over in the file"); }),
              6);
  }
}

TEST_F(SkipMismatch, WhereAllMatchesNothingIsSkipped) {
  Model from = Net(3, 1);
  for (const std::string format : kFormats) {
    SCOPED_TRACE(format);
    from.save(File(format));
    Model into = Net(3, 2);
    EXPECT_TRUE(into.load_weights(File(format)).empty());
    EXPECT_TRUE(into.get_optimizer_state() == from.get_optimizer_state());
    Model again = Net(3, 2);
    const Arrays state = again.get_optimizer_state();
    EXPECT_TRUE(again.load_weights(File(format), kSkip).empty());
    EXPECT_TRUE(again.get_weights() == from.get_weights());
    EXPECT_TRUE(again.get_optimizer_state() == state);
  }
}

TEST_F(SkipMismatch, WhereNothingMatchesIsAnError) {
  Model from = Net(3, 1);
  const Model into = Sequential({Input({7}), Dense(5, {.name = "a"}), Dense(11, {.name = "b"})}, {.seed = 2});
  for (const std::string format : kFormats) {
    SCOPED_TRACE(format);
    from.save(File(format));
    EXPECT_NE(Refused(into, File(format)).find("nothing in it matches"), std::string::npos);
    const std::string said = Refused(into, File(format), {});
    EXPECT_EQ(said.find("skip_mismatch") == said.npos, format != ".h5") << said;  // of no use, where it can be told
  }
}

// Weights that were not drawn yet are, where the file does not have them.
TEST_F(SkipMismatch, WhatIsSkippedIsDrawn) {
  Model from = Net(3, 1);
  const auto make = [](bool initialize) {
    return Sequential({Input({6}), Dense(12, {.name = "first"}), Dense(5, {.name = "head"})},
                      {.seed = 7, .initialize = initialize});
  };
  for (const std::string format : kFormats) {
    SCOPED_TRACE(format);
    from.save(File(format));
    Model drawn = make(true), later = make(false);
    drawn.load_weights(File(format), kSkip);
    later.load_weights(File(format), kSkip);
    EXPECT_TRUE(later.get_weights() == drawn.get_weights());
    EXPECT_TRUE(later.get_weights()[0] == from.get_weights()[0]);
    EXPECT_FALSE(later.get_weights()[2] == Array({12, 5}));
  }
}

// Layers of other names: an .h5 goes by their order if none is the same and there are as many, as Keras does.
TEST_F(SkipMismatch, LegacyFilesByOrder) {
  Model from = Net(3, 1);
  from.save(File(".h5"));
  Model into = Sequential({Input({6}), Dense(12, {.name = "a"}), BatchNormalization({.name = "b"}),
                           Dense(8, {.name = "c"}), Dense(4, {.name = "d"})},
                          {.seed = 2});
  EXPECT_EQ(into.load_weights(File(".h5"), kSkip).size(), 2u);
  EXPECT_TRUE(into.get_weights()[6] == from.get_weights()[6]);
  // A layer without a bias is another layer; its kernel stays, as in Keras.
  Model bare = Sequential({Input({6}), Dense(12, {.use_bias = false, .name = "first"}), Dense(8, {.name = "feat"})});
  const Arrays before = bare.get_weights();
  for (const char* format : {".h5", ".weights.h5"}) {
    from.save(File(format));
    const std::vector<std::string> skipped = bare.load_weights(File(format), kSkip);
    EXPECT_TRUE(Has(skipped, "first/kernel", "its layer")) << format << Listed(skipped);
    EXPECT_TRUE(bare.get_weights()[0] == before[0]) << format;
  }
}

TEST_F(SkipMismatch, WeightsByPyTorchsNames) {
  const auto owner = std::make_shared<std::vector<float>>(100);
  for (size_t i = 0; i < owner->size(); ++i) (*owner)[i] = static_cast<float>(i);
  const auto tensor = [&](const std::string& name, const Shape& shape) {
    return StoredTensor{name, StoredType::kFloat32, shape,
                        std::as_bytes(std::span(*owner)).first(4 * static_cast<size_t>(shape.count())), owner};
  };
  {
    AtomicFile file(path("p.safetensors"));
    WriteSafetensors({{},
                      {tensor("first.weight", {3, 2}), tensor("first.bias", {3}), tensor("fc.weight", {4, 3}),
                       tensor("fc.bias", {4}), tensor("old.bias", {6})}},
                     file.sink());
    file.Commit();
  }
  Model into = Sequential({Input({2}), Dense(3, {.name = "first"}), Dense(5, {.name = "fc"})}, {.seed = 1});
  const Arrays before = into.get_weights();
  const std::vector<std::string> skipped =
      into.load_weights(path("p.safetensors"), {.pytorch = true, .skip_mismatch = true});
  const Arrays got = into.get_weights();
  const float turned[] = {0, 2, 4, 1, 3, 5};
  EXPECT_TRUE(std::equal(std::begin(turned), std::end(turned), got[0].floats().begin()));
  EXPECT_EQ(got[1].floats()[2], 2);
  EXPECT_TRUE(got[2] == before[2] && got[3] == before[3]);
  EXPECT_EQ(skipped.size(), 3u) << Listed(skipped);
  EXPECT_TRUE(Has(skipped, "fc/kernel", "in PyTorch (5, 3)")) << Listed(skipped);
  EXPECT_TRUE(Has(skipped, "old.bias", "left over")) << Listed(skipped);
}

// Damage is no mismatch.
TEST_F(SkipMismatch, DamagedFilesAreRefused) {
  Model from = Net(3, 1);
  const Model into = Net(5, 2);
  for (const std::string format : kFormats) {
    SCOPED_TRACE(format);
    from.save(File(format));
    std::filesystem::resize_file(File(format), std::filesystem::file_size(File(format)) / 2);
    EXPECT_EQ(Refused(into, File(format)).find("matches"), std::string::npos);
    std::ofstream(File(format), std::ios::binary) << "no such file";
    EXPECT_EQ(Refused(into, File(format)).find("matches"), std::string::npos);
  }
  const auto edited = [&](const std::string& format, const auto& edit) {
    from.save(File(format));
    {
      const auto old = MappedFile::Open(File(format), LoadMode::kRead, nullptr);
      Hdf5Node root = ReadHdf5(old->bytes(), old, File(format));
      edit(root);
      AtomicFile file(File(format));
      WriteHdf5(root, file.sink());
      file.Commit();
    }
    return Refused(into, File(format));
  };
  const std::string group = edited(".weights.h5", [](Hdf5Node& root) {
    Hdf5Node& weight = root.child("layers/dense/vars/0");
    weight.child("0").tensor = weight.tensor;
    weight.tensor.reset();
  });
  EXPECT_NE(group.find("first/kernel at layers/dense/vars/0 is a group"), group.npos) << group;
  const std::string unlisted = edited(".h5", [](Hdf5Node& root) {
    root.child("model_weights/first").attributes["weight_names"] = std::vector<std::string>{"first/nothing"};
  });
  EXPECT_NE(unlisted.find("does not hold it"), unlisted.npos) << unlisted;
}

}  // namespace
}  // namespace ingot
