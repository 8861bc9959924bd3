// SPDX-License-Identifier: MIT
//
// An HDF5 file as untrusted bytes: every place in it is reached through At or a Cursor, which check it against the
// file's end, and every mistake ends in an Error that names the file, the object and the cause.
//
// All that a reader does is paid for by Spend: bytes of tree made, strings copied, messages looked at. The purse holds
// a fixed multiple of the file's size, so whatever shape its pointers have (cycles, one group linked a thousand times,
// strings shared by all elements of a list), time and memory stay within a multiple of what was given.
//
// Threads: one per Image.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "ingot/core/error.h"
#include "ingot/io/stored.h"

namespace ingot::hdf5 {

inline constexpr uint64_t kUndefined = ~uint64_t{0};  // the address of what was never allocated
inline constexpr int kMaxDepth = 128;                 // of groups in groups; Keras needs two for each level of models
inline constexpr std::string_view kSignature = "\x89HDF\r\n\x1a\n";

// Message types of object headers.
enum Message : uint16_t {
  kNil = 0x0,
  kDataspace = 0x1,
  kLinkInfo = 0x2,
  kDatatype = 0x3,
  kOldFill = 0x4,
  kFill = 0x5,
  kLink = 0x6,
  kExternalFiles = 0x7,
  kLayout = 0x8,
  kGroupInfo = 0xa,
  kFilters = 0xb,
  kAttribute = 0xc,
  kContinuation = 0x10,
  kSymbolTable = 0x11,
  kAttributeInfo = 0x15,
};

class Image {
 public:
  Image(Bytes bytes, const std::string& where)
      : bytes_(bytes), where_(where), room_(kPerByte * bytes.size() + (uint64_t{1} << 20)) {}

  Bytes bytes() const { return bytes_; }
  const std::string& where() const { return where_; }
  void Cut(uint64_t end) { bytes_ = bytes_.first(end); }  // the file ends here. REQUIRES: end <= bytes().size()

  Bytes At(uint64_t address, uint64_t size, const char* what) const {
    if (address > bytes_.size() || size > bytes_.size() - address) OutOfFile(address, size, what);
    return bytes_.subspan(address, size);
  }
  uint64_t AddressOf(Bytes part) const { return static_cast<uint64_t>(part.data() - bytes_.data()); }

  void Spend(uint64_t bytes) {
    if (bytes > room_) Spent();
    room_ -= bytes;
  }

  // A feature of the object at hand that only libhdf5 knows. The first is kept; reading goes on, so that all the rest
  // is checked before libhdf5 sees it.
  void Need(const std::string& feature);
  const std::string& needed() const { return needed_; }

  template <class... Parts>
  [[noreturn]] void Refuse(const Parts&... parts) const {
    Fail(where_, ": ", Place(), ": ", parts...);
  }

  std::string path;       // of the object at hand, "layers/dense"; the root is ""
  std::string attribute;  // of the attribute at hand, or ""

 private:
  static constexpr uint64_t kPerByte = 16;

  std::string Place() const;
  [[noreturn]] void OutOfFile(uint64_t address, uint64_t size, const char* what) const;
  [[noreturn]] void Spent() const;

  Bytes bytes_;
  const std::string& where_;
  uint64_t room_;
  std::string needed_;
};

// Reads little-endian fields one after the other. `what` names the structure in messages.
class Cursor {
 public:
  Cursor(const Image& image, Bytes bytes, const char* what) : image_(&image), bytes_(bytes), what_(what) {}

  Bytes Take(uint64_t n) {
    if (n > left()) TooShort(n);
    const Bytes taken = bytes_.subspan(at_, n);
    at_ += n;
    return taken;
  }
  template <class T>
  T Get() {
    T value;
    std::memcpy(&value, Take(sizeof value).data(), sizeof value);
    return value;
  }
  uint8_t U8() { return Get<uint8_t>(); }
  uint16_t U16() { return Get<uint16_t>(); }
  uint32_t U32() { return Get<uint32_t>(); }
  uint64_t U64() { return Get<uint64_t>(); }
  uint64_t UInt(int bytes);  // 1, 2, 4 or 8 of them
  void Skip(uint64_t n) { Take(n); }
  void Pad8() { Skip(std::min<uint64_t>((8 - at_ % 8) % 8, left())); }
  void Expect(std::string_view signature);

  size_t left() const { return bytes_.size() - at_; }
  size_t position() const { return at_; }

 private:
  [[noreturn]] void TooShort(uint64_t n) const;

  const Image* image_;
  Bytes bytes_;
  const char* what_;
  size_t at_ = 0;
};

// A link of a group is one name, never a path: libhdf5 would walk along it.
inline bool IsMemberName(std::string_view name) {
  return !name.empty() && name != "." && name.find_first_of(std::string_view("/\0", 2)) == name.npos;
}

// What precedes the last four bytes, which must be its checksum (Jenkins' lookup3).
Bytes Checked(const Image& image, Bytes with_checksum, const char* what);

// Up to the first NUL.
inline std::string_view CString(Bytes bytes) {
  const char* text = reinterpret_cast<const char*>(bytes.data());
  return {text, strnlen(text, bytes.size())};
}

}  // namespace ingot::hdf5
