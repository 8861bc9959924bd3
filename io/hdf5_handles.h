// SPDX-License-Identifier: MIT
//
// libhdf5's C interface made safe to use: handles that close themselves, its errors as text, and an image in memory
// that it opens where it lies. Included only where ingot is built with libhdf5.
#pragma once

#include <hdf5.h>

#include <string>

#include "ingot/io/stored.h"

namespace ingot::hdf5 {

template <herr_t (*Close)(hid_t)>
class Handle {
 public:
  explicit Handle(hid_t id) : id_(id) {}
  ~Handle() {
    if (id_ >= 0) Close(id_);
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  operator hid_t() const { return id_; }

 private:
  hid_t id_;
};
using File = Handle<H5Fclose>;
using Object = Handle<H5Oclose>;
using Attribute = Handle<H5Aclose>;
using Space = Handle<H5Sclose>;
using Type = Handle<H5Tclose>;
using Properties = Handle<H5Pclose>;

// libhdf5 prints its errors unless it is told not to.
class Silence {
 public:
  Silence() {
    H5Eget_auto2(H5E_DEFAULT, &print_, &data_);
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  }
  ~Silence() { H5Eset_auto2(H5E_DEFAULT, print_, data_); }
  Silence(const Silence&) = delete;
  Silence& operator=(const Silence&) = delete;

 private:
  H5E_auto2_t print_ = nullptr;
  void* data_ = nullptr;
};

// What went wrong innermost.
inline std::string LastError() {
  std::string text = "no reason given";
  const auto first = [](unsigned n, const H5E_error2_t* error, void* out) -> herr_t {
    if (n == 0 && error->desc) *static_cast<std::string*>(out) = error->desc;
    return 0;
  };
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, first, &text);
  H5Eclear2(H5E_DEFAULT);
  return text;
}

// The memory driver wants to own its image; these have it use ours, which it never writes to.
inline H5FD_file_image_callbacks_t BorrowImage(Bytes& image) {
  H5FD_file_image_callbacks_t calls{};
  calls.image_malloc = [](size_t, H5FD_file_image_op_t, void* data) -> void* {
    return const_cast<std::byte*>(static_cast<Bytes*>(data)->data());
  };
  calls.image_memcpy = [](void* dst, const void* src, size_t, H5FD_file_image_op_t, void*) -> void* {
    return dst == src ? dst : nullptr;
  };
  calls.image_realloc = [](void*, size_t, H5FD_file_image_op_t, void*) -> void* { return nullptr; };
  calls.image_free = [](void*, H5FD_file_image_op_t, void*) -> herr_t { return 0; };
  calls.udata_copy = [](void* data) { return data; };
  calls.udata_free = [](void*) -> herr_t { return 0; };
  calls.udata = &image;
  return calls;
}

}  // namespace ingot::hdf5
