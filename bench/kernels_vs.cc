// SPDX-License-Identifier: MIT
//
// ingot's matrix products and convolutions against OpenBLAS and oneDNN, at the shapes of kernel_specs.h: for the
// comparison only, built where CMake finds both (Debian's libopenblas-dev, libdnnl-dev). Each result is held against
// ingot's before it is timed. Sides take turns, each begins when all threads of the others have gone to sleep; medians,
// in microseconds. What differs is in their favour: oneDNN's weights lie as it likes best, which costs it nothing here
// (a network that trains lays them anew at each step), and OpenBLAS adds no bias.
//   build/ingot_kernels_vs [TEXT IN THE NAME] [SECONDS EACH] [--json]
//
// OpenBLAS 0.3.21 does not know Zen 5 and takes its kernels for processors of twenty years ago: where the processor has
// AVX-512 this program starts itself anew with OPENBLAS_CORETYPE=SkylakeX, with AVX2 Haswell, unless the variable is
// set.
#include <cblas.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <dnnl.hpp>
#include <exception>
#include <functional>
#include <limits>
#include <sstream>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "ingot/bench/kernel_specs.h"
#include "ingot/core/error.h"
#include "ingot/core/median.h"

#if DNNL_VERSION_MAJOR != 2
#error "written for oneDNN 2, whose descriptions version 3 has no more"
#endif

namespace ingot {
namespace {

using Clock = std::chrono::steady_clock;

struct Side {
  std::string name;
  std::function<void()> run;
  std::function<std::vector<float>()> result;
  std::vector<double> us{};
};

std::vector<float> Values(const Operand& operand) { return {operand.f(), operand.f() + operand.count()}; }

Side OfOpenBlas(const Call& call, std::vector<float>& c) {
  const int m = static_cast<int>(call.out[0].shape[0]), n = static_cast<int>(call.out[0].shape[1]),
            k = static_cast<int>(call.in[0].shape[1]);
  c.resize(static_cast<size_t>(m) * static_cast<size_t>(n));
  return {"OpenBLAS",
          [=, &c] {
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, n, k, 1, call.in[0].f(), k, call.in[1].f(), n, 0,
                        c.data(), n);
          },
          [=, &c] {
            std::vector<float> sums = c;
            for (size_t i = 0; i < sums.size(); ++i) sums[i] += call.in[2].f()[i % static_cast<size_t>(n)];
            return sums;
          }};
}

// A oneDNN primitive with its memory. What the caller holds is in one layout, what the primitive wants may be another:
// In() and Out() carry over once, outside the time.
class OneDnn {
 public:
  using Tag = dnnl::memory::format_tag;
  static dnnl::memory::desc Desc(const dnnl::memory::dims& dims, Tag tag) {
    return {dims, dnnl::memory::data_type::f32, tag};
  }
  void In(int argument, const dnnl::memory::desc& wanted, const dnnl::memory::desc& given, const Operand& operand) {
    dnnl::memory from(given, engine_, operand.data), to(wanted, engine_);
    dnnl::reorder(from, to).execute(stream_, from, to);
    stream_.wait();
    arguments_[argument] = to;
  }
  void Out(int argument, const dnnl::memory::desc& wanted, const dnnl::memory::desc& given) {
    out_ = arguments_[argument] = dnnl::memory(wanted, engine_);
    given_ = given;
  }
  Side Finish(dnnl::primitive primitive) {
    primitive_ = std::move(primitive);
    return {"oneDNN",
            [this] {
              primitive_.execute(stream_, arguments_);
              stream_.wait();
            },
            [this] {
              std::vector<float> values(given_.get_size() / 4);
              dnnl::memory to(given_, engine_, values.data());
              dnnl::reorder(out_, to).execute(stream_, out_, to);
              stream_.wait();
              return values;
            }};
  }
  const dnnl::engine& engine() const { return engine_; }

 private:
  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_{engine_};
  dnnl::primitive primitive_;
  std::unordered_map<int, dnnl::memory> arguments_;
  dnnl::memory out_;
  dnnl::memory::desc given_;
};

Side OfMatmul(const Call& call, OneDnn& d) {
  using Tag = OneDnn::Tag;
  const auto dims = [](const Shape& s) { return dnnl::memory::dims{s[0], s[1]}; };
  const auto a = d.Desc(dims(call.in[0].shape), Tag::ab), b = d.Desc(dims(call.in[1].shape), Tag::ab);
  const auto bias = d.Desc({1, call.in[2].shape[0]}, Tag::ab), c = d.Desc(dims(call.out[0].shape), Tag::ab);
  const dnnl::matmul::primitive_desc pd({a, d.Desc(dims(call.in[1].shape), Tag::any), bias, c}, d.engine());
  d.In(DNNL_ARG_SRC, a, a, call.in[0]);
  d.In(DNNL_ARG_WEIGHTS, pd.weights_desc(), b, call.in[1]);
  d.In(DNNL_ARG_BIAS, bias, bias, call.in[2]);
  d.Out(DNNL_ARG_DST, c, c);
  return d.Finish(dnnl::matmul(pd));
}

Side OfConvolution(Kernel kernel, const Call& call, OneDnn& d) {
  using Tag = OneDnn::Tag;
  using Alg = dnnl::algorithm;
  const bool forward = kernel == Kernel::kConv2D || kernel == Kernel::kDepthwise;
  const bool of_input = kernel == Kernel::kConv2DGradInput || kernel == Kernel::kDepthwiseGradInput;
  const bool depthwise =
      kernel == Kernel::kDepthwise || kernel == Kernel::kDepthwiseGradInput || kernel == Kernel::kDepthwiseGradKernel;
  const Shape& xs = of_input ? call.out[0].shape : call.in[0].shape;
  const Shape& ws = forward || of_input ? call.in[1].shape : call.out[0].shape;
  const Shape& ys = forward ? call.out[0].shape : of_input ? call.in[0].shape : call.in[1].shape;
  const ConvAttrs& attrs = call.as<ConvAttrs>();
  const dnnl::memory::dims stride = {attrs.stride_h, attrs.stride_w}, before = {attrs.pad_top, attrs.pad_left};
  const dnnl::memory::dims after = {(ys[1] - 1) * stride[0] + ws[0] - xs[1] - before[0],
                                    (ys[2] - 1) * stride[1] + ws[1] - xs[2] - before[1]};
  const auto image = [](const Shape& s) { return dnnl::memory::dims{s[0], s[3], s[1], s[2]}; };
  const dnnl::memory::dims w_dims =
      depthwise ? dnnl::memory::dims{ws[2], 1, 1, ws[0], ws[1]} : dnnl::memory::dims{ws[3], ws[2], ws[0], ws[1]};
  const auto x = d.Desc(image(xs), Tag::nhwc), y = d.Desc(image(ys), Tag::nhwc);
  const auto w = d.Desc(w_dims, Tag::any), w_given = d.Desc(w_dims, depthwise ? Tag::hwigo : Tag::hwio);
  const auto bias = d.Desc({ys[3]}, Tag::x);
  dnnl::primitive_attr with_relu;
  dnnl::post_ops relu;
  relu.append_eltwise(1, Alg::eltwise_relu, 0, 0);
  if (attrs.epilogue.slope == 0) with_relu.set_post_ops(relu);
  const dnnl::convolution_forward::primitive_desc pd(
      {forward ? dnnl::prop_kind::forward_inference : dnnl::prop_kind::forward_training, Alg::convolution_auto, x, w,
       bias, y, stride, before, after},
      with_relu, d.engine());
  if (forward) {
    d.In(DNNL_ARG_SRC, x, x, call.in[0]);
    d.In(DNNL_ARG_WEIGHTS, pd.weights_desc(), w_given, call.in[1]);
    d.In(DNNL_ARG_BIAS, bias, bias, call.in[2]);
    d.Out(DNNL_ARG_DST, y, y);
    return d.Finish(dnnl::convolution_forward(pd));
  }
  if (of_input) {
    const dnnl::convolution_backward_data::primitive_desc back({Alg::convolution_auto, x, w, y, stride, before, after},
                                                               d.engine(), pd);
    d.In(DNNL_ARG_DIFF_DST, y, y, call.in[0]);
    d.In(DNNL_ARG_WEIGHTS, back.weights_desc(), w_given, call.in[1]);
    d.Out(DNNL_ARG_DIFF_SRC, x, x);
    return d.Finish(dnnl::convolution_backward_data(back));
  }
  const dnnl::convolution_backward_weights::primitive_desc back({Alg::convolution_auto, x, w, y, stride, before, after},
                                                                d.engine(), pd);
  d.In(DNNL_ARG_SRC, x, x, call.in[0]);
  d.In(DNNL_ARG_DIFF_DST, y, y, call.in[1]);
  d.Out(DNNL_ARG_DIFF_WEIGHTS, back.diff_weights_desc(), w_given);
  return d.Finish(dnnl::convolution_backward_weights(back));
}

// Sums of thousands of products, in another order: a thousandth of the largest is right, and a wrong layout is not.
void MustAgree(const std::string& kernel, const std::vector<float>& ingot, const Side& side) {
  const std::vector<float> other = side.result();
  if (other.size() != ingot.size()) Fail(kernel, ": ", side.name, " gives another number of elements");
  float largest = 0, apart = 0;
  for (size_t i = 0; i < ingot.size(); ++i) {
    largest = std::max(largest, std::abs(ingot[i]));
    apart = std::max(apart, std::abs(ingot[i] - other[i]));
  }
  if (!(apart <= 1e-3f * largest)) Fail(kernel, ": ", side.name, "'s result is ", apart, " from ingot's, of ", largest);
}

// Threads of OpenBLAS and OpenMP spin for a while behind their work, and would take a core from whoever comes next.
void WaitUntilAllSleep() {
  for (int i = 0; i < 2500; ++i) {
    const std::clock_t before = std::clock();  // of all threads
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    if (std::clock() - before < CLOCKS_PER_SEC / 2000) return;
  }
  Fail("threads of a side that is not timed have not gone to sleep within 5 s");
}

std::string Versions() {
  std::istringstream config(openblas_get_config());  // "OpenBLAS 0.3.21 DYNAMIC_ARCH ..."
  std::string name, version;
  config >> name >> version;
  const dnnl_version_t& dnn = *dnnl_version();
  return Text("OpenBLAS ", version, " with its kernels for ", openblas_get_corename(), ", oneDNN ", dnn.major, ".",
              dnn.minor, ".", dnn.patch);
}

bool IsConvolution(Kernel kernel) { return kernel >= Kernel::kConv2D && kernel <= Kernel::kDepthwiseGradKernel; }

void Compare(const KernelSpec& spec, double seconds, bool json) {
  const PreparedCall prepared(spec, ThreadPool::Default());
  const Call call = prepared.call();
  std::vector<float> c;
  OneDnn dnn;
  std::vector<Side> sides = {{"ingot", [&] { prepared.Run(); }, [&] { return Values(call.out[0]); }}};
  if (spec.kernel == Kernel::kGemm) sides.push_back(OfOpenBlas(call, c));
  sides.push_back(spec.kernel == Kernel::kGemm ? OfMatmul(call, dnn) : OfConvolution(spec.kernel, call, dnn));
  for (Side& side : sides)
    for (int i = 0; i < 3; ++i) side.run();
  const std::vector<float> expected = sides[0].result();
  for (size_t i = 1; i < sides.size(); ++i) MustAgree(spec.name, expected, sides[i]);
  constexpr int kRounds = 5;
  for (size_t turn = 0; turn < kRounds * sides.size(); ++turn) {
    Side& side = sides[(turn + turn / sides.size()) % sides.size()];
    WaitUntilAllSleep();
    side.run();  // brings the threads of this side back, and its operands into the caches
    const auto begin = Clock::now();
    for (bool first = true; first || std::chrono::duration<double>(Clock::now() - begin).count() < seconds / kRounds;
         first = false) {
      const auto at = Clock::now();
      side.run();
      side.us.push_back(std::chrono::duration<double, std::micro>(Clock::now() - at).count());
    }
  }
  const double flops = prepared.cost().flops, own = Median(sides[0].us);
  double best = std::numeric_limits<double>::infinity();
  for (size_t i = 1; i < sides.size(); ++i) best = std::min(best, Median(sides[i].us));
  std::printf(json ? "{\"kernel\":\"%s\"" : "%-56s", spec.name.c_str());
  for (const char* name : {"ingot", "OpenBLAS", "oneDNN"}) {
    const auto side = std::find_if(sides.begin(), sides.end(), [&](const Side& s) { return s.name == name; });
    if (side == sides.end()) {
      if (!json) std::printf(" %10s %8s", "-", "-");
    } else if (json) {
      std::printf(",\"%s\":%.3f", name, Median(side->us));
    } else {
      std::printf(" %10.2f %8.1f", Median(side->us), flops / Median(side->us) / 1e3);
    }
  }
  if (json)
    std::printf(",\"ratio\":%.4f,\"version\":\"%s\"}\n", best / own, Versions().c_str());
  else
    std::printf(" %8.2f\n", best / own);
  std::fflush(stdout);
}

int Main(int argc, char** argv) {
  const bool avx512 = __builtin_cpu_supports("avx512f"), avx2 = __builtin_cpu_supports("avx2");
  if (!std::getenv("OPENBLAS_CORETYPE") && (avx512 || avx2)) {
    setenv("OPENBLAS_CORETYPE", avx512 ? "SkylakeX" : "Haswell", 1);
    execv("/proc/self/exe", argv);
  }
  std::vector<std::string> given(argv + 1, argv + argc);
  const bool json = std::erase(given, "--json") > 0;
  const std::string filter = given.empty() ? "" : given[0];
  const double seconds = given.size() < 2 ? 0.5 : std::atof(given[1].c_str());
  if (!json) {
    std::printf("%d threads; %s\n", ThreadPool::Default().threads(), Versions().c_str());
    std::printf("%-56s %10s %8s %10s %8s %10s %8s %8s\n", "kernel/model/shapes", "ingot us", "GFLOP/s", "OpenBLAS",
                "GFLOP/s", "oneDNN", "GFLOP/s", "ratio");
  }
  bool any = false;
  for (const KernelSpec& spec : KernelSpecs()) {
    if (!(spec.kernel == Kernel::kGemm || IsConvolution(spec.kernel)) || spec.name.find(filter) == std::string::npos)
      continue;
    any = true;
    Compare(spec, seconds, json);
  }
  if (!any) Fail("no product's or convolution's name contains '", filter, "'");
  return 0;
}

}  // namespace
}  // namespace ingot

int main(int argc, char** argv) {
  try {
    return ingot::Main(argc, argv);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "ingot_kernels_vs: %s\n", e.what());
    return 1;
  }
}
