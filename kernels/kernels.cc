// SPDX-License-Identifier: MIT
#include "ingot/kernels/kernels.h"

namespace ingot {
namespace {

constexpr const char* kNames[] = {
#define X(name) #name,
    INGOT_KERNELS(X)
#undef X
};

}  // namespace

const char* Name(Kernel kernel) { return kNames[static_cast<size_t>(kernel)]; }

EpilogueAttrs* EpilogueOf(Kernel kernel, Attrs& attrs) {
  if (kernel == Kernel::kGemm) return &attrs.as<GemmAttrs>().epilogue;
  if (kernel == Kernel::kConv2D || kernel == Kernel::kDepthwise) return &attrs.as<ConvAttrs>().epilogue;
  return nullptr;
}

const EpilogueAttrs* EpilogueOf(Kernel kernel, const Attrs& attrs) {
  return EpilogueOf(kernel, const_cast<Attrs&>(attrs));
}

// Two operations for each multiplication and addition of a product; one for each element elsewhere, where what
// counts is the traffic: every operand once.
Cost CostOf(Kernel kernel, const Call& call) {
  Cost cost;
  for (const auto operands : {call.in, call.out})
    for (const Operand& operand : operands) cost.bytes += static_cast<double>(operand.bytes());
  const auto count = [](const Operand& operand) { return static_cast<double>(operand.count()); };
  switch (kernel) {
    case Kernel::kGemm: {
      const bool trans_a = call.as<GemmAttrs>().trans_a;
      cost.flops = 2 * count(call.out[0]) * static_cast<double>(call.in[0].shape[trans_a ? 0 : 1]);
      break;
    }
    case Kernel::kConv2D:
    case Kernel::kDepthwise:
    case Kernel::kConv2DGradInput:
    case Kernel::kDepthwiseGradInput: {
      // Each element of the convolution's output meets KH x KW x C / groups weights.
      const Shape& w = call.in[1].shape;
      const bool forward = kernel == Kernel::kConv2D || kernel == Kernel::kDepthwise;
      const bool depthwise = kernel == Kernel::kDepthwise || kernel == Kernel::kDepthwiseGradInput;
      cost.flops =
          2 * count(forward ? call.out[0] : call.in[0]) * static_cast<double>(w[0] * w[1] * (depthwise ? 1 : w[2]));
      break;
    }
    case Kernel::kConv2DGradKernel:
    case Kernel::kDepthwiseGradKernel: {
      const Shape& w = call.out[0].shape;
      const bool depthwise = kernel == Kernel::kDepthwiseGradKernel;
      cost.flops = 2 * count(call.in[1]) * static_cast<double>(w[0] * w[1] * (depthwise ? 1 : w[2]));
      break;
    }
    default:
      for (const Operand& out : call.out) cost.flops += count(out);
  }
  return cost;
}

}  // namespace ingot
