// SPDX-License-Identifier: MIT
//
// Where time goes: in a fit, or in a step by itself. By phase, by layer and by step of the plan, each held against what
// this machine can do; and what each thread did when, as a trace that ui.perfetto.dev and chrome://tracing show.
//
//   Profile profile;
//   model.fit(data, {.epochs = 2, .profile = &profile});
//   std::cout << profile.str();
//   profile.write_trace("fit.json");
//
// A fit that is not profiled pays a test of a pointer for each step. One that is pays for clocks: around every step of
// training (of short ones, around some), and around the steps of the plan in so many of them that it stays within 1 %
// of the time (recorder.h). One profile is taken at a time in a process; a second is an Error.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ingot/data/dataset.h"
#include "ingot/train/model.h"

namespace ingot {

struct Profile {
  // What is done in one step of training, or one prediction. Arithmetic and bytes are those it takes at least.
  struct Part {
    std::string phase, layer, kernel, shapes;
    double ms = 0, flops = 0, bytes = 0;
  };
  struct Phase {
    std::string name;
    double seconds = 0;
  };
  struct Call {
    std::string callback, hook;
    int64_t calls = 0;
    double seconds = 0;
  };
  // The shortest time that such work can take here, and which of both it is that takes it.
  struct Bound {
    double ms = 0;
    bool memory = false;
  };
  struct Event {
    int32_t name;
    int64_t number, begin, end;  // of the batch or the element, if not negative; nanoseconds
  };
  struct Thread {
    std::string name;
    std::vector<Event> events;  // by their beginning; what encloses others comes before them
    int64_t dropped = 0;        // that were too many to be kept
  };

  std::string model;
  bool training = true;
  int64_t batch = 0;                 // rows of a step; of several, that which brought most rows: what follows is of it
  int threads = 1;                   // of the pool
  std::vector<Part> steps;           // of the plan, in its order; ms are medians
  double flops = 0, bytes = 0;       // of all of them
  double ms_median = 0, ms_min = 0;  // of the whole step, not looked into
  double copy_ms = 0;                // of it, to bring the batch in
  int64_t steps_done = 0, looked_into = 0;  // of training, and how many of them were timed step by step of the plan
  int epochs = 0;
  double seconds = 0;          // of all there is in `phases`
  std::vector<Phase> phases;   // input, forward, backward, update, callbacks, validation, plan, other
  std::vector<Call> calls;     // of callbacks
  double seconds_copying = 0;  // of the phase "input": batches into the plan's arena
  double make_seconds = 0;     // that threads of the data set were at work, all together
  std::vector<Thread> trace;   // the thread of the fit first
  std::vector<std::string> names;

  double phase(const std::string& name) const;  // its seconds; 0 if there is none
  std::vector<Part> layers() const;             // sums over their steps, the dearest first
  Bound bound(const Part& part) const;          // measures the ceilings of the machine the first time

  // Tables of 120 columns, the dearest first; at most so many lines of each.
  std::string str(size_t most = 1000) const;
  std::string json() const;
  // Trace Event Format: a JSON object with traceEvents, times in microseconds.
  void write_trace(const std::string& path) const;
};

struct ProfileOptions {
  bool training = true;  // a step of training, which changes the weights; else a prediction
  double seconds = 1;    // to spend, about
};
// Of a step by itself: all of `data` is one batch.
Profile profile(Model& model, const Dataset& data, const ProfileOptions& options = {});

}  // namespace ingot
