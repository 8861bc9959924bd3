// SPDX-License-Identifier: MIT
//
// The native file, as docs/ingot-format.md specifies it byte by byte.
#include "ingot/io/ingot_file.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <thread>

#include "ingot/core/crc32c.h"
#include "ingot/core/memory.h"
#include "ingot/io/atomic_file.h"
#include "ingot/io/format.h"
#include "ingot/io/json.h"
#include "ingot/io/keras_config.h"
#include "ingot/io/keras_optimizer.h"
#include "ingot/io/named_weights.h"

namespace ingot {
namespace {

constexpr char kMagic[8] = {'\x89', 'I', 'N', 'G', 'O', 'T', '\r', '\n'};
constexpr uint64_t kMaxHeader = uint64_t{256} << 20;
constexpr size_t kChunk = kIngotChunk;
using Preamble = IngotPreamble;
using Arena = IngotArena;

uint64_t PageUp(uint64_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

// Checksums of the arenas, chunk after chunk, as they are written.
class Chunks {
 public:
  explicit Chunks(size_t most) { all_.reserve(most); }
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

// A whole number of the header, or an Error naming it.
uint64_t Number(const Json& object, const char* key, const std::string& where) {
  if (!object.is_object() || !object.contains(key) || !object[key].is_number_unsigned())
    Fail(where, ": '", key, "' is missing or not a whole number");
  return object[key].get<uint64_t>();
}

// The position of a fit, its tensors behind `at`, which moves behind them.
Json FitHeader(const FitState& fit, uint64_t& at) {
  Json header = *fit.about;
  header["tensors"] = Json::array();
  for (const StoredTensor& t : fit.tensors) {
    Json shape = Json::array();
    for (const int64_t dim : t.shape) shape.push_back(dim);
    header["tensors"].push_back(
        {{"name", t.name}, {"dtype", Name(t.type)}, {"shape", shape}, {"offset", at}, {"bytes", t.bytes.size()}});
    at = PageUp(at + t.bytes.size());
  }
  return header;
}

std::vector<Arena> ReadArenas(const Json& header, const Preamble& p, const std::string& path) {
  if (!header.contains("arenas") || !header["arenas"].is_array() || header["arenas"].empty())
    Fail(path, ": header lists no arenas");
  std::vector<Arena> arenas;
  uint64_t end = p.arenas;
  for (const Json& j : header["arenas"]) {
    Arena a{j.is_object() && j.contains("name") && j["name"].is_string() ? j["name"].get<std::string>() : "",
            Number(j, "offset", path + ", arena"), Number(j, "bytes", path + ", arena")};
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

namespace {

// Bytes of an arena, and where they go in the file.
struct Piece {
  uint64_t offset;
  const void* data;
  uint64_t bytes;
};

void WritePieces(const std::string& path, const Preamble& p, const std::string& header,
                 const std::vector<Piece>& pieces) {
  AtomicFile file(path, p.file_bytes);
  file.Write(&p, sizeof p);
  file.Write(header.data(), header.size());
  file.PadTo(p.arenas);
  static constexpr std::byte kZeros[kPage] = {};
  // The pieces, and zeros between them, one behind the other.
  const auto each = [&](const auto& use) {
    uint64_t at = p.arenas;
    const auto pad = [&](uint64_t offset) {
      for (size_t n; at < offset; at += n) use(kZeros, n = static_cast<size_t>(std::min<uint64_t>(kPage, offset - at)));
    };
    for (const Piece& piece : pieces) {
      pad(piece.offset);
      use(piece.data, piece.bytes);
      at += piece.bytes;
    }
    pad(p.checksums);
  };
  // Summed while they are written. Not on the pool: training may want that, when this is in the background.
  Chunks checksums((p.checksums - p.arenas) / kChunk + 1);
  {
    const std::jthread summing([&] { each([&](const void* data, size_t bytes) { checksums.Add(data, bytes); }); });
    each([&](const void* data, size_t bytes) { file.Write(data, bytes); });
  }
  const std::vector<uint32_t>& crcs = checksums.Finish();
  file.Write(crcs.data(), crcs.size() * sizeof(uint32_t));
  INGOT_CHECK(file.size() == p.file_bytes);
  file.Commit();
}

}  // namespace

Writing WriteIngot(const std::string& path, const Checkpoint& c) {
  const Layout& layout = c.layout;
  const std::vector<SlotSpec> slots = c.slots ? SlotsOf(*c.optimizer) : std::vector<SlotSpec>();
  Json header;
  header["model"] = NetworkConfig(*c.network);
  header["compile"] = c.compile ? *c.compile : Json(nullptr);
  header["seed"] = std::to_string(c.seed.value_or(0));
  header["iterations"] = c.iterations;
  if (c.self_test) header["self_test"] = *c.self_test;
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
  // Offsets stand in the header and depend on its length: written again until they agree.
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
    if (c.fit) header["fit"] = FitHeader(*c.fit, at);
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

  std::vector<Piece> pieces;
  if (layout.variables().empty()) {
  } else if (c.copied || layout.Contiguous()) {
    pieces.push_back({p.arenas, c.copied ? c.copied->data() : layout.variables()[0]->arena->data(), layout.bytes()});
  } else {  // some weights live with another model: one by one
    for (size_t i = 0; i < layout.variables().size(); ++i)
      pieces.push_back({p.arenas + layout.offset(i), layout.variables()[i]->data(), layout.variables()[i]->bytes()});
  }
  for (size_t s = 0; s < slots.size(); ++s)
    pieces.push_back({header["arenas"][s + 1]["offset"].get<uint64_t>(), c.slots->data() + s * layout.slot_stride(),
                      layout.trainable_bytes()});
  for (size_t i = 0; c.fit && i < c.fit->tensors.size(); ++i)
    pieces.push_back({header["fit"]["tensors"][i]["offset"].get<uint64_t>(), c.fit->tensors[i].bytes.data(),
                      c.fit->tensors[i].bytes.size()});
  std::sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) { return a.offset < b.offset; });
  // What the pieces lie in is kept; not the network, which goes on being used.
  std::vector<std::shared_ptr<const void>> owners = {c.copied, c.slots, c.fit};
  if (!c.copied)
    for (const VariablePtr& v : layout.variables()) owners.push_back(v->arena);
  return [path, p, text, pieces, owners] { WritePieces(path, p, text, pieces); };
}

IngotFile OpenIngot(const std::string& path, LoadMode mode, LoadReport* report) {
  IngotFile o{MappedFile::Open(path, mode, report), {}, {}, {}};
  PhaseTimer phase(report, "parse");
  const Bytes bytes = o.file->bytes();
  const uint64_t size = bytes.size();
  Preamble& p = o.preamble;
  if (size < sizeof p) Fail(path, ": has ", size, " bytes, too few for an .ingot file");
  std::memcpy(&p, bytes.data(), sizeof p);
  if (std::memcmp(p.magic, kMagic, sizeof kMagic) != 0) Fail(path, ": is not an .ingot file (its first bytes differ)");
  if (p.byte_order != 0x01020304) Fail(path, ": was written with another byte order");
  if (p.version != 1)
    Fail(path, ": has version ", p.version, " of the format, this ingot reads version 1; use a newer one");
  if (p.preamble_crc != Crc32c(&p, offsetof(Preamble, preamble_crc)) || p.zero != 0)
    Fail(path, ": the first 64 bytes are damaged (checksum differs)");
  if (p.file_bytes != size) Fail(path, ": has ", size, " bytes and says ", p.file_bytes, "; it was cut or appended to");
  if (p.header_bytes > kMaxHeader || p.header_bytes > size - sizeof p || p.arenas % kPage ||
      p.arenas < sizeof p + p.header_bytes || p.checksums < p.arenas || p.checksums > size || p.chunk != kChunk ||
      size - p.checksums != (p.checksums - p.arenas + kChunk - 1) / kChunk * sizeof(uint32_t))
    Fail(path, ": its offsets do not fit its size; the file is damaged");
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + sizeof p, p.header_bytes);
  phase.AddBytes(sizeof p + text.size());
  if (Crc32c(text.data(), text.size()) != p.header_crc) Fail(path, ": the header is damaged (checksum differs)");
  o.header = ParseJson(text, path + ", header");
  if (!o.header.is_object() || !o.header.contains("model")) Fail(path, ": header has no model");
  o.arenas = ReadArenas(o.header, p, path);
  return o;
}

namespace {

StoredType StoredTypeNamed(const std::string& name, const std::string& where) {
  for (const StoredType type : {StoredType::kFloat32, StoredType::kFloat64, StoredType::kInt32, StoredType::kUint8})
    if (name == Name(type)) return type;
  Fail(where, ": its dtype is '", name, "'; float32, float64, int32 and uint8 are known there");
}

}  // namespace

std::shared_ptr<const FitState> IngotFit(const IngotFile& o, const std::string& path) {
  if (!o.header.contains("fit") || o.header["fit"].is_null()) return nullptr;
  const Json& json = o.header["fit"];
  if (!json.is_object() || !json.contains("tensors") || !json["tensors"].is_array())
    Fail(path, ": 'fit' of the header is damaged, it lists no tensors");
  auto fit = std::make_shared<FitState>();
  fit->about = std::make_shared<Json>(json);
  fit->about->erase("tensors");
  uint64_t end = o.arenas.back().offset + o.arenas.back().bytes;
  for (const Json& j : json["tensors"]) {
    const std::string where = path + ", fit, tensor " + std::to_string(fit->tensors.size());
    Fields f = Fields::Reader(j, where);
    std::string name, dtype;
    Shape shape;
    f("name", name), f("dtype", dtype), f("shape", shape);
    const StoredType type = StoredTypeNamed(dtype, where);
    const uint64_t offset = Number(j, "offset", where), bytes = Number(j, "bytes", where);
    if (offset % kPage || offset < end || offset > o.preamble.checksums || bytes > o.preamble.checksums - offset ||
        bytes != CheckedBytes(shape, type, o.preamble.checksums - offset, where))
      Fail(where, ": overlaps another, leaves the file, or has not the size of its shape; the file is damaged");
    end = offset + bytes;
    fit->tensors.push_back({name, type, shape, o.file->bytes().subspan(offset, bytes), o.file});
  }
  return fit;
}

int64_t IngotIterations(const IngotFile& o, const std::string& path) {
  return static_cast<int64_t>(std::min<uint64_t>(Number(o.header, "iterations", path), INT64_MAX));
}

std::vector<StoredTensor> IngotWeights(const IngotFile& o, const std::string& path) {
  if (!o.header.contains("tensors") || !o.header["tensors"].is_array()) Fail(path, ": header lists no tensors");
  const Arena& arena = o.arenas[0];
  std::vector<StoredTensor> tensors;
  std::vector<std::string> names;
  for (const Json& j : o.header["tensors"]) {
    const std::string at = path + ", weight " + std::to_string(names.size());
    Fields f = Fields::Reader(j, at);
    std::string name, dtype;
    Shape shape;
    f("name", name), f("dtype", dtype), f("shape", shape);
    const std::string where = path + ", " + name;
    const StoredType type = StoredAs(DTypeNamed(dtype));
    const uint64_t offset = Number(j, "offset", at);
    const size_t bytes = CheckedBytes(shape, type, arena.bytes, where);
    if (offset > arena.bytes - bytes) Fail(where, ": lies outside its arena; the file is damaged");
    tensors.push_back({name, type, shape, o.file->bytes().subspan(arena.offset + offset, bytes), o.file});
    names.push_back(name);
  }
  names = UniqueNames(names);
  for (size_t i = 0; i < names.size(); ++i) tensors[i].name = names[i];
  std::vector<const StoredTensor*> order;
  for (const StoredTensor& t : tensors)
    if (!t.bytes.empty()) order.push_back(&t);
  std::sort(order.begin(), order.end(),
            [](const StoredTensor* a, const StoredTensor* b) { return a->bytes.data() < b->bytes.data(); });
  const std::byte* end = o.file->bytes().data() + arena.offset;
  for (const StoredTensor* t : order) {
    if (t->bytes.data() < end || static_cast<size_t>(t->bytes.data() - o.file->bytes().data()) % kAlignment)
      Fail(path, ", ", t->name, ": overlaps another tensor or is misaligned; the file is damaged");
    end = t->bytes.data() + t->bytes.size();
  }
  return tensors;
}

std::optional<StoredTensor> IngotSlot(const IngotFile& o, size_t slot, const StoredTensor& weight) {
  const Arena &arena = o.arenas[slot], &weights = o.arenas[0];
  const auto offset = static_cast<uint64_t>(weight.bytes.data() - o.file->bytes().data()) - weights.offset;
  if (weight.type != StoredType::kFloat32 || offset > arena.bytes || weight.bytes.size() > arena.bytes - offset)
    return std::nullopt;
  const Bytes bytes = o.file->bytes().subspan(arena.offset + offset, weight.bytes.size());
  return StoredTensor{"optimizer/" + arena.name + "/" + weight.name, StoredType::kFloat32, weight.shape, bytes, o.file};
}

Checkpoint ReadIngot(const std::string& path, const ReadOptions& options) {
  const IngotFile opened = OpenIngot(path, options.mode, options.report);
  const auto& [file, p, header, arenas] = opened;
  Checkpoint c;
  const PhaseTimer phase(options.report, "build graph");
  c.network = NetworkFromConfig(header["model"], options.custom);
  c.LayOut();
  c.image = file;
  CheckTensors(header, c.layout, arenas[0].bytes, path);
  const auto weights = std::make_shared<Block>(BlockOf(file, file->bytes().subspan(arenas[0].offset, arenas[0].bytes)));
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
    // The last slot need not fill its last page; where the file ends within that, nothing of it is touched.
    const uint64_t bytes = c.layout.slot_stride() * (slots.size() - 1) + c.layout.trainable_bytes();
    c.slots = std::make_shared<Block>(BlockOf(file, file->bytes().subspan(arenas[1].offset, bytes)));
  }
  const std::string seed =
      header.contains("seed") && header["seed"].is_string() ? header["seed"].get<std::string>() : "";
  c.seed = SeedFrom(seed);
  if (!c.seed) Fail(path, ": 'seed' is not a number of 64 bits");
  c.SetIterations(IngotIterations(opened, path), path);
  if (c.optimizer && !c.slots && c.iterations > 0 && c.layout.trainable_bytes() > 0 && !SlotsOf(*c.optimizer).empty())
    Fail(path, ": holds no optimizer slots, though ", c.iterations, " steps were done by ", c.optimizer->class_name());
  if (c.optimizer) c.fit = IngotFit(opened, path);
  return c;
}

void ReadIngotWeights(const std::string& path, const ReadOptions& options, Checkpoint& into) {
  const IngotFile file = OpenIngot(path, options.mode, options.report);
  if (!options.copy) into.image = file.file;
  std::vector<StoredTensor> tensors = IngotWeights(file, path);
  if (into.optimizer && file.compiled()) {  // a model that was not has no state to give
    into.fit = IngotFit(file, path);
    const std::vector<std::string> own = into.layout.names();
    std::set<std::string> trained;
    for (const size_t i : TrainedVariables(*into.network, into.layout)) trained.insert(own[i]);
    const size_t weights = tensors.size();
    for (size_t s = 1; s < file.arenas.size(); ++s)
      for (size_t i = 0; i < weights; ++i)
        if (trained.contains(tensors[i].name)) {
          std::optional<StoredTensor> slot = IngotSlot(file, s, tensors[i]);
          if (!slot) Fail(path, ", ", tensors[i].name, ": lies outside its arena; the file is damaged");
          tensors.push_back(std::move(*slot));
        }
    tensors.push_back(StoredScalar(kIterations, IngotIterations(file, path)));
  }
  TakeNamed(tensors, into, path);
}

}  // namespace ingot
