// SPDX-License-Identifier: MIT
//
// However a file is loaded, the model predicts and trains the same; where its weights lie differs.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "ingot/ingot.h"
#include "ingot/io/npy.h"
#include "ingot/tests/folder.h"

namespace ingot {
namespace {

namespace fs = std::filesystem;

constexpr const char* kModels[] = {"a.ingot", "a.keras", "a.h5"};
constexpr const char* kWeights[] = {"a.ingot", "a.keras", "a.h5", "a.weights.h5", "a.safetensors", "a.npz"};
constexpr LoadMode kModes[] = {LoadMode::kMap, LoadMode::kShare, LoadMode::kRead};

Model Net() {
  return Sequential({Input({6}), Dense(9, {.activation = "relu"}), BatchNormalization(), Dropout(0.3),
                     Dense(3, {.activation = "softmax"})},
                    {.seed = 4});
}

class LoadModes : public testing::InFolder {
 protected:
  LoadModes() : x_({8, 6}), y_({8}, DType::kInt32) {
    for (size_t i = 0; i < 48; ++i) x_.floats()[i] = static_cast<float>((i * 7) % 11) / 5 - 1;
    for (size_t i = 0; i < 8; ++i) y_.as<int32_t>()[i] = static_cast<int32_t>(i % 3);
  }
  Model Trained() {
    Model model = Net();
    model.compile({.optimizer = "adam", .loss = "sparse_categorical_crossentropy"});
    for (int i = 0; i < 3; ++i) model.train_on_batch({x_}, {y_});
    return model;
  }
  double Step(Model& model) { return model.train_on_batch({x_}, {y_})["loss"]; }
  static Pages PagesOf(const Model& model) { return model.variables()[0]->arena->pages(); }

  Array x_, y_;
};

TEST_F(LoadModes, PredictAndTrainTheSame) {
  for (const char* name : kModels) {
    for (const LoadMode mode : kModes) {
      SCOPED_TRACE(std::string(name) + ", " + Name(mode));
      Model model = Trained();
      model.save(path(name));
      Model again = load_model(path(name), {.mode = mode});
      constexpr Pages kWhere[] = {Pages::kMapped, Pages::kReadOnly, Pages::kOwn};
      EXPECT_EQ(PagesOf(again), kWhere[static_cast<size_t>(mode)]);
      EXPECT_TRUE(again.predict(x_) == model.predict(x_));
      EXPECT_TRUE(again.get_weights() == model.get_weights());
      EXPECT_TRUE(again.get_optimizer_state() == model.get_optimizer_state());
      if (mode == LoadMode::kShare) continue;
      for (int i = 0; i < 3; ++i) EXPECT_EQ(Step(again), Step(model));
      EXPECT_TRUE(again.get_weights() == model.get_weights());
      EXPECT_EQ(PagesOf(again), Pages::kOwn);
    }
  }
}

TEST_F(LoadModes, WeightsStayInTheFileWhereAsked) {
  Model model = Trained();
  for (const char* name : kWeights) {
    model.save(path(name));
    for (const LoadMode mode : kModes) {
      for (const bool initialize : {false, true}) {
        SCOPED_TRACE(std::string(name) + ", " + Name(mode) + (initialize ? "" : ", not initialized"));
        Model again = Sequential({Input({6}), Dense(9, {.activation = "relu"}), BatchNormalization(), Dropout(0.3),
                                  Dense(3, {.activation = "softmax"})},
                                 {.seed = 4, .initialize = initialize});
        again.compile({.optimizer = "adam", .loss = "sparse_categorical_crossentropy"});
        again.load_weights(path(name), {.mode = mode});
        EXPECT_EQ(PagesOf(again) == Pages::kOwn, mode == LoadMode::kRead);
        EXPECT_TRUE(again.predict(x_) == model.predict(x_));
        EXPECT_TRUE(again.get_optimizer_state() == model.get_optimizer_state());
        if (mode == LoadMode::kShare) continue;
        Model reference = load_model(path("a.ingot"));
        EXPECT_EQ(Step(again), Step(reference));
        EXPECT_TRUE(again.get_weights() == reference.get_weights());
      }
    }
  }
}

TEST_F(LoadModes, ASharedModelCannotBeChanged) {
  for (const char* name : kModels) {
    Trained().save(path(name));
    Model model = load_model(path(name), {.mode = LoadMode::kShare});
    const Arrays weights = model.get_weights();
    const auto refused = [&](const auto& change) {
      try {
        change();
        ADD_FAILURE() << name << " was changed";
      } catch (const Error& e) {
        EXPECT_NE(std::string(e.what()).find("load it with LoadMode::kMap"), std::string::npos) << e.what();
      }
    };
    refused([&] { model.train_on_batch({x_}, {y_}); });
    refused([&] { model.fit(x_, y_); });
    refused([&] { model.set_weights(weights); });
    refused([&] { model.load_weights(path(name)); });
    refused([&] { model.gradients({x_}, {y_}); });
    refused([&] { model.apply_gradients(weights); });
    // A model of its layers has its weights.
    const InputTensor in = Input({6});
    Model part(Tensors{in}, Tensors{model.get_layer(0)(in)});
    part.compile({.optimizer = "sgd", .loss = "mse"});
    refused([&] { part.train_on_batch({x_}, {Array({8, 9})}); });
    EXPECT_TRUE(model.get_weights() == weights);
    model.evaluate(x_, y_);
    model.save(path("copy.ingot"));
    EXPECT_TRUE(load_model(path("copy.ingot")).get_weights() == weights);
  }
}

// Doubles cannot be used where they lie, and the pages of the file before are read-only.
TEST_F(LoadModes, AFileToBeConvertedTakesThePlaceOfASharedOne) {
  Trained().save(path("a.ingot"));
  const std::vector<VariablePtr> variables = Trained().variables();
  std::vector<std::vector<double>> doubles;
  std::vector<StoredTensor> tensors;
  const std::vector<std::string> names = Layout(variables).names();
  for (size_t i = 0; i < names.size(); ++i) {
    doubles.emplace_back(static_cast<size_t>(variables[i]->shape.count()), 0.25 * static_cast<double>(i));
    const auto* data = reinterpret_cast<const std::byte*>(doubles.back().data());
    tensors.push_back(
        {names[i], StoredType::kFloat64, variables[i]->shape, Bytes(data, 8 * doubles.back().size()), {}});
  }
  std::ofstream out(path("b.npz"), std::ios::binary);
  WriteNpz(tensors,
           [&](const void* data, size_t n) { out.write(static_cast<const char*>(data), static_cast<int64_t>(n)); });
  out.close();
  Model model = load_model(path("a.ingot"), {.mode = LoadMode::kShare});
  model.load_weights(path("b.npz"), {.mode = LoadMode::kShare});
  const Arrays weights = model.get_weights();
  for (size_t i = 0; i < weights.size(); ++i) EXPECT_EQ(weights[i].floats()[0], 0.25f * static_cast<float>(i));
}

TEST_F(LoadModes, WhatIsWrittenToAMappedModelIsItsOwn) {
  Trained().save(path("a.ingot"));
  Model one = load_model(path("a.ingot")), two = load_model(path("a.ingot"));
  const Arrays before = two.get_weights();
  Arrays zeros;
  for (const Array& w : before) zeros.push_back(w.copy());
  for (Array& w : zeros) std::fill(w.floats().begin(), w.floats().end(), 0.0f);
  one.set_weights(zeros);
  EXPECT_TRUE(two.get_weights() == before);
  EXPECT_TRUE(load_model(path("a.ingot")).get_weights() == before);
  EXPECT_TRUE(one.get_weights() == zeros);
}

TEST_F(LoadModes, AModelMayBeSavedOverTheFileItLiesIn) {
  for (const char* name : kModels) {
    Model model = Trained();
    model.save(path(name));
    Model mapped = load_model(path(name));
    mapped.save(path(name));
    for (int i = 0; i < 2; ++i) {
      EXPECT_EQ(Step(mapped), Step(model));
      mapped.save(path(name));
    }
    EXPECT_TRUE(load_model(path(name)).get_weights() == model.get_weights());
  }
}

TEST_F(LoadModes, AFileThatWasCutOrWrittenToIsAnErrorBeforeItIsUsed) {
  for (const char* name : kModels) {
    SCOPED_TRACE(name);
    Model model = Trained();
    model.save(path(name));
    Model mapped = load_model(path(name)), read = load_model(path(name), {.mode = LoadMode::kRead});
    const auto size = fs::file_size(path(name));
    fs::resize_file(path(name), size + 1);
    EXPECT_THROW(mapped.predict(x_), Error);
    EXPECT_THROW(Step(mapped), Error);
    EXPECT_TRUE(read.predict(x_) == model.predict(x_));
    EXPECT_EQ(Step(read), Step(model));
  }
}

TEST_F(LoadModes, ReportsEachPhase) {
  for (const char* name : kModels) {
    Trained().save(path(name));
    for (const LoadMode mode : kModes) {
      SCOPED_TRACE(std::string(name) + ", " + Name(mode));
      const LoadReport report = measure_load(path(name), {.batch_size = 8, .mode = mode});
      const auto has = [&](const std::string& phase) {
        return std::any_of(report.phases.begin(), report.phases.end(), [&](const auto& p) { return p.name == phase; });
      };
      for (const char* phase : {"open", "parse", "build graph", "compile", "first touch", "first prediction"})
        EXPECT_TRUE(has(phase)) << phase;
      EXPECT_EQ(has("read"), mode == LoadMode::kRead);
      EXPECT_EQ(has("map"), mode != LoadMode::kRead);
      EXPECT_EQ(has("first training step"), mode != LoadMode::kShare);
      for (const auto& p : report.phases) {
        if (p.name == "map" || p.name == "read") {
          EXPECT_EQ(p.bytes, fs::file_size(path(name)));
        }
      }
      EXPECT_GT(report.ms(), 0);
      EXPECT_NE(report.str().find("first touch"), std::string::npos);
      EXPECT_NE(report.json().find("\"minor_faults\""), std::string::npos);
    }
  }
}

}  // namespace
}  // namespace ingot
