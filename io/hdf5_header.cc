// SPDX-License-Identifier: MIT
#include "ingot/io/hdf5_header.h"

#include <vector>

namespace ingot::hdf5 {
namespace {

constexpr uint32_t kMaxMessages = 65535;  // what version 1 can count
constexpr const char* kWhat = "object header";
constexpr const char* kContinued = "object header's continuation";

struct Extent {
  uint64_t address, size;
};

Extent Continuation(const Image& image, Bytes message) {
  Cursor in(image, message, kContinued);
  const uint64_t address = in.U64();
  return {address, in.U64()};
}

Bytes Pop(std::vector<Bytes>& blocks) {
  const Bytes block = blocks.back();
  blocks.pop_back();
  return block;
}

using Each = std::function<void(uint16_t, uint8_t, Bytes)>;

void Version1(Image& image, uint64_t address, const Each& each) {
  Cursor head(image, image.At(address, 16, kWhat), kWhat);
  if (const uint8_t version = head.U8(); version != 1)
    image.Refuse("object header of version ", int{version}, " at ", address,
                 " is unknown; the file is damaged or too new");
  head.Skip(1);
  const uint32_t count = head.U16();
  head.Skip(4);  // how often it is linked
  uint32_t messages = 0;
  for (std::vector<Bytes> blocks{image.At(address + 16, head.U32(), kWhat)}; !blocks.empty() && messages < count;) {
    Cursor in(image, Pop(blocks), kWhat);
    for (; in.left() >= 8 && messages < count; ++messages) {
      image.Spend(8);
      const uint16_t type = in.U16(), bytes = in.U16();
      const uint8_t flags = in.U8();
      in.Skip(3);
      const Bytes message = in.Take(bytes);
      if (type != kContinuation) {
        each(type, flags, message);
      } else {
        const Extent next = Continuation(image, message);
        blocks.push_back(image.At(next.address, next.size, kContinued));
      }
    }
  }
}

void Version2(Image& image, uint64_t address, const Each& each) {
  Cursor head(image, image.At(address, image.bytes().size() - address, kWhat), kWhat);
  head.Expect("OHDR");
  if (const uint8_t version = head.U8(); version != 2)
    image.Refuse("object header of version ", int{version}, " is unknown; the file is damaged or too new");
  const uint8_t head_flags = head.U8();
  head.Skip((head_flags & 0x20 ? 16 : 0) + (head_flags & 0x10 ? 4 : 0));  // times; when attributes go elsewhere
  const uint64_t size = head.UInt(1 << (head_flags & 3)), begin = head.position();
  const size_t prefix = head_flags & 4 ? 6 : 4;
  image.Spend(size);  // for the checksum
  const Bytes first = Checked(image, image.At(address, begin + size + 4, kWhat), kWhat).subspan(begin);
  uint32_t messages = 0;
  for (std::vector<Bytes> blocks{first}; !blocks.empty();) {
    Cursor in(image, Pop(blocks), kWhat);
    while (in.left() >= prefix) {  // less is a gap
      if (++messages > kMaxMessages) image.Refuse("more than ", kMaxMessages, " messages; the file is damaged");
      image.Spend(8);
      const uint8_t type = in.U8();
      const uint16_t bytes = in.U16();
      const uint8_t flags = in.U8();
      in.Skip(prefix - 4);
      const Bytes message = in.Take(bytes);
      if (type != kContinuation) {
        each(type, flags, message);
      } else {
        const Extent next = Continuation(image, message);
        image.Spend(next.size);
        Cursor block(image, Checked(image, image.At(next.address, next.size, kContinued), kContinued), kContinued);
        block.Expect("OCHK");
        blocks.push_back(block.Take(block.left()));
      }
    }
  }
}

}  // namespace

void ForEachMessage(Image& image, uint64_t address, const Each& each) {
  if (CString(image.At(address, 4, kWhat)) == "OHDR")
    Version2(image, address, each);
  else
    Version1(image, address, each);
}

}  // namespace ingot::hdf5
