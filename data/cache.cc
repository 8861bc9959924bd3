// SPDX-License-Identifier: MIT
//
// Cache: what the stages before it make in the first pass, kept as rows of arrays.
//
// In a file they are tensors "x0", "x1", ..., "y0", ..., "sample_weight" of a safetensors file, mapped. It is written
// whole or not at all, and used as it is by whoever finds it: after a change in what comes before, delete it.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <limits>
#include <mutex>
#include <utility>

#include "ingot/core/error.h"
#include "ingot/data/stage.h"
#include "ingot/data/stored_array.h"
#include "ingot/io/atomic_file.h"
#include "ingot/io/mapped_file.h"
#include "ingot/io/safetensors.h"

namespace ingot {
namespace {

namespace fs = std::filesystem;

// Pages of a file that has no name: the system may write them out when memory is short.
Array OnDisk(const std::string& beside, const Shape& shape, DType dtype) {
  const size_t bytes = std::max<size_t>(1, ArrayBytes(shape, dtype));
  if (bytes > static_cast<size_t>(std::numeric_limits<off_t>::max()))
    Fail("cache: not enough room for the array of shape ", shape, " beside ", beside, ": ", HumanBytes(bytes),
         " asked");
  std::string name = beside + ".XXXXXX";
  const int fd = mkstemp(name.data());
  if (fd < 0) Fail("cache: no file can be made beside ", beside, ": ", std::strerror(errno));
  unlink(name.c_str());
  const int refused = posix_fallocate(fd, 0, static_cast<off_t>(bytes));  // else a full disk would be a SIGBUS
  void* data = refused ? MAP_FAILED : mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  const int why = refused ? refused : errno;
  close(fd);
  if (data == MAP_FAILED) Fail("cache: ", bytes, " bytes beside ", beside, " are not to be had: ", std::strerror(why));
  return Array::View(shape, dtype, data, std::shared_ptr<void>(data, [bytes](void* p) { munmap(p, bytes); }));
}

// Arrays that grow by batches.
class Growing {
 public:
  Growing(int64_t rows, std::string beside) : room_(rows), beside_(std::move(beside)) {}

  void Add(Samples& batch) {
    if (batch.x.empty() && batch.y.empty())
      Fail("cache: elements from ", rows_, " on have no arrays, neither x nor y; a map before it took them out");
    const int64_t n = batch.x.empty() ? batch.y[0].rows() : batch.rows();
    if (!begun_ || rows_ + n > room_) Grow(batch, std::max(room_, begun_ ? 2 * (rows_ + n) : n));
    if (!all_.HasAsMany(batch)) Fail("cache: elements from ", rows_, " on have other arrays than those before them");
    all_.ForEachPair(batch, [&](const char* what, size_t k, Array& to, const Array& from) { Put(what, k, to, from); });
    rows_ += n;
  }
  Samples Take() { return all_.slice(0, rows_); }
  bool begun() const { return begun_; }

 private:
  void Grow(const Samples& like, int64_t room) {
    all_ = (begun_ ? all_ : like).Each([&](const Array& old) {
      const Shape shape = old.shape().with(0, room);
      Array a = beside_.empty() ? Array(shape, old.dtype()) : OnDisk(beside_, shape, old.dtype());
      if (rows_) std::memcpy(a.data(), old.data(), static_cast<size_t>(rows_) * old.row_bytes());
      return a;
    });
    room_ = room;
    begun_ = true;
  }
  void Put(const char* what, size_t k, Array& to, const Array& from) const {
    if (from.dtype() != to.dtype() || !(from.shape().from(1) == to.shape().from(1)))
      Fail("cache: elements from ", rows_, " on have ", what, "[", k, "] of ", Name(from.dtype()), " ",
           from.shape().from(1), ", those before them ", Name(to.dtype()), " ", to.shape().from(1),
           "; all must have the same type and shape");
    if (from.bytes())
      std::memcpy(static_cast<std::byte*>(to.data()) + static_cast<size_t>(rows_) * to.row_bytes(), from.data(),
                  from.bytes());
  }
  Samples all_;
  int64_t rows_ = 0, room_;
  bool begun_ = false;
  std::string beside_;
};

void Write(const Samples& all, const std::string& path) {
  Safetensors file;
  all.ForEach([&](const char* what, size_t i, const Array& a) {
    const std::string name = &a == &all.sample_weight ? what : what + std::to_string(i);
    file.tensors.push_back(
        {name, StoredAs(a.dtype()), a.shape(), Bytes(static_cast<const std::byte*>(a.data()), a.bytes()), nullptr});
  });
  AtomicFile out(path);
  WriteSafetensors(file, out.sink());
  out.Commit();
}

Samples Read(const std::string& path) {
  const auto file = MappedFile::Open(path, LoadMode::kMap);
  const Safetensors held = ReadSafetensors(file->bytes(), file, path);
  Samples all;
  size_t used = 0;
  const auto take = [&](const std::string& name, Array& to) {
    for (const StoredTensor& t : held.tensors) {
      if (t.name != name) continue;
      to = ArrayOf(t, path);
      ++used;
      return true;
    }
    return false;
  };
  for (Array a; take("x" + std::to_string(all.x.size()), a);) all.x.push_back(a);
  for (Array a; take("y" + std::to_string(all.y.size()), a);) all.y.push_back(a);
  take("sample_weight", all.sample_weight);
  if (used != held.tensors.size() || used == 0)
    Fail(path, ": is not what cache writes, x0, x1, ..., y0, ...; name another file, or delete this one");
  return all;
}

class Cache : public Stage {
 public:
  Cache(StagePtr up, std::string path) : up_(std::move(up)), path_(std::move(path)) {
    if (up_->size() == kForever) Fail("cache: the data never ends; cache before repeat");
    if (up_->batched()) Fail("cache: the data set gives batches; cache before batch");
  }
  int64_t size() const override { return up_->size() == kUnknown ? rows()->size() : up_->size(); }
  bool indexed() const override { return true; }
  ViewPtr Look(int64_t pass) const override { return rows()->Look(pass); }
  std::string str() const override { return up_->str() + ", cache"; }

 private:
  static constexpr int64_t kBatch = 64;  // elements that a thread makes at a time

  SequencePtr OpenInOrder(int64_t, int64_t) const override { return nullptr; }
  StagePtr rows() const {
    const std::lock_guard lock(mutex_);
    if (rows_) return rows_;
    if (path_.empty()) {
      rows_ = RowsOf(Fill(""));
      return rows_;
    }
    std::error_code missing;
    if (!fs::exists(path_, missing)) {
      MakeFolderOf(path_);
      Write(Fill(path_), path_);
    }
    StagePtr found = RowsOf(Read(path_));
    if (up_->size() != kUnknown && found->size() != up_->size())
      Fail("cache: ", path_, " holds ", found->size(), " elements, the data set has ", up_->size(),
           "; it was written for other data: delete it");
    rows_ = std::move(found);
    return rows_;
  }
  Samples Fill(const std::string& beside) const {
    Growing all(std::max<int64_t>(up_->size(), 0), beside);
    const SequencePtr stream = Batched(up_, kBatch, false)->Open(0);
    for (Sample batch; stream->Next(batch);) all.Add(batch);
    if (!all.begun()) Fail("cache: the data set has no elements");
    return all.Take();
  }

  StagePtr up_;
  std::string path_;
  mutable std::mutex mutex_;
  mutable StagePtr rows_;
};

}  // namespace

StagePtr Cached(StagePtr up, std::string path) { return std::make_shared<Cache>(std::move(up), std::move(path)); }

}  // namespace ingot
