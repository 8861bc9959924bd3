// SPDX-License-Identifier: MIT
#include "ingot/kernels/cpu/targets.h"

#include <atomic>
#include <cstdlib>
#include <cstring>

#include "hwy/highway.h"
#include "hwy/targets.h"

namespace ingot::cpu {
namespace {

std::atomic<int64_t> chosen{0};  // 0: not chosen yet

// Better targets have lower bits; so "AVX2 or less" is a mask of the bits from AVX2 up.
int64_t AtMost(int64_t best) { return ~(best - 1); }

// The library was perhaps built by another compiler, whose baseline has another name: ours always runs.
int64_t Compiled() { return (hwy::SupportedTargets() | HWY_STATIC_TARGET) & HWY_TARGETS; }

int64_t FromEnvironment() {
  const char* name = std::getenv("INGOT_TARGET");
  if (name == nullptr) return -1;
#if HWY_ARCH_X86
  if (std::strcmp(name, "avx3") == 0) return AtMost(HWY_AVX3);
  if (std::strcmp(name, "avx2") == 0) return AtMost(HWY_AVX2);
#endif
  if (std::strcmp(name, "baseline") == 0) return AtMost(HWY_STATIC_TARGET);
  return -1;
}

int64_t Choose(int64_t wanted) {
  int64_t targets = Compiled() & wanted;
  if (targets == 0) targets = HWY_STATIC_TARGET;
  hwy::GetChosenTarget().Update(targets);
  chosen.store(targets, std::memory_order_release);
  return targets;
}

}  // namespace

int64_t ChosenTargets() {
  const int64_t targets = chosen.load(std::memory_order_acquire);
  return targets != 0 ? targets : Choose(FromEnvironment());
}

void ForceTarget(int64_t targets) { Choose(targets != 0 ? targets : FromEnvironment()); }

const int64_t* SupportedTargetList() {
  struct List {
    int64_t targets[65] = {};
    List() {
      int count = 0;
      for (int64_t left = Compiled(); left != 0; left &= left - 1) targets[count++] = left & -left;
    }
  };
  static const List list;
  return list.targets;
}

const char* TargetName(int64_t targets) { return hwy::TargetName(targets & -targets); }

}  // namespace ingot::cpu
