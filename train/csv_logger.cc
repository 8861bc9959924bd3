// SPDX-License-Identifier: MIT
//
// CSVLogger, line for line as Keras writes them: a header of "epoch" and the names of the logs in order, with those of
// a validation that there was none of; lines end with CR LF. Each line reaches the file before the next epoch begins. A
// fit that is resumed writes the lines again that it had written when it was saved, and goes on behind them.
//
// What is appended to is never written anew: a disk that is full, or the end of the process, costs a line at most.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "ingot/core/error.h"
#include "ingot/io/atomic_file.h"
#include "ingot/io/csv.h"
#include "ingot/io/text_file.h"
#include "ingot/train/callbacks.h"
#include "ingot/train/model.h"
#include "ingot/train/python_format.h"

namespace ingot {
namespace {

constexpr char kEpoch[] = "epoch";
constexpr size_t kMostLog = size_t{1} << 30;

class CSVLoggerCallback : public Callback {
 public:
  CSVLoggerCallback(const std::string& path, const CSVLoggerOptions& o) : path_(path), o_(o) {
    if (o.separator.size() != 1 || o.separator == "\"" || o.separator == "\n" || o.separator == "\r")
      Fail("CSVLogger: '", path, "': the separator is '", o.separator, "', one character was expected");
  }
  ~CSVLoggerCallback() override { Close(); }
  CSVLoggerCallback(const CSVLoggerCallback&) = delete;
  CSVLoggerCallback& operator=(const CSVLoggerCallback&) = delete;

  void on_train_begin(Model&) override {
    Close();
    written_.clear();
    names_.clear();
    struct stat old;
    const bool exists = stat(path_.c_str(), &old) == 0;
    if (exists && !S_ISREG(old.st_mode))
      Fail("CSVLogger: '", path_, "' cannot be written: it is a folder, a device or a pipe, not a file; name another");
    if (o_.append && exists) {
      try {
        written_ = ReadTextFile(path_, "a log to append to", kMostLog);
      } catch (const Error& e) {
        Fail("CSVLogger: ", e.what());
      }
    }
    Open(o_.append ? 0 : O_TRUNC);
  }

  void on_epoch_end(Model&, int epoch, const Logs& logs) override {
    std::string text;
    if (names_.empty()) {
      if (written_.empty()) {
        Name(logs);
        for (const std::string& name : names_)
          text += (text.empty() ? "" : o_.separator) + CsvField(name, o_.separator[0]);
        text += "\r\n";
      } else {
        NameByHeader(logs);
        // A last line that was cut stays one by itself.
        if (written_.back() != '\n') text = written_.back() == '\r' ? "\n" : "\r\n";
      }
    }
    for (size_t i = 0; i < names_.size(); ++i) {
      if (i) text += o_.separator;
      text += names_[i] == kEpoch        ? std::to_string(epoch)
              : logs.contains(names_[i]) ? PythonRepr(logs[names_[i]])
                                         : "NA";
    }
    text += "\r\n";
    Write(text);
    written_ += text;
  }

  void on_train_end(Model&, const Logs&) override { Close(); }

  void state(Fields& f, std::vector<Array>&) override {
    f("csv_logger_written", written_);
    size_t count = names_.size();
    if (f.reading()) names_.clear();
    f.each("csv_logger_names", count, [&](Fields& item, size_t i) {
      if (names_.size() <= i) names_.resize(i + 1);
      item("name", names_[i]);
    });
    if (!f.reading()) return;
    f.ignore("csv_logger_header");  // a backup of before has it, and names without the first column's
    if (count && std::find(names_.begin(), names_.end(), kEpoch) == names_.end()) names_.insert(names_.begin(), kEpoch);
    Close();
    {
      AtomicFile file(path_);
      file.Write(written_.data(), written_.size());
      file.Commit();
    }
    Open(0);
  }

 private:
  void Name(const Logs& logs) {
    for (const auto& [name, value] : logs) names_.push_back(name);
    std::sort(names_.begin(), names_.end());
    const bool validated =
        std::any_of(names_.begin(), names_.end(), [](const std::string& n) { return n.starts_with("val_"); });
    const size_t count = names_.size();
    for (size_t i = 0; !validated && i < count; ++i) names_.push_back("val_" + names_[i]);
    names_.insert(names_.begin(), kEpoch);
  }

  // Behind lines of another header numbers would stand under names that are not theirs.
  void NameByHeader(const Logs& logs) {
    size_t at = 0;
    std::vector<std::string> header = NextCsvRecord(written_, at, o_.separator[0]);
    std::string known;
    for (const std::string& name : header) known += (known.empty() ? "" : ", ") + name;
    const auto need = [&](const std::string& name) {
      if (std::find(header.begin(), header.end(), name) == header.end())
        Fail("CSVLogger: '", path_, "': the header has no column for '", name, "', but: ", known,
             "; append to a log of the same metrics and separator, or name another file");
    };
    need(kEpoch);
    for (const auto& [name, value] : logs) need(name);
    names_ = std::move(header);
  }

  void Open(int how) {
    fd_ = open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK | how, 0666);
    if (fd_ < 0) Refuse();
  }
  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }
  void Write(const std::string& text) {
    const off_t end = lseek(fd_, 0, SEEK_END);
    for (size_t done = 0; done < text.size();) {
      const ssize_t n = write(fd_, text.data() + done, text.size() - done);
      if (n < 0 && errno == EINTR) continue;
      if (n > 0) {
        done += static_cast<size_t>(n);
        continue;
      }
      const int failed = n < 0 ? errno : ENOSPC;
      if (done && end >= 0 && ftruncate(fd_, end) != 0) {
        // Then a part of the line stays, which the next append ends.
      }
      errno = failed;
      Refuse();
    }
  }
  [[noreturn]] void Refuse() const {
    Fail("CSVLogger: '", path_, "' cannot be written (", std::strerror(errno),
         "); is there such a folder, and room on the disk?");
  }

  std::string path_;
  CSVLoggerOptions o_;
  int fd_ = -1;
  std::vector<std::string> names_;  // of the columns, "epoch" among them
  std::string written_;             // all of the file
};

}  // namespace

CallbackPtr CSVLogger(const std::string& path, const CSVLoggerOptions& options) {
  return std::make_shared<CSVLoggerCallback>(path, options);
}

}  // namespace ingot
