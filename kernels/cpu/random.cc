// SPDX-License-Identifier: MIT
//
// Dropout and Gaussian noise, over random.h: y = x / (1 - rate) where Uniform(word i) >= rate, else 0; y = x + stddev *
// normal i. Element i is the position in the mask, which may be constant along some axes. Nothing is kept for the
// gradient, which draws the same mask again. Compiled once for each SIMD target.
//
// Threads: tiles by shape alone; what a tile draws depends on its position only.
#include "ingot/kernels/cpu/random.h"

#include <algorithm>

#include "ingot/kernels/cpu/cpu.h"
#include "ingot/kernels/cpu/strides.h"
#include "ingot/kernels/cpu/targets.h"  // before Highway
#include "ingot/kernels/cpu/tiles.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ingot/kernels/cpu/random.cc"
#include "hwy/foreach_target.h"
#include "ingot/kernels/cpu/vector-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ingot::cpu {
namespace HWY_NAMESPACE {
namespace {

using DU = hn::RebindToUnsigned<D>;
using VU = hn::Vec<DU>;
constexpr int64_t kChunk = 512;  // elements drawn at a time

constexpr int64_t kSlack = 4 * kLanes + 4;

#if HWY_TARGET == HWY_SCALAR
const uint32_t* DrawWords(const Stream& s, int64_t first, int64_t n, uint32_t* room) {
  for (int64_t have = 0; have < first % 4 + n; have += 4) {
    const Words words = Philox(s, static_cast<uint64_t>(first + have) / 4);
    std::copy(words.begin(), words.end(), room + have);
  }
  return room + first % 4;
}
HWY_INLINE void LoadPairs(const uint32_t* words, VU& first, VU& second) {
  first = hn::Set(DU(), words[0]), second = hn::Set(DU(), words[1]);
}
#else
// The product of each lane with a number: its upper and lower half.
struct Wide {
  VU high, low;
};
HWY_INLINE Wide Multiply(VU a, VU b) {
  const hn::Repartition<uint64_t, DU> d64;
  const auto even = hn::MulEven(a, b);
  const VU shifted = hn::BitCast(DU(), hn::ShiftRight<32>(hn::BitCast(d64, a)));
  const auto odd = hn::MulEven(shifted, b);
  return {hn::OddEven(hn::BitCast(DU(), odd), hn::BitCast(DU(), hn::ShiftRight<32>(even))),
          hn::OddEven(hn::BitCast(DU(), hn::ShiftLeft<32>(odd)), hn::BitCast(DU(), even))};
}

// Philox (core/random.h) of a vector of blocks, 4 * kLanes words.
HWY_INLINE void PhiloxVector(const Stream& s, VU block_low, VU block_high, uint32_t* words) {
  const DU d;
  const VU m0 = hn::Set(d, 0xD2511F53u), m1 = hn::Set(d, 0xCD9E8D57u);
  VU c0 = block_low, c1 = block_high, c2 = hn::Set(d, s.use), c3 = hn::Set(d, s.step);
  auto k0 = static_cast<uint32_t>(s.seed), k1 = static_cast<uint32_t>(s.seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const Wide p0 = Multiply(c0, m0), p1 = Multiply(c2, m1);
    c0 = hn::Xor(hn::Xor(p1.high, c1), hn::Set(d, k0));
    c2 = hn::Xor(hn::Xor(p0.high, c3), hn::Set(d, k1));
    c1 = p1.low;
    c3 = p0.low;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  hn::StoreInterleaved4(c0, c1, c2, c3, d, words);
}

// Words first .. first + n - 1. They begin at the pointer that comes back, in `room`, which has kSlack more.
const uint32_t* DrawWords(const Stream& s, int64_t first, int64_t n, uint32_t* room) {
  const DU d;
  uint64_t block = static_cast<uint64_t>(first) / 4;
  const int64_t skip = first % 4;
  for (int64_t have = 0; have < skip + n; have += 4 * kLanes, block += kLanes) {
    const VU low = hn::Add(hn::Set(d, static_cast<uint32_t>(block)), hn::Iota(d, 0));
    // Where the lower half wraps around, the upper one is larger by one.
    const VU carry = hn::VecFromMask(d, hn::Lt(low, hn::Set(d, static_cast<uint32_t>(block))));
    PhiloxVector(s, low, hn::Sub(hn::Set(d, static_cast<uint32_t>(block >> 32)), carry), room + have);
  }
  return room + skip;
}

HWY_INLINE void LoadPairs(const uint32_t* words, VU& first, VU& second) {
  hn::LoadInterleaved2(DU(), words, first, second);
}
#endif

HWY_INLINE Num ToFloat(VU a) { return Num(hn::ConvertTo(D(), hn::BitCast(DI(), a))); }  // REQUIRES: a < 2^31

// a 2^-24, a the upper 24 bits
HWY_INLINE Num UniformOf(VU words) { return ToFloat(hn::ShiftRight<8>(words)) * Num(0x1p-24f); }

// (a + 1/2) 2^-32 in float: both halves are exact, so it is rounded once or twice.
HWY_INLINE Num HalfAbove(VU a) {
  const Num high = ToFloat(hn::ShiftRight<16>(a)) * Num(65536.0f);
  const Num low = ToFloat(hn::And(a, hn::Set(DU(), 0xffff))) + Num(0.5f);
  return (high + low) * Num(0x1p-32f);
}

// p[0] + p[1] x + ... with products rounded, as every target can.
HWY_INLINE Num Rounded(Num, float last) { return Num(last); }
template <class... P>
HWY_INLINE Num Rounded(Num x, float first, P... rest) {
  return Rounded(x, rest...) * x + Num(first);
}

// -log((a + 1/2) 2^-32). Where that is above 3/4, from how much it is below 1, which a float holds more closely.
HWY_INLINE Num MinusLog(VU a) {
  const Num u = HalfAbove(a), below = HalfAbove(hn::Xor(a, hn::Set(DU(), ~0u)));
  const VI bits = hn::BitCast(DI(), u.v);
  const VI e = hn::ShiftRight<23>(hn::Sub(bits, hn::Set(DI(), 0x3f3504f3)));
  const Mask near_1 = below < Num(0.25f);
  const Num m = Num(hn::BitCast(D(), hn::Sub(bits, hn::ShiftLeft<23>(e))));
  const Num f = Select(near_1, Num(0.0f) - below, m - Num(1.0f));
  const Num fe = Select(near_1, Num(0.0f), Num(hn::ConvertTo(D(), e)));
  const Num p = Rounded(f, 0.333333125f, -0.250000095f, 0.200021235f, -0.16668005f, 0.142194516f, -0.124053426f,
                        0.118887091f, -0.116775053f, 0.067476918f);
  const Num z = f * f, tail = z * f * p - Num(0.5f) * z + fe * Num(-2.12194440e-4f);
  return Num(0.0f) - (fe * Num(0.693359375f) + (f + tail));
}

// cos(2 pi a / 2^32): a quarter of the circle and what remains, within an eighth to either side.
HWY_INLINE Num CosOfTurn(VU a) {
  const DU d;
  const VU quarter = hn::ShiftRight<30>(hn::Add(a, hn::Set(d, 1u << 29)));
  const Num x = Num(hn::ConvertTo(D(), hn::BitCast(DI(), hn::Sub(a, hn::ShiftLeft<30>(quarter))))) *
                Num(1.4629180792671596e-9f);  // 2 pi / 2^32
  const Num z = x * x;
  const Num sine = x + x * z * Rounded(z, -0.166666666f, 0.00833332937f, -0.00019839331f, 2.7182744e-06f);
  const Num cosine = Num(1.0f) - Num(0.5f) * z + z * z * Rounded(z, 0.0416666666f, -0.00138888837f, 2.47995159e-05f);
  const Mask odd = {hn::RebindMask(D(), hn::Eq(hn::And(quarter, hn::Set(d, 1)), hn::Set(d, 1)))};
  const VU next = hn::Add(quarter, hn::Set(d, 1));
  const Mask negative = {hn::RebindMask(D(), hn::Eq(hn::And(next, hn::Set(d, 2)), hn::Set(d, 2)))};
  const Num value = Select(odd, sine, cosine);
  return Select(negative, Num(0.0f) - value, value);
}

// Elements of a stream as floats, chunk by chunk: f(first, n, values).
struct Uniforms {
  alignas(64) uint32_t room[kChunk + kSlack];
  alignas(64) float values[kChunk + kLanes];
  const float* Draw(const Stream& s, int64_t first, int64_t n) {
    const uint32_t* words = DrawWords(s, first, n, room);
    for (int64_t i = 0; i < n; i += kLanes) Store(UniformOf(hn::LoadU(DU(), words + i)), values + i);
    return values;
  }
};
struct Normals {
  alignas(64) uint32_t room[2 * kChunk + 2 * kSlack];
  alignas(64) float values[kChunk + kLanes];
  const float* Draw(const Stream& s, int64_t first, int64_t n) {
    const uint32_t* words = DrawWords(s, 2 * first, 2 * n, room);
    for (int64_t i = 0; i < n; i += kLanes) {
      VU u, v;
      LoadPairs(words + 2 * i, u, v);
      Store(Sqrt(Num(2.0f) * MinusLog(u)) * CosOfTurn(v), values + i);
    }
    return values;
  }
};

template <class Drawn, class Fn>
HWY_INLINE void ForChunks(const Stream& s, int64_t first, int64_t last, const Fn& f) {
  Drawn drawn;
  for (int64_t i = first; i < last; i += kChunk) {
    const int64_t n = std::min(kChunk, last - i);
    f(i, n, drawn.Draw(s, i, n));
  }
}

void RunFillUniform(float* dst, int64_t n, const Stream& s, int64_t first) {
  ForChunks<Uniforms>(s, first, first + n, [&](int64_t i, int64_t count, const float* values) HWY_ATTR {
    std::copy_n(values, count, dst + i - first);
  });
}
void RunFillNormal(float* dst, int64_t n, const Stream& s, int64_t first) {
  ForChunks<Normals>(s, first, first + n, [&](int64_t i, int64_t count, const float* values) HWY_ATTR {
    std::copy_n(values, count, dst + i - first);
  });
}

void RunDropout(const Call& call) {
  const auto& attrs = call.as<DropoutAttrs>();
  const float* x = call.in[0].f();
  float* y = call.out[0].f();
  const Shape& shape = call.out[0].shape;
  const Stream stream{attrs.seeded ? attrs.seed : call.run->seed, attrs.use, call.run->step};
  const float rate = attrs.rate, factor = 1 / (1 - rate);
  const auto keep = [&](Num v, Num drawn) HWY_ATTR { return Select(drawn >= Num(rate), v * Num(factor), Num(0.0f)); };
  Shape mask = shape;
  for (int i = 0; i < shape.rank(); ++i)
    if (!(attrs.keep >> i & 1)) mask[i] = 1;
  if (shape.count() == 0) return;
  const BroadcastSteps steps(mask, shape);
  const int64_t* const all[] = {steps.step};
  const Walk<1> walk(shape, all);
  const int64_t width = walk.width();
  if (walk.rank == 1 && walk.step[0][0] == 1) {
    ForTiles(call, width, 1, [&](int64_t, int64_t from, int64_t to) HWY_ATTR {
      ForChunks<Uniforms>(stream, from, to, [&](int64_t i, int64_t n, const float* drawn) HWY_ATTR {
        Map(n, y + i, keep, x + i, drawn);
      });
    });
    return;
  }
  ForTiles(call, walk.rows(), width, [&](int64_t, int64_t from, int64_t to) HWY_ATTR {
    Walk<1>::Rows at(walk, from);
    for (int64_t row = from; row < to; ++row, at.Next()) {
      const int64_t place = row * width;
      if (walk.step[0][walk.rank - 1] == 0) {
        const Num drawn(
            Uniform(Philox(stream, static_cast<uint64_t>(at.at[0] / 4))[static_cast<size_t>(at.at[0] % 4)]));
        Map(
            width, y + place, [&](Num v) HWY_ATTR { return keep(v, drawn); }, x + place);
        continue;
      }
      ForChunks<Uniforms>(stream, at.at[0], at.at[0] + width, [&](int64_t i, int64_t n, const float* drawn) HWY_ATTR {
        const int64_t here = place + i - at.at[0];
        Map(n, y + here, keep, x + here, drawn);
      });
    }
  });
}

void RunGaussianNoise(const Call& call) {
  const auto& attrs = call.as<DropoutAttrs>();
  const float* x = call.in[0].f();
  float* y = call.out[0].f();
  const Stream stream{attrs.seeded ? attrs.seed : call.run->seed, attrs.use, call.run->step};
  const Num stddev(attrs.rate);
  ForTiles(call, call.out[0].count(), 1, [&](int64_t, int64_t from, int64_t to) HWY_ATTR {
    ForChunks<Normals>(stream, from, to, [&](int64_t i, int64_t n, const float* drawn) HWY_ATTR {
      Map(
          n, y + i, [&](Num v, Num r) HWY_ATTR { return v + stddev * r; }, x + i, drawn);
    });
  });
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace ingot::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ingot::cpu {
HWY_EXPORT(RunDropout);
HWY_EXPORT(RunGaussianNoise);
HWY_EXPORT(RunFillUniform);
HWY_EXPORT(RunFillNormal);

void Dropout(const Call& call) {
  ChosenTargets();
  HWY_DYNAMIC_DISPATCH(RunDropout)(call);
}
void GaussianNoise(const Call& call) {
  ChosenTargets();
  HWY_DYNAMIC_DISPATCH(RunGaussianNoise)(call);
}
void FillUniform(float* dst, int64_t n, const Stream& stream, int64_t first) {
  ChosenTargets();
  HWY_DYNAMIC_DISPATCH(RunFillUniform)(dst, n, stream, first);
}
void FillNormal(float* dst, int64_t n, const Stream& stream, int64_t first) {
  ChosenTargets();
  HWY_DYNAMIC_DISPATCH(RunFillNormal)(dst, n, stream, first);
}

}  // namespace ingot::cpu
#endif  // HWY_ONCE
