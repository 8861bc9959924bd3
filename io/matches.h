// SPDX-License-Identifier: MIT
//
// What a model wants and what a file holds, brought together: every weight and slot must be found, with its shape, and
// nothing may be left over. Otherwise an Error lists what matched and what did not; or, with Checkpoint::skip_mismatch,
// what matches is loaded and the rest listed.
#pragma once

#include <string>
#include <vector>

#include "ingot/io/format.h"
#include "ingot/io/stored.h"

namespace ingot {

class Matches {
 public:
  // `wanted` is its name in messages. `found` may be null: the file has none. A shape differs: both are kept for the
  // Error. Whether it fits comes back.
  bool AddWeight(const std::string& wanted, size_t variable, const Checkpoint& into, const StoredTensor* found);
  void AddSlot(const std::string& wanted, size_t slot, size_t variable, const Checkpoint& into,
               const StoredTensor* found);
  // As when shapes differ, where the file's are not to be compared one to one: `expected` is what should have come.
  void Differs(const std::string& wanted, const std::string& expected, const StoredTensor& found);
  void LeftOver(const std::string& name, const Shape& shape) { left_over_.push_back(name + " " + shape.str()); }
  // Where mismatches are skipped: a weight that might fit, of a layer that does not.
  void WithItsLayer(const std::string& wanted) { with_layer_.push_back(wanted); }
  // If all fits, gives the checkpoint its weights and slots; else an Error, and nothing was changed. To skip
  // mismatches: gives it the weights that fit, and into.skipped says what was skipped; an Error if no weight fits.
  //
  // If there is an image, weights stay in it where all of them can be used as they lie there; else they are copied,
  // now. Slots are needed by nobody before the first step of training: if there is an image, they are left for then, in
  // into.pending.
  void Finish(Checkpoint& into, const std::string& where) const;

 private:
  struct Weight {
    size_t variable;
    StoredTensor found;
  };
  struct Slot {
    size_t slot, variable;
    StoredTensor found;
  };
  bool Fits(const std::string& wanted, const Shape& shape, const StoredTensor* found);
  bool PlaceInFile(Checkpoint& into) const;
  [[noreturn]] void Refuse(const std::string& where, bool skipping) const;
  std::vector<std::string> Skipped() const;

  std::vector<Weight> weights_;
  std::vector<Slot> slots_;
  std::vector<std::string> matched_, missing_, differ_, left_over_, with_layer_;
};

}  // namespace ingot
