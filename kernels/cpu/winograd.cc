// SPDX-License-Identifier: MIT
//
// Winograd's convolution on blocks of tiles: transform the input, multiply 36 pairs of matrices, transform back; see
// winograd_plan.h for how work is cut and winograd_transform-inl.h for the arithmetic.
//
//   y tile = At [sum over c of (G w G^T) * (Bt x B)] A      * element by element, x a tile of 6x6, y of 4x4
//   dw     = Gt [sum over tiles of (Bt x B) * (A dy At)] G
//
// The gradient for the input is the convolution of dy with the taps reversed and the channels exchanged.
//
// Invariant: each sum runs over channels (tiles), ascending, in blocks cut by the shape alone; so threads do not change
// the bits.
#include "ingot/kernels/cpu/winograd.h"

#include <algorithm>
#include <cstring>

#include "ingot/kernels/cpu/targets.h"  // before Highway

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ingot/kernels/cpu/winograd.cc"
#include "hwy/foreach_target.h"
// After foreach_target.h:
#include "ingot/kernels/cpu/gemm_micro-inl.h"
#include "ingot/kernels/cpu/winograd_plan.h"
#include "ingot/kernels/cpu/winograd_transform-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ingot::cpu {
namespace HWY_NAMESPACE {
namespace {

constexpr int64_t kDepth = 256;           // of a product before the sums go back to memory
constexpr int64_t kTaskFloats = 1 << 17;  // transformed by a task

HWY_INLINE Vec LoadUpTo(const float* from, int64_t left) {
  return left >= kLanes ? hn::LoadU(F32(), from) : LoadSome(from, left);
}
HWY_INLINE void StoreUpTo(Vec v, float* to, int64_t left) {
  if (left >= kLanes) {
    hn::StoreU(v, F32(), to);
  } else {
    StoreSome(v, to, left);
  }
}

// Images (N, H, W, C) cut into windows 4 pixels apart.
struct Image {
  const float* data;
  int64_t h, w, c;
  int64_t pad_top, pad_left;
  const float* zeros;  // c floats
};

// Windows [first, last) and channels [c0, c0 + count), transformed by T: element e of a window goes to
// to[e * step + (window - first) * row + channel - c0], with zeros up to whole vectors.
template <class T>
void TransformWindows(const Image& x, const WinogradPlan& p, int64_t first, int64_t last, int64_t c0, int64_t count,
                      float* to, int64_t row, int64_t step) {
  for (int64_t tile = first; tile < last; ++tile, to += row) {
    const int64_t top = tile / p.tiles_w % p.tiles_h * kOutTile - x.pad_top;
    const int64_t left = tile % p.tiles_w * kOutTile - x.pad_left;
    const float* image = x.data + tile / (p.tiles_w * p.tiles_h) * x.h * x.w * x.c;
    const float* pixels[T::kIn][T::kIn];
    for (int64_t i = 0; i < T::kIn; ++i) {
      const bool row_inside = top + i >= 0 && top + i < x.h;
      const int64_t line = ((top + i) * x.w + left) * x.c + c0;
      for (int64_t j = 0; j < T::kIn; ++j) {
        const bool inside = row_inside && left + j >= 0 && left + j < x.w;
        pixels[i][j] = inside ? image + line + j * x.c : x.zeros;
      }
    }
    int64_t c = 0;
    for (; c + kLanes <= count; c += kLanes) {
      Transform<T>([&](int i, int j) HWY_ATTR { return hn::LoadU(F32(), pixels[i][j] + c); },
                   [&](int i, int j, Vec v) HWY_ATTR { hn::StoreU(v, F32(), to + (i * T::kOut + j) * step + c); });
    }
    if (c == count) continue;
    Transform<T>([&](int i, int j) HWY_ATTR { return LoadSome(pixels[i][j] + c, count - c); },
                 [&](int i, int j, Vec v) HWY_ATTR { hn::StoreU(v, F32(), to + (i * T::kOut + j) * step + c); });
  }
}

// A convolution as the steps see it. For the gradient for the input x is dy.
struct Run {
  const ConvShape* s;
  const WinogradPlan* p;
  Image x;
  const float* w;
  bool exchanged;  // w is (3, 3, K, C) with its taps reversed
  const Epilogue* epilogue;
  float* y;
  Kept kept;  // of u, block of output channels after block
};

// Input channels [i0, i1) of panel `panel` of the block of output channels that begins with k0, into u, whose matrices
// are (panels, C, kPanel).
void TransformKernel(const Run& run, int64_t k0, int64_t panel, int64_t i0, int64_t i1, float* u) {
  constexpr int64_t kChannels = 16;
  const ConvShape& s = *run.s;
  const int64_t o = k0 + panel * kPanel, cols = std::min(kPanel, s.k - o), step = run.p->kernel_step;
  alignas(64) float taps[9][kChannels * kPanel];
  for (int64_t i = i0; i < i1; i += kChannels) {
    const int64_t rows = std::min(kChannels, i1 - i);
    for (int64_t tap = 0; tap < 9; ++tap) {
      if (cols <= 0) {
        std::memset(taps[tap], 0, sizeof taps[tap]);
      } else if (run.exchanged) {
        PackColumns(run.w + (8 - tap) * s.c * s.k + o * s.c + i, s.c, rows, cols, taps[tap]);
      } else {
        PackRows(run.w + tap * s.c * s.k + i * s.k + o, s.k, rows, cols, taps[tap]);
      }
    }
    float* to = u + (panel * s.c + i) * kPanel;
    for (int64_t at = 0; at < rows * kPanel; at += kLanes) {
      Transform<G>([&](int a, int b) HWY_ATTR { return hn::Load(F32(), taps[a * 3 + b] + at); },
                   [&](int a, int b, Vec v) HWY_ATTR { hn::StoreU(v, F32(), to + (a * 6 + b) * step + at); });
    }
  }
}

// Panels [first, last) of c (rows, panels) = a (rows, depth) times b (panels, depth, kPanel).
void Multiply(const float* a, int64_t lda, int64_t rows, const float* b, int64_t depth, int64_t first, int64_t last,
              float* c, int64_t ldc) {
  const int64_t pieces = std::max<int64_t>(1, Ceil(depth, kDepth));
  for (int64_t piece = 0; piece < pieces; ++piece) {
    const int64_t d0 = depth * piece / pieces, d1 = depth * (piece + 1) / pieces;
    for (int64_t panel = first; panel < last; ++panel) {
      Block block;
      block.a_stride = lda;
      block.b = b + (panel * depth + d0) * kPanel;
      block.b_k = kPanel;
      block.k = d1 - d0;
      block.ldc = ldc;
      block.cols = kPanel;
      block.finish = {piece > 0, false};
      // Two row blocks prefetch the two halves of the next panel, a line each step.
      block.next = block.b + depth * kPanel;
      for (int64_t r = 0; r < rows;) {
        const int64_t count = Ceil(rows - r, Ceil(rows - r, kRows));
        const bool ahead = r < 2 * kRows && panel + 1 < last;
        block.a = a + r * lda + d0;
        block.a_ahead = count * lda;
        block.next_step = ahead ? kPanel / 2 : 0;
        block.next_row = ahead ? kChunk * kPanel / 2 : 0;
        block.c = c + r * ldc + panel * kPanel;
        ChooseMicro(count, kPanel, false)(block);
        block.next += ahead ? block.k * kPanel / 2 : 0;
        r += count;
      }
    }
  }
}

// Tiles [first, last) and output channels [k0, k0 + count): from m, whose rows begin with tile `first`, to y.
void TransformBack(const Run& run, int64_t first, int64_t last, int64_t k0, int64_t count, const float* m) {
  const ConvShape& s = *run.s;
  const WinogradPlan& p = *run.p;
  const Epilogue& e = *run.epilogue;
  const Vec zero = hn::Zero(F32());
  for (int64_t tile = first; tile < last; ++tile, m += p.out_row) {
    const int64_t oh = tile / p.tiles_w % p.tiles_h * kOutTile, ow = tile % p.tiles_w * kOutTile;
    const int64_t rows = std::min(kOutTile, s.oh - oh), cols = std::min(kOutTile, s.ow - ow);
    float* y = run.y + ((tile / (p.tiles_w * p.tiles_h) * s.oh + oh) * s.ow + ow) * s.k + k0;
    for (int64_t k = 0; k < count; k += kLanes) {
      const int64_t left = count - k;
      const Vec shift = e.shift != nullptr ? LoadUpTo(e.shift + k0 + k, left) : zero;
      const Vec scale = e.scale != nullptr ? LoadUpTo(e.scale + k0 + k, left) : zero;
      Transform<At>([&](int i, int j) HWY_ATTR { return hn::LoadU(F32(), m + (i * 6 + j) * p.out_step + k); },
                    [&](int i, int j, Vec v) HWY_ATTR {
                      if (i >= rows || j >= cols) return;
                      float* to = y + (i * s.ow + j) * s.k + k;
                      const Vec residual = e.residual != nullptr ? LoadUpTo(e.residual + (to - run.y), left) : zero;
                      Vec one[] = {e.scale != nullptr ? hn::MulAdd(v, scale, shift) : hn::Add(v, shift)};
                      if (e.residual != nullptr && !e.residual_last) one[0] = hn::Add(one[0], residual);
                      Activate(e, one);
                      if (e.residual != nullptr && e.residual_last) one[0] = hn::Add(one[0], residual);
                      StoreUpTo(one[0], to, left);
                    });
    }
  }
}

// The tasks that `size` items of `floats` each are cut into.
int64_t Tasks(int64_t size, int64_t floats) { return std::clamp<int64_t>(size * floats / kTaskFloats, 1, size); }

void RunOwn(ThreadPool& pool, const Run& run, float* workspace) {
  const ConvShape& s = *run.s;
  const WinogradPlan& p = *run.p;
  const int64_t panels = p.channel_block / kPanel, pieces = Tasks(Ceil(s.c, 16), 16 * kPanel * kMatrices);
  float* u = run.kept.data != nullptr ? run.kept.data : workspace;
  pool.For(run.kept.fresh ? 0 : panels * pieces, [&](int64_t i) HWY_ATTR {
    const int64_t piece = i % pieces;
    TransformKernel(run, 0, i / pieces, s.c * piece / pieces, s.c * (piece + 1) / pieces, u);
  });
  pool.For(p.own, [&](int64_t part) HWY_ATTR {
    float* v = workspace + kMatrices * (p.kernel_step + part * (p.in_step + p.out_step));
    float* m = v + kMatrices * p.in_step;
    for (int64_t b = p.tile_blocks * part / p.own; b < p.tile_blocks * (part + 1) / p.own; ++b) {
      const int64_t first = b * p.tile_block, last = std::min(p.tiles, first + p.tile_block);
      TransformWindows<Bt>(run.x, p, first, last, 0, s.c, v, p.in_row, p.in_step);
      for (int64_t e = 0; e < kMatrices; ++e) {
        Multiply(v + e * p.in_step, p.in_row, last - first, u + e * p.kernel_step, s.c, 0, panels, m + e * p.out_step,
                 p.out_row);
      }
      TransformBack(run, first, last, 0, s.k, m);
    }
  });
}

void RunShared(ThreadPool& pool, const Run& run, float* workspace) {
  const ConvShape& s = *run.s;
  const WinogradPlan& p = *run.p;
  const int64_t panels = p.channel_block / kPanel, pieces = Tasks(Ceil(s.c, 16), 16 * kPanel * kMatrices);
  const int64_t splits = std::min<int64_t>(panels, 4);
  float* v = workspace + kMatrices * p.kernel_step;
  float* m = v + kMatrices * p.in_step;
  int64_t has_tiles = -1, has_channels = -1;
  for (int64_t b = 0; b < p.tile_blocks * p.channel_blocks; ++b) {
    const int64_t tb = p.channels_outer ? b % p.tile_blocks : b / p.channel_blocks;
    const int64_t kb = p.channels_outer ? b / p.tile_blocks : b % p.channel_blocks;
    const int64_t first = tb * p.tile_block, tiles = std::min(p.tiles - first, p.tile_block), k0 = kb * p.channel_block;
    const int64_t inputs = has_tiles != tb ? Tasks(tiles, s.c * kMatrices) : 0;
    const int64_t kernels = has_channels != kb && !run.kept.fresh ? panels * pieces : 0;
    float* u = run.kept.data != nullptr ? run.kept.data + kb * kMatrices * p.kernel_step : workspace;
    has_tiles = tb, has_channels = kb;
    pool.For(inputs + kernels, [&](int64_t i) HWY_ATTR {
      if (i < inputs) {
        const int64_t t0 = tiles * i / inputs, t1 = tiles * (i + 1) / inputs;
        TransformWindows<Bt>(run.x, p, first + t0, first + t1, 0, s.c, v + t0 * p.in_row, p.in_row, p.in_step);
      } else {
        i -= inputs;
        const int64_t piece = i % pieces;
        TransformKernel(run, k0, i / pieces, s.c * piece / pieces, s.c * (piece + 1) / pieces, u);
      }
    });
    pool.For(kMatrices * splits, [&](int64_t i) HWY_ATTR {
      const int64_t e = i / splits, split = i % splits;
      Multiply(v + e * p.in_step, p.in_row, tiles, u + e * p.kernel_step, s.c, panels * split / splits,
               panels * (split + 1) / splits, m + e * p.out_step, p.out_row);
    });
    const int64_t outputs = Tasks(tiles, p.channel_block * kMatrices);
    pool.For(outputs, [&](int64_t i) HWY_ATTR {
      const int64_t t0 = tiles * i / outputs, t1 = tiles * (i + 1) / outputs;
      TransformBack(run, first + t0, first + t1, k0, std::min(p.channel_block, s.k - k0), m + t0 * p.out_row);
    });
  }
}

void Forward(ThreadPool& pool, const ConvShape& s, const WinogradPlan& p, const float* x, const float* w,
             bool exchanged, const Epilogue& epilogue, float* y, float* workspace, const Kept& kept) {
  if (p.tiles == 0) return;
  std::memset(workspace, 0, sizeof(float) * static_cast<size_t>(p.zeros));
  const Run run = {&s, &p, {x, s.h, s.w, s.c, s.pad_top, s.pad_left, workspace}, w, exchanged, &epilogue, y, kept};
  (p.own > 0 ? RunOwn : RunShared)(pool, run, workspace + p.zeros);
}

// Input channels [first, last) of a block and panels [panel, panel + 1) of s (+)= v^T d over `tiles` tiles.
void MultiplyTransposed(const float* v, int64_t ldv, int64_t first, int64_t last, const float* d, int64_t ldd,
                        int64_t tiles, int64_t k, bool add, float* c) {
  for (int64_t j = 0; j < k; j += kPanel) {
    Block block;
    block.a_stride = ldv;
    block.a_ahead = kAhead * ldv + kRows - 1;
    block.b = d + j;
    block.b_k = ldd;
    block.k = tiles;
    block.next = block.b;
    block.next_step = block.next_row = 0;
    block.ldc = ldd;
    block.cols = std::min(kPanel, k - j);
    block.finish = {add, false};
    for (int64_t r = first; r < last;) {
      const int64_t count = Ceil(last - r, Ceil(last - r, kRows));
      block.a = v + r;
      block.c = c + r * ldd + j;
      ChooseMicro(count, block.cols, true)(block);
      r += count;
    }
  }
}

// What the steps of a gradient for the kernel see.
struct GradRun {
  const ConvShape* s;
  const WinogradPlan* p;
  Image x, dy;
  float* dw;
};

// dw of channels [c0 + first, c0 + last) from the sums, whose rows begin with channel c0.
void TransformSums(const GradRun& run, int64_t c0, int64_t first, int64_t last, const float* sums) {
  const ConvShape& s = *run.s;
  for (int64_t c = first; c < last; ++c) {
    for (int64_t k = 0; k < s.k; k += kLanes) {
      const float* from = sums + c * run.p->out_row + k;
      float* to = run.dw + (c0 + c) * s.k + k;
      Transform<Gt>([&](int i, int j) HWY_ATTR { return hn::LoadU(F32(), from + (i * 6 + j) * run.p->kernel_step); },
                    [&](int i, int j, Vec v) HWY_ATTR { StoreUpTo(v, to + (i * 3 + j) * s.c * s.k, s.k - k); });
    }
  }
}

void RunGrad(ThreadPool& pool, const GradRun& run, float* workspace) {
  const ConvShape& s = *run.s;
  const WinogradPlan& p = *run.p;
  float* sums = workspace;
  float* v = sums + kMatrices * p.kernel_step;
  float* d = v + kMatrices * p.in_step;
  const int64_t splits = std::min<int64_t>(4, Ceil(p.channel_block, 2 * kMostRows));
  for (int64_t cb = 0; cb < p.channel_blocks; ++cb) {
    const int64_t c0 = cb * p.channel_block, channels = std::min(p.channel_block, s.c - c0);
    for (int64_t tb = 0; tb < p.tile_blocks; ++tb) {
      const int64_t first = tb * p.tile_block, tiles = std::min(p.tiles - first, p.tile_block);
      const int64_t inputs = Tasks(tiles, channels * kMatrices);
      const int64_t outputs = cb > 0 && p.tile_blocks == 1 ? 0 : Tasks(tiles, s.k * kMatrices);
      pool.For(inputs + outputs, [&](int64_t i) HWY_ATTR {
        const int64_t tasks = i < inputs ? inputs : outputs, task = i < inputs ? i : i - inputs;
        const int64_t t0 = tiles * task / tasks, t1 = tiles * (task + 1) / tasks;
        if (i < inputs) {
          TransformWindows<Bt>(run.x, p, first + t0, first + t1, c0, channels, v + t0 * p.in_row, p.in_row, p.in_step);
        } else {
          TransformWindows<A>(run.dy, p, first + t0, first + t1, 0, s.k, d + t0 * p.out_row, p.out_row, p.out_step);
        }
      });
      pool.For(kMatrices * splits, [&](int64_t i) HWY_ATTR {
        const int64_t e = i / splits, split = i % splits;
        MultiplyTransposed(v + e * p.in_step, p.in_row, channels * split / splits, channels * (split + 1) / splits,
                           d + e * p.out_step, p.out_row, tiles, s.k, tb > 0, sums + e * p.kernel_step);
      });
    }
    const int64_t tasks = Tasks(channels, s.k * kMatrices);
    pool.For(tasks, [&](int64_t i)
                        HWY_ATTR { TransformSums(run, c0, channels * i / tasks, channels * (i + 1) / tasks, sums); });
  }
}

void GradKernel(ThreadPool& pool, const ConvShape& s, const WinogradPlan& p, const float* x, const float* dy, float* dw,
                float* workspace) {
  if (p.tiles == 0) {
    std::memset(dw, 0, sizeof(float) * static_cast<size_t>(9 * s.c * s.k));
    return;
  }
  std::memset(workspace, 0, sizeof(float) * static_cast<size_t>(p.zeros));
  const GradRun run = {
      &s, &p, {x, s.h, s.w, s.c, s.pad_top, s.pad_left, workspace}, {dy, s.oh, s.ow, s.k, 0, 0, workspace}, dw};
  RunGrad(pool, run, workspace + p.zeros);
}

}  // namespace
// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace ingot::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ingot::cpu {
namespace {
HWY_EXPORT(Forward);
HWY_EXPORT(GradKernel);

// The gradient for the input as a convolution of dy.
ConvShape Reversed(const ConvShape& s) {
  ConvShape r = s;
  r.h = s.oh, r.w = s.ow, r.c = s.k, r.oh = s.h, r.ow = s.w, r.k = s.c;
  r.pad_top = 2 - s.pad_top, r.pad_left = 2 - s.pad_left;
  return r;
}
}  // namespace

bool WinogradCan(const ConvShape& s) {
  return s.kh == 3 && s.kw == 3 && s.stride_h == 1 && s.stride_w == 1 && s.dilation_h == 1 && s.dilation_w == 1 &&
         s.groups == 1;
}

bool WinogradPays(const ConvShape& s, bool kept) {
  return WinogradCan(s) && WinogradWins(s, kept) && PlanForward(s).floats <= kBudget;
}
bool WinogradGradInputPays(const ConvShape& s) { return WinogradPays(Reversed(s)); }
bool WinogradGradKernelPays(const ConvShape& s) {
  return WinogradCan(s) && WinogradWins(s, false) && PlanGradKernel(s).floats <= kBudget;
}

size_t WinogradWorkspace(const ConvShape& s) { return static_cast<size_t>(PlanForward(s).floats); }
size_t WinogradGradInputWorkspace(const ConvShape& s) { return WinogradWorkspace(Reversed(s)); }
size_t WinogradGradKernelWorkspace(const ConvShape& s) { return static_cast<size_t>(PlanGradKernel(s).floats); }

size_t WinogradKept(const ConvShape& s) {
  const WinogradPlan p = PlanForward(s);
  return static_cast<size_t>(kMatrices * p.channel_blocks * p.kernel_step);
}

void WinogradConv2D(ThreadPool& pool, const ConvShape& s, const float* x, const float* w, const Epilogue& epilogue,
                    float* y, float* workspace, const Kept& kept) {
  ChosenTargets();
  HWY_DYNAMIC_DISPATCH(Forward)(pool, s, PlanForward(s), x, w, false, epilogue, y, workspace, kept);
}

void WinogradGradInput(ThreadPool& pool, const ConvShape& s, const float* dy, const float* w, float* dx,
                       float* workspace) {
  ChosenTargets();
  const ConvShape r = Reversed(s);
  HWY_DYNAMIC_DISPATCH(Forward)(pool, r, PlanForward(r), dy, w, true, {}, dx, workspace, {});
}

void WinogradGradKernel(ThreadPool& pool, const ConvShape& s, const float* x, const float* dy, float* dw,
                        float* workspace) {
  ChosenTargets();
  HWY_DYNAMIC_DISPATCH(GradKernel)(pool, s, PlanGradKernel(s), x, dy, dw, workspace);
}

}  // namespace ingot::cpu
#endif  // HWY_ONCE
