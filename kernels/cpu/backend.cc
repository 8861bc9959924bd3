// SPDX-License-Identifier: MIT
//
// The CPU as a backend: a table with a function for each kernel. One that is missing does not link.
#include <iterator>

#include "ingot/kernels/cpu/cpu.h"

namespace ingot {
namespace {

constexpr KernelFn kFunctions[] = {
#define X(name) &cpu::name,
    INGOT_KERNELS(X)
#undef X
};

class Cpu : public Backend {
 public:
  const char* name() const override { return "cpu"; }
  KernelFn Resolve(Kernel kernel) const override { return kFunctions[static_cast<size_t>(kernel)]; }
  size_t WorkspaceBytes(Kernel kernel, const Call& call) const override {
    switch (kernel) {
#define X(name)         \
  case Kernel::k##name: \
    return cpu::name##Workspace(call);
      INGOT_KERNELS_WITH_WORKSPACE(X)
#undef X
      default:
        return 0;
    }
  }
  size_t KeptBytes(Kernel kernel, const Call& call) const override {
    return kernel == Kernel::kConv2D ? cpu::Conv2DKept(call) : 0;
  }
};

}  // namespace

const Backend& CpuBackend() {
  static const Cpu backend;
  return backend;
}

}  // namespace ingot
