// SPDX-License-Identifier: MIT
#include "ingot/kernels/ceilings.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "ingot/core/memory.h"
#include "ingot/kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ingot/kernels/cpu/ceilings.cc"
#include "hwy/foreach_target.h"
// After foreach_target.h:
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace ingot::cpu {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// Enough independent sums to hide the latency of each, few enough to stay in registers.
constexpr int kSums = 12;

// The floating-point operations done, and a number that depends on all of them.
double MultiplyAdd(int64_t rounds, float* result) {
  const hn::ScalableTag<float> d;
  using V = hn::Vec<decltype(d)>;
  V sum[kSums];
  for (int i = 0; i < kSums; ++i) sum[i] = hn::Set(d, static_cast<float>(i));
  const V a = hn::Set(d, 0.999f), b = hn::Set(d, 0.001f);
  for (int64_t r = 0; r < rounds; ++r) {
    HWY_UNROLL(12)
    for (int i = 0; i < kSums; ++i) sum[i] = hn::MulAdd(sum[i], a, b);
  }
  V all = sum[0];
  for (int i = 1; i < kSums; ++i) all = hn::Add(all, sum[i]);
  *result = hn::GetLane(all);
  return 2.0 * kSums * static_cast<double>(hn::Lanes(d)) * static_cast<double>(rounds);
}

void CopyFloats(const float* from, float* to, int64_t n) {
  const hn::ScalableTag<float> d;
  const int64_t step = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t i = 0; i + 4 * step <= n; i += 4 * step) {
    HWY_UNROLL(4)
    for (int k = 0; k < 4; ++k) hn::Store(hn::Load(d, from + i + k * step), d, to + i + k * step);
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace ingot::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ingot {
namespace cpu {
namespace {
HWY_EXPORT(MultiplyAdd);
HWY_EXPORT(CopyFloats);

using Clock = std::chrono::steady_clock;
constexpr int kRounds = 9;  // the best counts: what is measured is a ceiling

double Seconds(Clock::time_point since) { return std::chrono::duration<double>(Clock::now() - since).count(); }

// More threads than cores do no more, and take as much longer.
int Working(int threads) {
  return std::min(threads, std::max(1, static_cast<int>(std::thread::hardware_concurrency())));
}

double RunMultiplyAdd(int64_t rounds, float* result) { return HWY_DYNAMIC_DISPATCH(MultiplyAdd)(rounds, result); }
void RunCopy(const float* from, float* to, int64_t n) { HWY_DYNAMIC_DISPATCH(CopyFloats)(from, to, n); }

}  // namespace
}  // namespace cpu

double MeasurePeakGflops(ThreadPool& pool) {
  cpu::ChosenTargets();
  const int64_t n = cpu::Working(pool.threads());
  std::vector<double> flops(static_cast<size_t>(n) * 8);  // a cache line for each
  double best = 0;
  for (int round = 0; round < cpu::kRounds; ++round) {
    const auto begin = cpu::Clock::now();
    pool.For(n, [&](int64_t i) {
      float result = 0;
      const double done = cpu::RunMultiplyAdd(int64_t{1} << 20, &result);
      flops[static_cast<size_t>(i) * 8] = done + (result == 12345.0f ? 1 : 0);
    });
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += flops[static_cast<size_t>(i) * 8];
    best = std::max(best, sum / cpu::Seconds(begin) / 1e9);
  }
  return best;
}

double MeasureCopyGBs(ThreadPool& pool, size_t bytes) {
  cpu::ChosenTargets();
  const int64_t n = cpu::Working(pool.threads());
  const size_t half = std::max<size_t>(4096, bytes / 2 / 4096 * 4096);
  Block block(2 * half * static_cast<size_t>(n), "the measurement of memory");
  const int64_t repeat = std::max<int64_t>(1, static_cast<int64_t>((size_t{64} << 20) / half));
  double best = 0;
  for (int round = 0; round < cpu::kRounds; ++round) {
    const auto begin = cpu::Clock::now();
    pool.For(n, [&](int64_t i) {
      std::byte* at = block.data() + 2 * half * static_cast<size_t>(i);
      for (int64_t k = 0; k < repeat; ++k)
        cpu::RunCopy(reinterpret_cast<const float*>(at), reinterpret_cast<float*>(at + half),
                     static_cast<int64_t>(half / 4));
    });
    const double moved = 2.0 * static_cast<double>(half) * static_cast<double>(repeat * n);
    best = std::max(best, moved / cpu::Seconds(begin) / 1e9);
  }
  return best;
}

Ceilings MeasureCeilings(ThreadPool& pool) {
  const auto begin = cpu::Clock::now();
  // Beyond every cache; of many threads together no more than a gigabyte.
  const int threads = cpu::Working(pool.threads());
  const bool many = threads > 4;
  Ceilings all{
      threads,
      MeasurePeakGflops(pool),
      {{"16 KiB", size_t{16} << 10, 0},
       {"256 KiB", size_t{256} << 10, 0},
       {"4 MiB", size_t{4} << 20, 0},
       many ? Ceilings::Copy{"32 MiB", size_t{32} << 20, 0} : Ceilings::Copy{"256 MiB", size_t{256} << 20, 0}}};
  for (Ceilings::Copy& copy : all.copies) copy.gbs = MeasureCopyGBs(pool, copy.bytes);
  all.seconds = cpu::Seconds(begin);
  return all;
}

const Ceilings& CeilingsOf(int threads) {
  static std::mutex mutex;
  static std::map<int, Ceilings> measured;
  const std::lock_guard lock(mutex);
  threads = cpu::Working(threads);
  const auto found = measured.find(threads);
  if (found != measured.end()) return found->second;
  ThreadPool pool(threads);
  return measured.emplace(threads, MeasureCeilings(pool)).first->second;
}

double Ceilings::gbs(double bytes) const {
  const double each = bytes / threads;
  if (each <= static_cast<double>(copies.front().bytes)) return copies.front().gbs;
  for (size_t i = 1; i < copies.size(); ++i) {
    const double low = static_cast<double>(copies[i - 1].bytes), high = static_cast<double>(copies[i].bytes);
    if (each > high) continue;
    const double part = std::log(each / low) / std::log(high / low);
    return copies[i - 1].gbs * std::pow(copies[i].gbs / copies[i - 1].gbs, part);
  }
  return copies.back().gbs;
}

}  // namespace ingot
#endif  // HWY_ONCE
