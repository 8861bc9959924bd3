// SPDX-License-Identifier: MIT
#include "ingot/io/verify.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>
#include <new>

#include "ingot/core/crc32c.h"
#include "ingot/core/progress.h"
#include "ingot/core/threads.h"
#include "ingot/io/contents.h"
#include "ingot/io/format.h"
#include "ingot/io/ingot_file.h"
#include "ingot/io/safetensors.h"
#include "ingot/io/zip.h"

namespace ingot {
namespace {

// Whether an exponent of all ones, which is infinity or NaN, stands among the elements.
template <class Word, Word kExponent>
bool HasNonFinite(Bytes bytes) {
  Word bad = 0;
  for (size_t i = 0; i + sizeof(Word) <= bytes.size(); i += sizeof(Word)) {
    Word word;
    std::memcpy(&word, bytes.data() + i, sizeof word);
    bad |= (word & kExponent) == kExponent;
  }
  return bad != 0;
}

// Reads all of it.
bool HasNonFinite(StoredType type, Bytes bytes) {
  switch (type) {
    case StoredType::kFloat16:
      return HasNonFinite<uint16_t, 0x7c00>(bytes);
    case StoredType::kBfloat16:
      return HasNonFinite<uint16_t, 0x7f80>(bytes);
    case StoredType::kFloat32:
      return HasNonFinite<uint32_t, 0x7f800000>(bytes);
    case StoredType::kFloat64:
      return HasNonFinite<uint64_t, 0x7ff0000000000000>(bytes);
    default:
      Crc32c(bytes.data(), bytes.size());  // always finite; read all the same
      return false;
  }
}

void Warn(const std::string& name, VerifyReport& report) {
  report.warnings.push_back("'" + name + "' holds values that are not finite");
}

constexpr char kOfFit[] = "the state of the fit, ";

// "slot momentum of dense/kernel"
std::string Described(const std::string& name) {
  if (name.starts_with(kOfFit)) return name;
  constexpr std::string_view kPrefix = "optimizer/";
  const size_t slash = name.find('/', kPrefix.size());
  if (!name.starts_with(kPrefix) || slash == std::string::npos) return "weight " + name;
  return "slot " + name.substr(kPrefix.size(), slash - kPrefix.size()) + " of " + name.substr(slash + 1);
}

void ReadValues(const Contents& contents, VerifyReport& report) {
  constexpr size_t kTile = size_t{1} << 20;
  struct Tile {
    size_t tensor, first, bytes;
  };
  std::vector<Tile> tiles;
  for (size_t i = 0; i < contents.tensors.size(); ++i)
    for (size_t at = 0, n = contents.tensors[i].bytes.size(); at < n; at += kTile)
      tiles.push_back({i, at, std::min(kTile, n - at)});
  std::vector<std::atomic<bool>> bad(contents.tensors.size());
  Watched task("reading the values", "", BytesOf(contents.tensors));
  ThreadPool::Default().For(static_cast<int64_t>(tiles.size()), [&](int64_t k) {
    const Tile& tile = tiles[static_cast<size_t>(k)];
    const StoredTensor& t = contents.tensors[tile.tensor];
    if (HasNonFinite(t.type, t.bytes.subspan(tile.first, tile.bytes))) bad[tile.tensor] = true;
    task.Add(tile.bytes);
  });
  for (size_t i = 0; i < bad.size(); ++i)
    if (bad[i]) Warn(contents.tensors[i].name, report);
}

// The chunk lies at `offset`; a flip of the bit that comes back, counted from its first, would explain that its
// checksum is `got` and not `want`. -1: no single bit of the data would.
//
// A CRC is linear: the difference of two checksums depends on where the data differs and on nothing else. One bit set k
// bits before the end gives what the register makes of it in k steps, so k steps back must end in a single bit.
int64_t FlippedBit(uint32_t got, uint32_t want, uint64_t chunk_bytes) {
  constexpr uint32_t kPolynomial = 0x82F63B78u;
  uint32_t r = got ^ want;
  const auto bits = static_cast<int64_t>(8 * chunk_bytes);
  for (int64_t k = 0; k < bits; ++k) {
    r = r >> 31 ? ((r ^ kPolynomial) << 1) | 1 : r << 1;  // one step back
    if (r == 1) return bits - 1 - k;
  }
  return -1;
}

// A native file's arenas and their checksums.
class Arenas {
 public:
  Arenas(const std::string& path, const IngotFile& o, const Contents& contents)
      : path_(path), o_(o), begin_(o.preamble.arenas), end_(o.preamble.checksums) {
    const Bytes all = contents.file->bytes();
    for (const StoredTensor& t : contents.tensors) {
      const auto offset = static_cast<uint64_t>(t.bytes.data() - all.data());
      if (t.owner == contents.file) places_.push_back({offset, t.bytes.size(), &t});  // else from the header
    }
    if (const auto fit = IngotFit(o, path)) fit_ = fit->tensors;
    for (StoredTensor& t : fit_) {
      t.name = kOfFit + t.name;
      places_.push_back({static_cast<uint64_t>(t.bytes.data() - o.file->bytes().data()), t.bytes.size(), &t});
    }
    std::sort(places_.begin(), places_.end(), [](const Place& a, const Place& b) { return a.offset < b.offset; });
    chunks_ = (end_ - begin_ + kIngotChunk - 1) / kIngotChunk;
    table_.resize(chunks_);
    if (chunks_) std::memcpy(table_.data(), o.file->bytes().data() + end_, chunks_ * sizeof(uint32_t));
  }

  // By reads, not by the mapping: what a failing disk cannot give is then an Error and not the end of the process.
  void Check(VerifyReport& report) {
    std::vector<uint32_t> sums(chunks_);
    std::vector<std::atomic<bool>> bad(places_.size());
    std::atomic<uint64_t> next{0};
    std::atomic<int> failure{0};
    Watched task("checking", path_, end_ - begin_);
    ThreadPool& pool = ThreadPool::Default();
    pool.For(pool.threads(), [&](int64_t) {
      const std::unique_ptr<std::byte[]> buffer(new (std::nothrow) std::byte[kIngotChunk]);
      if (!buffer) failure = ENOMEM;
      for (uint64_t c; !failure && (c = next++) < chunks_;) {
        const uint64_t at = begin_ + c * kIngotChunk;
        const Bytes bytes(buffer.get(), std::min<uint64_t>(kIngotChunk, end_ - at));
        if (const int error = Read(buffer.get(), bytes.size(), at)) {
          failure = error;
          return;
        }
        sums[c] = Crc32c(bytes.data(), bytes.size());
        task.Add(bytes.size());
        for (size_t i = FirstBehind(at); i < places_.size() && places_[i].offset < at + bytes.size(); ++i) {
          const Place& p = places_[i];
          const uint64_t first = std::max(p.offset, at), last = std::min(p.offset + p.bytes, at + bytes.size());
          if (HasNonFinite(p.tensor->type, bytes.subspan(first - at, last - first))) bad[i] = true;
        }
      }
    });
    if (failure) Fail(path_, ": cannot be read: ", std::strerror(failure));
    std::string damage;
    uint64_t damaged = 0;
    for (uint64_t c = 0; c < chunks_; ++c)
      if (sums[c] != table_[c] && ++damaged <= 3) damage += Damage(c, sums[c]);
    if (damaged)
      Fail(path_, ": ", damaged, " of ", chunks_, " chunks are damaged", damage, damaged > 3 ? "; and others" : "",
           "; get the file anew");
    for (size_t i = 0; i < bad.size(); ++i)
      if (bad[i]) Warn(places_[i].tensor->name, report);
    CheckPadding();
    report.checked = Text(chunks_, chunks_ == 1 ? " chunk" : " chunks",
                          " of 1 MiB by their CRC32C, the header by its own, and padding");
  }

 private:
  struct Place {
    uint64_t offset, bytes;
    const StoredTensor* tensor;
  };

  int Read(std::byte* to, size_t bytes, uint64_t at) const {
    while (bytes) {
      const ssize_t n = pread(o_.file->fd(), to, bytes, static_cast<off_t>(at));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return n < 0 ? errno : ENODATA;  // cut since it was opened
      to += n, at += static_cast<uint64_t>(n), bytes -= static_cast<size_t>(n);
    }
    return 0;
  }

  size_t FirstBehind(uint64_t offset) const {  // the first tensor that ends behind it
    return static_cast<size_t>(std::partition_point(places_.begin(), places_.end(),
                                                    [&](const Place& p) { return p.offset + p.bytes <= offset; }) -
                               places_.begin());
  }

  std::string Damage(uint64_t c, uint32_t got) const {
    constexpr size_t kMost = 20;
    const uint64_t at = begin_ + c * kIngotChunk, bytes = std::min<uint64_t>(kIngotChunk, end_ - at);
    char sums[64];
    std::snprintf(sums, sizeof sums, "%08x, the file says %08x", got, table_[c]);
    std::string text = Text("; the CRC32C of bytes ", at, " to ", at + bytes, " is ", sums);
    if (std::has_single_bit(got ^ table_[c]))
      return text + Text(": one flipped bit in the checksum, at offset ", end_ + c * sizeof(uint32_t), ", explains it");
    if (const int64_t bit = FlippedBit(got, table_[c], bytes); bit >= 0) {
      const uint64_t where = at + static_cast<uint64_t>(bit) / 8;
      const size_t i = FirstBehind(where);
      text += Text(": one flipped bit explains it, bit ", bit % 8, " of the byte at offset ", where);
      if (i < places_.size() && places_[i].offset <= where) return text + ", in " + Described(places_[i].tensor->name);
      return text + ", between tensors";
    }
    text += ": there lie";
    size_t count = 0;
    for (size_t i = FirstBehind(at); i < places_.size() && places_[i].offset < at + bytes; ++i)
      if (count++ < kMost)
        text += Text(count == 1 ? " " : ", ", Described(places_[i].tensor->name), " at offset ", places_[i].offset);
    if (count > kMost) text += Text(" and ", count - kMost, " more");
    return count ? text : text + " no tensors";
  }

  // Outside the checksums of the chunks, and between arenas.
  void CheckPadding() const {
    const IngotPreamble& p = o_.preamble;
    Zero(offsetof(IngotPreamble, zero), sizeof p, "of the preamble");
    Zero(sizeof p + p.header_bytes, begin_, "behind the header");
    uint64_t at = begin_;
    for (const IngotArena& arena : o_.arenas) {
      Zero(at, arena.offset, "between arenas");
      at = arena.offset + arena.bytes;
    }
    for (const StoredTensor& t : fit_) {
      const auto offset = static_cast<uint64_t>(t.bytes.data() - o_.file->bytes().data());
      Zero(at, offset, "behind the arenas");
      at = offset + t.bytes.size();
    }
    Zero(at, end_, "behind the arenas");
  }
  void Zero(uint64_t first, uint64_t last, const char* which) const {
    const Bytes bytes = o_.file->bytes().subspan(first, last - first);
    const auto found = std::find_if(bytes.begin(), bytes.end(), [](std::byte b) { return b != std::byte{0}; });
    if (found != bytes.end())
      Fail(path_, ": the padding ", which, " is damaged: the byte at offset ", first + (found - bytes.begin()),
           " is not zero; get the file anew");
  }

  const std::string& path_;
  const IngotFile& o_;
  std::vector<StoredTensor> fit_;
  uint64_t begin_, end_, chunks_ = 0;
  std::vector<uint32_t> table_;
  std::vector<Place> places_;  // by offset
};

void CheckMembers(const Contents& contents, const std::string& path, VerifyReport& report) {
  const ZipReader zip(contents.file->bytes(), contents.file, path);
  for (const ZipReader::Member& member : zip.members()) {
    std::shared_ptr<const void> owner;
    zip.Read(member, owner);
  }
  report.checked = Text(zip.members().size(), " members of the archive by their CRC-32");
  report.checksums = true;
}

// A class of somebody's own is no damage.
void Build(const Contents& contents, const std::string& path, VerifyReport& report) {
  if (!FormatOf(path).read || contents.model.is_null()) return;
  for (const bool compile : {true, false}) {
    try {
      FormatOf(path).read(path, {nullptr, compile}).FillSlots();
      return;
    } catch (const Error& e) {
      const std::string_view what = e.what();
      if (what.find("custom objects") == what.npos && what.find("CustomObjects") == what.npos) {
        if (what.starts_with(path)) throw;
        Fail(path, ": ", what);
      }
      report.warnings.push_back(Text(compile ? "what it says of training" : "its model", " was not checked: ", what));
    }
  }
}

}  // namespace

VerifyReport VerifyFile(const std::string& path) {
  const auto start = std::chrono::steady_clock::now();
  VerifyReport report;
  const Contents contents = ReadContents(path);
  report.format = contents.format;
  report.bytes = contents.file->bytes().size();
  report.tensors = contents.tensors.size();
  for (const StoredTensor& t : contents.tensors) report.tensor_bytes += t.bytes.size();
  if (contents.format == ".ingot") {
    const IngotFile file = OpenIngot(path);
    Arenas(path, file, contents).Check(report);
    report.checksums = true;
  } else {
    if (contents.format == ".keras" || contents.format == ".npz") {
      CheckMembers(contents, path, report);
    } else if (contents.format == ".safetensors") {
      report.checksums = CheckChecksums(ReadSafetensors(contents.file->bytes(), contents.file, path), path);
      if (report.checksums) report.checked = Text(report.tensors, " tensors by their CRC32C");
    }
    if (!report.checksums)
      report.checked = Text("every structure and every value read; this file carries no checksums",
                            contents.format == ".safetensors" ? "" : " but Fletcher32 where its writer asked for it",
                            ", so a changed value would not be seen");
    ReadValues(contents, report);
  }
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  Build(contents, path, report);
  return report;
}

}  // namespace ingot
