// SPDX-License-Identifier: MIT
//
// The kernels that are timed alone, at shapes of the models that `ingot bench step` times (cli/bench_models.cc): one
// list for Google Benchmark (kernels_bench.cc), for `ingot bench kernels`, and for the comparison with OpenBLAS and
// oneDNN.
#pragma once

#include <string>
#include <vector>

#include "ingot/core/memory.h"
#include "ingot/core/threads.h"
#include "ingot/kernels/kernels.h"

namespace ingot {

struct KernelSpec {
  std::string name;  // "Conv2D/resnet20/32x32x32x16,3x3x16x16"
  Kernel kernel{};
  std::vector<Operand> in, out;  // without memory
  Attrs attrs{};
};

std::vector<KernelSpec> KernelSpecs();

// A call as plans make it: operands in one arena, filled with numbers between 0 and 1, which every kernel can work on.
class PreparedCall {
 public:
  PreparedCall(const KernelSpec& spec, ThreadPool& pool);
  PreparedCall(const PreparedCall&) = delete;
  PreparedCall& operator=(const PreparedCall&) = delete;

  Call call() const;
  void Run() const { fn_(call()); }
  Cost cost() const { return CostOf(spec_.kernel, call()); }
  size_t bytes() const { return arena_.size(); }  // of all operands

 private:
  KernelSpec spec_;
  std::vector<float> hyper_;
  Block arena_, workspace_;
  ingot::Run run_;
  KernelFn fn_;
};

}  // namespace ingot
