// The two ends of a convolution: vectors of neighbouring outputs go through the epilogue on their way to NCDHW, and the source comes
// from NCDHW into a copy that the inner loops can read without a test, either channels last or with padded rows.
#pragma once

#include <volute/core/simd.hpp>
#include <volute/kernels/conv3d/correlation.hpp>
#include <volute/kernels/scalar_program.hpp>
#include <volute/ops/elementwise.hpp>

#include <cstdint>
#include <cstring>

VOLUTE_LOOPS_BEGIN
namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// Where a vector of results stands: what the operands of an epilogue are addressed by.
struct conv_place {
  int64_t sample = 0, channel = 0, channels = 1, offset = 0;  // offset: from the destination's first element
};

VOLUTE_EXHAUSTIVE_BEGIN
/// n (1..lanes) neighbouring results of one channel through epilogue E into y + at.offset; Stream: past the caches.
template <ops::epilogue E, bool Stream = false, class V, class T>
VOLUTE_INLINE void finish(V value, T* y, const T* const* extra, const conv_place& at, int n) {
  constexpr int lanes = simd::lanes<V>;
  if constexpr (E.program.length > 0) {
    V in[E.program.inputs];
    in[0] = value;
    VOLUTE_UNROLL
    for (int i = 1; i < E.program.inputs; ++i) {
      const T* p = extra[i - 1];
      switch (E.operand[i]) {
        case ops::access::whole:
          in[i] = n == lanes ? simd::load<V>(p + at.offset) : simd::load_partial<V>(p + at.offset, n);
          break;
        case ops::access::per_channel:
          in[i] = V(p[at.channel]);
          break;
        case ops::access::per_sample_channel:
          in[i] = V(p[at.sample * at.channels + at.channel]);
          break;
        case ops::access::scalar:
          in[i] = V(p[0]);
          break;
      }
    }
    value = run_program<E.program, V>(in);
  }
  if (n < lanes)
    simd::store_partial(y + at.offset, value, n);
  else if constexpr (Stream)
    simd::stream(y + at.offset, value);
  else
    simd::store(y + at.offset, value);
}
VOLUTE_EXHAUSTIVE_END

/// One row of `width` pixels from a tile [pixel][pitch] with `channels` channels in its lanes to NCDHW rows `step` elements apart.
template <class T, int L, ops::epilogue E>
__attribute__((noinline)) void store_pixels(const T* tile, int64_t pitch, int64_t width, int64_t channels, T* y, int64_t step,
                                            const T* const* extra, conv_place at) noexcept {
  using V = simd::vec<T, L>;
  const int64_t channel = at.channel, offset = at.offset;
  for (int64_t c = 0; c < channels; c += L)
    for (int64_t w = 0; w < width; w += L) {
      V r[L];
      const int n = static_cast<int>(smaller(L, width - w));
      VOLUTE_UNROLL
      for (int i = 0; i < L; ++i) r[i] = simd::load<V>(tile + (i < n ? w + i : w) * pitch + c);
      simd::transpose(r);
      const int valid = static_cast<int>(smaller(L, channels - c));
      VOLUTE_UNROLL
      for (int i = 0; i < L; ++i) {
        if (i >= valid) break;
        at.channel = channel + c + i;
        at.offset = offset + (c + i) * step + w;
        finish<E>(r[i], y, extra, at, n);
      }
    }
}

/// A block of source channels, channels last: to[h][w][C] for one plane, zeros where the source has nothing. `scale`: one factor a channel.
struct channels_last_copy {
  int64_t channels = 0, block = 0;         // channels there are, channels a pixel has in the copy
  int64_t channel_step = 0, row_step = 0;  // of the source
  source_axis height{}, width{};
};

/// Writes the plane and nothing else: another thread may be at the next one.
template <class T, bool Scale>
__attribute__((noinline)) void copy_channels_last(const T* from, T* to, const T* scale, const channels_last_copy& p) noexcept {
  constexpr int L = simd::width<T>;
  using V = simd::vec<T>;
  const int64_t block = p.block, row = p.width.extent * block;
  const T* const end = to + p.height.extent * row;
  for (int64_t h = 0; h < p.height.extent; ++h, to += row) {
    const int64_t source_row = h - p.height.pad;
    if (source_row < 0 || source_row >= p.height.count) {
      std::memset(to, 0, static_cast<std::size_t>(row) * sizeof(T));
      continue;
    }
    const T* line = from + (p.height.start + source_row * p.height.step) * p.row_step + p.width.start;
    T* first = to + p.width.pad * block;
    std::memset(to, 0, static_cast<std::size_t>(p.width.pad * block) * sizeof(T));
    if (p.width.step != 1 || block == 1) {
      for (int64_t c = 0; c < block; ++c) {
        const bool there = c < p.channels;
        const T* s = line + c * p.channel_step;
        T factor(1);
        if constexpr (Scale) factor = there ? scale[c] : T(0);
        for (int64_t w = 0; w < p.width.count; ++w) first[w * block + c] = there ? s[w * p.width.step] * factor : T(0);
      }
    } else {
      for (int64_t w = 0; w < p.width.count; w += L) {
        const int n = static_cast<int>(smaller(L, p.width.count - w));
        for (int64_t c = 0; c < block; c += L) {
          V r[L];
          VOLUTE_UNROLL
          for (int i = 0; i < L; ++i) {
            if (c + i >= p.channels) {
              r[i] = V(T(0));
              continue;
            }
            const T* s = line + (c + i) * p.channel_step + w;
            r[i] = n == L ? simd::load<V>(s) : simd::load_partial<V>(s, n);
            if constexpr (Scale) r[i] = r[i] * V(scale[c + i]);
          }
          simd::transpose(r);
          const int valid = static_cast<int>(smaller(L, block - c));
          VOLUTE_UNROLL
          for (int i = 0; i < L; ++i) {
            if (i >= n) break;
            T* pixel = first + (w + i) * block + c;
            if (valid == L || (block < L && end - pixel >= L))  // a narrow block's surplus lanes are overwritten by the pixels that follow
              simd::store(pixel, r[i]);
            else
              simd::store_partial(pixel, r[i], valid);
          }
        }
      }
    }
    const int64_t rest = p.width.extent - p.width.pad - p.width.count;
    std::memset(first + p.width.count * block, 0, static_cast<std::size_t>(rest * block) * sizeof(T));
  }
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
