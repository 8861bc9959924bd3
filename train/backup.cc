// SPDX-License-Identifier: MIT
//
// BackupAndRestore: a file beside the fit, and what it takes to go on from it.
#include <filesystem>

#include "ingot/core/error.h"
#include "ingot/io/atomic_file.h"
#include "ingot/train/callbacks.h"
#include "ingot/train/trainer.h"

namespace ingot {
namespace {

namespace fs = std::filesystem;

class BackupAndRestoreCallback : public Callback {
 public:
  BackupAndRestoreCallback(const std::string& path, const BackupAndRestoreOptions& o) : path_(path), o_(o) {
    if (!path.ends_with(".ingot"))
      Fail("BackupAndRestore: '", path, "' is not the name of an .ingot file, which alone can hold all of a fit");
    if (o.save_freq < 0)
      Fail("BackupAndRestore: save_freq is ", o.save_freq, ", a number of batches or 0 (each epoch) was expected");
  }

  void on_train_begin(Model& model) override {
    since_ = 0;
    std::error_code error;
    if (!fs::exists(path_, error)) return;
    model.load_weights(path_);
    if (!model.state().position)
      Fail(path_, ": holds a model, but not where a fit stood; BackupAndRestore needs a file of its own");
  }

  void on_train_batch_end(Model& model, int64_t, const Logs&) override {
    if (o_.save_freq == 0 || ++since_ < o_.save_freq) return;
    since_ = 0;
    Save(model);
  }
  void on_epoch_end(Model& model, int, const Logs&) override {
    if (o_.save_freq == 0) Save(model);
  }

  void on_train_end(Model& model, const Logs&) override {
    model.wait_for_save();
    if (!o_.delete_checkpoint) return;
    std::error_code error;
    const fs::path folder = fs::path(path_).parent_path();
    if (!folder.empty() && !fs::is_directory(folder, error)) return;
    const AtomicFile unfinished(path_);  // goes, and what a killed save has left with it
    if (!fs::remove(path_, error) && error) Fail(path_, ": cannot be removed: ", error.message());
  }

  void state(Fields& f, std::vector<Array>&) override { f("backup_batches", since_); }

 private:
  void Save(Model& model) {
    MakeFolderOf(path_);
    model.save(path_, {.background = o_.background});
  }

  std::string path_;
  BackupAndRestoreOptions o_;
  int since_ = 0;  // the last save, in batches
};

}  // namespace

CallbackPtr BackupAndRestore(const std::string& path, const BackupAndRestoreOptions& options) {
  return std::make_shared<BackupAndRestoreCallback>(path, options);
}

}  // namespace ingot
