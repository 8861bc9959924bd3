// SPDX-License-Identifier: MIT
//
// What the reader and the writer of zip archives both know. The format is PKWARE's APPNOTE.TXT, of which Keras and
// NumPy use this much:
//
//   local header, name, extra fields, data     once a member (a data descriptor may follow; it says nothing new)
//   entry, name, extra fields, comment         once a member, all in one place: the directory
//   zip64 end and its locator                  where a number below does not fit its 16 or 32 bits
//   end, comment                               where the directory is, how long, how many members
//
// A number that does not fit is written as all ones, and in full in the extra field 1 ("zip64") or in the zip64 end.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ingot::zip {

inline constexpr uint32_t kLocal = 0x04034b50, kEntry = 0x02014b50, kEnd = 0x06054b50;
inline constexpr uint32_t kEnd64 = 0x06064b50, kLocator64 = 0x07064b50;
inline constexpr size_t kLocalBytes = 30, kEntryBytes = 46, kEndBytes = 22, kEnd64Bytes = 56, kLocator64Bytes = 20;

inline constexpr uint16_t kZip64Field = 1;
inline constexpr uint16_t kAlignmentField = 0xd935;  // zipalign's: the alignment, then zeros
inline constexpr uint16_t kMax16 = 0xffff;
inline constexpr uint32_t kMax32 = 0xffffffff;

inline constexpr uint16_t kEncrypted = 1 << 0 | 1 << 6 | 1 << 13;
inline constexpr uint16_t kDescriptor = 1 << 3;
inline constexpr uint16_t kUtf8 = 1 << 11;
inline constexpr uint16_t kStored = 0, kDeflated = 8;
inline constexpr uint64_t kMaxDeflateRatio = 1032;  // 258 bytes for 2 bits

}  // namespace ingot::zip
