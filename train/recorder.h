// SPDX-License-Identifier: MIT
//
// Takes a profile while a fit runs: clocks around what fit does, and, in some of its steps, behind each step of the
// plan. How many of them is chosen so that looking costs about 1 % of the time: a step of 3 us has 20 steps of its
// plan, and to look at one costs some 100 ns. Such short steps are not all timed as a whole either, for the same
// reason. Times of steps that were looked into count for their parts, not for the whole.
//
// Threads: of the one that fits. What others did comes from the trace.
#pragma once

#include <memory>
#include <typeinfo>

#include "ingot/core/trace.h"
#include "ingot/train/callbacks.h"
#include "ingot/train/profile.h"
#include "ingot/train/trainer.h"

namespace ingot {

inline constexpr const char* kValidationSpan = "validation";

class Recorder {
 public:
  enum class Part : uint8_t { kEpoch, kInput, kPlan, kValidation };

  // `every`: which steps are looked into; 0: as many as cost about 1 %.
  Recorder(Profile& into, ModelState& model, bool training, const char* where, int64_t every = 0);
  ~Recorder();
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  void Finish();  // what was seen is in the profile

  // From here to the end of the block; of nothing where there is no recorder.
  class Span {
   public:
    Span(Recorder* r, Part part, const char* name, int64_t number = -1)
        : r_(r), part_(part), name_(name), number_(number), begin_(r ? Trace::Now() : 0) {}
    ~Span() {
      if (r_) r_->End(part_, name_, number_, begin_);
    }
    Span(const Span&) = delete;
    Span& operator=(const Span&) = delete;

   private:
    Recorder* r_;
    Part part_;
    const char* name_;
    int64_t number_, begin_;
  };
  class Called {
   public:
    Called(Recorder* r, const Callback& callback, const char* hook)
        : r_(r), callback_(callback), hook_(hook), begin_(r ? Trace::Now() : 0) {}
    ~Called() {
      if (r_) r_->End(callback_, hook_, begin_);
    }
    Called(const Called&) = delete;
    Called& operator=(const Called&) = delete;

   private:
    Recorder* r_;
    const Callback& callback_;
    const char* hook_;
    int64_t begin_;
  };

  // A step of training, or a prediction, over n rows. `watch` is what the step is run with.
  class Step {
   public:
    Step(Recorder* r, int64_t number, int64_t rows, const Watch& also);
    Step(Recorder*, int64_t, int64_t, Watch&&) = delete;  // it is called until the step ends
    ~Step();
    Step(const Step&) = delete;
    Step& operator=(const Step&) = delete;
    const Watch& watch() const { return *watch_; }

   private:
    Recorder* r_;
    const Watch* watch_;
    int64_t number_, rows_, begin_;
    bool accumulates_;
  };

 private:
  struct Seen;
  void End(Part part, const char* name, int64_t number, int64_t begin);
  void End(const Callback& callback, const char* hook, int64_t begin);
  void Look(const Program& program, const ingot::Step* step);

  std::unique_ptr<Seen> seen_;
};

// "TensorBoard" of what TensorBoard() gives, "Mine" of a struct Mine.
std::string NameOf(const Callback& callback);

}  // namespace ingot
