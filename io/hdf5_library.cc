// SPDX-License-Identifier: MIT
//
// HDF5 through libhdf5: for chunks, filters, big groups of newer files and whatever else hdf5_reader.cc leaves to it.
// The image is opened where it lies, without a copy; no other file is ever opened.
//
// Bounds. Links that leave the group other than directly, external and virtual data and filters that would be loaded
// from plugins are refused before they are followed. Datasets together may come to kInflated times the file's size,
// what deflate can do; one of them to kMaxDataset. Inside these bounds libhdf5 itself is trusted with the bytes: a file
// that makes it crash crashes the process, and version 1.10 is known to crash on damaged ones. Therefore
// hdf5_reader.cc checks all it understands first and hands over as little as it can; who reads files of strangers
// builds ingot without libhdf5, or reads them without (may_use_library).
//
// Threads: libhdf5 keeps its state in globals, so one thread at a time is let in.
#include "ingot/io/hdf5_library.h"

#include "ingot/core/error.h"

#ifndef INGOT_HDF5

namespace ingot {

bool HasHdf5Library() { return false; }

Hdf5Node ReadHdf5WithLibrary(Bytes, const std::string& where) {
  Fail(where, ": needs libhdf5, which ingot was built without; build it where libhdf5-dev is installed");
}

void hdf5::ReadDatasetsWithLibrary(Bytes image, const std::string& where, const std::vector<LibraryDataset>&,
                                   Hdf5Node&) {
  ReadHdf5WithLibrary(image, where);
}

}  // namespace ingot

#else

#include <algorithm>
#include <exception>
#include <mutex>
#include <new>

#include "ingot/io/hdf5_handles.h"
#include "ingot/io/hdf5_image.h"
#include "ingot/io/hdf5_message.h"

namespace ingot {
namespace hdf5 {
namespace {

// libhdf5 refuses an image under the name of a file that exists; below what is no folder there is none.
constexpr char kNoFile[] = "/dev/null/image";

constexpr uint64_t kInflated = 1100, kMaxDataset = uint64_t{64} << 30;
constexpr uint64_t kMaxTexts = uint64_t{4} << 30;  // libhdf5 copies a list of texts whole, however often it names one

// Names that libhdf5 calls back with. An exception waits here until libhdf5 has returned.
struct Names {
  struct Entry {
    std::string name;
    int type;  // of a link; 0: hard
  };
  Image& image;
  std::vector<Entry> entries;
  std::exception_ptr error;

  herr_t Add(const char* name, int type) noexcept {
    try {
      image.Spend(sizeof(Entry) + sizeof(Hdf5Node) + 2 * std::strlen(name));
      entries.push_back({name, type});
      return 0;
    } catch (...) {
      error = std::current_exception();
      return -1;
    }
  }
};

class LibraryReader {
 public:
  LibraryReader(Bytes bytes, const std::string& where)
      : bytes_(bytes), image_(bytes, where), room_(kInflated * bytes.size() + (uint64_t{1} << 20)) {}

  Hdf5Node Read() {
    Hdf5Node root;
    Open([&](const File& file) {
      const Object object(H5Oopen(file, "/", H5P_DEFAULT));
      Check(object, "open the root");
      ReadObject(object, root, 0);
    });
    return root;
  }

  void Read(const std::vector<LibraryDataset>& datasets, Hdf5Node& root) {
    Open([&](const File& file) {
      for (const auto& [path, address] : datasets) {
        image_.path = path;
        const Object object(H5Oopen_by_addr(file, address));
        Check(object, "open it");
        if (H5Iget_type(object) != H5I_DATASET) image_.Refuse("is no dataset to libhdf5; the file is damaged");
        ReadDataset(object, root.child(path));
      }
    });
  }

 private:
  template <class Body>
  void Open(const Body& body) {
    const Silence silence;
    const Properties access(H5Pcreate(H5P_FILE_ACCESS));
    H5FD_file_image_callbacks_t borrow = BorrowImage(bytes_);
    Check(H5Pset_fapl_core(access, 1 << 16, false), "use its memory driver");
    Check(H5Pset_fclose_degree(access, H5F_CLOSE_STRONG), "prepare to close the file");
    Check(H5Pset_file_image_callbacks(access, &borrow), "borrow the file's image");
    Check(H5Pset_file_image(access, const_cast<std::byte*>(bytes_.data()), bytes_.size()), "take the file's image");
    const File file(H5Fopen(kNoFile, H5F_ACC_RDONLY, access));
    Check(file, "open the file");
    body(file);
  }

  template <class Status>
  void Check(const Status& status, const char* what) const {
    if (status < 0)
      image_.Refuse("libhdf5 cannot ", what, ": ", LastError(),
                    "; the file is damaged, or uses what this libhdf5 does not know");
  }

  void ReadObject(hid_t object, Hdf5Node& node, int depth) {
    if (depth > kMaxDepth)
      image_.Refuse("groups nested more than ", kMaxDepth, " deep; the file is damaged, or a group contains itself");
    ReadAttributes(object, node);
    switch (H5Iget_type(object)) {
      case H5I_GROUP:
        return ReadGroup(object, node, depth);
      case H5I_DATASET:
        return ReadDataset(object, node);
      default:
        image_.Refuse("is neither a group nor a dataset");
    }
  }

  void ReadGroup(hid_t group, Hdf5Node& node, int depth) {
    Names links{image_, {}, nullptr};
    const auto add = [](hid_t, const char* name, const H5L_info_t* link, void* out) -> herr_t {
      return static_cast<Names*>(out)->Add(name, static_cast<int>(link->type));
    };
    const herr_t status = H5Literate(group, H5_INDEX_NAME, H5_ITER_NATIVE, nullptr, add, &links);
    if (links.error) std::rethrow_exception(links.error);
    Check(status, "list the members");
    std::sort(links.entries.begin(), links.entries.end(), [](auto& a, auto& b) { return a.name < b.name; });

    node.children.reserve(links.entries.size());
    const size_t length = image_.path.size();
    for (const auto& [name, type] : links.entries) {
      CheckLink(image_, name, type);
      if (length) image_.path += '/';
      image_.path += name;
      image_.Spend(2 * image_.path.size());
      node.children.emplace_back().name = name;
      const Object object(H5Oopen(group, name.c_str(), H5P_DEFAULT));
      Check(object, "open it");
      ReadObject(object, node.children.back(), depth + 1);
      image_.path.resize(length);
    }
  }

  // ---- Values.

  Dataspace SpaceOf(const Space& space) const {
    Check(space, "tell its shape");
    Dataspace found;
    if (H5Sget_simple_extent_type(space) == H5S_NULL) {
      found.null = true, found.count = 0, found.shape = {0};
      return found;
    }
    const int rank = H5Sget_simple_extent_ndims(space);
    Check(rank, "tell its rank");
    std::vector<hsize_t> extents(static_cast<size_t>(rank));
    if (rank) Check(H5Sget_simple_extent_dims(space, extents.data(), nullptr), "tell its shape");
    return Simple(image_, std::vector<uint64_t>(extents.begin(), extents.end()));
  }

  // The type of ours, and the one to read it as: little-endian.
  Datatype TypeOf(const Type& stored, const Type& memory) const {
    Check(stored, "tell its type");
    Check(memory, "copy its type");
    const uint64_t size = H5Tget_size(stored);
    const H5T_class_t klass = H5Tget_class(stored);
    if (klass == H5T_STRING) {
      if (H5Tis_variable_str(stored) > 0) return {Datatype::Kind::kVariableText, {}, sizeof(char*), 0};
      return {Datatype::Kind::kText, {}, std::max<uint64_t>(1, size), static_cast<int>(H5Tget_strpad(stored))};
    }
    if (klass == H5T_INTEGER || klass == H5T_FLOAT) Check(H5Tset_order(memory, H5T_ORDER_LE), "convert its type");
    // What libhdf5 reads into memory is described by the same bytes as in a file.
    size_t bytes = 0;
    Check(H5Tencode(memory, nullptr, &bytes), "describe its type");
    std::vector<std::byte> encoded(bytes);
    Check(H5Tencode(memory, encoded.data(), &bytes), "describe its type");
    Image none(encoded, image_.where());
    none.path = image_.path, none.attribute = image_.attribute;
    const Datatype type = ParseDatatype(none, Bytes(encoded).subspan(std::min<size_t>(bytes, 2)));
    if (type.kind != Datatype::Kind::kNumber || type.size != size) image_.Refuse("numbers of a kind ingot cannot read");
    return type;
  }

  void ReadAttributes(hid_t object, Hdf5Node& node) {
    Names names{image_, {}, nullptr};
    const auto add = [](hid_t, const char* name, const H5A_info_t*, void* out) -> herr_t {
      return static_cast<Names*>(out)->Add(name, 0);
    };
    const herr_t status = H5Aiterate2(object, H5_INDEX_NAME, H5_ITER_NATIVE, nullptr, add, &names);
    if (names.error) std::rethrow_exception(names.error);
    Check(status, "list the attributes");
    for (const auto& [name, unused] : names.entries) {
      image_.attribute = name;
      const Attribute attribute(H5Aopen(object, name.c_str(), H5P_DEFAULT));
      Check(attribute, "open it");
      node.attributes.insert_or_assign(name, ReadAttribute(attribute));
    }
    image_.attribute.clear();
  }

  Hdf5Attribute ReadAttribute(const Attribute& attribute) {
    const Space file_space(H5Aget_space(attribute));
    const Dataspace space = SpaceOf(file_space);
    const Type stored(H5Aget_type(attribute)), memory(H5Tcopy(stored));
    const Datatype type = TypeOf(stored, memory);
    if (space.count > bytes_.size() / type.size) image_.Refuse(space.count, " values are more than the file can hold");
    const uint64_t size = space.count * type.size;
    image_.Spend(size);
    if (type.kind == Datatype::Kind::kVariableText) {
      if (space.count > 1 && space.count > kMaxTexts / bytes_.size())
        image_.Refuse("a list of ", space.count,
                      " texts of variable length in so large a file; write them of one size");
    } else {
      const auto data = std::make_shared<std::vector<std::byte> >(size);
      if (size) Check(H5Aread(attribute, memory, data->data()), "read it");
      if (type.kind == Datatype::Kind::kNumber)
        return StoredTensor{image_.attribute, type.type, space.shape, *data, data};
      return TextsOf(space,
                     [&](uint64_t i) { return FixedText(Bytes(*data).subspan(i * type.size, type.size), type); });
    }
    std::vector<char*> texts(space.count, nullptr);
    const struct Reclaim {
      ~Reclaim() { H5Dvlen_reclaim(memory, space, H5P_DEFAULT, texts.data()); }
      const Type& memory;
      const Space& space;
      std::vector<char*>& texts;
    } reclaim{memory, file_space, texts};
    if (space.count) Check(H5Aread(attribute, memory, texts.data()), "read it");
    return TextsOf(space, [&](uint64_t i) {
      std::string text = texts[i] ? texts[i] : "";
      image_.Spend(text.size());
      return text;
    });
  }

  template <class TextAt>
  Hdf5Attribute TextsOf(const Dataspace& space, const TextAt& text) {
    if (space.shape.rank() == 0) return text(0);
    image_.Spend(space.count * sizeof(std::string));
    std::vector<std::string> texts;
    texts.reserve(space.count);
    for (uint64_t i = 0; i < space.count; ++i) texts.push_back(text(i));
    return texts;
  }

  // ---- Datasets.

  void ReadDataset(hid_t dataset, Hdf5Node& node) {
    const Properties created(H5Dget_create_plist(dataset));
    Check(created, "tell how it is stored");
    if (H5Pget_external_count(created) != 0)
      image_.Refuse("its data lies in other files; ingot reads no file but the one it is given");
    const H5D_layout_t layout = H5Pget_layout(created);
    if (layout == H5D_VIRTUAL) image_.Refuse("a virtual dataset; ingot reads no file but the one it is given");
    const Space file_space(H5Dget_space(dataset));
    const Dataspace space = SpaceOf(file_space);
    const Type stored(H5Dget_type(dataset)), memory(H5Tcopy(stored));
    const Datatype type = TypeOf(stored, memory);
    if (type.kind != Datatype::Kind::kNumber) image_.Refuse("a dataset of texts; ingot reads numbers and bool");
    const uint64_t size = space.count * type.size;
    Pay(size);
    if (layout == H5D_CHUNKED) CheckChunks(created, space, type.size);

    const uint64_t at_rest = H5Dget_storage_size(dataset);
    image_.Spend(at_rest ? at_rest : size);  // chunks that many datasets claim are paid for by each

    const std::shared_ptr<std::byte[]> data(new std::byte[std::max<uint64_t>(1, size)]);
    if (size) Check(H5Dread(dataset, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, data.get()), "read it");
    node.tensor = StoredTensor{image_.path, type.type, space.shape, {data.get(), size}, data};
  }

  void Pay(uint64_t size) {
    if (size > kMaxDataset || size > room_)
      image_.Refuse("inflates to ", size, " bytes; a file of ", bytes_.size(), " bytes may hold datasets of ",
                    std::min(kMaxDataset, kInflated * bytes_.size() + (uint64_t{1} << 20)), " bytes in all");
    room_ -= size;
  }

  // libhdf5 holds a chunk in memory whole, and would load filters it does not know from plugins.
  void CheckChunks(const Properties& created, const Dataspace& space, uint64_t element) const {
    hsize_t extents[H5S_MAX_RANK];
    const int rank = H5Pget_chunk(created, H5S_MAX_RANK, extents);
    Check(rank, "tell the size of its chunks");
    if (rank != space.shape.rank() || std::count(extents, extents + rank, 0))
      image_.Refuse("its chunks are not of its shape ", space.shape, "; the file is damaged");
    uint64_t chunk = element;
    for (int i = 0; i < rank; ++i) {
      if (__builtin_mul_overflow(chunk, extents[i], &chunk) || chunk > kInflated * bytes_.size() + (uint64_t{1} << 20))
        image_.Refuse("its chunks are larger than a file of ", bytes_.size(), " bytes can hold");
    }
    const int filters = H5Pget_nfilters(created);
    Check(filters, "tell its filters");
    for (int i = 0; i < filters; ++i) {
      char name[64] = "";
      unsigned flags = 0, config = 0;
      size_t values = 0;
      const H5Z_filter_t filter =
          H5Pget_filter2(created, static_cast<unsigned>(i), &flags, &values, nullptr, sizeof name, name, &config);
      Check(filter, "tell its filters");
      if (filter > H5Z_FILTER_SCALEOFFSET || H5Zfilter_avail(filter) <= 0)
        image_.Refuse("its filter ", filter, " (", std::string(name, strnlen(name, sizeof name)),
                      ") is not one of libhdf5's own; rewrite it with gzip or without compression");
    }
  }

  Bytes bytes_;
  Image image_;
  uint64_t room_;  // for datasets
};

std::mutex one_at_a_time;

template <class Body>
auto InLibrary(Bytes image, const std::string& where, const Body& body) {
  const std::lock_guard lock(one_at_a_time);
  try {
    LibraryReader reader(image, where);
    return body(reader);
  } catch (const std::bad_alloc&) {
    Fail(where, ": not enough memory for its datasets");
  }
}

}  // namespace

void ReadDatasetsWithLibrary(Bytes image, const std::string& where, const std::vector<LibraryDataset>& datasets,
                             Hdf5Node& root) {
  InLibrary(image, where, [&](LibraryReader& reader) { reader.Read(datasets, root); });
}

}  // namespace hdf5

bool HasHdf5Library() { return true; }

Hdf5Node ReadHdf5WithLibrary(Bytes image, const std::string& where) {
  return hdf5::InLibrary(image, where, [](hdf5::LibraryReader& reader) { return reader.Read(); });
}

}  // namespace ingot

#endif  // INGOT_HDF5
