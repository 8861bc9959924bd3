// SPDX-License-Identifier: MIT
//
// The tree of an HDF5 file, as the "HDF5 File Format Specification" 3.0 lays it out: superblocks 0 to 3, object headers
// 1 and 2, groups as symbol tables, as link messages or in heaps, datasets that are contiguous or lie in their header.
// Anything else that is valid is left to libhdf5, after all that is understood here has been checked.
//
// Invariants: no object's depth exceeds kMaxDepth; every message, link, node and string has been paid for
// (Image::Spend) before the next is looked at; the storage of no two datasets overlaps.
#include <algorithm>
#include <array>
#include <span>

#include "ingot/io/hdf5.h"
#include "ingot/io/hdf5_dense.h"
#include "ingot/io/hdf5_header.h"
#include "ingot/io/hdf5_image.h"
#include "ingot/io/hdf5_library.h"
#include "ingot/io/hdf5_message.h"

namespace ingot {
namespace hdf5 {
namespace {

struct Link {
  std::string_view name;  // in the image
  uint64_t address;
};

// What an object's header says, attributes aside.
struct Header {
  Bytes dataspace, datatype, fill, layout;
  Message fill_type = kFill;
  bool group = false, shared = false;
  uint64_t btree = kUndefined, heap = kUndefined;  // of a symbol table
  std::vector<Link> links;
};

// The storage of a dataset, to see whether two overlap.
struct Extent {
  uint64_t begin, end, header;
};

class Reader {
 public:
  Reader(Bytes bytes, const std::shared_ptr<const void>& owner, const std::string& where)
      : image_(bytes, where), heap_(image_), owner_(owner) {}

  Hdf5Node Read() {
    Hdf5Node root;
    ReadObject(ReadSuperblock(), root, 0);
    if (root.tensor) image_.Refuse("a dataset, not a group, as the root; the file is damaged");
    CheckOverlaps(root);
    return root;
  }
  // What needs libhdf5, in words; empty if nothing does. The whole file, or only these datasets, which lack tensors.
  const std::string& needed() const { return image_.needed().empty() ? wanted_text_ : image_.needed(); }
  bool whole() const { return !image_.needed().empty(); }
  const std::vector<LibraryDataset>& wanted() const { return wanted_; }

 private:
  // ---- The superblock: where the root group is.

  uint64_t ReadSuperblock() {
    const Bytes bytes = image_.bytes();
    if (bytes.size() < kSignature.size() || std::memcmp(bytes.data(), kSignature.data(), kSignature.size()) != 0)
      Fail(image_.where(), ": not an HDF5 file: it does not begin with HDF5's signature");
    Cursor in(image_, bytes, "superblock");
    in.Skip(kSignature.size());
    const uint8_t version = in.U8();
    if (version > 3) Fail(image_.where(), ": superblock of version ", int{version}, " is unknown; damaged or too new");
    if (version >= 2) Checked(image_, image_.At(0, 48, "superblock"), "superblock");
    if (version < 2) in.Skip(4);  // versions of other parts
    const int offsets = in.U8(), lengths = in.U8();
    if (offsets != 8 || lengths != 8)
      Fail(image_.where(), ": addresses of ", offsets, " bytes and lengths of ", lengths,
           "; ingot reads files with 8 of each, as all are by default; rewrite it with h5repack");
    uint64_t base, end, root = kUndefined;
    if (version < 2) {
      in.Skip(1 + 4 + 4 + (version == 1 ? 4 : 0));  // sizes of nodes, which say it themselves; flags
      base = in.U64();
      in.Skip(8);  // free space
      end = in.U64();
      in.Skip(8 + 8);  // driver; the root's name
      root = in.U64();
    } else {
      if (in.U8() & 1) Fail(image_.where(), ": the file was not closed by the program that wrote it");
      base = in.U64();
      in.Skip(8);  // extension
      end = in.U64(), root = in.U64();
    }
    if (base != 0) Fail(image_.where(), ": HDF5 data begins at ", base, ", not at 0; rewrite it without a user block");
    if (end > bytes.size())
      Fail(image_.where(), ": the file has ", bytes.size(), " of its ", end, " bytes; it is cut short");
    image_.Cut(end);
    return root;
  }

  // ---- Messages of an object.

  Header ReadHeader(uint64_t address, Hdf5Node& node) {
    Header header;
    ForEachMessage(image_, address, [&](uint16_t type, uint8_t flags, Bytes message) {
      ReadMessage(type, flags, message, header, node);
    });
    return header;
  }

  void ReadMessage(uint16_t type, uint8_t flags, Bytes message, Header& header, Hdf5Node& node) {
    if (flags & 2) {  // the message lies elsewhere, shared by several objects
      if (type == kAttribute) image_.Need("a shared attribute");
      if (type == kDataspace || type == kDatatype || type == kFill || type == kOldFill) header.shared = true;
      return;
    }
    switch (type) {
      case kDataspace:
        header.dataspace = message;
        break;
      case kDatatype:
        header.datatype = message;
        break;
      case kFill:
      case kOldFill:  // written beside the newer one for old readers
        if (type == kFill || header.fill.empty()) header.fill = message, header.fill_type = Message{type};
        break;
      case kLayout:
        header.layout = message;
        break;
      case kExternalFiles:
        image_.Refuse("its data lies in other files; ingot reads no file but the one it is given");
      case kAttribute:
        ReadAttribute(image_, heap_, message, owner_, node);
        break;
      case kSymbolTable: {
        Cursor in(image_, message, "symbol table");
        header.group = true, header.btree = in.U64(), header.heap = in.U64();
        break;
      }
      case kLinkInfo: {
        Cursor in(image_, message, "link info");
        header.group = true;
        in.Skip(1);
        if (in.U8() & 1) in.Skip(8);  // the greatest creation index
        const uint64_t heap = in.U64(), tree = in.U64();
        if (heap != kUndefined) ForEachDense(image_, heap, tree, kLink, [&](Bytes link) { ReadLink(link, header); });
        break;
      }
      case kGroupInfo:
        header.group = true;
        break;
      case kLink:
        header.group = true;
        ReadLink(message, header);
        break;
      case kAttributeInfo: {
        Cursor in(image_, message, "attribute info");
        in.Skip(1);
        if (in.U8() & 1) in.Skip(2);
        const uint64_t heap = in.U64(), tree = in.U64();
        if (heap != kUndefined)
          ForEachDense(image_, heap, tree, kAttribute, [&](Bytes a) { ReadAttribute(image_, heap_, a, owner_, node); });
        break;
      }
      default:  // nothing, comments, times, counts of links
        break;
    }
  }

  // ---- Groups.

  void ReadLink(Bytes message, Header& header) {
    Cursor in(image_, message, "link");
    if (const uint8_t version = in.U8(); version != 1)
      image_.Refuse("link of version ", int{version}, " is unknown; the file is damaged or too new");
    const uint8_t flags = in.U8(), type = flags & 8 ? in.U8() : 0;
    in.Skip((flags & 4 ? 8 : 0) + (flags & 16 ? 1 : 0));  // when it was made; the name's encoding
    const uint64_t size = in.UInt(1 << (flags & 3));
    const Bytes name = in.Take(size);
    AddLink(header.links, {reinterpret_cast<const char*>(name.data()), name.size()}, type == 0 ? in.U64() : 0, type);
  }

  // REQUIRES: name lies in the image.
  void AddLink(std::vector<Link>& links, std::string_view name, uint64_t address, int type) {
    CheckLink(image_, name, type);
    image_.Spend(sizeof(Link) + sizeof(Hdf5Node) + name.size());
    links.push_back({name, address});
  }

  void ReadSymbolTable(const Header& header, std::vector<Link>& links) {
    Cursor in(image_, image_.At(header.heap, 32, "local heap"), "local heap");
    in.Expect(std::string_view("HEAP\0", 5));
    in.Skip(3);
    const uint64_t size = in.U64();
    in.Skip(8);  // what is free
    const Bytes names = image_.At(in.U64(), size, "names of a group");
    ReadBtree(header.btree, -1, names, links);
  }

  // A node of a B-tree holds, between keys that are of no interest here, addresses of nodes one level below.
  void ReadBtree(uint64_t address, int level, Bytes names, std::vector<Link>& links) {
    Cursor in(image_, image_.At(address, 24, "B-tree"), "B-tree");
    in.Expect(std::string_view("TREE\0", 5));
    const int found = in.U8();
    const uint16_t used = in.U16();
    if (level >= 0 && found != level)
      image_.Refuse("B-tree at ", address, " is of level ", found, ", not ", level, "; the file is damaged");
    Cursor entries(image_, image_.At(address + 24, 8 + uint64_t{16} * used, "B-tree"), "B-tree");
    for (int i = 0; i < used; ++i) {
      image_.Spend(16);
      entries.Skip(8);
      const uint64_t child = entries.U64();
      if (found)
        ReadBtree(child, found - 1, names, links);
      else
        ReadSymbols(child, names, links);
    }
  }

  void ReadSymbols(uint64_t address, Bytes names, std::vector<Link>& links) {
    Cursor in(image_, image_.At(address, 8, "group node"), "group node");
    in.Expect(std::string_view("SNOD\1", 5));
    in.Skip(1);
    const uint16_t used = in.U16();
    Cursor entries(image_, image_.At(address + 8, uint64_t{40} * used, "group node"), "group node");
    for (int i = 0; i < used; ++i) {
      const uint64_t name = entries.U64(), object = entries.U64();
      const uint32_t cached = entries.U32();
      entries.Skip(20);
      if (name >= names.size())
        image_.Refuse("a name at ", name, " of ", names.size(), " bytes of names; the file is damaged");
      AddLink(links, CString(names.subspan(name)), object, cached == 2 ? 1 : 0);
    }
  }

  // ---- Objects.

  void ReadObject(uint64_t address, Hdf5Node& node, int depth) {
    if (depth > kMaxDepth)
      image_.Refuse("groups nested more than ", kMaxDepth, " deep; the file is damaged, or a group contains itself");
    Header header = ReadHeader(address, node);
    if (header.group) {
      if (header.btree != kUndefined) ReadSymbolTable(header, header.links);
      ReadChildren(header.links, node, depth);
    } else if (header.shared) {
      Want(address, "a committed datatype");
    } else if (!header.layout.empty() && !header.datatype.empty() && !header.dataspace.empty()) {
      ReadDataset(address, header, node);
    } else {
      image_.Refuse("the object at ", address, " is neither a group nor a dataset");
    }
  }

  void ReadChildren(std::vector<Link>& links, Hdf5Node& node, int depth) {
    const auto less = [](const Link& a, const Link& b) { return a.name < b.name; };
    if (!std::is_sorted(links.begin(), links.end(), less)) std::sort(links.begin(), links.end(), less);
    for (size_t i = 1; i < links.size(); ++i) {
      if (links[i].name == links[i - 1].name) image_.Refuse("there are two members '", links[i].name, "'");
    }
    node.children.reserve(links.size());
    const size_t length = image_.path.size();
    for (const Link& link : links) {
      if (length) image_.path += '/';
      image_.path += link.name;
      image_.Spend(2 * image_.path.size());
      node.children.emplace_back().name = link.name;
      ReadObject(link.address, node.children.back(), depth + 1);
      image_.path.resize(length);
    }
  }

  void ReadDataset(uint64_t address, const Header& header, Hdf5Node& node) {
    const Datatype type = ParseDatatype(image_, header.datatype);
    const Dataspace space = ParseDataspace(image_, header.dataspace);
    const uint64_t size = space.count * type.size;
    Cursor in(image_, header.layout, "layout");
    const uint8_t version = in.U8();
    if (version < 1 || version > 5)
      image_.Refuse("layout of version ", int{version}, " is unknown; the file is damaged or too new");
    int rank = 0;
    if (version < 3) rank = in.U8();
    const uint8_t kind = in.U8();
    if (version < 3) in.Skip(5);
    if (kind == 3) image_.Refuse("a virtual dataset; ingot reads no file but the one it is given");
    if (kind > 3) image_.Refuse("layout of kind ", int{kind}, " is unknown; the file is damaged");
    if (type.kind == Datatype::Kind::kText || type.kind == Datatype::Kind::kVariableText)
      image_.Refuse("a dataset of texts; ingot reads numbers and bool");
    if (kind == 2) {
      CheckChunks(in, version, rank, space);
      return Want(address, "a chunked dataset");
    }
    if (type.kind == Datatype::Kind::kBigEndian) return Want(address, "a dataset of big-endian numbers");

    StoredTensor& tensor = node.tensor.emplace();
    tensor.name = image_.path, tensor.type = type.type, tensor.shape = space.shape, tensor.owner = owner_;
    if (kind == 0) {  // in the header
      in.Skip(4 * rank);
      const Bytes data = in.Take(version < 3 ? in.U32() : in.U16());
      if (data.size() < size) image_.Refuse(size, " bytes of data, but ", data.size(), " are stored; damaged?");
      tensor.bytes = data.first(size);
      return;
    }
    const uint64_t begin = in.U64();
    if (version >= 3 && begin != kUndefined) {
      if (const uint64_t stored = in.U64(); stored < size)
        image_.Refuse("shape ", space.shape, " needs ", size, " bytes, but ", stored,
                      " are stored; the file is damaged");
    }
    if (begin == kUndefined) {
      Unwritten(header, type, size, tensor);
    } else {
      tensor.bytes = image_.At(begin, size, "dataset");
      if (size) extents_.push_back({begin, begin + size, address});
    }
  }

  // libhdf5 1.10 divides by what it finds here.
  void CheckChunks(Cursor& in, int version, int rank, const Dataspace& space) const {
    int bytes = 4;  // of each extent
    if (version < 3) {
      in.Skip(8);  // the address
    } else if (version == 3) {
      rank = in.U8();
      in.Skip(8);
    } else {
      in.Skip(1);
      rank = in.U8(), bytes = in.U8();
    }
    // One more for the bytes of an element.
    bool good = rank == space.shape.rank() + 1 && rank > 1 && bytes >= 1 && bytes <= 8;
    for (int i = 0; good && i < rank; ++i) good = in.UInt(bytes) != 0;
    if (!good) image_.Refuse("its chunks are not of its shape ", space.shape, "; the file is damaged");
  }

  void Want(uint64_t address, const char* feature) {
    if (wanted_.empty()) wanted_text_ = "/" + image_.path + ": " + feature;
    wanted_.push_back({image_.path, address});
  }

  // Data that was never written has no place in the file.
  void Unwritten(const Header& header, const Datatype& type, uint64_t size, StoredTensor& tensor) {
    tensor.bytes = image_.bytes().first(0);
    if (!size) return;
    image_.Spend(size);
    const auto data = std::make_shared<std::vector<std::byte>>(size);
    const Bytes fill = header.fill.empty() ? Bytes{} : ParseFill(image_, header.fill_type, header.fill);
    if (fill.size() == type.size)
      for (uint64_t at = 0; at < size; at += type.size) std::memcpy(data->data() + at, fill.data(), type.size);
    tensor.bytes = *data, tensor.owner = data;
  }

  // Two names may stand for one dataset (a hard link), but no two datasets for the same bytes.
  void CheckOverlaps(const Hdf5Node& root) {
    std::sort(extents_.begin(), extents_.end(), [](const Extent& a, const Extent& b) { return a.begin < b.begin; });
    for (size_t i = 1; i < extents_.size(); ++i) {
      const Extent &a = extents_[i - 1], &b = extents_[i];
      if (b.begin >= a.end || a.header == b.header) continue;
      image_.path = NameAt(root, b.begin);
      image_.Refuse("its data at ", b.begin, " overlaps that of /", NameAt(root, a.begin), ", ", a.begin, " to ", a.end,
                    "; the file is damaged");
    }
  }

  std::string NameAt(const Hdf5Node& node, uint64_t begin) const {
    if (node.tensor && node.tensor->owner == owner_ && image_.AddressOf(node.tensor->bytes) == begin)
      return node.tensor->name;
    for (const Hdf5Node& child : node.children)
      if (std::string name = NameAt(child, begin); !name.empty()) return name;
    return {};
  }

  Image image_;
  GlobalHeap heap_;
  const std::shared_ptr<const void>& owner_;
  std::vector<Extent> extents_;
  std::vector<LibraryDataset> wanted_;
  std::string wanted_text_;
};

}  // namespace
}  // namespace hdf5

Hdf5Node ReadHdf5(Bytes image, const std::shared_ptr<const void>& owner, const std::string& where,
                  bool may_use_library) {
  hdf5::Reader reader(image, owner, where);
  Hdf5Node root = reader.Read();
  if (reader.needed().empty()) return root;
  if (may_use_library && HasHdf5Library()) {
    if (reader.whole()) return ReadHdf5WithLibrary(image, where);
    hdf5::ReadDatasetsWithLibrary(image, where, reader.wanted(), root);
    return root;
  }
  Fail(where, ": ", reader.needed(), " needs libhdf5, which ",
       may_use_library ? "ingot was built without" : "is off here",
       "; build it where libhdf5-dev is installed, or rewrite the file with h5py's defaults: no chunks, no "
       "compression, ",
       "no libver");
}

}  // namespace ingot
