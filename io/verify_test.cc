// SPDX-License-Identifier: MIT
//
// Damage of every kind, in files of every format, and what verification says of it.
#include "ingot/io/verify.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "ingot/core/crc32c.h"
#include "ingot/ingot.h"
#include "ingot/io/contents.h"
#include "ingot/io/ingot_file.h"
#include "ingot/io/safetensors.h"
#include "ingot/tests/folder.h"
#include "ingot/train/selftest.h"

namespace ingot {
namespace {

namespace fs = std::filesystem;

class Verify : public testing::InFolder {
 protected:
  static std::string Read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static void Write(const std::string& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  }
  static void Flip(const std::string& path, uint64_t offset, int bit) {  // in place: whole files take time
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    file.seekg(static_cast<std::streamoff>(offset));
    const int byte = file.get() ^ 1 << bit;
    file.seekp(static_cast<std::streamoff>(offset));
    file.put(static_cast<char>(byte));
  }
  // "" if the file is found whole.
  static std::string Refusal(const std::string& path) {
    try {
      VerifyFile(path);
      return "";
    } catch (const Error& e) {
      return e.what();
    }
  }
};

// Trained a step, so that slots hold something. Batch normalization has weights that are not trained.
Model Small(int units = 3) {
  Model model = Sequential({Input({4}), Dense(units, {.activation = "relu"}), BatchNormalization(), Dense(2)},
                           {.name = "small", .seed = 5});
  model.compile({.optimizer = "adam", .loss = "mse"});
  Array x({6, 4}), y({6, 2});
  for (size_t i = 0; i < x.floats().size(); ++i) x.floats()[i] = static_cast<float>(i % 7) * 0.3f;
  for (size_t i = 0; i < y.floats().size(); ++i) y.floats()[i] = static_cast<float>(i % 3);
  model.fit(x, y, {.batch_size = 3});
  return model;
}

constexpr const char* kFormats[] = {"m.ingot", "m.keras", "m.h5", "m.weights.h5", "m.safetensors", "m.npz"};

TEST_F(Verify, WholeFilesOfEveryFormat) {
  Model model = Small();
  for (const char* name : kFormats) {
    SCOPED_TRACE(name);
    model.save(path(name));
    const VerifyReport report = VerifyFile(path(name));
    EXPECT_EQ(report.bytes, fs::file_size(path(name)));
    EXPECT_GE(report.tensors, 8 + 2 * 6u);
    EXPECT_GE(report.tensor_bytes, 4u * (12 + 3 + 12 + 6 + 2));
    EXPECT_TRUE(report.warnings.empty()) << report.warnings[0];
    EXPECT_EQ(report.checksums, !path(name).ends_with(".h5")) << report.checked;
  }
}

// The file is small enough to damage each byte of it, and large enough to have everything: several arenas, gaps inside
// and between them, and a header that ends within a page.
TEST_F(Verify, EveryDamagedByteOfANativeFileIsFound) {
  const std::string file = path("m.ingot");
  Small().save(file);
  const IngotFile opened = OpenIngot(file);
  ASSERT_EQ(opened.arenas.size(), 3u);
  const Contents contents = ReadContents(file);
  std::map<uint64_t, std::string> owners;  // of each byte
  for (const StoredTensor& t : contents.tensors) {
    if (t.owner != contents.file) continue;
    const auto offset = static_cast<uint64_t>(t.bytes.data() - contents.file->bytes().data());
    std::string name = "weight " + t.name;
    if (t.name.starts_with("optimizer/")) {
      const size_t slash = t.name.find('/', 10);
      name = "slot " + t.name.substr(10, slash - 10) + " of " + t.name.substr(slash + 1);
    }
    for (size_t i = 0; i < t.bytes.size(); ++i) owners[offset + i] = name;
  }
  EXPECT_EQ(owners.size(), 4u * (12 + 3 + 3 + 3 + 3 + 3 + 6 + 2) + 2 * 4u * (12 + 3 + 3 + 3 + 6 + 2));
  const auto size = fs::file_size(file);
  for (uint64_t at = 0; at < size; ++at) {
    const int bit = static_cast<int>((at * 5 + at / 8) % 8);
    Flip(file, at, bit);
    const std::string refusal = Refusal(file);
    Flip(file, at, bit);
    ASSERT_NE(refusal, "") << "byte " << at;
    ASSERT_TRUE(refusal.starts_with(file)) << refusal;
    const auto owner = owners.find(at);
    if (owner != owners.end()) {
      ASSERT_TRUE(refusal.ends_with("bit " + std::to_string(bit) + " of the byte at offset " + std::to_string(at) +
                                    ", in " + owner->second + "; get the file anew"))
          << at << ": " << refusal << "\nwanted " << owner->second;
    } else if (at >= opened.preamble.checksums) {
      ASSERT_NE(refusal.find("bit in the checksum"), std::string::npos) << at << ": " << refusal;
    } else if (at >= opened.preamble.arenas) {
      ASSERT_NE(refusal.find("between tensors"), std::string::npos) << at << ": " << refusal;
    }
  }
  EXPECT_EQ(Refusal(file), "");
}

// A file that a callback saved holds the position of the fit too.
TEST_F(Verify, WhatAFitLeavesIsCheckedToo) {
  const std::string file = path("m.ingot");
  Model model = Small();
  const Array x({8, 4}), y({8, 2});
  model.fit(x, y, {.callbacks = {LambdaCallback({.on_epoch_end = [&](Model& m, int, const Logs&) { m.save(file); }})}});
  EXPECT_EQ(Refusal(file), "");
  const IngotFile opened = OpenIngot(file);
  const auto fit = IngotFit(opened, file);
  ASSERT_TRUE(fit);
  for (const StoredTensor& t : fit->tensors) {
    if (t.bytes.empty()) continue;
    const auto at = static_cast<uint64_t>(t.bytes.data() - opened.file->bytes().data());
    Flip(file, at, 3);
    EXPECT_NE(Refusal(file).find("in the state of the fit, " + t.name), std::string::npos) << Refusal(file);
    Flip(file, at, 3);
    Flip(file, at + t.bytes.size(), 0);  // what follows up to the page
    EXPECT_NE(Refusal(file), "");
    Flip(file, at + t.bytes.size(), 0);
  }
}

TEST_F(Verify, WhatOneBitDoesNotExplainNamesAllTensorsOfTheChunk) {
  const std::string file = path("m.ingot");
  Small().save(file);
  std::string bytes = Read(file);
  const uint64_t arenas = OpenIngot(file).preamble.arenas;
  for (size_t i = 0; i < 40; ++i) bytes[arenas + i] = 'x';
  Write(file, bytes);
  const std::string refusal = Refusal(file);
  for (const char* name : {"1 of 1 chunks", "weight dense/kernel at offset ", "slot velocity of dense/bias"})
    EXPECT_NE(refusal.find(name), std::string::npos) << name << " in " << refusal;
}

// Several chunks, and a tensor that goes over their borders.
TEST_F(Verify, TheDamagedChunkOfMany) {
  const std::string file = path("m.ingot");
  Model model = Sequential({Input({1000}), Dense(900), Dense(3)});
  model.save(file);
  const VerifyReport report = VerifyFile(file);
  EXPECT_NE(report.checked.find("4 chunks"), std::string::npos) << report.checked;
  const uint64_t arenas = OpenIngot(file).preamble.arenas;
  for (const uint64_t at : {arenas, arenas + (1 << 20) - 1, arenas + (1 << 20), arenas + 3500000, arenas + 3600200}) {
    Flip(file, at, 7);
    const std::string refusal = Refusal(file);
    Flip(file, at, 7);
    EXPECT_NE(refusal.find("bit 7 of the byte at offset " + std::to_string(at) + ", in weight dense/"),
              std::string::npos)
        << refusal;
  }
  // Damage in more than one of them.
  Flip(file, arenas, 0);
  Flip(file, arenas + 3600200, 0);
  const std::string refusal = Refusal(file);
  EXPECT_NE(refusal.find("2 of 4 chunks are damaged"), std::string::npos) << refusal;
  EXPECT_NE(refusal.find("weight dense/kernel"), std::string::npos) << refusal;
  EXPECT_NE(refusal.find("weight dense/bias"), std::string::npos) << refusal;
}

// Padding with a checksum that fits is still no padding.
TEST_F(Verify, PaddingBehindTheHeaderIsZero) {
  const std::string file = path("m.ingot");
  Small().save(file);
  const IngotFile opened = OpenIngot(file);
  const uint64_t at = sizeof(IngotPreamble) + opened.preamble.header_bytes;
  ASSERT_LT(at, opened.preamble.arenas);
  Flip(file, at, 3);
  const std::string refusal = Refusal(file);
  EXPECT_NE(refusal.find("padding behind the header"), std::string::npos) << refusal;
  EXPECT_NE(refusal.find(std::to_string(at)), std::string::npos) << refusal;
}

// In .npz and .keras files every byte of a tensor stands under a CRC-32, in .safetensors by ingot under a CRC32C.
TEST_F(Verify, DamagedTensorsOfOtherFormatsAreFound) {
  Model model = Small();
  for (const char* name : {"m.keras", "m.safetensors", "m.npz"}) {
    SCOPED_TRACE(name);
    const std::string file = path(name);
    model.save(file);
    const Contents contents = ReadContents(file);
    int flipped = 0;
    for (const StoredTensor& t : contents.tensors) {
      for (size_t i = 0; i < t.bytes.size(); i += 3, ++flipped) {
        const auto at = static_cast<uint64_t>(t.bytes.data() - contents.file->bytes().data()) + i;
        Flip(file, at, static_cast<int>(i % 8));
        const std::string refusal = Refusal(file);
        Flip(file, at, static_cast<int>(i % 8));
        ASSERT_TRUE(refusal.starts_with(file)) << t.name << " " << i << ": " << refusal;
        if (!file.ends_with(".keras")) {
          ASSERT_NE(refusal.find(t.name), std::string::npos) << refusal;
        }
      }
    }
    EXPECT_GT(flipped, 100);
    EXPECT_EQ(Refusal(file), "");
  }
}

TEST_F(Verify, SafetensorsByOthersCarryNoChecksums) {
  const std::string file = std::string(INGOT_GOLDEN_DIR) + "/../formats/safetensors/all.safetensors";
  const VerifyReport report = VerifyFile(file);
  EXPECT_FALSE(report.checksums);
  EXPECT_NE(report.checked.find("no checksums"), std::string::npos) << report.checked;
  EXPECT_EQ(report.tensors, 16u);
}

TEST_F(Verify, TheListOfChecksumsIsCheckedItself) {
  const std::string file = path("w.safetensors");
  Small().save(file);
  const std::string whole = Read(file);
  const auto expect = [&](const std::string& from, const std::string& to, const std::string& why) {
    ASSERT_EQ(from.size(), to.size());
    std::string bytes = whole;
    const size_t at = bytes.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    Write(file, bytes.replace(at, from.size(), to));
    EXPECT_NE(Refusal(file).find(why), std::string::npos) << Refusal(file);
  };
  expect(R"({\"batch_normalization/beta\")", R"([\"batch_normalization/beta\")", "no JSON object");
  expect(R"(\"dense/bias\":)", R"(\"dense/biaz\":)", "lists no tensor 'dense/bias'");
}

TEST_F(Verify, WeightsThatAreNotFiniteAreAWarning) {
  Model model = Small();
  Arrays weights = model.get_weights();
  weights[0].floats()[5] = std::nanf("");
  weights[1].floats()[0] = -INFINITY;
  model.set_weights(weights);
  for (const char* name : kFormats) {
    SCOPED_TRACE(name);
    model.save(path(name));
    const VerifyReport report = VerifyFile(path(name));
    ASSERT_EQ(report.warnings.size(), 2u);
    EXPECT_NE(report.warnings[0].find("not finite"), std::string::npos);
  }
  EXPECT_NE(VerifyFile(path("m.ingot")).warnings[0].find("'dense/kernel'"), std::string::npos);
}

TEST_F(Verify, AClassThatIsUnknownIsNoDamage) {
  const std::string file = path("m.ingot"), other = path("other.ingot");
  struct Mine : LayerDef {
    std::string class_name() const override { return "Mine"; }
    TensorSpecs build(const TensorSpecs& in) override { return in; }
    Values call(Graph&, const Values& in) override { return in; }
  };
  Sequential({Input({4}), Dense(2), Layer(std::make_shared<Mine>())}).save(file);
  const VerifyReport report = VerifyFile(file);
  ASSERT_FALSE(report.warnings.empty());
  EXPECT_NE(report.warnings[0].find("Mine"), std::string::npos) << report.warnings[0];
  EXPECT_EQ(ReadContents(file).tensors.size(), 2u);
}

TEST_F(Verify, FilesThatAreNone) {
  for (const char* name : kFormats) {
    SCOPED_TRACE(name);
    EXPECT_NE(Refusal(path(name)).find("cannot be opened"), std::string::npos);
    Write(path(name), "");
    EXPECT_TRUE(Refusal(path(name)).starts_with(path(name)));
    Write(path(name), std::string(5000, '\x89'));
    EXPECT_TRUE(Refusal(path(name)).starts_with(path(name)));
  }
  EXPECT_NE(Refusal(path("m.txt")).find("none of the formats"), std::string::npos);
}

TEST_F(Verify, ASelfTestIsStoredAndRepeated) {
  const std::string file = path("m.ingot");
  Model model = Small();
  const Arrays before = model.get_weights(), state = model.get_optimizer_state();
  model.save(file, {.self_test = true});
  EXPECT_EQ(model.get_weights(), before);  // nor did batch normalization move
  EXPECT_EQ(model.get_optimizer_state(), state);
  const SelfTestResult result = RunSelfTest(file);
  EXPECT_EQ(result.values, 4 + 1);
  EXPECT_TRUE(result.gradient);
  EXPECT_TRUE(result.identical);
  EXPECT_EQ(result.largest, 0);
  EXPECT_EQ(Refusal(file), "");
  EXPECT_EQ(load_model(file).get_weights(), before);  // others do not mind what stands there
}

TEST_F(Verify, ASelfTestForEveryLossAndKindOfInput) {
  const std::string file = path("m.ingot");
  for (const LossClass& loss : AllLosses()) {
    SCOPED_TRACE(loss.class_name);
    Model model = Sequential({Input({4}), Dense(3, {.activation = "softmax"})}, {.seed = 1});
    model.compile({.loss = loss.make()});
    model.save(file, {.self_test = true});
    const SelfTestResult result = RunSelfTest(file);
    EXPECT_TRUE(result.gradient);
    EXPECT_TRUE(result.identical);
  }
  Model dropout = Sequential({Input({4}), Dense(8), Dropout(0.5), Dense(2)}, {.seed = 77});
  dropout.compile({.loss = "mse"});
  dropout.save(file, {.self_test = true});
  EXPECT_TRUE(RunSelfTest(file).identical);
  Model any = Sequential({Input({kNone, kNone, 3}), GlobalAveragePooling2D(), Dense(2)}, {.seed = 1});  // not compiled
  any.save(file, {.self_test = true});
  EXPECT_FALSE(RunSelfTest(file).gradient);
  const Tensor words = Input({5}, {.dtype = "int32"}), numbers = Input({5});
  const Tensor both = Concatenate()({Flatten()(Embedding(9, 2)(words)), numbers});
  Model two({words, numbers}, {Dense(1)(both), Dense(70)(both)}, {.seed = 1});
  two.compile({.loss = {"mse", "mae"}});
  two.save(file, {.self_test = true});
  EXPECT_EQ(RunSelfTest(file).values, 2 + 64 + 1);
}

// A file whose header was edited, its checksums made to fit.
void Rewrite(const std::string& file, std::string bytes, const std::function<void(std::string&)>& edit) {
  IngotPreamble p;
  std::memcpy(&p, bytes.data(), sizeof p);
  std::string header = bytes.substr(sizeof p, p.header_bytes);
  edit(header);
  ASSERT_LE(sizeof p + header.size(), p.arenas);
  p.header_bytes = header.size();
  p.header_crc = Crc32c(header.data(), header.size());
  p.preamble_crc = Crc32c(&p, offsetof(IngotPreamble, preamble_crc));
  std::memcpy(bytes.data(), &p, sizeof p);
  header.resize(p.arenas - sizeof p, '\0');
  std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes.replace(sizeof p, header.size(), header);
}

TEST_F(Verify, ASelfTestThatDiffersIsAnError) {
  const std::string file = path("m.ingot");
  Small().save(file, {.self_test = true});
  const std::string whole = Read(file);
  const auto run = [&](const std::string& key, const std::function<void(Json&)>& edit) {
    SCOPED_TRACE(key);
    Rewrite(file, whole, [&](std::string& header) {
      Json json = Json::parse(header);
      edit(json["self_test"]);
      header = json.dump();
    });
    EXPECT_EQ(Refusal(file), "");
    try {
      const SelfTestResult result = RunSelfTest(file);
      return std::string(result.identical ? "identical" : "close");
    } catch (const Error& e) {
      EXPECT_TRUE(std::string_view(e.what()).starts_with(file)) << e.what();
      EXPECT_NE(std::string_view(e.what()).find(key), std::string_view::npos) << e.what();
      return std::string("refused");
    }
  };
  const auto scale = [](Json& number, double by) { number = number.get<double>() * by; };
  EXPECT_EQ(run("", [](Json&) {}), "identical");
  EXPECT_EQ(run("", [&](Json& t) { scale(t["outputs"][0]["values"][0], 1 + 1e-6); }), "close");
  EXPECT_EQ(run("output 0", [](Json& t) { t["outputs"][0]["values"][1] = 100; }), "refused");
  EXPECT_EQ(run("output 0", [](Json& t) { t["outputs"][0]["values"][1] = "nan"; }), "refused");
  EXPECT_EQ(run("output 0", [](Json& t) { t["outputs"][0]["values"].erase(0); }), "refused");
  EXPECT_EQ(run("gradient", [&](Json& t) { scale(t["gradient_norm"], 1.01); }), "refused");
  EXPECT_EQ(run("seed", [](Json& t) { t["seed"] = 7; }), "refused");
  EXPECT_EQ(run("input", [](Json& t) { t["inputs"][0]["shape"] = {2, 1000000000}; }), "refused");
  EXPECT_EQ(run("input", [](Json& t) { t["inputs"][0]["shape"] = {2, int64_t{1} << 62}; }), "refused");
  EXPECT_EQ(run("input", [](Json& t) { t["inputs"][0]["below"] = -1; }), "refused");
  EXPECT_EQ(run("outputs", [](Json& t) { t.erase("outputs"); }), "refused");
  EXPECT_EQ(run("seed", [](Json& t) { t = 5; }), "refused");
}

TEST_F(Verify, WhereASelfTestCannotBe) {
  Model model = Small();
  for (const char* name : {"m.keras", "m.h5", "m.weights.h5", "m.safetensors", "m.npz"}) {
    try {
      model.save(path(name), {.self_test = true});
      ADD_FAILURE() << name;
    } catch (const Error& e) {
      EXPECT_NE(std::string_view(e.what()).find("only an .ingot file"), std::string_view::npos) << e.what();
    }
    EXPECT_FALSE(fs::exists(path(name)));
  }
  model.save(path("m.ingot"));
  for (const char* name : {"m.ingot", "m.keras"}) {
    try {
      RunSelfTest(path(name));
      ADD_FAILURE() << name;
    } catch (const Error& e) {
      EXPECT_NE(std::string_view(e.what()).find("--self-test"), std::string_view::npos) << e.what();
    }
  }
}

TEST_F(Verify, TensorsOfAnyFormatAreTakenOutByTheirNames) {
  Model model = Small();
  for (const char* name : kFormats) {
    SCOPED_TRACE(name);
    model.save(path(name));
    const Contents from = ReadContents(path(name));
    for (const char* out : {"out.npz", "out.safetensors"}) {
      WriteTensors(path(out), from.tensors);
      EXPECT_EQ(Refusal(path(out)), "");
      const Contents to = ReadContents(path(out));
      ASSERT_EQ(to.tensors.size(), from.tensors.size());
      std::map<std::string, const StoredTensor*> all;
      for (const StoredTensor& t : to.tensors) all[t.name] = &t;
      for (const StoredTensor& t : from.tensors) {
        ASSERT_TRUE(all.contains(t.name)) << t.name;
        EXPECT_TRUE(all[t.name]->type == t.type && all[t.name]->shape == t.shape &&
                    std::equal(t.bytes.begin(), t.bytes.end(), all[t.name]->bytes.begin(), all[t.name]->bytes.end()))
            << t.name;
      }
    }
    EXPECT_THROW(WriteTensors(path("out.keras"), from.tensors), Error);
  }
}

}  // namespace
}  // namespace ingot
