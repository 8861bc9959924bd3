// SPDX-License-Identifier: MIT
//
// Zip archives as Keras and NumPy write them: stored or deflated members, zip64 where sizes ask for it. Read in place
// from a mapped file; written in one pass.
//
// Trust nothing: members that overlap, leave the file, bear one name twice, are encrypted, differ between directory and
// local header, or would inflate to more than the limit are Errors that name the archive and the member. Nothing is
// ever extracted to a path, so names such as "../x" do no harm.
//
// A ZipReader may be used by many threads at once.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ingot/io/stored.h"

namespace ingot {

class ZipReader {
 public:
  struct Member {
    std::string name;
    Bytes stored;  // as it lies in the archive
    bool deflated = false;
    uint64_t size = 0;  // inflated
    uint32_t crc = 0;
  };
  // Reads the directory and the local headers, not the members.
  ZipReader(Bytes archive, std::shared_ptr<const void> owner, const std::string& where);

  const std::vector<Member>& members() const { return members_; }  // as the directory lists them
  const Member* find(std::string_view name) const;                 // null if there is none
  // The bytes of a member: in place where it is stored, else inflated. `owner` is set to what keeps them alive.
  // `check`: compare the CRC, which reads all of it.
  Bytes Read(const Member& member, std::shared_ptr<const void>& owner, bool check = true) const;

  // What all deflated members together may inflate to: 1 GiB, or this many times the archive if that is more. (Deflate
  // can reach 1032 times, weights come to 1.1 times, an optimizer's slots of zeros next to them to perhaps 4.)
  static constexpr uint64_t kMaxInflated = uint64_t{1} << 30;
  static constexpr uint64_t kMaxRatio = 32;

 private:
  Bytes archive_;
  std::shared_ptr<const void> owner_;
  std::string where_;
  std::vector<Member> members_;
  std::vector<size_t> by_name_;  // indices of members_, names ascending
};

class ZipWriter {
 public:
  explicit ZipWriter(Sink sink) : sink_(std::move(sink)) {}
  // One member, stored. `write` is called twice with the same bytes to give: once to learn size and CRC, so that the
  // archive needs no seeking. Its data begins at a multiple of `alignment` bytes (by an extra field, as zipalign does).
  // The same members give the same archive: all are of 1980-01-01.
  // REQUIRES: 1 <= alignment <= 32768
  void Add(const std::string& name, const std::function<void(const Sink&)>& write, size_t alignment = 64);
  void Finish();  // the directory

 private:
  struct Entry {
    std::string name;
    uint64_t offset, size;
    uint32_t crc;
  };
  void Put(const void* data, size_t bytes);

  Sink sink_;
  uint64_t at_ = 0;
  std::vector<Entry> entries_;
  std::set<std::string> names_;
};

uint32_t Crc32(const void* data, size_t bytes, uint32_t crc = 0);  // zip's

}  // namespace ingot
