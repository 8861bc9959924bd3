// SPDX-License-Identifier: MIT
//
// Dataset: what a model is trained on. Arrays as they lie in memory or in a mapped file; or stages over such arrays,
// over files, or over a generator, in the manner of tf.data:
//
//   Dataset train = Dataset::from_npy("x.npy", "y.npy")
//                       .shuffle(10000, /*seed=*/1)
//                       .map(Augment, {.threads = 4})
//                       .batch(128)
//                       .prefetch(2);
//   model.fit(train, {.epochs = 10});
//
// Data without stages is shuffled and batched by fit. With stages it comes as they say: in the order of shuffle, drawn
// anew for each epoch from the seed; batched by fit if there is no batch. The order, and what a map is given, never
// depend on the number of threads.
//
// A handle: copies share stages and elements. Stages do not change their data set, they give another. Threads: a data
// set may be read by any number at a time; functions given to map run on several at once if it has threads.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ingot/data/samples.h"

namespace ingot {

class Stage;
class Sequence;

struct MapOptions {
  int threads = 0;  // of its own, which read ahead; 0: on the thread that asks
};
struct BatchOptions {
  bool drop_remainder = false;  // the last batch, if it is smaller
};

// A row or a file that cannot be read.
enum class BadRow : uint8_t { kError, kSkip };

struct CsvOptions {
  std::vector<std::string> label{};    // the columns that are targets; without a header "0", "1", ...
  std::vector<std::string> columns{};  // the inputs, in this order; empty: all that are no targets
  // Columns of words, which become their places in the sorted list of those there are.
  std::vector<std::string> categories{};
  // Where these lists are wanted: {column, words}. A list that is there already is used as it is, as a test file needs
  // it; then a word that is not in it makes a row a bad one.
  std::map<std::string, std::vector<std::string>>* vocabulary = nullptr;
  bool header = true;
  char delimiter = ',';
  std::optional<float> missing{};  // what an empty field, NA or nan stands for; without it a row with one is bad
  BadRow on_bad_row = BadRow::kError;
  int64_t* skipped = nullptr;  // how many rows were
};

struct ImageFolderOptions {
  int64_t height = 0, width = 0;  // images are resized to it; 0: as the first is, and all must be so
  int64_t channels = 3;           // 1: grey
  BadRow on_bad_row = BadRow::kError;
  int64_t* skipped = nullptr;                   // how many files were
  std::vector<std::string>* classes = nullptr;  // the names of the folders
};

// One file or several: "x.npy", {"a.npy", "b.npy"}.
struct Paths : std::vector<std::string> {
  Paths() = default;
  Paths(const char* path) : vector{path} {}                            // NOLINT: a path is paths
  Paths(std::string path) : vector{std::move(path)} {}                 // NOLINT
  Paths(std::vector<std::string> paths) : vector(std::move(paths)) {}  // NOLINT
  Paths(std::initializer_list<std::string> paths) : vector(paths) {}
};

class Dataset : public Samples {  // the arrays; none where there are stages
 public:
  Dataset() = default;
  Dataset(Samples arrays) : Samples(std::move(arrays)) {}  // NOLINT: arrays are a data set
  Dataset(Arrays inputs, Arrays targets, Array weight = {})
      : Samples{std::move(inputs), std::move(targets), std::move(weight)} {}
  explicit Dataset(std::shared_ptr<const Stage> stage) : stage_(std::move(stage)) {}

  static Dataset from_arrays(Arrays x, Arrays y, Array sample_weight = {}) {
    return {std::move(x), std::move(y), std::move(sample_weight)};
  }
  static Dataset from_arrays(Array x, Array y) { return {Arrays{std::move(x)}, Arrays{std::move(y)}}; }
  // NumPy's arrays, mapped where they hold float32, int32 or uint8: their rows are read from the file when needed.
  static Dataset from_npy(const Paths& x, const Paths& y = {});
  // Arrays of an archive, by name.
  static Dataset from_npz(const std::string& path, const std::vector<std::string>& x,
                          const std::vector<std::string>& y);
  // Datasets of an HDF5 file, by path; mapped where they lie in one piece.
  static Dataset from_hdf5(const std::string& path, const std::vector<std::string>& x,
                           const std::vector<std::string>& y);
  // Rows of numbers: x is float32 (rows, columns). One label makes y (rows), several (rows, labels): int32 where all
  // are whole numbers or categories, else float32. The whole file is read at once.
  static Dataset from_csv(const std::string& path, const CsvOptions& options = {});
  // MNIST and its like, unpacked: images (n, height, width, 1) of bytes, mapped, and their labels, int32.
  static Dataset from_idx(const std::string& images, const std::string& labels);
  // CIFAR-10's binary files, one after the other: (n, 32, 32, 3) of bytes, and labels, int32.
  static Dataset from_cifar(const Paths& files);
  // PNG and JPEG files in a folder for each class: (height, width, channels) of bytes, read when needed, and the place
  // of the class in the sorted list, int32. Sorted by path. With kSkip all are read once to find the bad ones.
  static Dataset from_image_folder(const std::string& folder, const ImageFolderOptions& options = {});
  // `begin` gives, for each pass through the data, a function that makes the next sample: it sets x, y and, if there
  // are any, sample_weight, or returns false at the end. It is called by one thread at a time.
  using Generator = std::function<bool(Sample&)>;
  static Dataset from_generator(std::function<Generator()> begin);

  // Any `buffer` elements of those to come may be next; as many as there are rows: every order is as likely.
  Dataset shuffle(int64_t buffer, uint64_t seed = 0) const;
  // `fn` changes samples, or whole batches behind batch(). What it throws ends fit as an Error that has the index.
  Dataset map(std::function<void(Sample&)> fn, const MapOptions& options = {}) const;
  Dataset batch(int64_t rows, const BatchOptions& options = {}) const;
  // Keeps what the stages so far make in their first pass, so that they run but once: in memory, or in a file, which
  // is mapped, and which later programs use as they find it.
  Dataset cache() const;
  Dataset cache(const std::string& path) const;
  // So many elements, batches behind batch(), are made ahead on a thread of its own, or on those of map.
  Dataset prefetch(int64_t elements) const;
  Dataset repeat() const;  // without end
  Dataset repeat(int64_t times) const;
  Dataset take(int64_t elements) const;
  Dataset skip(int64_t elements) const;
  // Elements index, index + count, ...: what one of `count` workers reads.
  Dataset shard(int64_t index, int64_t count) const;
  // Pairs of elements as one: the inputs of both, and the targets of both.
  Dataset zip(const Dataset& other) const;

  bool staged() const { return stage_ != nullptr; }
  bool none() const { return !staged() && x.empty(); }
  // How many elements an epoch has, rows or batches; nothing where only reading them tells, or where they never end.
  std::optional<int64_t> size() const;
  Samples slice(int64_t first, int64_t last) const;  // Error where there are stages: take and skip
  std::string str() const;                           // the stages, in words

  // The elements of an epoch, one after the other:
  //   auto reader = data.read();
  //   for (Sample sample; reader.next(sample);) ...
  // What nobody else holds of a sample's memory is used again for the next.
  class Reader {
   public:
    explicit Reader(std::unique_ptr<Sequence> sequence);
    ~Reader();
    Reader(Reader&&) noexcept;
    bool next(Sample& sample);  // false at the end

   private:
    std::unique_ptr<Sequence> sequence_;
  };
  Reader read(int64_t epoch = 0) const;

  std::shared_ptr<const Stage> stage() const;  // of rows, where there are only arrays

 private:
  std::shared_ptr<const Stage> stage_;
};

}  // namespace ingot
