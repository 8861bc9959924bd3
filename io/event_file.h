// SPDX-License-Identifier: MIT
//
// What TensorBoard reads: a file of records, each an event of a time and a step that carries values by tag. A thread of
// its own encodes and writes; the caller hands over and goes on.
//
// A record is its length in 8 bytes, their masked CRC32C, the event as a protocol buffer, its masked CRC32C. What the
// callback puts in stands in train/tensorboard.cc.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace ingot {

// Values of a summary, encoded.
std::string ScalarValue(const std::string& tag, double value);
// Thirty bars of equal width, as tf.summary.histogram draws. What is not finite has no place in one, and is left out.
std::string HistogramValue(const std::string& tag, std::span<const float> values);
// `plugin` says who shows it: "text" takes Markdown, "graph_keras_model" a model as Keras's JSON.
std::string TextValue(const std::string& tag, const std::string& text, const std::string& plugin);
// Rows of pixels of 1, 3 or 4 channels.
std::string ImageValue(const std::string& tag, int width, int height, int channels, const std::vector<uint8_t>& pixels);

// A node of the graph that TensorBoard draws.
struct GraphNode {
  std::string name, op;
  std::vector<std::string> inputs;
};

class EventFile {
 public:
  explicit EventFile(const std::string& folder);  // made as needed; the file gets a name of its own there
  ~EventFile();                                   // when all is written; errors are lost
  EventFile(const EventFile&) = delete;
  EventFile& operator=(const EventFile&) = delete;

  // `values` is called by the thread that writes. Each throws what an earlier one met with there.
  void Write(int64_t step, std::function<std::vector<std::string>()> values);
  void WriteGraph(const std::vector<GraphNode>& nodes);
  void Wait();  // until all is in the file

  const std::string& path() const { return path_; }

 private:
  struct Job {
    double time;
    std::function<std::string()> event;  // without its time
  };
  void Add(std::function<std::string()> event);
  void Run();
  void WriteRecord(std::string_view event);

  std::string path_;
  int fd_ = -1;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> jobs_;
  bool busy_ = false, ends_ = false;
  std::exception_ptr error_;
  std::thread thread_;
};

}  // namespace ingot
