// SPDX-License-Identifier: MIT
//
// CSVLogger, line for line as Keras writes them: a header of "epoch" and the names of the logs in order, with those of
// a validation that there was none of; lines end with CR LF. Each line reaches the file before the next epoch begins. A
// fit that is resumed writes the lines again that it had written when it was saved, and goes on behind them.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "ingot/core/error.h"
#include "ingot/train/callbacks.h"
#include "ingot/train/model.h"
#include "ingot/train/python_format.h"

namespace ingot {
namespace {

class CSVLoggerCallback : public Callback {
 public:
  CSVLoggerCallback(const std::string& path, const CSVLoggerOptions& o) : path_(path), o_(o) {
    if (o.separator.size() != 1 || o.separator == "\"" || o.separator == "\n" || o.separator == "\r")
      Fail("CSVLogger: '", path, "': the separator is '", o.separator, "', one character was expected");
  }

  void on_train_begin(Model&) override {
    written_.clear();
    names_.clear();
    header_ = true;
    if (o_.append) {
      std::ifstream in(path_, std::ios::binary);
      std::stringstream all;
      if (in) all << in.rdbuf();
      written_ = all.str();
      header_ = written_.empty();
    }
    Rewrite();
  }

  void on_epoch_end(Model&, int epoch, const Logs& logs) override {
    if (names_.empty()) Name(logs);
    std::string text;
    if (header_) {
      text = "epoch";
      for (const std::string& name : names_) text += o_.separator + Quoted(name);
      text += "\r\n";
      header_ = false;
    }
    text += std::to_string(epoch);
    for (const std::string& name : names_) text += o_.separator + (logs.contains(name) ? PythonRepr(logs[name]) : "NA");
    text += "\r\n";
    written_ += text;
    Write(text);
  }

  void on_train_end(Model&, const Logs&) override { out_.close(); }

  void state(Fields& f, std::vector<Array>&) override {
    f("csv_logger_written", written_);
    f("csv_logger_header", header_);
    size_t count = names_.size();
    f.each("csv_logger_names", count, [&](Fields& item, size_t i) {
      if (names_.size() <= i) names_.resize(i + 1);
      item("name", names_[i]);
    });
    if (f.reading()) Rewrite();
  }

 private:
  void Name(const Logs& logs) {
    for (const auto& [name, value] : logs) names_.push_back(name);
    std::sort(names_.begin(), names_.end());
    const bool validated =
        std::any_of(names_.begin(), names_.end(), [](const std::string& n) { return n.starts_with("val_"); });
    const size_t count = names_.size();
    for (size_t i = 0; !validated && i < count; ++i) names_.push_back("val_" + names_[i]);
  }

  std::string Quoted(const std::string& text) const {
    if (text.find_first_of("\"\r\n" + o_.separator) == text.npos) return text;
    std::string quoted = "\"";
    for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
    return quoted + "\"";
  }

  void Rewrite() {
    out_.close();
    out_.open(path_, std::ios::binary | std::ios::trunc);
    Write(written_);
  }
  void Write(const std::string& text) {
    errno = 0;
    out_ << text << std::flush;
    if (!out_)
      Fail("CSVLogger: '", path_, "' cannot be written", errno ? Text(" (", std::strerror(errno), ")") : std::string(),
           "; is there such a folder, and room on the disk?");
  }

  std::string path_;
  CSVLoggerOptions o_;
  std::ofstream out_;
  std::vector<std::string> names_;
  std::string written_;  // all of the file
  bool header_ = true;   // is still to be written
};

}  // namespace

CallbackPtr CSVLogger(const std::string& path, const CSVLoggerOptions& options) {
  return std::make_shared<CSVLoggerCallback>(path, options);
}

}  // namespace ingot
