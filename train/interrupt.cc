// SPDX-License-Identifier: MIT
#include "ingot/train/interrupt.h"

#include <atomic>

namespace ingot {
namespace {

struct sigaction before;
std::atomic<bool> taken{false};
volatile std::sig_atomic_t noted = 0;

void Note(int) {
  noted = 1;
  sigaction(SIGINT, &before, nullptr);
}

}  // namespace

Interrupt::Interrupt(bool on) : on_(on && !taken.exchange(true)) {
  if (!on_) return;
  noted = 0;
  struct sigaction action {};
  action.sa_handler = Note;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, nullptr, &before);
  // Whoever started the program may have said that it is not to be interrupted: nohup, & in a script.
  ignored_ = before.sa_handler == SIG_IGN;
  if (!ignored_) sigaction(SIGINT, &action, nullptr);
}

Interrupt::~Interrupt() {
  if (!on_) return;
  if (!noted && !ignored_) sigaction(SIGINT, &before, nullptr);
  taken.store(false);
}

bool Interrupt::came() const { return on_ && noted != 0; }

}  // namespace ingot
