// SPDX-License-Identifier: MIT
//
// Saving in the background: training stops for a copy of the weights and of the optimizer's slots; a thread of its own
// writes the copy. The memory of the copy is kept for the next one.
//
// One save of a model is under way at a time: the next waits for it. What goes wrong is an Error of whoever waits; if
// nobody does before the model is gone or the process ends, it is said on stderr. Both ends wait until all is written.
//
// Threads: as the model, one at a time.
#pragma once

#include <memory>
#include <string>

#include "ingot/core/threads.h"
#include "ingot/io/format.h"

namespace ingot {

inline constexpr const char* kBackgroundSaveThread = "background save";  // its name in traces

class BackgroundSave {
 public:
  BackgroundSave() = default;
  ~BackgroundSave();
  BackgroundSave(const BackgroundSave&) = delete;
  BackgroundSave& operator=(const BackgroundSave&) = delete;

  // Until what is under way is written. Error, once, if it could not be.
  void Wait();
  // The checkpoint then refers to the copy. REQUIRES: nothing is under way
  void Copy(Checkpoint& checkpoint, ThreadPool& pool);
  // REQUIRES: nothing is under way
  void Start(Writing writing);

 private:
  struct Job;
  struct Jobs;

  std::string Finish();  // what went wrong; empty if all is well

  std::shared_ptr<Block> weights_, slots_;
  std::shared_ptr<Job> job_;
};

}  // namespace ingot
