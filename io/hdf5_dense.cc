// SPDX-License-Identifier: MIT
#include "ingot/io/hdf5_dense.h"

#include <algorithm>
#include <bit>

namespace ingot::hdf5 {
namespace {

constexpr int kMaxTreeDepth = 16;

// The fewest bytes that hold numbers up to `limit`.
int BytesFor(uint64_t limit) { return std::max(1, (static_cast<int>(std::bit_width(limit)) + 7) / 8); }

int Log2(uint64_t power) { return std::countr_zero(power); }

// Objects at offsets of a space that blocks cover. The blocks form a table of `width` columns: those of its first two
// rows have the size `start`, then sizes double from row to row. Up to `max_direct` bytes a block holds objects; larger
// ones are themselves such tables, with fewer rows.
class FractalHeap {
 public:
  FractalHeap(Image& image, uint64_t address) : image_(image), address_(address) {
    Cursor in(image, Checked(image, image.At(address, 146, "fractal heap"), "fractal heap"), "fractal heap");
    in.Expect(std::string_view("FRHP\0", 5));
    in.Skip(2);  // length of ids: their records say it
    filtered_ = in.U16() != 0;
    in.Skip(1);
    const uint32_t max_object = in.U32();
    in.Skip(12 * 8);  // large objects, free space, statistics
    width_ = in.U16(), start_ = in.U64(), max_direct_ = in.U64();
    const uint16_t bits = in.U16();
    in.Skip(2);
    root_ = in.U64(), rows_ = in.U16();
    if (!std::has_single_bit(width_) || !std::has_single_bit(start_) || !std::has_single_bit(max_direct_) ||
        max_direct_ < start_ || max_direct_ > UINT32_MAX || bits == 0 || bits > 64)
      image.Refuse("fractal heap at ", address, " has impossible sizes; the file is damaged");
    offset_bytes_ = (bits + 7) / 8;
    length_bytes_ = std::min(BytesFor(max_direct_), BytesFor(max_object));
    direct_rows_ = Log2(max_direct_) - Log2(start_) + 2;
    first_row_ = Log2(width_) + Log2(start_);
  }

  // Empty if libhdf5 is needed.
  Bytes Get(Bytes id) const {
    Cursor in(image_, id, "id of an object in a fractal heap");
    const int kind = in.U8() >> 4;
    if (filtered_ || kind == 1 || kind == 2) {
      image_.Need("a large or compressed object in a fractal heap");
      return {};
    }
    if (kind != 0) image_.Refuse("an object of kind ", kind, " in a fractal heap; the file is damaged");
    const uint64_t offset = in.UInt(offset_bytes_), length = in.UInt(length_bytes_);
    uint64_t block = root_, begin = 0, size = start_;
    for (int rows = rows_; rows != 0;) Descend(offset, block, begin, size, rows);
    if (offset < begin || offset - begin > size || length > size - (offset - begin)) Damaged(offset);
    Cursor head(image_, image_.At(block, size, "block of a fractal heap"), "block of a fractal heap");
    head.Expect(std::string_view("FHDB\0", 5));
    if (head.U64() != address_ || head.UInt(offset_bytes_) != begin) Damaged(offset);
    return image_.At(block + (offset - begin), length, "object in a fractal heap");
  }

 private:
  [[noreturn]] void Damaged(uint64_t offset) const {
    image_.Refuse("there is nothing at ", offset, " of the fractal heap at ", address_, "; the file is damaged");
  }

  // From a table of `rows` rows at `block`, whose part of the space begins at `begin`, to the block that covers
  // `offset`; rows = 0 if that one holds objects. Rows get fewer each time, so this ends.
  void Descend(uint64_t offset, uint64_t& block, uint64_t& begin, uint64_t& size, int& rows) const {
    if (offset < begin) Damaged(offset);
    const uint64_t at = offset - begin;
    const int row = at >> first_row_ == 0 ? 0 : static_cast<int>(std::bit_width(at)) - first_row_;
    if (row >= rows) Damaged(offset);
    size = start_ << std::max(0, row - 1);
    const uint64_t row_begin = row == 0 ? 0 : size * width_, column = (at - row_begin) / size;
    const uint64_t head = 13 + static_cast<uint64_t>(offset_bytes_);
    const uint64_t entry = static_cast<uint64_t>(row) * width_ + column;
    Cursor in(image_, image_.At(block, head + (entry + 1) * 8, "table of a fractal heap"), "table of a fractal heap");
    in.Expect(std::string_view("FHIB\0", 5));
    if (in.U64() != address_ || in.UInt(offset_bytes_) != begin) Damaged(offset);
    in.Skip(entry * 8);
    block = in.U64();
    begin += row_begin + column * size;
    rows = row < direct_rows_ ? 0 : Log2(size) - first_row_ + 1;
    if (row >= direct_rows_ && rows < 1) Damaged(offset);
  }

  Image& image_;
  uint64_t address_, width_ = 0, start_ = 0, max_direct_ = 0, root_ = 0;
  int rows_ = 0, direct_rows_ = 0, first_row_ = 0, offset_bytes_ = 0, length_bytes_ = 0;
  bool filtered_ = false;
};

// A B-tree of version 2: records in inner nodes too, and between them addresses and counts of nodes below.
class Tree {
 public:
  Tree(Image& image, const std::function<void(Bytes)>& record) : image_(image), record_(record) {}

  void Read(uint64_t address, uint8_t type) {
    Cursor in(image_, Checked(image_, image_.At(address, 38, "B-tree"), "B-tree"), "B-tree");
    in.Expect(std::string_view("BTHD\0", 5));
    type_ = in.U8();
    const uint32_t node_bytes = in.U32();
    record_bytes_ = in.U16();
    const uint16_t depth = in.U16();
    in.Skip(2);  // when nodes are split or merged
    const uint64_t root = in.U64();
    const uint16_t records = in.U16();
    if (type_ != type || record_bytes_ == 0 || node_bytes < 64 + record_bytes_ || depth > kMaxTreeDepth)
      image_.Refuse("B-tree at ", address, " has impossible sizes; the file is damaged");
    // Counts take as many bytes as the fullest possible node, or tree of nodes, below needs.
    uint64_t most = (node_bytes - 10) / record_bytes_, most_below = most;
    count_bytes_ = BytesFor(most);
    below_bytes_.assign(1, 0);
    for (int level = 1; level <= depth; ++level) {
      const uint64_t pointer = 8 + static_cast<uint64_t>(count_bytes_ + below_bytes_.back());
      most = (node_bytes - 10 - pointer) / (record_bytes_ + pointer);
      if (__builtin_mul_overflow(most_below, most + 1, &most_below) ||
          __builtin_add_overflow(most_below, most, &most_below))
        image_.Refuse("B-tree at ", address, " is impossibly deep; the file is damaged");
      below_bytes_.push_back(BytesFor(most_below));
    }
    if (root != kUndefined) Node(root, records, depth);
  }

 private:
  void Node(uint64_t address, uint64_t records, int level) {
    const uint64_t pointer = level ? 8 + static_cast<uint64_t>(count_bytes_ + below_bytes_[level - 1]) : 0;
    const uint64_t bytes = 6 + records * record_bytes_ + (level ? (records + 1) * pointer : 0) + 4;
    image_.Spend(bytes);
    Cursor in(image_, Checked(image_, image_.At(address, bytes, "node of a B-tree"), "node of a B-tree"),
              "node of a B-tree");
    in.Expect(level ? std::string_view("BTIN\0", 5) : std::string_view("BTLF\0", 5));
    if (in.U8() != type_) image_.Refuse("node at ", address, " is of another B-tree; the file is damaged");
    for (uint64_t i = 0; i < records; ++i) record_(in.Take(record_bytes_));
    for (uint64_t i = 0; level && i <= records; ++i) {
      const uint64_t child = in.U64(), count = in.UInt(count_bytes_);
      in.Skip(static_cast<uint64_t>(below_bytes_[level - 1]));
      if (count > UINT16_MAX) image_.Refuse("node of a B-tree with ", count, " records; the file is damaged");
      Node(child, count, level - 1);
    }
  }

  Image& image_;
  const std::function<void(Bytes)>& record_;
  uint8_t type_ = 0;
  uint64_t record_bytes_ = 0;
  int count_bytes_ = 0;
  std::vector<int> below_bytes_;  // by level: of the count of all records below a node; leaves have none below
};

}  // namespace

void ForEachDense(Image& image, uint64_t heap_address, uint64_t tree, Message kind,
                  const std::function<void(Bytes)>& each) {
  const FractalHeap heap(image, heap_address);
  const std::function<void(Bytes)> record = [&](Bytes bytes) {
    Cursor in(image, bytes, "record of a B-tree");
    Bytes id;
    if (kind == kLink) {
      in.Skip(4);  // a hash of the name
      id = in.Take(in.left());
    } else {
      id = in.Take(8);
      if (in.U8() & 2) return image.Need("a shared attribute");
    }
    image.Spend(64);
    if (const Bytes message = heap.Get(id); !message.empty()) each(message);
  };
  Tree(image, record).Read(tree, kind == kLink ? 5 : 8);
}

}  // namespace ingot::hdf5
