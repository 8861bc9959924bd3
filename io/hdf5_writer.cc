// SPDX-License-Identifier: MIT
//
// Writes what h5py writes by default, so that every HDF5 library since 1.0 reads it: superblock 0, object headers of
// version 1, groups as symbol tables, contiguous datasets. No times, so that the same tree gives the same bytes.
//
//   0   superblock
//   96  objects, each after its members: headers, and for groups names, nodes and B-tree
//       global heap: the single texts
//       data of the datasets, each aligned
//
// All but the data is made in memory, places of texts and data being filled in once they are known; then it is sent
// in one pass. Rejected: groups with nodes as large as the largest group needs (one place less to look at), because
// HDF5 allots every node its full size, in the smallest group too.
#include <algorithm>
#include <limits>

#include "ingot/io/hdf5.h"
#include "ingot/io/hdf5_image.h"
#include "ingot/io/hdf5_output.h"

namespace ingot {
namespace hdf5 {
namespace {

constexpr uint16_t kLeafK = 4, kInternalK = 16;  // HDF5's defaults: nodes hold twice as many
constexpr size_t kSymbolsPerNode = 2 * kLeafK, kChildrenPerNode = 2 * kInternalK;
constexpr size_t kSymbolBytes = 40, kSymbolNodeBytes = 8 + kSymbolsPerNode * kSymbolBytes;
constexpr size_t kBtreeNodeBytes = 24 + 8 + kChildrenPerNode * 16;
constexpr size_t kSuperblockBytes = 96;
constexpr size_t kMaxMessage = 65528;                     // 16 bits, a multiple of 8
constexpr size_t kMinHeap = 4096, kFullHeap = 64 * 1024;  // of a collection of texts
constexpr uint32_t kMaxHeapObjects = 65535;

// What its parent must know of an object. Of a group, also where its B-tree and its names are.
struct Written {
  uint64_t header = kUndefined, btree = kUndefined, heap = kUndefined;
};

class Writer {
 public:
  Writer(const Sink& sink, size_t alignment) : sink_(sink), alignment_(std::max<size_t>(1, alignment)) {}

  void Write(const Hdf5Node& root) {
    if (root.tensor) Fail("the root of an HDF5 file must be a group, not a dataset");
    out_.PutZeros(kSuperblockBytes);
    const Written written = WriteGroup(root, 0);
    PlaceTexts();
    const uint64_t end = PlaceData();
    Superblock(written, end);
    sink_(out_.data(), out_.size());
    uint64_t at = out_.size();
    const std::vector<std::byte> zeros(alignment_);
    for (const Data& data : data_) {
      if (data.address > at) sink_(zeros.data(), data.address - at);
      sink_(data.tensor->bytes.data(), data.tensor->bytes.size());
      at = data.address + data.tensor->bytes.size();
    }
  }

 private:
  struct TextPlace {
    size_t at;  // of the address that stands for it
    const std::string* text;
  };
  struct Data {
    size_t at;
    const StoredTensor* tensor;
    uint64_t address = 0;
  };

  template <class... Parts>
  [[noreturn]] void Refuse(const Parts&... parts) const {
    Fail("HDF5: /", path_, ": ", parts...);
  }

  // ---- Headers: a prefix, then messages, each padded to 8 bytes.

  uint64_t BeginHeader() {
    const uint64_t address = out_.size();
    out_.PutZeros(16);
    messages_ = 0;
    return address;
  }
  void EndHeader(uint64_t address) {
    const size_t bytes = out_.size() - address - 16;
    if (messages_ > UINT16_MAX || bytes > UINT32_MAX) Refuse(messages_, " attributes are more than HDF5 can hold");
    out_.Set<uint8_t>(address, 1);
    out_.Set(address + 2, static_cast<uint16_t>(messages_));
    out_.Set<uint32_t>(address + 4, 1);  // links to it
    out_.Set(address + 8, static_cast<uint32_t>(bytes));
  }
  template <class Body>
  void PutMessage(Message type, uint8_t flags, const Body& body) {
    const size_t at = out_.size();
    out_.Put<uint16_t>(type);
    out_.Put<uint16_t>(0);
    out_.PutBytes({flags, 0, 0, 0});
    body();
    out_.Pad8();
    const size_t bytes = out_.size() - at - 8;
    if (bytes > kMaxMessage)
      Refuse("its header would hold a message of ", bytes, " bytes, HDF5 allows ", kMaxMessage,
             "; an attribute's list must be split over several");
    out_.Set(at + 2, static_cast<uint16_t>(bytes));
    ++messages_;
  }

  // ---- Attributes.

  template <class Type, class Value>
  void PutAttribute(const std::string& name, const Shape& shape, const Type& type, const Value& value) {
    if (name.empty() || name.find('\0') != name.npos) Refuse("'", name, "' cannot be the name of an attribute");
    PutMessage(kAttribute, 0, [&] {
      const size_t at = out_.size();
      out_.PutBytes({1, 0});
      out_.Put(static_cast<uint16_t>(std::min(name.size() + 1, kMaxMessage)));
      out_.Put<uint32_t>(0);
      out_.PutText(name);
      out_.Put<uint8_t>(0);
      out_.Pad8();
      const size_t type_at = out_.size();
      type();
      out_.Set(at + 4, static_cast<uint16_t>(out_.size() - type_at));
      out_.Pad8();
      const size_t space_at = out_.size();
      out_.PutDataspace(shape);
      out_.Set(at + 6, static_cast<uint16_t>(out_.size() - space_at));
      value();
    });
  }

  void PutAttribute(const std::string& name, const std::string& text) {
    const auto type = [&] {
      out_.PutBytes({0x19, 1, 1, 0, 16, 0, 0, 0});  // of variable length, up to a NUL, UTF-8
      out_.PutFixedPoint(1, false);
    };
    PutAttribute(name, {}, type, [&] {
      CheckText(name, text);
      out_.Put(static_cast<uint32_t>(text.size()));
      texts_.push_back({out_.size(), &text});
      out_.PutZeros(12);
    });
  }

  void PutAttribute(const std::string& name, const std::vector<std::string>& texts) {
    if (texts.empty()) return PutAttribute(name, StoredTensor{name, StoredType::kFloat64, {0}, {}, nullptr});
    size_t width = 1;
    for (const std::string& text : texts) width = std::max(width, text.size());
    if (texts.size() > kMaxMessage / width)
      Refuse("attribute '", name, "': ", texts.size(), " texts of up to ", width,
             " bytes do not fit into the 64 KB that HDF5 allows an attribute; split the list over several");
    const auto type = [&] {
      out_.PutBytes({0x13, 1, 0, 0});  // padded with NULs
      out_.Put(static_cast<uint32_t>(width));
    };
    PutAttribute(name, {static_cast<int64_t>(texts.size())}, type, [&] {
      for (const std::string& text : texts) {
        CheckText(name, text);
        out_.PutText(text);
        out_.PutZeros(width - text.size());
      }
    });
  }

  void PutAttribute(const std::string& name, const StoredTensor& value) {
    CheckSize(value);
    if (value.bytes.size() > kMaxMessage)
      Refuse("attribute '", name, "' of ", value.bytes.size(), " bytes does not fit into the 64 KB that HDF5 allows");
    PutAttribute(
        name, value.shape, [&] { out_.PutDatatype(value.type); },
        [&] { out_.Append(value.bytes.data(), value.bytes.size()); });
  }

  void PutAttributes(const Hdf5Node& node) {
    for (const auto& [name, value] : node.attributes) {
      const std::string& key = name;
      std::visit([&](const auto& v) { PutAttribute(key, v); }, value);
    }
  }

  // HDF5's texts end at a NUL: what followed would be lost.
  void CheckText(const std::string& attribute, const std::string& text) const {
    if (text.find('\0') != text.npos) Refuse("attribute '", attribute, "': a text with a NUL in it cannot be written");
    if (text.size() > UINT32_MAX) Refuse("attribute '", attribute, "': a text of ", text.size(), " bytes is too long");
  }

  void CheckSize(const StoredTensor& tensor) const {
    const size_t expected =
        CheckedBytes(tensor.shape, tensor.type, std::numeric_limits<size_t>::max(), "HDF5: /" + path_);
    if (expected != tensor.bytes.size())
      Refuse("shape ", tensor.shape, " of ", Name(tensor.type), " takes ", expected, " bytes, but there are ",
             tensor.bytes.size());
  }

  // ---- Objects.

  Written WriteDataset(const Hdf5Node& node) {
    const StoredTensor& tensor = *node.tensor;
    if (!node.children.empty()) Refuse("a dataset cannot have members");
    CheckSize(tensor);
    const Written written{.header = BeginHeader()};
    PutMessage(kDataspace, 0, [&] { out_.PutDataspace(tensor.shape); });
    PutMessage(kDatatype, 1, [&] { out_.PutDatatype(tensor.type); });
    PutMessage(kFill, 1, [&] { out_.PutBytes({2, 2, 2, 1, 0, 0, 0, 0}); });  // zeros, allotted when written
    PutMessage(kLayout, 0, [&] {
      out_.PutBytes({3, 1});  // contiguous
      if (!tensor.bytes.empty()) data_.push_back({out_.size(), &tensor});
      out_.Put(kUndefined);
      out_.Put<uint64_t>(tensor.bytes.size());
    });
    PutAttributes(node);
    EndHeader(written.header);
    return written;
  }

  Written WriteGroup(const Hdf5Node& node, int depth) {
    if (depth > kMaxDepth) Refuse("groups nested more than ", kMaxDepth, " deep");
    std::vector<const Hdf5Node*> children;
    children.reserve(node.children.size());
    for (const Hdf5Node& child : node.children) children.push_back(&child);
    std::sort(children.begin(), children.end(), [](auto* a, auto* b) { return a->name < b->name; });

    std::vector<Written> written;
    written.reserve(children.size());
    const size_t length = path_.size();
    for (size_t i = 0; i < children.size(); ++i) {
      const std::string& name = children[i]->name;
      if (!IsMemberName(name)) Refuse("'", name, "' cannot be the name of a member");
      if (i && name == children[i - 1]->name) Refuse("there are two members '", name, "'");
      path_ += (length ? "/" : "") + name;
      written.push_back(children[i]->tensor ? WriteDataset(*children[i]) : WriteGroup(*children[i], depth + 1));
      path_.resize(length);
    }
    Written group;
    PutMembers(children, written, group);
    group.header = BeginHeader();
    PutMessage(kSymbolTable, 0, [&] { out_.Put(group.btree), out_.Put(group.heap); });
    PutAttributes(node);
    EndHeader(group.header);
    return group;
  }

  // The names one after the other (first the empty one, which is less than all), then the members by their order,
  // eight to a node, and a B-tree over these nodes.
  void PutMembers(const std::vector<const Hdf5Node*>& children, const std::vector<Written>& written, Written& group) {
    group.heap = out_.size();
    std::vector<uint64_t> names;
    uint64_t bytes = 8;
    for (const Hdf5Node* child : children) names.push_back(bytes), bytes += (child->name.size() + 8) / 8 * 8;
    out_.PutText(std::string_view("HEAP\0\0\0\0", 8));
    out_.Put(bytes);
    out_.Put<uint64_t>(1);  // nothing is free
    out_.Put<uint64_t>(out_.size() + 8);
    out_.PutZeros(8);
    for (const Hdf5Node* child : children) out_.PutText(child->name), out_.Put<uint8_t>(0), out_.Pad8();

    std::vector<uint64_t> nodes, last_names;
    for (size_t i = 0; i < children.size(); i += kSymbolsPerNode) {
      const size_t end = std::min(children.size(), i + kSymbolsPerNode);
      const size_t at = out_.size();
      nodes.push_back(at), last_names.push_back(names[end - 1]);
      out_.PutText("SNOD\1");
      out_.Put<uint8_t>(0);
      out_.Put(static_cast<uint16_t>(end - i));
      for (size_t k = i; k < end; ++k) PutSymbol(names[k], written[k], out_);
      out_.PutZeros(at + kSymbolNodeBytes - out_.size());
    }
    group.btree = PutBtree(std::move(nodes), std::move(last_names));
  }

  static void PutSymbol(uint64_t name, const Written& object, Output& out) {
    const bool group = object.btree != kUndefined;
    out.Put(name), out.Put(object.header), out.Put<uint64_t>(group ? 1 : 0);
    out.Put(group ? object.btree : 0), out.Put(group ? object.heap : 0);
  }

  // Level after level until one node holds all. Key i is the last name below child i - 1.
  uint64_t PutBtree(std::vector<uint64_t> children, std::vector<uint64_t> last_names) {
    for (uint8_t level = 0;; ++level) {
      const size_t count = std::max<size_t>(1, (children.size() + kChildrenPerNode - 1) / kChildrenPerNode);
      const uint64_t first = out_.size();
      std::vector<uint64_t> nodes, last;
      for (size_t node = 0; node < count; ++node) {
        const size_t begin = node * kChildrenPerNode, end = std::min(children.size(), begin + kChildrenPerNode);
        const uint64_t at = out_.size();
        out_.PutText(std::string_view("TREE\0", 5));
        out_.Put(level);
        out_.Put(static_cast<uint16_t>(end - begin));
        out_.Put(node ? at - kBtreeNodeBytes : kUndefined);
        out_.Put(node + 1 < count ? at + kBtreeNodeBytes : kUndefined);
        out_.Put<uint64_t>(begin ? last_names[begin - 1] : 0);
        for (size_t i = begin; i < end; ++i) out_.Put(children[i]), out_.Put(last_names[i]);
        out_.PutZeros(at + kBtreeNodeBytes - out_.size());
        nodes.push_back(at), last.push_back(end ? last_names[end - 1] : 0);
      }
      if (count == 1) return first;
      children = std::move(nodes), last_names = std::move(last);
    }
  }

  // ---- What the headers point at.

  // The texts, in collections: a header of 16 bytes, then objects of 16 bytes and the text; what remains is object 0.
  void PlaceTexts() {
    for (size_t i = 0; i < texts_.size();) {
      const uint64_t begin = out_.size();
      out_.PutText("GCOL\1");
      out_.PutZeros(3 + 8);
      for (uint32_t index = 1; i < texts_.size() && index <= kMaxHeapObjects && out_.size() - begin < kFullHeap;
           ++i, ++index) {
        const std::string& text = *texts_[i].text;
        out_.Set(texts_[i].at, begin);
        out_.Set(texts_[i].at + 8, index);
        out_.Put<uint64_t>(index);
        out_.Put<uint64_t>(text.size());
        out_.PutText(text);
        out_.Pad8();
      }
      const size_t used = out_.size() - begin;
      if (used < kMinHeap) {
        const size_t left = std::max<size_t>(16, kMinHeap - used);
        out_.Put<uint64_t>(0), out_.Put<uint64_t>(left);
        out_.PutZeros(left - 16);
      }
      out_.Set<uint64_t>(begin + 8, out_.size() - begin);
    }
  }

  // Returns where the file ends.
  uint64_t PlaceData() {
    uint64_t end = out_.size();
    for (Data& data : data_) {
      data.address = (end + alignment_ - 1) / alignment_ * alignment_;
      out_.Set(data.at, data.address);
      end = data.address + data.tensor->bytes.size();
    }
    return end;
  }

  void Superblock(const Written& root, uint64_t end) {
    Output block;
    block.PutText(kSignature);
    block.PutBytes({0, 0, 0, 0, 0, 8, 8, 0});  // versions; sizes of addresses and lengths
    block.Put(kLeafK), block.Put(kInternalK), block.Put<uint32_t>(0);
    block.Put<uint64_t>(0), block.Put(kUndefined), block.Put(end), block.Put(kUndefined);
    PutSymbol(0, root, block);
    INGOT_CHECK(block.size() == kSuperblockBytes);
    out_.SetBytes(0, block.data(), block.size());
  }

  const Sink& sink_;
  size_t alignment_;
  Output out_;
  std::vector<TextPlace> texts_;
  std::vector<Data> data_;
  size_t messages_ = 0;
  std::string path_;
};

}  // namespace
}  // namespace hdf5

void WriteHdf5(const Hdf5Node& root, const Sink& sink, size_t alignment) { hdf5::Writer(sink, alignment).Write(root); }

}  // namespace ingot
