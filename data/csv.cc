// SPDX-License-Identifier: MIT
//
// Comma-separated values, as RFC 4180 has them: fields may stand in quotes, and then hold delimiters, line breaks and
// doubled quotes. Lines end with \n or \r\n, or with \r in a file that has no \n; empty lines are passed over. A row
// counts only once all of it is read and right: a bad one leaves nothing behind, neither numbers nor words. Where a
// quote is out of place nobody knows what it was to enclose: the line is bad, and the next one is read as a row.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <deque>
#include <limits>
#include <map>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "ingot/core/error.h"
#include "ingot/data/dataset.h"
#include "ingot/io/mapped_file.h"

namespace ingot {
namespace {

using Texts = std::vector<std::string_view>;

// A row that is not as it should be; what is behind it can be read.
struct BadRowError {
  std::string what;
};

// A field for a message: short, and without what would end or garble it.
std::string Shown(std::string_view field) {
  constexpr size_t kMost = 40;
  std::string text(field.substr(0, kMost));
  for (char& c : text)
    if (static_cast<unsigned char>(c) < ' ') c = '?';
  return Text("'", text, field.size() > kMost ? "...'" : "'");
}

class Lines {
 public:
  Lines(std::string_view text, char delimiter) : text_(text), delimiter_(delimiter) {
    if (text_.starts_with("\xEF\xBB\xBF")) at_ = 3;
    if (text_.find('\n') == std::string_view::npos) end_ = '\r';
  }

  // The fields of the next row, until the one after it is read; false at the end.
  bool Next(Texts& fields) {
    while (at_ < text_.size() && (text_[at_] == end_ || text_.substr(at_, 2) == "\r\n")) {
      at_ += text_[at_] == end_ ? 1 : 2;
      ++next_line_;
    }
    line_ = next_line_;
    row_ = at_;
    fields.clear();
    unquoted_.clear();
    if (at_ == text_.size()) return false;
    for (bool more = true; more;) {
      fields.push_back(at_ < text_.size() && text_[at_] == '"' ? Quoted() : Plain());
      more = at_ < text_.size() && text_[at_] == delimiter_;
      at_ += at_ < text_.size();  // the delimiter or the end of the line
    }
    ++next_line_;
    return true;
  }
  int64_t line() const { return line_; }  // on which the row begins

 private:
  // Up to the delimiter or the end of the line, which stay to be read.
  std::string_view Plain() {
    const size_t begin = at_;
    while (at_ < text_.size() && text_[at_] != delimiter_ && text_[at_] != end_) ++at_;
    std::string_view field = text_.substr(begin, at_ - begin);
    if (field.ends_with('\r') && (at_ == text_.size() || text_[at_] == '\n')) field.remove_suffix(1);
    return field;
  }
  std::string_view Quoted() {
    std::string& field = unquoted_.emplace_back();
    for (;;) {
      const size_t quote = text_.find('"', at_ + 1);
      if (quote == std::string_view::npos) {
        LeaveLine();
        throw BadRowError{"a quote is not closed before the end of the file"};
      }
      field += text_.substr(at_ + 1, quote - at_ - 1);
      at_ = quote + 1;
      if (at_ == text_.size() || text_[at_] != '"') break;
      field += '"';
    }
    next_line_ += std::count(field.begin(), field.end(), end_);
    if (const std::string_view rest = Plain(); !rest.empty()) {
      LeaveLine();
      throw BadRowError{Text(Shown(rest), " follows a closed quote; a delimiter was expected")};
    }
    return field;
  }
  // On with the line behind that on which the row begins.
  void LeaveLine() {
    at_ = std::min(text_.find(end_, row_), text_.size() - 1) + 1;
    next_line_ = line_ + 1;
  }

  std::string_view text_;
  char delimiter_, end_ = '\n';
  size_t at_ = 0, row_ = 0;  // row_: where it begins
  int64_t line_ = 1, next_line_ = 1;
  std::deque<std::string> unquoted_;
};

std::string_view Trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Of a number beyond what double holds: whether it is nearer to zero, and not farther from it.
bool NearZero(std::string_view number) {
  const size_t e = std::min(number.find_first_of("eE"), number.size());
  const std::string_view digits = number.substr(0, e);
  const size_t point = std::min(digits.find('.'), e), first = std::min(digits.find_first_of("123456789"), e);
  std::string_view power = number.substr(std::min(e + 1, number.size()));
  if (power.starts_with('+')) power.remove_prefix(1);
  int32_t exponent = 0;
  if (std::from_chars(power.data(), power.data() + power.size(), exponent).ec == std::errc::result_out_of_range)
    return power.starts_with('-');
  return static_cast<int64_t>(point) - static_cast<int64_t>(first) + exponent < 0;
}

struct Column {
  size_t index;
  std::string name;
  bool category = false, given = false;  // words; and their list was there before
  std::unordered_map<std::string, int32_t> words;
};

class Table {
 public:
  Table(const std::string& path, const CsvOptions& o)
      : path_(path),
        o_(o),
        file_(MappedFile::Open(path)),
        rows_({reinterpret_cast<const char*>(file_->bytes().data()), file_->bytes().size()}, o.delimiter) {}

  Dataset Read() {
    if (o_.delimiter == '"' || o_.delimiter == '\n' || o_.delimiter == '\r')
      Fail(path_, ": the delimiter may not be a quote or the end of a line");
    Texts fields;
    bool read = o_.header ? Header(fields) : Next(fields);
    if (!read) Fail(path_, ": is empty");
    Choose(fields);
    if (o_.header) read = Next(fields);
    for (; read; read = Next(fields)) Try([&] { Add(fields); });
    if (o_.skipped) *o_.skipped = skipped_;
    if (count_ == 0)
      Fail(path_, ": has no rows", skipped_ ? Text(" but ", skipped_, " bad ones, which were skipped") : "");
    return Finish();
  }

 private:
  // Without it, there is nothing to go by.
  bool Header(Texts& fields) {
    try {
      return rows_.Next(fields);
    } catch (const BadRowError& e) {
      Fail(path_, ":", rows_.line(), ": the header: ", e.what);
    }
  }
  // False at the end of the file. Rows that cannot be split are bad ones.
  bool Next(Texts& fields) {
    for (bool more = false;;)
      if (Try([&] { more = rows_.Next(fields); })) return more;
  }
  template <class F>
  bool Try(const F& f) {
    try {
      f();
      return true;
    } catch (const BadRowError& e) {
      if (o_.on_bad_row == BadRow::kError) Fail(path_, ":", rows_.line(), ": ", e.what);
      ++skipped_;
      return false;
    }
  }

  void Choose(const Texts& first) {
    std::vector<std::string> names;
    for (size_t i = 0; i < first.size(); ++i)
      names.push_back(o_.header ? std::string(Trimmed(first[i])) : std::to_string(i));
    width_ = names.size();
    const auto find = [&](const std::string& name) {
      const auto found = std::find(names.begin(), names.end(), name);
      if (found == names.end()) {
        std::string there;
        for (const std::string& n : names) there += " " + n;
        Fail(path_, ": has no column '", name, "'; there are:", there);
      }
      if (std::find(found + 1, names.end(), name) != names.end())
        Fail(path_, ": has several columns '", name, "'; give them names of their own");
      return static_cast<size_t>(found - names.begin());
    };
    std::vector<char> taken(names.size(), 0);
    const auto take = [&](size_t i, std::vector<Column>& to) {
      if (std::exchange(taken[i], 1)) Fail(path_, ": column '", names[i], "' was asked for twice");
      to.push_back({i, names[i], false, false, {}});
    };
    for (const std::string& name : o_.label) take(find(name), y_);
    for (const std::string& name : o_.columns) take(find(name), x_);
    for (size_t i = 0; o_.columns.empty() && i < names.size(); ++i)
      if (!taken[i]) take(i, x_);
    if (x_.empty()) Fail(path_, ": all of its columns are labels; there is no input");
    for (const std::string& name : o_.categories) {
      const size_t index = find(name);
      bool found = false;
      for (std::vector<Column>* columns : {&x_, &y_})
        for (Column& c : *columns)
          if (c.index == index) found = c.category = true, Recall(c);
      if (!found) Fail(path_, ": column '", name, "' of words is neither a label nor among the columns asked for");
    }
    row_x_.resize(x_.size());
    row_y_.resize(y_.size());
  }
  // The list of words that was given.
  void Recall(Column& c) const {
    if (!o_.vocabulary) return;
    const auto found = o_.vocabulary->find(c.name);
    if (found == o_.vocabulary->end()) return;
    c.given = true;
    for (const std::string& word : found->second) {
      const auto [at, fresh] = c.words.emplace(word, static_cast<int32_t>(c.words.size()));
      if (!fresh)
        Fail(path_, ": column '", c.name, "': its list has the word ", Shown(word), " twice, at ", at->second, " and ",
             c.words.size(), "; a word has one place");
    }
  }

  void Add(const Texts& fields) {
    if (fields.size() != width_)
      throw BadRowError{Text("has ", fields.size(), " fields, ", width_, " were expected",
                             o_.header ? " as in the header" : " as in the first line")};
    const auto read = [&](const std::vector<Column>& columns, std::vector<double>& row) {
      for (size_t k = 0; k < columns.size(); ++k) {
        const Column& c = columns[k];
        if (!c.category) {
          row[k] = Number(fields[c.index], c);
        } else if (c.given && !c.words.contains(std::string(fields[c.index]))) {
          throw BadRowError{Text("column '", c.name, "': the word ", Shown(fields[c.index]), " is not in its list")};
        }
      }
    };
    read(x_, row_x_), read(y_, row_y_);
    // Nothing can fail from here on.
    const auto add = [&](std::vector<Column>& columns, std::vector<double>& row) {
      for (size_t k = 0; k < columns.size(); ++k)
        if (columns[k].category)
          row[k] =
              columns[k]
                  .words.emplace(std::string(fields[columns[k].index]), static_cast<int32_t>(columns[k].words.size()))
                  .first->second;
    };
    add(x_, row_x_), add(y_, row_y_);
    for (const double v : row_x_) xs_.push_back(static_cast<float>(v));
    for (const double v : row_y_) {
      whole_ &= v == std::floor(v) && std::fabs(v) <= std::numeric_limits<int32_t>::max();
      ys_.push_back(v);
    }
    ++count_;
  }
  double Missing(const std::string& what, const Column& c) const {
    if (o_.missing) return static_cast<double>(*o_.missing);
    throw BadRowError{Text("column '", c.name, "': ", what, "; CsvOptions::missing says what to read then")};
  }
  double Number(std::string_view field, const Column& c) const {
    field = Trimmed(field);
    if (field.empty() || field == "NA") return Missing("the field is empty", c);
    std::string_view digits = field;
    if (digits.starts_with('+') && !digits.starts_with("+-")) digits.remove_prefix(1);
    double value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error == std::errc() && end == field.data() + field.size() && std::isnan(value))  // in any spelling
      return Missing(Shown(field) + " is no number", c);
    if (error == std::errc::result_out_of_range && end == field.data() + field.size() && NearZero(digits))
      return digits.starts_with('-') ? -0.0 : 0.0;
    if (error == std::errc::result_out_of_range ||
        (error == std::errc() && std::fabs(value) > std::numeric_limits<float>::max()))
      throw BadRowError{Text("column '", c.name, "': ", Shown(field), " is no number that float32 holds")};
    if (error != std::errc() || end != field.data() + field.size())
      throw BadRowError{Text("column '", c.name, "': ", Shown(field), " is no number",
                             "; columns of words are named in CsvOptions::categories")};
    return value;
  }

  // Words in the order of the file become words in alphabetical order.
  std::vector<int32_t> Sort(const Column& c) const {
    std::vector<std::pair<std::string, int32_t>> sorted(c.words.begin(), c.words.end());
    std::sort(sorted.begin(), sorted.end());
    std::vector<int32_t> place(sorted.size());
    std::vector<std::string> list;
    for (const auto& [word, id] : sorted) {
      place[static_cast<size_t>(id)] = static_cast<int32_t>(list.size());
      list.push_back(word);
    }
    if (o_.vocabulary) (*o_.vocabulary)[c.name] = std::move(list);
    return place;
  }
  template <class T>
  void Place(const std::vector<Column>& columns, std::vector<T>& values) const {
    for (size_t k = 0; k < columns.size(); ++k) {
      if (!columns[k].category || columns[k].given) continue;
      const std::vector<int32_t> place = Sort(columns[k]);
      for (size_t i = k; i < values.size(); i += columns.size())
        values[i] = static_cast<T>(place[static_cast<size_t>(values[i])]);
    }
  }
  Dataset Finish() {
    Place(x_, xs_), Place(y_, ys_);
    Dataset data;
    data.x.push_back(Array({count_, static_cast<int64_t>(x_.size())}, std::move(xs_)));
    if (y_.empty()) return data;
    const Shape shape = y_.size() == 1 ? Shape{count_} : Shape{count_, static_cast<int64_t>(y_.size())};
    const auto as = [&](auto zero) {
      std::vector<decltype(zero)> values;
      for (const double v : ys_) values.push_back(static_cast<decltype(zero)>(v));
      return Array(shape, std::move(values));
    };
    data.y.push_back(whole_ ? as(int32_t{0}) : as(0.0f));
    return data;
  }

  const std::string& path_;
  const CsvOptions& o_;
  std::shared_ptr<const MappedFile> file_;
  Lines rows_;
  size_t width_ = 0;
  std::vector<Column> x_, y_;
  std::vector<double> row_x_, row_y_, ys_;
  std::vector<float> xs_;
  int64_t count_ = 0, skipped_ = 0;
  bool whole_ = true;  // all labels are whole numbers
};

}  // namespace

Dataset Dataset::from_csv(const std::string& path, const CsvOptions& options) {
  if (path.empty()) Fail("from_csv: the path is empty; the name of a file was expected");
  return Table(path, options).Read();
}

}  // namespace ingot
