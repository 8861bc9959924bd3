// SPDX-License-Identifier: MIT
//
// The native file, as docs/ingot-format.md specifies it byte by byte.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <nlohmann/json.hpp>

#include "ingot/core/crc32c.h"
#include "ingot/io/atomic_file.h"
#include "ingot/io/format.h"
#include "ingot/io/keras_config.h"

namespace ingot {
namespace {

constexpr char kMagic[8] = {'\x89', 'I', 'N', 'G', 'O', 'T', '\r', '\n'};
constexpr uint64_t kMaxHeader = uint64_t{256} << 20;
constexpr size_t kChunk = size_t{1} << 20;

struct Preamble {
  char magic[8];
  uint32_t version, byte_order;
  uint64_t header_bytes, file_bytes, arenas, checksums;
  uint32_t chunk, header_crc, preamble_crc, zero;
};
static_assert(sizeof(Preamble) == 64 && offsetof(Preamble, preamble_crc) == 56);

uint64_t PageUp(uint64_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

// Checksums of the arenas, chunk after chunk, as they are written.
class Chunks {
 public:
  void Add(const void* data, size_t bytes) {
    const auto* p = static_cast<const std::byte*>(data);
    while (bytes) {
      const size_t n = std::min(bytes, kChunk - filled_);
      crc_ = Crc32c(p, n, crc_);
      p += n, bytes -= n, filled_ += n;
      if (filled_ == kChunk) Close();
    }
  }
  const std::vector<uint32_t>& Finish() {
    if (filled_) Close();
    return all_;
  }

 private:
  void Close() { all_.push_back(crc_), crc_ = 0, filled_ = 0; }

  std::vector<uint32_t> all_;
  uint32_t crc_ = 0;
  size_t filled_ = 0;
};

struct File {
  int fd = -1;
  ~File() {
    if (fd >= 0) close(fd);
  }
};

void ReadAt(int fd, void* into, size_t bytes, uint64_t offset, const std::string& path) {
  auto* p = static_cast<char*>(into);
  while (bytes) {
    const ssize_t n = pread(fd, p, bytes, static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) Fail(path, ": reading at offset ", offset, " failed: ", std::strerror(errno));
    if (n == 0) Fail(path, ": ends at offset ", offset, ", ", bytes, " more bytes were expected");
    p += n, bytes -= static_cast<size_t>(n), offset += static_cast<uint64_t>(n);
  }
}

// A whole number of the header, or an Error naming it.
uint64_t Number(const Json& object, const char* key, const std::string& where) {
  if (!object.is_object() || !object.contains(key) || !object[key].is_number_unsigned())
    Fail(where, ": '", key, "' is missing or not a whole number");
  return object[key].get<uint64_t>();
}

struct Arena {
  std::string name;
  uint64_t offset, bytes;
};

std::vector<Arena> ReadArenas(const Json& header, const Preamble& p, const std::string& path) {
  if (!header.contains("arenas") || !header["arenas"].is_array() || header["arenas"].empty())
    Fail(path, ": header lists no arenas");
  std::vector<Arena> arenas;
  uint64_t end = p.arenas;
  for (const Json& j : header["arenas"]) {
    Arena a{j.is_object() ? j.value("name", "") : "", Number(j, "offset", path + ", arena"),
            Number(j, "bytes", path + ", arena")};
    if (a.offset % kPage || a.offset < end || a.offset > p.checksums || a.bytes > p.checksums - a.offset)
      Fail(path, ": arena '", a.name, "' at offset ", a.offset, " of ", a.bytes,
           " bytes overlaps another or leaves the file");
    end = a.offset + a.bytes;
    arenas.push_back(a);
  }
  return arenas;
}

// The tensors of the file must be those of the model, where the model's own layout puts them.
void CheckTensors(const Json& header, const Layout& layout, uint64_t arena_bytes, const std::string& path) {
  const auto& variables = layout.variables();
  if (!header.contains("tensors") || !header["tensors"].is_array()) Fail(path, ": header lists no tensors");
  const Json& tensors = header["tensors"];
  if (tensors.size() != variables.size())
    Fail(path, ": holds ", tensors.size(), " weights, its model has ", variables.size());
  if (arena_bytes != layout.bytes())
    Fail(path, ": the weights' arena has ", arena_bytes, " bytes, its model needs ", layout.bytes());
  for (size_t i = 0; i < tensors.size(); ++i) {
    const Variable& v = *variables[i];
    const std::string name = v.layer + "/" + v.name, where = path + ", weight " + std::to_string(i) + " (" + name + ")";
    Fields f = Fields::Reader(tensors[i], where);
    std::string got_name, dtype;
    Shape shape;
    f("name", got_name);
    f("dtype", dtype);
    f("shape", shape);
    if (got_name != name || dtype != Name(v.dtype) || !(shape == v.shape))
      Fail(where, ": the file has ", got_name, " ", dtype, " ", shape, ", its model expects ", Name(v.dtype), " ",
           v.shape);
    if (Number(tensors[i], "offset", where) != layout.offset(i) || Number(tensors[i], "bytes", where) != v.bytes())
      Fail(where, ": lies elsewhere than the model's layout says; the file is damaged");
  }
}

}  // namespace

void WriteIngot(const std::string& path, const Checkpoint& c) {
  const Layout& layout = c.layout;
  const std::vector<SlotSpec> slots = c.slots ? SlotsOf(*c.optimizer) : std::vector<SlotSpec>();
  Json header;
  header["model"] = NetworkConfig(*c.network);
  header["compile"] = c.compile ? *c.compile : Json(nullptr);
  header["seed"] = std::to_string(c.seed);
  header["iterations"] = c.iterations;
  header["tensors"] = Json::array();
  for (size_t i = 0; i < layout.variables().size(); ++i) {
    const Variable& v = *layout.variables()[i];
    Json shape = Json::array();
    for (const int64_t dim : v.shape) shape.push_back(dim);
    header["tensors"].push_back({{"name", v.layer + "/" + v.name},
                                 {"dtype", Name(v.dtype)},
                                 {"shape", shape},
                                 {"offset", layout.offset(i)},
                                 {"bytes", v.bytes()}});
  }
  // Offsets stand in the header and depend on its length: they are written as numbers of fixed width, by a first pass.
  std::string text;
  Preamble p{};
  for (uint64_t guess = 0;;) {
    uint64_t at = guess;
    header["arenas"] = Json::array();
    header["arenas"].push_back({{"name", "weights"}, {"offset", at}, {"bytes", layout.bytes()}});
    at = PageUp(at + layout.bytes());
    for (const SlotSpec& slot : slots) {
      header["arenas"].push_back({{"name", slot.name}, {"offset", at}, {"bytes", layout.trainable_bytes()}});
      at = PageUp(at + layout.trainable_bytes());
    }
    text = header.dump();
    p.arenas = PageUp(sizeof p + text.size());
    p.checksums = at;
    if (p.arenas == guess) break;
    guess = p.arenas;
  }
  const uint64_t chunks = (p.checksums - p.arenas + kChunk - 1) / kChunk;
  std::memcpy(p.magic, kMagic, sizeof kMagic);
  p.version = 1;
  p.byte_order = 0x01020304;
  p.header_bytes = text.size();
  p.file_bytes = p.checksums + chunks * sizeof(uint32_t);
  p.chunk = kChunk;
  p.header_crc = Crc32c(text.data(), text.size());
  p.preamble_crc = Crc32c(&p, offsetof(Preamble, preamble_crc));

  AtomicFile file(path);
  file.Write(&p, sizeof p);
  file.Write(text.data(), text.size());
  file.PadTo(p.arenas);
  Chunks checksums;
  static constexpr std::byte kZeros[kPage] = {};
  const auto write = [&](const void* data, size_t bytes) {
    file.Write(data, bytes);
    checksums.Add(data, bytes);
  };
  const auto pad = [&](uint64_t offset) {
    while (file.size() < offset) write(kZeros, static_cast<size_t>(std::min<uint64_t>(kPage, offset - file.size())));
  };
  if (layout.Contiguous() && !layout.variables().empty()) {
    write(layout.variables()[0]->arena->data(), layout.bytes());
  } else {  // some weights live with another model: in the order of the layout, one by one
    std::vector<size_t> order(layout.variables().size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return layout.offset(a) < layout.offset(b); });
    for (const size_t i : order) {
      pad(p.arenas + layout.offset(i));
      write(layout.variables()[i]->data(), layout.variables()[i]->bytes());
    }
    pad(p.arenas + layout.bytes());
  }
  uint64_t at = PageUp(p.arenas + layout.bytes());
  for (size_t s = 0; s < slots.size(); ++s) {
    pad(at);
    write(c.slots->data() + s * layout.slot_stride(), layout.trainable_bytes());
    at = PageUp(at + layout.trainable_bytes());
  }
  pad(p.checksums);
  const std::vector<uint32_t>& crcs = checksums.Finish();
  file.Write(crcs.data(), crcs.size() * sizeof(uint32_t));
  INGOT_CHECK(file.size() == p.file_bytes);
  file.Commit();
}

Checkpoint ReadIngot(const std::string& path, const ReadOptions& options) {
  File file{open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};  // a pipe is refused below, not waited for
  if (file.fd < 0) Fail(path, ": cannot be opened: ", std::strerror(errno));
  struct stat info;
  if (fstat(file.fd, &info) != 0) Fail(path, ": ", std::strerror(errno));
  if (!S_ISREG(info.st_mode)) Fail(path, ": is not a file");
  const uint64_t size = static_cast<uint64_t>(info.st_size);
  Preamble p;
  if (size < sizeof p) Fail(path, ": has ", size, " bytes, too few for an .ingot file");
  ReadAt(file.fd, &p, sizeof p, 0, path);
  if (std::memcmp(p.magic, kMagic, sizeof kMagic) != 0) Fail(path, ": is not an .ingot file (its first bytes differ)");
  if (p.byte_order != 0x01020304) Fail(path, ": was written with another byte order");
  if (p.version != 1)
    Fail(path, ": has version ", p.version, " of the format, this ingot reads version 1; use a newer one");
  if (p.preamble_crc != Crc32c(&p, offsetof(Preamble, preamble_crc)))
    Fail(path, ": the first 64 bytes are damaged (checksum differs)");
  if (p.file_bytes != size) Fail(path, ": has ", size, " bytes and says ", p.file_bytes, "; it was cut or appended to");
  if (p.header_bytes > kMaxHeader || p.header_bytes > size - sizeof p || p.arenas % kPage ||
      p.arenas < sizeof p + p.header_bytes || p.checksums < p.arenas || p.checksums > size || p.chunk != kChunk ||
      size - p.checksums != (p.checksums - p.arenas + kChunk - 1) / kChunk * sizeof(uint32_t))
    Fail(path, ": its offsets do not fit its size; the file is damaged");
  std::string text(p.header_bytes, '\0');
  ReadAt(file.fd, text.data(), text.size(), sizeof p, path);
  if (Crc32c(text.data(), text.size()) != p.header_crc) Fail(path, ": the header is damaged (checksum differs)");
  const Json header = ParseJson(text, path + ", header");
  if (!header.is_object() || !header.contains("model")) Fail(path, ": header has no model");

  Checkpoint c;
  c.network = NetworkFromConfig(header["model"], options.custom);
  c.layout = Layout(Layer(c.network).variables());
  const std::vector<Arena> arenas = ReadArenas(header, p, path);
  CheckTensors(header, c.layout, arenas[0].bytes, path);
  auto weights = std::make_shared<Block>(Block::Map(file.fd, arenas[0].offset, arenas[0].bytes, path));
  for (size_t i = 0; i < c.layout.variables().size(); ++i) {
    c.layout.variables()[i]->arena = weights;
    c.layout.variables()[i]->offset = c.layout.offset(i);
  }
  if (options.compile && header.contains("compile") && header["compile"].is_object())
    c.SetCompile(std::make_shared<Json>(header["compile"]), options.custom);
  if (arenas.size() > 1 && c.optimizer) {
    const std::vector<SlotSpec> slots = SlotsOf(*c.optimizer);
    if (arenas.size() - 1 != slots.size())
      Fail(path, ": holds ", arenas.size() - 1, " optimizer slots, its optimizer ", c.optimizer->class_name(), " has ",
           slots.size());
    for (size_t s = 0; s < slots.size(); ++s) {
      const Arena& arena = arenas[s + 1];
      if (arena.name != slots[s].name || arena.bytes != c.layout.trainable_bytes() ||
          arena.offset != arenas[1].offset + s * c.layout.slot_stride())
        Fail(path, ": optimizer slot '", arena.name, "' is not the slot '", slots[s].name, "' of ",
             c.optimizer->class_name(), " in the layout of the weights");
    }
    c.slots =
        std::make_shared<Block>(Block::Map(file.fd, arenas[1].offset, c.layout.slot_stride() * slots.size(), path));
  }
  const std::string seed =
      header.contains("seed") && header["seed"].is_string() ? header["seed"].get<std::string>() : "";
  const char* seed_end = seed.data() + seed.size();
  const auto [end, status] = std::from_chars(seed.data(), seed_end, c.seed);
  if (status != std::errc() || end != seed_end) Fail(path, ": 'seed' is not a number of 64 bits");
  c.iterations = static_cast<int64_t>(Number(header, "iterations", path));
  return c;
}

}  // namespace ingot
