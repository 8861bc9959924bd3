// SPDX-License-Identifier: MIT
//
// Kernels that move elements and do not compute: fill, copy, boxes, casts and repeats.
//
// Threads: work is cut by shape alone; no two tiles write the same element.
#include <algorithm>
#include <cstring>

#include "ingot/kernels/cpu/cpu.h"
#include "ingot/kernels/cpu/strides.h"
#include "ingot/kernels/cpu/tiles.h"

namespace ingot::cpu {
namespace {

template <class From>
void CastFrom(const Call& call, const From* x) {
  float* y = call.out[0].f();
  ForTiles(call, call.out[0].count(), 1, [&](int64_t, int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) y[i] = static_cast<float>(x[i]);
  });
}

// Of any type: what is moved are bytes.
void CopyBytes(void* to, const void* from, int64_t n, size_t size) {
  std::memcpy(to, from, static_cast<size_t>(n) * size);
}
std::byte* At(const Operand& x, int64_t i) {
  return static_cast<std::byte*>(x.data) + i * static_cast<int64_t>(SizeOf(x.dtype));
}

}  // namespace

void Fill(const Call& call) {
  const float value = call.as<FillAttrs>().value;
  float* y = call.out[0].f();
  ForTiles(call, call.out[0].count(), 1,
           [&](int64_t, int64_t first, int64_t last) { std::fill(y + first, y + last, value); });
}

void Copy(const Call& call) {
  const Operand &x = call.in[0], &y = call.out[0];
  if (x.data == y.data) return;
  const size_t size = SizeOf(y.dtype);
  ForTiles(call, y.count(), 1,
           [&](int64_t, int64_t first, int64_t last) { CopyBytes(At(y, first), At(x, first), last - first, size); });
}

void CopyBox(const Call& call) {
  const auto& box = call.as<BoxAttrs>();
  const Operand &x = call.in[0], &y = call.out[0];
  const size_t size = SizeOf(y.dtype);
  // Axes that the box fills wholly in both are joined with the one before them: a box becomes few, long runs.
  const RowMajor in(x.shape), out(y.shape);
  int64_t run = 1, from0 = 0, to0 = 0;
  int rank = box.rank;
  for (bool whole = true; rank > 0 && whole; --rank) {
    const int axis = rank - 1;
    whole = box.extent[axis] == x.shape[axis] && box.extent[axis] == y.shape[axis];
    run *= box.extent[axis];
    from0 += box.from[axis] * in.step[axis];
    to0 += box.to[axis] * out.step[axis];
  }
  int64_t rows = 1;
  for (int i = 0; i < rank; ++i) rows *= box.extent[i];
  if (run == 0) return;
  ForTiles(call, rows, run, [&](int64_t, int64_t first, int64_t last) {
    for (int64_t row = first; row < last; ++row) {
      int64_t rest = row, from = from0, to = to0;
      for (int i = rank - 1; i >= 0; --i) {
        const int64_t index = rest % box.extent[i];
        rest /= box.extent[i];
        from += (index + box.from[i]) * in.step[i];
        to += (index + box.to[i]) * out.step[i];
      }
      CopyBytes(At(y, to), At(x, from), run, size);
    }
  });
}

void Cast(const Call& call) {
  const Operand& x = call.in[0];
  switch (x.dtype) {
    case DType::kInt32:
      return CastFrom(call, x.i());
    case DType::kUint8:
      return CastFrom(call, x.u());
    case DType::kFloat32:
      return Copy(call);
  }
}

void Broadcast(const Call& call) {
  const Operand &x = call.in[0], &y = call.out[0];
  if (y.count() == 0) return;
  const BroadcastSteps steps(x.shape, y.shape);
  const int64_t* const all[] = {steps.step};
  const Walk<1> walk(y.shape, all);
  const int64_t width = walk.width(), step = walk.step[0][walk.rank - 1];
  if (walk.rank == 1) {  // one number, or a copy
    ForTiles(call, width, 1, [&](int64_t, int64_t first, int64_t last) {
      if (step == 0) {
        std::fill(y.f() + first, y.f() + last, x.f()[0]);
      } else {
        std::copy(x.f() + first, x.f() + last, y.f() + first);
      }
    });
    return;
  }
  ForTiles(call, walk.rows(), width, [&](int64_t, int64_t first, int64_t last) {
    Walk<1>::Rows at(walk, first);
    for (int64_t row = first; row < last; ++row, at.Next()) {
      if (step == 0) {
        std::fill_n(y.f() + row * width, width, x.f()[at.at[0]]);
      } else {
        std::copy_n(x.f() + at.at[0], width, y.f() + row * width);
      }
    }
  });
}

}  // namespace ingot::cpu
