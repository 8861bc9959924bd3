// SPDX-License-Identifier: MIT
#include "ingot/io/json.h"

#include <locale.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "ingot/core/error.h"

namespace ingot {
namespace {

constexpr int kMaxDepth = 100;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

void AppendUtf8(std::string& out, uint32_t point) {
  const auto put = [&](uint32_t byte) { out += static_cast<char>(byte); };
  if (point < 0x80) return put(point);
  if (point < 0x800) return put(0xC0 | point >> 6), put(0x80 | (point & 0x3F));
  if (point < 0x10000)
    put(0xE0 | point >> 12);
  else
    put(0xF0 | point >> 18), put(0x80 | (point >> 12 & 0x3F));
  put(0x80 | (point >> 6 & 0x3F)), put(0x80 | (point & 0x3F));
}

class Parser {
 public:
  Parser(std::string_view text, const std::string& where)
      : begin_(text.data()), at_(begin_), end_(begin_ + text.size()), where_(where) {}

  Json All() {
    if (std::string_view(at_, static_cast<size_t>(end_ - at_)).starts_with("\xEF\xBB\xBF"))
      at_ += 3;  // as editors write it
    Json value = Value(1);
    Next();
    if (at_ != end_) Refuse("more follows");
    return value;
  }

 private:
  [[noreturn]] void Refuse(const char* why) const { Fail(where_, ": is not JSON: byte ", at_ - begin_, ": ", why); }

  // The next character that is no space, not taken; 0 at the end.
  char Next() {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\t' || *at_ == '\r')) ++at_;
    return at_ == end_ ? '\0' : *at_;
  }
  bool Take(char c) { return Next() == c && (++at_, true); }

  Json Value(int depth) {
    if (depth > kMaxDepth) Fail(where_, ": the JSON is nested deeper than ", kMaxDepth);
    switch (Next()) {
      case '{':
        return ++at_, Object(depth);
      case '[':
        return ++at_, List(depth);
      case '"':
        return ++at_, Json(String());
      case 't':
        return Word("true"), Json(true);
      case 'f':
        return Word("false"), Json(false);
      case 'n':
        return Word("null"), Json();
      default:
        return Number();
    }
  }

  void Word(std::string_view word) {
    if (std::string_view(at_, static_cast<size_t>(end_ - at_)).substr(0, word.size()) != word)
      Refuse("a value is expected");
    at_ += word.size();
  }

  // What an object or a list holds is gathered on a stack that all of them share, then moved into its place at once.
  Json Object(int depth) {
    const size_t first = members_.size();
    if (!Take('}')) {
      do {
        if (!Take('"')) Refuse("a key in quotation marks is expected");
        std::string key = String();
        if (!Take(':')) Refuse("':' is expected");
        members_.emplace_back(std::move(key), Value(depth + 1));
      } while (Take(','));
      if (!Take('}')) Refuse("',' or '}' is expected");
    }
    RefuseTwice(first);
    Json object = Json::object();
    // As the vector that it is: the map would look for each key among those before it.
    std::vector<Json::object_t::value_type>& map = object.get_ref<Json::object_t&>();
    map.reserve(members_.size() - first);
    for (size_t i = first; i < members_.size(); ++i)
      map.emplace_back(std::move(members_[i].first), std::move(members_[i].second));
    members_.resize(first);
    return object;
  }

  Json List(int depth) {
    const size_t first = items_.size();
    if (!Take(']')) {
      do items_.push_back(Value(depth + 1));
      while (Take(','));
      if (!Take(']')) Refuse("',' or ']' is expected");
    }
    const auto begin = items_.begin() + static_cast<std::ptrdiff_t>(first);
    Json list = Json::array_t(std::make_move_iterator(begin), std::make_move_iterator(items_.end()));
    items_.erase(begin, items_.end());
    return list;
  }

  // A second value of a key would be read by some and passed over by others.
  void RefuseTwice(size_t first) {
    constexpr size_t kFew = 16;
    const size_t n = members_.size() - first;
    if (n > kFew) {
      std::vector<std::string_view> keys;
      for (size_t i = first; i < members_.size(); ++i) keys.push_back(members_[i].first);
      std::sort(keys.begin(), keys.end());
      const auto twice = std::adjacent_find(keys.begin(), keys.end());
      if (twice != keys.end()) RefuseKey(*twice);
      return;
    }
    for (size_t i = first; i < members_.size(); ++i)
      for (size_t k = first; k < i; ++k)
        if (members_[i].first == members_[k].first) RefuseKey(members_[i].first);
  }
  [[noreturn]] void RefuseKey(std::string_view key) const {
    Refuse(Text("the object that ends here holds the key '", key, "' twice").c_str());
  }

  // Behind the opening quotation mark, to behind the closing one.
  std::string String() {
    std::string out;
    const char* run = at_;
    bool ascii = true;
    for (;; ++at_) {
      if (at_ == end_) Refuse("a string does not end");
      const auto c = static_cast<unsigned char>(*at_);
      ascii &= c < 0x80;
      if (c == '"') break;
      if (c < 0x20) Refuse("a string holds a control character");
      if (c != '\\') continue;
      out.append(run, at_);
      ++at_;
      Escape(out);
      run = at_--;
    }
    out.append(run, at_);
    if (!ascii && !IsUtf8(out)) Refuse("the string that ends here is not UTF-8");
    ++at_;
    return out;
  }

  void Escape(std::string& out) {
    constexpr std::string_view kNames = "\"\\/bfnrt", kMeant = "\"\\/\b\f\n\r\t";
    if (at_ == end_) Refuse("a string does not end");
    const char name = *at_++;
    if (const size_t i = kNames.find(name); i != std::string_view::npos) return void(out += kMeant[i]);
    if (name != 'u') Refuse("an unknown escape");
    uint32_t point = Hex();
    if (point >= 0xDC00 && point < 0xE000) Refuse("the second half of a pair of surrogates without the first");
    if (point >= 0xD800 && point < 0xDC00) {
      if (end_ - at_ < 2 || at_[0] != '\\' || at_[1] != 'u') Refuse("the first half of a pair of surrogates alone");
      at_ += 2;
      const uint32_t low = Hex();
      if (low < 0xDC00 || low >= 0xE000) Refuse("the first half of a pair of surrogates alone");
      point = 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00);
    }
    AppendUtf8(out, point);
  }

  uint32_t Hex() {
    uint32_t value = 0;
    const char* to = at_ + std::min<std::ptrdiff_t>(4, end_ - at_);
    const auto [stop, error] = std::from_chars(at_, to, value, 16);
    if (error != std::errc() || stop != at_ + 4) Refuse("four hexadecimal digits are expected");
    at_ = stop;
    return value;
  }

  void Digits() {
    if (at_ == end_ || !IsDigit(*at_)) Refuse("a digit is expected");
    while (at_ != end_ && IsDigit(*at_)) ++at_;
  }

  Json Number() {
    const char* begin = at_;
    const bool negative = at_ != end_ && *at_ == '-';
    if (negative) ++at_;
    if (at_ == end_ || !IsDigit(*at_)) Refuse("a value is expected");
    if (*at_ == '0')
      ++at_;
    else
      Digits();
    bool whole = true;
    if (at_ != end_ && *at_ == '.') whole = false, ++at_, Digits();
    if (at_ != end_ && (*at_ == 'e' || *at_ == 'E')) {
      whole = false;
      if (++at_ != end_ && (*at_ == '+' || *at_ == '-')) ++at_;
      Digits();
    }
    if (uint64_t n = 0; whole && !negative && std::from_chars(begin, at_, n).ec == std::errc()) return n;
    if (int64_t n = 0; whole && negative && std::from_chars(begin, at_, n).ec == std::errc()) return n;
    double value = 0;
    // from_chars gives neither what is too large nor what is too small for a double; strtod tells them apart.
    if (std::from_chars(begin, at_, value).ec != std::errc()) {
      static const locale_t plain = newlocale(LC_ALL_MASK, "C", nullptr);  // a user's may have a comma for the point
      value = strtod_l(std::string(begin, at_).c_str(), nullptr, plain);
    }
    if (!std::isfinite(value)) Refuse("a number beyond double precision ends here");
    return value;
  }

  const char *begin_, *at_, *end_;
  const std::string& where_;
  std::vector<std::pair<std::string, Json>> members_;
  std::vector<Json> items_;
};

}  // namespace

Json ParseJson(std::string_view text, const std::string& where) { return Parser(text, where).All(); }

}  // namespace ingot
