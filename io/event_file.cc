// SPDX-License-Identifier: MIT
#include "ingot/io/event_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <utility>

#include "ingot/core/bars.h"
#include "ingot/core/crc32c.h"
#include "ingot/core/error.h"
#include "ingot/core/trace.h"
#include "ingot/io/png.h"

namespace ingot {
namespace {

constexpr size_t kMostJobs = 4096;  // waiting: a disk that is slow must not fill the memory

// A message of protocol buffers, field by field.
class Proto {
 public:
  Proto& Int(int field, uint64_t value) {
    Varint(static_cast<uint64_t>(field) << 3);
    Varint(value);
    return *this;
  }
  Proto& Double(int field, double value) {
    Varint(static_cast<uint64_t>(field) << 3 | 1);
    return Raw(&value, sizeof value);
  }
  Proto& Float(int field, float value) {
    Varint(static_cast<uint64_t>(field) << 3 | 5);
    return Raw(&value, sizeof value);
  }
  Proto& Bytes(int field, std::string_view bytes) {
    Varint(static_cast<uint64_t>(field) << 3 | 2);
    Varint(bytes.size());
    text_ += bytes;
    return *this;
  }
  Proto& Message(int field, const Proto& message) { return Bytes(field, message.text_); }
  Proto& Doubles(int field, const std::vector<double>& values) {
    return Bytes(field, {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(double)});
  }
  std::string str() { return std::move(text_); }

 private:
  void Varint(uint64_t value) {
    for (; value >= 128; value >>= 7) text_ += static_cast<char>(value | 128);
    text_ += static_cast<char>(value);
  }
  Proto& Raw(const void* data, size_t bytes) {
    text_.append(static_cast<const char*>(data), bytes);
    return *this;
  }
  std::string text_;
};

double Now() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

uint32_t Masked(std::string_view bytes) {
  const uint32_t crc = Crc32c(bytes.data(), bytes.size());
  return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

template <class T>
void Append(std::string& text, T value) {
  text.append(reinterpret_cast<const char*>(&value), sizeof value);
}

}  // namespace

std::string ScalarValue(const std::string& tag, double value) {
  return Proto().Bytes(1, tag).Float(2, static_cast<float>(value)).str();
}

std::string HistogramValue(const std::string& tag, std::span<const float> values) {
  constexpr int kBars = 30;
  auto [least, most] = SpreadOf(values);
  double count = 0, sum = 0, squares = 0;
  for (const float v : values) {
    if (!std::isfinite(v)) continue;
    ++count, sum += v, squares += static_cast<double>(v) * v;
  }
  if (count == 0) least = most = 0;
  // Equal values are one bar of width 1 around them.
  const double from = least == most ? least - 0.5 : least, to = least == most ? most + 0.5 : most;
  const int bars = least == most ? 1 : kBars;
  const double width = (to - from) / bars;
  std::vector<double> limits(static_cast<size_t>(bars));
  for (int i = 0; i < bars; ++i) limits[static_cast<size_t>(i)] = i + 1 == bars ? to : from + (i + 1) * width;
  Proto histogram;
  histogram.Double(1, from).Double(2, to).Double(3, count).Double(4, sum).Double(5, squares);
  histogram.Doubles(6, limits).Doubles(7, CountBars(values, from, to, bars));
  return Proto().Bytes(1, tag).Message(5, histogram).str();
}

std::string TextValue(const std::string& tag, const std::string& text, const std::string& plugin) {
  constexpr uint64_t kString = 7, kTensors = 2;
  const Proto data = Proto().Bytes(1, plugin).Bytes(2, plugin == "graph_keras_model" ? "1" : "");
  const Proto metadata = Proto().Message(1, data).Int(4, kTensors);
  const Proto tensor = Proto().Int(1, kString).Message(2, Proto()).Bytes(8, text);
  return Proto().Bytes(1, tag).Message(9, metadata).Message(8, tensor).str();
}

std::string ImageValue(const std::string& tag, int width, int height, int channels,
                       const std::vector<uint8_t>& pixels) {
  Proto image;
  image.Int(1, static_cast<uint64_t>(height)).Int(2, static_cast<uint64_t>(width));
  image.Int(3, static_cast<uint64_t>(channels)).Bytes(4, EncodePng(width, height, channels, pixels));
  return Proto().Bytes(1, tag).Message(4, image).str();
}

EventFile::EventFile(const std::string& folder) {
  static std::atomic<int> made = 0;
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  if (failed) Fail("TensorBoard: the folder '", folder, "' cannot be made: ", failed.message());
  char host[65] = "host";
  gethostname(host, sizeof host - 1);
  const auto seconds = static_cast<int64_t>(Now());
  path_ = (std::filesystem::path(folder) /
           Text("events.out.tfevents.", seconds, ".", host, ".", getpid(), ".", made++, ".v2"))
              .string();
  fd_ = open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd_ < 0) Fail("TensorBoard: '", path_, "' cannot be made: ", std::strerror(errno));
  Add([] { return Proto().Bytes(3, "brain.Event:2").str(); });
  thread_ = std::thread([this] { Run(); });
}

EventFile::~EventFile() {
  {
    const std::lock_guard lock(mutex_);
    ends_ = true;
  }
  changed_.notify_all();
  thread_.join();
  close(fd_);
}

void EventFile::Write(int64_t step, std::function<std::vector<std::string>()> values) {
  Add([step, values = std::move(values)] {
    Proto summary;
    for (const std::string& value : values()) summary.Bytes(1, value);
    return Proto().Int(2, static_cast<uint64_t>(step)).Message(5, summary).str();
  });
}

void EventFile::WriteGraph(const std::vector<GraphNode>& nodes) {
  constexpr uint64_t kProducer = 22;  // the version of the format
  Proto graph;
  for (const GraphNode& node : nodes) {
    Proto encoded;
    encoded.Bytes(1, node.name).Bytes(2, node.op);
    for (const std::string& input : node.inputs) encoded.Bytes(3, input);
    graph.Message(1, encoded);
  }
  graph.Message(4, Proto().Int(1, kProducer));
  Add([event = Proto().Message(4, graph).str()] { return event; });
}

void EventFile::Wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return (jobs_.empty() && !busy_) || error_; });
  if (error_) std::rethrow_exception(error_);
}

void EventFile::Add(std::function<std::string()> event) {
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return jobs_.size() < kMostJobs || error_; });
    if (error_) std::rethrow_exception(error_);
    jobs_.push_back({Now(), std::move(event)});
  }
  changed_.notify_all();
}

void EventFile::Run() {
  Trace::NameThread("tensorboard");
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return ends_ || !jobs_.empty(); });
    if (jobs_.empty() || error_) {
      if (ends_) return;
      jobs_.clear();
      continue;
    }
    const Job job = std::move(jobs_.front());
    jobs_.pop_front();
    busy_ = true;
    lock.unlock();
    std::exception_ptr error;
    try {
      const TraceSpan span("write");
      WriteRecord(Proto().Double(1, job.time).str() + job.event());
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    busy_ = false;
    error_ = error;
    changed_.notify_all();
  }
}

void EventFile::WriteRecord(std::string_view event) {
  std::string record;
  Append(record, static_cast<uint64_t>(event.size()));
  Append(record, Masked(record));
  record += event;
  Append(record, Masked(event));
  for (size_t done = 0; done < record.size();) {
    const ssize_t n = write(fd_, record.data() + done, record.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) Fail("TensorBoard: '", path_, "' cannot be written: ", n ? std::strerror(errno) : "nothing was taken");
    done += static_cast<size_t>(n);
  }
}

}  // namespace ingot
