// SPDX-License-Identifier: MIT
#include "ingot/bench/kernel_specs.h"

#include <initializer_list>
#include <utility>

#include "ingot/core/random.h"
#include "ingot/kernels/formulas.h"
#include "ingot/kernels/updates.h"

namespace ingot {
namespace {

std::string Text(const Shape& shape) {
  std::string text;
  for (int i = 0; i < shape.rank(); ++i) text += (i ? "x" : "") + std::to_string(shape[i]);
  return text;
}

class List {
 public:
  // Named by its kernel, the model it comes from, and the shapes that tell it from others.
  void Add(const char* model, Kernel kernel, std::vector<Operand> in, std::vector<Operand> out, Attrs attrs,
           std::initializer_list<Shape> shapes) {
    std::string name = std::string(Name(kernel)) + "/" + model + "/";
    for (const Shape& shape : shapes) name += (name.back() == '/' ? "" : ",") + Text(shape);
    all_.push_back({std::move(name), kernel, std::move(in), std::move(out), attrs});
  }

  void Gemm(const char* model, int64_t m, int64_t k, int64_t n) {
    const Shape a{m, k}, b{k, n}, c{m, n};
    Add(model, Kernel::kGemm, Floats({a, b, {n}}), Floats({c}), GemmAttrs{false, false, {}}, {a, b});
  }

  // Forward with bias and ReLU, and both gradients; `same` padding where the sizes say so.
  void Conv(const char* model, const Shape& x, int64_t size, int64_t filters, int32_t stride = 1, bool same = true,
            bool depthwise = false) {
    const auto extent = [&](int64_t n) { return same ? (n + stride - 1) / stride : (n - size) / stride + 1; };
    const Shape w = depthwise ? Shape{size, size, x[3], 1} : Shape{size, size, x[3], filters};
    const Shape y{x[0], extent(x[1]), extent(x[2]), depthwise ? x[3] : filters};
    ConvAttrs attrs;
    attrs.stride_h = attrs.stride_w = stride;
    if (same) attrs.pad_top = attrs.pad_left = static_cast<int32_t>((size - stride) / 2);
    Add(model, depthwise ? Kernel::kDepthwiseGradInput : Kernel::kConv2DGradInput, Floats({y, w}), Floats({x}), attrs,
        {x, w});
    Add(model, depthwise ? Kernel::kDepthwiseGradKernel : Kernel::kConv2DGradKernel, Floats({x, y}), Floats({w}), attrs,
        {x, w});
    attrs.epilogue.slope = 0;
    Add(model, depthwise ? Kernel::kDepthwise : Kernel::kConv2D, Floats({x, w, {y[3]}}), Floats({y}), attrs, {x, w});
  }

  void Norm(const char* model, const Shape& x) {
    const Shape c{x[3]};
    const BatchNormAttrs norm{{1e-3f, 0.99f}};
    Add(model, Kernel::kBatchNorm, Floats({x, c, c, c, c}), Floats({x, c, c}), norm, {x});
    Add(model, Kernel::kBatchNormGrad, Floats({x, c, c, c, x}), Floats({x, c, c}), norm, {x});
  }

  void Pool(const char* model, const Shape& x) {
    const Shape y{x[0], x[1] / 2, x[2] / 2, x[3]};
    const Operand index{nullptr, y, DType::kUint8};
    const PoolAttrs attrs{2, 2, 2, 2, 0, 0};
    Add(model, Kernel::kMaxPool, Floats({x}), {{nullptr, y}, index}, attrs, {x});
    Add(model, Kernel::kMaxPoolGrad, {{nullptr, y}, index}, Floats({x}), attrs, {x});
  }

  static std::vector<Operand> Floats(const std::vector<Shape>& shapes) {
    std::vector<Operand> list;
    for (const Shape& shape : shapes) list.push_back({nullptr, shape});
    return list;
  }

  std::vector<KernelSpec> Take() { return std::move(all_); }

 private:
  std::vector<KernelSpec> all_;
};

}  // namespace

std::vector<KernelSpec> KernelSpecs() {
  List list;
  list.Gemm("mlp", 32, 784, 64);
  list.Gemm("mlp", 256, 784, 64);
  list.Gemm("mobilenetv2", 8, 1280, 1000);
  list.Gemm("square", 512, 512, 512);
  list.Gemm("square", 1024, 1024, 1024);

  list.Conv("cnn", {256, 28, 28, 1}, 3, 64, 1, false);
  list.Conv("cnn", {256, 13, 13, 64}, 3, 32, 1, false);
  list.Conv("cnn-big", {32, 13, 13, 1024}, 3, 512, 1, false);
  list.Conv("resnet20", {32, 32, 32, 16}, 3, 16);
  list.Conv("resnet20", {32, 16, 16, 32}, 3, 32);
  list.Conv("resnet20", {32, 8, 8, 64}, 3, 64);
  list.Conv("resnet20", {32, 32, 32, 16}, 3, 32, 2);
  list.Conv("mobilenetv2", {8, 24, 24, 144}, 1, 24);
  list.Conv("mobilenetv2", {8, 6, 6, 96}, 1, 576);
  list.Conv("resnet50", {8, 56, 56, 64}, 1, 256);
  list.Conv("resnet50", {8, 56, 56, 64}, 3, 64);
  list.Conv("resnet50", {8, 14, 14, 256}, 3, 256);
  list.Conv("resnet50", {8, 7, 7, 512}, 3, 512);
  list.Conv("mobilenetv2", {8, 24, 24, 144}, 3, 1, 1, true, true);
  list.Conv("mobilenetv2", {8, 6, 6, 576}, 3, 1, 1, true, true);

  list.Norm("cnn", {256, 26, 26, 64});
  list.Norm("resnet20", {32, 32, 32, 16});
  list.Norm("resnet20", {32, 8, 8, 64});
  list.Pool("cnn", {256, 26, 26, 64});

  const Shape x{32, 32, 32, 16}, rows{32, 10};
  list.Add("resnet20", Kernel::kBinary, List::Floats({x, x}), List::Floats({x}), BinaryAttrs{BinaryOp::kAdd, 0}, {x});
  list.Add("resnet20", Kernel::kUnary, List::Floats({x}), List::Floats({x}),
           UnaryAttrs{static_cast<uint16_t>(Formula::kRelu), {}}, {x});
  const Shape last{8, 7, 7, 2048};
  list.Add("resnet50", Kernel::kReduce, List::Floats({last}), List::Floats({Shape{8, 2048}}),
           ReduceAttrs{ReduceOp::kMean, 6}, {last});
  for (const Shape& logits : {Shape{8, 1000}, Shape{4096, 1000}})
    list.Add("resnet50", Kernel::kSoftmax, List::Floats({logits}), List::Floats({logits}), AxisAttrs{1}, {logits});
  const UpdateAttrs adam{static_cast<uint16_t>(UpdateFormula::kAdam), {0.1f, 0.001f, 1e-7f}, false, 1};
  const std::vector<std::pair<const char*, Shape>> weights = {{"mlp", Shape{50890}}, {"mobilenetv2", Shape{3538984}}};
  for (const auto& [model, w] : weights)
    list.Add(model, Kernel::kUpdate, List::Floats({w, w, w, w}), List::Floats({w, w, w}), adam, {w});
  return list.Take();
}

PreparedCall::PreparedCall(const KernelSpec& spec, ThreadPool& pool)
    : spec_(spec), hyper_(8, 1e-3f), fn_(CpuBackend().Resolve(spec.kernel)) {
  size_t bytes = 0;
  for (auto* operands : {&spec_.in, &spec_.out})
    for (const Operand& o : *operands) bytes += AlignUp(o.bytes());
  arena_ = Block(bytes, "the operands of a benchmark");
  size_t at = 0;
  Random random({1, 0, 0});
  for (auto* operands : {&spec_.in, &spec_.out})
    for (Operand& o : *operands) {
      o.data = arena_.data() + at;
      at += AlignUp(o.bytes());
      for (int64_t i = 0; i < o.count() && o.dtype == DType::kFloat32; ++i) o.f()[i] = random.Uniform();
      for (int64_t i = 0; i < o.count() && o.dtype == DType::kUint8; ++i) o.u()[i] = static_cast<uint8_t>(i % 4);
    }
  // Updates move their weights and slots in place.
  for (size_t i = 0; spec_.kernel == Kernel::kUpdate && i < spec_.out.size(); ++i)
    spec_.out[i].data = spec_.in[i ? i + 1 : 0].data;
  run_.pool = &pool;
  run_.hyper = hyper_.data();
  workspace_ = Block(CpuBackend().WorkspaceBytes(spec_.kernel, call()), "the workspace of a benchmark");
}

Call PreparedCall::call() const {
  return {spec_.in, spec_.out, &spec_.attrs, workspace_.size() ? workspace_.data() : nullptr, &run_};
}

}  // namespace ingot
