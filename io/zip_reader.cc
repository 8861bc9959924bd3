// SPDX-License-Identifier: MIT
//
// The directory is what counts. Local headers are held against it, since other readers may believe them instead.
#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <numeric>

#include "ingot/core/error.h"
#include "ingot/io/zip.h"
#include "ingot/io/zip_format.h"

namespace ingot {
namespace {

using namespace zip;

// The numbers of a record, one after the other.
class Cursor {
 public:
  explicit Cursor(Bytes bytes) : rest_(bytes) {}
  size_t left() const { return rest_.size(); }

  // REQUIRES: so much is left
  template <class T>
  T Take() {
    T value;
    std::memcpy(&value, Skip(sizeof value).data(), sizeof value);
    return value;
  }
  Bytes Skip(size_t bytes) {
    INGOT_CHECK(bytes <= rest_.size());
    const Bytes skipped = rest_.first(bytes);
    rest_ = rest_.subspan(bytes);
    return skipped;
  }

 private:
  Bytes rest_;
};

std::string AsText(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

// Bytes offset .. offset + count - 1, or an Error.
Bytes Part(Bytes all, uint64_t offset, uint64_t count, const std::string& where, const char* what) {
  if (offset > all.size() || count > all.size() - offset)
    Fail(where, ": ", what, " of ", count, " bytes at offset ", offset, " leaves the archive of ", all.size(),
         " bytes");
  return all.subspan(offset, count);
}

// What directory entries and local headers both say.
struct Description {
  uint16_t flags, method;
  uint32_t crc;
  uint64_t stored, size;
};

// Puts the numbers of the zip64 field in place of those that did not fit, in the order the format has them.
void ReadZip64(Bytes extra, std::initializer_list<uint64_t*> numbers, const std::string& where) {
  for (Cursor fields(extra); fields.left() >= 4;) {
    const auto id = fields.Take<uint16_t>();
    const auto bytes = fields.Take<uint16_t>();
    if (bytes > fields.left())
      Fail(where, ": extra field ", id, " has ", bytes, " bytes, only ", fields.left(), " are there");
    Cursor field(fields.Skip(bytes));
    if (id != kZip64Field) continue;
    for (uint64_t* number : numbers) {
      if (*number != kMax32) continue;
      if (field.left() < 8) Fail(where, ": its zip64 field of ", bytes, " bytes is too short");
      *number = field.Take<uint64_t>();
    }
    return;
  }
}

struct Directory {
  uint64_t members, bytes, offset;
};

// The end record is the last that, with its comment, reaches just to the end of the file.
size_t FindEnd(Bytes archive, const std::string& where) {
  if (archive.size() >= kEndBytes) {
    const size_t last = archive.size() - kEndBytes;
    const size_t first = last > kMax16 ? last - kMax16 : 0;
    for (size_t at = last + 1; at-- > first;) {
      if (archive[at] != std::byte{'P'}) continue;
      Cursor end(archive.subspan(at, kEndBytes));
      if (end.Take<uint32_t>() != kEnd) continue;
      end.Skip(kEndBytes - 6);
      if (end.Take<uint16_t>() == last - at) return at;
    }
  }
  Fail(where, ": is not a zip archive, or was cut short: none ends in its ", archive.size(), " bytes");
}

Directory ReadEnd(Bytes archive, const std::string& where) {
  const size_t at = FindEnd(archive, where);
  Cursor end(archive.subspan(at + 4, kEndBytes - 4));
  uint64_t disk = end.Take<uint16_t>(), first_disk = end.Take<uint16_t>();
  uint64_t here = end.Take<uint16_t>();
  Directory d{};
  d.members = end.Take<uint16_t>();
  d.bytes = end.Take<uint32_t>();
  d.offset = end.Take<uint32_t>();
  uint64_t limit = at;

  const bool full = disk == kMax16 || here == kMax16 || d.members == kMax16 || d.bytes == kMax32 || d.offset == kMax32;
  if (full && at >= kLocator64Bytes) {
    Cursor locator(archive.subspan(at - kLocator64Bytes, kLocator64Bytes));
    // Without one the numbers mean themselves: 65535 members are as many as 16 bits can say.
    if (locator.Take<uint32_t>() == kLocator64) {
      locator.Skip(4);
      limit = locator.Take<uint64_t>();
      Cursor end64(Part(archive.first(at - kLocator64Bytes), limit, kEnd64Bytes, where, "the zip64 end"));
      if (end64.Take<uint32_t>() != kEnd64) Fail(where, ": at offset ", limit, " there is no zip64 end");
      end64.Skip(12);
      disk = end64.Take<uint32_t>(), first_disk = end64.Take<uint32_t>();
      here = end64.Take<uint64_t>();
      d.members = end64.Take<uint64_t>();
      d.bytes = end64.Take<uint64_t>();
      d.offset = end64.Take<uint64_t>();
    }
  }
  if (disk != 0 || first_disk != 0 || here != d.members) Fail(where, ": is one part of an archive in several");
  Part(archive.first(limit), d.offset, d.bytes, where, "the directory");
  if (d.members > d.bytes / kEntryBytes)
    Fail(where, ": a directory of ", d.bytes, " bytes cannot list ", d.members, " members");
  return d;
}

// From version needed to sizes, in both headers alike.
Description ReadDescription(Cursor& fields) {
  Description d;
  fields.Skip(2);
  d.flags = fields.Take<uint16_t>();
  d.method = fields.Take<uint16_t>();
  fields.Skip(4);  // time and date
  d.crc = fields.Take<uint32_t>();
  d.stored = fields.Take<uint32_t>();
  d.size = fields.Take<uint32_t>();
  return d;
}

// Where the member's data begins.
uint64_t ReadLocal(Bytes before_directory, uint64_t offset, const std::string& name, const Description& want,
                   const std::string& where) {
  Cursor local(Part(before_directory, offset, kLocalBytes, where, "the local header"));
  if (local.Take<uint32_t>() != kLocal) Fail(where, ": at offset ", offset, " there is no local header");
  Description have = ReadDescription(local);
  const size_t name_bytes = local.Take<uint16_t>(), extra_bytes = local.Take<uint16_t>();
  const uint64_t begin = offset + kLocalBytes;
  Cursor rest(Part(before_directory, begin, name_bytes + extra_bytes, where, "the local header"));
  const std::string local_name = AsText(rest.Skip(name_bytes));
  if (local_name != name) Fail(where, ": its local header at offset ", offset, " names it '", local_name, "'");
  ReadZip64(rest.Skip(extra_bytes), {&have.size, &have.stored}, where);
  const bool described_later = have.flags & kDescriptor;
  if (have.method != want.method || (have.flags & kEncrypted) != 0 ||
      (!described_later && (have.crc != want.crc || have.stored != want.stored || have.size != want.size)))
    Fail(where, ": its local header at offset ", offset, " differs from the directory");
  return begin + name_bytes + extra_bytes;
}

// Raw deflate, to exactly as many bytes as promised.
class Inflater {
 public:
  Inflater() {
    if (inflateInit2(&stream_, -MAX_WBITS) != Z_OK) throw std::bad_alloc();
  }
  ~Inflater() { inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  void Run(Bytes from, std::byte* dst, uint64_t size, const std::string& where) {
    // zlib counts in 32 bits: both ends are handed to it in pieces.
    constexpr uint64_t kPiece = uint64_t{1} << 30;
    uint64_t taken = 0, given = 0;
    int status = Z_OK;
    while (status == Z_OK) {
      const auto in = static_cast<uInt>(std::min<uint64_t>(kPiece, from.size() - taken));
      const auto out = static_cast<uInt>(std::min<uint64_t>(kPiece, size - given));
      stream_.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(from.data() + taken));
      stream_.avail_in = in;
      stream_.next_out = reinterpret_cast<Bytef*>(dst + given);
      stream_.avail_out = out;
      status = inflate(&stream_, Z_NO_FLUSH);
      taken += in - stream_.avail_in;
      given += out - stream_.avail_out;
    }
    if (status == Z_STREAM_END && given == size && taken == from.size()) return;
    Fail(where, ": its deflated data is damaged: ", taken, " of ", from.size(), " bytes gave ", given, " of ", size,
         stream_.msg ? std::string(", then: ") + stream_.msg : std::string());
  }

 private:
  z_stream stream_{};
};

}  // namespace

ZipReader::ZipReader(Bytes archive, std::shared_ptr<const void> owner, const std::string& where)
    : archive_(archive), owner_(std::move(owner)), where_(where) {
  const Directory directory = ReadEnd(archive, where);
  const Bytes before = archive.first(directory.offset);
  Cursor entries(archive.subspan(directory.offset, directory.bytes));
  struct Extent {
    uint64_t begin, end;
    size_t member;
  };
  std::vector<Extent> extents;
  members_.reserve(directory.members);
  extents.reserve(directory.members);
  const uint64_t limit = std::max<uint64_t>(kMaxInflated, kMaxRatio * archive.size());
  uint64_t inflated = 0;
  for (uint64_t i = 0; i < directory.members; ++i) {
    if (entries.left() < kEntryBytes) Fail(where, ": the directory ends at member ", i, " of ", directory.members);
    Cursor entry(entries.Skip(kEntryBytes));
    if (entry.Take<uint32_t>() != kEntry) Fail(where, ": the directory has no entry for member ", i);
    entry.Skip(2);
    Description d = ReadDescription(entry);
    const size_t name_bytes = entry.Take<uint16_t>(), extra_bytes = entry.Take<uint16_t>();
    const size_t comment_bytes = entry.Take<uint16_t>();
    entry.Skip(8);  // disk and attributes
    uint64_t offset = entry.Take<uint32_t>();
    if (name_bytes + extra_bytes + comment_bytes > entries.left())
      Fail(where, ": the directory ends within the entry of member ", i);
    Member member;
    member.name = AsText(entries.Skip(name_bytes));
    if (member.name.empty() || member.name.find('\0') != std::string::npos)
      Fail(where, ": member ", i, " has no name, or one with a zero byte");
    const std::string at = where + ", member '" + member.name + "'";
    ReadZip64(entries.Skip(extra_bytes), {&d.size, &d.stored, &offset}, at);
    entries.Skip(comment_bytes);

    if (d.flags & kEncrypted) Fail(at, ": is encrypted");
    if (d.method != kStored && d.method != kDeflated)
      Fail(at, ": is compressed by method ", d.method, "; stored (0) and deflated (8) can be read");
    const uint64_t begin = ReadLocal(before, offset, member.name, d, at);
    member.stored = Part(before, begin, d.stored, at, "its data");
    member.deflated = d.method == kDeflated;
    member.size = d.size;
    member.crc = d.crc;
    if (!member.deflated && d.size != d.stored)
      Fail(at, ": is stored, yet has ", d.stored, " bytes for a size of ", d.size);
    if (member.deflated && d.size / kMaxDeflateRatio > d.stored)
      Fail(at, ": ", d.stored, " bytes cannot inflate to ", d.size);
    if (member.deflated && (d.size > limit || (inflated += d.size) > limit))
      Fail(at, ": would inflate to ", d.size, " bytes; all members of an archive of ", archive.size(),
           " bytes may have ", limit);
    extents.push_back({offset, begin + d.stored, members_.size()});
    members_.push_back(std::move(member));
  }
  if (entries.left()) Fail(where, ": the directory goes on after its ", directory.members, " members");

  std::sort(extents.begin(), extents.end(), [](const Extent& a, const Extent& b) { return a.begin < b.begin; });
  for (size_t i = 1; i < extents.size(); ++i)
    if (extents[i].begin < extents[i - 1].end)
      Fail(where, ": members '", members_[extents[i - 1].member].name, "' and '", members_[extents[i].member].name,
           "' overlap at offset ", extents[i].begin);

  by_name_.resize(members_.size());
  std::iota(by_name_.begin(), by_name_.end(), size_t{0});
  const auto name = [&](size_t i) -> const std::string& { return members_[i].name; };
  std::sort(by_name_.begin(), by_name_.end(), [&](size_t a, size_t b) { return name(a) < name(b); });
  for (size_t i = 1; i < by_name_.size(); ++i)
    if (name(by_name_[i]) == name(by_name_[i - 1])) Fail(where, ": two members are named '", name(by_name_[i]), "'");
}

const ZipReader::Member* ZipReader::find(std::string_view name) const {
  const auto at = std::lower_bound(by_name_.begin(), by_name_.end(), name,
                                   [&](size_t i, std::string_view wanted) { return members_[i].name < wanted; });
  return at != by_name_.end() && members_[*at].name == name ? &members_[*at] : nullptr;
}

Bytes ZipReader::Read(const Member& member, std::shared_ptr<const void>& owner, bool check) const {
  const std::string at = where_ + ", member '" + member.name + "'";
  Bytes bytes = member.stored;
  owner = owner_;
  if (member.deflated) {
    // Not cleared: pages are taken as data comes. One byte at least, since zlib refuses null.
    const std::shared_ptr<std::byte[]> memory(new (std::nothrow) std::byte[std::max<uint64_t>(1, member.size)]);
    if (!memory) Fail(at, ": there is no memory for its ", member.size, " bytes");
    Inflater().Run(member.stored, memory.get(), member.size, at);
    bytes = Bytes(memory.get(), member.size);
    owner = memory;
  }
  if (check) {
    const uint32_t crc = Crc32(bytes.data(), bytes.size());
    if (crc != member.crc)
      Fail(at, ": is damaged: its CRC is ", crc, ", the archive says ", member.crc, "; get the file anew");
  }
  return bytes;
}

}  // namespace ingot
