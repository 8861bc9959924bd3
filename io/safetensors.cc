// SPDX-License-Identifier: MIT
//
// The header is one JSON object:
//   {"__metadata__": {"format": "pt"}, "dense/kernel": {"dtype": "F32", "shape": [784, 10], "data_offsets": [0,
//   31360]}}
// Offsets count from the end of the header. The tensors cover the data without a hole, and without overlapping.
//
// It is read event by event and not as a tree: a tree forgets that a key came twice, and a hundred megabytes of header
// would make gigabytes of it.
#include "ingot/io/safetensors.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "ingot/core/crc32c.h"
#include "ingot/core/error.h"
#include "ingot/core/fields.h"
#include "ingot/core/threads.h"

namespace ingot {
namespace {

constexpr uint64_t kMaxHeader = 100'000'000;  // as the reference implementation has it
constexpr size_t kLengthBytes = 8;
constexpr size_t kAlignment = 64;
constexpr const char* kMetadata = "__metadata__";
constexpr const char* kChecksums = "ingot.crc32c";

struct Spelling {
  StoredType type;
  const char* dtype;
};
constexpr Spelling kSpellings[] = {
    {StoredType::kFloat16, "F16"}, {StoredType::kBfloat16, "BF16"}, {StoredType::kFloat32, "F32"},
    {StoredType::kFloat64, "F64"}, {StoredType::kInt8, "I8"},       {StoredType::kInt16, "I16"},
    {StoredType::kInt32, "I32"},   {StoredType::kInt64, "I64"},     {StoredType::kUint8, "U8"},
    {StoredType::kUint16, "U16"},  {StoredType::kUint32, "U32"},    {StoredType::kUint64, "U64"},
    {StoredType::kBool, "BOOL"},
};
static_assert(std::size(kSpellings) == static_cast<size_t>(StoredType::kBool) + 1, "one for each type");

struct Entry {
  std::string name;
  std::optional<StoredType> type;
  std::optional<Shape> shape;
  std::optional<std::pair<uint64_t, uint64_t>> offsets;
};

// The events of the parser. Where it is: 0 outside, 1 among the names, 2 in an entry or in the metadata, 3 in a list.
class Handler : public nlohmann::json_sax<Json> {
 public:
  Handler(const std::string& where, Safetensors& file) : where_(where), file_(file) {}
  std::vector<Entry>& entries() { return entries_; }

  bool start_object(size_t) override {
    if (depth_ >= 2) Unexpected("an object");
    ++depth_;
    return true;
  }
  bool end_object() override {
    if (depth_-- == 2 && name_ != kMetadata) {
      const Entry& entry = entries_.back();
      if (!entry.type || !entry.shape || !entry.offsets) Fail(At(), ": lacks dtype, shape or data_offsets");
    }
    return true;
  }
  bool key(std::string& key) override {
    if (depth_ == 1) {
      name_ = key;
      key_.clear();
      if (!names_.insert(key).second) Fail(where_, ": two tensors are named '", key, "'");
      if (key != kMetadata) entries_.push_back({key, {}, {}, {}});
    } else {
      key_ = key;
      if (name_ != kMetadata && key != "dtype" && key != "shape" && key != "data_offsets")
        Fail(At(), ": its key '", key, "' is unknown; dtype, shape and data_offsets are expected");
    }
    return true;
  }
  bool start_array(size_t) override {
    if (depth_ != 2 || name_ == kMetadata || (key_ != "shape" && key_ != "data_offsets")) Unexpected("a list");
    ++depth_;
    list_.clear();
    return true;
  }
  bool end_array() override {
    --depth_;
    Entry& entry = entries_.back();
    if (key_ == "shape") {
      if (entry.shape) Twice();
      if (list_.size() > static_cast<size_t>(kMaxRank)) Fail(At(), ": has ", list_.size(), " axes, at most 8 are read");
      Shape shape;
      for (const uint64_t dim : list_) {
        if (dim > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) Fail(At(), ": has an extent of ", dim);
        shape.push_back(static_cast<int64_t>(dim));
      }
      entry.shape = shape;
    } else {
      if (entry.offsets) Twice();
      if (list_.size() != 2) Fail(At(), ": has ", list_.size(), " data_offsets, 2 are expected");
      entry.offsets = {list_[0], list_[1]};
    }
    return true;
  }
  bool number_unsigned(uint64_t value) override {
    if (depth_ != 3) Unexpected("a number");
    list_.push_back(value);
    return true;
  }
  bool string(std::string& value) override {
    if (depth_ == 2 && name_ == kMetadata) {
      if (!file_.metadata.emplace(key_, std::move(value)).second) Twice();
    } else if (depth_ == 2 && key_ == "dtype") {
      if (entries_.back().type) Twice();
      entries_.back().type = TypeOf(value);
    } else {
      Unexpected("a string");
    }
    return true;
  }
  bool null() override { Unexpected("null"); }
  bool boolean(bool) override { Unexpected("a truth value"); }
  bool number_integer(int64_t value) override { Unexpected(Text("the number ", value)); }
  bool number_float(double, const std::string& text) override { Unexpected("the number " + text); }
  bool binary(Json::binary_t&) override { Unexpected("binary data"); }
  bool parse_error(size_t offset, const std::string&, const Json::exception& e) override {
    Fail(where_, ": the header is not JSON at byte ", offset, " of it: ", e.what());
  }

 private:
  std::string At() const { return name_.empty() ? where_ : where_ + ", tensor '" + name_ + "'"; }
  [[noreturn]] void Unexpected(const std::string& what) const {
    Fail(At(), ": ", key_.empty() ? "" : "under '" + key_ + "' ", "there is ", what,
         ", which has no place there in a safetensors header");
  }
  [[noreturn]] void Twice() const { Fail(At(), ": '", key_, "' is there twice"); }
  StoredType TypeOf(const std::string& dtype) const {
    for (const Spelling& spelling : kSpellings)
      if (dtype == spelling.dtype) return spelling.type;
    Fail(At(), ": its dtype '", dtype, "' is not read; F16, BF16, F32, F64, I8 to I64, U8 to U64 and BOOL are");
  }

  const std::string& where_;
  Safetensors& file_;
  int depth_ = 0;
  std::string name_, key_;  // as far as known where we are
  std::set<std::string> names_;
  std::vector<Entry> entries_;
  std::vector<uint64_t> list_;
};

}  // namespace

Safetensors ReadSafetensors(Bytes file, const std::shared_ptr<const void>& owner, const std::string& where) {
  if (file.size() < kLengthBytes) Fail(where, ": is no safetensors file: it has ", file.size(), " bytes");
  uint64_t length = 0;
  std::memcpy(&length, file.data(), kLengthBytes);
  const size_t rest = file.size() - kLengthBytes;
  if (length > rest || length > kMaxHeader)
    Fail(where, ": is cut short or no safetensors file: a header of ", length, " bytes is announced, ", rest,
         " follow, ", kMaxHeader, " may be");
  const std::string_view text(reinterpret_cast<const char*>(file.data()) + kLengthBytes, length);
  if (!text.starts_with('{')) Fail(where, ": is no safetensors file: its header does not begin with '{'");
  Safetensors result;
  Handler handler(where, result);
  Json::sax_parse(text, &handler);

  std::vector<Entry>& entries = handler.entries();
  std::stable_sort(entries.begin(), entries.end(),
                   [](const Entry& a, const Entry& b) { return *a.offsets < *b.offsets; });
  const Bytes data = file.subspan(kLengthBytes + length);
  uint64_t covered = 0;
  result.tensors.reserve(entries.size());
  for (Entry& entry : entries) {
    const std::string at = where + ", tensor '" + entry.name + "'";
    const auto [begin, end] = *entry.offsets;
    if (begin > end || end > data.size())
      Fail(at, ": lies at ", begin, " to ", end, " of ", data.size(), " bytes of data");
    if (begin != covered)
      Fail(at, ": begins at ", begin, ", the tensor before it ends at ", covered, ": they may neither overlap nor ",
           "leave a hole");
    const size_t bytes = CheckedBytes(*entry.shape, *entry.type, end - begin, at);
    if (bytes != end - begin)
      Fail(at, ": has ", end - begin, " bytes, shape ", *entry.shape, " of ", Name(*entry.type), " takes ", bytes);
    covered = end;
    result.tensors.push_back({std::move(entry.name), *entry.type, *entry.shape, data.subspan(begin, bytes), owner});
  }
  if (covered != data.size())
    Fail(where, ": the tensors end at ", covered, ", the data has ", data.size(), " bytes: is one missing?");
  return result;
}

// Wider types first, as the reference implementation has it: so each lies at a multiple of its size.
void WriteSafetensors(const Safetensors& file, const Sink& sink) {
  std::vector<const StoredTensor*> order;
  order.reserve(file.tensors.size());
  for (const StoredTensor& tensor : file.tensors) order.push_back(&tensor);
  std::stable_sort(order.begin(), order.end(),
                   [](const StoredTensor* a, const StoredTensor* b) { return SizeOf(a->type) > SizeOf(b->type); });

  std::string head(kLengthBytes, '\0');
  std::set<std::string_view> names;
  uint64_t at = 0;
  try {
    // Written member by member: a Json object would search all names for each new one.
    head += '{';
    if (!file.metadata.empty()) head += Text(Json(kMetadata).dump(), ":", Json(file.metadata).dump());
    for (const StoredTensor* tensor : order) {
      if (tensor->name == kMetadata || !names.insert(tensor->name).second)
        Fail("tensor '", tensor->name, "' cannot be written to a safetensors file: the name is taken");
      const auto* spelling = std::find_if(std::begin(kSpellings), std::end(kSpellings),
                                          [&](const Spelling& s) { return s.type == tensor->type; });
      INGOT_CHECK(spelling != std::end(kSpellings));
      const Json shape(std::vector<int64_t>(tensor->shape.begin(), tensor->shape.end()));
      const uint64_t end = at + tensor->bytes.size();
      head += Text(head.back() == '{' ? "" : ",", Json(tensor->name).dump(), ":{\"dtype\":\"", spelling->dtype,
                   "\",\"shape\":", shape.dump(), ",\"data_offsets\":[", at, ",", end, "]}");
      at = end;
    }
    head += '}';
  } catch (const Json::exception& e) {
    Fail("a name or the metadata cannot be written to a safetensors file: ", e.what());
  }
  head.resize((head.size() + kAlignment - 1) / kAlignment * kAlignment, ' ');
  const uint64_t length = head.size() - kLengthBytes;
  if (length > kMaxHeader) Fail("a safetensors header of ", length, " bytes is beyond the ", kMaxHeader, " allowed");
  std::memcpy(head.data(), &length, kLengthBytes);
  sink(head.data(), head.size());
  for (const StoredTensor* tensor : order) sink(tensor->bytes.data(), tensor->bytes.size());
}

namespace {

std::vector<std::string> ChecksumsOf(const std::vector<StoredTensor>& tensors) {
  std::vector<std::string> sums(tensors.size());
  ThreadPool::Default().For(static_cast<int64_t>(tensors.size()), [&](int64_t i) {
    const Bytes bytes = tensors[static_cast<size_t>(i)].bytes;
    char text[9];
    std::snprintf(text, sizeof text, "%08x", Crc32c(bytes.data(), bytes.size()));
    sums[static_cast<size_t>(i)] = text;  // of 8 letters: held within, nothing is allocated
  });
  return sums;
}

}  // namespace

Safetensors WithChecksums(Safetensors file) {
  const std::vector<std::string> sums = ChecksumsOf(file.tensors);
  nlohmann::json all = nlohmann::json::object();  // sorted, so that many names take no time
  for (size_t i = 0; i < sums.size(); ++i) all[file.tensors[i].name] = sums[i];
  try {
    file.metadata[kChecksums] = all.dump();
  } catch (const Json::exception& e) {
    Fail("a name cannot be written to a safetensors file: ", e.what());
  }
  return file;
}

bool CheckChecksums(const Safetensors& file, const std::string& where) {
  const auto found = file.metadata.find(kChecksums);
  if (found == file.metadata.end()) return false;
  const nlohmann::json all = nlohmann::json::parse(found->second, nullptr, false);
  if (!all.is_object()) Fail(where, ": its metadata '", kChecksums, "' is no JSON object; the file is damaged");
  const std::vector<std::string> sums = ChecksumsOf(file.tensors);
  std::map<std::string, std::string> listed;
  for (const auto& [name, sum] : all.items()) listed[name] = sum.is_string() ? sum.get<std::string>() : "?";
  for (size_t i = 0; i < sums.size(); ++i) {
    const auto one = listed.find(file.tensors[i].name);
    if (one == listed.end())
      Fail(where, ": '", kChecksums, "' lists no tensor '", file.tensors[i].name, "'; the file is damaged");
    if (one->second != sums[i])
      Fail(where, ": tensor '", one->first, "' is damaged: its CRC32C is ", sums[i], ", the file says ", one->second,
           "; get the file anew");
  }
  if (listed.size() != sums.size())
    Fail(where, ": '", kChecksums, "' lists ", listed.size(), " tensors, the file holds ", sums.size());
  return true;
}

}  // namespace ingot
