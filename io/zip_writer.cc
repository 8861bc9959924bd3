// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cstdint>

#include "ingot/core/error.h"
#include "ingot/io/zip.h"
#include "ingot/io/zip_format.h"

namespace ingot {
namespace {

using namespace zip;

// A record to write, number after number.
class Record {
 public:
  template <class T>
  Record& Put(T value) {
    text_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  Record& Text(const std::string& text) {
    text_ += text;
    return *this;
  }
  Record& Zeros(size_t bytes) {
    text_.append(bytes, '\0');
    return *this;
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

constexpr uint16_t kDate = 0 << 9 | 1 << 5 | 1;  // 1980-01-01, the first there is
constexpr uint16_t kUnix = 3 << 8;
constexpr uint32_t kMode = 0100644u << 16;

uint32_t Clamp32(uint64_t value) { return static_cast<uint32_t>(std::min<uint64_t>(value, kMax32)); }

uint16_t VersionNeeded(bool zip64) { return zip64 ? 45 : 20; }

// From version needed to sizes, in both headers alike.
void PutDescription(Record& record, const std::string& name, uint64_t size, uint32_t crc, bool zip64) {
  const bool ascii = std::all_of(name.begin(), name.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  record.Put(VersionNeeded(zip64)).Put<uint16_t>(ascii ? 0 : kUtf8).Put(kStored).Put<uint16_t>(0).Put(kDate);
  record.Put(crc).Put(Clamp32(size)).Put(Clamp32(size)).Put(static_cast<uint16_t>(name.size()));
}

}  // namespace

void ZipWriter::Put(const void* data, size_t bytes) {
  sink_(data, bytes);
  at_ += bytes;
}

void ZipWriter::Add(const std::string& name, const std::function<void(const Sink&)>& write, size_t alignment) {
  INGOT_CHECK(alignment >= 1 && alignment <= 32768);
  if (name.empty() || name.size() > kMax16) Fail("a zip member's name has 1 to ", kMax16, " bytes, not ", name.size());
  if (!names_.insert(name).second) Fail("two members of a zip archive would be named '", name, "'");
  Entry entry{name, at_, 0, 0};
  write([&](const void* data, size_t bytes) {
    entry.size += bytes;
    entry.crc = Crc32(data, bytes, entry.crc);
  });

  const bool zip64 = entry.size >= kMax32;
  Record extra;
  if (zip64) extra.Put(kZip64Field).Put<uint16_t>(16).Put(entry.size).Put(entry.size);
  const size_t headed = kLocalBytes + name.size() + extra.text().size();
  size_t padding = (alignment - (at_ + headed) % alignment) % alignment;
  if (padding) {
    while (padding < 6) padding += alignment;
    extra.Put(kAlignmentField).Put(static_cast<uint16_t>(padding - 4)).Put(static_cast<uint16_t>(alignment));
    extra.Zeros(padding - 6);
  }
  Record local;
  local.Put(kLocal);
  PutDescription(local, name, entry.size, entry.crc, zip64);
  local.Put(static_cast<uint16_t>(extra.text().size())).Text(name).Text(extra.text());
  Put(local.text().data(), local.text().size());

  const uint64_t begin = at_;
  write([&](const void* data, size_t bytes) { Put(data, bytes); });
  if (at_ - begin != entry.size)
    Fail("zip member '", name, "': ", entry.size, " bytes were announced, ", at_ - begin, " came");
  entries_.push_back(std::move(entry));
}

void ZipWriter::Finish() {
  const uint64_t begin = at_;
  for (const Entry& entry : entries_) {
    Record numbers;  // of the zip64 field
    if (entry.size >= kMax32) numbers.Put(entry.size).Put(entry.size);
    if (entry.offset >= kMax32) numbers.Put(entry.offset);
    const auto bytes = static_cast<uint16_t>(numbers.text().size());
    Record record;
    record.Put(kEntry).Put<uint16_t>(kUnix | VersionNeeded(bytes));
    PutDescription(record, entry.name, entry.size, entry.crc, bytes);
    record.Put<uint16_t>(bytes ? bytes + 4 : 0).Zeros(6).Put(kMode).Put(Clamp32(entry.offset)).Text(entry.name);
    if (bytes) record.Put(kZip64Field).Put(bytes).Text(numbers.text());
    Put(record.text().data(), record.text().size());
  }
  const uint64_t end = at_, members = entries_.size();
  Record record;
  if (members >= kMax16 || begin >= kMax32 || end - begin >= kMax32) {
    record.Put(kEnd64).Put<uint64_t>(kEnd64Bytes - 12).Put<uint16_t>(kUnix | 45).Put<uint16_t>(45);
    record.Put<uint32_t>(0).Put<uint32_t>(0).Put(members).Put(members).Put(end - begin).Put(begin);
    record.Put(kLocator64).Put<uint32_t>(0).Put(end).Put<uint32_t>(1);
  }
  const auto count = static_cast<uint16_t>(std::min<uint64_t>(members, kMax16));
  record.Put(kEnd).Put<uint32_t>(0).Put(count).Put(count).Put(Clamp32(end - begin)).Put(Clamp32(begin));
  record.Put<uint16_t>(0);
  Put(record.text().data(), record.text().size());
}

}  // namespace ingot
