// SPDX-License-Identifier: MIT
//
// Ctrl-C ends a fit, not the program: while an Interrupt lives, the first SIGINT is noted, and what SIGINT did before
// is put back, so that a second one does that. Where SIGINT is ignored it stays so. One at a time counts; those inside
// it do nothing.
//
// Threads: made and destroyed by any; the signal may reach any.
#pragma once

#include <csignal>

namespace ingot {

class Interrupt {
 public:
  explicit Interrupt(bool on);
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  bool came() const;

 private:
  bool on_, ignored_ = false;
};

}  // namespace ingot
