// SPDX-License-Identifier: MIT
#include "ingot/io/hdf5_image.h"

#include <bit>

namespace ingot::hdf5 {

std::string Image::Place() const {
  return attribute.empty() ? "/" + path : "attribute '" + attribute + "' of /" + path;
}

void Image::Need(const std::string& feature) {
  if (needed_.empty()) needed_ = Place() + ": " + feature;
}

void Image::OutOfFile(uint64_t address, uint64_t size, const char* what) const {
  Refuse(what, " of ", size, " bytes at ", address, " leaves the file of ", bytes_.size(),
         " bytes; the file is damaged or cut short");
}

void Image::Spent() const {
  Refuse("here the objects read come to more than ", kPerByte, " times the file's size of ", bytes_.size(),
         " bytes; the file is damaged, or links the same objects over and over");
}

uint64_t Cursor::UInt(int bytes) {
  uint64_t value = 0;
  std::memcpy(&value, Take(static_cast<uint64_t>(bytes)).data(), static_cast<size_t>(bytes));
  return value;
}

void Cursor::TooShort(uint64_t n) const {
  image_->Refuse(what_, " at ", image_->AddressOf(bytes_), " ends after ", bytes_.size(), " bytes, but ", n,
                 " more are expected at its byte ", at_, "; the file is damaged");
}

void Cursor::Expect(std::string_view signature) {
  const Bytes found = Take(signature.size());
  if (std::memcmp(found.data(), signature.data(), signature.size()) != 0)
    image_->Refuse(what_, " expected at ", image_->AddressOf(found), ", but there is no signature ",
                   signature.substr(0, 4), "; the file is damaged");
}

// Bob Jenkins' lookup3 ("hashlittle"): twelve bytes at a time into three words that are then mixed.
static uint32_t Lookup3(Bytes bytes) {
  size_t left = bytes.size();
  uint32_t a = 0xdeadbeef + static_cast<uint32_t>(left), b = a, c = a;
  const std::byte* p = bytes.data();
  const auto add = [&](size_t n) {  // n <= 12 bytes, missing ones as zeros
    uint32_t words[3] = {};
    std::memcpy(words, p, n);
    a += words[0], b += words[1], c += words[2];
  };
  for (; left > 12; left -= 12, p += 12) {
    add(12);
    a -= c, a ^= std::rotl(c, 4), c += b;
    b -= a, b ^= std::rotl(a, 6), a += c;
    c -= b, c ^= std::rotl(b, 8), b += a;
    a -= c, a ^= std::rotl(c, 16), c += b;
    b -= a, b ^= std::rotl(a, 19), a += c;
    c -= b, c ^= std::rotl(b, 4), b += a;
  }
  if (left == 0) return c;
  add(left);
  c ^= b, c -= std::rotl(b, 14);
  a ^= c, a -= std::rotl(c, 11);
  b ^= a, b -= std::rotl(a, 25);
  c ^= b, c -= std::rotl(b, 16);
  a ^= c, a -= std::rotl(c, 4);
  b ^= a, b -= std::rotl(a, 14);
  c ^= b, c -= std::rotl(b, 24);
  return c;
}

Bytes Checked(const Image& image, Bytes with_checksum, const char* what) {
  if (with_checksum.size() < 4)
    image.Refuse(what, " at ", image.AddressOf(with_checksum), " is too short for its checksum; the file is damaged");
  const Bytes body = with_checksum.first(with_checksum.size() - 4);
  uint32_t stored;
  std::memcpy(&stored, with_checksum.data() + body.size(), 4);
  if (const uint32_t sum = Lookup3(body); stored != sum)
    image.Refuse(what, " at ", image.AddressOf(body), " does not match its checksum: its ", body.size(), " bytes give ",
                 sum, ", the file says ", stored, "; it is damaged");
  return body;
}

}  // namespace ingot::hdf5
