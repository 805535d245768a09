// Convolutions that follow each other without NCDHW in between: the first one stores what the second would have copied, blocks of channels
// last with the zeros of its padding, and no channel is turned out of the lanes and back.
#pragma once

#include <volute/core/simd.hpp>
#include <volute/kernels/conv3d/store.hpp>
#include <volute/ops/volume_layout.hpp>

#include <cstdint>

VOLUTE_LOOPS_BEGIN
namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// Whether a vector of a result in layout To goes past the caches: whole lines of one that they cannot hold, 8 MiB or more (32 channels of
/// 64^3 from a transposed convolution: 11.1 ms for 14.9).
template <class T, int L, ops::volume_layout To>
inline constexpr bool streams_blocks =
    To.blocked() && sizeof(T) * L == 64 && To.block % L == 0 && To.size() * bytes_of<T> >= machine.cached * 2;

/// A tile through the epilogue to y in layout To, with the zeros beside its pixels. stream_fence() must follow where streams_blocks.
template <class T, int L, ops::epilogue E, ops::volume_layout To>
VOLUTE_NO_INLINE void store_blocked(const lanes_tile<T>& t, conv_output<T> out, const conv_place& at) noexcept {
  using V = simd::vec<T, L>;
  const auto [tile, pitch, first, width, channels] = t;
  constexpr ops::volume_layout to = To;
  constexpr int inputs = E.program.inputs;
  constexpr int64_t row = to.all_columns * to.block, plane = to.plane();
  for (int64_t c = 0; c < channels; c += L) {
    const int64_t channel = at.channel + c;
    const int valid = int(smaller(L, channels - c));
    const auto load = [&](const T* p) VOLUTE_ALWAYS_INLINE { return load_first<V>(p, valid); };
    const auto store = [&](T* p, V v) VOLUTE_ALWAYS_INLINE {
      if constexpr (streams_blocks<T, L, To>)  // its channels are whole blocks
        simd::stream(p, v);
      else
        store_first(p, v, valid);
    };
    const auto zeros = [&](T* p, int64_t pixels) VOLUTE_ALWAYS_INLINE {
      for (int64_t i = 0; i < pixels; ++i) store(p + i * to.block, V(T(0)));
    };
    V in[inputs];
    VOLUTE_UNROLL
    for (int i = 1; i < inputs; ++i) {
      const T* const p = out.extra[i - 1];
      if (E.operand[i] == ops::access::per_channel) in[i] = load(p + channel);
      if (E.operand[i] == ops::access::per_sample_channel) in[i] = load(p + at.sample * at.channels + channel);
      if (E.operand[i] == ops::access::scalar) in[i] = V(p[0]);
    }
    const int64_t base = to.channel_at(at.sample, channel);
    const T* from = tile + c;
    for (int64_t pixel = first; pixel < first + width;) {
      const auto [d, h, w] = voxel_at(pixel, to.rows, to.columns);
      const int64_t count = smaller(to.columns - w, first + width - pixel);
      const int64_t line = base + d * plane + (to.rows_before + h) * row;
      if (w == 0) {
        if (h == 0) zeros(out.y + base + d * plane, to.rows_before * to.all_columns);
        zeros(out.y + line, to.columns_before);
      }
      const int64_t offset = line + (to.columns_before + w) * to.block;
      for (int64_t i = 0; i < count; ++i, from += pitch) {
        in[0] = simd::load<V>(from);
        VOLUTE_UNROLL
        for (int k = 1; k < inputs; ++k)
          if (E.operand[k] == ops::access::whole) in[k] = load(out.extra[k - 1] + offset + i * to.block);
        V value = in[0];
        if constexpr (E.program.length > 0) value = run_program<E.program, V>(in);
        store(out.y + offset + i * to.block, value);
      }
      if (w + count == to.columns) {
        zeros(out.y + offset + count * to.block, to.columns_after());
        if (h + 1 == to.rows) zeros(out.y + line + row, to.rows_after() * to.all_columns);
      }
      pixel += count;
    }
  }
}

/// Pixels [begin, end) of `channels` channels of a sample in layout `from`, the first of which is `channel`, to to[pixel][pitch]; zeros
/// behind the last channel. What the adjoint in the filter makes of a blocked tensor: it keeps other channels together, but nothing turns.
template <class T>
VOLUTE_NO_INLINE void copy_blocked(const ops::volume_layout& from, const T* x, int64_t sample, int64_t channel, int64_t channels,
                                   int64_t begin, int64_t end, T* to, int64_t pitch) noexcept {
  constexpr int L = simd::width<T>;
  using V = simd::vec<T>;
  for (int64_t c = 0; c < channels;) {
    const int64_t count = smaller(channels - c, from.block - (channel + c) % from.block);
    const T* const base = x + from.channel_at(sample, channel + c);
    T* out = to + c;
    for (int64_t pixel = begin; pixel < end;) {
      const auto [d, h, w] = voxel_at(pixel, from.rows, from.columns);
      const int64_t last = smaller(end, pixel - w + from.columns);
      const T* in = base + d * from.plane() + from.first() + (h * from.all_columns + w) * from.block;
      for (; pixel < last; ++pixel, in += from.block, out += pitch) {
        int64_t k = 0;
        for (; k + L <= count; k += L) simd::store(out + k, simd::load<V>(in + k));
        const int rest = int(count - k);
        if (rest > 0) simd::store_partial(out + k, simd::load_partial<V>(in + k, rest), rest);
      }
    }
    c += count;
  }
  if (channels < pitch)
    for (int64_t i = 0; i < end - begin; ++i) fill_zeros(to + i * pitch + channels, pitch - channels);
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
