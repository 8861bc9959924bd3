// SPDX-License-Identifier: MIT
//
// An array file is "\x93NUMPY", a version (two bytes), the length of the header (two bytes in version 1.0, four in 2.0
// and 3.0), the header, the data. The header is a Python literal, padded with spaces so that the data is aligned:
//   {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
// https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
#include "ingot/io/npy.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstring>
#include <optional>
#include <string_view>

#include "ingot/core/error.h"
#include "ingot/io/zip.h"

namespace ingot {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::string_view kSuffix = ".npy";
constexpr size_t kAlignment = 64;

struct Spelling {
  StoredType type;
  const char* descr;
};
constexpr Spelling kSpellings[] = {
    {StoredType::kFloat16, "<f2"},       {StoredType::kFloat32, "<f4"}, {StoredType::kFloat64, "<f8"},
    {StoredType::kInt8, "|i1"},          {StoredType::kInt16, "<i2"},   {StoredType::kInt32, "<i4"},
    {StoredType::kInt64, "<i8"},         {StoredType::kUint8, "|u1"},   {StoredType::kUint16, "<u2"},
    {StoredType::kUint32, "<u4"},        {StoredType::kUint64, "<u8"},  {StoredType::kBool, "|b1"},
    {StoredType::kBfloat16, "bfloat16"},
};
static_assert(std::size(kSpellings) == static_cast<size_t>(StoredType::kBool) + 1, "one for each type");

StoredType TypeOf(const std::string& descr, const std::string& where) {
  for (const Spelling& spelling : kSpellings)
    if (descr == spelling.descr) return spelling.type;
  if (descr.starts_with('>'))
    Fail(where, ": its type '", descr, "' is big-endian; save it as array.astype('<", descr.substr(1), "')");
  if (descr == "|V2" || descr == "<V2")
    Fail(where, ": its type '", descr, "' says two bytes an element and not of what kind, which is how NumPy saves ",
         "bfloat16; save it as array.astype('float32')");
  if (descr.find('O') != std::string::npos) Fail(where, ": holds Python objects, which are not read; save numbers");
  Fail(where, ": its type '", descr, "' is not read; bool, whole numbers and floats of up to 64 bits are");
}

// Reads the one Python literal that a header can be. It walks forward only, so it needs no bound but the text's own.
class Header {
 public:
  Header(std::string_view text, const std::string& where) : text_(text), where_(where) {
    Expect('{');
    while (!Take('}')) {
      const std::string key = String();
      Expect(':');
      if (key == "descr" && !descr) {
        if (Peek() != '\'' && Peek() != '"') Refuse("a plain type ('<f4'), not a struct,");
        descr = String();
      } else if (key == "fortran_order" && !fortran_order) {
        fortran_order = Truth();
      } else if (key == "shape" && !shape) {
        shape = Tuple();
      } else {
        Fail(where_, ": the header's key '", key, "' is unknown or there twice");
      }
      if (!Take(',') && Peek() != '}') Refuse("',' or '}'");
    }
    Peek();
    if (at_ < text_.size()) Refuse("nothing more");
    if (!descr || !fortran_order || !shape) Fail(where_, ": the header lacks descr, fortran_order or shape");
  }

  std::optional<std::string> descr;
  std::optional<bool> fortran_order;
  std::optional<Shape> shape;

 private:
  [[noreturn]] void Refuse(const char* expected) const {
    Fail(where_, ": at byte ", at_, " of the header, ", expected, " was expected, not '",
         text_.substr(at_, std::min<size_t>(20, text_.size() - at_)), "'");
  }
  // The next character that is not a space; zero at the end.
  char Peek() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool Take(char c) {
    if (Peek() != c || at_ == text_.size()) return false;
    ++at_;
    return true;
  }
  void Expect(char c) {
    const char quoted[] = {'\'', c, '\'', '\0'};
    if (!Take(c)) Refuse(quoted);
  }
  bool Word(std::string_view word) {
    Peek();
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }
  std::string String() {
    const char quote = Peek();
    if (quote != '\'' && quote != '"') Refuse("a string");
    const size_t end = text_.find(quote, at_ + 1);
    if (end == std::string_view::npos) Refuse("a string that ends");
    const std::string_view inside = text_.substr(at_ + 1, end - at_ - 1);
    if (inside.find('\\') != std::string_view::npos) Refuse("a string without escapes");
    at_ = end + 1;
    return std::string(inside);
  }
  bool Truth() {
    if (Word("True")) return true;
    if (!Word("False")) Refuse("True or False");
    return false;
  }
  // "()", "(3,)", "(3, 4)", and "(3L, 4L)" as Python 2 wrote it.
  Shape Tuple() {
    Shape dims;
    Expect('(');
    while (!Take(')')) {
      int64_t dim = 0;
      Peek();
      const char* begin = text_.data() + at_;
      const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), dim);
      if (error != std::errc() || dim < 0) Refuse("an extent from 0 to 2^63 - 1");
      at_ += static_cast<size_t>(end - begin);
      Word("L");
      if (dims.rank() == kMaxRank) Fail(where_, ": has more than ", kMaxRank, " axes; it begins ", dims);
      dims.push_back(dim);
      if (!Take(',') && (Peek() != ')' || dims.rank() == 1)) Refuse("',' in the tuple");
    }
    return dims;
  }

  std::string_view text_;
  const std::string& where_;
  size_t at_ = 0;
};

}  // namespace

StoredTensor ReadNpy(Bytes file, const std::shared_ptr<const void>& owner, const std::string& where) {
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  if (!text.starts_with(kMagic)) Fail(where, ": is not an .npy file: it does not begin with \\x93NUMPY");
  if (file.size() < 12) Fail(where, ": was cut short: its ", file.size(), " bytes hold no header");
  const int major = static_cast<uint8_t>(text[6]), minor = static_cast<uint8_t>(text[7]);
  if (major < 1 || major > 3 || minor != 0)
    Fail(where, ": is of version ", major, ".", minor, " of the format; 1.0, 2.0 and 3.0 are read");
  const size_t field = major == 1 ? 2 : 4, begin = 8 + field;
  uint32_t length = 0;
  std::memcpy(&length, file.data() + 8, field);
  if (length > file.size() - begin)
    Fail(where, ": a header of ", length, " bytes at offset ", begin, " leaves the file of ", file.size(), " bytes");
  const Header header(text.substr(begin, length), where);

  StoredTensor tensor;
  tensor.type = TypeOf(*header.descr, where);
  tensor.shape = *header.shape;
  tensor.bytes = file.subspan(begin + length);
  tensor.owner = owner;
  if (*header.fortran_order &&
      std::count_if(tensor.shape.begin(), tensor.shape.end(), [](int64_t dim) { return dim > 1; }) > 1)
    Fail(where, ": its shape ", tensor.shape, " is in Fortran's order; save it as numpy.ascontiguousarray(array)");
  const size_t bytes = CheckedBytes(tensor.shape, tensor.type, tensor.bytes.size(), where);
  if (bytes != tensor.bytes.size())
    Fail(where, ": ", tensor.bytes.size(), " bytes of data, shape ", tensor.shape, " of ", Name(tensor.type), " takes ",
         bytes);
  return tensor;
}

void WriteNpy(const StoredTensor& tensor, const Sink& sink) {
  const auto* spelling = std::find_if(std::begin(kSpellings), std::end(kSpellings),
                                      [&](const Spelling& s) { return s.type == tensor.type; });
  INGOT_CHECK(spelling != std::end(kSpellings));
  std::string head(kMagic);
  head += {'\1', '\0', '\0', '\0'};
  head += Text("{'descr': '", spelling->descr, "', 'fortran_order': False, 'shape': ", tensor.shape, ", }");
  head.resize((head.size() + kAlignment) / kAlignment * kAlignment, ' ');
  head.back() = '\n';
  const auto length = static_cast<uint16_t>(head.size() - 10);
  std::memcpy(head.data() + 8, &length, sizeof length);
  sink(head.data(), head.size());
  sink(tensor.bytes.data(), tensor.bytes.size());
}

std::vector<StoredTensor> ReadNpz(Bytes file, const std::shared_ptr<const void>& owner, const std::string& where) {
  const ZipReader zip(file, owner, where);
  std::vector<StoredTensor> tensors;
  tensors.reserve(zip.members().size());
  for (const ZipReader::Member& member : zip.members()) {
    const std::string at = where + ", member '" + member.name + "'";
    if (!member.name.ends_with(kSuffix)) Fail(at, ": is not an array; an .npz archive holds .npy files only");
    std::shared_ptr<const void> keeper;
    const Bytes bytes = zip.Read(member, keeper);
    tensors.push_back(ReadNpy(bytes, keeper, at));
    tensors.back().name = member.name.substr(0, member.name.size() - kSuffix.size());
  }
  return tensors;
}

void WriteNpz(const std::vector<StoredTensor>& tensors, const Sink& sink) {
  ZipWriter zip(sink);
  for (const StoredTensor& tensor : tensors)
    zip.Add(
        tensor.name + std::string(kSuffix), [&](const Sink& into) { WriteNpy(tensor, into); }, kAlignment);
  zip.Finish();
}

}  // namespace ingot
