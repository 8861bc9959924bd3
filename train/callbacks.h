// SPDX-License-Identifier: MIT
//
// Callback: what fit calls on its way, in Keras's order. Derive from it, or use one of those below.
#pragma once

#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "ingot/core/array.h"
#include "ingot/core/fields.h"

namespace ingot {

class Model;
struct Logs;

class Callback {
 public:
  virtual ~Callback() = default;
  virtual void on_train_begin(Model&) {}
  virtual void on_train_end(Model&, const Logs&) {}
  virtual void on_epoch_begin(Model&, int /*epoch*/) {}
  // Numbers of its own for the logs of the epoch, and so for the history: before any on_epoch_end is called.
  virtual void add_logs(Model&, Logs&) {}
  virtual void on_epoch_end(Model&, int /*epoch*/, const Logs&) {}
  virtual void on_train_batch_begin(Model&, int64_t /*batch*/) {}
  virtual void on_train_batch_end(Model&, int64_t /*batch*/, const Logs&) {}
  // What it must not forget when training is interrupted: the same lines write it, for a file saved meanwhile, and read
  // it back, behind on_train_begin of the fit that goes on. Arrays are written later: put copies there of what changes.
  virtual void state(Fields&, std::vector<Array>& /*arrays*/) {}
};
using CallbackPtr = std::shared_ptr<Callback>;
using Callbacks = std::vector<CallbackPtr>;

struct EarlyStoppingOptions {
  std::string monitor = "val_loss";
  double min_delta = 0;
  int patience = 0;
  std::string mode = "auto";  // or "min", "max"
  double baseline = std::numeric_limits<double>::quiet_NaN();
  bool restore_best_weights = false;
  int start_from_epoch = 0;
};
CallbackPtr EarlyStopping(const EarlyStoppingOptions& options = {});

// Ends training when the running loss is no longer a number: gracefully, on_train_end and all, or by an Error.
struct TerminateOnNaNOptions {
  bool raise_error = false;
};
CallbackPtr TerminateOnNaN(const TerminateOnNaNOptions& options = {});

// Saves the model to a path made of the epoch, the batch and the logs, as Python would write them:
//   ModelCheckpoint("best-{epoch:02d}-{val_loss:.2f}.keras", {.save_best_only = true})
// Where Keras warns that what is monitored is not in the logs, and saves, this is an Error: val_loss with a save_freq
// in batches, for one. Folders are made as needed.
struct ModelCheckpointOptions {
  std::string monitor = "val_loss";
  bool save_best_only = false;
  bool save_weights_only = false;  // to .weights.h5, .safetensors or .npz; else to a format that holds models
  std::string mode = "auto";       // or "min", "max"
  int save_freq = 0;               // every so many batches; 0: behind each epoch
  double initial_value_threshold = std::numeric_limits<double>::quiet_NaN();  // what the first must beat
  bool background = false;                                                    // as SaveOptions has it
};
CallbackPtr ModelCheckpoint(const std::string& path, const ModelCheckpointOptions& options = {});

// Makes fit survive an interruption, whatever it is. The file (.ingot) holds all of it; where it is there when fit
// begins, fit goes on from it, in the middle of the epoch, and ends with the weights, the state and the history, to the
// bit, of a fit that was never interrupted. The program is simply started again: the same model, compiled; the same
// data and options (epochs may be more); the same callbacks, whose state comes along (Callback::state). Files need no
// double: a save replaces the one before it whole, or not at all.
struct BackupAndRestoreOptions {
  int save_freq = 0;              // every so many batches; 0: behind each epoch
  bool delete_checkpoint = true;  // when training ends
  bool background = true;         // as SaveOptions has it
};
CallbackPtr BackupAndRestore(const std::string& path, const BackupAndRestoreOptions& options = {});

// Multiplies the learning rate by `factor` when what is monitored has not become better for `patience` epochs, then
// waits for `cooldown` epochs. "learning_rate" is among the logs.
struct ReduceLROnPlateauOptions {
  std::string monitor = "val_loss";
  double factor = 0.1;
  int patience = 10;
  std::string mode = "auto";  // or "min", "max"
  double min_delta = 1e-4;
  int cooldown = 0;
  double min_lr = 0;
};
CallbackPtr ReduceLROnPlateau(const ReduceLROnPlateauOptions& options = {});

// The learning rate of each epoch, from its number (the first is 0) and the rate so far. "learning_rate" is among the
// logs.
CallbackPtr LearningRateScheduler(std::function<double(int epoch, double rate)> schedule);

// A line for each epoch, as Keras writes them: epoch, then the logs by name; NA for what an epoch lacks.
struct CSVLoggerOptions {
  std::string separator = ",";
  // To what the file holds, in the order of its own header, which must name every log. Nothing there is written again.
  bool append = false;
};
CallbackPtr CSVLogger(const std::string& path, const CSVLoggerOptions& options = {});

// What the process holds behind each epoch, among the logs, in MiB: "resident_mb" all of it, "private_mb" what is its
// own, "page_cache_mb" pages of files that are shared with the system's cache, "arenas_mb" weights, gradients,
// optimizer state and activations of this model.
CallbackPtr MemoryReport();

inline constexpr const char* kHistogramsSpan = "histograms";  // what TensorBoard's take, in traces

// What TensorBoard shows: scalars by epoch, histograms of the weights, the model as a graph, the text of the plan. As
// Keras lays it out, in log_dir/train and log_dir/validation, written by a thread of its own.
struct TensorBoardOptions {
  int histogram_freq = 0;  // every so many epochs; 0: none
  bool write_graph = true;
  bool write_images = false;  // of the weights, where there are histograms
  bool write_steps_per_second = false;
  int update_freq = 0;  // every so many batches, scalars of the batch; 0: by epoch alone
};
CallbackPtr TensorBoard(const std::string& log_dir = "logs", const TensorBoardOptions& options = {});

struct LambdaCallbackOptions {
  std::function<void(Model&, int epoch)> on_epoch_begin{};
  std::function<void(Model&, int epoch, const Logs&)> on_epoch_end{};
  std::function<void(Model&)> on_train_begin{};
  std::function<void(Model&, const Logs&)> on_train_end{};
  std::function<void(Model&, int64_t batch)> on_train_batch_begin{};
  std::function<void(Model&, int64_t batch, const Logs&)> on_train_batch_end{};
};
CallbackPtr LambdaCallback(const LambdaCallbackOptions& options);

}  // namespace ingot
