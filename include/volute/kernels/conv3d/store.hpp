// The two ends of a convolution: vectors of neighbouring outputs go through the epilogue on their way to NCDHW, and the source comes
// from NCDHW into a copy that the inner loops can read without a test, either channels last or with padded rows.
#pragma once

#include <volute/core/simd.hpp>
#include <volute/kernels/conv3d/correlation.hpp>
#include <volute/kernels/conv3d/registers.hpp>
#include <volute/kernels/scalar_program.hpp>
#include <volute/kernels/team.hpp>
#include <volute/ops/elementwise.hpp>
#include <volute/ops/volume_layout.hpp>

#include <cstdint>
#include <cstring>

VOLUTE_LOOPS_BEGIN
namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// What is settled of a convolution while compiling: its canonical geometry, the face, what follows it, whether its source is scaled, and
/// where the elements of its tensors lie.
struct conv_call {
  ops::conv_geometry geometry{};
  conv_side side{};
  ops::epilogue epilogue{};
  bool scale = false;
  ops::conv_layouts layouts{};  // of source and target
};

/// The list of correlations of a call.
template <const conv_call& C>
inline constexpr const conv_shape& shape_for = conv_shape_of<C.geometry, C.side>;

/// to[0 .. n-1] = 0.
template <class T>
void fill_zeros(T* to, int64_t n) noexcept {
  std::memset(to, 0, static_cast<std::size_t>(n) * sizeof(T));
}

/// A tensor: channels of a group, and elements of one.
template <class T>
struct conv_tensor {
  const T* first;
  int64_t groups, channels, volume;
};

/// Where results go, and the operands of their epilogue but the first.
template <class T>
struct conv_output {
  T* y = nullptr;
  const T* const* extra = nullptr;
};

/// One run: tensors, memory and threads. scale: one factor for each sample and source channel, or null.
template <class T>
struct conv_run {
  const T* x = nullptr;
  const T* packed = nullptr;
  conv_output<T> out;
  const T* scale = nullptr;
  T* scratch = nullptr;
  const team<T>& workers;
};

/// Where a vector of results stands: what the operands of an epilogue are addressed by.
struct conv_place {
  int64_t sample = 0, channel = 0, channels = 1, offset = 0;  // offset: from the destination's first element
};

/// Target channel o of a group, from its first element on.
constexpr conv_place place_of(const conv_shape& s, int64_t sample, int64_t group, int64_t o) {
  const int64_t channels = s.groups * s.target_channels, channel = group * s.target_channels + o;
  return {sample, channel, channels, (sample * channels + channel) * s.target_volume()};
}
/// The same of a pair.
constexpr conv_place place_of(const conv_shape& s, int64_t pair, int64_t o) { return place_of(s, pair / s.groups, pair % s.groups, o); }

VOLUTE_EXHAUSTIVE_BEGIN
/// n neighbouring results of one channel, 1 or more and at most a vector, through epilogue E into y + at.offset; Stream: past the caches.
template <ops::epilogue E, bool Stream = false, class V, class T>
VOLUTE_INLINE void finish(V value, const conv_output<T>& out, const conv_place& at, int64_t n) {
  if constexpr (E.program.length > 0) {
    V in[E.program.inputs];
    in[0] = value;
    VOLUTE_UNROLL
    for (int i = 1; i < E.program.inputs; ++i) {
      const T* p = out.extra[i - 1];
      switch (E.operand[i]) {
        case ops::access::whole:
          in[i] = load_first<V>(p + at.offset, n);
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
  T* const to = out.y + at.offset;
  if (Stream && n >= simd::lanes<V>)
    simd::stream(to, value);
  else
    store_first(to, value, n);
}
VOLUTE_EXHAUSTIVE_END

/// Results with channels in the lanes, [pixel][pitch]: `channels` of them, and of each `width` pixels that are neighbours in the volume,
/// from its pixel `first` on.
template <class T>
struct lanes_tile {
  const T* tile;
  int64_t pitch, first, width, channels;
};

/// A tile to NCDHW rows, `step` elements apart. Each channel is the sum of Fold neighbouring lanes.
template <class T, int L, ops::epilogue E, int Fold = 1>
VOLUTE_NO_INLINE void store_pixels(const lanes_tile<T>& t, conv_output<T> out, int64_t step, conv_place at) noexcept {
  using V = simd::vec<T, L>;
  const auto [tile, pitch, first, width, channels] = t;
  const int64_t channel = at.channel, offset = at.offset + first;
  for (int64_t c = 0; c < channels; c += L / Fold)
    for (int64_t w = 0; w < width; w += L) {
      V r[L];
      const int n = int(smaller(L, width - w));
      for (int i = 0; i < L / Fold; ++i) simd::prefetch_write(out.y + offset + (c + i) * step + w + 4 * L);
      VOLUTE_EACH(i, L) r[i] = simd::load<V>(tile + (i < n ? w + i : w) * pitch + c * Fold);
      simd::transpose(r);
      const int valid = int(smaller(L / Fold, channels - c));
      if (Fold == 1 && n == L && valid == L) {  // whole squares, without a branch
        at.channel = channel + c, at.offset = offset + c * step + w;
        VOLUTE_UNROLL
        for (int i = 0; i < L; ++i, ++at.channel, at.offset += step) finish<E>(r[i], out, at, L);
        continue;
      }
      VOLUTE_EACH(i, L / Fold) {
        if (i >= valid) break;
        V* const lanes = r + i * Fold;
        VOLUTE_UNROLL
        for (int half = Fold / 2; half > 0; half /= 2)
          VOLUTE_EACH(f, half) lanes[f] = lanes[f] + lanes[f + half];
        at.channel = channel + c + i;
        at.offset = offset + (c + i) * step + w;
        finish<E>(lanes[0], out, at, n);
      }
    }
}

/// L pixels of L channels, `step` elements apart, to [pixel][channel], pixels `pixel` elements apart.
template <class T>
VOLUTE_INLINE void turn_square(const T* x, int64_t step, T* to, int64_t pixel) noexcept {
  constexpr int L = simd::width<T>;
  simd::vec<T> r[L];
  VOLUTE_UNROLL
  for (int i = 0; i < L; ++i, x += step) r[i] = simd::load<simd::vec<T>>(x);
  simd::transpose(r);
  VOLUTE_EACH(i, L) simd::store(to + i * pixel, r[i]);
}

/// n pixels of `channels` channels, `step` elements apart, to [pixel][chunk][Fold], channels last and each Fold times; zeros for those
/// beyond. Vectors are whole up to `end`: a narrow pixel's surplus lanes are overwritten by the pixels that follow.
template <class T, int Fold, bool Scale>
VOLUTE_INLINE void turn_channels(const T* x, T* to, int64_t channels, int64_t chunk, int64_t step, int64_t n, const T* scale,
                                 const T* end) noexcept {
  constexpr int L = simd::width<T>;
  using V = simd::vec<T>;
  const int64_t pixel = chunk * Fold;
  const auto get = [&](int64_t c, int64_t w, int count) VOLUTE_ALWAYS_INLINE {
    if (c >= channels) return V(T(0));
    const T* const at = x + c * step + w;
    V v = load_first<V>(at, count);
    if constexpr (Scale) v = v * V(scale[c]);
    return v;
  };
  const auto put = [&](T* at, V v, int64_t valid) VOLUTE_ALWAYS_INLINE {
    if (valid == L || (pixel < L && end - at >= L))
      simd::store(at, v);
    else
      simd::store_partial(at, v, int(valid));
  };
  int64_t w = 0;
  if (Fold == 1 && !Scale && channels == L && chunk == L)  // whole squares, without a branch
    for (; w + L <= n; w += L) turn_square(x + w, step, to + w * L, L);
  for (; w < n; w += L) {
    const int count = int(smaller(L, n - w));
    if (2 * pixel == L) {  // half a vector a pixel: one round less, and full stores
      V r[L / 2];
      VOLUTE_EACH(i, L / 2) r[i] = get(i / Fold, w, count);
      simd::shuffle<simd::log2_of(L / 2)>(r);
      VOLUTE_EACH(i, L / 2) {
        if (2 * i >= count) break;
        put(to + w * pixel + i * L, r[i], smaller(L, (count - 2 * i) * pixel));
      }
      continue;
    }
    for (int64_t c = 0; c < pixel; c += L) {
      V r[L];
      VOLUTE_EACH(i, L) r[i] = get((c + i) / Fold, w, count);
      simd::transpose(r);
      VOLUTE_EACH(i, L) {
        if (i >= count) break;
        put(to + (w + i) * pixel + c, r[i], smaller(L, pixel - c));
      }
    }
  }
}

/// A block of source channels, channels last: to[h][w][C] for one plane, zeros where the source has nothing. `scale`: one factor a channel.
struct channels_last_copy {
  int64_t channels = 0, block = 0;         // channels there are, channels a pixel has in the copy
  int64_t channel_step = 0, row_step = 0;  // of the source
  source_axis height{}, width{};
};

/// One plane of a copy, channels last in pixels of `block` channels, and nothing else: another thread may be at the next one. row(h, to)
/// writes the pixels of the source's row h; around them are zeros.
template <class T, class Row>
VOLUTE_INLINE void copy_padded_rows(const source_axis& height, const source_axis& width, int64_t block, T* to, Row row) noexcept {
  const auto clear = [&](T* pixel, int64_t n) { fill_zeros(pixel, n * block); };
  for (int64_t h = -height.pad; h < height.extent - height.pad; ++h, to += width.extent * block) {
    if (h < 0 || h >= height.count) {
      clear(to, width.extent);
      continue;
    }
    T* const first = to + width.pad * block;
    clear(to, width.pad);
    row(h, first);
    clear(first + width.count * block, width.extent - width.pad - width.count);
  }
}

template <class T, bool Scale>
VOLUTE_NO_INLINE void copy_channels_last(const T* from, T* to, const T* scale, const channels_last_copy& p) noexcept {
  const int64_t block = p.block;
  const T* const end = to + p.height.extent * p.width.extent * block;
  copy_padded_rows(p.height, p.width, block, to, [&](int64_t h, T* first) VOLUTE_ALWAYS_INLINE {
    const T* line = from + (p.height.start + h * p.height.step) * p.row_step + p.width.start;
    if (p.width.step == 1 && block > 1) {
      turn_channels<T, 1, Scale>(line, first, p.channels, block, p.channel_step, p.width.count, scale, end);
    } else {
      for (int64_t c = 0; c < block; ++c, line += p.channel_step) {
        const bool there = c < p.channels;
        T factor(1);
        if constexpr (Scale) factor = there ? scale[c] : T(0);
        for (int64_t w = 0; w < p.width.count; ++w) first[w * block + c] = there ? line[w * p.width.step] * factor : T(0);
      }
    }
  });
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
