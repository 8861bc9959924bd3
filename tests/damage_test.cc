// SPDX-License-Identifier: MIT
//
// A saved model, in each format, cut at every length and changed at every byte: it loads, or is an Error that begins
// with the file's path. Beginnings of a file never load. What a parser makes of single bytes in exactly sized memory
// its own test holds; here it is the whole way from the path to the model.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "ingot/ingot.h"
#include "ingot/io/stored.h"
#include "ingot/tests/hostile.h"

namespace ingot {
namespace {

namespace fs = std::filesystem;

Model Tiny() {
  Model model = Sequential({Input({2}), Dense(2)}, {.name = "tiny", .seed = 1});
  model.compile({.optimizer = SGD({.momentum = 0.5}), .loss = "mse"});
  return model;
}

// Bytes under a path with an extension, in memory: a save would sync each of thousands of files.
class InMemory {
 public:
  explicit InMemory(const std::string& extension)
      : folder_(fs::temp_directory_path() / ("ingot-damage-" + std::to_string(getpid()) + extension)),
        fd_(memfd_create("damage", MFD_CLOEXEC)) {
    EXPECT_GE(fd_, 0);
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    fs::create_symlink("/proc/self/fd/" + std::to_string(fd_), path());
  }
  ~InMemory() {
    close(fd_);
    fs::remove_all(folder_);
  }
  InMemory(const InMemory&) = delete;
  InMemory& operator=(const InMemory&) = delete;

  void Set(Bytes bytes) {
    EXPECT_EQ(ftruncate(fd_, 0), 0);
    EXPECT_EQ(pwrite(fd_, bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  }
  std::string path() const { return (folder_ / ("m" + folder_.extension().string())).string(); }

 private:
  fs::path folder_;
  int fd_;
};

struct Case {
  const char* extension;
  bool weights_alone;  // else load_model
  // Which bytes cannot change unnoticed: none, or those of a header under a checksum.
  bool header_is_checked;
};

class Damage : public ::testing::TestWithParam<Case> {
 protected:
  // A file of the format by ingot, one step of training behind it.
  std::vector<std::byte> Saved() {
    Model model = Tiny();
    const Array x({2, 2}, {1, 2, 3, 4}), y({2, 2}, {1, 0, 0, 1});
    model.train_on_batch({x}, {y});
    const fs::path path =
        fs::temp_directory_path() / ("ingot-whole-" + std::to_string(getpid()) + GetParam().extension);
    model.save(path.string());
    std::ifstream in(path, std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    fs::remove(path);
    const auto* data = reinterpret_cast<const std::byte*>(text.data());
    return {data, data + text.size()};
  }
  void Load(Bytes bytes) {
    file_.Set(bytes);
    if (GetParam().weights_alone)
      model_.load_weights(file_.path());
    else
      load_model(file_.path());
  }
  // What Load says, which must name the file.
  std::string Refusal(Bytes bytes) {
    const std::string refusal = testing::Refusal([&](Bytes b) { Load(b); }, bytes);
    if (!refusal.empty()) {
      EXPECT_TRUE(refusal.starts_with(file_.path() + ": ") || refusal.starts_with(file_.path() + ", ")) << refusal;
      EXPECT_EQ(refusal.find("ingot has a bug"), std::string::npos) << refusal;
    }
    return refusal;
  }

  InMemory file_{GetParam().extension};
  Model model_ = Tiny();
};

// Long runs of zeros are padding: of those only every 61st byte is tried, and so is the end of a cut.
bool Thinned(Bytes file, size_t at) {
  constexpr size_t kAround = 24;
  const size_t first = at > kAround ? at - kAround : 0, last = std::min(file.size(), at + kAround);
  for (size_t i = first; i < last; ++i)
    if (file[i] != std::byte{0}) return false;
  return at % 61 != 0;
}

TEST_P(Damage, ACutFileIsAnErrorThatNamesIt) {
  const std::vector<std::byte> whole = Saved();
  EXPECT_EQ(Refusal(whole), "");
  for (size_t n = 0; n < whole.size(); ++n)
    if (!Thinned(whole, n)) {
      EXPECT_NE(Refusal(Bytes(whole).first(n)), "")
          << "loads though cut to " << n << " of " << whole.size() << " bytes";
    }
}

TEST_P(Damage, AChangedByteLoadsOrIsAnErrorThatNamesTheFile) {
  const std::vector<std::byte> whole = Saved();
  uint64_t header = 0;  // of .ingot: 64 bytes and as many as they say
  if (GetParam().header_is_checked) std::memcpy(&header, whole.data() + 16, sizeof header), header += 64;
  std::vector<std::byte> file = whole;
  for (size_t at = 0; at < whole.size(); ++at) {
    if (Thinned(whole, at)) continue;
    for (const std::byte mask : {std::byte{0xff}, std::byte{1} << (at % 8)}) {
      file[at] = whole[at] ^ mask;
      const std::string refusal = Refusal(file);
      if (at < header) {
        EXPECT_NE(refusal, "") << "loads though byte " << at << " of the header differs";
      }
    }
    file[at] = whole[at];
  }
}

INSTANTIATE_TEST_SUITE_P(EveryFormat, Damage,
                         ::testing::Values(Case{".ingot", false, true}, Case{".keras", false, false},
                                           Case{".h5", false, false}, Case{".weights.h5", true, false},
                                           Case{".safetensors", true, false}, Case{".npz", true, false}),
                         [](const auto& test) {
                           std::string name = test.param.extension;
                           std::erase(name, '.');
                           return name;
                         });

// A configuration may ask for any number of units. Memory is taken for what the file can hold.
TEST(DamageOfSizes, AModelThatItsFileCannotHoldIsRefusedBeforeMemoryIsTaken) {
  for (const char* extension : {".ingot", ".keras", ".h5"}) {
    SCOPED_TRACE(extension);
    const fs::path path = fs::temp_directory_path() / ("ingot-huge-" + std::to_string(getpid()) + extension);
    Sequential({Input({2}), Dense(2000, {.name = "x"}), Dense(2)}, {.name = "tiny", .seed = 1}).save(path.string());
    std::ifstream in(path, std::ios::binary);
    std::string text{std::istreambuf_iterator<char>(in), {}};
    // As long as before, so that nothing else moves.
    size_t changed = 0;
    for (size_t at = 0; (at = text.find("\"units\":2000,", at)) != text.npos; ++at, ++changed)
      text.replace(at, 13, "\"units\": 9e8,");
    ASSERT_GT(changed, 0u);
    std::ofstream(path, std::ios::binary) << text;
    const std::string refusal = testing::Refusal([&](Bytes) { load_model(path.string()); }, {});
    EXPECT_TRUE(refusal.starts_with(path.string())) << refusal;
    // The native file's header has a checksum.
    const char* reason = std::string_view(extension) == ".ingot" ? "checksum differs" : "of another shape";
    EXPECT_NE(refusal.find(reason), std::string::npos) << refusal;
    fs::remove(path);
  }
}

// 2^62 elements of four bytes are 0 bytes in 64 bits: a file without data once held such a weight.
TEST(DamageOfSizes, AWeightWhoseBytesWrapAroundIsRefused) {
  const int64_t many = int64_t{1} << 31;
  const std::string refusal = testing::Refusal([&](Bytes) { Sequential({Input({many}), Dense(many)}); }, {});
  EXPECT_NE(refusal.find("a weight has at most"), std::string::npos) << refusal;
}

}  // namespace
}  // namespace ingot
